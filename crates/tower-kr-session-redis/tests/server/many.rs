//! A user with many sessions: what they cost, and how long the server is held up.

use tower_kr_session::{Owner, SessionId, SessionStore};
use tower_kr_session_redis::RedisStore;

use super::index::{due, entries, index, is_applied, revoke_but};
use crate::support::{
    Monitor, Server,
    session::{Session, now, owner, sign_in, touch},
};

/// Writes many fields of a hash at once.
fn fill(server: &Server, key: &str, fields: impl Iterator<Item = (String, String)>) {
    let mut admin = server.admin();
    let fields: Vec<(String, String)> = fields.collect();
    for some in fields.chunks(5_000) {
        let mut command = redis::cmd("HSET");
        command.arg(key);
        for (field, value) in some {
            command.arg(field).arg(value);
        }
        command.exec(&mut admin).expect("HSET");
    }
}

/// Gives the user so many more sessions like this one.
fn copy(server: &Server, user: &Owner, session: &Session, count: usize) {
    let entry = entries(server, user)[&session.id.to_string()].clone();
    let ids: Vec<SessionId> = (0..count).map(|_| SessionId::generate(now())).collect();
    for some in ids.chunks(1_000) {
        let mut copies = redis::pipe();
        for id in some {
            let copy = copies.cmd("COPY").arg(session.key());
            copy.arg(format!("kr:session:{id}")).ignore();
        }
        copies.exec(&mut server.admin()).expect("COPY");
    }
    let copies = ids.iter().map(|id| (id.to_string(), entry.clone()));
    fill(server, &index(user), copies);
}

/// The script calls since this was last asked, and the microseconds that one took on average.
fn script_calls(server: &Server) -> (u64, u64) {
    let stats: String = server.ask(&["INFO", "commandstats"]);
    let scripts = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let scripts = scripts.expect("calls of scripts");
    let number = |name: &str| -> u64 {
        let mut fields = scripts.split(',');
        let number = fields.find_map(|field| field.strip_prefix(name));
        number.expect(name).parse().expect("a number")
    };
    let calls = number("calls=");
    (calls, number("usec=") / calls)
}

pub(crate) async fn sign_ins_that_broke_off_hold_nobody_up_and_are_tidied_up() {
    const MANY: usize = 100_000;
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let user = owner("user");
    let an_hour_ago = now().as_unix_millis() - 3_600_000;
    let given_up = (0..MANY).map(|number| {
        let id = SessionId::generate(now()).to_string();
        (id, format!("0:sign_in:{an_hour_ago}:{number}"))
    });
    fill(&server, &index(&user), given_up);
    let entries = || -> usize { server.ask(&["HLEN", &index(&user)]) };

    const SIGN_INS: usize = 20;
    for _ in 0..SIGN_INS {
        let session = Session::signed_in(&store, &user).await;
        session.apply(sign_in(&user)).await.expect("apply");
        assert!(is_applied(&session, touch(), due()).await);
    }
    let (_, micros) = script_calls(&server);
    assert!(micros < 5_000, "{micros} us a call");
    // Each sign-in of a new session looks at some entries.
    let tidied = MANY + SIGN_INS - entries();
    assert!((4 * SIGN_INS..=16 * SIGN_INS).contains(&tidied), "{tidied}");

    let listed = store.list(&user, now()).await.expect("list");
    assert_eq!(listed.len(), SIGN_INS);
    let (calls, micros) = script_calls(&server);
    assert!(calls > 1_000 && micros < 5_000, "{calls} of {micros} us");
    assert_eq!(entries(), SIGN_INS);
}

pub(crate) async fn many_sessions_are_listed_and_revoked_in_pages() {
    const MANY: usize = 10_000;
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let user = owner("user");
    let kept = Session::signed_in(&store, &user).await;
    copy(&server, &user, &kept, MANY - 1);

    let listed = store.list(&user, now()).await.expect("list");
    assert_eq!(listed.len(), MANY);
    assert!(listed.iter().any(|session| session.id == kept.id));
    assert_eq!(revoke_but(&store, &user, &kept).await, MANY as u64 - 1);
    let (calls, micros) = script_calls(&server);
    assert!(calls > 100 && micros < 5_000, "{calls} of {micros} us");
    let keys: i64 = server.ask(&["DBSIZE"]);
    assert_eq!(keys, 2, "the session that is kept, and the index");
    assert_eq!(store.list(&user, now()).await.expect("list").len(), 1);
    assert_eq!(entries(&server, &user).len(), 3);
}

pub(crate) async fn some_sessions_cost_as_much_whatever_their_number() {
    const MOST: usize = 164;
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let user = owner("user");
    let first = Session::signed_in(&store, &user).await;
    for more in [MOST, 10_000] {
        copy(&server, &user, &first, more);
        let mut monitor = Monitor::start(&server);
        let some = store.list_up_to(&user, MOST, now()).await;
        assert_eq!(some.expect("list_up_to").len(), MOST);
        let commands = monitor.commands();
        // The last page has some more.
        assert!(commands.len() < 2 * MOST, "{} commands", commands.len());
    }
}
