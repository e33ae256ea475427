//! Sessions in two moka caches, behind the small door.

mod caches;
mod entry;

use std::{fmt, sync::Arc};

use self::caches::Caches;
use super::{
    Versioned,
    forward::forward_store,
    shares::{EvictionLog, Evictions, MemoryStoreBuilder},
};

/// Sessions in the memory of this process, in [moka](https://docs.rs/moka) caches; gone with the
/// process.
///
/// Its capacity is counted in bytes, in two shares: sessions without an owner can't push out those
/// of users who signed in. A full share drops the least recently used. A clone is the same store.
///
/// [`MemoryStore`](crate::MemoryStore) takes half the memory and less time for each call, which
/// counts where very many sessions are in one process.
///
/// Requests that use one session at the same moment wait for each other, within the I/O timeout:
/// the Tokio runtime needs its timer (`enable_all`, which `#[tokio::main]` does).
///
/// ```
/// use tower_kr_session::{MokaStore, SessionLayer};
///
/// let store = MokaStore::builder()
///     .anonymous_bytes(16 * 1024 * 1024)
///     .owned_bytes(256 * 1024 * 1024)
///     .build();
/// let layer = SessionLayer::new(store);
/// ```
#[derive(Clone)]
pub struct MokaStore(Arc<Versioned<Caches>>);

impl MokaStore {
    /// A store of the default capacity: 64 MiB for anonymous sessions, 192 MiB for those with an
    /// owner.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a store of another capacity.
    #[must_use]
    pub const fn builder() -> MemoryStoreBuilder<Self> {
        MemoryStoreBuilder::new(|anonymous_bytes, owned_bytes| {
            let caches = Caches::new([
                (anonymous_bytes, EvictionLog::anonymous()),
                (owned_bytes, EvictionLog::owned()),
            ]);
            Self(Arc::new(Versioned::new(caches)))
        })
    }

    /// Does the housekeeping that otherwise rides on other calls: forgets what expired more than
    /// five minutes ago, and evicts. Call it now and then if memory must shrink without requests.
    pub fn run_pending_tasks(&self) {
        self.0.store().run_pending_tasks();
    }

    /// How many live sessions were dropped so far because their share was full. A share that drops
    /// any is too small for the sessions that come in their idle timeout, or somebody floods it.
    /// Those of the last moments may not be counted yet.
    ///
    /// ```
    /// # use tower_kr_session::MokaStore;
    /// assert_eq!(MokaStore::new().evictions().owned, 0);
    /// ```
    #[must_use]
    pub fn evictions(&self) -> Evictions {
        self.run_pending_tasks();
        let [anonymous, owned] = &self.0.store().shares;
        Evictions::of(&anonymous.evictions, &owned.evictions)
    }

    /// How many records are held, some expired ones included. Goes through all of them.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        let entries = self.0.store().shares.iter().flat_map(|share| &share.cache);
        entries.filter_map(|(key, _)| key.session_id()).count() as u64
    }
}

forward_store!([] MokaStore, self => self.0);

impl Default for MokaStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MokaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MokaStore {{ records: {}, .. }}", self.record_count())
    }
}
