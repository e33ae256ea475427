//! Records come back as they were, and go when they must.

use super::{
    ABSOLUTE, ApplyOutcome, Connections, CreateOutcome, IDLE, Instants, Record, SessionId,
    SessionStore, delta, millis, now, owner, rotate, rule_list, secret, set,
};
use crate::{
    model::{RETIRED_FOR, Retired},
    store::RemoveOutcome,
};

rule_list![
    a_record_comes_back_as_it_was_created,
    create_never_overwrites,
    an_unknown_session_is_missing_and_apply_does_not_create_it,
    a_wrong_secret_is_missing_and_changes_nothing,
    rotation_admits_the_new_token_and_tells_the_old_one_for_a_minute,
    remove_needs_the_right_secret_or_none,
    a_removed_session_stays_dead,
];

async fn a_record_comes_back_as_it_was_created<S: SessionStore>(connections: Connections<S>) {
    let megabyte: Vec<u8> = (0..1024 * 1024_u32).map(|i| (i % 251) as u8).collect();
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
                ("megabyte", &megabyte),
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
    super::receipt(old.apply(rotate(new.secret)).await);
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
    super::receipt(new.apply(rotate(newest.secret)).await);
    assert_eq!(new.apply(set("a", "2")).await, ApplyOutcome::Superseded);
    assert_eq!(
        old.apply(set("a", "2")).await,
        ApplyOutcome::Missing,
        "only the last one is told"
    );
    super::receipt(newest.apply(set("a", "2")).await);
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
