//! What a sign-in is worth, for how long, and how many there may be.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tokio::{sync::Barrier, task::JoinSet};
use tower_kr_session::{Clock, SessionError, SessionLimit};

use crate::support::{App, Behaviour, Reply, ok, on_each_store, owner};

on_each_store!(
    a_sign_in_is_fresh_within_the_window_and_not_at_its_end,
    nobody_is_never_fresh,
    authenticated_at_is_the_time_of_the_last_sign_in,
    a_sign_in_of_this_request_is_fresh_also_once_it_is_saved,
    a_sign_in_of_a_clock_that_ran_ahead_is_not_fresh_until_that_time_comes,
    a_limit_that_was_lowered_holds_from_the_next_sign_in_on,
    a_limit_that_was_lowered_far_costs_each_sign_in_a_batch,
    the_sessions_of_one_owner_are_bounded_by_default_and_not_if_the_layer_says_so,
    under_a_limit_that_was_lowered_an_open_session_may_sign_in_again_and_ends_no_other,
    a_sign_in_over_the_limit_ends_the_oldest_session,
    a_clock_that_ran_ahead_keeps_nobody_out,
    a_session_that_others_displaced_while_it_signed_in_is_no_success,
    a_session_that_others_displaced_ends_also_where_there_are_very_many,
    a_sign_in_over_the_limit_can_be_refused_and_leaves_the_visitor_as_he_was,
    a_handler_can_tell_the_visitor_why_he_was_refused,
    the_id_of_an_open_session_without_its_secret_admits_no_further_one,
);

on_each_store!(
    in_threads:
    of_sign_ins_at_the_same_time_exactly_as_many_stay_as_are_allowed,
);

const WINDOW: Duration = Duration::from_secs(10);

async fn sign_in(app: &App, token: Option<&str>, user: &'static str) -> Reply {
    app.with(token, move |session| async move {
        session.sign_in(user)?;
        Ok(ok(""))
    })
    .await
}

async fn is_fresh(app: &App, token: Option<&str>, window: Duration) -> bool {
    let reply = app
        .with(token, move |session| async move {
            Ok(ok(session.authenticated_within(window).await?))
        })
        .await;
    reply.assert_plain();
    reply.body.parse().unwrap()
}

async fn a_sign_in_is_fresh_within_the_window_and_not_at_its_end(app: App) {
    let token = sign_in(&app, None, "max").await.token();
    assert!(is_fresh(&app, Some(&token), WINDOW).await);
    assert!(!is_fresh(&app, Some(&token), Duration::ZERO).await);
    app.advance(WINDOW - Duration::from_millis(1));
    assert!(is_fresh(&app, Some(&token), WINDOW).await);
    app.advance(Duration::from_millis(1));
    assert!(!is_fresh(&app, Some(&token), WINDOW).await);

    let again = sign_in(&app, Some(&token), "max").await.token();
    assert!(is_fresh(&app, Some(&again), WINDOW).await);
    assert!(!is_fresh(&app, Some(&token), WINDOW).await, "superseded");
}

async fn nobody_is_never_fresh(app: App) {
    assert!(!is_fresh(&app, None, Duration::MAX).await);
    let anonymous = app.start(&[("a", 1)]).await;
    assert!(!is_fresh(&app, Some(&anonymous), Duration::MAX).await);
    let token = sign_in(&app, None, "max").await.token();
    assert!(is_fresh(&app, Some(&token), Duration::MAX).await);
    let reply = app
        .with(Some(&token), |session| async move {
            session.sign_out()?;
            Ok(ok(session.authenticated_within(WINDOW).await?))
        })
        .await;
    assert_eq!(reply.body, "false");
}

async fn authenticated_at_is_the_time_of_the_last_sign_in(app: App) {
    let anonymous = app.start(&[("a", 1)]).await;
    app.with(Some(&anonymous), |session| async move {
        assert_eq!(session.authenticated_at().await?, None);
        Ok(ok(""))
    })
    .await
    .assert_plain();
    let first = Clock::now(&app.clock);
    let token = sign_in(&app, Some(&anonymous), "max").await.token();
    app.advance(WINDOW);
    let second = Clock::now(&app.clock);
    let again = app.with(Some(&token), move |session| async move {
        assert_eq!(session.authenticated_at().await?, Some(first));
        session.sign_in("max")?;
        assert_eq!(session.authenticated_at().await?, Some(second));
        Ok(ok(""))
    });
    assert_eq!(again.await.status, StatusCode::OK);
}

async fn a_sign_in_of_this_request_is_fresh_also_once_it_is_saved(app: App) {
    let token = sign_in(&app, None, "max").await.token();
    app.advance(WINDOW);
    let sessions = app.sessions();
    let reply = app
        .with(Some(&token), |session| async move {
            assert!(!session.authenticated_within(WINDOW).await?);
            // The sign-in after this counts as later, so by a millisecond as in the future.
            sessions.revoke_all(&owner("max")).await?;
            session.sign_in("max")?;
            assert!(session.authenticated_within(WINDOW).await?);
            session.save().await?;
            Ok(ok(session.authenticated_within(WINDOW).await?))
        })
        .await;
    assert_eq!(reply.body, "true");
}

async fn a_sign_in_of_a_clock_that_ran_ahead_is_not_fresh_until_that_time_comes(app: App) {
    let now = Clock::now(&app.clock);
    for (ahead, fresh) in [(10, true), (11, false), (3_600, false)] {
        app.clock
            .set(now.saturating_add(Duration::from_secs(ahead)));
        let token = sign_in(&app, None, "max").await.token();
        app.clock.set(now);
        assert_eq!(is_fresh(&app, Some(&token), WINDOW).await, fresh, "{ahead}");
        assert_eq!(is_fresh(&app, Some(&token), Duration::MAX).await, fresh);
    }
}

fn with_limit(mut app: App, limit: SessionLimit) -> App {
    app.layer = app.layer.max_sessions_per_owner(limit);
    app
}

async fn count(app: &App, user: &str) -> usize {
    app.sessions().list(&owner(user)).await.unwrap().len()
}

/// Signs in as a new client, a moment after the last one.
async fn sign_in_later(app: &App) -> String {
    app.advance(Duration::from_millis(1));
    sign_in(app, None, "max").await.token()
}

async fn is_alive(app: &App, token: &str) -> bool {
    app.id(token).await.is_some()
}

async fn a_sign_in_over_the_limit_ends_the_oldest_session(app: App) {
    let app = with_limit(app, SessionLimit::EndOldest(2));
    let other = sign_in(&app, None, "eve").await.token();
    let anonymous = app.start(&[("a", 1)]).await;
    let first = sign_in_later(&app).await;
    let second = sign_in_later(&app).await;
    let third = sign_in_later(&app).await;
    assert!(!is_alive(&app, &first).await);
    for token in [&second, &third, &other, &anonymous] {
        assert!(is_alive(&app, token).await);
    }

    // Who proves their identity again is not one more, and the newest one.
    app.advance(Duration::from_millis(1));
    let second = sign_in(&app, Some(&second), "max").await.token();
    assert_eq!(count(&app, "max").await, 2);
    let fourth = sign_in_later(&app).await;
    assert!(!is_alive(&app, &third).await);
    for token in [&second, &fourth, &other, &anonymous] {
        assert!(is_alive(&app, token).await);
    }
}

async fn a_limit_that_was_lowered_holds_from_the_next_sign_in_on(app: App) {
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(sign_in_later(&app).await);
    }
    let app = with_limit(app, SessionLimit::EndOldest(2));
    tokens.push(sign_in_later(&app).await);
    for (index, token) in tokens.iter().enumerate() {
        assert_eq!(is_alive(&app, token).await, index >= 4, "{index}");
    }
}

async fn a_limit_that_was_lowered_far_costs_each_sign_in_a_batch(app: App) {
    let unlimited = with_limit(app.clone(), SessionLimit::Unlimited);
    for _ in 0..150 {
        sign_in_later(&unlimited).await;
    }
    let app = with_limit(app, SessionLimit::EndOldest(2));
    for left in [151 - 64, 152 - 128, 2, 2] {
        let token = sign_in_later(&app).await;
        assert!(is_alive(&app, &token).await);
        assert_eq!(count(&app, "max").await, left);
    }
}

async fn a_clock_that_ran_ahead_keeps_nobody_out(app: App) {
    let app = with_limit(app, SessionLimit::EndOldest(1));
    let now = Clock::now(&app.clock);
    app.clock.set(now.saturating_add(Duration::from_secs(10)));
    let ahead = sign_in(&app, None, "max").await.token();
    app.clock.set(now);
    let token = sign_in(&app, None, "max").await.token();
    assert!(is_alive(&app, &token).await);
    assert!(!is_alive(&app, &ahead).await);
}

async fn the_sessions_of_one_owner_are_bounded_by_default_and_not_if_the_layer_says_so(app: App) {
    let unlimited = with_limit(app.clone(), SessionLimit::Unlimited);
    for _ in 0..101 {
        sign_in_later(&unlimited).await;
    }
    assert_eq!(count(&app, "max").await, 101);
    sign_in_later(&app).await;
    assert_eq!(count(&app, "max").await, 100);
}

#[tokio::test]
async fn what_a_limit_costs() {
    for (limit, calls) in [
        (SessionLimit::Unlimited, 1),
        (SessionLimit::EndOldest(2), 2),
        (SessionLimit::Refuse(2), 3),
    ] {
        let app = with_limit(App::over_io(), limit);
        sign_in(&app, None, "max").await.assert_done();
        assert_eq!(app.remote.take_calls(), calls, "{limit:?}");
    }
}

#[tokio::test]
async fn a_sign_in_looks_at_no_more_sessions_than_the_limit_and_a_batch() {
    let app = App::over_io();
    let unlimited = with_limit(app.clone(), SessionLimit::Unlimited);
    for _ in 0..300 {
        sign_in_later(&unlimited).await;
    }
    for (limit, status, listed) in [
        (SessionLimit::EndOldest(2), StatusCode::OK, 2 + 64),
        (SessionLimit::Refuse(2), StatusCode::CONFLICT, 2),
        (SessionLimit::EndOldest(100), StatusCode::OK, 100 + 64),
    ] {
        let app = with_limit(app.clone(), limit);
        app.advance(Duration::from_millis(1));
        assert_eq!(sign_in(&app, None, "max").await.status, status);
        assert_eq!(app.remote.take_listed(), listed, "{limit:?}");
    }
}

async fn a_session_that_others_displaced_while_it_signed_in_is_no_success(app: App) {
    let app = with_limit(app, SessionLimit::EndOldest(1));
    let anonymous = app.start(&[("a", 1)]).await;
    let inner = app.clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    let reply = app
        .with(Some(&anonymous), move |session| async move {
            session.sign_in("max")?;
            sender.send(sign_in_later(&inner).await).unwrap();
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::CONFLICT);
    assert!(matches!(reply.error, Some(SessionError::Ended)));
    assert!(is_alive(&app, &receiver.recv().unwrap()).await);
    assert_eq!(app.records(), 1);
}

async fn a_session_that_others_displaced_ends_also_where_there_are_very_many(app: App) {
    let unlimited = with_limit(app.clone(), SessionLimit::Unlimited);
    let first = sign_in_later(&unlimited).await;
    for _ in 0..64 {
        sign_in_later(&unlimited).await;
    }
    let app = with_limit(app, SessionLimit::EndOldest(1));
    app.advance(Duration::from_millis(1));
    let (sender, receiver) = std::sync::mpsc::channel();
    let reply = app
        .with(None, move |session| async move {
            session.sign_in("max")?;
            unlimited.advance(Duration::from_millis(1));
            let again = sign_in(&unlimited, Some(&first), "max").await;
            sender.send(again.token()).unwrap();
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::CONFLICT);
    assert!(is_alive(&app, &receiver.recv().unwrap()).await);
    assert_eq!(count(&app, "max").await, 1);
}

async fn a_sign_in_over_the_limit_can_be_refused_and_leaves_the_visitor_as_he_was(app: App) {
    let app = with_limit(app, SessionLimit::Refuse(2));
    let first = sign_in_later(&app).await;
    let second = sign_in_later(&app).await;
    let visitor = app.start(&[("cart", 3)]).await;
    for token in [None, Some(visitor.as_str())] {
        let refused = sign_in(&app, token, "max").await;
        refused.assert_refused(StatusCode::CONFLICT);
        assert!(matches!(
            refused.error,
            Some(SessionError::TooManySessions { limit: 2 })
        ));
    }
    assert_eq!(app.read(&visitor, "cart").await, Some(3));
    assert!(is_alive(&app, &first).await && is_alive(&app, &second).await);

    // A session that is open may sign in again, and so may somebody else.
    let first = sign_in(&app, Some(&first), "max").await.token();
    sign_in(&app, None, "eve").await.token();
    app.with(Some(&second), |session| async move {
        session.sign_out()?;
        Ok(ok(""))
    })
    .await
    .assert_done();
    let visitor = sign_in(&app, Some(&visitor), "max").await.token();
    assert_eq!(app.read(&visitor, "cart").await, Some(3));
    assert!(is_alive(&app, &first).await);
}

async fn a_handler_can_tell_the_visitor_why_he_was_refused(app: App) {
    let app = with_limit(app, SessionLimit::Refuse(1));
    sign_in(&app, None, "max").await.assert_done();
    let visitor = app.start(&[("cart", 3)]).await;
    let reply = app
        .with(Some(&visitor), |session| async move {
            session.sign_in("max")?;
            let Err(SessionError::TooManySessions { limit }) = session.save().await else {
                panic!("the user has one already");
            };
            assert_eq!(session.owner().await?, None);
            session.insert("told", &1)?;
            Ok(ok(format!("at most {limit}")))
        })
        .await;
    reply.assert_plain();
    assert_eq!(reply.body, "at most 1");
    assert_eq!(app.read(&visitor, "told").await, Some(1));
}

async fn under_a_limit_that_was_lowered_an_open_session_may_sign_in_again_and_ends_no_other(
    app: App,
) {
    let mut tokens = Vec::new();
    for _ in 0..4 {
        tokens.push(sign_in_later(&app).await);
    }
    let app = with_limit(app, SessionLimit::Refuse(2));
    // Whether or not it is among those that are counted.
    for _ in 0..4 {
        let oldest = tokens.remove(0);
        app.advance(Duration::from_millis(1));
        tokens.push(sign_in(&app, Some(&oldest), "max").await.token());
        for token in &tokens {
            assert!(is_alive(&app, token).await);
        }
    }
}

async fn the_id_of_an_open_session_without_its_secret_admits_no_further_one(app: App) {
    let app = with_limit(app, SessionLimit::Refuse(2));
    let first = sign_in_later(&app).await;
    let second = sign_in_later(&app).await;
    let forged = format!("{}{}", &first[..22], "A".repeat(42));
    app.advance(Duration::from_millis(1));
    let reply = sign_in(&app, Some(&forged), "max").await;
    reply.assert_refused(StatusCode::CONFLICT);
    assert_eq!(count(&app, "max").await, 2);
    assert!(is_alive(&app, &first).await && is_alive(&app, &second).await);
}

/// Eight clients sign in at the same time: exactly as many stay as are allowed, those that were
/// told so among them.
async fn of_sign_ins_at_the_same_time_exactly_as_many_stay_as_are_allowed(app: App) {
    for limit in [
        SessionLimit::EndOldest(3),
        SessionLimit::EndOldest(1),
        SessionLimit::Refuse(3),
        SessionLimit::Refuse(1),
    ] {
        let allowed = match limit {
            SessionLimit::EndOldest(allowed) | SessionLimit::Refuse(allowed) => allowed as usize,
            _ => unreachable!(),
        };
        let app = with_limit(app.again(), limit);
        for round in 0..40 {
            if let SessionLimit::EndOldest(_) = limit {
                for _ in 0..allowed {
                    sign_in_later(&app).await;
                }
            }
            app.advance(Duration::from_millis(1));
            if round % 4 < 2 {
                app.remote.let_lists_meet(8);
            }
            let all = Arc::new(Barrier::new(8));
            let mut tasks = JoinSet::new();
            for _ in 0..8 {
                let (app, all) = (app.clone(), Arc::clone(&all));
                tasks.spawn(async move {
                    let clock = Arc::clone(&app.clock);
                    app.with(None, move |session| async move {
                        if round % 2 == 1 {
                            clock.advance(Duration::from_millis(1));
                        }
                        session.sign_in("max")?;
                        all.wait().await;
                        Ok(ok(""))
                    })
                    .await
                });
            }
            let replies = tasks.join_all().await;
            assert_eq!(count(&app, "max").await, allowed, "{limit:?}");
            let mut alive = 0;
            for reply in &replies {
                match reply.status {
                    StatusCode::OK if is_alive(&app, &reply.token()).await => alive += 1,
                    // It lost the race when it was answered already.
                    StatusCode::OK => {}
                    _ => {
                        reply.assert_refused(StatusCode::CONFLICT);
                        let refused = matches!(
                            reply.error,
                            Some(SessionError::TooManySessions { limit }) if limit as usize == allowed
                        );
                        let refuses = matches!(limit, SessionLimit::Refuse(_));
                        assert_eq!(refused, refuses, "{limit:?}: {:?}", reply.error);
                    }
                }
            }
            assert_eq!(alive, allowed, "{limit:?}: who lives was told so");
            app.sessions().revoke_all(&owner("max")).await.unwrap();
            app.advance(Duration::from_millis(1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_after_the_sign_in_is_no_success_and_the_client_keeps_its_session() {
    for (limit, calls_before) in [
        (SessionLimit::EndOldest(1), 1),
        (SessionLimit::EndOldest(1), 2),
        (SessionLimit::Refuse(2), 2),
    ] {
        for behaviour in [Behaviour::Fail, Behaviour::Hang, Behaviour::DoAndHang] {
            let app = with_limit(App::over_io(), limit);
            sign_in_later(&app).await;
            let visitor = app.start(&[("cart", 3)]).await;
            app.advance(Duration::from_millis(1));
            app.remote.set_after(calls_before, behaviour);
            let reply = sign_in(&app, Some(&visitor), "max").await;
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(reply.headers.get("x-handler"), None);
            app.remote.set(Behaviour::Answer);
            let token = reply.token();
            assert_eq!(app.read(&token, "cart").await, Some(3));

            app.advance(Duration::from_millis(1));
            sign_in(&app, Some(&token), "max").await.token();
            let left = if limit == SessionLimit::Refuse(2) {
                2
            } else {
                1
            };
            assert_eq!(
                count(&app, "max").await,
                left,
                "the next sign-in puts it right"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_before_the_sign_in_leaves_everything_as_it_was() {
    for behaviour in [Behaviour::Fail, Behaviour::Hang] {
        let app = with_limit(App::over_io(), SessionLimit::Refuse(2));
        let visitor = app.start(&[("cart", 3)]).await;
        app.remote.set(behaviour);
        let reply = sign_in(&app, Some(&visitor), "max").await;
        reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
        app.remote.set(Behaviour::Answer);
        assert_eq!(app.read(&visitor, "cart").await, Some(3));
        assert_eq!(count(&app, "max").await, 0);
    }
}

#[tokio::test]
async fn a_sign_in_that_is_dropped_before_the_limit_was_kept_is_no_success() {
    let app = with_limit(App::over_io(), SessionLimit::EndOldest(1));
    let visitor = app.start(&[("cart", 3)]).await;
    let remote = Arc::clone(&app.remote);
    let reply = app
        .with(Some(&visitor), move |session| async move {
            session.sign_in("max")?;
            remote.set_after(1, Behaviour::Hang);
            let save = session.save();
            tokio::select! {
                biased;
                _ = save => panic!("the store hangs"),
                () = async { for _ in 0..8 { tokio::task::yield_now().await } } => {}
            }
            remote.set(Behaviour::Answer);
            Ok(ok(""))
        })
        .await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(matches!(reply.error, Some(SessionError::Interrupted)));
    assert_eq!(app.read(&reply.token(), "cart").await, Some(3));
}

#[tokio::test]
async fn a_record_of_a_later_release_keeps_nobody_from_signing_in() {
    let app = App::over_io();
    // The sign-in is stored, then the user's sessions can't be counted.
    app.remote.set_after(1, Behaviour::UnknownVersion);
    let reply = app
        .with(None, |session| async move {
            session.sign_in("max")?;
            Ok(ok(""))
        })
        .await;
    app.remote.set(Behaviour::Answer);
    assert_eq!(reply.status, StatusCode::OK);
    assert!(app.id(&reply.token()).await.is_some());
}
