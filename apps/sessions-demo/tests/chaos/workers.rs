//! What clients do all the while.

use std::{
    collections::VecDeque,
    mem,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    client::{Processes, Reply, persist},
    figures::{Ended, Figures},
};

/// A request that wasn't answered may be done this much later: servers that stood still read what
/// was sent to them before.
const LATE: Duration = Duration::from_secs(20);

/// Counts in one session. Each answer must be one more than the last, or as many more as requests
/// weren't answered before.
pub(crate) fn count(processes: &Processes, over: &AtomicBool) -> Figures {
    let mut figures = Figures::default();
    let mut counter = Counter::start(processes);
    // The last request is after the last fault.
    let mut more = true;
    while mem::replace(&mut more, !over.load(Ordering::SeqCst)) {
        match processes.get("/session/counter", Some(&counter.token)) {
            Ok(reply) if reply.status == 200 => counter.take_in(&reply, &mut figures),
            _ => {
                figures.unserved += 1;
                counter.open.push_back(Instant::now());
                // The last one has to be answered.
                more = true;
            }
        }
    }
    figures.acknowledged.push(counter.acknowledged);
    figures
}

struct Counter {
    token: String,
    /// The numbers that were given out, and when.
    given: Vec<(u64, Instant)>,
    /// When requests were sent that weren't answered, and may be done yet.
    open: VecDeque<Instant>,
    acknowledged: Vec<Instant>,
}

impl Counter {
    fn start(processes: &Processes) -> Self {
        let reply = persist("a counter", || processes.get("/session/counter", None));
        Self {
            token: reply.token.clone().unwrap(),
            given: vec![(counter(&reply), Instant::now())],
            open: VecDeque::new(),
            acknowledged: Vec::new(),
        }
    }

    fn take_in(&mut self, reply: &Reply, figures: &mut Figures) {
        if let Some(token) = &reply.token {
            // The session is gone, and another one began.
            self.token.clone_from(token);
        }
        self.number(counter(reply), figures);
    }

    fn number(&mut self, number: u64, figures: &mut Figures) {
        let now = Instant::now();
        while let Some(&(given, at)) = self.given.last()
            && given >= number
        {
            figures.lost.push(at);
            self.given.pop();
        }
        self.open.retain(|sent| now - *sent < LATE);
        let last = self.given.last().map_or(0, |(given, _)| *given);
        for _ in last + 1..number {
            if self.open.pop_front().is_none() {
                figures.twice += 1;
            }
        }
        self.given.push((number, now));
        self.acknowledged.push(now);
    }
}

/// A counter that goes back has lost something, and one that leaps has counted something twice,
/// unless as many requests weren't answered.
pub(crate) fn a_counter_tells_what_went_wrong() {
    let told = |unanswered: usize, numbers: &[u64]| {
        let mut counter = Counter {
            token: String::new(),
            given: Vec::new(),
            open: vec![Instant::now(); unanswered].into(),
            acknowledged: Vec::new(),
        };
        let mut figures = Figures::default();
        for number in numbers {
            counter.number(*number, &mut figures);
        }
        (figures.lost.len(), figures.twice)
    };
    assert_eq!(told(0, &[1, 2, 3]), (0, 0));
    assert_eq!(told(0, &[1, 2, 2, 3]), (1, 0), "2 was given out twice");
    assert_eq!(told(0, &[1, 2, 3, 1]), (3, 0), "all is lost");
    assert_eq!(told(0, &[1, 3]), (0, 1), "counted twice");
    assert_eq!(told(1, &[1, 3, 4]), (0, 0), "or not answered");
    assert_eq!(told(1, &[1, 3, 5]), (0, 1), "not answered once");
}

/// Signs in and out. An acknowledged sign-out ends the token, at every process.
pub(crate) fn log_out(processes: &Processes, over: &AtomicBool) -> Figures {
    let mut users = Users::new("leaver");
    repeat(over, |figures| {
        let token = sign_in(processes, &users.next())?;
        let logout = || processes.get("/session/logout", Some(&token));
        if persist("a sign-out", logout).status == 200 {
            figures.ended.push(dead(vec![token], 0));
        }
        Some(())
    })
}

/// Signs in more often than a user may: the sign-ins end one another.
pub(crate) fn displace(processes: &Processes, over: &AtomicBool) -> Figures {
    let mut users = Users::new("mover");
    repeat(over, |figures| {
        let user = users.next();
        let tokens: Option<Vec<String>> = (0..4).map(|_| sign_in(processes, &user)).collect();
        figures.ended.push(dead(tokens?, 2));
        Some(())
    })
}

/// Signs in twice, and revokes all sessions but one.
pub(crate) fn revoke(processes: &Processes, over: &AtomicBool) -> Figures {
    let mut users = Users::new("revoker");
    repeat(over, |figures| {
        let user = users.next();
        let (first, second) = (sign_in(processes, &user)?, sign_in(processes, &user)?);
        let revocation = || processes.post("/page/revoke-others", Some(&second));
        if persist("a revocation", revocation).status == 303 {
            figures.ended.push(dead(vec![first], 0));
        }
        Some(())
    })
}

fn repeat(over: &AtomicBool, mut round: impl FnMut(&mut Figures) -> Option<()>) -> Figures {
    let mut figures = Figures::default();
    while !over.load(Ordering::SeqCst) {
        let _ = round(&mut figures);
    }
    figures
}

fn dead(tokens: Vec<String>, may_live: usize) -> Ended {
    Ended {
        tokens,
        may_live,
        at: Instant::now(),
    }
}

/// A new user each time.
struct Users {
    name: String,
    count: u64,
}

impl Users {
    fn new(name: &str) -> Self {
        let worker = std::thread::current().id();
        Self {
            name: format!("{name}-{worker:?}").replace(['(', ')'], ""),
            count: 0,
        }
    }

    fn next(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.name, self.count)
    }
}

/// The token of a sign-in; `None` if it was refused.
fn sign_in(processes: &Processes, user: &str) -> Option<String> {
    let path = format!("/session/login?user={user}");
    let reply = persist("a sign-in", || processes.get(&path, None));
    reply.token.filter(|_| reply.status == 200)
}

fn counter(reply: &Reply) -> u64 {
    let digits = reply.body.rsplit(':').next().unwrap_or_default();
    digits.trim_end_matches('}').parse().unwrap()
}
