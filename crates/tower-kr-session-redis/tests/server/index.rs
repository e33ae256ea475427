//! The index of an owner's sessions: who may write to it, what is made of what it lost, and what it
//! costs.

use std::{collections::BTreeMap, time::Duration};

use tower_kr_session::{
    Owner, SessionId, SessionStore, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Record, SignIn},
};
use tower_kr_session_redis::RedisStore;

use crate::support::{
    Fate, Monitor, Server, Stage,
    session::{ABSOLUTE, IDLE, Session, increment, later, now, owner, secret, set, sign_in, touch},
};

/// More steps than a sign-in has.
const STEPS: usize = 5;

/// A moment in which a signed-in session is looked up in the index.
pub(super) fn due() -> Timestamp {
    later(IDLE.touch_interval)
}

pub(super) fn index(user: &Owner) -> String {
    format!("kr:owner:{user}")
}

/// What the index says of each session.
pub(super) fn entries(server: &Server, user: &Owner) -> BTreeMap<String, String> {
    server.ask(&["HGETALL", &index(user)])
}

fn lose_index(server: &Server, user: &Owner) {
    let lost: i64 = server.ask(&["DEL", &index(user)]);
    assert_eq!(lost, 1);
}

pub(super) async fn revoke_but(store: &RedisStore, user: &Owner, spared: &Session) -> u64 {
    let removed = store.remove_owned(user, Some(spared.id), now()).await;
    removed.expect("remove_owned")
}

pub(super) async fn is_applied(session: &Session, delta: Delta, at: Timestamp) -> bool {
    match session.apply_at(delta, at).await.expect("apply") {
        ApplyOutcome::Applied(_) => true,
        ApplyOutcome::Missing => false,
        other => panic!("{other:?}"),
    }
}

fn record_of(user: &Owner) -> Record {
    let mut record = Record::new(secret(), now(), IDLE, ABSOLUTE);
    record.owner = Some(user.clone());
    record.authenticated_at = Some(now());
    record
}

pub(crate) async fn nobody_without_the_secret_leaves_a_trace_or_ends_a_session() {
    let stage = Stage::new().await;
    for fate in [Fate::CutBefore, Fate::CutAfter, Fate::Pass] {
        for step in 0..STEPS {
            let mallory = owner("mallory");
            let victim = Session::create(&stage.direct).await;
            let (_proxy, store) = stage.faulty(step, fate).await;
            let attacker = Session {
                secret: secret(),
                ..victim.through(&store)
            };
            let done = attacker.apply(sign_in(&mallory)).await;
            assert!(!matches!(done, Ok(ApplyOutcome::Applied(_))), "{done:?}");
            assert!(
                entries(&stage.server, &mallory).is_empty(),
                "{fate:?} {step}"
            );
            assert_eq!(stage.revoke(&mallory).await, 0, "{fate:?} {step}");
            assert!(victim.load().await.is_some(), "{fate:?} {step}");
        }
    }
}

pub(crate) async fn a_creation_with_a_taken_id_ends_nobody() {
    let stage = Stage::new().await;
    for fate in [Fate::CutBefore, Fate::CutAfter, Fate::Pass] {
        for step in 0..STEPS {
            let mallory = owner("mallory");
            let victim = Session::create(&stage.direct).await;
            let (_proxy, store) = stage.faulty(step, fate).await;
            let created = store.create(victim.id, record_of(&mallory), now()).await;
            assert_ne!(created.ok(), Some(CreateOutcome::Created));
            if fate == Fate::Pass {
                assert!(entries(&stage.server, &mallory).is_empty());
            }
            assert_eq!(stage.revoke(&mallory).await, 0, "{fate:?} {step}");
            assert_eq!(stage.listed(&mallory).await, 0, "{fate:?} {step}");
            assert!(victim.load().await.is_some(), "{fate:?} {step}");
        }
    }
}

pub(crate) async fn a_stranger_who_is_spared_once_is_not_ended_the_next_time() {
    let stage = Stage::new().await;
    let (mallory, user) = (owner("mallory"), owner("user"));
    let victims = [
        Session::create(&stage.direct).await,
        Session::signed_in(&stage.direct, &user).await,
    ];
    for victim in &victims {
        assert_eq!(revoke_but(&stage.direct, &mallory, victim).await, 0);
        assert_eq!(stage.listed(&mallory).await, 0);
        assert_eq!(revoke_but(&stage.direct, &mallory, victim).await, 0);
        assert_eq!(stage.revoke(&mallory).await, 0);
        assert!(victim.load().await.is_some());
    }
    assert_eq!(stage.listed(&user).await, 1);
}

pub(crate) async fn a_sign_in_that_broke_off_costs_its_session_nothing_a_minute_later() {
    let stage = Stage::new().await;
    let user = owner("user");
    let session = Session::create(&stage.direct).await;
    let (_proxy, store) = stage.faulty(1, Fate::CutAfter).await;
    let broken_off = session.through(&store).apply(sign_in(&user)).await;
    broken_off.expect_err("a broken connection");
    assert_eq!(entries(&stage.server, &user).len(), 1);
    let left: i64 = stage.server.ask(&["PTTL", &index(&user)]);
    assert!(left > 0, "it doesn't stay for ever");
    let at = later(Duration::from_secs(61));
    let removed = stage.direct.remove_owned(&user, None, at).await;
    assert_eq!(removed.expect("remove_owned"), 0);
    assert!(session.load().await.is_some(), "it has no owner yet");
    assert_eq!(entries(&stage.server, &user).len(), 2, "the revocation");
}

pub(crate) async fn what_the_index_lost_is_revoked_at_the_next_touch() {
    let stage = Stage::new().await;
    let user = owner("user");
    for delta in [touch(), increment(), set("a", "1")] {
        let lost = Session::signed_in(&stage.direct, &user).await;
        let kept = Session::signed_in(&stage.direct, &user).await;
        lose_index(&stage.server, &user);
        // Nobody knows of it, so that is what a revocation says, also a repeated one.
        assert_eq!(revoke_but(&stage.direct, &user, &kept).await, 0);
        assert_eq!(revoke_but(&stage.direct, &user, &kept).await, 0);
        assert!(stage.lives(&lost, &user).await);
        assert!(!is_applied(&lost, delta.clone(), due()).await);
        assert!(!stage.lives(&lost, &user).await, "for good");
        assert!(is_applied(&kept, delta, due()).await);
        assert_eq!(stage.listed(&user).await, 1);
        assert_eq!(stage.revoke(&user).await, 1);
        assert!(!stage.lives(&kept, &user).await);
    }
}

pub(crate) async fn what_the_index_lost_is_back_at_the_next_touch() {
    let stage = Stage::new().await;
    let user = owner("user");
    let session = Session::signed_in(&stage.direct, &user).await;
    lose_index(&stage.server, &user);
    assert_eq!(stage.listed(&user).await, 0);
    assert!(is_applied(&session, touch(), due()).await);
    assert_eq!(stage.listed(&user).await, 1);
    let left: i64 = stage.server.ask(&["PTTL", &index(&user)]);
    let absolute = i64::try_from(ABSOLUTE.as_millis()).expect("millis");
    assert!(left > absolute - 120_000, "{left}");
    assert_eq!(stage.revoke(&user).await, 1);
    assert!(!stage.lives(&session, &user).await);

    // An entry that is too short, since its last change was lost, is as good as none.
    let session = Session::signed_in(&stage.direct, &user).await;
    let short = format!("1:until:{}", now().as_unix_millis());
    let id = session.id.to_string();
    let _: i64 = stage.server.ask(&["HSET", &index(&user), &id, &short]);
    assert!(is_applied(&session, touch(), due()).await);
    assert_ne!(entries(&stage.server, &user)[&id], short);

    // The list puts it right too, and the index is kept as long as its sessions may live.
    let other = owner("other");
    let session = Session::signed_in(&stage.direct, &other).await;
    let (index, id) = (index(&other), session.id.to_string());
    let _: i64 = stage.server.ask(&["HSET", &index, &id, "?"]);
    let _: i64 = stage.server.ask(&["PEXPIRE", &index, "100000"]);
    assert_eq!(stage.listed(&other).await, 1);
    assert!(entries(&stage.server, &other)[&id].starts_with("0:until:"));
    let left: i64 = stage.server.ask(&["PTTL", &index]);
    assert!(left > absolute - 120_000, "{left}");
}

/// A user's sign-in after the revocation is a new proof, also if the index loses it.
pub(crate) async fn a_session_from_after_a_revocation_outlives_the_loss_of_its_entry() {
    let stage = Stage::new().await;
    let user = owner("user");
    let before = now().saturating_sub(Duration::from_secs(1));
    let revoked = stage.direct.remove_owned(&user, None, before).await;
    assert_eq!(revoked.expect("remove_owned"), 0);
    let session = Session::signed_in(&stage.direct, &user).await;
    let id = session.id.to_string();
    let _: i64 = stage.server.ask(&["HDEL", &index(&user), &id]);
    assert!(is_applied(&session, touch(), due()).await);
    assert!(entries(&stage.server, &user)[&id].starts_with("1:until:"));
}

pub(crate) async fn a_sign_in_of_the_future_does_not_outlive_a_revocation() {
    let stage = Stage::new().await;
    let user = owner("user");
    let mut of_the_future = Delta::new(u64::MAX);
    let hour = Duration::from_secs(3_600);
    of_the_future.sign_in = Some(SignIn::new(user.clone(), later(hour)));
    let session = Session::create(&stage.direct).await;
    session.apply(of_the_future.clone()).await.expect("apply");
    assert_eq!(stage.revoke(&user).await, 1);
    assert!(session.load().await.is_none());

    // A revocation that broke off ends it too, at the next touch.
    let session = Session::create(&stage.direct).await;
    session.apply(of_the_future).await.expect("apply");
    let (_proxy, store) = stage.faulty(0, Fate::CutAfter).await;
    let broken_off = store.remove_owned(&user, None, now()).await;
    broken_off.expect_err("a broken connection");
    assert!(session.load().await.is_some());
    assert!(!is_applied(&session, touch(), due()).await);
    assert!(session.load().await.is_none());
}

/// The entries that a sign-in meets by chance are as good as met by the list.
pub(crate) async fn a_sign_in_ends_what_a_broken_off_revocation_left() {
    let stage = Stage::new().await;
    let user = owner("user");
    let revoked = Session::signed_in(&stage.direct, &user).await;
    let unreadable = SessionId::generate(now()).to_string();
    let _: i64 = stage.server.ask(&["HSET", &index(&user), &unreadable, "?"]);
    let (_proxy, store) = stage.faulty(0, Fate::CutAfter).await;
    let before = now().saturating_sub(Duration::from_secs(1));
    let broken_off = store.remove_owned(&user, None, before).await;
    broken_off.expect_err("a broken connection");
    let session = Session::signed_in(&stage.direct, &user).await;
    assert!(!stage.lives(&revoked, &user).await);
    assert!(stage.lives(&session, &user).await);
    let entries = entries(&stage.server, &user).into_keys();
    let expected = [
        session.id.to_string(),
        "not_before".into(),
        "revocations".into(),
    ];
    assert_eq!(entries.collect::<Vec<_>>(), expected);
}

pub(crate) async fn who_signs_in_again_must_have_proved_it_after_the_last_revocation() {
    let stage = Stage::new().await;
    let user = owner("user");
    let session = Session::signed_in(&stage.direct, &user).await;
    let late = sign_in(&user);
    assert_eq!(revoke_but(&stage.direct, &user, &session).await, 0);
    let done = session.apply(late).await.expect("apply");
    assert_eq!(done, ApplyOutcome::Revoked);
    assert!(stage.lives(&session, &user).await, "nothing was done");

    // A new proof takes a revocation back that hasn't come to the session yet.
    let (_proxy, store) = stage.faulty(0, Fate::CutAfter).await;
    let revoked_at = now();
    let broken_off = store.remove_owned(&user, None, revoked_at).await;
    broken_off.expect_err("a broken connection");
    while now() == revoked_at {
        tokio::task::yield_now().await;
    }
    assert!(is_applied(&session, sign_in(&user), now()).await);
    assert!(is_applied(&session, touch(), due()).await);
    assert_eq!(stage.listed(&user).await, 1);
}

/// Another sign-in to the same session, after the revocation, doesn't hide an earlier one from it.
pub(crate) async fn an_earlier_sign_in_is_revoked_though_a_later_one_overtakes_it() {
    let stage = Stage::new().await;
    let user = owner("user");
    let session = Session::create(&stage.direct).await;
    let (proxy, store) = stage.faulty(2, Fate::Hold).await;
    let (late, delta) = (session.through(&store), sign_in(&user));
    let signing_in = tokio::spawn(async move { late.apply(delta).await });
    proxy.held().await;
    let (_proxy, broken) = stage.faulty(0, Fate::CutAfter).await;
    let revoked_at = now();
    let broken_off = broken.remove_owned(&user, None, revoked_at).await;
    broken_off.expect_err("a broken connection");
    while now() == revoked_at {
        tokio::task::yield_now().await;
    }
    assert!(is_applied(&session, sign_in(&user), now()).await);
    proxy.release();
    let done = signing_in.await.expect("a task").expect("apply");
    assert_eq!(done, ApplyOutcome::Revoked);
}

/// The number of revocations is lost with the index, so it can be the same again.
pub(crate) async fn a_sign_in_is_revoked_though_the_index_was_lost_meanwhile() {
    let stage = Stage::new().await;
    let user = owner("user");
    let before = now().saturating_sub(Duration::from_secs(1));
    let revoked = stage.direct.remove_owned(&user, None, before).await;
    assert_eq!(revoked.expect("remove_owned"), 0);
    let session = Session::create(&stage.direct).await;
    let (proxy, store) = stage.faulty(3, Fate::Hold).await;
    let (late, delta) = (session.through(&store), sign_in(&user));
    let signing_in = tokio::spawn(async move { late.apply(delta).await });
    proxy.held().await;
    lose_index(&stage.server, &user);
    assert_eq!(stage.revoke(&user).await, 0);
    proxy.release();
    let done = signing_in.await.expect("a task").expect("apply");
    assert_eq!(done, ApplyOutcome::Revoked);
    assert!(!stage.lives(&session, &user).await);
}

pub(crate) async fn new_limits_do_not_take_a_broken_off_revocation_back() {
    let stage = Stage::new().await;
    let user = owner("user");
    let session = Session::signed_in(&stage.direct, &user).await;
    let (_proxy, store) = stage.faulty(0, Fate::CutAfter).await;
    let broken_off = store.remove_owned(&user, None, now()).await;
    broken_off.expect_err("a broken connection");
    let mut longer = touch();
    longer.limits.absolute_timeout = Some(2 * ABSOLUTE);
    assert!(!is_applied(&session, longer, now()).await);
    assert!(!stage.lives(&session, &user).await);
    assert_eq!(stage.listed(&user).await, 0);
}

/// A later revocation that spares a session which an earlier one meant.
pub(crate) async fn a_session_that_was_revoked_is_not_spared_later() {
    let stage = Stage::new().await;
    let user = owner("user");
    let session = Session::signed_in(&stage.direct, &user).await;
    let (_proxy, store) = stage.faulty(0, Fate::CutAfter).await;
    let broken_off = store.remove_owned(&user, None, now()).await;
    broken_off.expect_err("a broken connection");
    revoke_but(&stage.direct, &user, &session).await;
    assert!(!stage.lives(&session, &user).await);
}

pub(crate) async fn a_session_that_is_spared_may_be_signing_in() {
    let stage = Stage::new().await;
    for step in 2..4 {
        let user = owner("user");
        let other = Session::signed_in(&stage.direct, &user).await;
        let session = Session::create(&stage.direct).await;
        let (proxy, store) = stage.faulty(step, Fate::Hold).await;
        let (late, delta) = (session.through(&store), sign_in(&user));
        let signing_in = tokio::spawn(async move { late.apply(delta).await });
        proxy.held().await;
        assert_eq!(revoke_but(&stage.direct, &user, &session).await, 1);
        proxy.release();
        let done = signing_in.await.expect("a task").expect("apply");
        assert!(matches!(done, ApplyOutcome::Applied(_)), "{step}: {done:?}");
        assert!(stage.lives(&session, &user).await, "{step}");
        assert!(!stage.lives(&other, &user).await, "{step}");
        assert_eq!(stage.listed(&user).await, 1, "{step}");
        assert!(is_applied(&session, touch(), due()).await, "{step}");
    }
}

pub(crate) async fn the_index_is_asked_once_per_touch_interval() {
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let user = owner("user");
    let session = Session::signed_in(&store, &user).await;
    let anonymous = Session::create(&store).await;
    let mut monitor = Monitor::start(&server);
    let interval = IDLE.touch_interval;
    let just_before = later(interval - Duration::from_secs(5));
    for (at, cost) in [
        (just_before, 1),
        (due(), 3),
        (due(), 1),
        (later(2 * interval - Duration::from_secs(5)), 1),
        (later(2 * interval), 3),
        // A clock that was ahead is set back.
        (now(), 3),
        (now(), 1),
    ] {
        assert!(is_applied(&session, increment(), at).await);
        assert_eq!(monitor.commands().len(), cost);
        assert!(is_applied(&anonymous, increment(), at).await);
        assert_eq!(monitor.commands().len(), 1, "nobody's session has no index");
    }
}

pub(crate) async fn a_record_of_the_earlier_version_is_read_and_looked_up() {
    let server = Server::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("connect");
    let user = owner("user");
    let signed_in = Session::signed_in(&store, &user).await;
    let anonymous = Session::create(&store).await;
    let head = |session: &Session| -> Vec<u8> { server.ask(&["HGET", &session.key(), "head"]) };
    let mut before = Vec::new();
    for (session, length) in [(&signed_in, 49), (&anonymous, 41)] {
        before.push(session.load().await);
        let mut head = head(session);
        head[0] = 2;
        head.truncate(length);
        let mut command = redis::cmd("HSET");
        command.arg(session.key()).arg("head").arg(head);
        command.exec(&mut server.admin()).expect("HSET");
    }
    assert_eq!([signed_in.load().await, anonymous.load().await], before[..]);
    assert_eq!(store.list(&user, now()).await.expect("list").len(), 1);
    // The index of that version didn't count revocations.
    let entry = format!("until:{}", later(ABSOLUTE).as_unix_millis());
    let id = signed_in.id.to_string();
    let _: i64 = server.ask(&["HSET", &index(&user), &id, &entry]);
    assert_eq!(store.list(&user, now()).await.expect("list").len(), 1);
    let _: i64 = server.ask(&["HSET", &index(&user), &id, &entry]);

    let mut monitor = Monitor::start(&server);
    for session in [&signed_in, &anonymous] {
        assert_eq!(session.increment().await.expect("increment"), 1);
        assert_eq!(session.increment().await.expect("increment"), 2);
    }
    assert_eq!(monitor.commands().len(), 3 + 1 + 1 + 1);
    assert_eq!((head(&signed_in)[0], head(&signed_in).len()), (3, 57));
    assert!(entries(&server, &user)[&id].starts_with("0:until:"));
    assert_eq!(
        store
            .remove_owned(&user, None, now())
            .await
            .expect("revoke"),
        1
    );
    assert!(signed_in.load().await.is_none());
    assert!(anonymous.load().await.is_some());
}
