//! What a request costs, counted as the server sees it.

use tower_kr_session::{Owner, SessionStore, store::Instants};
use tower_kr_session_redis::RedisStore;

use crate::support::{
    Monitor, Server,
    session::{Session, increment, now, owner, set, sign_in},
};

fn names(commands: &[String]) -> Vec<&str> {
    let names = commands.iter().map(|command| {
        let end = command.find("\" ").map_or(command.len(), |end| end + 1);
        command[..end].trim_matches('"')
    });
    names.collect()
}

pub(crate) async fn each_call_is_one_round_trip() {
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let mut monitor = Monitor::start(&server);
    assert_eq!(names(&monitor.commands()), [""; 0], "untouched");

    let session = Session::create(&store).await;
    assert_eq!(names(&monitor.commands()), ["EVALSHA"], "a new session");

    session.load().await;
    assert_eq!(names(&monitor.commands()), ["HGETALL"], "a read");

    session.increment().await.expect("increment");
    assert_eq!(names(&monitor.commands()), ["EVALSHA"], "an increment");

    session.apply(set("a", "1")).await.expect("apply");
    assert_eq!(names(&monitor.commands()), ["EVALSHA"], "a blind write");

    session.load().await;
    session.apply(set("a", "2")).await.expect("apply");
    let expected = ["HGETALL", "EVALSHA"];
    assert_eq!(names(&monitor.commands()), expected, "a read, then a write");

    let user = owner("user");
    session.apply(sign_in(&user)).await.expect("apply");
    // A look at the record, the index before, the record, the index after.
    assert_eq!(names(&monitor.commands()), ["EVALSHA"; 4], "a sign-in");

    session.apply(increment()).await.expect("apply");
    assert_eq!(names(&monitor.commands()), ["EVALSHA"], "afterwards");

    list(&store, &user).await;
    assert_eq!(names(&monitor.commands()), ["EVALSHA", "HMGET"], "a list");

    let at = Instants::at(now());
    let removed = store.remove(session.id, Some(&session.secret), at).await;
    removed.expect("remove");
    // The record, and its entry in the index.
    assert_eq!(names(&monitor.commands()), ["EVALSHA"; 2], "a logout");
}

async fn list(store: &RedisStore, user: &Owner) {
    let list = store.list(user, now()).await.expect("list");
    assert_eq!(list.len(), 1);
}

pub(crate) async fn flushed_scripts_are_sent_anew() {
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let session = Session::create(&store).await;
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    let mut monitor = Monitor::start(&server);
    assert_eq!(session.increment().await.expect("increment"), 1);
    assert_eq!(names(&monitor.commands()), ["EVALSHA", "EVAL"]);
    assert_eq!(session.increment().await.expect("increment"), 2);
    assert_eq!(names(&monitor.commands()), ["EVALSHA"]);
}
