//! Tests that need servers: ignored where there are none, failed there if `KR_REQUIRE_SERVERS=1` asks for them.

use std::{
    env,
    future::Future,
    process::ExitCode,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Trial};

use super::server::Server;

/// A named test.
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) run: Box<dyn FnOnce() + Send>,
}

impl Check {
    pub(crate) fn new(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

pub(crate) fn run(checks: Vec<Check>) -> ExitCode {
    let required = env::var_os("KR_REQUIRE_SERVERS").is_some_and(|value| value == "1");
    let installed = Server::is_installed();
    let trials = checks.into_iter().map(|check| {
        let trial = Trial::test(check.name, move || {
            if !installed {
                return Err("redis-server is not installed".into());
            }
            (check.run)();
            Ok(())
        });
        trial.with_ignored_flag(!installed && !required)
    });
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    conclusion.exit_code()
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Waits for a condition, at most as long as is reasonable on a busy machine.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "not within 30 s: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
