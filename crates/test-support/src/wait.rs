//! Waiting for a condition, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Far more than anything takes that the tests wait for, on a busy machine too.
const DEADLINE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(10);

/// Asks until there is an answer, for at most 30 seconds.
///
/// # Panics
/// After that time: with what was waited for.
#[track_caller]
pub fn wait_until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    poll(ask).unwrap_or_else(|| panic!("not within 30 s: {what}"))
}

/// Asks until there is an answer; `None` if there is none in time.
pub(crate) fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        let answer = ask();
        if answer.is_some() {
            return answer;
        }
        thread::sleep(PAUSE);
    }
    None
}

/// Asks until the answer is yes, for at most 30 seconds, without blocking the thread.
///
/// # Panics
/// After that time: with what was waited for.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < DEADLINE, "not within 30 s: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs a future to its end, in a runtime of its own with two threads.
///
/// # Panics
/// If the runtime can't start.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}
