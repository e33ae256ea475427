//! The processes under test, and what befalls them.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use test_support::{Scratch, free_port};

use crate::support::Server;

/// Where Debian keeps the library that gives a process another time.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// How long a process that was stopped stands still, and how long a clock is wrong.
const SPELL: Duration = Duration::from_secs(2);

/// Three processes of the demo on one store.
pub(crate) struct Demo {
    url: String,
    ports: Vec<u16>,
    servers: Vec<Server>,
    /// What the last process takes the time to be.
    clock: PathBuf,
    _folder: Scratch,
}

/// What can befall a process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    /// It dies without a word, and another one takes its place.
    Crash,
    /// It stands still, with its connections open.
    Freeze,
    /// Its clock steps by so many hours, and back.
    Clock(i32),
}

impl Mishap {
    pub(crate) const ALL: [Self; 4] = [Self::Crash, Self::Clock(2), Self::Freeze, Self::Clock(-2)];
}

impl Demo {
    pub(crate) fn start(url: &str) -> Self {
        let folder = Scratch::new();
        let clock = folder.file("clock", "+0");
        let mut demo = Self {
            url: url.to_owned(),
            ports: [(); 3].map(|()| free_port()).into(),
            servers: Vec::new(),
            clock,
            _folder: folder,
        };
        demo.servers = (0..demo.ports.len())
            .map(|index| demo.process(index))
            .collect();
        demo
    }

    pub(crate) fn ports(&self) -> &[u16] {
        &self.ports
    }

    fn process(&self, index: usize) -> Server {
        let port = self.ports[index].to_string();
        let clock = self.clock.display().to_string();
        let mut variables = vec![("PORT", port.as_str())];
        if index == self.ports.len() - 1 && Path::new(FAKETIME).exists() {
            variables.extend([
                ("LD_PRELOAD", FAKETIME),
                ("FAKETIME_TIMESTAMP_FILE", &clock),
                ("FAKETIME_CACHE_DURATION", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                ("FAKETIME_DONT_RESET", "1"),
            ]);
        }
        // Longer than a clock may be wrong, or its process would rightly see sessions expire.
        let timeout = ["--idle-timeout", "6h"];
        let limit = ["--max-sessions-per-owner", "2"];
        let http = ["--http", "--secure-policy", "none", "--store", &self.url];
        Server::start_with(&variables, &[&http[..], &timeout, &limit].concat())
    }

    /// One of the processes, another one each time, has a mishap.
    pub(crate) fn befall(&mut self, mishap: Mishap, round: usize) {
        let victim = round % self.servers.len();
        match mishap {
            Mishap::Crash => {
                drop(self.servers.remove(victim));
                self.servers.insert(victim, self.process(victim));
            }
            Mishap::Freeze => {
                self.servers[victim].signal("STOP");
                thread::sleep(SPELL);
                self.servers[victim].signal("CONT");
            }
            Mishap::Clock(hours) => {
                fs::write(&self.clock, format!("{hours:+}h")).unwrap();
                thread::sleep(SPELL);
                fs::write(&self.clock, "+0").unwrap();
            }
        }
    }
}
