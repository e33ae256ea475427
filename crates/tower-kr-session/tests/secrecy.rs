//! No token in what a developer or an operator gets to see, and no line that is said more often
//! than it should be. One test in a process of its own: which log lines are wanted is decided once
//! for a process, and other tests want none.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

#[path = "session/support.rs"]
mod support;

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use http::StatusCode;
use kr_cookie::CookieBuilder;
use tracing_subscriber::fmt::MakeWriter;

use support::{App, Behaviour, NAME, ok};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn debug_errors_and_logs_at_trace_hold_no_token() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(captured.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let mut asking = App::over_io();
    asking.layer = asking
        .layer
        .cookie(CookieBuilder::new(NAME).essential(false))
        .consent_when(|_| false);
    for _ in 0..3 {
        asking
            .with(None, |session| async move {
                session.insert("a", &1)?;
                Ok(ok(""))
            })
            .await
            .assert_plain();
    }
    let app = App::over_io();
    let mut tokens = vec![app.start(&[("a", 1)]).await];
    let rotated = app
        .with(Some(&tokens[0]), |session| async move {
            session.sign_in("max")?;
            Ok(ok(format!("{session:?}")))
        })
        .await;
    let mut seen = rotated.body.clone();
    tokens.push(rotated.token());
    let second = app.start(&[("a", 2)]).await;
    let both: Vec<String> = [&tokens[1], &second]
        .map(|token| format!("Kr.Session={token}"))
        .into();
    tokens.push(second);
    let ambiguous = app.raw(&both, |session| async move {
        session.insert("a", &1)?;
        Ok(ok(""))
    });
    assert_eq!(ambiguous.await.status, StatusCode::BAD_REQUEST);
    let superseded = app.with(Some(&tokens[0]), |session| async move {
        session.insert("a", &1)?;
        Ok(ok(""))
    });
    assert_eq!(superseded.await.status, StatusCode::CONFLICT);
    app.remote.set(Behaviour::Fail);
    let failed = app
        .with(Some(&tokens[1]), |session| async move {
            let error = session.get::<i64>("a").await.unwrap_err();
            Ok(ok(format!("{session:?} {error:?} {error}")))
        })
        .await;
    seen += &format!("{failed:?} {:?} {:?}", app.layer, app.sessions());
    drop(guard);
    let logs = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(logs.contains("could not commit a session"), "{logs}");
    assert!(logs.contains("several live sessions"), "{logs}");
    assert_eq!(logs.matches("has not consented").count(), 1, "{logs}");
    for token in tokens {
        // The first 22 characters hold the id, which is no secret.
        for piece in token.as_bytes()[22..].windows(10) {
            let piece = std::str::from_utf8(piece).unwrap();
            assert!(!logs.contains(piece), "{piece} in {logs}");
            assert!(!seen.contains(piece), "{piece} in {seen}");
        }
    }
}
