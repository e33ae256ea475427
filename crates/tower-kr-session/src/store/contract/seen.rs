//! Rules: a delta that comes with the record that its request has seen is judged by the record that
//! the store has.

use std::sync::Arc;

use super::{
    ApplyOutcome, Connections, Delta, Instants, Record, SecretHash, SessionStore, compare_and_set,
    increment, millis, owner,
    races::{TASKS, in_parallel},
    receipt, rotate, rule_list, secret, set, sign_in,
};

rule_list![
    a_delta_on_what_was_seen_is_applied,
    a_delta_on_what_was_seen_keeps_what_was_written_since,
    what_was_seen_admits_nobody_who_is_not_admitted_now,
    what_was_seen_refuses_nothing_that_is_right_now,
    parallel_increments_of_what_was_seen_are_all_counted,
];

fn on(seen: &Option<Arc<Record>>, mut delta: Delta) -> Delta {
    delta.seen.clone_from(seen);
    delta
}

async fn a_delta_on_what_was_seen_is_applied<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[("n", "41"), ("kept", "x")]).await;
    let seen = session.seen().await;
    let applied = receipt(session.apply(on(&seen, increment("n", 1))).await);
    assert_eq!(applied.incremented, Some(42));

    let seen = session.seen().await;
    let next = secret();
    receipt(session.apply(on(&seen, rotate(next))).await);
    let session = session.holding(next);
    let other = session.through(&connections.second);
    assert_eq!(other.value("n").await, Some(b"42".to_vec()));
    assert_eq!(other.value("kept").await, Some(b"x".to_vec()));

    let seen = session.seen().await;
    let owner = owner("max");
    receipt(
        session
            .apply(on(&seen, sign_in(&owner, session.start)))
            .await,
    );
    assert_eq!(other.record().await.owner, Some(owner));
}

async fn a_delta_on_what_was_seen_keeps_what_was_written_since<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[("n", "1"), ("a", "old")]).await;
    let seen = session.seen().await;
    let other = session.through(&connections.second);
    let mut written = set("a", "new");
    written.limits.persistent = Some(true);
    receipt(other.apply(written).await);
    receipt(other.apply(increment("n", 1)).await);

    let applied = receipt(session.apply(on(&seen, increment("n", 1))).await);
    assert_eq!(applied.incremented, Some(3));
    assert!(applied.persistent);
    let refused = compare_and_set("a", Some(b"old"), Some(b"lost"));
    assert_eq!(
        session.apply(on(&seen, refused)).await,
        ApplyOutcome::Conflict
    );
    receipt(session.apply(on(&seen, set("b", "x"))).await);
    let values = other.record().await.values;
    let expected = [("a", &b"new"[..]), ("b", b"x"), ("n", b"3")];
    assert_eq!(values.iter().collect::<Vec<_>>(), expected);
}

async fn what_was_seen_admits_nobody_who_is_not_admitted_now<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[]).await;
    let seen = session.seen().await;
    let wrong = session.holding(SecretHash::from_bytes([7; 32]));
    let refused = wrong.apply(on(&seen, set("a", "x"))).await;
    assert_eq!(refused, ApplyOutcome::Missing);

    let other = session.through(&connections.second);
    receipt(other.apply(rotate(secret())).await);
    for delta in [set("a", "x"), increment("n", 1), super::delta()] {
        let refused = session.apply(on(&seen, delta)).await;
        assert_eq!(refused, ApplyOutcome::Superseded);
    }

    let session = connections.session(&[]).await;
    let seen = session.seen().await;
    let removed = connections
        .second
        .remove(session.id, None, Instants::at(session.start));
    removed.await.expect("remove");
    for delta in [set("a", "x"), increment("n", 1), super::delta()] {
        let refused = session.apply(on(&seen, delta)).await;
        assert_eq!(refused, ApplyOutcome::Missing);
    }
    assert_eq!(session.load().await, None);
}

async fn what_was_seen_refuses_nothing_that_is_right_now<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[("n", "no number"), ("a", "1")]).await;
    let seen = session.seen().await;
    let other = session.through(&connections.second);
    receipt(other.apply(set("n", "1")).await);
    receipt(other.apply(set("a", "2")).await);
    receipt(session.apply(on(&seen, increment("n", 1))).await);
    let expected = compare_and_set("a", Some(b"2"), Some(b"3"));
    receipt(session.apply(on(&seen, expected)).await);

    // Seen just before its deadline, which another request has moved since.
    let late = Instants::at(session.at(millis(20_001)));
    receipt(
        other
            .apply_at(super::delta(), Instants::at(session.at(millis(19_000))))
            .await,
    );
    receipt(session.apply_at(on(&seen, set("a", "4")), late).await);
}

async fn parallel_increments_of_what_was_seen_are_all_counted<S: SessionStore>(
    connections: Connections<S>,
) {
    const EACH: usize = 5;
    let session = connections.session(&[]).await;
    in_parallel(&connections, &session, |_, session| async move {
        for _ in 0..EACH {
            let seen = session.seen().await;
            receipt(session.apply(on(&seen, increment("n", 1))).await);
        }
    })
    .await;
    let total = (TASKS * EACH).to_string();
    assert_eq!(session.value("n").await, Some(total.into_bytes()));
}
