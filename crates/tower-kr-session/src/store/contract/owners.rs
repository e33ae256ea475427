//! Rules: a user's sessions are listed and revoked.

use std::collections::BTreeSet;

use super::{
    ABSOLUTE, ApplyOutcome, Connections, CreateOutcome, IDLE, Instants, Owner, Record, SessionId,
    SessionStore, Subject, millis, owner, receipt, rotate, rule_list, secret, set, sign_in,
};
use crate::{
    model::{Label, Timestamp},
    store::RemoveOutcome,
};

rule_list![
    signing_in_sets_owner_time_and_a_fresh_absolute_deadline,
    an_owner_is_written_once,
    a_refused_sign_in_leaves_no_trace,
    the_list_has_exactly_the_users_live_sessions,
    a_part_of_the_list_has_as_many_live_sessions_as_are_asked_for,
    revoking_removes_all_sessions_of_the_user_and_no_other,
    revoking_all_but_one_keeps_that_one,
    a_sign_in_from_before_a_revocation_does_not_survive_it,
    a_sign_in_by_a_clock_that_is_ahead_does_not_outlive_a_revocation,
    a_summary_has_the_owner_the_label_and_the_last_use,
    owners_are_data,
];

async fn signed_in<S: SessionStore>(connections: &Connections<S>, owner: &Owner) -> Subject<S> {
    let session = connections.session(&[("a", "1")]).await;
    receipt(session.apply(sign_in(owner, session.start)).await);
    session
}

async fn ids<S: SessionStore>(store: &S, owner: &Owner, at: Timestamp) -> Vec<SessionId> {
    let list = store.list(owner, at).await.expect("list");
    list.into_iter().map(|session| session.id).collect()
}

async fn signing_in_sets_owner_time_and_a_fresh_absolute_deadline<S: SessionStore>(
    connections: Connections<S>,
) {
    let owner = owner("max");
    let session = connections.session(&[("a", "1")]).await;
    let moment = session.at(millis(10_000));
    let new = session.holding(secret());
    let mut delta = sign_in(&owner, moment);
    delta.rotate = Some(new.secret);
    let done = receipt(session.apply_at(delta, Instants::at(moment)).await);
    assert_eq!(done.absolute_deadline, moment.saturating_add(ABSOLUTE));
    let record = new.record().await;
    assert_eq!(record.secret, new.secret);
    assert_eq!(record.owner, Some(owner.clone()));
    assert_eq!(record.authenticated_at, Some(moment));
    assert_eq!(record.absolute_deadline, moment.saturating_add(ABSOLUTE));
    assert_eq!(
        record.values.get("a"),
        Some(&b"1"[..]),
        "the values are kept"
    );
    assert_eq!(session.apply(set("a", "2")).await, ApplyOutcome::Superseded);

    // The same user signs in again.
    let again = session.at(millis(12_000));
    receipt(
        new.apply_at(sign_in(&owner, again), Instants::at(again))
            .await,
    );
    assert_eq!(new.record().await.authenticated_at, Some(again));
    assert_eq!(ids(&*connections.second, &owner, again).await, [session.id]);
}

async fn a_refused_sign_in_leaves_no_trace<S: SessionStore>(connections: Connections<S>) {
    let (first, second) = (owner("first"), owner("second"));
    let session = connections.session(&[("a", "1")]).await;
    let mut too_large = sign_in(&first, session.start);
    too_large.max_bytes = 0;
    too_large.change(super::key("b"), Some(bytes::Bytes::from_static(b"2")));
    assert!(matches!(
        session.apply(too_large).await,
        ApplyOutcome::TooLarge { .. }
    ));
    receipt(session.apply(sign_in(&second, session.start)).await);
    let removed = connections
        .second
        .remove_owned(&first, None, session.start)
        .await;
    assert_eq!(removed.expect("remove_owned"), 0);
    assert_eq!(session.record().await.owner, Some(second));
}

async fn an_owner_is_written_once<S: SessionStore>(connections: Connections<S>) {
    let (first, second) = (owner("first"), owner("second"));
    let session = signed_in(&connections, &first).await;
    let before = session.record().await;
    assert_eq!(
        session.apply(sign_in(&second, session.start)).await,
        ApplyOutcome::OtherOwner
    );
    assert_eq!(session.record().await, before);
    assert_eq!(ids(&*connections.first, &second, session.start).await, []);
    assert_eq!(
        ids(&*connections.first, &first, session.start).await,
        [session.id]
    );
}

async fn the_list_has_exactly_the_users_live_sessions<S: SessionStore>(
    connections: Connections<S>,
) {
    let (user, other) = (owner("user"), owner("other"));
    let first = signed_in(&connections, &user).await;
    let second = signed_in(&connections, &user).await;
    let gone = signed_in(&connections, &user).await;
    signed_in(&connections, &other).await;
    connections.session(&[]).await;
    let removed = gone
        .store
        .remove(gone.id, Some(&gone.secret), Instants::at(gone.start))
        .await;
    assert_eq!(removed.expect("remove"), RemoveOutcome::Removed);

    // The oldest come first; ids ascend with time and break ties.
    let list = connections
        .second
        .list(&user, second.start)
        .await
        .expect("list");
    let mut expected = [(first.start, first.id), (second.start, second.id)];
    expected.sort();
    let found: Vec<_> = list
        .iter()
        .map(|session| (session.created_at, session.id))
        .collect();
    assert_eq!(found, expected);
    for session in &list {
        assert!(session.authenticated_at.is_some());
        assert!(session.expires_at > second.start);
        assert!(session.expires_at <= second.start.saturating_add(IDLE.timeout));
    }

    receipt(
        second
            .apply_at(super::delta(), Instants::at(second.at(millis(15_000))))
            .await,
    );
    let later = first.at(IDLE.timeout + IDLE.touch_interval);
    assert_eq!(ids(&*connections.first, &user, later).await, [second.id]);
}

async fn a_part_of_the_list_has_as_many_live_sessions_as_are_asked_for<S: SessionStore>(
    connections: Connections<S>,
) {
    const COUNT: usize = 7;
    let (user, other) = (owner("user"), owner("other"));
    signed_in(&connections, &other).await;
    let mut sessions = Vec::new();
    for _ in 0..COUNT {
        sessions.push(signed_in(&connections, &user).await);
    }
    let later = sessions[0].at(millis(15_000));
    let used = &sessions[COUNT - 3..];
    for session in used {
        receipt(session.apply_at(super::delta(), Instants::at(later)).await);
    }
    let expired = sessions[COUNT - 1].at(IDLE.timeout + IDLE.touch_interval);
    let of = |sessions: &[Subject<S>]| -> BTreeSet<SessionId> {
        sessions.iter().map(|session| session.id).collect()
    };
    for (at, alive) in [(later, of(&sessions)), (expired, of(used))] {
        for most in 0..=COUNT + 1 {
            let some = connections.second.list_up_to(&user, most, at).await;
            let some = some.expect("list_up_to");
            assert_eq!(some.len(), most.min(alive.len()), "of {}", alive.len());
            let ids: BTreeSet<_> = some.iter().map(|session| session.id).collect();
            assert_eq!(ids.len(), some.len(), "each once");
            assert!(ids.is_subset(&alive));
        }
    }
    let list = connections.first.list(&user, later).await.expect("list");
    let some = connections.second.list_up_to(&user, COUNT, later).await;
    for session in some.expect("list_up_to") {
        assert!(list.contains(&session), "{session:?} is as in the list");
    }
}

async fn revoking_removes_all_sessions_of_the_user_and_no_other<S: SessionStore>(
    connections: Connections<S>,
) {
    let (user, other) = (owner("user"), owner("other"));
    let sessions = [
        signed_in(&connections, &user).await,
        signed_in(&connections, &user).await,
        signed_in(&connections, &user).await,
    ];
    let bystander = signed_in(&connections, &other).await;
    let at = bystander.start;
    let removed = connections.second.remove_owned(&user, None, at).await;
    assert_eq!(removed.expect("remove_owned"), 3);
    for session in &sessions {
        assert_eq!(session.load().await, None);
        assert_eq!(session.apply(set("a", "2")).await, ApplyOutcome::Missing);
        assert_eq!(session.apply(rotate(secret())).await, ApplyOutcome::Missing);
    }
    assert_eq!(ids(&*connections.first, &user, at).await, []);
    bystander.record().await;
    assert_eq!(ids(&*connections.first, &other, at).await, [bystander.id]);
    let again = connections.first.remove_owned(&user, None, at).await;
    assert_eq!(again.expect("remove_owned"), 0);
}

async fn revoking_all_but_one_keeps_that_one<S: SessionStore>(connections: Connections<S>) {
    let user = owner("user");
    let kept = signed_in(&connections, &user).await;
    let other = signed_in(&connections, &user).await;
    let removed = connections
        .first
        .remove_owned(&user, Some(kept.id), other.start)
        .await;
    assert_eq!(removed.expect("remove_owned"), 1);
    assert_eq!(other.load().await, None);
    receipt(kept.apply(set("a", "2")).await);
    assert_eq!(
        ids(&*connections.second, &user, other.start).await,
        [kept.id]
    );
    // The id of another user's session keeps nothing.
    let removed = connections
        .first
        .remove_owned(&user, Some(other.id), other.start)
        .await;
    assert_eq!(removed.expect("remove_owned"), 1);
    assert_eq!(kept.load().await, None);
}

async fn a_sign_in_from_before_a_revocation_does_not_survive_it<S: SessionStore>(
    connections: Connections<S>,
) {
    let user = owner("user");
    let session = connections.session(&[("a", "1")]).await;
    let revoked_at = session.at(millis(1_000));
    let removed = connections
        .first
        .remove_owned(&user, None, revoked_at)
        .await;
    assert_eq!(removed.expect("remove_owned"), 0);

    for checked_at in [session.start, revoked_at] {
        let late = session.through(&connections.second);
        assert_eq!(
            late.apply(sign_in(&user, checked_at)).await,
            ApplyOutcome::Revoked
        );
        let mut record = Record::new(secret(), session.start, IDLE, ABSOLUTE);
        record.owner = Some(user.clone());
        record.authenticated_at = Some(checked_at);
        let id = SessionId::generate(session.start);
        let created = connections.second.create(id, record, session.start).await;
        assert_eq!(created.expect("create"), CreateOutcome::Revoked);
        let loaded = connections.first.load(id, session.start).await;
        assert_eq!(loaded.expect("load"), None);
    }
    assert_eq!(session.record().await.owner, None);
    assert_eq!(ids(&*connections.first, &user, session.start).await, []);
    // A stranger learns nothing of the revocation.
    let stranger = session.holding(secret());
    assert_eq!(
        stranger.apply(sign_in(&user, revoked_at)).await,
        ApplyOutcome::Missing
    );
    // A revocation of an earlier time doesn't undo it.
    let earlier = connections
        .second
        .remove_owned(&user, None, session.start)
        .await;
    assert_eq!(earlier.expect("remove_owned"), 0);
    assert_eq!(
        session.apply(sign_in(&user, revoked_at)).await,
        ApplyOutcome::Revoked
    );

    let afterwards = session.at(millis(1_001));
    receipt(session.apply(sign_in(&user, afterwards)).await);
    assert_eq!(
        ids(&*connections.second, &user, session.start).await,
        [session.id]
    );
}

async fn a_sign_in_by_a_clock_that_is_ahead_does_not_outlive_a_revocation<S: SessionStore>(
    connections: Connections<S>,
) {
    const HOUR: std::time::Duration = std::time::Duration::from_secs(60 * 60);
    let (user, other) = (owner("user"), owner("other"));
    // Of a session that was there, by a node whose clock is right but for the time of the sign-in;
    // and of a new one, by a node whose clock is ahead altogether.
    let first = connections.session(&[("a", "1")]).await;
    let ahead = first.at(HOUR);
    receipt(first.apply(sign_in(&user, ahead)).await);
    let bystander = connections.session(&[("a", "1")]).await;
    receipt(bystander.apply(sign_in(&other, ahead)).await);
    let mut record = Record::new(secret(), ahead, IDLE, ABSOLUTE);
    record.owner = Some(user.clone());
    record.authenticated_at = Some(ahead);
    let second = SessionId::generate(ahead);
    let created = connections.first.create(second, record, ahead).await;
    assert_eq!(created.expect("create"), CreateOutcome::Created);

    let revoked_at = first.at(millis(1_000));
    let removed = connections
        .second
        .remove_owned(&user, None, revoked_at)
        .await;
    assert_eq!(removed.expect("remove_owned"), 2);
    assert_eq!(first.load().await, None);
    let loaded = connections.first.load(second, ahead).await;
    assert_eq!(loaded.expect("load"), None);
    bystander.record().await;
}

async fn a_summary_has_the_owner_the_label_and_the_last_use<S: SessionStore>(
    connections: Connections<S>,
) {
    let owner = owner("max");
    let label = |text: &str| Some(Label::new(text).expect("a valid label"));
    let summary = async |at: Timestamp| {
        let list = connections.second.list(&owner, at).await.expect("list");
        let [summary] = <[_; 1]>::try_from(list).expect("one session");
        assert_eq!(summary.owner, Some(owner.clone()));
        let some = connections.second.list_up_to(&owner, 1, at).await;
        let some = some.expect("list_up_to");
        assert_eq!(some.first(), Some(&summary));
        summary
    };
    let session = connections.session(&[("a", "1")]).await;
    let hostile = "\u{1f98a}'\"\\%s\0\u{202e}";
    for (text, since_start) in [(None, 0), (Some(hostile), 2_000), (Some("Firefox "), 4_000)] {
        let at = session.at(millis(since_start));
        let mut delta = sign_in(&owner, at);
        delta.sign_in.as_mut().expect("a sign-in").label = text.and_then(label);
        receipt(session.apply_at(delta, Instants::at(at)).await);
        let found = summary(at).await;
        assert_eq!(found.label, text.and_then(label));
        assert_eq!(found.last_used_at, at);
        // Neither a write nor a sign-in without a label takes it away.
        let later = at.saturating_add(millis(1_000));
        let again = sign_in(&owner, later);
        receipt(session.apply_at(again, Instants::at(later)).await);
        receipt(session.apply_at(set("a", "2"), Instants::at(later)).await);
        let found = summary(later.saturating_add(millis(500))).await;
        assert_eq!(found.label, text.and_then(label));
        assert_eq!(found.last_used_at, later);
    }
    let new = connections
        .session_with(|record| {
            record.owner = Some(super::owner("eve"));
            record.label = label(hostile).map(Box::new);
        })
        .await;
    assert_eq!(new.record().await.label, label(hostile).map(Box::new));
}

async fn owners_are_data<S: SessionStore>(connections: Connections<S>) {
    let unique = SessionId::generate(super::now()).to_string();
    let names = [
        "a",
        "A",
        "a ",
        "\u{e4}",
        "a\u{308}",
        "a%",
        "a_",
        "a*",
        "a'; --",
        "a\"",
        "a\\",
        "a\u{0}",
        "a\u{1f36a}",
        "{a}",
        "a:b",
    ];
    let owners: Vec<Owner> = names
        .iter()
        .map(|name| Owner::new(&format!("{unique}{name}")).expect("a valid owner"))
        .collect();
    let mut sessions = Vec::new();
    for owner in &owners {
        sessions.push(signed_in(&connections, owner).await);
    }
    let at = sessions[0].start;
    for (owner, session) in owners.iter().zip(&sessions) {
        assert_eq!(
            ids(&*connections.second, owner, at).await,
            [session.id],
            "{owner:?}"
        );
        assert_eq!(session.record().await.owner.as_ref(), Some(owner));
    }
    for (index, owner) in owners.iter().enumerate() {
        let removed = connections.first.remove_owned(owner, None, at).await;
        assert_eq!(removed.expect("remove_owned"), 1, "{owner:?}");
        for (other, session) in sessions.iter().enumerate() {
            assert_eq!(session.load().await.is_some(), other > index);
        }
    }
}
