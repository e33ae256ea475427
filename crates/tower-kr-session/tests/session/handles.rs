//! Handles that outlive the response, and the one outside of requests.

use std::time::Duration;

use tower_kr_session::{Session, SessionError, Status};

use crate::{
    support::{ABSOLUTE, App, Behaviour, IDLE, NAME, ok, on_each_store, owner},
    timeouts::TOUCH,
};

on_each_store!(
    after_the_head_a_plain_handle_refuses_what_nobody_would_store,
    a_detached_handle_stores_with_save,
    a_handle_that_outlives_its_request_reads_what_the_commit_stored,
    no_session_starts_after_the_head,
    save_commits_before_the_response_and_says_what_happened,
    after_a_deadline_a_handle_says_that_the_session_is_over,
    a_handle_follows_a_session_that_others_keep_in_use,
    reload_finds_a_sign_out_a_revocation_and_a_new_token,
    after_a_commit_a_handle_asks_before_it_says_that_the_session_lives,
    what_a_handle_reads_is_the_same_over_every_store,
    save_is_no_success_after_a_change_that_failed,
    debug_shows_the_id_alone,
    the_presented_id_is_that_of_the_token_until_it_is_known_to_open_nothing,
);

/// The session of a request whose response has left.
async fn kept(app: &App, token: Option<&str>, detach: bool) -> Session {
    let (sender, receiver) = std::sync::mpsc::channel();
    let reply = app
        .with(token, move |session| async move {
            session.get::<i64>("a").await?;
            sender
                .send(if detach { session.detach() } else { session })
                .unwrap();
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    receiver.recv().unwrap()
}

async fn sign_in(app: &App) -> String {
    let reply = app
        .with(None, |session| async move {
            session.sign_in("max")?;
            session.insert("a", &1)?;
            Ok(ok(""))
        })
        .await;
    reply.token()
}

async fn assert_over(session: &Session, status: Status) {
    assert_eq!(session.get::<i64>("a").await.unwrap(), None);
    assert_eq!(session.owner().await.unwrap(), None);
    assert_eq!(session.id().await.unwrap(), None);
    assert_eq!(session.status().await.unwrap(), status);
    assert_eq!(session.expires_at().await.unwrap(), None);
    let window = Duration::from_secs(3_600);
    assert!(!session.authenticated_within(window).await.unwrap());
}

/// One call alone, on a handle that knows the session as alive.
async fn is_over(session: &Session, call: usize) -> bool {
    match call {
        0 => session.get::<i64>("a").await.unwrap().is_none(),
        1 => session.owner().await.unwrap().is_none(),
        2 => session.id().await.unwrap().is_none(),
        3 => session.status().await.unwrap() == Status::Expired,
        4 => session.keys().await.unwrap().is_empty(),
        5 => session.expires_at().await.unwrap().is_none(),
        6 => matches!(session.save().await, Err(SessionError::Ended)),
        _ => matches!(session.increment("n", 1).await, Err(SessionError::Ended)),
    }
}

async fn after_a_deadline_a_handle_says_that_the_session_is_over(app: App) {
    for call in 0..8 {
        let token = sign_in(&app).await;
        let left = kept(&app, Some(&token), call % 2 == 0).await;
        assert!(!is_over(&left, call).await, "{call}");
        app.advance(IDLE + TOUCH);
        assert!(is_over(&left, call).await, "{call}");
        assert_over(&left, Status::Expired).await;

        let token = sign_in(&app).await;
        let used = kept(&app, Some(&token), true).await;
        for _ in 0..16 {
            app.advance(IDLE - TOUCH);
            app.read(&token, "a").await;
        }
        assert_eq!(app.read(&token, "a").await, None, "it is too old");
        assert!(is_over(&used, call).await, "{call}");
        let save = used.save().await;
        assert!(matches!(save, Err(SessionError::Ended)), "{save:?}");
    }
}

async fn a_handle_follows_a_session_that_others_keep_in_use(app: App) {
    let token = sign_in(&app).await;
    let session = kept(&app, Some(&token), true).await;
    let first = session.expires_at().await.unwrap().unwrap();
    app.advance(IDLE / 2);
    assert_eq!(
        session.expires_at().await.unwrap(),
        Some(first),
        "a handle that outlives its request is no activity"
    );
    for _ in 0..3 {
        app.advance(IDLE / 2);
        app.with(Some(&token), |session| async move {
            session.increment("a", 1).await?;
            Ok(ok(""))
        })
        .await
        .assert_plain();
    }
    assert_eq!(session.owner().await.unwrap(), Some(owner("max")));
    assert_eq!(session.get::<i64>("a").await.unwrap(), Some(4));
    assert!(session.expires_at().await.unwrap().unwrap() > first);
    session.save().await.unwrap();
}

async fn reload_finds_a_sign_out_a_revocation_and_a_new_token(app: App) {
    for how in ["sign out", "revoke", "step up"] {
        let token = sign_in(&app).await;
        let session = kept(&app, Some(&token), true).await;
        session.reload().await.unwrap();
        assert_eq!(session.get::<i64>("a").await.unwrap(), Some(1));
        let elsewhere = app.with(Some(&token), move |session| async move {
            match how {
                "sign out" => session.sign_out()?,
                "step up" => session.sign_in("max")?,
                _ => {}
            }
            Ok(ok(""))
        });
        elsewhere.await.assert_done();
        if how == "revoke" {
            app.sessions().revoke_all(&owner("max")).await.unwrap();
        }
        assert_eq!(
            session.get::<i64>("a").await.unwrap(),
            Some(1),
            "it reads what it loaded"
        );
        session.reload().await.unwrap();
        if how == "step up" {
            assert_over(&session, Status::Superseded).await;
            let save = session.save().await;
            assert!(matches!(save, Err(SessionError::Superseded)), "{save:?}");
        } else {
            assert_over(&session, Status::Expired).await;
            let save = session.save().await;
            assert!(matches!(save, Err(SessionError::Ended)), "{save:?}");
        }
    }
}

async fn after_a_commit_a_handle_asks_before_it_says_that_the_session_lives(app: App) {
    for ended in [false, true] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let reply = app
            .with(None, move |session| async move {
                session.sign_in("max")?;
                sender.send(session.detach()).unwrap();
                Ok(ok(""))
            })
            .await;
        let session = receiver.recv().unwrap();
        if ended {
            app.sessions().revoke_all(&owner("max")).await.unwrap();
            assert_over(&session, Status::Expired).await;
        } else {
            assert_eq!(session.id().await.unwrap(), app.id(&reply.token()).await);
            assert_eq!(session.owner().await.unwrap(), Some(owner("max")));
        }
    }
}

async fn what_a_handle_reads_is_the_same_over_every_store(app: App) {
    let token = app.start(&[("a", 1), ("n", 1)]).await;
    let session = kept(&app, Some(&token), true).await;
    let others_write = async |value: i64| {
        app.with(Some(&token), move |session| async move {
            session.insert("a", &value)?;
            Ok(ok(""))
        })
        .await
        .assert_plain();
    };
    let read = async || session.get::<i64>("a").await.unwrap();
    others_write(2).await;
    assert_eq!(read().await, Some(1), "what it loaded");
    assert_eq!(session.increment("n", 1).await.unwrap(), 2);
    assert_eq!(read().await, Some(2), "loaded anew after its own write");
    others_write(3).await;
    assert_eq!(read().await, Some(2));
    session.insert("b", &1).unwrap();
    assert_eq!(read().await, Some(2));
    session.save().await.unwrap();
    assert_eq!(read().await, Some(3));
    others_write(4).await;
    session.save().await.unwrap();
    assert_eq!(read().await, Some(3), "nothing was written");
    session.reload().await.unwrap();
    assert_eq!(read().await, Some(4));
    others_write(5).await;
    assert_eq!(session.take::<i64>("b").await.unwrap(), Some(1));
    assert_eq!(read().await, Some(5));
}

async fn save_is_no_success_after_a_change_that_failed(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let session = kept(&app, Some(&token), true).await;
    let large = "x".repeat(256 * 1024);
    for fault in 0..3 {
        session.insert("b", &2).unwrap();
        let failed = match fault {
            0 => session.insert("c", &f64::NAN),
            1 => session.insert("", &1),
            _ => session.insert("c", &large),
        };
        let failed = failed.unwrap_err();
        let saved = session.save().await.unwrap_err();
        assert_eq!(saved.to_string(), failed.to_string());
        session.save().await.unwrap();
        assert_eq!(app.read(&token, "b").await, None, "all or nothing");
    }
    session.insert("b", &2).unwrap();
    session.save().await.unwrap();
    assert_eq!(app.read(&token, "b").await, Some(2));

    let plain = kept(&app, Some(&token), false).await;
    assert!(is_sent(plain.insert("a", &2)));
    assert!(is_sent(plain.save().await));
    plain.save().await.unwrap();
    assert_eq!(app.read(&token, "a").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_handle_goes_on_after_a_failure_of_the_store_once_it_is_reloaded() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    let session = kept(&app, Some(&token), true).await;
    for behaviour in [Behaviour::Fail, Behaviour::Hang] {
        app.remote.set(behaviour);
        session.insert("a", &2).unwrap();
        let failed = session.save().await.unwrap_err();
        assert!(failed.is_temporary(), "{failed}");
        assert!(session.reload().await.is_err());
        assert!(session.get::<i64>("a").await.is_err(), "nobody knows");
        app.remote.set(Behaviour::Answer);
        assert!(session.get::<i64>("a").await.is_err(), "nobody asked");
        session.reload().await.unwrap();
        assert_eq!(session.get::<i64>("a").await.unwrap(), Some(1));
    }
    // Within a request, the response still has to tell of it.
    let remote = std::sync::Arc::clone(&app.remote);
    let reply = app
        .with(Some(&token), move |session| async move {
            remote.set(Behaviour::Fail);
            assert!(session.get::<i64>("a").await.is_err());
            remote.set(Behaviour::Answer);
            assert!(session.reload().await.is_err());
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(http::StatusCode::SERVICE_UNAVAILABLE);
}

fn is_sent(result: Result<(), SessionError>) -> bool {
    matches!(result, Err(SessionError::ResponseSent(_)))
}

async fn after_the_head_a_plain_handle_refuses_what_nobody_would_store(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let session = kept(&app, Some(&token), false).await;
    assert!(is_sent(session.insert("a", &2)));
    assert!(is_sent(session.remove("a")));
    assert!(is_sent(session.clear()));
    assert!(is_sent(session.destroy()));
    assert!(is_sent(session.rotate()));
    assert!(is_sent(session.sign_in("max")));
    assert!(is_sent(session.set_persistent(true)));
    assert_eq!(session.get::<i64>("a").await.unwrap(), Some(1));
    assert_eq!(
        session.increment("n", 1).await.unwrap(),
        1,
        "stored at once"
    );
    assert_eq!(app.read(&token, "a").await, Some(1));
    assert_eq!(app.read(&token, "n").await, Some(1));
}

#[tokio::test]
async fn an_untouched_session_is_closed_with_the_response_too() {
    let app = App::over_io();
    let (sender, receiver) = std::sync::mpsc::channel();
    app.with(None, move |session| async move {
        sender.send(session).unwrap();
        Ok(ok(""))
    })
    .await
    .assert_plain();
    assert!(is_sent(receiver.recv().unwrap().insert("a", &1)));
}

async fn a_detached_handle_stores_with_save(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let session = kept(&app, Some(&token), true).await;
    session.insert("a", &2).unwrap();
    assert_eq!(app.read(&token, "a").await, Some(1));
    session.save().await.unwrap();
    assert_eq!(app.read(&token, "a").await, Some(2));
    assert!(is_sent(session.rotate()));
    assert!(is_sent(session.sign_in("max")));
    session.destroy().unwrap();
    session.save().await.unwrap();
    assert_eq!(app.read(&token, "a").await, None);
    assert_eq!(app.records(), 0);
}

async fn a_handle_that_outlives_its_request_reads_what_the_commit_stored(app: App) {
    let token = app.start(&[("a", 1), ("n", 1)]).await;
    let (sender, receiver) = std::sync::mpsc::channel();
    app.with(Some(&token), move |session| async move {
        session.get::<i64>("a").await?;
        session.increment("n", 1).await?;
        session.insert("a", &2)?;
        session.insert("n", &7)?;
        session.insert("b", &3)?;
        sender.send(session.detach()).unwrap();
        Ok(ok(""))
    })
    .await
    .assert_plain();
    let session = receiver.recv().unwrap();
    let mut seen = Vec::new();
    for key in ["a", "b", "n"] {
        seen.push(session.get::<i64>(key).await.unwrap());
    }
    assert_eq!(seen, [Some(2), Some(3), Some(7)]);
    assert_eq!(session.keys().await.unwrap(), ["a", "b", "n"]);
}

async fn no_session_starts_after_the_head(app: App) {
    let session = kept(&app, None, true).await;
    session.insert("a", &1).unwrap();
    assert!(is_sent(session.save().await));
    assert!(is_sent(session.increment("a", 1).await.map(drop)));
    assert!(is_sent(session.update("a", |_| Some(1)).await.map(drop)));
    assert_eq!(app.records(), 0);
}

async fn save_commits_before_the_response_and_says_what_happened(app: App) {
    let inner = app.clone();
    let reply = app
        .with(None, move |session| async move {
            session.insert("a", &1)?;
            assert_eq!(session.id().await?, None, "about to start");
            session.save().await?;
            let id = session.id().await?.unwrap();
            assert_eq!(session.status().await?, Status::New);
            assert_eq!(inner.records(), 1);
            session.sign_in("max")?;
            session.save().await?;
            assert_eq!(session.id().await?, Some(id));
            session.insert("b", &2)?;
            Ok(ok(id))
        })
        .await;
    let token = reply.token();
    assert_eq!(app.id(&token).await.unwrap().to_string(), reply.body);
    assert_eq!(app.read(&token, "b").await, Some(2));
    assert_eq!(app.sessions().list(&owner("max")).await.unwrap().len(), 1);
}

async fn debug_shows_the_id_alone(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let id = app.id(&token).await.unwrap();
    let known = format!("Session {{ id: Some({id:?}), .. }}");
    assert_eq!(
        format!("{:?}", kept(&app, Some(&token), false).await),
        known
    );
    let unknown = kept(&app, None, false).await;
    assert_eq!(format!("{unknown:?}"), "Session { id: None, .. }");
}

async fn the_presented_id_is_that_of_the_token_until_it_is_known_to_open_nothing(app: App) {
    let (first, second) = (app.start(&[("a", 1)]).await, app.start(&[("a", 2)]).await);
    let id = app.id(&first).await;
    let cookies = [&first, &second].map(|token| format!("{NAME}={token}"));
    let assert_presented = async |cookies: &[String], expected| {
        let ask = move |session: Session| async move {
            assert_eq!(session.presented_id(), expected, "unread");
            session.insert("b", &1)?;
            assert_eq!(session.presented_id(), expected, "not looked for");
            session.discard();
            session.get::<i64>("a").await?;
            Ok(ok(format!("{:?}", session.presented_id())))
        };
        app.raw(cookies, ask).await.body
    };
    assert_eq!(assert_presented(&[], None).await, "None");
    // Both are alive: the request has no session.
    assert_eq!(assert_presented(&cookies, id).await, "None");
    let known = format!("{id:?}");
    assert_eq!(assert_presented(&cookies[..1], id).await, known);
    app.advance(ABSOLUTE);
    assert_eq!(assert_presented(&cookies[..1], id).await, "None", "expired");
}
