//! The contract suite on a map behind the small door, through one handle and through two, as two
//! processes have on one database.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

#[path = "versioned/map_store.rs"]
mod map_store;

use std::{process::ExitCode, sync::Arc};

use test_support::{Check, run};
use tower_kr_session::store::{Versioned, contract};

use self::map_store::MapStore;

fn main() -> ExitCode {
    run(checks("one_handle", false, 1)
        .chain(checks("two_handles", false, 2))
        .chain(checks("one_handle_that_evicts", true, 1))
        .chain(checks("two_handles_that_evict", true, 2)))
}

fn checks(name: &str, may_evict: bool, handles: usize) -> impl Iterator<Item = Check> {
    contract::rules().into_iter().map(move |rule| {
        Check::future(format!("{name}::{}", rule.name()), move || async move {
            let store = Arc::new(MapStore {
                may_evict,
                ..MapStore::default()
            });
            let handle = || Arc::new(Versioned::new(Arc::clone(&store)));
            let first = handle();
            let second = match handles {
                1 => Arc::clone(&first),
                _ => handle(),
            };
            rule.check(first, second).await;
        })
    })
}
