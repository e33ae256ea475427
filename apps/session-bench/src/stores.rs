//! Measures calls of our two stores in memory alone, without a request around them.

use std::{
    hint::black_box,
    time::{Duration, Instant, SystemTime},
};

use tower_kr_session::{
    SessionId, SessionStore, Timestamp,
    store::{IdleLimit, Record, SecretHash},
};

use crate::{
    candidate::kr::{CAPACITY_BYTES, memory_store, moka_store},
    drive::ready,
    stats::{Figure, Series},
};

const SESSIONS: usize = 500_000;

/// Full long before as many sessions have begun.
const FULL_SHARE_BYTES: u64 = 32 * 1024 * 1024;

/// How many calls are timed together: enough that the housekeeping of a cache counts evenly.
const BATCH: usize = 2_000;

/// The cost of calls of a store with half a million sessions of one small value.
pub struct Calls {
    /// Reading the same session.
    pub hot: Figure,
    /// Reading any.
    pub random: Figure,
    /// Starting one more.
    pub new: Figure,
    /// Starting one in a share that is full.
    pub full: Figure,
}

/// Returns the figures of the memory store.
pub fn memory(rounds: usize) -> Calls {
    measure(memory_store, rounds)
}

/// Returns the figures of the store on moka.
pub fn moka(rounds: usize) -> Calls {
    measure(moka_store, rounds)
}

fn measure<S: SessionStore>(store: impl Fn(u64) -> S, rounds: usize) -> Calls {
    let now = SystemTime::now().into();
    let large = store(CAPACITY_BYTES);
    let ids: Vec<SessionId> = (0..SESSIONS).map(|_| start(&large, now)).collect();
    let mut next = 0;
    let hot = time(rounds, || load(&large, ids[0], now));
    let random = time(rounds, || {
        // A step without a common divisor visits all, in an order that no cache foresees.
        next = (next + 314_159) % SESSIONS;
        load(&large, ids[next], now);
    });
    let new = time(rounds, || {
        start(&large, now);
    });
    let small = store(FULL_SHARE_BYTES);
    for _ in 0..SESSIONS {
        start(&small, now);
    }
    let full = time(rounds, || {
        start(&small, now);
    });
    Calls {
        hot,
        random,
        new,
        full,
    }
}

fn time(rounds: usize, mut call: impl FnMut()) -> Figure {
    let mut series = Series::default();
    for _ in 0..rounds {
        let begin = Instant::now();
        (0..BATCH).for_each(|_| call());
        series.add(begin.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    series.figure()
}

fn load(store: &impl SessionStore, id: SessionId, now: Timestamp) {
    let record = ready(store.load(id, now)).expect("a store that answers");
    black_box(record.expect("a live session"));
}

fn start(store: &impl SessionStore, now: Timestamp) -> SessionId {
    let idle = IdleLimit {
        timeout: Duration::from_secs(20 * 60),
        touch_interval: Duration::from_secs(60),
    };
    let absolute = Duration::from_secs(12 * 60 * 60);
    let mut record = Record::new(SecretHash::from_bytes([7; 32]), now, idle, absolute);
    record.values = [("counter", "1")].into_iter().collect();
    let id = SessionId::generate(now);
    ready(store.create(id, record, now)).expect("a store that answers");
    id
}
