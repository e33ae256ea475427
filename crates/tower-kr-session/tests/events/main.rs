//! What the log tells of sessions: which events, at which level, with which fields, and nothing
//! that admits or names anybody.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

mod capture;
#[path = "../versioned/map_store.rs"]
mod map_store;
#[path = "../session/support.rs"]
mod support;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{
    MemoryStore, MokaStore, Session, SessionError, SessionId, SessionLimit, SessionStore,
    StoreError, Timestamp,
    store::{
        IdleLimit, Instants, Record, RemoveOutcome, SecretHash, StoreKey, StoreValue, Version,
        Versioned, VersionedStore,
    },
};

use capture::{Line, start, take};
use map_store::MapStore;
use support::{
    ABSOLUTE, App, Behaviour, Reply, ok, on_each_store, owner, settle, with_wrong_secret,
};

on_each_store!(
    the_life_of_a_session,
    what_most_requests_do_is_not_told,
    revocations,
    a_sign_in_revokes_the_session_of_another_user,
    a_sign_in_over_the_limit_revokes_the_oldest_session,
    a_token_without_a_live_session_has_expired_whatever_the_request_does,
    a_session_that_ends_while_a_request_runs_has_expired_for_it,
    a_wrong_secret_for_a_live_session_is_refused_whatever_the_request_does,
    a_token_that_was_just_rotated_away_is_no_sign_of_theft,
    a_session_that_ends_under_a_request_is_told_by_what_ended_it,
    a_flood_is_one_line_a_second_that_says_how_many_there_were,
    cookies_of_several_sessions,
    a_call_that_fails_by_a_fault_of_the_application_is_told_whatever_becomes_of_it,
    a_detached_handle_that_is_dropped_with_unsaved_changes_is_told,
    events_hold_no_secret_and_name_nobody_and_are_all_in_the_table,
);

const SECOND: Duration = Duration::from_secs(1);

/// The events since the last call, as text.
async fn told() -> Vec<String> {
    settle().await;
    take().iter().map(|line| line.text()).collect()
}

/// Does something with the session in a request.
async fn request(
    app: &App,
    token: Option<&str>,
    work: impl FnOnce(&Session) -> Result<(), SessionError> + Send + 'static,
) -> Reply {
    app.with(token, |session| async move {
        work(&session)?;
        Ok(ok(""))
    })
    .await
}

/// The public id in a token.
async fn id(app: &App, token: &str) -> SessionId {
    let id = app.id(token).await.unwrap();
    take();
    id
}

#[derive(Clone, Copy, Debug)]
enum Use {
    Read,
    Insert,
    Increment,
    SignIn,
    Destroy,
    Rotate,
    SaveAndRead,
}

const USES: [Use; 7] = [
    Use::Read,
    Use::Insert,
    Use::Increment,
    Use::SignIn,
    Use::Destroy,
    Use::Rotate,
    Use::SaveAndRead,
];

async fn use_session(app: &App, token: &str, use_: Use) -> Reply {
    app.with(Some(token), move |session| async move {
        match use_ {
            Use::Read => drop(session.get::<i64>("a").await?),
            Use::Insert => session.insert("a", &2)?,
            Use::Increment => drop(session.increment("a", 1).await?),
            Use::SignIn => session.sign_in("max")?,
            Use::Destroy => session.destroy()?,
            Use::Rotate => session.rotate()?,
            Use::SaveAndRead => {
                session.insert("a", &2)?;
                session.save().await?;
                session.get::<i64>("a").await?;
            }
        }
        Ok(ok(""))
    })
    .await
}

async fn the_life_of_a_session(app: App) {
    start();
    let token = app.start(&[("a", 1)]).await;
    let created = take();
    let id = id(&app, &token).await;
    assert_eq!(created.len(), 1, "{created:?}");
    assert_eq!(created[0].target, "tower_kr_session::audit");
    assert_eq!(created[0].message, "a session started");
    assert_eq!(
        created[0].text(),
        format!("DEBUG session.created session={id} signed_in=false suppressed=0")
    );

    let rotated = request(&app, Some(&token), |session| session.rotate()).await;
    assert_eq!(
        told().await,
        [format!(
            "DEBUG session.rotated session={id} signed_in=false"
        )]
    );
    let signed_in = request(&app, Some(&rotated.token()), |session| {
        session.sign_in("max")
    })
    .await;
    assert_eq!(
        told().await,
        [format!("INFO session.rotated session={id} signed_in=true")]
    );
    request(&app, Some(&signed_in.token()), |session| session.sign_out())
        .await
        .assert_done();
    assert_eq!(
        told().await,
        [format!("DEBUG session.destroyed session={id}")]
    );

    let reply = request(&app, None, |session| session.sign_in("max")).await;
    let lines = told().await;
    let id = app.id(&reply.token()).await.unwrap();
    assert_eq!(
        lines,
        [format!("INFO session.created session={id} signed_in=true")]
    );
}

async fn what_most_requests_do_is_not_told(app: App) {
    start();
    let token = app.start(&[("a", 1)]).await;
    take();
    for _ in 0..3 {
        for use_ in [Use::Read, Use::Insert, Use::Increment, Use::SaveAndRead] {
            assert_eq!(use_session(&app, &token, use_).await.status, StatusCode::OK);
        }
        request(&app, None, |_| Ok(())).await.assert_done();
        // A read moves the deadline now.
        app.advance(5 * SECOND);
    }
    assert_eq!(told().await, [""; 0]);
}

async fn revocations(app: App) {
    start();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let reply = request(&app, None, |session| session.sign_in("max")).await;
        ids.push(id(&app, &reply.token()).await);
    }
    let (sessions, max) = (app.sessions(), owner("max"));
    assert!(sessions.revoke_as_admin(ids[0]).await.unwrap());
    assert_eq!(
        told().await,
        [format!("INFO session.revoked by=revoke session={}", ids[0])]
    );
    assert!(!sessions.revoke_as_admin(ids[0]).await.unwrap());
    assert_eq!(told().await, [""; 0]);
    sessions.revoke_others(&max, ids[1]).await.unwrap();
    assert_eq!(
        told().await,
        [format!(
            "INFO session.revoked by=revoke_others kept={} sessions=2",
            ids[1]
        )]
    );
    for ended in [1, 0] {
        sessions.revoke_all(&max).await.unwrap();
        assert_eq!(
            told().await,
            [format!(
                "INFO session.revoked by=revoke_all sessions={ended}"
            )]
        );
    }
}

async fn a_sign_in_revokes_the_session_of_another_user(app: App) {
    start();
    for looks_first in [false, true] {
        let reply = request(&app, None, |session| session.sign_in("max")).await;
        let id = id(&app, &reply.token()).await;
        let other = app
            .with(Some(&reply.token()), move |session| async move {
                session.sign_in("eve")?;
                if looks_first {
                    session.get::<i64>("a").await?;
                }
                Ok(ok(""))
            })
            .await;
        let lines = told().await;
        let new = app.id(&other.token()).await.unwrap();
        assert_eq!(
            lines,
            [
                format!("INFO session.revoked by=sign_in session={id}"),
                format!("INFO session.created session={new} signed_in=true"),
            ]
        );
    }
}

async fn a_sign_in_over_the_limit_revokes_the_oldest_session(mut app: App) {
    start();
    let layer = app.layer.clone();
    app.layer = layer.max_sessions_per_owner(SessionLimit::EndOldest(1));
    let first = request(&app, None, |session| session.sign_in("max")).await;
    let first = id(&app, &first.token()).await;
    app.advance(SECOND);
    let second = request(&app, None, |session| session.sign_in("max")).await;
    let lines = told().await;
    let second = app.id(&second.token()).await.unwrap();
    assert_eq!(
        lines,
        [
            format!("INFO session.created session={second} signed_in=true"),
            format!("INFO session.revoked by=session_limit session={first}"),
        ]
    );
}

async fn a_token_without_a_live_session_has_expired_whatever_the_request_does(app: App) {
    start();
    for use_ in USES {
        let token = app.start(&[("a", 1)]).await;
        let id = id(&app, &token).await;
        app.advance(30 * SECOND);
        use_session(&app, &token, use_).await.assert_done();
        let lines = told().await;
        let mut told: Vec<_> = lines
            .iter()
            .filter(|line| !line.contains("session.created"))
            .collect();
        told.sort_unstable();
        let expired = &format!("DEBUG session.expired session={id} suppressed=0");
        // Whoever holds its token ends it, however old it is.
        let destroyed = &format!("DEBUG session.destroyed session={id}");
        let expected = match use_ {
            Use::Destroy => vec![destroyed],
            Use::SignIn => vec![destroyed, expired],
            _ => vec![expired],
        };
        assert_eq!(told, expected, "{use_:?}");
    }
}

async fn a_session_that_ends_while_a_request_runs_has_expired_for_it(app: App) {
    start();
    let token = app.start(&[("a", 1)]).await;
    let id = id(&app, &token).await;
    let clock = Arc::clone(&app.clock);
    app.with(Some(&token), move |session| async move {
        // From here on the request may take as long as it likes, but for the absolute deadline.
        session.rotate()?;
        clock.advance(ABSOLUTE);
        assert_eq!(session.get::<i64>("a").await?, None);
        Ok(ok(""))
    })
    .await
    .assert_plain();
    let expired = format!("DEBUG session.expired session={id} suppressed=0");
    assert_eq!(told().await, [expired]);
}

async fn a_wrong_secret_for_a_live_session_is_refused_whatever_the_request_does(app: App) {
    start();
    let other = app.start(&[("a", 1)]).await;
    for use_ in USES {
        let token = app.start(&[("a", 1)]).await;
        let id = id(&app, &token).await;
        app.advance(2 * SECOND);
        let wrong = with_wrong_secret(&token, &other);
        use_session(&app, &wrong, use_).await.assert_done();
        let lines = told().await;
        let refused: Vec<_> = lines
            .iter()
            .filter(|line| !line.contains("session.created"))
            .collect();
        let expected = format!("WARN session.refused session={id} suppressed=0");
        assert_eq!(refused, [&expected], "{use_:?}");
    }
    // Beside a cookie that is right, too.
    app.advance(2 * SECOND);
    let token = app.start(&[("a", 1)]).await;
    let id = id(&app, &token).await;
    let wrong = with_wrong_secret(&token, &other);
    let cookies = [&token, &wrong].map(|token| format!("Kr.Session={token}"));
    app.raw(&cookies, |session| async move {
        Ok(ok(format!("{:?}", session.get::<i64>("a").await?)))
    })
    .await
    .assert_plain();
    assert_eq!(
        told().await,
        [format!("WARN session.refused session={id} suppressed=0")]
    );
}

async fn a_token_that_was_just_rotated_away_is_no_sign_of_theft(app: App) {
    start();
    let old = app.start(&[("a", 1)]).await;
    let id = id(&app, &old).await;
    let new = request(&app, Some(&old), |session| session.rotate())
        .await
        .token();
    take();
    use_session(&app, &old, Use::Read).await.assert_done();
    for use_ in [Use::Insert, Use::Increment, Use::Destroy] {
        let reply = use_session(&app, &old, use_).await;
        assert_eq!(reply.status, StatusCode::CONFLICT);
    }
    assert!(
        told()
            .await
            .iter()
            .all(|line| line.starts_with("DEBUG session.commit_failed"))
    );
    for _ in 0..7 {
        app.advance(10 * SECOND);
        assert_eq!(app.read(&new, "a").await, Some(1));
        settle().await;
    }
    take();
    use_session(&app, &old, Use::Read).await.assert_done();
    assert_eq!(
        told().await,
        [format!("WARN session.refused session={id} suppressed=0")]
    );
}

async fn a_session_that_ends_under_a_request_is_told_by_what_ended_it(app: App) {
    start();
    let token = app.start(&[("a", 1)]).await;
    let id = id(&app, &token).await;
    let sessions = app.sessions();
    app.with(Some(&token), move |session| async move {
        session.get::<i64>("a").await?;
        sessions.revoke_as_admin(id).await?;
        session.insert("a", &2)?;
        Ok(ok(""))
    })
    .await
    .assert_refused(StatusCode::CONFLICT);
    assert_eq!(
        told().await,
        [
            format!("INFO session.revoked by=revoke session={id}"),
            "DEBUG session.commit_failed error=the session ended while the request was running \
             reason=ended suppressed=0"
                .to_owned(),
        ]
    );

    let token = app.start(&[("a", 1)]).await;
    let id = self::id(&app, &token).await;
    let sessions = app.sessions();
    app.with(Some(&token), move |session| async move {
        session.increment("a", 1).await?;
        sessions.revoke_as_admin(id).await?;
        Ok(ok(format!("{:?}", session.get::<i64>("b").await?)))
    })
    .await
    .assert_plain();
    assert_eq!(
        told().await,
        [format!("INFO session.revoked by=revoke session={id}")]
    );
}

async fn a_flood_is_one_line_a_second_that_says_how_many_there_were(app: App) {
    start();
    let token = app.start(&[("a", 1)]).await;
    let other = app.start(&[("a", 1)]).await;
    let wrong = with_wrong_secret(&token, &other);
    app.advance(SECOND);
    let gone = request(&app, Some(&other), |session| session.sign_out()).await;
    assert!(gone.removes_cookie());
    told().await;
    for _ in 0..50 {
        app.start(&[("a", 1)]).await;
        for token in [&wrong, &other] {
            use_session(&app, token, Use::Read).await.assert_done();
            use_session(&app, token, Use::Destroy).await.assert_done();
        }
    }
    assert_eq!(
        counts(&told().await),
        [("created", 1), ("expired", 1), ("refused", 1)]
    );
    app.advance(SECOND);
    app.start(&[("a", 1)]).await;
    use_session(&app, &wrong, Use::Read).await.assert_done();
    use_session(&app, &other, Use::Read).await.assert_done();
    let lines = told().await;
    for (event, suppressed) in [("created", 49), ("refused", 99), ("expired", 99)] {
        let suppressed = format!(" suppressed={suppressed}");
        let line = lines.iter().find(|line| line.contains(event)).unwrap();
        assert!(line.ends_with(&suppressed), "{lines:?}");
    }
}

/// How many lines there are of each event.
fn counts(lines: &[String]) -> Vec<(&str, usize)> {
    let names = ["created", "expired", "refused"];
    let of = |name| {
        let lines = lines.iter();
        lines
            .filter(|line| line.contains(&format!(" session.{name} ")))
            .count()
    };
    assert_eq!(
        names.map(of).iter().sum::<usize>(),
        lines.len(),
        "{lines:?}"
    );
    names.map(|name| (name, of(name))).into()
}

#[tokio::test]
async fn a_store_that_is_down() {
    start();
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    let id = id(&app, &token).await;
    let down = "error=the session store is unavailable: connection refused";
    app.remote.set(Behaviour::Fail);
    for _ in 0..3 {
        let reply = use_session(&app, &token, Use::Insert).await;
        reply.assert_refused(StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(
        told().await,
        [format!(
            "ERROR session.commit_failed {down} reason=store suppressed=0"
        )]
    );
    app.remote.set(Behaviour::Answer);
    app.advance(5 * SECOND);
    let remote = Arc::clone(&app.remote);
    app.with(Some(&token), |session| async move {
        session.get::<i64>("a").await?;
        remote.set(Behaviour::Fail);
        Ok(ok(""))
    })
    .await
    .assert_plain();
    assert_eq!(
        told().await,
        [format!(
            "WARN session.touch_failed {down} session={id} suppressed=2"
        )]
    );
    for suppressed in [0, 2] {
        for _ in 0..3 {
            app.sessions().ping().await.unwrap_err();
        }
        assert_eq!(
            told().await,
            [format!(
                "WARN session.ping_failed {down} suppressed={suppressed}"
            )]
        );
        app.advance(SECOND);
    }
}

async fn a_call_that_fails_by_a_fault_of_the_application_is_told_whatever_becomes_of_it(app: App) {
    start();
    let start = app
        .with(None, |session| async move {
            session.insert("text", "hunter2")?;
            session.insert("full", &i64::MAX)?;
            Ok(ok(""))
        })
        .await;
    let token = start.token();
    for at_once in [false, true] {
        let (sender, receiver) = std::sync::mpsc::channel();
        app.advance(2 * SECOND);
        told().await;
        let clock = Arc::clone(&app.clock);
        let next = move || {
            if !at_once {
                clock.advance(SECOND);
            }
        };
        let reply = app
            .with(Some(&token), move |session| async move {
                sender.send(session.clone()).unwrap();
                assert!(session.get::<i64>("text").await.is_err());
                next();
                assert!(session.take::<i64>("text").await.is_err());
                next();
                let same = |value: Option<i64>| value;
                assert!(session.update("text", same).await.is_err());
                next();
                assert!(session.increment("text", 1).await.is_err());
                next();
                assert!(session.increment("full", 1).await.is_err());
                next();
                assert!(session.insert("nan", &f64::NAN).is_err());
                next();
                assert!(session.set_idle_timeout(Duration::ZERO).is_err());
                next();
                assert!(session.set_absolute_timeout(Duration::MAX).is_err());
                next();
                // These are no faults of the application.
                assert!(session.get::<i64>("").await.is_err());
                assert!(session.sign_in("").is_err());
                Ok(ok(""))
            })
            .await;
        reply.assert_plain();
        let session = receiver.recv().unwrap();
        assert!(session.insert("late", &1).is_err());
        if !at_once {
            app.advance(SECOND);
        }
        assert!(session.rotate().is_err());
        let faults: Vec<_> = take()
            .into_iter()
            .filter(|line| line.event() == "session.call_failed")
            .collect();
        for line in &faults {
            assert_eq!(line.level.as_str(), "ERROR");
            assert!(!format!("{line:?}").contains("hunter2"), "{line:?}");
        }
        let field = |line: &Line, name| line.fields.get(name).cloned().unwrap_or_default();
        let shown: Vec<_> = faults
            .iter()
            .map(|line| format!("{} {}", field(line, "reason"), field(line, "key")))
            .collect();
        if at_once {
            assert_eq!(shown, ["decode text"], "one line a second");
            continue;
        }
        let expected = [
            "decode text",
            "decode text",
            "decode text",
            "not_an_integer text",
            "overflow full",
            "encode nan",
            "invalid_limit ",
            "invalid_limit ",
            "response_sent ",
            "response_sent ",
        ];
        assert_eq!(shown, expected);
    }
}

async fn a_detached_handle_that_is_dropped_with_unsaved_changes_is_told(app: App) {
    start();
    let token = app.start(&[("a", 1)]).await;
    let id = id(&app, &token).await;
    let detached = async |saves: bool| {
        let (sender, receiver) = std::sync::mpsc::channel();
        app.with(Some(&token), move |session| async move {
            sender.send(session.detach()).unwrap();
            session.get::<i64>("a").await?;
            Ok(ok(""))
        })
        .await
        .assert_plain();
        told().await;
        let session: Session = receiver.recv().unwrap();
        let clone = session.clone();
        session.insert("a", &2).unwrap();
        drop(session);
        assert_eq!(told().await, [""; 0], "another handle may save it");
        if saves {
            clone.save().await.unwrap();
        }
    };
    detached(false).await;
    let line = format!("WARN session.unsaved session={id} suppressed=0");
    assert_eq!(told().await, [line]);
    assert_eq!(app.read(&token, "a").await, Some(1));
    app.advance(SECOND);
    detached(true).await;
    assert_eq!(told().await, [""; 0]);
    // What is dropped with its request is no fault of a handle.
    let reply = app
        .with(Some(&token), |session| async move {
            session.insert("a", &3)?;
            let mut failed = ok("");
            *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            Ok(failed)
        })
        .await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(told().await, [""; 0]);
}

async fn cookies_of_several_sessions(app: App) {
    start();
    let first = app.start(&[("a", 1)]).await;
    let second = app.start(&[("a", 1)]).await;
    told().await;
    let cookies = |count: usize| {
        let tokens = [&first, &second].into_iter().cycle().take(count);
        let tokens = tokens
            .enumerate()
            .map(|(index, token)| format!("Kr.Session={}{index:02}{}", &token[..40], &token[42..]));
        tokens.collect::<Vec<_>>()
    };
    let both = [&first, &second].map(|token| format!("Kr.Session={token}"));
    for cookies in [both.to_vec(), cookies(5)] {
        app.raw(&cookies, |session| async move {
            Ok(ok(format!("{:?}", session.get::<i64>("a").await?)))
        })
        .await
        .assert_done();
        app.advance(SECOND);
    }
    assert_eq!(told().await, ["WARN session.ambiguous suppressed=0"; 2]);
}

#[tokio::test]
async fn what_a_layer_tells_a_second_one_inside_does_not_tell_again() {
    start();
    let (outer, inner) = (App::in_memory(), App::over_io());
    let pass = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
    let service = outer.layer.layer(inner.layer.layer(pass));
    let mut request = Request::builder();
    for letter in 'A'..='E' {
        let token = letter.to_string().repeat(64);
        request = request.header(header::COOKIE, format!("Kr.Session={token}"));
    }
    service.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!(told().await, ["WARN session.ambiguous suppressed=0"]);
}

#[tokio::test]
async fn live_sessions_that_have_to_make_room_are_counted_and_dead_ones_are_not() {
    start();
    let now = Timestamp::from_unix_millis(1_800_000_000_000);
    let store = MemoryStore::builder()
        .anonymous_bytes(16 * 1_024)
        .owned_bytes(16 * 1_024)
        .build();
    let begin = |count: u64, user: bool, now: Timestamp| {
        let store = store.clone();
        async move {
            for _ in 0..count {
                let idle = IdleLimit::new(60 * SECOND);
                let secret = SecretHash::from_bytes([1; 32]);
                let mut record = Record::new(secret, now, idle, 600 * SECOND);
                record.owner = user.then(|| owner("max"));
                let id = SessionId::generate(now);
                SessionStore::create(&store, id, record, now).await.unwrap();
            }
        }
    };
    begin(10, false, now).await;
    begin(10, true, now).await;
    assert_eq!(store.evictions().anonymous, 0);
    assert_eq!(told().await, [""; 0]);

    begin(200, false, now).await;
    let anonymous = store.evictions().anonymous;
    assert_eq!(anonymous, 220 - store.record_count());
    assert_eq!(store.evictions().owned, 0);
    begin(200, true, now).await;
    let owned = store.evictions().owned;
    assert_eq!(anonymous + owned, 420 - store.record_count());
    let lines = take();
    assert_eq!(lines.len(), 2, "one for each share: {lines:?}");
    for (line, share) in lines.iter().zip(["anonymous", "owned"]) {
        assert_eq!(line.target, "tower_kr_session::audit");
        let id: SessionId = line.fields["session"].parse().unwrap();
        assert_eq!(
            line.text(),
            format!("WARN session.evicted session={id} share={share} suppressed=0")
        );
    }

    // They are dead, but it is not yet time to sweep them away: whoever comes now drops nobody that
    // lives.
    let later = now.saturating_add(90 * SECOND);
    begin(5, false, later).await;
    assert_eq!(store.evictions().anonymous, anonymous);
    begin(200, false, later).await;
    let suppressed = store.evictions().anonymous - anonymous;
    assert!(suppressed > 100, "{suppressed}");
    let lines = take();
    assert_eq!(lines.len(), 1);
    let held_back = (anonymous - 1).to_string();
    assert_eq!(lines[0].fields["suppressed"], held_back);
}

#[tokio::test]
async fn a_moka_store_tells_of_what_has_to_make_room_when_moka_is_done() {
    start();
    let now = Timestamp::from_unix_millis(1_800_000_000_000);
    let store = MokaStore::builder()
        .anonymous_bytes(16 * 1_024)
        .owned_bytes(16 * 1_024)
        .build();
    for number in 0..400 {
        let idle = IdleLimit::new(60 * SECOND);
        let secret = SecretHash::from_bytes([1; 32]);
        let mut record = Record::new(secret, now, idle, 600 * SECOND);
        record.owner = (number >= 200).then(|| owner(&number.to_string()));
        let id = SessionId::generate(now);
        SessionStore::create(&store, id, record, now).await.unwrap();
    }
    let evicted = store.evictions();
    assert!(
        evicted.anonymous > 150 && evicted.owned > 150,
        "{evicted:?}"
    );
    let lines = take();
    for share in ["anonymous", "owned"] {
        let of_share = lines.iter().filter(|line| line.fields["share"] == share);
        let of_share: Vec<_> = of_share.collect();
        assert!(!of_share.is_empty());
        let first = of_share[0];
        assert_eq!(first.target, "tower_kr_session::audit");
        let id: SessionId = first.fields["session"].parse().unwrap();
        assert_eq!(
            first.text(),
            format!("WARN session.evicted session={id} share={share} suppressed=0")
        );
    }
}

async fn events_hold_no_secret_and_name_nobody_and_are_all_in_the_table(app: App) {
    const FIELDS: [&str; 11] = [
        "event",
        "session",
        "signed_in",
        "suppressed",
        "by",
        "sessions",
        "kept",
        "reason",
        "key",
        "error",
        "share",
    ];
    let table = include_str!("../../README.md");
    start();
    let mut secrets = vec!["user-of-the-test".to_owned(), "424242".to_owned()];
    for use_ in USES {
        let anonymous = app.start(&[("a", 424_242)]).await;
        let signed_in = request(&app, Some(&anonymous), |session| {
            session.sign_in("user-of-the-test")
        })
        .await
        .token();
        let wrong = with_wrong_secret(&signed_in, &app.start(&[("a", 1)]).await);
        for token in [&wrong, &anonymous, &signed_in] {
            let reply = use_session(&app, token, use_).await;
            if reply.set_cookie().is_some() && !reply.removes_cookie() {
                secrets.push(reply.token());
            }
        }
        let both = [&signed_in, &wrong].map(|token| format!("Kr.Session={token}"));
        app.raw(&both, |_| async { Ok(ok("")) }).await.assert_done();
        secrets.extend([anonymous, signed_in, wrong]);
        app.advance(10 * SECOND);
    }
    app.sessions()
        .revoke_all(&owner("user-of-the-test"))
        .await
        .unwrap();
    app.sessions().revoke_all(&owner("max")).await.unwrap();
    settle().await;
    let lines = take();
    assert!(lines.len() > 25, "{}", lines.len());
    for line in &lines {
        assert_eq!(line.target, "tower_kr_session::audit");
        assert!(
            table.contains(&format!("| `{}` |", line.event())),
            "{line:?}"
        );
        assert!(
            line.fields
                .keys()
                .all(|name| FIELDS.contains(&name.as_str())),
            "{line:?}"
        );
        let text = format!("{line:?}");
        for secret in &secrets {
            // The first 22 characters of a token hold the id, which is no secret.
            let secret = if secret.len() == 64 {
                &secret[22..]
            } else {
                secret
            };
            for piece in secret.as_bytes().windows(secret.len().min(10)) {
                let piece = std::str::from_utf8(piece).unwrap();
                assert!(!text.contains(piece), "{piece} in {text}");
            }
        }
    }
}

/// A map that can't delete what isn't a session.
#[derive(Default)]
struct Untidy(MapStore);

impl VersionedStore for Untidy {
    async fn get(&self, key: &StoreKey) -> Result<Option<(Version, Bytes)>, StoreError> {
        self.0.get(key).await
    }

    async fn put_if(
        &self,
        key: &StoreKey,
        expected: Option<Version>,
        value: StoreValue,
        keep_for: Duration,
    ) -> Result<bool, StoreError> {
        self.0.put_if(key, expected, value, keep_for).await
    }

    async fn delete_if(&self, key: &StoreKey, expected: Version) -> Result<bool, StoreError> {
        match key.session_id() {
            Some(_) => self.0.delete_if(key, expected).await,
            None => Err(StoreError::unavailable("read-only")),
        }
    }
}

#[tokio::test]
async fn a_session_has_ended_also_if_its_index_is_left_to_be_tidied_and_a_line_tells_why() {
    start();
    let now = Timestamp::from_unix_millis(1_800_000_000_000);
    let store = Versioned::new(Untidy::default());
    let secret = SecretHash::from_bytes([1; 32]);
    let mut record = Record::new(secret, now, IdleLimit::new(60 * SECOND), 600 * SECOND);
    record.owner = Some(owner("max"));
    let id = SessionId::generate(now);
    store.create(id, record, now).await.unwrap();
    let removed = store.remove(id, None, Instants::at(now)).await;
    assert_eq!(removed.unwrap(), RemoveOutcome::Removed);
    let lines = take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0].level.as_str(), "DEBUG");
    assert!(lines[0].message.ends_with("to be tidied later"));
    assert!(lines[0].fields["error"].ends_with("read-only"));
}
