//! The contract suite on the two stores in memory.

use std::{process::ExitCode, sync::Arc};

use test_support::{Check, run};
use tower_kr_session::{MemoryStore, MokaStore, SessionStore, store::contract};

fn main() -> ExitCode {
    let memory = checks("memory", MemoryStore::new);
    run(memory.chain(checks("moka", MokaStore::new)))
}

fn checks<S: SessionStore>(name: &str, new: fn() -> S) -> impl Iterator<Item = Check> {
    contract::rules().into_iter().map(move |rule| {
        Check::future(format!("{name}::{}", rule.name()), move || async move {
            let store = Arc::new(new());
            rule.check(Arc::clone(&store), store).await;
        })
    })
}
