//! What is counted and measured, by a recorder of the `metrics` facade.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

#[path = "session/support.rs"]
mod support;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use test_support::eventually;
use tower_kr_session::{
    MemoryStore, MokaStore, SessionId, SessionStore, Timestamp, describe_metrics,
    store::{Record, SecretHash},
};

use support::{App, Behaviour, ok, on_each_store, owner, settle, with_wrong_secret};

on_each_store!(every_event_is_counted_however_many_there_are,);

/// Keeps everything, for the thread of one test.
#[derive(Default)]
struct Told {
    described: Mutex<BTreeMap<String, (Unit, String)>>,
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    measured: Mutex<BTreeMap<String, Arc<Measured>>>,
}

#[derive(Default)]
struct Measured(Mutex<Vec<f64>>);

impl HistogramFn for Measured {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl Told {
    /// What was counted, without zeros.
    fn counts(&self) -> Vec<(String, u64)> {
        let counters = self.counters.lock().unwrap();
        let counts = counters
            .iter()
            .map(|(name, count)| (name.clone(), count.load(Ordering::SeqCst)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    fn measured(&self) -> Vec<(String, usize)> {
        let measured = self.measured.lock().unwrap();
        let counts = measured
            .iter()
            .map(|(name, values)| (name.clone(), values.0.lock().unwrap().len()));
        counts.collect()
    }
}

impl Recorder for Told {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        let described = (unit.unwrap(), help.into_owned());
        self.described
            .lock()
            .unwrap()
            .insert(name.as_str().to_owned(), described);
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        unreachable!("no gauges")
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe_counter(name, unit, help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.counters.lock().unwrap();
        Counter::from_arc(Arc::clone(counters.entry(text(key)).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        unreachable!("no gauges")
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let mut measured = self.measured.lock().unwrap();
        Histogram::from_arc(Arc::clone(measured.entry(text(key)).or_default()))
    }
}

fn text(key: &Key) -> String {
    let labels: Vec<_> = key
        .labels()
        .map(|label| format!("{}={}", label.key(), label.value()))
        .collect();
    [key.name().to_owned()]
        .into_iter()
        .chain(labels)
        .collect::<Vec<_>>()
        .join(" ")
}

fn expected(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
    counts
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

async fn sign_in(app: &App, token: Option<&str>, user: &'static str) -> String {
    app.with(token, move |session| async move {
        session.sign_in(user)?;
        Ok(ok(""))
    })
    .await
    .token()
}

async fn every_event_is_counted_however_many_there_are(app: App) {
    let told = Told::default();
    let _guard = metrics::set_default_local_recorder(&told);
    let anonymous = app.start(&[("a", 1)]).await;
    assert_eq!(app.read(&anonymous, "a").await, Some(1));
    let max = sign_in(&app, Some(&anonymous), "max").await;
    let eve = sign_in(&app, Some(&max), "eve").await;
    for _ in 0..5 {
        // Over as it began, and one whose secret is another's.
        assert_eq!(app.read(&max, "a").await, None);
        let wrong = with_wrong_secret(&eve, &max);
        assert_eq!(app.read(&wrong, "a").await, None);
    }
    for _ in 0..2 {
        sign_in(&app, None, "eve").await;
    }
    let both = [&eve, &app.start(&[("a", 1)]).await].map(|token| format!("Kr.Session={token}"));
    let ambiguous = app.raw(&both, |session| async move {
        session.insert("a", &1)?;
        Ok(ok(""))
    });
    assert_eq!(ambiguous.await.status, StatusCode::BAD_REQUEST);
    app.with(Some(&eve), |session| async move {
        session.sign_out()?;
        Ok(ok(""))
    })
    .await
    .assert_done();
    app.sessions().revoke_all(&owner("eve")).await.unwrap();
    settle().await;
    assert_eq!(
        told.counts(),
        expected(&[
            ("kr_session_ambiguous_total", 1),
            (
                "kr_session_commit_failures_total reason=ambiguous_cookie",
                1
            ),
            ("kr_session_created_total signed_in=false", 2),
            ("kr_session_created_total signed_in=true", 3),
            ("kr_session_destroyed_total", 1),
            ("kr_session_expired_total", 5),
            ("kr_session_refused_total", 5),
            ("kr_session_revoked_total", 3),
            ("kr_session_rotated_total signed_in=true", 1),
        ])
    );
}

#[tokio::test]
async fn calls_of_a_store_with_io_are_measured() {
    let told = Told::default();
    let _guard = metrics::set_default_local_recorder(&told);
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    app.read(&token, "a").await;
    let token = sign_in(&app, Some(&token), "max").await;
    app.with(Some(&token), |session| async move {
        session.sign_out()?;
        Ok(ok(""))
    })
    .await
    .assert_done();
    app.sessions().list(&owner("max")).await.unwrap();
    app.sessions().revoke_all(&owner("max")).await.unwrap();
    let operations = [
        "apply",
        "create",
        "list",
        "list_up_to",
        "load",
        "remove",
        "remove_owned",
    ];
    let measured = told.measured();
    let names: Vec<_> = measured.iter().map(|(name, _)| name.as_str()).collect();
    let of = |operation| format!("kr_session_store_seconds operation={operation} outcome=answered");
    assert_eq!(names, operations.map(of));
    assert_eq!(measured[1].1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_failed_or_was_given_up_is_measured_too() {
    let told = Told::default();
    let _guard = metrics::set_default_local_recorder(&told);
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    for behaviour in [Behaviour::Fail, Behaviour::UnknownVersion, Behaviour::Hang] {
        app.remote.set(behaviour);
        let failed = app.with(Some(&token), |session| async move {
            session.get::<i64>("a").await?;
            Ok(ok(""))
        });
        assert_eq!(failed.await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    {
        let mut request = pin!(app.read(&token, "a"));
        let waits = poll_fn(|context| Poll::Ready(request.as_mut().poll(context).is_pending()));
        assert!(waits.await);
        // The client leaves.
    }
    let measured = told.measured();
    let load = |outcome, count| {
        (
            format!("kr_session_store_seconds operation=load outcome={outcome}"),
            count,
        )
    };
    assert_eq!(
        measured[1..],
        [load("dropped", 1), load("failed", 2), load("timed_out", 1)]
    );
    assert_eq!(
        told.counts(),
        expected(&[
            ("kr_session_commit_failures_total reason=store", 3),
            ("kr_session_created_total signed_in=false", 1),
        ])
    );
}

#[tokio::test]
async fn a_ping_that_fails_is_counted() {
    let told = Told::default();
    let _guard = metrics::set_default_local_recorder(&told);
    let app = App::over_io();
    app.sessions().ping().await.unwrap();
    assert_eq!(told.counts(), []);
    app.remote.set(Behaviour::Fail);
    for _ in 0..3 {
        app.sessions().ping().await.unwrap_err();
    }
    assert_eq!(
        told.counts(),
        expected(&[("kr_session_ping_failures_total", 3)])
    );
}

async fn start_sessions(store: &impl SessionStore, count: usize) {
    let now = Timestamp::from_unix_millis(1_800_000_000_000);
    for _ in 0..count {
        let idle = tower_kr_session::store::IdleLimit::new(Duration::from_secs(60));
        let secret = SecretHash::from_bytes([1; 32]);
        let record = Record::new(secret, now, idle, Duration::from_secs(600));
        let id = SessionId::generate(now);
        store.create(id, record, now).await.unwrap();
    }
}

#[tokio::test]
async fn the_store_in_memory_is_not_measured_and_counts_what_it_drops() {
    let told = Told::default();
    let _guard = metrics::set_default_local_recorder(&told);
    let app = App::in_memory();
    let token = app.start(&[("a", 1)]).await;
    app.read(&token, "a").await;
    app.sessions().list(&owner("max")).await.unwrap();
    assert_eq!(told.measured(), []);

    let store = MemoryStore::builder().anonymous_bytes(16 * 1_024).build();
    start_sessions(&store, 200).await;
    let evicted = 200 - store.record_count();
    assert_eq!(store.evictions().anonymous, evicted);
    assert!(told.counts().contains(&(
        "kr_session_evicted_total share=anonymous".to_owned(),
        evicted
    )));
}

#[tokio::test]
async fn a_moka_store_is_measured_and_counts_what_it_drops() {
    let told = Told::default();
    let _guard = metrics::set_default_local_recorder(&told);
    let app = App::in_moka();
    let token = app.start(&[("a", 1)]).await;
    app.read(&token, "a").await;
    assert!(!told.measured().is_empty());

    let store = MokaStore::builder().anonymous_bytes(16 * 1_024).build();
    start_sessions(&store, 200).await;
    eventually("each session is held or counted", || async {
        store.evictions().anonymous + store.record_count() == 200
    })
    .await;
    let evicted = store.evictions().anonymous;
    assert!(told.counts().contains(&(
        "kr_session_evicted_total share=anonymous".to_owned(),
        evicted
    )));
}

#[test]
fn all_is_described_starts_at_zero_and_stands_in_the_table() {
    let told = Told::default();
    metrics::with_local_recorder(&told, describe_metrics);
    let table = include_str!("../README.md");
    let described = told.described.lock().unwrap();
    let of_devices = if cfg!(feature = "device-bound") { 4 } else { 0 };
    assert_eq!(described.len(), 14 + of_devices);
    for (name, (unit, help)) in &*described {
        assert!(table.contains(&format!("`{name}`")), "{name}");
        assert!(help.ends_with('.'), "{help}");
        let counts = name.ends_with("_total");
        assert_eq!(
            *unit,
            if counts { Unit::Count } else { Unit::Seconds },
            "{name}"
        );
        let counters = told.counters.lock().unwrap();
        assert_eq!(
            counts,
            counters
                .keys()
                .any(|key| key.split(' ').next() == Some(name)),
            "{name}"
        );
    }
    assert_eq!(told.counts(), []);
}
