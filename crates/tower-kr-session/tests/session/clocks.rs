//! Clocks that are wrong: one that jumps, and those of nodes that disagree. What they can do to a
//! session is to end it early, or to give it one more of its own timeouts from the moment on at
//! which it is used under the right time; never more.

use std::{sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tower_kr_session::{Clock, ManualClock, Owner, Session, SessionError, SessionLimit, Timestamp};

use crate::{
    support::{ABSOLUTE, App, IDLE, ok, on_each_store, owner},
    timeouts::{TOUCH, read},
};

on_each_store!(
    a_clock_that_goes_back_an_hour_gives_a_used_session_one_absolute_timeout_more_at_most,
    a_clock_that_goes_back_an_hour_gives_a_session_that_is_left_one_idle_timeout_at_most,
    what_began_while_a_clock_was_an_hour_ahead_keeps_its_limits_once_the_time_is_right,
    a_node_whose_clock_is_an_hour_ahead_harms_no_session_of_the_others,
    a_logout_under_a_clock_that_is_ahead_holds_once_it_is_right,
    what_ends_a_session_ends_one_that_a_clock_ahead_shows_as_expired,
    what_ends_a_session_ends_one_that_expired_meanwhile_by_a_clock_ahead,
    a_revocation_under_a_clock_that_was_ahead_concerns_this_user_alone,
    sign_ins_and_revocations_within_a_tick_keep_their_order,
    a_clock_that_goes_an_hour_ahead_ends_sessions_and_going_back_gives_none_of_them_more_time,
    nodes_that_differ_by_seconds_keep_the_limits_to_within_these_seconds,
);

const HOUR: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);

/// Another node on the same store, whose clock shows this.
fn node(app: &App, time: Timestamp) -> App {
    let clock = Arc::new(ManualClock::new(time));
    App {
        layer: app.layer.clone().clock(Arc::clone(&clock)),
        clock,
        ..app.clone()
    }
}

fn now(app: &App) -> Timestamp {
    Clock::now(&app.clock)
}

/// How long the session lives if it is used every few seconds, up to a bound.
async fn life_in_use(app: &App, token: &str, bound: Duration) -> Duration {
    let step = IDLE / 4;
    let mut life = Duration::ZERO;
    while life < bound && read(app, token).await.is_some() {
        app.advance(step);
        life += step;
    }
    life
}

async fn a_clock_that_goes_back_an_hour_gives_a_used_session_one_absolute_timeout_more_at_most(
    app: App,
) {
    let token = app.start(&[("a", 1)]).await;
    let before = life_in_use(&app, &token, ABSOLUTE - IDLE).await;
    assert_eq!(before, ABSOLUTE - IDLE);
    app.clock.set(now(&app).saturating_sub(HOUR));
    assert_eq!(life_in_use(&app, &token, 2 * ABSOLUTE).await, ABSOLUTE);
}

async fn a_clock_that_goes_back_an_hour_gives_a_session_that_is_left_one_idle_timeout_at_most(
    app: App,
) {
    let token = app.start(&[("a", 1)]).await;
    app.clock.set(now(&app).saturating_sub(HOUR));
    assert_eq!(read(&app, &token).await, Some(1), "nobody is thrown out");
    app.advance(IDLE + TOUCH);
    assert_eq!(read(&app, &token).await, None);
}

async fn what_began_while_a_clock_was_an_hour_ahead_keeps_its_limits_once_the_time_is_right(
    app: App,
) {
    let right = now(&app);
    app.clock.set(right.saturating_add(HOUR));
    let used = app.start(&[("a", 1)]).await;
    let left = app.start(&[("a", 1)]).await;
    app.clock.set(right);
    assert_eq!(read(&app, &left).await, Some(1));
    assert_eq!(life_in_use(&app, &used, 2 * ABSOLUTE).await, ABSOLUTE);
    assert_eq!(read(&app, &left).await, None);
}

async fn a_clock_that_goes_an_hour_ahead_ends_sessions_and_going_back_gives_none_of_them_more_time(
    app: App,
) {
    let token = app.start(&[("a", 1)]).await;
    let right = now(&app);
    app.clock.set(right.saturating_add(HOUR));
    assert_eq!(read(&app, &token).await, None);
    app.clock.set(right.saturating_add(IDLE / 2));
    let rest = life_in_use(&app, &token, 2 * ABSOLUTE).await;
    assert_eq!(rest, ABSOLUTE - IDLE / 2);
    // Neither does a write bring one back: it starts another.
    let token = app.start(&[("a", 1)]).await;
    app.clock.set(now(&app).saturating_add(HOUR));
    let written = app
        .with(Some(&token), |session| async move {
            session.insert("a", &2)?;
            Ok(ok(""))
        })
        .await;
    assert_ne!(written.token()[..22], token[..22]);
}

async fn a_node_whose_clock_is_an_hour_ahead_harms_no_session_of_the_others(app: App) {
    let ahead = node(&app, now(&app).saturating_add(HOUR));
    let token = app.start(&[("a", 1)]).await;
    for _ in 0..10 {
        assert_eq!(read(&ahead, &token).await, None);
        assert_eq!(read(&app, &token).await, Some(1));
        app.advance(IDLE / 2);
        ahead.advance(IDLE / 2);
    }
    let from_ahead = ahead.start(&[("a", 1)]).await;
    assert_eq!(life_in_use(&app, &from_ahead, 2 * ABSOLUTE).await, ABSOLUTE);
}

async fn a_logout_under_a_clock_that_is_ahead_holds_once_it_is_right(app: App) {
    let right = now(&app);
    let token = app.start(&[("a", 1)]).await;
    app.clock.set(right.saturating_add(2 * HOUR));
    let ended = app
        .with(Some(&token), |session| async move {
            session.destroy()?;
            Ok(ok(""))
        })
        .await;
    assert!(ended.removes_cookie(), "{ended:?}");
    app.clock.set(right);
    assert_eq!(read(&app, &token).await, None);
}

async fn a_revocation_under_a_clock_that_was_ahead_concerns_this_user_alone(app: App) {
    let sessions = app.sessions();
    let right = now(&app);
    app.clock.set(right.saturating_add(HOUR));
    sessions.revoke_all(&owner("max")).await.unwrap();
    app.clock.set(right);
    let fresh = async |user: &'static str| {
        let reply = app
            .with(None, move |session| async move {
                session.sign_in(user)?;
                Ok(ok(""))
            })
            .await;
        let token = reply.token();
        let reply = app
            .with(Some(&token), |session| async move {
                let fresh = session.authenticated_within(5 * 60 * SECOND).await?;
                Ok(ok(fresh))
            })
            .await;
        (token, reply.body)
    };
    let (_, eve) = fresh("eve").await;
    assert_eq!(eve, "true");
    // Their own sign-in counts as later than the revocation, so it isn't fresh by the clock of now.
    let (max, is_fresh) = fresh("max").await;
    assert_eq!(is_fresh, "false");
    // And yet it does not outlive a revocation by another node, whose clock is right.
    let other = node(&app, now(&app));
    other.advance(SECOND);
    assert_eq!(other.sessions().revoke_all(&owner("max")).await.unwrap(), 1);
    assert_eq!(app.id(&max).await, None);
}

const ENDS: [&str; 4] = ["destroy", "sign_out", "sign_in", "sign_in and save"];

async fn end(session: &Session, how: &str) -> Result<(), SessionError> {
    match how {
        "destroy" => session.destroy(),
        "sign_out" => session.sign_out(),
        "sign_in" => session.sign_in("eve"),
        _ => {
            session.sign_in("max")?;
            session.save().await
        }
    }
}

async fn signed_in(app: &App) -> String {
    let signed_in = app.with(None, |session| async move {
        session.sign_in("max")?;
        Ok(ok(""))
    });
    signed_in.await.token()
}

async fn what_ends_a_session_ends_one_that_a_clock_ahead_shows_as_expired(app: App) {
    for (how, looks_first) in ENDS.into_iter().flat_map(|how| [(how, true), (how, false)]) {
        let right = now(&app);
        let token = signed_in(&app).await;
        app.clock.set(right.saturating_add(2 * HOUR));
        let ended = app
            .with(Some(&token), move |session| async move {
                if looks_first {
                    assert_eq!(session.owner().await?, None);
                }
                end(&session, how).await?;
                Ok(ok(""))
            })
            .await;
        assert!(ended.set_cookie().is_some(), "{how}: {ended:?}");
        app.clock.set(right);
        assert_eq!(app.id(&token).await, None, "{how}, {looks_first}");
    }
}

async fn what_ends_a_session_ends_one_that_expired_meanwhile_by_a_clock_ahead(app: App) {
    for how in ENDS {
        let right = now(&app);
        let token = signed_in(&app).await;
        let clock = Arc::clone(&app.clock);
        let ended = app
            .with(Some(&token), move |session| async move {
                assert!(session.owner().await?.is_some());
                clock.set(clock.now().saturating_add(2 * HOUR));
                let lost = session.increment("n", 1).await;
                assert!(matches!(lost, Err(SessionError::Ended)), "{lost:?}");
                end(&session, how).await?;
                Ok(ok(""))
            })
            .await;
        assert!(ended.set_cookie().is_some(), "{how}: {ended:?}");
        app.clock.set(right);
        assert_eq!(app.id(&token).await, None, "{how}");
    }
}

/// Requests at random times go to nodes whose clocks differ by up to five seconds from the right
/// one: sessions that are left for too long now and then, and others that are used until they are
/// too old.
async fn nodes_that_differ_by_seconds_keep_the_limits_to_within_these_seconds(app: App) {
    const SKEW: Duration = Duration::from_secs(5);
    let mut random = StdRng::seed_from_u64(1);
    for (longest_pause, rounds) in [(2 * IDLE, 100), (IDLE - 2 * SKEW, 20)] {
        let (mut idled, mut aged) = (0, 0);
        for round in 0..rounds {
            let app = app.again();
            let slow = node(&app, now(&app).saturating_sub(SKEW));
            let fast = node(&app, now(&app).saturating_add(SKEW));
            let nodes = [&app, &slow, &fast];
            let token = nodes[round % 3].start(&[("a", 1)]).await;
            let (mut age, mut pause) = (Duration::ZERO, Duration::ZERO);
            loop {
                let step = random.random_range(SECOND..longest_pause);
                nodes.iter().for_each(|node| node.advance(step));
                age += step;
                pause += step;
                let any = nodes[random.random_range(0..3)];
                if read(any, &token).await.is_none() {
                    break;
                }
                assert!(pause < IDLE + TOUCH + 2 * SKEW, "alive after {pause:?}");
                assert!(age < ABSOLUTE + 2 * SKEW, "alive at {age:?}");
                pause = Duration::ZERO;
            }
            let left = pause >= IDLE - 2 * SKEW;
            let old = age >= ABSOLUTE - 2 * SKEW;
            assert!(left || old, "lost at {age:?} after {pause:?}");
            idled += usize::from(left);
            aged += usize::from(old);
        }
        let ended = if longest_pause > IDLE { idled } else { aged };
        assert!(ended > rounds / 2, "{idled} were left, {aged} too old");
    }
}

/// A clock that moves in ticks, as coarse ones do, and can also tell the time between them.
struct Ticking(Arc<ManualClock>);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let millis = self.0.now().as_unix_millis();
        Timestamp::from_unix_millis(millis - millis % 10)
    }

    fn exact_now(&self) -> Timestamp {
        self.0.now()
    }
}

async fn sign_ins_and_revocations_within_a_tick_keep_their_order(app: App) {
    let layer = app.layer.clone().clock(Ticking(Arc::clone(&app.clock)));
    let limited = layer.max_sessions_per_owner(SessionLimit::EndOldest(1));
    let app = App {
        layer: limited,
        ..app
    };
    let user = Owner::new("max").unwrap();
    let sessions = app.layer.sessions().unwrap();
    let sign_in = async || {
        app.advance(Duration::from_millis(1));
        let signed_in = app.with(None, |session| async move {
            session.sign_in("max")?;
            Ok(ok(""))
        });
        signed_in.await.token()
    };
    for _ in 0..4 {
        // It ends the one before, which is a millisecond older.
        sign_in().await;
    }
    let [last] = &sessions.list(&user).await.unwrap()[..] else {
        panic!("one session");
    };
    assert_eq!(last.authenticated_at, Some(app.clock.now()));
    app.advance(Duration::from_millis(1));
    assert_eq!(sessions.revoke_all(&user).await.unwrap(), 1);
    sign_in().await;
    assert_eq!(sessions.list(&user).await.unwrap().len(), 1);
}
