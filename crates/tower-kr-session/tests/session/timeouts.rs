//! Idle, absolute and touch, by a clock that the test moves.

use std::time::Duration;

use tower_kr_session::{AssuranceLevel, Clock, Session, SessionError};

use crate::support::{ABSOLUTE, App, IDLE, ok, on_each_store, settle};

on_each_store!(
    a_persistent_layers_session_in_use_ends_by_no_cookie,
    reads_keep_a_session_alive,
    a_session_ends_when_nobody_uses_it,
    activity_does_not_move_the_absolute_deadline,
    sign_in_gives_a_fresh_absolute_deadline_and_keeps_the_values,
    a_request_that_began_in_time_commits_however_long_it_takes,
    a_slow_request_that_only_read_does_not_move_the_idle_deadline_back,
    a_request_whose_change_was_refused_keeps_its_session_alive,
    expires_at_is_what_the_client_can_rely_on,
    a_session_ends_within_the_timeouts_of_its_assurance_level,
    an_anonymous_session_can_have_a_shorter_idle_timeout_until_its_user_signs_in,
    an_idle_timeout_of_its_own_stays_when_the_user_signs_in,
    expires_at_of_an_anonymous_session_knows_of_the_sign_in,
);

pub(crate) const TOUCH: Duration = Duration::from_secs(1);

pub(crate) async fn read(app: &App, token: &str) -> Option<i64> {
    let value = app.read(token, "a").await;
    settle().await;
    value
}

async fn reads_keep_a_session_alive(app: App) {
    let token = app.start(&[("a", 1)]).await;
    for _ in 0..10 {
        app.advance(IDLE - Duration::from_millis(1));
        assert_eq!(read(&app, &token).await, Some(1));
    }
    app.advance(IDLE + TOUCH);
    assert_eq!(read(&app, &token).await, None);
}

async fn a_session_ends_when_nobody_uses_it(app: App) {
    let token = app.start(&[("a", 1)]).await;
    app.advance(IDLE + TOUCH - Duration::from_millis(1));
    assert_eq!(read(&app, &token).await, Some(1));
    let token = app.start(&[("a", 1)]).await;
    app.advance(IDLE + TOUCH);
    assert_eq!(read(&app, &token).await, None);
}

async fn activity_does_not_move_the_absolute_deadline(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let step = Duration::from_secs(15);
    let mut age = Duration::ZERO;
    while age + step < ABSOLUTE {
        app.advance(step);
        age += step;
        assert_eq!(read(&app, &token).await, Some(1), "{age:?}");
        app.with(Some(&token), |session| async move {
            session.increment("n", 1).await?;
            Ok(ok(""))
        })
        .await
        .assert_plain();
    }
    app.advance(ABSOLUTE - age - Duration::from_millis(1));
    assert_eq!(read(&app, &token).await, Some(1));
    app.advance(Duration::from_millis(1));
    assert_eq!(read(&app, &token).await, None);
}

async fn sign_in_gives_a_fresh_absolute_deadline_and_keeps_the_values(app: App) {
    let token = app.start(&[("a", 1)]).await;
    app.advance(Duration::from_secs(10));
    let reply = app
        .with(Some(&token), |session| async move {
            session.sign_in("max")?;
            Ok(ok(""))
        })
        .await;
    let token = reply.token();
    for _ in 0..19 {
        app.advance(Duration::from_secs(15));
        assert_eq!(read(&app, &token).await, Some(1));
    }
    app.advance(Duration::from_secs(15));
    assert_eq!(read(&app, &token).await, None);
}

async fn expires_at_is_what_the_client_can_rely_on(app: App) {
    async fn remaining(session: &Session, app: &App) -> Result<Duration, SessionError> {
        let expires_at = session.expires_at().await?.unwrap();
        Ok(expires_at.saturating_duration_since(app.clock.now()))
    }
    let token = app.start(&[("a", 1)]).await;
    for (advance, expected) in [
        (Duration::ZERO, IDLE),
        (TOUCH / 2, IDLE),
        (Duration::from_secs(15), IDLE),
        (Duration::from_secs(15), IDLE),
    ] {
        app.advance(advance);
        let inner = app.clone();
        app.with(Some(&token), move |session| async move {
            assert_eq!(remaining(&session, &inner).await?, expected);
            let deadline = session.absolute_deadline().await?.unwrap();
            let created = session.created_at().await?.unwrap();
            assert_eq!(deadline.saturating_duration_since(created), ABSOLUTE);
            Ok(ok(""))
        })
        .await
        .assert_plain();
        settle().await;
    }
}

#[tokio::test]
async fn a_read_touches_at_most_once_in_each_touch_interval() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    app.remote.take_calls();
    for _ in 0..10 {
        app.advance(TOUCH / 20);
        assert_eq!(read(&app, &token).await, Some(1));
    }
    assert_eq!(app.remote.take_calls(), 10, "no touch was due");
    app.advance(TOUCH);
    assert_eq!(read(&app, &token).await, Some(1));
    assert_eq!(app.remote.take_calls(), 2, "a read and a touch");
    assert_eq!(read(&app, &token).await, Some(1));
    assert_eq!(app.remote.take_calls(), 1);
}

async fn a_request_that_began_in_time_commits_however_long_it_takes(app: App) {
    let token = app.start(&[("a", 1)]).await;
    app.advance(Duration::from_secs(15));
    let inner = app.clone();
    app.with(Some(&token), move |session| async move {
        assert_eq!(session.get::<i64>("a").await?, Some(1));
        inner.advance(Duration::from_secs(60));
        session.insert("a", &2)?;
        Ok(ok(""))
    })
    .await
    .assert_plain();
    assert_eq!(read(&app, &token).await, Some(2));
}

#[tokio::test]
async fn a_clock_that_jumps_neither_kills_nor_immortalises() {
    let app = App::in_memory();
    let token = app.start(&[("a", 1)]).await;
    let start = tower_kr_session::Clock::now(&app.clock);
    app.clock
        .set(start.saturating_sub(Duration::from_secs(3_600)));
    assert_eq!(read(&app, &token).await, Some(1));
    app.advance(IDLE + TOUCH);
    assert_eq!(
        read(&app, &token).await,
        None,
        "the read pulled the deadline in"
    );
    app.clock
        .set(start.saturating_add(Duration::from_secs(3_600)));
    assert_eq!(read(&app, &token).await, None);
}

async fn a_session_ends_within_the_timeouts_of_its_assurance_level(app: App) {
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(60 * 60);
    for (level, idle, overall) in [
        (AssuranceLevel::Aal2, HOUR, 24 * HOUR),
        (AssuranceLevel::Aal3, 15 * MINUTE, 12 * HOUR),
    ] {
        let mut app = app.again();
        app.layer = app.layer.assurance_level(level);
        let idler = app.start(&[("a", 1)]).await;
        app.advance(idle - MINUTE - MINUTE / 2);
        assert_eq!(read(&app, &idler).await, Some(1), "{level}");
        app.advance(idle);
        assert_eq!(read(&app, &idler).await, None, "{level}");

        let busy = app.start(&[("a", 1)]).await;
        let mut age = Duration::ZERO;
        while age + 10 * MINUTE < overall {
            app.advance(10 * MINUTE);
            age += 10 * MINUTE;
            assert_eq!(read(&app, &busy).await, Some(1), "{level} {age:?}");
        }
        app.advance(overall - age);
        assert_eq!(read(&app, &busy).await, None, "{level}");
    }
}

#[tokio::test]
async fn a_handler_can_shorten_the_timeouts_of_an_assurance_level_and_not_lengthen_them() {
    let mut app = App::in_memory();
    app.layer = app.layer.assurance_level(AssuranceLevel::Aal3);
    let reply = app
        .with(None, |session| async move {
            session.insert("a", &1)?;
            let longer = Duration::from_secs(15 * 60);
            let error = session.set_idle_timeout(longer).unwrap_err();
            let SessionError::InvalidLimit { longest, .. } = error else {
                panic!("{error}");
            };
            session.set_idle_timeout(longest)?;
            let longer = Duration::from_secs(13 * 60 * 60);
            assert!(session.set_absolute_timeout(longer).is_err());
            session.set_absolute_timeout(longest)?;
            Ok(ok(""))
        })
        .await;
    let token = reply.token();
    app.advance(Duration::from_secs(14 * 60) - Duration::from_millis(1));
    assert_eq!(read(&app, &token).await, Some(1));
    app.advance(Duration::from_millis(1));
    assert_eq!(read(&app, &token).await, None);
}

/// The application, with a shorter idle timeout for anonymous sessions.
fn short_lived(mut app: App) -> App {
    app.layer = app.layer.anonymous_idle_timeout(IDLE / 4);
    app
}

async fn sign_in(app: &App, token: Option<&str>) -> String {
    let reply = app
        .with(token, |session| async move {
            session.sign_in("max")?;
            Ok(ok(""))
        })
        .await;
    reply.token()
}

/// How long the session lives without a request. It ends.
async fn idle_of(app: &App, token: &str) -> Duration {
    let step = Duration::from_millis(250);
    let began = Clock::now(&app.clock);
    // Records are looked at from outside, so that no request moves their deadlines.
    let id = app.id(token).await.unwrap();
    settle().await;
    loop {
        app.advance(step);
        let now = Clock::now(&app.clock);
        if app.stored(id).await.is_none() {
            return now.saturating_duration_since(began);
        }
    }
}

async fn an_anonymous_session_can_have_a_shorter_idle_timeout_until_its_user_signs_in(app: App) {
    let short = IDLE / 4 + IDLE / 80;
    let app = short_lived(app);
    let token = app.start(&[("a", 1)]).await;
    assert_eq!(idle_of(&app, &token).await, short);

    for blind in [true, false] {
        let token = app.start(&[("a", 1)]).await;
        if !blind {
            assert_eq!(read(&app, &token).await, Some(1));
        }
        let token = sign_in(&app, Some(&token)).await;
        assert_eq!(read(&app, &token).await, Some(1));
        assert_eq!(idle_of(&app, &token).await, IDLE + TOUCH);
    }
    let token = sign_in(&app, None).await;
    assert_eq!(idle_of(&app, &token).await, IDLE + TOUCH);

    let token = sign_in(&app, None).await;
    let reply = app
        .with(Some(&token), |session| async move {
            session.sign_out()?;
            session.insert("a", &1)?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(idle_of(&app, &reply.token()).await, short);
}

async fn an_idle_timeout_of_its_own_stays_when_the_user_signs_in(app: App) {
    let own = Duration::from_secs(10);
    let app = short_lived(app);
    for before in [true, false] {
        let reply = app
            .with(None, move |session| async move {
                session.insert("a", &1)?;
                if before {
                    session.set_idle_timeout(own)?;
                }
                Ok(ok(""))
            })
            .await;
        let reply = app
            .with(Some(&reply.token()), move |session| async move {
                session.sign_in("max")?;
                if !before {
                    session.set_idle_timeout(own)?;
                }
                Ok(ok(""))
            })
            .await;
        let token = sign_in(&app, Some(&reply.token())).await;
        assert_eq!(idle_of(&app, &token).await, own + own / 20);
    }
}

async fn expires_at_of_an_anonymous_session_knows_of_the_sign_in(app: App) {
    let app = short_lived(app);
    let token = app.start(&[("a", 1)]).await;
    let now = Clock::now(&app.clock);
    app.with(Some(&token), move |session| async move {
        let left = async || {
            let expires_at = session.expires_at().await.unwrap().unwrap();
            expires_at.saturating_duration_since(now)
        };
        assert_eq!(left().await, IDLE / 4);
        session.sign_in("max")?;
        assert_eq!(left().await, IDLE);
        session.save().await?;
        assert_eq!(left().await, IDLE);
        Ok(ok(""))
    })
    .await
    .assert_done();
}

async fn a_slow_request_that_only_read_does_not_move_the_idle_deadline_back(app: App) {
    let token = app.start(&[("a", 1)]).await;
    app.advance(Duration::from_secs(10));
    let (inner, same) = (app.clone(), token.clone());
    app.with(Some(&token), move |session| async move {
        assert_eq!(session.get::<i64>("a").await?, Some(1));
        // Meanwhile the same user's other requests keep the session in use.
        for _ in 0..5 {
            inner.advance(Duration::from_secs(5));
            assert_eq!(inner.read(&same, "a").await, Some(1));
            settle().await;
        }
        Ok(ok(""))
    })
    .await
    .assert_plain();
    settle().await;
    assert_eq!(app.read(&token, "a").await, Some(1));
}

async fn a_request_whose_change_was_refused_keeps_its_session_alive(app: App) {
    let token = app
        .with(None, |session| async move {
            session.insert("text", "x")?;
            session.insert("a", &1)?;
            Ok(ok(""))
        })
        .await
        .token();
    for _ in 0..5 {
        app.advance(Duration::from_secs(8));
        app.with(Some(&token), |session| async move {
            session.get::<i64>("a").await?;
            session.increment("text", 1).await.unwrap_err();
            Ok(ok(""))
        })
        .await
        .assert_plain();
        settle().await;
    }
    assert_eq!(app.read(&token, "a").await, Some(1));
}

/// A site that was moved from another crate: 30 days after the last use.
async fn a_persistent_layers_session_in_use_ends_by_no_cookie(mut app: App) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let layer = app.layer.clone();
    app.layer = layer
        .idle_timeout(30 * DAY)
        .absolute_timeout(400 * DAY)
        .persistent(true);
    let start = app
        .with(None, |session| async move {
            session.insert("a", &1)?;
            Ok(ok(""))
        })
        .await;
    let cookie = start.set_cookie().unwrap();
    assert!(cookie.contains("; Max-Age=34560000;"), "{cookie}");
    let token = start.token();
    for _ in 0..13 {
        app.advance(29 * DAY);
        assert_eq!(read(&app, &token).await, Some(1));
    }
    let rotated = app
        .with(Some(&token), |session| async move {
            session.rotate()?;
            Ok(ok(""))
        })
        .await;
    let cookie = rotated.set_cookie().unwrap();
    assert!(
        cookie.contains("; Max-Age=1987200;"),
        "23 days are left: {cookie}"
    );
    let forgotten = app
        .with(None, |session| async move {
            session.insert("a", &1)?;
            session.set_persistent(false)?;
            Ok(ok(""))
        })
        .await;
    assert!(!forgotten.set_cookie().unwrap().contains("Max-Age"));
}

/// The commit of a request that only read waits for a call that the handler left running.
#[tokio::test]
async fn a_read_touches_the_session_also_if_the_commit_had_to_wait() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    let id = app.id(&token).await.unwrap();
    settle().await;
    app.advance(IDLE / 2);
    let before = app.stored(id).await.unwrap().idle_deadline;
    let reply = app
        .with(Some(&token), |session| async move {
            session.get::<i64>("a").await?;
            tokio::spawn(async move { session.reload().await });
            // It has its turn now, and its call to the store is on its way.
            tokio::task::yield_now().await;
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    settle().await;
    let after = app.stored(id).await.unwrap().idle_deadline;
    assert_eq!(after, before.saturating_add(IDLE / 2));
}

#[tokio::test]
async fn a_response_waits_for_its_touch_if_nothing_goes_on_after_it() {
    for (awaits, calls) in [(false, 1), (true, 2)] {
        let mut app = App::over_io();
        app.layer = app.layer.await_touch(awaits);
        let token = app.start(&[("a", 1)]).await;
        app.advance(TOUCH * 2);
        app.remote.take_calls();
        let reply = app.with(Some(&token), |session| async move {
            Ok(ok(session.get::<i64>("a").await?.unwrap_or_default()))
        });
        reply.await.assert_plain();
        assert_eq!(app.remote.take_calls(), calls, "await_touch({awaits})");
    }
}
