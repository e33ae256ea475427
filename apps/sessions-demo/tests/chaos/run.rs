//! Runs workers against a target while it is struck, and checks what became of their work.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::Processes,
    demo::{Demo, Mishap},
    figures::{Figures, Loses, Strike},
    workers::{count, displace, log_out, revoke},
};

/// How long the short form goes on.
const SECONDS: u64 = 6;

/// Between two faults, the clients work undisturbed for so long.
const PEACE: Duration = Duration::from_millis(500);

/// A store, and what can befall its servers.
pub(crate) struct Target<S: 'static> {
    pub(crate) name: &'static str,
    pub(crate) start: fn() -> S,
    pub(crate) url: fn(&S) -> String,
    pub(crate) faults: &'static [Fault<S>],
}

pub(crate) struct Fault<S> {
    pub(crate) name: &'static str,
    /// Breaks the servers, and returns once they can serve again.
    pub(crate) strike: fn(&mut S),
    pub(crate) loses: Loses,
    /// Makes the servers what they were before; they serve all the while.
    pub(crate) repair: fn(&mut S),
}

type Worker = fn(&Processes, &AtomicBool) -> Figures;

const WORKERS: [Worker; 10] = [
    count, count, count, count, count, count, log_out, log_out, displace, revoke,
];

impl<S: Send> Target<S> {
    /// # Panics
    /// If anything acknowledged was lost, counted twice or revived.
    pub(crate) fn run(&self) {
        let seconds = env::var("KR_CHAOS_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
        let mut servers = (self.start)();
        let mut demo = Demo::start(&(self.url)(&servers));
        let processes = Processes::new(demo.ports());
        processes.wait_until_ready();
        let over = AtomicBool::new(false);
        let mut figures = Figures::default();
        thread::scope(|scope| {
            let (processes, over) = (&processes, &over);
            let workers = WORKERS.map(|work| scope.spawn(move || work(processes, over)));
            // If a fault can't be made, the workers are not to go on for ever.
            let end = EndOnDrop(over);
            figures.strikes = self.rounds(&mut servers, &mut demo, Duration::from_secs(seconds));
            processes.wait_until_ready();
            drop(end);
            for worker in workers {
                figures.add(worker.join().unwrap());
            }
        });
        figures.replay(&processes);
        println!("{}, {seconds} s: {figures}", self.name);
        figures.check();
    }

    fn rounds(&self, servers: &mut S, demo: &mut Demo, time: Duration) -> Vec<Strike> {
        let start = Instant::now();
        let mut strikes = Vec::new();
        for round in 0.. {
            thread::sleep(PEACE);
            demo.befall(Mishap::ALL[round % Mishap::ALL.len()], round);
            thread::sleep(PEACE);
            let fault = (!self.faults.is_empty()).then(|| &self.faults[round % self.faults.len()]);
            if let Some(fault) = fault {
                let from = Instant::now();
                (fault.strike)(servers);
                strikes.push(Strike {
                    fault: fault.name,
                    loses: fault.loses,
                    from,
                    until: Instant::now(),
                });
                thread::sleep(PEACE);
            }
            if start.elapsed() >= time {
                break;
            }
            if let Some(fault) = fault {
                (fault.repair)(servers);
            }
        }
        strikes
    }
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
