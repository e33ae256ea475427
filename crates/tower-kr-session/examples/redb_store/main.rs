//! A store in a file, behind the small door (`VersionedStore`), checked with the contract suite.
//!
//! `cargo run -p tower-kr-session --example redb_store` runs the suite, as a test of yours would,
//! and tests of what the trait asks beyond it.

mod store;

use std::{
    env, fs,
    future::Future,
    path::PathBuf,
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime;
use tower_kr_session::{
    Owner,
    store::{StoreKey, StoreValue, ValueClass, Versioned, VersionedStore, contract},
};

use self::store::RedbStore;

fn main() {
    let rules = contract::rules().into_iter().map(|rule| {
        test(rule.name(), move |file| async move {
            let store = Arc::new(Versioned::new(RedbStore::open(&file)?));
            rule.check(Arc::clone(&store), store).await;
            Ok(())
        })
    });
    let own = [
        test("no_version_comes_back", no_version_comes_back),
        test("what_ran_out_is_removed", what_ran_out_is_removed),
    ];
    libtest_mimic::run(&Arguments::from_args(), rules.chain(own).collect()).exit();
}

/// Neither after a deletion nor after the file was closed.
async fn no_version_comes_back(file: PathBuf) -> Result<(), Failed> {
    let key = key("alice")?;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let store = RedbStore::open(&file)?;
        for _ in 0..2 {
            assert!(put(&store, &key, Duration::from_secs(60)).await?);
            let (version, bytes) = store.get(&key).await?.ok_or("it was just written")?;
            assert_eq!(bytes, "value");
            assert!(!seen.contains(&version), "{version:?} of {seen:?}");
            assert!(store.delete_if(&key, version.clone()).await?);
            seen.push(version);
        }
    }
    Ok(())
}

async fn what_ran_out_is_removed(file: PathBuf) -> Result<(), Failed> {
    let store = RedbStore::open(&file)?;
    let (first, kept) = (key("alice")?, key("bob")?);
    put(&store, &first, Duration::ZERO).await?;
    put(&store, &kept, Duration::MAX).await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while store.get(&first).await?.is_some() {
        assert!(Instant::now() < deadline, "it is still there");
        put(&store, &key("carol")?, Duration::ZERO).await?;
    }
    assert!(store.get(&kept).await?.is_some());
    Ok(())
}

fn key(owner: &str) -> Result<StoreKey, Failed> {
    Ok(StoreKey::owner(&Owner::new(owner)?))
}

async fn put(store: &RedbStore, key: &StoreKey, keep_for: Duration) -> Result<bool, Failed> {
    let expected = store.get(key).await?.map(|(version, _)| version);
    let value = StoreValue::new("value", ValueClass::Index);
    Ok(store.put_if(key, expected, value, keep_for).await?)
}

/// A test with a file of its own, which stays if the test panics.
fn test<F: Future<Output = Result<(), Failed>>>(
    name: &str,
    check: impl FnOnce(PathBuf) -> F + Send + 'static,
) -> Trial {
    let file = env::temp_dir().join(format!("kr-{name}-{}.redb", process::id()));
    Trial::test(name, move || {
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        let checked = runtime.block_on(check(file.clone()));
        fs::remove_file(&file)?;
        checked
    })
}
