//! Requests that take long, handles that outlive them, and requests that are dropped.

use std::{sync::mpsc, time::Duration};

use http::StatusCode;
use tower_kr_session::{Session, SessionError};

use crate::support::{App, Behaviour, ok, on_each_store, owner, settle};

on_each_store!(
    a_slow_request_that_reads_in_time_keeps_its_session_alive,
    a_slow_request_reads_the_session_that_it_began_in,
    a_kept_handle_does_not_bring_back_what_expired_since,
    a_kept_handle_reads_what_it_saved,
    what_a_dropped_request_noted_can_not_be_stored_by_a_handle_that_outlives_it,
    a_handle_whose_notes_went_with_a_refused_commit_is_told_when_it_saves,
);

async fn a_slow_request_that_reads_in_time_keeps_its_session_alive(app: App) {
    let token = app.start(&[("a", 1)]).await;
    app.advance(Duration::from_secs(19));
    let inner = app.clone();
    app.with(Some(&token), move |session| async move {
        assert_eq!(session.get::<i64>("a").await?, Some(1));
        inner.advance(Duration::from_secs(3));
        Ok(ok(""))
    })
    .await
    .assert_plain();
    settle().await;
    assert_eq!(app.read(&token, "a").await, Some(1));
}

async fn a_slow_request_reads_the_session_that_it_began_in(app: App) {
    for at_once in [false, true] {
        let token = app.start(&[("a", 1)]).await;
        let inner = app.clone();
        app.with(Some(&token), move |session| async move {
            if at_once {
                session.increment("b", 1).await?;
            } else {
                session.insert("b", &1)?;
            }
            inner.advance(Duration::from_secs(30));
            assert_eq!(session.get::<i64>("a").await?, Some(1));
            session.insert("c", &1)?;
            Ok(ok(""))
        })
        .await
        .assert_plain();
        assert_eq!(app.read(&token, "c").await, Some(1));
    }
}

/// The handle of a request whose response has left.
async fn kept(app: &App, token: &str) -> Session {
    let (sender, receiver) = mpsc::channel();
    app.with(Some(token), move |session| async move {
        session.get::<i64>("a").await?;
        sender.send(session.detach()).unwrap();
        Ok(ok(""))
    })
    .await
    .assert_plain();
    receiver.recv().unwrap()
}

async fn a_kept_handle_does_not_bring_back_what_expired_since(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let session = kept(&app, &token).await;
    app.advance(Duration::from_secs(120));
    assert_eq!(app.read(&token, "a").await, None, "expired");
    let error = session.increment("n", 1).await.unwrap_err();
    assert!(matches!(error, SessionError::Ended), "{error}");
    assert_eq!(app.read(&token, "a").await, None);
}

async fn a_kept_handle_reads_what_it_saved(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let session = kept(&app, &token).await;
    session.insert("a", &2).unwrap();
    session.save().await.unwrap();
    assert_eq!(session.get::<i64>("a").await.unwrap(), Some(2));
}

async fn what_a_dropped_request_noted_can_not_be_stored_by_a_handle_that_outlives_it(app: App) {
    for save in [true, false] {
        let token = app.start(&[("a", 1)]).await;
        let (sender, receiver) = mpsc::channel();
        let dropped = app.with(Some(&token), move |session| async move {
            sender.send(session.detach()).unwrap();
            session.insert("a", &2)?;
            session.sign_in("max")?;
            std::future::pending().await
        });
        tokio::select! {
            biased;
            _ = dropped => unreachable!(),
            () = tokio::task::yield_now() => {}
        }
        let session = receiver.recv().unwrap();
        if save {
            let lost = session.save().await.unwrap_err();
            assert!(matches!(lost, SessionError::Interrupted), "{lost}");
            session.insert("n", &1).unwrap();
            session.save().await.unwrap();
        } else {
            assert_eq!(session.increment("n", 1).await.unwrap(), 1);
        }
        let own = app.read(&token, "n").await;
        assert_eq!(own, Some(1), "its own change is its own");
        assert_eq!(app.read(&token, "a").await, Some(1));
        assert_eq!(app.sessions().list(&owner("max")).await.unwrap(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_on_holds_up_each_other_call_for_the_io_timeout_at_most() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    let began = tokio::time::Instant::now();
    let remote = std::sync::Arc::clone(&app.remote);
    let reply = app
        .with(Some(&token), move |session| async move {
            remote.set(Behaviour::Hang);
            let mut first = Box::pin(session.get::<i64>("a"));
            tokio::select! {
                biased;
                _ = &mut first => unreachable!("the store hangs"),
                () = async {} => {}
            }
            remote.set(Behaviour::Answer);
            session.increment("n", 1).await?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    // The increment waited, and so did the commit.
    assert!(began.elapsed() <= crate::support::IO * 2 + Duration::from_millis(10));
    assert_eq!(app.read(&token, "n").await, None);
}

#[tokio::test]
async fn a_read_that_is_followed_by_a_write_needs_no_touch() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    app.advance(Duration::from_secs(10));
    app.remote.take_calls();
    app.with(Some(&token), |session| async move {
        session.get::<i64>("a").await?;
        session.increment("n", 1).await?;
        Ok(ok(""))
    })
    .await
    .assert_plain();
    settle().await;
    assert_eq!(app.remote.take_calls(), 2);
}

#[tokio::test]
async fn what_a_dropped_request_noted_does_not_come_back_with_a_change_that_fails() {
    let app = App::over_io();
    let token = app
        .with(None, |session| async move {
            session.insert("a", &1)?;
            session.insert("text", "x")?;
            Ok(ok(""))
        })
        .await
        .token();
    let (sender, receiver) = mpsc::channel();
    let dropped = app.with(Some(&token), move |session| async move {
        session.insert("a", &2)?;
        let detached = session.detach();
        sender.send(detached.clone()).unwrap();
        // It takes the noted value along, and is with the store when the client leaves.
        tokio::spawn(async move { detached.increment("text", 1).await.unwrap_err() });
        std::future::pending().await
    });
    tokio::select! {
        biased;
        _ = dropped => unreachable!(),
        () = async { tokio::task::yield_now().await } => {}
    }
    settle().await;
    let session = receiver.recv().unwrap();
    let lost = session.save().await.unwrap_err();
    assert!(matches!(lost, SessionError::Interrupted), "{lost}");
    session.save().await.unwrap();
    assert_eq!(app.read(&token, "a").await, Some(1));
}

async fn a_handle_whose_notes_went_with_a_refused_commit_is_told_when_it_saves(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let (sender, receiver) = mpsc::channel();
    let (inner, same) = (app.clone(), token.clone());
    let reply = app
        .with(Some(&token), move |session| async move {
            session.get::<i64>("a").await?;
            let detached = session.detach();
            detached.insert("b", &1)?;
            sender.send(detached).unwrap();
            inner
                .with(Some(&same), |session| async move {
                    session.destroy()?;
                    Ok(ok(""))
                })
                .await
                .assert_done();
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::CONFLICT);
    let detached = receiver.recv().unwrap();
    let refused = detached.save().await.unwrap_err();
    assert!(matches!(refused, SessionError::Ended), "{refused}");
}

#[tokio::test]
async fn a_handle_in_steady_use_does_not_hold_up_the_commit() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    app.with(Some(&token), |session| async move {
        let detached = session.detach();
        tokio::spawn(async move {
            loop {
                detached.increment("n", 1).await.unwrap();
            }
        });
        tokio::task::yield_now().await;
        session.insert("a", &2)?;
        Ok(ok(""))
    })
    .await
    .assert_plain();
    assert_eq!(app.read(&token, "a").await, Some(2));
}
