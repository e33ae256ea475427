//! The contract suite on a map behind the small door, through one handle and through two, as two processes
//! have on one database.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

#[path = "versioned/map_store.rs"]
mod map_store;

use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tower_kr_session::store::{Versioned, contract};

use self::map_store::MapStore;

fn trials(name: &str, may_evict: bool, handles: usize) -> impl Iterator<Item = Trial> {
    contract::rules().into_iter().map(move |rule| {
        let name = format!("{name}::{}", rule.name());
        Trial::test(name, move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
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
            runtime.block_on(rule.check(first, second));
            Ok(())
        })
    })
}

fn main() {
    let arguments = Arguments::from_args();
    let all = trials("one_handle", false, 1)
        .chain(trials("two_handles", false, 2))
        .chain(trials("one_handle_that_evicts", true, 1))
        .chain(trials("two_handles_that_evict", true, 2))
        .collect();
    libtest_mimic::run(&arguments, all).exit();
}
