//! Sessions in the memory of this process.

mod calendar;
mod cell;
mod owners;

use std::{
    fmt,
    hash::{BuildHasher, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use moka::{
    notification::RemovalCause,
    policy::EvictionPolicy,
    sync::{Cache, CacheBuilder},
};

use self::{
    calendar::Calendar,
    cell::{Cell, ENTRY_OVERHEAD, LimitsPool, State},
    owners::Owners,
};
use crate::{
    clock::Timestamp,
    delta::{Delta, Instants},
    id::{SecretHash, SessionId},
    owner::Owner,
    record::{Applied, Record, Standing},
    store::{Created, ImmediateStore, Removed, SessionStore, SessionSummary, StoreError},
};

const DEFAULT_ANONYMOUS_BYTES: u64 = 64 * 1024 * 1024;
const DEFAULT_OWNED_BYTES: u64 = 192 * 1024 * 1024;

/// Values of a session take at most this many times their own size: a key of one byte with an empty value takes 7 bytes.
const WORST_EXPANSION: u64 = 8;

type Share = Cache<SessionId, Arc<Cell>, TailHasher>;

/// Sessions in the memory of this process: the fastest store, and gone with the process.
///
/// Its capacity is counted in bytes, in two shares: sessions without an owner can't push out those of users who signed in. A
/// full share drops its least recently used session. A clone is the same store.
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

// A record is a locked cell in a cache. Never is the cache called while a cell is locked, since the cache may call back; the
// index of owners is the innermost lock and may be taken under a cell's.
struct Shared {
    anonymous: Share,
    owned: Share,
    owners: Arc<Mutex<Owners>>,
    calendar: Mutex<Calendar>,
    limits: LimitsPool,
    /// Makes "is there one? then insert" one step for each id, at a quarter of the cost of the cache's own entry API.
    creating: [Mutex<()>; 64],
    largest_session: u64,
}

/// Sets up a [`MemoryStore`].
#[derive(Clone, Debug)]
pub struct MemoryStoreBuilder {
    anonymous_bytes: u64,
    owned_bytes: u64,
}

impl MemoryStoreBuilder {
    /// Memory for sessions without an owner, in bytes. Default: 64 MiB.
    #[must_use]
    pub const fn anonymous_bytes(mut self, bytes: u64) -> Self {
        self.anonymous_bytes = bytes;
        self
    }

    /// Memory for sessions of users who signed in, in bytes. Default: 192 MiB.
    #[must_use]
    pub const fn owned_bytes(mut self, bytes: u64) -> Self {
        self.owned_bytes = bytes;
        self
    }

    /// The store. If a share is too small for the largest session that the layer allows, the layer says so at its start.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        let owners = Arc::new(Mutex::new(Owners::default()));
        let index = Arc::clone(&owners);
        let anonymous = share(self.anonymous_bytes).build_with_hasher(TailHasher);
        let owned = share(self.owned_bytes)
            .eviction_listener(move |id: Arc<SessionId>, cell: Arc<Cell>, cause| {
                if cause == RemovalCause::Replaced {
                    return;
                }
                let mut state = cell.lock();
                state.end();
                if let Some(owner) = state.owner() {
                    lock(&index).remove(owner, *id);
                }
            })
            .build_with_hasher(TailHasher);
        let smaller = self.anonymous_bytes.min(self.owned_bytes);
        MemoryStore(Arc::new(Shared {
            anonymous,
            owned,
            owners,
            calendar: Mutex::default(),
            limits: LimitsPool::default(),
            creating: [const { Mutex::new(()) }; 64],
            largest_session: smaller.saturating_sub(u64::from(ENTRY_OVERHEAD)) / WORST_EXPANSION,
        }))
    }
}

fn share(bytes: u64) -> CacheBuilder<SessionId, Arc<Cell>, Cache<SessionId, Arc<Cell>>> {
    Cache::builder()
        .max_capacity(bytes)
        .weigher(|_, cell: &Arc<Cell>| cell.weight())
        .eviction_policy(EvictionPolicy::lru())
}

impl MemoryStore {
    /// A store of the default capacity: 64 MiB for anonymous sessions, 192 MiB for those with an owner.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a store of another capacity.
    #[must_use]
    pub const fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder {
            anonymous_bytes: DEFAULT_ANONYMOUS_BYTES,
            owned_bytes: DEFAULT_OWNED_BYTES,
        }
    }

    /// Does the housekeeping that otherwise rides on the start of new sessions: forgets what expired more than five minutes
    /// before `now`, and what is over the capacity. Call it now and then if memory must shrink without new sessions.
    pub fn run_pending_tasks(&self, now: Timestamp) {
        while self.reclaim(now) > 0 {}
        self.0.anonymous.run_pending_tasks();
        self.0.owned.run_pending_tasks();
    }

    /// About how many records are held; exact after [`run_pending_tasks`](Self::run_pending_tasks).
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.0.anonymous.entry_count() + self.0.owned.entry_count()
    }

    /// Looks at the anonymous share first: a session that gets an owner is in the owned share before it leaves that one, so
    /// that it is always found.
    fn find(&self, id: SessionId) -> Option<Arc<Cell>> {
        self.0.anonymous.get(&id).or_else(|| self.0.owned.get(&id))
    }

    /// Takes a dead cell out of the cache.
    fn drop_cell(&self, id: SessionId) {
        self.0.anonymous.invalidate(&id);
        self.0.owned.invalidate(&id);
    }

    /// Puts a cell (back) into its share with its weight of now, unless it died or got an owner, and with him its place in the
    /// other share, meanwhile.
    fn place(&self, id: SessionId, cell: &Arc<Cell>, owned: bool) {
        let share = self.share(owned);
        share.insert(id, Arc::clone(cell));
        let state = cell.lock();
        let misplaced = state.is_gone() || state.owner().is_some() != owned;
        drop(state);
        if misplaced {
            share.invalidate(&id);
        }
    }

    fn share(&self, owned: bool) -> &Share {
        if owned {
            &self.0.owned
        } else {
            &self.0.anonymous
        }
    }

    /// After a change of a cell: moves it to the owned share or tells its share the new weight.
    fn settle(&self, id: SessionId, cell: &Arc<Cell>, settling: Settling) {
        match settling {
            Settling::Nothing => {}
            Settling::NewOwner => {
                self.place(id, cell, true);
                self.0.anonymous.invalidate(&id);
            }
            Settling::NewWeight { owned } => {
                let held = self.share(owned).get(&id);
                if held.is_some_and(|held| Arc::ptr_eq(&held, cell)) {
                    self.place(id, cell, owned);
                }
            }
        }
    }

    /// Marks the cell gone if it may be; the caller then drops it from the cache.
    fn end(&self, id: SessionId, cell: &Cell, may_end: impl FnOnce(&State) -> bool) -> bool {
        let mut state = cell.lock();
        if state.is_gone() || !may_end(&state) {
            return false;
        }
        if let Some(owner) = state.owner() {
            lock(&self.0.owners).remove(owner, id);
        }
        state.end();
        true
    }

    /// Forgets what is dead for long enough; rides on the start of sessions.
    fn reclaim(&self, now: Timestamp) -> usize {
        let due = {
            let mut calendar = lock(&self.0.calendar);
            let shares = [&self.0.anonymous, &self.0.owned];
            let sessions = self.record_count();
            calendar.shed(sessions, |id| {
                shares.iter().any(|share| share.contains_key(id))
            });
            calendar.take_due(now)
        };
        let looked_at = due.len();
        for id in due {
            let Some(cell) = self.find(id) else { continue };
            let mut reclaim_at = now;
            let dead = self.end(id, &cell, |state| {
                reclaim_at = state.record().reclaim_at();
                reclaim_at <= now
            });
            if dead {
                self.drop_cell(id);
            } else {
                lock(&self.0.calendar).add(id, reclaim_at);
            }
        }
        looked_at
    }
}

/// What remains to be done in the cache once a cell is unlocked.
#[derive(Clone, Copy)]
enum Settling {
    Nothing,
    NewOwner,
    NewWeight { owned: bool },
}

impl ImmediateStore for MemoryStore {
    fn load_now(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let Some(cell) = self.find(id) else {
            return Ok(None);
        };
        let state = cell.lock();
        if state.is_gone() {
            return Ok(None);
        }
        let record = state.record();
        Ok((!record.is_expired(Instants::at(now))).then_some(record))
    }

    fn create_now(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<Created, StoreError> {
        self.reclaim(now);
        let stripe = usize::from(id.as_bytes()[15]) % self.0.creating.len();
        let _creating = lock(&self.0.creating[stripe]);
        if self.0.anonymous.contains_key(&id) || self.0.owned.contains_key(&id) {
            return Ok(Created::Exists);
        }
        let owner = record.owner.clone();
        if let Some(owner) = &owner {
            let authenticated_at = record.authenticated_at.unwrap_or(record.created_at);
            if !lock(&self.0.owners).add(owner, id, authenticated_at) {
                return Ok(Created::Revoked);
            }
        }
        let share = self.share(owner.is_some());
        lock(&self.0.calendar).add(id, record.reclaim_at());
        let cell = Arc::new(Cell::new(record, &self.0.limits));
        share.insert(id, Arc::clone(&cell));
        // A revocation between the index and the cache found no cell, but it has emptied the index.
        if let Some(owner) = &owner {
            let indexed = lock(&self.0.owners).holds(owner, id);
            if !indexed && self.end(id, &cell, |_| true) {
                self.drop_cell(id);
                return Ok(Created::Revoked);
            }
        }
        Ok(Created::Created)
    }

    fn apply_now(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<Applied, StoreError> {
        let Some(cell) = self.find(id) else {
            return Ok(Applied::Missing);
        };
        let mut state = cell.lock();
        if state.is_gone() {
            return Ok(Applied::Missing);
        }
        let had_owner = state.owner().is_some();
        let mut record = state.take();
        let applied = match &delta.sign_in {
            // A stranger must not learn of a revocation, nor leave a trace in the index.
            Some(sign_in)
                if record.standing(secret, at) == Standing::Admitted
                    && !lock(&self.0.owners).add(&sign_in.owner, id, sign_in.authenticated_at) =>
            {
                Applied::Revoked
            }
            sign_in => {
                let applied = record.apply(secret, delta, at);
                if let Some(sign_in) = sign_in
                    && record.owner.as_ref() != Some(&sign_in.owner)
                {
                    lock(&self.0.owners).remove(&sign_in.owner, id);
                }
                applied
            }
        };
        let reclaim_at = record.reclaim_at();
        let owned = record.owner.is_some();
        let new_weight = state.put_back(record, &self.0.limits);
        drop(state);
        if delta.limits.idle.is_some() || delta.limits.absolute_timeout.is_some() {
            // It may be due earlier than it stands in the calendar; a second entry does no harm.
            lock(&self.0.calendar).add(id, reclaim_at);
        }
        let settling = match (owned && !had_owner, new_weight) {
            (true, _) => Settling::NewOwner,
            (false, true) => Settling::NewWeight { owned },
            (false, false) => Settling::Nothing,
        };
        self.settle(id, &cell, settling);
        Ok(applied)
    }

    fn remove_now(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<Removed, StoreError> {
        let Some(cell) = self.find(id) else {
            return Ok(Removed::Missing);
        };
        let mut found = Removed::Missing;
        let ended = self.end(id, &cell, |state| {
            let record = state.record();
            found = match secret.map(|secret| record.standing(secret, at)) {
                Some(Standing::Superseded) => Removed::Superseded,
                Some(Standing::Admitted) => Removed::Removed,
                Some(Standing::Missing) => Removed::Missing,
                None if record.is_expired(at) => Removed::Missing,
                None => Removed::Removed,
            };
            found == Removed::Removed || secret.is_none()
        });
        if ended {
            self.drop_cell(id);
        }
        Ok(found)
    }
}

impl SessionStore for MemoryStore {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.load_now(id, now)
    }

    async fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<Created, StoreError> {
        self.create_now(id, record, now)
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: Delta,
        at: Instants,
    ) -> Result<Applied, StoreError> {
        self.apply_now(id, secret, &delta, at)
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<Removed, StoreError> {
        self.remove_now(id, secret, at)
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let ids = lock(&self.0.owners).of(owner);
        let mut sessions: Vec<_> = ids
            .into_iter()
            .filter_map(|id| {
                let record = self.load_now(id, now).ok()??;
                (record.owner.as_ref() == Some(owner))
                    .then(|| SessionSummary::new(id, &record, now))
            })
            .collect();
        sessions.sort_by_key(|session| (session.created_at, session.id));
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
            let Some(cell) = self.find(id) else { continue };
            let mut alive = false;
            let ended = self.end(id, &cell, |state| {
                alive = !state.record().is_expired(Instants::at(now));
                state.owner().is_none_or(|held| held == owner)
            });
            if ended {
                self.drop_cell(id);
                removed += u64::from(alive);
            }
        }
        Ok(removed)
    }

    fn largest_session(&self) -> Option<u64> {
        Some(self.0.largest_session)
    }

    fn immediate(&self) -> Option<&dyn ImmediateStore> {
        Some(self)
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

/// A panic while a lock was held can't leave half a change: everything is checked before it is written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the tail of an id as its hash: 62 random bits that this process or a peer drew, never a client's, since unknown ids
/// are not inserted. The head is a timestamp and would put all new ids into one bucket.
#[derive(Clone, Copy, Default)]
struct TailHasher;

struct Tail(u64);

impl BuildHasher for TailHasher {
    type Hasher = Tail;

    fn build_hasher(&self) -> Tail {
        Tail(0)
    }
}

impl Hasher for Tail {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(tail) = bytes.last_chunk() {
            self.0 = u64::from_be_bytes(*tail);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
