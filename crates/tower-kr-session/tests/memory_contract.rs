//! The contract suite on the two stores in memory.

use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tower_kr_session::{MemoryStore, MokaStore, SessionStore, store::contract};

fn trials<S: SessionStore>(name: &str, new: fn() -> S) -> impl Iterator<Item = Trial> {
    contract::rules().into_iter().map(move |rule| {
        let name = format!("{name}::{}", rule.name());
        Trial::test(name, move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            let store = Arc::new(new());
            runtime.block_on(rule.check(Arc::clone(&store), store));
            Ok(())
        })
    })
}

fn main() {
    let arguments = Arguments::from_args();
    let memory = trials("memory", MemoryStore::new);
    let moka = trials("moka", MokaStore::new);
    libtest_mimic::run(&arguments, memory.chain(moka).collect()).exit();
}
