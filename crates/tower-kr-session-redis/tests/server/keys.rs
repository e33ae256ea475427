//! What lies in Redis, and what is made of it if it isn't what it should be.

use std::{collections::BTreeMap, time::Duration};

use tower_kr_session::{
    Applied, Created, Instants, Record, Removed, SessionStore, StoreError, Timestamp,
};
use tower_kr_session_redis::RedisStore;

use crate::support::{
    Server,
    session::{IDLE, Session, increment, key, now, owner, secret, set, sign_in},
};

async fn server_and_store() -> (Server, RedisStore) {
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    (server, store)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every key with everything in it.
fn dump(server: &Server) -> BTreeMap<String, BTreeMap<String, String>> {
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    keys.into_iter()
        .map(|key| (key.clone(), server.ask(&["HGETALL", &key])))
        .collect()
}

/// Only the hash of the secret is there: the store is never told more. What is there is listed, so that nothing slips in.
pub(crate) async fn a_session_is_readable_and_holds_no_secret() {
    let (server, store) = server_and_store().await;
    let user = owner("max");
    let session = Session::create(&store).await;
    let mut delta = sign_in(&user);
    let new = secret();
    delta.rotate = Some(new);
    delta.change(key("empty"), Some(Vec::new().into()));
    let done = session.apply(delta).await.expect("apply");
    assert!(matches!(done, Applied::Applied(_)));
    let record = session.load().await.expect("the session");

    let dump = dump(&server);
    let index = format!("kr:owner:{user}");
    assert_eq!(dump.keys().collect::<Vec<_>>(), [&index, &session.key()]);
    let millis = |time: Timestamp| time.as_unix_millis().to_string();
    let expected = [
        ("version", "1".to_owned()),
        ("secret", hex(new.as_bytes())),
        ("retired", hex(session.secret.as_bytes())),
        ("retired_at", millis(record.retired.expect("retired").at)),
        ("owner", user.to_string()),
        ("created_at", millis(record.created_at)),
        (
            "authenticated_at",
            millis(record.authenticated_at.expect("a time")),
        ),
        ("idle_timeout", "1200000".to_owned()),
        ("touch_interval", "60000".to_owned()),
        ("absolute_timeout", "43200000".to_owned()),
        ("idle_deadline", millis(record.idle_deadline)),
        ("absolute_deadline", millis(record.absolute_deadline)),
        ("size", "16".to_owned()),
        ("v:color", "purple".to_owned()),
        ("v:empty", String::new()),
    ];
    let expected = expected.map(|(field, value)| (field.to_owned(), value));
    assert_eq!(dump[&session.key()], expected.into_iter().collect());
    let until = format!("until:{}", millis(record.absolute_deadline));
    let expected = [(session.id.to_string(), until)];
    assert_eq!(dump[&index], expected.into_iter().collect());
}

/// Nothing can be had from the session, and nothing changes it.
async fn is_missing(session: &Session, damage: &str) {
    assert_eq!(session.load().await, None, "{damage}");
    for delta in [set("a", "1"), increment(), set("color", "red")] {
        let done = session.apply(delta).await.expect("apply");
        assert_eq!(done, Applied::Missing, "{damage}");
    }
    for secret in [Some(&session.secret), None] {
        let at = Instants::at(now());
        let removed = session.store.remove(session.id, secret, at).await;
        assert_eq!(removed.expect("remove"), Removed::Missing, "{damage}");
    }
}

pub(crate) async fn corrupt_records_are_missing_and_kept() {
    let (server, store) = server_and_store().await;
    let damages = [
        ("version", "x"),
        ("version", ""),
        ("version", "-1"),
        ("version", "256"),
        ("secret", "zz"),
        ("secret", ""),
        ("retired", "abc"),
        ("retired_at", "5"),
        ("created_at", "yesterday"),
        ("created_at", "01"),
        ("authenticated_at", "1.5"),
        ("idle_timeout", "-1"),
        ("touch_interval", ""),
        ("absolute_timeout", "9223372036854775808"),
        ("persistent", "yes"),
        ("idle_deadline", "1e99"),
        ("absolute_deadline", " 1"),
        ("size", "-5"),
        ("size", "nan"),
    ];
    for (field, value) in damages {
        let session = Session::create(&store).await;
        let _: i64 = server.ask(&["HSET", &session.key(), field, value]);
        let before = dump(&server);
        is_missing(&session, &format!("{field} = {value:?}")).await;
        assert_eq!(dump(&server), before, "{field} = {value:?}");
    }
    for field in [
        "version",
        "secret",
        "created_at",
        "idle_timeout",
        "touch_interval",
        "absolute_timeout",
        "idle_deadline",
        "absolute_deadline",
        "size",
    ] {
        let session = Session::create(&store).await;
        let _: i64 = server.ask(&["HDEL", &session.key(), field]);
        is_missing(&session, &format!("no {field}")).await;
    }
    // What was never a session is missing too.
    let session = Session::create(&store).await;
    let _: i64 = server.ask(&["DEL", &session.key()]);
    let _: i64 = server.ask(&["HSET", &session.key(), "a", "1"]);
    is_missing(&session, "a foreign hash").await;
}

pub(crate) async fn records_of_a_later_release_are_errors_and_kept() {
    let (server, store) = server_and_store().await;
    let user = owner("max");
    let session = Session::create(&store).await;
    session.apply(sign_in(&user)).await.expect("apply");
    let _: i64 = server.ask(&[
        "HSET",
        &session.key(),
        "version",
        "2",
        "secret",
        "in another way",
    ]);
    let before = dump(&server);
    let version = |error| matches!(error, StoreError::UnknownVersion { version: 2 });
    assert!(session.try_load().await.is_err_and(version));
    assert!(session.apply(increment()).await.is_err_and(version));
    for secret in [Some(&session.secret), None] {
        let removed = store.remove(session.id, secret, Instants::at(now())).await;
        assert!(removed.is_err_and(version));
    }
    assert!(store.list(&user, now()).await.is_err_and(version));
    assert_eq!(dump(&server), before);
    // The others go, and the caller learns that one didn't.
    let other = Session::create(&store).await;
    other.apply(sign_in(&user)).await.expect("apply");
    assert!(
        store
            .remove_owned(&user, None, now())
            .await
            .is_err_and(version)
    );
    assert_eq!(other.load().await, None);
    assert_eq!(dump(&server)[&session.key()], before[&session.key()]);
}

pub(crate) async fn a_key_of_another_type_is_missing_and_kept() {
    let (server, store) = server_and_store().await;
    let user = owner("max");
    let (session, record) = Session::prepare(&store);
    let other = Session::create(&store).await;
    other.apply(sign_in(&user)).await.expect("apply");
    for session in [&session, &other] {
        let _: String = server.ask(&["SET", &session.key(), "something else"]);
        is_missing(session, "a string").await;
        let value: String = server.ask(&["GET", &session.key()]);
        assert_eq!(value, "something else");
    }
    let created = store.create(session.id, record, now()).await;
    assert_eq!(created.expect("create"), Created::Exists);
    assert_eq!(store.list(&user, now()).await.expect("list"), []);
    assert_eq!(
        store
            .remove_owned(&user, None, now())
            .await
            .expect("remove"),
        0
    );
}

pub(crate) async fn redis_forgets_a_session_after_its_deadline_and_a_grace() {
    let (server, store) = server_and_store().await;
    let session = Session::create(&store).await;
    let grace = tower_kr_session::RECLAIM_GRACE;
    let expected = (IDLE.timeout + IDLE.touch_interval + grace).as_millis();
    let left = || {
        let left: i64 = server.ask(&["PTTL", &session.key()]);
        u128::try_from(left).expect("a time to live")
    };
    let is_whole = |left: u128| left <= expected && left + 10_000 > expected;
    assert!(is_whole(left()), "{}", left());
    let _: i64 = server.ask(&["PEXPIRE", &session.key(), "1000"]);
    session.apply(set("a", "1")).await.expect("apply");
    assert!(is_whole(left()), "each write starts it anew: {}", left());
    // A clock that is a year behind changes nothing: the time is counted from the request, not from an epoch.
    let year_back = now().saturating_sub(Duration::from_secs(365 * 24 * 3_600));
    let at = Instants::at(year_back);
    let done = store
        .apply(session.id, &session.secret, set("a", "2"), at)
        .await;
    assert!(matches!(done, Ok(Applied::Applied(_))), "{done:?}");
    assert!(is_whole(left()), "{}", left());
}

pub(crate) async fn limits_without_an_end_are_kept() {
    let (server, store) = server_and_store().await;
    let user = owner("forever");
    let (session, _) = Session::prepare(&store);
    let mut record = Record::new(session.secret, now(), IDLE, Duration::MAX);
    record.idle.timeout = Duration::MAX;
    record.idle_deadline = Timestamp::from_unix_millis(i64::MAX);
    record.owner = Some(user.clone());
    record.authenticated_at = Some(now());
    let created = store.create(session.id, record, now()).await;
    assert_eq!(created.expect("create"), Created::Created);
    let mut delta = increment();
    delta.limits.persistent = Some(true);
    delta.limits.absolute_timeout = Some(Duration::MAX);
    match session.apply(delta).await.expect("apply") {
        Applied::Applied(receipt) => {
            assert_eq!(receipt.idle_deadline.as_unix_millis(), i64::MAX);
            assert_eq!(receipt.absolute_deadline.as_unix_millis(), i64::MAX);
        }
        refused => panic!("{refused:?}"),
    }
    assert_eq!(
        session
            .load()
            .await
            .expect("alive")
            .absolute_deadline
            .as_unix_millis(),
        i64::MAX
    );
    let left: i64 = server.ask(&["PTTL", &session.key()]);
    assert!(left > 1_000_000_000_000, "{left}");
    assert_eq!(store.list(&user, now()).await.expect("list").len(), 1);
}

pub(crate) async fn an_owners_index_goes_with_its_sessions() {
    let (server, store) = server_and_store().await;
    let user = owner("max");
    let index = format!("kr:owner:{user}");
    let left = || -> i64 { server.ask(&["PTTL", &index]) };
    let session = Session::create(&store).await;
    session.apply(sign_in(&user)).await.expect("apply");
    let absolute = i64::try_from(crate::support::session::ABSOLUTE.as_millis()).expect("millis");
    assert!(
        (absolute..=absolute + 300_000).contains(&left()),
        "{}",
        left()
    );

    // Remember me: the index outlives the new deadline too.
    let mut longer = set("a", "1");
    longer.limits.absolute_timeout = Some(Duration::from_millis(10 * absolute as u64));
    let done = session.apply(longer).await.expect("apply");
    assert!(matches!(done, Applied::Applied(_)), "{done:?}");
    assert!(left() > 9 * absolute, "{}", left());

    let at = Instants::at(now());
    let removed = store.remove(session.id, Some(&session.secret), at).await;
    assert_eq!(removed.expect("remove"), Removed::Removed);
    assert_eq!(left(), -2, "the last logout takes the index along");

    // A revocation is remembered for a day.
    let session = Session::create(&store).await;
    session.apply(sign_in(&user)).await.expect("apply");
    assert_eq!(
        store
            .remove_owned(&user, None, now())
            .await
            .expect("remove"),
        1
    );
    let fields: Vec<String> = server.ask(&["HKEYS", &index]);
    assert_eq!(fields, ["not_before"]);
    let day = 24 * 3_600_000;
    assert!(
        (day - 10_000..=day + 300_000).contains(&left()),
        "{}",
        left()
    );
}
