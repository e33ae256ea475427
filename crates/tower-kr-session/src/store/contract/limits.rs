//! Rules: timeouts hold against all requests.

use super::{
    ABSOLUTE, ApplyOutcome, Connections, Delta, IDLE, Instants, SessionStore, delta, increment,
    millis, owner, receipt, rule_list, set, sign_in,
};
use crate::model::{IdleLimit, LimitsChange};

rule_list![
    a_session_ends_at_its_idle_deadline,
    every_apply_moves_the_idle_deadline_and_says_so,
    a_session_in_use_ends_at_its_absolute_deadline,
    idle_is_judged_at_first_contact_and_absolute_now,
    an_expired_session_is_dead_for_every_call_but_its_removal,
    deadlines_of_a_clock_that_ran_ahead_are_pulled_in,
    a_session_carries_its_own_limits,
];

async fn a_session_ends_at_its_idle_deadline<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[("a", "1")]).await;
    let deadline = IDLE.timeout + IDLE.touch_interval;
    assert!(session.load_at(deadline - millis(1)).await.is_some());
    assert_eq!(session.load_at(deadline).await, None);
}

async fn every_apply_moves_the_idle_deadline_and_says_so<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[("a", "1")]).await;
    let mut since_start = millis(0);
    for step in [delta(), set("b", "2"), increment("n", 1), delta()] {
        since_start += millis(15_000);
        let at = Instants::at(session.at(since_start));
        let done = receipt(session.apply_at(step, at).await);
        let expected = session.at(since_start + IDLE.timeout + IDLE.touch_interval);
        assert_eq!(done.idle_deadline, expected);
        assert_eq!(done.absolute_deadline, session.at(ABSOLUTE));
        let record = session.load_at(since_start).await.expect("alive");
        assert_eq!(record.idle_deadline, expected);
    }
    let record = session.load_at(since_start).await.expect("alive");
    assert_eq!(record.values.len(), 3);
    assert_eq!(record.absolute_deadline, session.at(ABSOLUTE));
}

async fn a_session_in_use_ends_at_its_absolute_deadline<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections
        .session_with(|record| {
            record.absolute_timeout = millis(30_000);
            record.absolute_deadline = record.created_at.saturating_add(millis(30_000));
        })
        .await;
    let at = Instants::at(session.at(millis(20_000)));
    let done = receipt(session.apply_at(delta(), at).await);
    assert_eq!(done.idle_deadline, session.at(millis(41_000)));
    let record = session.load_at(millis(29_999)).await.expect("alive");
    assert_eq!(record.last_used_at(session.at(ABSOLUTE)), at.now);
    assert_eq!(session.load_at(millis(30_000)).await, None);
}

async fn idle_is_judged_at_first_contact_and_absolute_now<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[]).await;
    let slow = |first, now| Instants {
        first_contact: session.at(first),
        now: session.at(now),
    };
    let began_in_time = slow(millis(20_000), millis(60_000));
    receipt(session.apply_at(set("a", "1"), began_in_time).await);
    assert!(session.load_at(millis(60_000)).await.is_some());
    let over_the_end = slow(millis(60_000), ABSOLUTE);
    assert_eq!(
        session.apply_at(set("a", "2"), over_the_end).await,
        ApplyOutcome::Missing
    );
}

async fn an_expired_session_is_dead_for_every_call_but_its_removal<S: SessionStore>(
    connections: Connections<S>,
) {
    let owner = owner("expired");
    let session = connections.session(&[("a", "1")]).await;
    receipt(session.apply(sign_in(&owner, session.start)).await);
    let late = session.at(IDLE.timeout + IDLE.touch_interval);
    for attempt in [delta(), set("a", "2"), increment("n", 1)] {
        assert_eq!(
            session.apply_at(attempt, Instants::at(late)).await,
            ApplyOutcome::Missing
        );
    }
    let list = session.store.list(&owner, late).await.expect("list");
    assert_eq!(list, []);
    let removed = session
        .store
        .remove(session.id, Some(&session.secret), Instants::at(late))
        .await;
    assert_eq!(
        removed.expect("remove"),
        crate::store::RemoveOutcome::Removed
    );
}

async fn deadlines_of_a_clock_that_ran_ahead_are_pulled_in<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[]).await;
    let hour_back = session.start.saturating_sub(millis(3_600_000));
    let done = receipt(session.apply_at(delta(), Instants::at(hour_back)).await);
    let idle = hour_back.saturating_add(IDLE.timeout + IDLE.touch_interval);
    let absolute = hour_back.saturating_add(ABSOLUTE);
    assert_eq!(
        (done.idle_deadline, done.absolute_deadline),
        (idle, absolute)
    );
    let record = session
        .store
        .load(session.id, hour_back)
        .await
        .expect("load")
        .expect("alive");
    assert_eq!(
        (record.idle_deadline, record.absolute_deadline),
        (idle, absolute)
    );
}

async fn a_session_carries_its_own_limits<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[("a", "1")]).await;
    let idle = IdleLimit {
        timeout: millis(3_600_000),
        touch_interval: millis(60_000),
    };
    let mut delta = delta();
    delta.limits = LimitsChange {
        idle: Some(idle),
        absolute_timeout: Some(millis(7_200_000)),
        persistent: Some(true),
    };
    let done = receipt(session.apply(delta).await);
    assert_eq!(done.idle, idle);
    assert_eq!(done.idle_deadline, session.at(millis(3_660_000)));
    assert_eq!(done.absolute_deadline, session.at(millis(7_200_000)));
    assert!(done.persistent);
    // The limits hold on every later request.
    let at = Instants::at(session.at(millis(3_600_000)));
    let done = receipt(session.apply_at(super::delta(), at).await);
    assert_eq!(done.idle_deadline, session.at(millis(7_260_000)));
    assert_eq!(done.absolute_deadline, session.at(millis(7_200_000)));
    let mut shorter: Delta = super::delta();
    shorter.limits.persistent = Some(false);
    shorter.limits.absolute_timeout = Some(millis(3_601_000));
    let done = receipt(session.apply_at(shorter, at).await);
    assert_eq!(done.absolute_deadline, session.at(millis(3_601_000)));
    assert!(!done.persistent);
    assert_eq!(session.load_at(millis(3_601_000)).await, None);
}
