//! A store that is slow, down, or of another release.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Response, StatusCode, header};
use tower_kr_session::{Session, SessionError, StoreError};

use crate::support::{
    App, Behaviour, IO, Reply, ok, on_each_store, owner, settle, with_wrong_secret,
};

on_each_store!(
    a_server_error_stores_nothing_that_was_set_but_an_end,
    a_panic_a_dropped_request_and_an_inner_error_commit_nothing,
);

#[derive(Clone, Copy, Debug)]
enum Use {
    Read,
    Insert,
    Increment,
    SignIn,
    Destroy,
    Save,
}

const USES: [Use; 6] = [
    Use::Read,
    Use::Insert,
    Use::Increment,
    Use::SignIn,
    Use::Destroy,
    Use::Save,
];

/// Uses the session and, as careless handlers do, ignores what fails.
async fn careless(app: &App, token: Option<&str>, use_: Use) -> Reply {
    app.with(token, move |session| async move {
        match use_ {
            Use::Read => drop(session.get::<i64>("a").await),
            Use::Insert => session.insert("a", &2)?,
            Use::Increment => drop(session.increment("a", 1).await),
            Use::SignIn => session.sign_in("max")?,
            Use::Destroy => session.destroy()?,
            Use::Save => {
                session.insert("a", &2)?;
                drop(session.save().await);
            }
        }
        let mut response = ok("success!");
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, "/welcome".parse().unwrap());
        headers.insert(header::SET_COOKIE, "other=1".parse().unwrap());
        *response.status_mut() = StatusCode::SEE_OTHER;
        Ok(response)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_hangs_or_is_newer_never_leaves_a_success_with_the_client() {
    for behaviour in [
        Behaviour::Fail,
        Behaviour::Hang,
        Behaviour::DoAndHang,
        Behaviour::UnknownVersion,
    ] {
        for use_ in USES {
            let app = App::over_io();
            let token = app.start(&[("a", 1)]).await;
            app.remote.set(behaviour);
            let began = tokio::time::Instant::now();
            let reply = careless(&app, Some(&token), use_).await;
            reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(reply.headers.get(header::LOCATION), None);
            assert!(
                began.elapsed() <= IO + Duration::from_millis(10),
                "{:?}",
                began.elapsed()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_write_while_the_store_is_down_is_unavailable_too() {
    for use_ in [Use::Insert, Use::Increment, Use::SignIn, Use::Save] {
        let app = App::over_io();
        app.remote.set(Behaviour::Hang);
        let reply = careless(&app, None, use_).await;
        reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_ping_tells_whether_the_store_answers() {
    let app = App::over_io();
    assert!(app.sessions().ping().await.is_ok());
    app.remote.set(Behaviour::Fail);
    assert!(app.sessions().ping().await.unwrap_err().is_temporary());
}

#[tokio::test]
async fn a_ping_tells_whether_the_store_can_be_written_and_writes_only_if_requests_do_not() {
    let app = App::over_io();
    let sessions = app.sessions();
    let token = app.start(&[("a", 1)]).await;
    app.remote.take_calls();
    sessions.ping().await.unwrap();
    assert_eq!(app.remote.take_calls(), 2, "a session starts and ends");
    assert_eq!(app.records(), 1);
    app.with(Some(&token), |session| async move {
        session.increment("a", 1).await?;
        Ok(ok(""))
    })
    .await
    .assert_done();
    app.remote.take_calls();
    sessions.ping().await.unwrap();
    assert_eq!(app.remote.take_calls(), 1, "a change of a session counts");

    app.remote.set(Behaviour::RefuseWrites);
    app.advance(Duration::from_secs(3));
    assert!(sessions.ping().await.unwrap_err().is_temporary());
    app.remote.set(Behaviour::Answer);
    sessions.ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ping_waits_for_two_seconds() {
    let app = App::over_io();
    app.remote.set(Behaviour::Hang);
    let start = tokio::time::Instant::now();
    app.sessions().ping().await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}

#[tokio::test]
async fn requests_that_do_not_touch_the_session_never_notice() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    app.remote.set(Behaviour::Hang);
    app.with(None, |_| async { Ok(ok("")) })
        .await
        .assert_plain();
    app.with(Some(&token), |_| async { Ok(ok("")) })
        .await
        .assert_plain();
    app.remote.set(Behaviour::Answer);
    assert_eq!(
        app.read(&token, "a").await,
        Some(1),
        "and all is well afterwards"
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nothing_is_sent_again() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    app.remote.set(Behaviour::DoAndHang);
    app.remote.take_calls();
    let reply = app
        .with(Some(&token), |session| async move {
            session.insert("b", &1)?;
            assert!(session.increment("a", 1).await.is_err());
            assert!(session.increment("a", 1).await.is_err());
            assert!(session.get::<i64>("a").await.is_err());
            assert!(session.save().await.is_err());
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.remote.take_calls(), 1);
    app.remote.set(Behaviour::Answer);
    assert_eq!(app.read(&token, "a").await, Some(2), "it was done once");
}

#[tokio::test]
async fn a_dropped_write_poisons_and_a_dropped_read_does_not() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    let half_done = |write: bool| {
        let app = app.clone();
        let token = token.clone();
        async move {
            let remote = Arc::clone(&app.remote);
            app.with(Some(&token), move |session| async move {
                remote.set(Behaviour::Hang);
                let call = async {
                    if write {
                        session.increment("a", 1).await.map(Some)
                    } else {
                        session.get::<i64>("a").await
                    }
                };
                tokio::select! {
                    biased;
                    _ = call => panic!("the store hangs"),
                    () = tokio::task::yield_now() => {}
                }
                remote.set(Behaviour::Answer);
                Ok(ok(format!("{:?}", session.get::<i64>("a").await?)))
            })
            .await
        }
    };
    let read = half_done(false).await;
    read.assert_plain();
    assert_eq!(read.body, "Some(1)");
    let write = half_done(true).await;
    assert_eq!(write.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_failed_touch_harms_nobody() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    app.advance(Duration::from_secs(10));
    let remote = Arc::clone(&app.remote);
    let reply = app
        .with(Some(&token), move |session| async move {
            session.get::<i64>("a").await?;
            remote.set(Behaviour::Hang);
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
}

fn failed(status: StatusCode) -> Response<String> {
    let mut response = ok("my own error page");
    *response.status_mut() = status;
    response
}

async fn a_server_error_stores_nothing_that_was_set_but_an_end(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let reply = app
        .with(Some(&token), |session| async move {
            session.insert("a", &2)?;
            session.increment("at once", 1).await?;
            session.insert("b", &2)?;
            session.sign_in("max")?;
            session.set_persistent(true)?;
            Ok(failed(StatusCode::INTERNAL_SERVER_ERROR))
        })
        .await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply.body, "my own error page");
    assert_eq!(reply.set_cookie(), None);
    assert_eq!(
        app.read(&token, "a").await,
        Some(2),
        "went along with the increment"
    );
    assert_eq!(app.read(&token, "at once").await, Some(1));
    assert_eq!(app.read(&token, "b").await, None);
    assert!(app.sessions().list(&owner("max")).await.unwrap().is_empty());

    // What the client did wrong undoes nothing.
    let reply = app
        .with(Some(&token), |session| async move {
            session.insert("b", &3)?;
            Ok(failed(StatusCode::UNPROCESSABLE_ENTITY))
        })
        .await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(app.read(&token, "b").await, Some(3));

    let reply = app
        .with(Some(&token), |session| async move {
            session.destroy()?;
            session.insert("fresh", &1)?;
            Ok(failed(StatusCode::BAD_GATEWAY))
        })
        .await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    assert!(reply.removes_cookie(), "{reply:?}");
    assert_eq!(app.read(&token, "b").await, None);
    assert_eq!(app.records(), 0);
}

#[tokio::test]
async fn a_handlers_own_server_error_stays_when_the_commit_fails_too() {
    let mut app = App::over_io();
    app.layer = app.layer.on_error(|_, parts| {
        parts.headers.insert("x-hook", "was here".parse().unwrap());
    });
    let token = app.start(&[("a", 1)]).await;
    app.remote.set(Behaviour::Fail);
    let reply = app
        .with(Some(&token), |session| async move {
            session.destroy()?;
            Ok(failed(StatusCode::BAD_GATEWAY))
        })
        .await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    assert_eq!(reply.body, "my own error page");
    assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(reply.headers["x-hook"], "was here");
    assert!(matches!(
        reply.error,
        Some(SessionError::Store(StoreError::Unavailable(_)))
    ));
}

async fn a_panic_a_dropped_request_and_an_inner_error_commit_nothing(app: App) {
    use http::Request;
    use tower::{Layer, ServiceExt, service_fn};

    let token = app.start(&[("a", 1)]).await;
    let note = |session: &Session| session.insert("a", &2).unwrap();

    let (panicking, same) = (app.clone(), token.clone());
    let panicked = tokio::spawn(async move {
        panicking
            .with(Some(&same), move |session| async move {
                note(&session);
                assert!(session.id().await?.is_none(), "a panic in the handler");
                Ok(ok(""))
            })
            .await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(app.read(&token, "a").await, Some(1));

    let (kept, receiver) = std::sync::mpsc::channel();
    let dropped = app.with(Some(&token), move |session| async move {
        note(&session);
        kept.send(session).unwrap();
        std::future::pending().await
    });
    tokio::select! {
        biased;
        _ = dropped => unreachable!(),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(app.read(&token, "a").await, Some(1));
    let error = receiver.recv().unwrap().insert("a", &3).unwrap_err();
    assert!(matches!(error, SessionError::ResponseSent(_)), "{error}");

    let failing = app.layer.layer(service_fn(async |request: Request<()>| {
        note(request.extensions().get::<Session>().unwrap());
        Err::<Response<String>, _>("the inner service failed")
    }));
    let request = Request::get("/").header(header::COOKIE, format!("Kr.Session={token}"));
    let error = failing
        .oneshot(request.body(()).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error, "the inner service failed");
    assert_eq!(app.read(&token, "a").await, Some(1));
}

#[tokio::test]
async fn the_error_hook_sees_the_error_and_may_change_the_head() {
    let mut app = App::over_io();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    app.layer = app.layer.on_error(move |error, parts| {
        assert!(error.is_temporary());
        counter.fetch_add(1, Ordering::SeqCst);
        parts.headers.insert("x-hook", "was here".parse().unwrap());
    });
    app.remote.set(Behaviour::Fail);
    let reply = careless(&app, None, Use::Insert).await;
    reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.headers["x-hook"], "was here");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_that_was_saved_early_reaches_the_client_even_if_the_commit_fails() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    let remote = Arc::clone(&app.remote);
    let reply = app
        .with(Some(&token), move |session| async move {
            session.rotate()?;
            session.save().await?;
            remote.set(Behaviour::Fail);
            session.insert("a", &2)?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    app.remote.set(Behaviour::Answer);
    assert_eq!(app.read(&reply.token(), "a").await, Some(1));
}

#[tokio::test]
async fn a_sign_in_that_fails_takes_away_the_cookie_of_a_session_that_it_ended() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    let sign_in = |user| {
        move |session: Session| async move {
            session.sign_in(user)?;
            Ok(ok(""))
        }
    };
    let first = app.with(Some(&token), sign_in("first")).await.token();
    // The second user's change, the removal of the first one's session, and no session after that.
    app.remote.set_after(2, Behaviour::Fail);
    let reply = app.with(Some(&first), sign_in("second")).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.removes_cookie(), "{reply:?}");
    app.remote.set(Behaviour::Answer);
    assert_eq!(app.id(&first).await, None);
}

/// The client may have got the newer token by now, and its session goes on.
#[tokio::test]
async fn a_sign_in_that_fails_leaves_the_cookie_that_superseded_its_own() {
    let app = App::over_io();
    let rotate = |session: Session| async move {
        session.rotate()?;
        Ok(ok(""))
    };
    let old = app.start(&[("a", 1)]).await;
    let new = app.with(Some(&old), rotate).await.token();
    app.remote.set_after(1, Behaviour::Fail);
    let reply = app
        .with(Some(&old), |session| async move {
            session.destroy()?;
            session.sign_in("second")?;
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
    app.remote.set(Behaviour::Answer);
    assert!(app.id(&new).await.is_some());
}

#[tokio::test]
async fn a_save_that_is_dropped_while_it_looks_for_its_session_loses_nothing_in_silence() {
    for sign_in in [false, true] {
        let mut app = App::over_io();
        app.layer = app.layer.anonymous_idle_timeout(IO / 10);
        let token = app.start(&[("a", 1)]).await;
        let mut cookies = vec![format!("Kr.Session={token}")];
        if !sign_in {
            cookies.push(format!("Kr.Session={}", "A".repeat(64)));
        }
        let remote = Arc::clone(&app.remote);
        let reply = app
            .raw(&cookies, move |session| async move {
                session.insert("a", &2)?;
                if sign_in {
                    session.sign_in("max")?;
                }
                remote.set_after(usize::from(!sign_in), Behaviour::Hang);
                tokio::select! {
                    biased;
                    _ = session.save() => panic!("the store hangs"),
                    () = async { for _ in 0..4 { tokio::task::yield_now().await } } => {}
                }
                remote.set(Behaviour::Answer);
                Ok(ok(""))
            })
            .await;
        reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(app.read(&token, "a").await, Some(1));
    }
}

#[tokio::test]
async fn a_save_that_is_dropped_half_way_poisons() {
    for destroy in [false, true] {
        let app = App::over_io();
        let token = app.start(&[("a", 1)]).await;
        let remote = Arc::clone(&app.remote);
        let cookie = destroy.then_some(token.as_str());
        app.remote.take_calls();
        let reply = app
            .with(cookie, move |session| async move {
                if destroy {
                    session.destroy()?;
                } else {
                    session.insert("a", &2)?;
                }
                remote.set(Behaviour::Hang);
                tokio::select! {
                    biased;
                    _ = session.save() => panic!("the store hangs"),
                    () = tokio::task::yield_now() => {}
                }
                remote.set(Behaviour::Answer);
                session.insert("b", &1)?;
                Ok(ok(""))
            })
            .await;
        reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(app.remote.take_calls(), 1, "nothing is sent after that");
    }
}

#[tokio::test]
async fn what_a_missing_token_was_is_asked_once_and_delays_nobody() {
    let app = App::over_io();
    let live = app.start(&[("a", 1)]).await;
    let gone = app.start(&[("a", 1)]).await;
    app.with(Some(&gone), |session| async move {
        session.destroy()?;
        Ok(ok(""))
    })
    .await
    .assert_done();
    let wrong = with_wrong_secret(&live, &gone);
    // A load that hangs is not counted.
    for (behaviour, calls) in [(Behaviour::Answer, 3), (Behaviour::HangLoads, 2)] {
        app.remote.set(behaviour);
        for token in [&wrong, &gone] {
            app.remote.take_calls();
            let reply = app
                .with(Some(token), |session| async move {
                    session.insert("a", &2)?;
                    Ok(ok(""))
                })
                .await;
            assert_eq!(reply.status, StatusCode::OK);
            assert_ne!(reply.token(), *token);
            settle().await;
            assert_eq!(app.remote.take_calls(), calls);
        }
    }
    assert_eq!(app.records(), 5);
}
