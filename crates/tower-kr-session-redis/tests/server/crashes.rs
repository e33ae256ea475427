//! Sign-ins and revocations that break off, or wait, between any two of their steps.
//!
//! A proxy breaks the connection before or after the n-th script call, or holds it up, while all
//! else goes on through another connection. In the end no session that was signed in before a
//! revocation may be alive.

use std::time::Duration;

use tower_kr_session::{
    Owner, SessionStore, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Record, SignIn},
};
use tower_kr_session_redis::RedisStore;

use crate::support::{
    Fate, Proxy, Stage,
    session::{IDLE, Session, key, later, now, owner, sign_in, touch},
};

/// More steps than anything here has.
const STEPS: usize = 7;

/// The steps of a sign-in: a look at the record, the index, the record, the index.
const SIGN_IN: usize = 4;

pub(crate) async fn a_sign_in_may_break_off_anywhere() {
    let stage = Stage::new().await;
    for fate in [Fate::CutBefore, Fate::CutAfter] {
        for step in 0..STEPS {
            let user = owner("user");
            let session = Session::create(&stage.direct).await;
            let (_proxy, store) = stage.faulty(step, fate).await;
            let done = session.through(&store).apply(sign_in(&user)).await;
            assert_eq!(done.is_ok(), step >= SIGN_IN, "{fate:?} {step}: {done:?}");
            let lives = stage.lives(&session, &user).await;
            assert_eq!(
                stage.listed(&user).await,
                usize::from(lives),
                "{fate:?} {step}"
            );
            stage.revoke(&user).await;
            assert!(!stage.lives(&session, &user).await, "{fate:?} {step}");
            assert_eq!(stage.listed(&user).await, 0);
        }
    }
}

pub(crate) async fn a_sign_in_may_be_held_up_anywhere() {
    let stage = Stage::new().await;
    for step in 0..STEPS {
        let user = owner("user");
        let session = Session::create(&stage.direct).await;
        let (proxy, store) = stage.faulty(step, Fate::Hold).await;
        let late = session.through(&store);
        let delta = sign_in(&user);
        let signing_in = tokio::spawn(async move { late.apply(delta).await });
        if step < SIGN_IN {
            proxy.held().await;
            stage.revoke(&user).await;
            proxy.release();
        }
        let done = signing_in.await.expect("a task");
        if step >= SIGN_IN {
            stage.revoke(&user).await;
        }
        assert!(!stage.lives(&session, &user).await, "{step}: {done:?}");
        assert_eq!(stage.listed(&user).await, 0, "{step}: {done:?}");
        // Who proves their identity after that is let in.
        let revoked_at = now();
        while now() == revoked_at {
            tokio::task::yield_now().await;
        }
        let session = Session::create(&stage.direct).await;
        session.apply(sign_in(&user)).await.expect("apply");
        assert_eq!(stage.listed(&user).await, 1);
    }
}

/// A session that carries its owner is looked up in the index when it signs in again, and when it
/// is time to; here in an index that lost it.
pub(crate) async fn a_look_at_the_index_may_break_off_or_be_held_up_anywhere() {
    let stage = Stage::new().await;
    for fate in [Fate::CutBefore, Fate::CutAfter, Fate::Hold] {
        for (step, again) in (0..4).flat_map(|step| [(step, false), (step, true)]) {
            let what = format!("{fate:?} {step} {again}");
            let user = owner("user");
            let session = Session::signed_in(&stage.direct, &user).await;
            let lost: i64 = stage.server.ask(&["DEL", &format!("kr:owner:{user}")]);
            assert_eq!(lost, 1);
            let (proxy, store) = stage.faulty(step, fate).await;
            let (late, due) = (session.through(&store), later(IDLE.touch_interval));
            let delta = if again { sign_in(&user) } else { touch() };
            let writing = tokio::spawn(async move { late.apply_at(delta, due).await });
            if fate == Fate::Hold && step < 3 {
                proxy.held().await;
                stage.revoke(&user).await;
                proxy.release();
            }
            let done = writing.await.expect("a task");
            let ends_well = step >= 3 || fate == Fate::Hold;
            // A touch goes on without the index, if there is a new connection in time.
            if (step, again) != (1, false) {
                assert_eq!(done.is_ok(), ends_well, "{what}: {done:?}");
            }
            stage.revoke(&user).await;
            let touched = session.apply_at(touch(), later(2 * IDLE.touch_interval));
            let touched = touched.await.expect("apply");
            assert_eq!(touched, ApplyOutcome::Missing, "{what}: {done:?}");
            assert!(!stage.lives(&session, &user).await, "{what}: {done:?}");
            assert_eq!(stage.listed(&user).await, 0, "{what}: {done:?}");
        }
    }
}

fn signed_in_record(session: &Session, mut record: Record, user: &Owner) -> (Session, Record) {
    record.owner = Some(user.clone());
    record.authenticated_at = Some(now());
    (session.clone(), record)
}

pub(crate) async fn a_new_session_of_an_owner_may_break_off_anywhere() {
    let stage = Stage::new().await;
    for fate in [Fate::CutBefore, Fate::CutAfter, Fate::Hold] {
        for step in 0..3 {
            let user = owner("user");
            let (session, record) = Session::prepare(&stage.direct);
            let (session, record) = signed_in_record(&session, record, &user);
            let (proxy, store) = stage.faulty(step, fate).await;
            let id = session.id;
            let creating = tokio::spawn(async move { store.create(id, record, now()).await });
            if fate == Fate::Hold {
                proxy.held().await;
                stage.revoke(&user).await;
                proxy.release();
                let created = creating.await.expect("a task").expect("create");
                assert_eq!(created, CreateOutcome::Revoked, "{step}");
            } else {
                let created: Result<CreateOutcome, StoreError> = creating.await.expect("a task");
                created.expect_err("a broken connection");
                stage.revoke(&user).await;
            }
            assert!(!stage.lives(&session, &user).await, "{fate:?} {step}");
            assert_eq!(stage.listed(&user).await, 0, "{fate:?} {step}");
        }
    }
}

/// A revocation passes by before the record is there, and then the creation breaks off before it
/// could look again: the entry is left, so that whoever comes next ends the session.
pub(crate) async fn a_new_session_is_found_though_it_broke_off_after_a_revocation() {
    let stage = Stage::new().await;
    for by_list in [true, false] {
        let user = owner("user");
        let (session, record) = Session::prepare(&stage.direct);
        let (session, record) = signed_in_record(&session, record, &user);
        let proxy = Proxy::start(stage.server.port(), |call| match call {
            1 => Fate::Hold,
            2 => Fate::CutBefore,
            _ => Fate::Pass,
        });
        let proxy = proxy.await;
        let store = RedisStore::connect(&proxy.url()).await.expect("connect");
        let id = session.id;
        let creating = tokio::spawn(async move { store.create(id, record, now()).await });
        proxy.held().await;
        assert_eq!(stage.revoke(&user).await, 0);
        proxy.release();
        creating
            .await
            .expect("a task")
            .expect_err("a broken connection");
        assert!(stage.lives(&session, &user).await, "nobody holds its token");
        if by_list {
            assert_eq!(stage.listed(&user).await, 0);
        } else {
            assert_eq!(stage.revoke(&user).await, 1);
        }
        assert!(!stage.lives(&session, &user).await);
    }
}

pub(crate) async fn a_revocation_may_break_off_anywhere() {
    let stage = Stage::new().await;
    for fate in [Fate::CutBefore, Fate::CutAfter] {
        for step in 0..STEPS {
            let user = owner("user");
            let mut sessions = Vec::new();
            for _ in 0..3 {
                let session = Session::create(&stage.direct).await;
                session.apply(sign_in(&user)).await.expect("apply");
                sessions.push(session);
            }
            let (_proxy, store) = stage.faulty(step, fate).await;
            let revoked = store.remove_owned(&user, None, now()).await;
            let began = step > 0 || fate == Fate::CutAfter;
            if revoked.is_ok() {
                for session in &sessions {
                    assert!(!stage.lives(session, &user).await, "{fate:?} {step}");
                }
            }
            // The list goes on with what began, or another revocation does.
            assert_eq!(
                stage.listed(&user).await,
                if began { 0 } else { 3 },
                "{fate:?} {step}"
            );
            stage.revoke(&user).await;
            for session in &sessions {
                assert!(!stage.lives(session, &user).await, "{fate:?} {step}");
            }
            assert_eq!(stage.listed(&user).await, 0);
        }
    }
}

/// Two sign-ins of one session at the same time: the one that is refused must not take the other's
/// entry along.
pub(crate) async fn a_refused_sign_in_leaves_the_entry_of_another() {
    let stage = Stage::new().await;
    for step in 2..SIGN_IN {
        let user = owner("user");
        let session = Session::create(&stage.direct).await;
        let (proxy, store) = stage.faulty(step, Fate::Hold).await;
        let late = session.through(&store);
        let mut refused = sign_in(&user);
        refused.max_bytes = 3;
        refused.change(key("a"), Some("too large".into()));
        let refused = tokio::spawn(async move { late.apply(refused).await });
        proxy.held().await;
        let done = session.apply(sign_in(&user)).await.expect("apply");
        assert!(matches!(done, ApplyOutcome::Applied(_)), "{done:?}");
        proxy.release();
        let done = refused.await.expect("a task").expect("apply");
        assert!(matches!(done, ApplyOutcome::TooLarge { .. }), "{done:?}");
        assert_eq!(stage.listed(&user).await, 1, "{step}");
        assert_eq!(stage.revoke(&user).await, 1, "{step}");
        assert!(!stage.lives(&session, &user).await, "{step}");
    }
}

pub(crate) async fn stale_entries_are_dropped_when_met() {
    let stage = Stage::new().await;
    let user = owner("user");
    let index = format!("kr:owner:{user}");
    let entries = || -> i64 { stage.server.ask(&["HLEN", &index]) };
    let later = |seconds| later(Duration::from_secs(seconds));
    let list = async |at: Timestamp| stage.direct.list(&user, at).await.expect("list").len();

    // A session that ended without a logout.
    let session = Session::create(&stage.direct).await;
    session.apply(sign_in(&user)).await.expect("apply");
    let _: i64 = stage.server.ask(&["DEL", &session.key()]);
    assert_eq!((entries(), list(now()).await, entries()), (1, 0, 0));

    // A sign-in that broke off before the record: it may be on its way for a while.
    let (_, store) = stage.faulty(1, Fate::CutBefore).await;
    let (session, record) = Session::prepare(&stage.direct);
    let (session, record) = signed_in_record(&session, record, &user);
    let created = store.create(session.id, record, now()).await;
    created.expect_err("a broken connection");
    assert_eq!((entries(), list(now()).await, entries()), (1, 0, 1));
    assert_eq!((list(later(61)).await, entries()), (0, 0));

    // One that broke off after the record: the session lives, its entry is kept until it is
    // completed.
    let session = Session::create(&stage.direct).await;
    session.apply(sign_in(&user)).await.expect("apply");
    let left: i64 = stage.server.ask(&["PTTL", &index]);
    assert!(left > 0);
    let entry = |session: &Session| -> String {
        stage.server.ask(&["HGET", &index, &session.id.to_string()])
    };
    let broken_off = Session::create(&stage.direct).await;
    let (_, store) = stage.faulty(SIGN_IN - 1, Fate::CutBefore).await;
    let signing_in = broken_off.through(&store).apply(sign_in(&user)).await;
    signing_in.expect_err("a broken connection");
    assert_eq!(list(now()).await, 2);
    assert!(entry(&broken_off).starts_with("0:sign_in:"));
    assert_eq!(list(later(61)).await, 2);
    assert!(entry(&broken_off).starts_with("0:until:"));

    // A refused sign-in takes its own entry back, and nobody else's.
    let before: Vec<String> = stage.server.ask(&["HGETALL", &index]);
    let mut too_large = Delta::new(3);
    too_large.sign_in = Some(SignIn::new(user.clone(), now()));
    too_large.clear = true;
    too_large.change(key("a"), Some("xxx".into()));
    let refused = Session::create(&stage.direct).await;
    let refused = refused.apply(too_large).await.expect("apply");
    assert!(matches!(refused, ApplyOutcome::TooLarge { .. }));
    let after: Vec<String> = stage.server.ask(&["HGETALL", &index]);
    assert_eq!(before, after);

    // Somebody else's session at the same id never comes into the list.
    let other = owner("other");
    let foreign = Session::create(&stage.direct).await;
    foreign.apply(sign_in(&other)).await.expect("apply");
    let entry = format!("0:until:{}", later(60).as_unix_millis());
    let _: i64 = stage
        .server
        .ask(&["HSET", &index, &foreign.id.to_string(), &entry]);
    assert_eq!(entries(), 3);
    assert_eq!(list(now()).await, 2);
    assert_eq!(entries(), 2);
}
