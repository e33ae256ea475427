//! The contract suite on real servers: a single one, and a cluster of three; through two
//! connections each.

mod support;

use std::{
    process::ExitCode,
    sync::{Arc, LazyLock},
};

use support::{Check, Cluster, Server, block_on, run};
use tower_kr_session::store::contract;
use tower_kr_session_redis::RedisStore;

fn main() -> ExitCode {
    let single: Arc<LazyLock<Server>> = Arc::new(LazyLock::new(|| Server::start(&[])));
    let cluster: Arc<LazyLock<Cluster>> = Arc::new(LazyLock::new(Cluster::start));
    let (single_url, cluster_url) = (Arc::clone(&single), Arc::clone(&cluster));
    let mut checks = suite("single", move || single_url.url());
    checks.extend(suite("cluster", move || cluster_url.url()));
    run(checks)
}

fn suite(name: &str, url: impl Fn() -> String + Clone + Send + 'static) -> Vec<Check> {
    let rules = contract::rules::<RedisStore>().into_iter();
    rules
        .map(|rule| {
            let url = url.clone();
            Check::new(format!("{name}::{}", rule.name()), move || {
                block_on(async {
                    let first = RedisStore::connect(&url()).await.expect("connect");
                    let second = RedisStore::connect(&url()).await.expect("connect");
                    rule.check(Arc::new(first), Arc::new(second)).await;
                });
            })
        })
        .collect()
}
