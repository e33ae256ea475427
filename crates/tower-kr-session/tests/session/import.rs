//! Sessions of another layer move here.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tower_kr_session::{
    SessionError, Timestamp,
    import::State,
    key::KeyBuf,
    store::{Delta, SignIn},
};

use crate::support::{App, ok, on_each_store, owner};

on_each_store!(
    an_import_is_a_session_under_the_derived_token,
    of_two_requests_that_import_one_session_one_stores_it,
    an_import_that_rotated_or_ended_is_told_from_one_that_never_was,
    a_revocation_of_the_user_ends_what_has_not_moved_yet,
    an_import_may_be_too_large_and_brings_its_limits,
);

const OLD: &[u8] = b"the old secret";

fn values() -> Delta {
    let mut delta = Delta::new(0);
    delta.change(KeyBuf::new("a").unwrap(), Some(Bytes::from_static(b"7")));
    delta
}

fn signed_in(at: Timestamp) -> Delta {
    let mut delta = values();
    delta.sign_in = Some(SignIn::new(owner("max"), at));
    delta
}

const EPOCH: Timestamp = Timestamp::from_unix_millis(0);

async fn an_import_is_a_session_under_the_derived_token(app: App) {
    let import = app.sessions().import(OLD);
    assert_eq!(import.state().await.unwrap(), State::Absent);
    assert!(import.store(signed_in(EPOCH)).await.unwrap());
    assert_eq!(import.state().await.unwrap(), State::Current);
    assert!(app.sessions().is_imported_token(import.token().as_bytes()));
    assert_eq!(app.read(import.token(), "a").await, Some(7));
    let reply = app
        .with(Some(import.token()), |session| async move {
            let id = session.presented_id();
            assert!(id.is_some() && id == session.id().await?);
            assert_eq!(session.owner().await?, Some(owner("max")));
            // Nobody knows when: certainly not just now.
            assert!(
                !session
                    .authenticated_within(Duration::from_secs(300))
                    .await?
            );
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    assert_eq!(app.sessions().list(&owner("max")).await.unwrap().len(), 1);
}

async fn of_two_requests_that_import_one_session_one_stores_it(app: App) {
    let (first, second) = (app.sessions().import(OLD), app.sessions().import(OLD));
    assert_eq!(first.token(), second.token());
    assert!(first.store(values()).await.unwrap());
    assert!(!second.store(values()).await.unwrap());
    assert_eq!(app.records(), 1);
}

async fn an_import_that_rotated_or_ended_is_told_from_one_that_never_was(app: App) {
    let import = app.sessions().import(OLD);
    import.store(values()).await.unwrap();
    let rotate = app.with(Some(import.token()), |session| async move {
        session.rotate()?;
        Ok(ok(""))
    });
    let rotated = rotate.await.token();
    assert!(!app.sessions().is_imported_token(rotated.as_bytes()));
    assert_eq!(import.state().await.unwrap(), State::Rotated);
    app.advance(Duration::from_secs(15));
    assert_eq!(import.state().await.unwrap(), State::Rotated);
    let end = app.with(Some(&rotated), |session| async move {
        session.destroy()?;
        Ok(ok(""))
    });
    assert!(end.await.removes_cookie());
    assert_eq!(import.state().await.unwrap(), State::Absent);
}

async fn a_revocation_of_the_user_ends_what_has_not_moved_yet(app: App) {
    app.sessions().revoke_all(&owner("max")).await.unwrap();
    app.advance(Duration::from_secs(1));
    let import = app.sessions().import(OLD);
    let refused = import.store(signed_in(EPOCH)).await.unwrap_err();
    assert!(matches!(refused, SessionError::Revoked), "{refused}");
    assert_eq!(import.state().await.unwrap(), State::Absent);
    // Without a user it is nobody's.
    assert!(import.store(values()).await.unwrap());
}

async fn an_import_may_be_too_large_and_brings_its_limits(mut app: App) {
    app.layer = app.layer.max_session_bytes(10);
    let import = app.sessions().import(OLD);
    let mut large = values();
    large.change(
        KeyBuf::new("b").unwrap(),
        Some(Bytes::from_static(b"1234567890")),
    );
    let refused = import.store(large).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);

    let mut delta = values();
    delta.limits.persistent = Some(true);
    delta.limits.absolute_timeout = Some(Duration::from_secs(3_000));
    import.store(delta).await.unwrap();
    let reply = app.with(Some(import.token()), |session| async move {
        assert_eq!(session.is_persistent().await?, Some(true));
        assert_eq!(
            session.absolute_timeout().await?,
            Some(Duration::from_secs(3_000))
        );
        assert_eq!(session.idle_timeout().await?, Some(crate::support::IDLE));
        Ok(ok(""))
    });
    reply.await.assert_plain();
}
