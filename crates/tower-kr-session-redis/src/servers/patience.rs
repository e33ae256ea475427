//! Decides when a server that doesn't answer is given up.
//!
//! A large answer on a slow network takes its time, and holds up the answers behind it. That is no
//! reason to give up as long as the server answers anything: each lane of the link is a connection
//! of its own, so when a call has waited for a while, the other lanes are asked for a sign of life.

use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use redis::{RedisError, RedisResult};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::lane::LANES;

/// One answer may take this many times as long as a server may be silent: the connection may be
/// dead though others to the same server live.
const LONGEST: u32 = 5;

pub(super) struct Patience {
    /// How long a server may be silent.
    limit: Duration,
    start: Instant,
    /// Milliseconds from the start until the last answer.
    last: AtomicU64,
    /// Notified when a lane is to send a ping.
    suspicions: [Notify; LANES],
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            start: Instant::now(),
            last: AtomicU64::new(0),
            suspicions: [const { Notify::const_new() }; LANES],
        }
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Asks all lanes for a sign of life.
    pub(super) fn raise_suspicion(&self) {
        for suspicion in &self.suspicions {
            suspicion.notify_one();
        }
    }

    /// Waits until this lane is asked for a sign of life.
    pub(super) async fn suspicion(&self, lane: usize) {
        self.suspicions[lane].notified().await;
    }

    /// Waits for an answer. Fails once no lane has had one for as long as the limit.
    pub(super) async fn wait<T>(
        &self,
        answer: impl Future<Output = RedisResult<T>>,
    ) -> RedisResult<T> {
        let start = Instant::now();
        let mut answer = pin!(answer);
        let mut deadline = start + self.limit / 2;
        loop {
            if let Ok(answer) = timeout_at(deadline, answer.as_mut()).await {
                if answer.is_ok() {
                    self.note_answer();
                }
                return answer;
            }
            let now = Instant::now();
            let silent_since = self.last_answer().max(start);
            let (half, whole) = (silent_since + self.limit / 2, silent_since + self.limit);
            let longest = start + LONGEST * self.limit;
            if now >= whole.min(longest) {
                let timed_out = std::io::Error::from(std::io::ErrorKind::TimedOut);
                return Err(RedisError::from(timed_out));
            }
            deadline = if now < half {
                half
            } else {
                self.raise_suspicion();
                whole
            };
            deadline = deadline.min(longest);
        }
    }

    fn note_answer(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(millis, Ordering::Relaxed);
    }

    fn last_answer(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Arc};

    use tokio::time::{sleep, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    /// How long it takes to give up on an answer that never comes.
    async fn give_up(patience: &Patience) -> Duration {
        let start = Instant::now();
        let answer = patience.wait(pending::<RedisResult<()>>()).await;
        assert!(answer.expect_err("no answer").is_timeout());
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up_at_the_limit() {
        let patience = Patience::new(LIMIT);
        assert_eq!(give_up(&patience).await, LIMIT);
        // Also one that has answered long before.
        patience.wait(async { Ok(()) }).await.expect("an answer");
        sleep(10 * LIMIT).await;
        assert_eq!(give_up(&patience).await, LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn other_lanes_are_asked_half_way_and_their_answers_count() {
        let patience = Arc::new(Patience::new(LIMIT));
        let other = Arc::clone(&patience);
        let mut asked = tokio::spawn(async move {
            other.suspicion(1).await;
            let after = other.start.elapsed();
            other.wait(async { Ok(()) }).await.expect("a sign of life");
            // And silence from then on.
            after
        });
        assert_eq!(give_up(&patience).await, LIMIT / 2 + LIMIT);
        let after = timeout(LIMIT, &mut asked).await.expect("in time");
        assert_eq!(after.expect("no panic"), LIMIT / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_waited_for_without_an_end() {
        let patience = Arc::new(Patience::new(LIMIT));
        let other = Arc::clone(&patience);
        let answering = tokio::spawn(async move {
            loop {
                other.suspicion(0).await;
                other.wait(async { Ok(()) }).await.expect("a sign of life");
            }
        });
        assert_eq!(give_up(&patience).await, LONGEST * LIMIT);
        answering.abort();
    }
}
