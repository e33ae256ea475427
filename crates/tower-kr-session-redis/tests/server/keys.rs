//! What lies in Redis, and what is made of it if it isn't what it should be.

use std::{collections::BTreeMap, time::Duration};

use tower_kr_session::{
    SessionStore, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Instants, Record, RemoveOutcome, SecretHash},
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

/// Every key with everything in it.
fn dump(server: &Server) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    keys.into_iter()
        .map(|key| (key.clone(), server.ask(&["HGETALL", &key])))
        .collect()
}

fn number(time: Timestamp) -> [u8; 8] {
    (time.as_unix_millis() as f64).to_le_bytes()
}

/// The field `life` of a record of the usual limits.
fn life(
    idle_deadline: Timestamp,
    absolute_deadline: Timestamp,
    size: u8,
    kept: Timestamp,
) -> Vec<u8> {
    let limits = [1_200_000.0, 60_000.0, 43_200_000.0_f64].map(f64::to_le_bytes);
    let size = f64::from(size).to_le_bytes();
    let mut life = limits.concat();
    life.extend(
        [
            number(idle_deadline),
            number(absolute_deadline),
            size,
            number(kept),
        ]
        .concat(),
    );
    life.push(0);
    life
}

/// Only the hash of the secret is there: the store is never told more. What is there is listed, so
/// that nothing slips in.
pub(crate) async fn a_session_is_what_the_guide_says_and_holds_no_secret() {
    let (server, store) = server_and_store().await;
    let user = owner("max");
    let session = Session::create(&store).await;
    let kept = session.load().await.expect("the session").idle_deadline;
    let kept = kept.saturating_add(Duration::from_secs(60));
    let mut delta = sign_in(&user);
    let new = secret();
    delta.rotate = Some(new);
    delta.change(key("empty"), Some(Vec::new().into()));
    let done = session.apply(delta).await.expect("apply");
    assert!(matches!(done, ApplyOutcome::Applied(_)));
    let record = session.load().await.expect("the session");

    let dump = dump(&server);
    let index = format!("kr:owner:{user}");
    assert_eq!(dump.keys().collect::<Vec<_>>(), [&index, &session.key()]);
    let mut head = [&[3], &new.as_bytes()[..]].concat();
    head.extend(number(record.created_at));
    head.extend(number(record.authenticated_at.expect("a time")));
    // When the index was asked: at the sign-in.
    head.extend(number(record.retired.as_ref().expect("retired").at));
    let retired_at = number(record.retired.expect("retired").at);
    let expected = [
        ("head", head),
        (
            "life",
            life(record.idle_deadline, record.absolute_deadline, 16, kept),
        ),
        ("owner", user.as_str().as_bytes().to_vec()),
        (
            "retired",
            [&session.secret.as_bytes()[..], &retired_at].concat(),
        ),
        ("v:color", b"purple".to_vec()),
        ("v:empty", Vec::new()),
    ];
    let expected = expected.map(|(field, value)| (field.to_owned(), value));
    assert_eq!(dump[&session.key()], expected.into_iter().collect());
    let until = format!("0:until:{}", record.absolute_deadline.as_unix_millis());
    let expected = [(session.id.to_string(), until.into_bytes())];
    assert_eq!(dump[&index], expected.into_iter().collect());
}

pub(crate) async fn each_byte_of_the_secret_counts() {
    let (_server, store) = server_and_store().await;
    let session = Session::create(&store).await;
    let retired = session.secret;
    let mut rotation = set("a", "1");
    rotation.rotate = Some(secret());
    let session = Session {
        secret: rotation.rotate.expect("a secret"),
        ..session
    };
    let old = Session {
        secret: retired,
        ..session.clone()
    };
    let done = old.apply(rotation).await.expect("apply");
    assert!(matches!(done, ApplyOutcome::Applied(_)), "{done:?}");
    let before = session.load().await;
    for place in 0..32 {
        for right in [session.secret, retired] {
            let mut wrong = *right.as_bytes();
            wrong[place] ^= 1;
            let stranger = Session {
                secret: SecretHash::from_bytes(wrong),
                ..session.clone()
            };
            let done = stranger.apply(increment()).await.expect("apply");
            assert_eq!(done, ApplyOutcome::Missing, "{place}");
            let at = Instants::at(now());
            let removed = store.remove(session.id, Some(&stranger.secret), at).await;
            assert_eq!(removed.expect("remove"), RemoveOutcome::Missing, "{place}");
        }
    }
    assert_eq!(session.load().await, before);
    assert_eq!(session.increment().await.expect("increment"), 1);
}

/// The holder of a token that was rotated away is told so only while the session lives.
pub(crate) async fn a_retired_secret_of_an_expired_session_is_missing() {
    let (_server, store) = server_and_store().await;
    let (session, mut record) = Session::prepare(&store);
    record.idle.timeout = Duration::from_secs(1);
    record.idle.touch_interval = Duration::ZERO;
    let created = store.create(session.id, record, now()).await;
    assert_eq!(created.expect("create"), CreateOutcome::Created);
    let mut rotation = set("a", "1");
    rotation.rotate = Some(secret());
    let done = session.apply(rotation).await.expect("apply");
    assert!(matches!(done, ApplyOutcome::Applied(_)), "{done:?}");
    let done = session.apply(increment()).await.expect("apply");
    assert_eq!(done, ApplyOutcome::Superseded);
    let at = Instants::at(now().saturating_add(Duration::from_secs(30)));
    let done = session.apply_at(increment(), at.now).await.expect("apply");
    assert_eq!(done, ApplyOutcome::Missing);
    let removed = store.remove(session.id, Some(&session.secret), at).await;
    assert_eq!(removed.expect("remove"), RemoveOutcome::Missing);
}

/// Nothing can be had from the session, and nothing changes it.
async fn is_missing(session: &Session, damage: &str) {
    assert_eq!(session.load().await, None, "{damage}");
    for delta in [set("a", "1"), increment(), set("color", "red")] {
        let done = session.apply(delta).await.expect("apply");
        assert_eq!(done, ApplyOutcome::Missing, "{damage}");
    }
    for secret in [Some(&session.secret), None] {
        let at = Instants::at(now());
        let removed = session.store.remove(session.id, secret, at).await;
        assert_eq!(removed.expect("remove"), RemoveOutcome::Missing, "{damage}");
    }
}

pub(crate) async fn corrupt_records_are_missing_and_kept() {
    let (server, store) = server_and_store().await;
    let number = |number: f64| number.to_le_bytes().to_vec();
    // Where in the field it is put, and what; an end that is cut off otherwise.
    let mut damages: Vec<(&str, usize, Vec<u8>)> = Vec::new();
    for at in [0, 1, 40] {
        damages.push(("head", at, Vec::new()));
    }
    damages.push(("head", 41, b"too long".to_vec()));
    damages.push(("life", 0, Vec::new()));
    damages.push(("life", 56, Vec::new()));
    damages.push(("life", 56, vec![2]));
    damages.push(("life", 57, vec![0]));
    for field in 0..7 {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e19, -1e19] {
            damages.push(("life", 8 * field, number(bad)));
        }
    }
    for duration in [0, 1, 2, 5] {
        damages.push(("life", 8 * duration, number(-1.0)));
    }
    for (field, at, damage) in damages {
        let session = Session::create(&store).await;
        let mut bytes: Vec<u8> = server.ask(&["HGET", &session.key(), field]);
        let end = bytes.len().min(at + damage.len());
        bytes.splice(at..end, damage.iter().copied());
        if damage.is_empty() {
            bytes.truncate(at);
        }
        set_field(&server, &session, field, &bytes);
        let before = dump(&server);
        let what = format!("{damage:?} at {at} of {field}");
        is_missing(&session, &what).await;
        assert_eq!(dump(&server), before, "{what}");
    }
    for field in ["head", "life"] {
        let session = Session::create(&store).await;
        let _: i64 = server.ask(&["HDEL", &session.key(), field]);
        is_missing(&session, &format!("no {field}")).await;
    }
    // What was never a session is missing too.
    let session = Session::create(&store).await;
    let _: i64 = server.ask(&["DEL", &session.key()]);
    let _: i64 = server.ask(&["HSET", &session.key(), "a", "1"]);
    is_missing(&session, "a foreign hash").await;
    // What only some calls look at.
    for field in ["retired", "owner"] {
        let session = Session::create(&store).await;
        set_field(&server, &session, field, b"\xff");
        assert_eq!(session.load().await, None, "{field}");
        let stranger = store
            .apply(session.id, &secret(), &increment(), Instants::at(now()))
            .await;
        assert_eq!(stranger.expect("apply"), ApplyOutcome::Missing, "{field}");
    }
}

fn set_field(server: &Server, session: &Session, field: &str, bytes: &[u8]) {
    let mut command = redis::cmd("HSET");
    command.arg(session.key()).arg(field).arg(bytes);
    command.exec(&mut server.admin()).expect("HSET");
}

pub(crate) async fn records_of_a_later_release_are_errors_and_kept() {
    let (server, store) = server_and_store().await;
    let user = owner("max");
    let session = Session::create(&store).await;
    session.apply(sign_in(&user)).await.expect("apply");
    set_field(&server, &session, "head", b"\x04in another way");
    let before = dump(&server);
    let version = |error| matches!(error, StoreError::UnknownVersion { version: 4 });
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
    assert_eq!(created.expect("create"), CreateOutcome::Exists);
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
    let grace = tower_kr_session::store::RECLAIM_GRACE;
    let leeway = Duration::from_secs(60);
    let expected = (IDLE.timeout + IDLE.touch_interval + grace + leeway).as_millis();
    let left = || {
        let left: i64 = server.ask(&["PTTL", &session.key()]);
        u128::try_from(left).expect("a time to live")
    };
    let is_whole = |left: u128| left <= expected && left + 10_000 > expected;
    assert!(is_whole(left()), "{}", left());
    let write = async |at: Timestamp| {
        let secret = &session.secret;
        let delta = set("a", "1");
        let done = store.apply(session.id, secret, &delta, Instants::at(at));
        let done = done.await;
        assert!(matches!(done, Ok(ApplyOutcome::Applied(_))), "{done:?}");
    };
    // Within the leeway a write leaves it as it is, and the deadline is before it all the same.
    let start = now();
    let shortened = || {
        let _: i64 = server.ask(&["PEXPIRE", &session.key(), "100000"]);
    };
    shortened();
    write(start.saturating_add(leeway / 2)).await;
    assert!(left() <= 100_000, "{}", left());
    write(start.saturating_add(leeway * 2)).await;
    assert!(is_whole(left()), "a later write starts it anew: {}", left());
    shortened();
    write(start).await;
    assert!(is_whole(left()), "an earlier one too: {}", left());
    // A clock that is a year behind changes nothing: the time is counted from the request, not from
    // an epoch.
    write(now().saturating_sub(Duration::from_secs(365 * 24 * 3_600))).await;
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
    assert_eq!(created.expect("create"), CreateOutcome::Created);
    let mut delta = increment();
    delta.limits.persistent = Some(true);
    delta.limits.absolute_timeout = Some(Duration::MAX);
    match session.apply(delta).await.expect("apply") {
        ApplyOutcome::Applied(receipt) => {
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

/// More than Lua can pass at once.
pub(crate) async fn a_delta_may_be_about_thousands_of_values() {
    const MANY: usize = 2_500;
    let (_server, store) = server_and_store().await;
    let session = Session::create(&store).await;
    let delta = |value: Option<&'static [u8]>, but: usize| {
        let mut delta = increment();
        for number in (0..MANY).filter(|number| *number != but) {
            delta.change(key(&format!("{number}")), value.map(Into::into));
        }
        delta
    };
    let count = async || session.load().await.expect("alive").values.len();
    for (delta, expected) in [
        (delta(Some(b"first"), MANY), MANY + 2),
        (delta(Some(b"again"), MANY), MANY + 2),
        (delta(None, 7), 3),
    ] {
        let done = session.apply(delta).await.expect("apply");
        assert!(matches!(done, ApplyOutcome::Applied(_)), "{done:?}");
        assert_eq!(count().await, expected);
    }
    let values = session.load().await.expect("alive").values;
    let stored = ["7", "color", "n"].map(|key| values.get(key).expect(key));
    assert_eq!(stored, [&b"again"[..], b"purple", b"3"]);

    let mut anew = delta(Some(b"new"), MANY);
    anew.clear = true;
    anew.max_bytes = 0;
    let size = (0..MANY)
        .map(|number| number.to_string().len() + 3)
        .sum::<usize>()
        + 2;
    let too_large = ApplyOutcome::TooLarge { size: size as u64 };
    assert_eq!(session.apply(anew.clone()).await.expect("apply"), too_large);
    assert_eq!(session.count().await, 3, "and nothing is done");
    anew.max_bytes = size as u64;
    let done = session.apply(anew).await.expect("apply");
    assert!(matches!(done, ApplyOutcome::Applied(_)), "{done:?}");
    assert_eq!(count().await, MANY + 1);
    assert_eq!(session.count().await, 1);
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
    assert!(matches!(done, ApplyOutcome::Applied(_)), "{done:?}");
    assert!(left() > 9 * absolute, "{}", left());

    let at = Instants::at(now());
    let removed = store.remove(session.id, Some(&session.secret), at).await;
    assert_eq!(removed.expect("remove"), RemoveOutcome::Removed);
    assert_eq!(left(), -2, "the last logout takes the index along");

    // A revocation is remembered for longer than any cookie lives.
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
    assert_eq!(fields, ["revocations", "not_before"]);
    let remembered = 400 * 24 * 3_600_000;
    let is_remembered = || (remembered - 10_000..=remembered + 300_000).contains(&left());
    assert!(is_remembered(), "{}", left());
    Session::signed_in(&store, &user).await;
    assert!(is_remembered(), "{}", left());
}
