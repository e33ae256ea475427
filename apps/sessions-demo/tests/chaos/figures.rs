//! What became of what was acknowledged.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::client::{Processes, persist};

/// Once a store serves from its new server, what it acknowledged before is known to be lost or not
/// within this time.
const SLACK: Duration = Duration::from_millis(500);

/// What of the acknowledged a fault may cost, since replication is asynchronous.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loses {
    Nothing,
    /// What is acknowledged from its beginning until another server is in charge.
    UntilItIsOver,
    /// The same, but for no longer than this.
    For(Duration),
}

/// A fault of the store.
pub(crate) struct Strike {
    pub(crate) fault: &'static str,
    pub(crate) loses: Loses,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

/// Tokens of which at most so many may be alive, since the others were ended.
pub(crate) struct Ended {
    pub(crate) tokens: Vec<String>,
    pub(crate) may_live: usize,
    pub(crate) at: Instant,
}

#[derive(Default)]
pub(crate) struct Figures {
    /// When increments were acknowledged, in order, session by session.
    pub(crate) acknowledged: Vec<Vec<Instant>>,
    /// When those were acknowledged that are lost.
    pub(crate) lost: Vec<Instant>,
    pub(crate) twice: u64,
    pub(crate) unserved: u64,
    pub(crate) ended: Vec<Ended>,
    /// When tokens were ended that are alive.
    pub(crate) alive: Vec<Instant>,
    pub(crate) strikes: Vec<Strike>,
}

impl Figures {
    pub(crate) fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.lost.extend(other.lost);
        self.twice += other.twice;
        self.unserved += other.unserved;
        self.ended.extend(other.ended);
        self.alive.extend(other.alive);
    }

    /// Shows the tokens of ended sessions to the processes, each to one of them.
    pub(crate) fn replay(&mut self, processes: &Processes) {
        for (number, ended) in self.ended.iter().enumerate() {
            let lives = |token: &&String| {
                let index = number % processes.count();
                let whoami = || processes.get_at(index, "/session/whoami", Some(token));
                persist("an answer", whoami).status == 200
            };
            let alive = ended.tokens.iter().filter(lives).count();
            let surplus = alive.saturating_sub(ended.may_live);
            self.alive.extend(vec![ended.at; surplus]);
        }
    }

    /// # Panics
    /// If anything is lost, counted twice or alive that shouldn't be.
    pub(crate) fn check(&self) {
        assert!(
            !self.acknowledged.is_empty() && !self.ended.is_empty(),
            "{self}"
        );
        assert_eq!(self.twice, 0, "{self}");
        for times in [&self.lost, &self.alive] {
            let outside = times.iter().filter(|at| !self.may_be_lost(**at));
            assert_eq!(outside.count(), 0, "{self}");
        }
    }

    fn may_be_lost(&self, at: Instant) -> bool {
        self.strikes.iter().any(|strike| {
            let until = match strike.loses {
                Loses::Nothing => return false,
                Loses::UntilItIsOver => strike.until,
                Loses::For(window) => strike.until.min(strike.from + window),
            };
            strike.from <= at && at <= until + SLACK
        })
    }
}

impl Strike {
    /// How long after its beginning the last of these times is that falls in it.
    fn last_of(&self, times: &[Instant]) -> Option<Duration> {
        let inside = times
            .iter()
            .filter(|at| self.from <= **at && **at <= self.until + SLACK);
        inside.max().map(|last| *last - self.from)
    }

    /// The longest time in it in which a session was not served. `times` are in order.
    fn silence(&self, times: &[Instant]) -> Duration {
        let pairs = times.windows(2);
        let pairs = pairs.filter(|pair| self.from <= pair[1] && pair[0] <= self.until);
        let silences = pairs.map(|pair| pair[1] - pair[0]);
        silences.max().unwrap_or_default()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let increments: usize = self.acknowledged.iter().map(Vec::len).sum();
        let (lost, twice, alive) = (self.lost.len(), self.twice, self.alive.len());
        let tokens: usize = self
            .ended
            .iter()
            .map(|ended| ended.tokens.len() - ended.may_live)
            .sum();
        write!(
            f,
            "{increments} increments acknowledged, {lost} lost, {twice} counted twice; {tokens} tokens dead, \
             {alive} of them alive; {} requests not served",
            self.unserved,
        )?;
        for strike in &self.strikes {
            let silences = self.acknowledged.iter().map(|times| strike.silence(times));
            let silence = silences.max().unwrap_or_default().as_secs_f64();
            let took = (strike.until - strike.from).as_secs_f64();
            write!(
                f,
                "\n  {}, {took:.1} s: a session was not served for {silence:.2} s",
                strike.fault
            )?;
            if let Some(last) = strike.last_of(&self.lost) {
                write!(
                    f,
                    "; the last lost one {:.2} s after its beginning",
                    last.as_secs_f64()
                )?;
            }
        }
        Ok(())
    }
}
