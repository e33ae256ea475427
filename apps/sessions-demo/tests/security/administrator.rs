//! 7.4.2, 7.4.3, 7.4.5: sessions are ended by somebody who is not their holder, in another process
//! than the one that serves them.

use test_support::Scratch;
use tower_kr_session::{Owner, SessionId, SessionLayer, Sessions};
use tower_kr_session_sqlx::SqliteStore;

use crate::client::{Site, Visitor};

/// A server on a file, and an administrator's hand on the same file.
fn site() -> (Site, Sessions, Scratch) {
    let dir = Scratch::new();
    let url = format!("sqlite://{}/sessions.db", dir.path().display());
    let site = Site::start(&["--store", &url, "--idle-timeout", "10m"]);
    let store = block_on(SqliteStore::connect(&url)).unwrap();
    (site, SessionLayer::new(store).sessions().unwrap(), dir)
}

fn block_on<F: Future>(future: F) -> F::Output {
    // The store's connections live in it.
    static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
        std::sync::LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
    RUNTIME.block_on(future)
}

fn signed_in(site: &Site, user: &str) -> Visitor {
    let mut visitor = site.visitor();
    visitor.get(&format!("/session/login?user={user}"));
    assert_eq!(visitor.user().as_deref(), Some(user));
    visitor
}

/// The visitor's session, as their page shows it: sign-ins of one moment have no order in a list.
fn session_id(visitor: &mut Visitor) -> SessionId {
    let page = visitor.get("/");
    let (_, id) = page.text().split_once("data-session=\"").unwrap();
    id.split('"').next().unwrap().parse().unwrap()
}

#[test]
fn all_sessions_of_a_user_end_at_once_and_nobody_elses() {
    let (site, sessions, _dir) = site();
    let mut max = [(); 3].map(|()| signed_in(&site, "max"));
    let mut eve = signed_in(&site, "eve");
    let mut nobody = site.visitor();
    nobody.get("/session/counter");
    let user = Owner::new("max").unwrap();
    assert_eq!(block_on(sessions.revoke_all(&user)).unwrap(), 3);
    for max in &mut max {
        assert_eq!(max.user(), None);
        assert!(max.get("/").text().contains("Over"));
    }
    assert_eq!(eve.user().unwrap(), "eve");
    assert!(
        nobody
            .get("/session/counter")
            .text()
            .contains("\"counter\":2")
    );
    assert!(block_on(sessions.list(&user)).unwrap().is_empty());
}

#[test]
fn one_session_is_ended_by_its_id_alone() {
    let (site, sessions, _dir) = site();
    let mut first = signed_in(&site, "max");
    let mut second = signed_in(&site, "max");
    let user = Owner::new("max").unwrap();
    assert_eq!(block_on(sessions.list(&user)).unwrap().len(), 2);
    assert!(block_on(sessions.revoke_as_admin(session_id(&mut first))).unwrap());
    assert_eq!(
        (first.user(), second.user().as_deref()),
        (None, Some("max"))
    );
    assert_eq!(block_on(sessions.list(&user)).unwrap().len(), 1);
}

/// After a changed password: the session in which it was changed goes on, all others end.
#[test]
fn all_sessions_but_one_end_when_a_credential_changes() {
    let (site, sessions, _dir) = site();
    let mut others = [(); 2].map(|()| signed_in(&site, "max"));
    let mut this = signed_in(&site, "max");
    let user = Owner::new("max").unwrap();
    let kept = session_id(&mut this);
    assert_eq!(block_on(sessions.revoke_others(&user, kept)).unwrap(), 2);
    assert_eq!(this.user().unwrap(), "max");
    for other in &mut others {
        assert_eq!(other.user(), None);
    }
}
