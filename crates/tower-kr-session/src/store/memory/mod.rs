//! The in-memory store: a table of records in this process.

mod eviction;
mod expiry;
mod owners;
mod shards;
mod share;
mod table;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use self::{
    owners::Owners,
    shards::Shards,
    share::{Budget, LARGEST_HEAD, Share, footprint},
    table::{Slot, Stamp},
};
use crate::{
    model::{
        ApplyOutcome, Delta, Instants, Owner, Record, SecretHash, SessionId, Timestamp, TokenState,
    },
    store::{
        CreateOutcome, Cursor, Page, RemoveOutcome, SessionStore, SessionSummary, StoreError,
        shares::{EvictionLog, Evictions, MemoryStoreBuilder},
    },
};

/// Values of a session take at most this many times their own size: a key of one byte with an empty
/// value takes 7 bytes.
const WORST_EXPANSION: u64 = 8;

/// Keeps sessions in the memory of this process: the fastest store, but gone with the process.
///
/// Its capacity is counted in bytes, in two shares, so that sessions without an owner can't push
/// out those of users who signed in. A full share drops the least recently used of 16 random
/// sessions; one that expired more than five minutes ago goes first. So none of the 15 most
/// recently used sessions is ever dropped, and one of the more recently used half only once in
/// 65,536 times. A clone is the same store.
///
/// ```
/// use tower_kr_session::{MemoryStore, SessionLayer};
///
/// let store = MemoryStore::builder()
///     .anonymous_bytes(16 * 1024 * 1024)
///     .owned_bytes(256 * 1024 * 1024)
///     .build();
/// let layer = SessionLayer::new(store);
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

// A session is found and changed under the lock of its shard. No thread locks two shards. The index
// of owners is the innermost lock.
struct Shared {
    shards: Shards,
    anonymous: Budget,
    owned: Budget,
    /// How often the store grew.
    growth: AtomicU32,
    owners: Mutex<Owners>,
    largest_session: u64,
}

impl Shared {
    const fn budget(&self, share: Share) -> &Budget {
        match share {
            Share::Anonymous => &self.anonymous,
            Share::Owned => &self.owned,
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp(self.growth.load(Ordering::Relaxed))
    }

    /// Returns the stamp of a change that makes the store grow, later than those of all sessions
    /// used until now.
    fn growing(&self) -> Stamp {
        Stamp(self.growth.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
    }

    /// Applies a delta. A session is in the index of owners before it has its owner, so that no
    /// revocation misses it.
    fn apply(
        &self,
        id: SessionId,
        record: &mut Record,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> ApplyOutcome {
        let Some(sign_in) = &delta.sign_in else {
            return record.apply(secret, delta, at);
        };
        // A stranger must not learn of a revocation, nor leave a trace in the index.
        if record.token_state(secret, at) == TokenState::Current
            && !lock(&self.owners).add(&sign_in.owner, id, sign_in.authenticated_at)
        {
            return ApplyOutcome::Revoked;
        }
        let applied = record.apply(secret, delta, at);
        if record.owner.as_ref() != Some(&sign_in.owner) {
            lock(&self.owners).remove(&sign_in.owner, id);
        }
        applied
    }

    /// Removes a session if it may go. Returns `false` if it stays or isn't there.
    fn remove_if(&self, id: SessionId, may_go: impl FnOnce(&Record) -> bool) -> bool {
        let mut shard = self.shards.of(id);
        let Some(slot) = shard.find(id, self.stamp()) else {
            return false;
        };
        if !may_go(slot.record()) {
            return false;
        }
        let share = Share::of(slot.record());
        let removed = shard.share(share).remove(id);
        if let Some(slot) = &removed {
            self.forget(slot);
        }
        drop(shard);
        removed.is_some()
    }

    /// Releases what a session held outside its table. The caller took it out of the table, and
    /// still has the lock of its shard.
    fn forget(&self, slot: &Slot) {
        let record = slot.record();
        self.budget(Share::of(record)).release(footprint(record));
        if let Some(owner) = &record.owner {
            lock(&self.owners).remove(owner, slot.id());
        }
    }
}

impl MemoryStore {
    /// Creates a store of the default capacity: 64 MiB for anonymous sessions, 192 MiB for those
    /// with an owner.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a store of another capacity.
    #[must_use]
    pub const fn builder() -> MemoryStoreBuilder<Self> {
        MemoryStoreBuilder::new(|anonymous_bytes, owned_bytes| {
            let smaller = anonymous_bytes.min(owned_bytes);
            Self(Arc::new(Shared {
                shards: Shards::new(),
                anonymous: Budget::new(anonymous_bytes, EvictionLog::anonymous()),
                owned: Budget::new(owned_bytes, EvictionLog::owned()),
                growth: AtomicU32::new(0),
                owners: Mutex::default(),
                largest_session: smaller.saturating_sub(LARGEST_HEAD) / WORST_EXPANSION,
            }))
        })
    }

    /// Removes the sessions that expired more than five minutes before `now`, which otherwise
    /// happens as new sessions start. Call it now and then if memory must shrink without new
    /// sessions.
    pub fn run_pending_tasks(&self, now: Timestamp) {
        self.0.sweep_all(now);
    }

    /// Returns how many live sessions were dropped so far because their share was full. A share
    /// that drops any is too small for the sessions that start within an idle timeout, or somebody
    /// floods it.
    ///
    /// ```
    /// # use tower_kr_session::MemoryStore;
    /// assert_eq!(MemoryStore::new().evictions().owned, 0);
    /// ```
    #[must_use]
    pub fn evictions(&self) -> Evictions {
        Evictions::of(&self.0.anonymous.evictions, &self.0.owned.evictions)
    }

    /// Returns how many records the store holds, including expired ones.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.0.shards.iter().map(|shard| shard.len() as u64).sum()
    }
}

/// The calls of a usual request, answered at once.
impl MemoryStore {
    pub(crate) fn load_now(&self, id: SessionId, now: Timestamp) -> Option<Arc<Record>> {
        let mut shard = self.0.shards.of(id);
        let record = shard.find(id, self.0.stamp())?.record();
        let alive = !record.is_expired(Instants::at(now));
        alive.then(|| Arc::clone(record))
    }

    /// Returns those of these sessions that are alive and of this owner.
    fn summaries(&self, owner: &Owner, ids: Vec<SessionId>, now: Timestamp) -> Vec<SessionSummary> {
        let summary = |id| {
            let record = self.load_now(id, now)?;
            (record.owner.as_ref() == Some(owner)).then(|| SessionSummary::new(id, &record, now))
        };
        ids.into_iter().filter_map(summary).collect()
    }

    pub(crate) fn create_now(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> CreateOutcome {
        let authenticated_at = record.authenticated_at.unwrap_or(record.created_at);
        let record = Arc::new(record);
        let share = Share::of(&record);
        let mut shard = self.0.shards.of(id);
        self.0.sweep(&mut shard, now);
        if shard.find(id, self.0.stamp()).is_some() {
            return CreateOutcome::Exists;
        }
        if let Some(owner) = &record.owner
            && !lock(&self.0.owners).add(owner, id, authenticated_at)
        {
            return CreateOutcome::Revoked;
        }
        self.0.budget(share).charge(footprint(&record));
        shard.share(share).insert(id, record, self.0.growing());
        drop(shard);
        self.0.make_room(share, now);
        CreateOutcome::Created
    }

    pub(crate) fn apply_now(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> ApplyOutcome {
        let mut shard = self.0.shards.of(id);
        let Some(slot) = shard.find(id, self.0.stamp()) else {
            return ApplyOutcome::Missing;
        };
        let of = |record: &Record| (Share::of(record), footprint(record));
        let (old_share, old_footprint) = of(slot.record());
        let applied = slot.edit(|record| self.0.apply(id, record, secret, delta, at));
        let (share, new_footprint) = of(slot.record());
        if (share, new_footprint) != (old_share, old_footprint) {
            self.0.budget(share).charge(new_footprint);
            self.0.budget(old_share).release(old_footprint);
            let now = self.0.growing();
            slot.touch(now);
            if share != old_share
                && let Some(slot) = shard.share(old_share).remove(id)
            {
                shard.share(share).insert(id, slot.into_record(), now);
            }
            drop(shard);
            self.0.make_room(share, at.now);
        }
        applied
    }
}

impl SessionStore for MemoryStore {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(self.load_now(id, now).map(Arc::unwrap_or_clone))
    }

    async fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        Ok(self.create_now(id, record, now))
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        Ok(self.apply_now(id, secret, delta, at))
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        let mut found = RemoveOutcome::Missing;
        self.0.remove_if(id, |record| {
            let removal = record.removal(secret, at);
            found = removal.outcome;
            removal.deletes
        });
        Ok(found)
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let ids = lock(&self.0.owners).of(owner);
        let mut sessions = self.summaries(owner, ids, now);
        sessions.sort_by_key(|session| (session.created_at, session.id));
        Ok(sessions)
    }

    async fn list_up_to(
        &self,
        owner: &Owner,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        let (mut sessions, mut last) = (Vec::new(), None);
        while sessions.len() < most {
            let ids = lock(&self.0.owners).some_of(owner, last, most);
            last = ids.last().copied();
            if last.is_none() {
                break;
            }
            sessions.extend(self.summaries(owner, ids, now));
        }
        sessions.truncate(most);
        Ok(sessions)
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let ids = lock(&self.0.owners).revoke(owner, except, now);
        let mut removed = 0;
        for id in ids {
            let mut alive = false;
            let held = self.0.remove_if(id, |record| {
                alive = !record.is_expired(Instants::at(now));
                record.owner.as_ref() == Some(owner)
            });
            removed += u64::from(held && alive);
        }
        Ok(removed)
    }

    /// The cursor is the last session of the page: shards are walked in turn, each in the order of
    /// ids.
    async fn page(
        &self,
        after: Option<&Cursor>,
        most: usize,
        now: Timestamp,
    ) -> Result<Page, StoreError> {
        let mut last = after.map(Cursor::session_id).transpose()?;
        let first = last.map_or(0, Shards::index);
        let mut sessions = Vec::new();
        for index in first..Shards::COUNT {
            let after = last.take();
            let shard = self.0.shards.at(index);
            let slots = shard.live(now);
            let slots = slots.filter(|slot| after.is_none_or(|after| slot.id() > after));
            let summary = |slot: &Slot| SessionSummary::new(slot.id(), slot.record(), now);
            let mut live: Vec<_> = slots.map(summary).collect();
            drop(shard);
            live.sort_unstable_by_key(|session| session.id);
            sessions.append(&mut live);
            if sessions.len() > most {
                sessions.truncate(most);
                let next = sessions.last().map(|session| session.id.into());
                return Ok(Page::new(sessions, next));
            }
        }
        Ok(Page::new(sessions, None))
    }

    async fn count(&self, now: Timestamp) -> Result<Option<u64>, StoreError> {
        let shards = self.0.shards.iter();
        Ok(Some(
            shards.map(|shard| shard.live(now).count() as u64).sum(),
        ))
    }

    fn largest_session(&self) -> Option<u64> {
        Some(self.0.largest_session)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.record_count())
            .finish_non_exhaustive()
    }
}

/// Locks a mutex. A panic while it was locked left no half-made change, since everything is checked
/// before it is written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
