//! Rules: a store keeps what the layer says of a session's device as it is, and replaces it only if
//! it still is what the layer has read.

use super::{
    ApplyOutcome, Connections, Delta, Instants, SessionStore, delta, millis, owner,
    races::{TASKS, in_parallel},
    receipt, rotate, rule_list, secret, set, sign_in,
};
use crate::{
    model::{DeviceChange, MAX_DEVICE_BYTES},
    store::RemoveOutcome,
};

rule_list![
    a_device_comes_back_as_it_was_stored,
    a_device_is_replaced_only_if_it_is_the_expected_one,
    nothing_but_its_own_change_touches_a_device,
    a_refused_delta_changes_no_device,
    of_parallel_changes_of_a_device_each_is_made_on_the_one_before,
    a_device_is_gone_with_its_session,
];

/// A delta that replaces `expected` by `new`.
pub(super) fn bind(expected: Option<&[u8]>, new: &[u8]) -> Delta {
    with_device(delta(), expected, new)
}

fn with_device(mut delta: Delta, expected: Option<&[u8]>, new: &[u8]) -> Delta {
    let change = DeviceChange::new(expected, new.to_vec());
    delta.device = Some(Box::new(change));
    delta
}

async fn a_device_comes_back_as_it_was_stored<S: SessionStore>(connections: Connections<S>) {
    let largest: Vec<u8> = (0..MAX_DEVICE_BYTES).map(|i| (i % 256) as u8).collect();
    for bytes in [&b"\0"[..], b"=", b"a\0b\xff\n'\"\\", &largest] {
        let session = connections
            .session_with(|record| record.set_device(bytes).expect("a few bytes"))
            .await;
        let other = session.through(&connections.second);
        assert_eq!(session.record().await.device(), Some(bytes));
        assert_eq!(other.record().await.device(), Some(bytes));

        let session = connections.session(&[("a", "1")]).await;
        assert_eq!(session.record().await.device(), None);
        receipt(session.apply(bind(None, bytes)).await);
        let other = session.through(&connections.second);
        assert_eq!(other.record().await.device(), Some(bytes));
        assert_eq!(other.value("a").await.as_deref(), Some(&b"1"[..]));
    }
}

async fn a_device_is_replaced_only_if_it_is_the_expected_one<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[]).await;
    let other = session.through(&connections.second);
    let refused = other.apply(bind(Some(b"first"), b"second")).await;
    assert_eq!(refused, ApplyOutcome::Conflict);
    receipt(session.apply(bind(None, b"first")).await);
    for wrong in [None, Some(&b"firs"[..]), Some(b"first "), Some(b"second")] {
        let seen = session.seen().await;
        for seen in [None, seen] {
            let mut delta = bind(wrong, b"third");
            delta.seen = seen;
            assert_eq!(other.apply(delta).await, ApplyOutcome::Conflict);
        }
    }
    assert_eq!(session.record().await.device(), Some(&b"first"[..]));
    receipt(other.apply(bind(Some(b"first"), b"second")).await);
    assert_eq!(session.record().await.device(), Some(&b"second"[..]));

    // On what was seen before somebody else replaced it.
    let seen = session.seen().await;
    receipt(other.apply(bind(Some(b"second"), b"third")).await);
    let mut late = bind(Some(b"second"), b"fourth");
    late.seen = seen;
    assert_eq!(session.apply(late).await, ApplyOutcome::Conflict);
    assert_eq!(session.record().await.device(), Some(&b"third"[..]));
}

async fn nothing_but_its_own_change_touches_a_device<S: SessionStore>(connections: Connections<S>) {
    let mut session = connections.session(&[("a", "1")]).await;
    receipt(session.apply(bind(None, b"device")).await);
    let user = owner("user");
    let mut clear = delta();
    clear.clear = true;
    let mut limits = delta();
    limits.limits.persistent = Some(true);
    let next = secret();
    for delta in [
        set("a", "2"),
        set("device", "a value of this name"),
        clear,
        limits,
        delta(),
        sign_in(&user, session.start),
        sign_in(&user, session.at(millis(1))),
        rotate(next),
    ] {
        receipt(session.apply(delta).await);
        if let Some(record) = session.load().await {
            assert_eq!(record.device(), Some(&b"device"[..]));
        }
    }
    session = session.holding(next);
    assert_eq!(session.record().await.device(), Some(&b"device"[..]));

    // It goes along with a sign-in and a rotation.
    let newest = secret();
    let mut delta = sign_in(&user, session.start);
    delta.rotate = Some(newest);
    let both = with_device(delta, Some(b"device"), b"other");
    receipt(session.apply(both).await);
    let session = session.holding(newest);
    let record = session.record().await;
    assert_eq!(record.device(), Some(&b"other"[..]));
    assert_eq!(record.secret, newest);
    let other = connections.second.list(&user, session.start).await;
    let listed = other.expect("list");
    let ids: Vec<_> = listed.iter().map(|summary| summary.id).collect();
    assert_eq!(ids, [session.id]);
}

async fn a_refused_delta_changes_no_device<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[("a", "1")]).await;
    let user = owner("user");
    receipt(session.apply(sign_in(&user, session.start)).await);
    receipt(session.apply(bind(None, b"device")).await);
    let device = Some(&b"device"[..]);
    let before = session.record().await;

    let stranger = session.holding(secret());
    let refused = stranger.apply(bind(device, b"other")).await;
    assert_eq!(refused, ApplyOutcome::Missing);
    let others = sign_in(&owner("other"), session.start);
    let refused = session.apply(with_device(others, device, b"other")).await;
    assert_eq!(refused, ApplyOutcome::OtherOwner);
    let mut large = set("b", "x".repeat(100));
    large.max_bytes = 50;
    let refused = session.apply(with_device(large, device, b"other")).await;
    assert!(matches!(refused, ApplyOutcome::TooLarge { .. }));
    // And a wrong device changes nothing else.
    let refused = with_device(set("a", "2"), None, b"other");
    assert_eq!(session.apply(refused).await, ApplyOutcome::Conflict);
    assert_eq!(session.record().await, before);
}

async fn of_parallel_changes_of_a_device_each_is_made_on_the_one_before<S: SessionStore>(
    connections: Connections<S>,
) {
    let session = connections.session(&[]).await;
    receipt(session.apply(bind(None, b"-")).await);
    in_parallel(&connections, &session, |number, session| async move {
        loop {
            let before = session.record().await.device().unwrap_or_default().to_vec();
            let after = [&before[..], &[number as u8]].concat();
            match session.apply(bind(Some(&before), &after)).await {
                ApplyOutcome::Applied(_) => return,
                ApplyOutcome::Conflict => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    let record = session.record().await;
    let mut numbers = record.device().unwrap_or_default()[1..].to_vec();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..TASKS as u8), "none is lost");
}

async fn a_device_is_gone_with_its_session<S: SessionStore>(connections: Connections<S>) {
    let session = connections.session(&[]).await;
    receipt(session.apply(bind(None, b"device")).await);
    let at = Instants::at(session.start);
    let removed = connections.second.remove(session.id, None, at).await;
    assert_eq!(removed.expect("remove"), RemoveOutcome::Removed);
    for expected in [None, Some(&b"device"[..])] {
        let late = session.apply(bind(expected, b"other")).await;
        assert_eq!(late, ApplyOutcome::Missing);
    }
    assert_eq!(session.load().await, None);
}
