//! What a sign-in is worth, for how long, and how many there may be.

use std::time::Duration;

use tower_kr_session::Clock;

use crate::support::{App, Reply, both, ok};

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

#[tokio::test]
async fn a_sign_in_is_fresh_within_the_window_and_not_at_its_end() {
    for app in both() {
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
}

#[tokio::test]
async fn nobody_is_never_fresh() {
    for app in both() {
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
}

#[tokio::test]
async fn a_sign_in_of_this_request_is_fresh_also_once_it_is_saved() {
    for app in both() {
        let token = sign_in(&app, None, "max").await.token();
        app.advance(WINDOW);
        let sessions = app.sessions();
        let reply = app
            .with(Some(&token), |session| async move {
                assert!(!session.authenticated_within(WINDOW).await?);
                // The sign-in after this counts as later, so by a millisecond as in the future.
                sessions.revoke_all(&crate::support::owner("max")).await?;
                session.sign_in("max")?;
                assert!(session.authenticated_within(WINDOW).await?);
                session.save().await?;
                Ok(ok(session.authenticated_within(WINDOW).await?))
            })
            .await;
        assert_eq!(reply.body, "true");
    }
}

#[tokio::test]
async fn a_sign_in_of_a_clock_that_ran_ahead_is_not_fresh_until_that_time_comes() {
    for app in both() {
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
}
