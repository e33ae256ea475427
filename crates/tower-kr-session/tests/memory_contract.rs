//! The contract suite on the memory store.

use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tower_kr_session::{MemoryStore, store::contract};

fn main() {
    let arguments = Arguments::from_args();
    let trials = contract::rules().into_iter().map(|rule| {
        Trial::test(rule.name(), move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            let store = Arc::new(MemoryStore::new());
            runtime.block_on(rule.check(Arc::clone(&store), store));
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
