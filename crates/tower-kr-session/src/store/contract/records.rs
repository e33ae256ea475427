//! Rules: records are loaded as they were stored, and removed when they must be.

use std::time::Duration;

use super::{
    ABSOLUTE, ApplyOutcome, Connections, CreateOutcome, IDLE, Instants, Record, SessionId,
    SessionStore, Subject, delta, millis, now, owner, receipt, rotate, rule_list, secret, set,
    sign_in,
};
use crate::{
    model::{RETIRED_FOR, Retired, SecretHash},
    store::RemoveOutcome,
};

rule_list![
    a_record_comes_back_as_it_was_created,
    create_never_overwrites,
    a_taken_id_exists_also_for_a_revoked_owner,
    an_unknown_session_is_missing_and_apply_does_not_create_it,
    a_wrong_secret_is_missing_and_changes_nothing,
    rotation_admits_the_new_token_and_tells_the_old_one_for_a_minute,
    remove_needs_the_right_secret_or_none,
    the_right_secret_ends_a_session_that_looks_expired,
    a_secret_that_is_not_current_removes_nothing_that_looks_expired,
    a_removal_without_a_secret_says_whether_a_live_session_ended,
    a_removed_session_stays_dead,
];

async fn a_record_comes_back_as_it_was_created<S: SessionStore>(connections: Connections<S>) {
    // A store may say that it can't hold a megabyte.
    let largest = connections.first.largest_session().unwrap_or(u64::MAX);
    let length = (1024 * 1024).min(largest / 2);
    let large: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
    let owner = owner("o'w\"n;e%r\\\u{0}\u{1f36a}");
    let mut expected = None;
    let session = connections
        .session_with(|record| {
            record.owner = Some(owner);
            record.authenticated_at = Some(record.created_at);
            record.retired = Some(Box::new(Retired {
                secret: secret(),
                at: record.created_at,
            }));
            record.persistent = true;
            record.values = [
                ("empty", &b""[..]),
                ("nul", b"a\0b\0"),
                ("bytes", &[0xff, 0xfe, 0x80, 0x00]),
                (
                    "\u{1f36a} \u{e9}\u{4e2d} ' \" ; % \\ {}",
                    "\u{1f36a}".as_bytes(),
                ),
                ("large", &large),
            ]
            .into_iter()
            .collect();
            expected = Some(record.clone());
        })
        .await;
    assert_eq!(session.load().await, expected);
    assert_eq!(session.through(&connections.second).load().await, expected);
}

async fn create_never_overwrites<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[("a", "first")]).await;
    let other = Record::new(secret(), session.start, IDLE, ABSOLUTE);
    for store in [&connections.first, &connections.second] {
        let again = store.create(session.id, other.clone(), session.start).await;
        assert_eq!(again.expect("create"), CreateOutcome::Exists);
    }
    assert_eq!(session.record().await.secret, session.secret);
    assert_eq!(session.value("a").await.as_deref(), Some(&b"first"[..]));
}

async fn a_taken_id_exists_also_for_a_revoked_owner<S: SessionStore>(connections: Connections<S>) {
    let user = owner("user");
    let session = connections.session(&[("a", "1")]).await;
    let revoked = connections
        .second
        .remove_owned(&user, None, session.start)
        .await;
    assert_eq!(revoked.expect("remove_owned"), 0);
    let before = session.record().await;
    let mut record = Record::new(secret(), session.start, IDLE, ABSOLUTE);
    record.owner = Some(user.clone());
    record.authenticated_at = Some(session.start);
    // The same if the record that has the id is expired.
    for now in [Duration::ZERO, IDLE.timeout * 2] {
        let created = connections
            .second
            .create(session.id, record.clone(), session.at(now))
            .await;
        assert_eq!(created.expect("create"), CreateOutcome::Exists);
    }
    assert_eq!(session.record().await, before);
    let list = connections.first.list(&user, session.start).await;
    assert_eq!(list.expect("list"), []);
}

async fn an_unknown_session_is_missing_and_apply_does_not_create_it<S: SessionStore>(
    connections: Connections<S>,
) {
    let mut session = connections.session(&[]).await;
    session.id = SessionId::generate(now());
    assert_eq!(session.load().await, None);
    assert_eq!(session.apply(set("a", "1")).await, ApplyOutcome::Missing);
    assert_eq!(session.apply(delta()).await, ApplyOutcome::Missing);
    assert_eq!(session.load().await, None);
    let removed = session
        .store
        .remove(session.id, None, Instants::at(session.start));
    assert_eq!(removed.await.expect("remove"), RemoveOutcome::Missing);
}

async fn a_wrong_secret_is_missing_and_changes_nothing<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[("a", "1")]).await;
    let before = session.record().await;
    let stranger = session.holding(secret());
    for attempt in [set("a", "2"), delta(), rotate(secret())] {
        assert_eq!(stranger.apply(attempt).await, ApplyOutcome::Missing);
    }
    assert_eq!(session.record().await, before);
}

async fn rotation_admits_the_new_token_and_tells_the_old_one_for_a_minute<S: SessionStore>(
    connections: Connections<S>,
) {
    let old = connections
        .session_with(|record| {
            record.idle.timeout = ABSOLUTE;
            record.idle_deadline = record.absolute_deadline;
            record.values = [("a", "1")].into_iter().collect();
        })
        .await;
    let new = old.holding(secret());
    receipt(old.apply(rotate(new.secret)).await);
    let before = new.record().await;
    assert_eq!(before.secret, new.secret);
    assert_eq!(before.values.get("a"), Some(&b"1"[..]));
    let retired = before
        .retired
        .as_ref()
        .expect("the old secret is kept for a minute");
    assert_eq!((retired.secret, retired.at), (old.secret, old.start));

    let last_moment = Instants::at(old.at(RETIRED_FOR - millis(1)));
    assert_eq!(
        old.apply_at(set("a", "2"), last_moment).await,
        ApplyOutcome::Superseded
    );
    let removed = old
        .store
        .remove(old.id, Some(&old.secret), last_moment)
        .await;
    assert_eq!(removed.expect("remove"), RemoveOutcome::Superseded);
    let later = Instants::at(old.at(RETIRED_FOR));
    assert_eq!(
        old.apply_at(set("a", "2"), later).await,
        ApplyOutcome::Missing
    );
    assert_eq!(
        new.record().await,
        before,
        "a superseded token changes nothing"
    );

    let newest = old.holding(secret());
    receipt(new.apply(rotate(newest.secret)).await);
    assert_eq!(new.apply(set("a", "2")).await, ApplyOutcome::Superseded);
    assert_eq!(
        old.apply(set("a", "2")).await,
        ApplyOutcome::Missing,
        "only the last one is told"
    );
    receipt(newest.apply(set("a", "2")).await);
}

async fn remove_needs_the_right_secret_or_none<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[("a", "1")]).await;
    let at = Instants::at(session.start);
    let stranger = connections
        .second
        .remove(session.id, Some(&secret()), at)
        .await;
    assert_eq!(stranger.expect("remove"), RemoveOutcome::Missing);
    session.record().await;
    let holder = connections
        .second
        .remove(session.id, Some(&session.secret), at)
        .await;
    assert_eq!(holder.expect("remove"), RemoveOutcome::Removed);
    assert_eq!(session.load().await, None);

    let revoked = connections.session(&[]).await;
    let administrator = connections.second.remove(revoked.id, None, at).await;
    assert_eq!(administrator.expect("remove"), RemoveOutcome::Removed);
    assert_eq!(revoked.load().await, None);
}

/// Removes a new session, at these times since its start, and returns the outcome.
async fn removal<S: SessionStore>(
    session: &Subject<S>,
    secret: Option<SecretHash>,
    first_contact: Duration,
    now: Duration,
) -> RemoveOutcome {
    let at = Instants {
        first_contact: session.at(first_contact),
        now: session.at(now),
    };
    let removed = session.store.remove(session.id, secret.as_ref(), at).await;
    removed.expect("remove")
}

/// Rule: an acknowledged logout has happened, even under a clock that is ahead.
async fn the_right_secret_ends_a_session_that_looks_expired<S: SessionStore>(
    connections: Connections<S>,
) {
    let user = owner("user");
    for (first_contact, now) in [
        (IDLE.timeout + IDLE.touch_interval, IDLE.timeout * 2),
        (Duration::ZERO, ABSOLUTE),
        (ABSOLUTE * 24, ABSOLUTE * 24),
    ] {
        let session = connections.session(&[("a", "1")]).await;
        receipt(session.apply(sign_in(&user, session.start)).await);
        let other = session.through(&connections.second);
        let removed = removal(&other, Some(session.secret), first_contact, now).await;
        assert_eq!(removed, RemoveOutcome::Removed);
        // The clock is right again.
        assert_eq!(session.load().await, None);
        assert_eq!(session.apply(delta()).await, ApplyOutcome::Missing);
        let list = session.store.list(&user, session.start).await;
        assert_eq!(list.expect("list"), []);
    }
}

async fn a_secret_that_is_not_current_removes_nothing_that_looks_expired<S: SessionStore>(
    connections: Connections<S>,
) {
    let retired = connections.session(&[("a", "1")]).await;
    let session = retired.holding(secret());
    receipt(retired.apply(rotate(session.secret)).await);
    let late = ABSOLUTE * 24;
    for wrong in [retired.secret, secret()] {
        let removed = removal(&session, Some(wrong), late, late).await;
        assert_eq!(removed, RemoveOutcome::Missing);
    }
    session.record().await;
}

async fn a_removal_without_a_secret_says_whether_a_live_session_ended<S: SessionStore>(
    connections: Connections<S>,
) {
    let idle = IDLE.timeout + IDLE.touch_interval;
    for (first_contact, now, expected) in [
        (
            idle - millis(1),
            ABSOLUTE - millis(1),
            RemoveOutcome::Removed,
        ),
        (idle, idle, RemoveOutcome::Missing),
        (Duration::ZERO, ABSOLUTE, RemoveOutcome::Missing),
    ] {
        let session = connections.session(&[]).await;
        let removed = removal(&session, None, first_contact, now).await;
        assert_eq!(removed, expected, "{first_contact:?}, {now:?}");
        // The record is gone in any case.
        assert_eq!(session.load().await, None);
    }
}

async fn a_removed_session_stays_dead<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[("a", "1")]).await;
    let at = Instants::at(session.start);
    for expected in [RemoveOutcome::Removed, RemoveOutcome::Missing] {
        let removed = session
            .store
            .remove(session.id, Some(&session.secret), at)
            .await;
        assert_eq!(removed.expect("remove"), expected);
    }
    for store in [&connections.first, &connections.second] {
        let session = session.through(store);
        assert_eq!(session.apply(set("a", "2")).await, ApplyOutcome::Missing);
        assert_eq!(session.apply(delta()).await, ApplyOutcome::Missing);
        assert_eq!(session.load().await, None);
    }
}
