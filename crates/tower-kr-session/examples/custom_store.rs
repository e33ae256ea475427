//! A store of one's own, checked by the contract suite.
//!
//! `cargo run -p tower-kr-session --example custom_store` runs the suite, as a test of yours would. A store that can lock a
//! record leaves every rule about sessions to [`Record::apply`]; what remains is the index of owners. This one keeps
//! everything under one lock and never forgets a session: a real one reclaims what is past [`Record::reclaim_at`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tokio::sync::Mutex;
use tower_kr_session::{
    Applied, Created, Delta, Instants, Owner, Record, Removed, SecretHash, SessionId, SessionStore,
    SessionSummary, Standing, StoreError, Timestamp, contract,
};

#[derive(Default)]
struct MapStore(Mutex<Maps>);

#[derive(Default)]
struct Maps {
    records: HashMap<SessionId, Record>,
    owned: HashMap<Owner, BTreeSet<SessionId>>,
    revoked_at: HashMap<Owner, Timestamp>,
}

impl Maps {
    /// A sign-in that was checked before the user's sessions were revoked comes too late.
    fn is_revoked(&self, owner: &Owner, checked_at: Timestamp) -> bool {
        let revoked_at = self.revoked_at.get(owner);
        revoked_at.is_some_and(|at| checked_at <= *at)
    }

    fn remove(&mut self, id: SessionId) -> Option<Record> {
        let record = self.records.remove(&id)?;
        let index = record
            .owner
            .as_ref()
            .and_then(|owner| self.owned.get_mut(owner));
        index.map(|ids| ids.remove(&id));
        Some(record)
    }
}

impl SessionStore for MapStore {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let alive = |record: &&Record| !record.is_expired(Instants::at(now));
        Ok(self.0.lock().await.records.get(&id).filter(alive).cloned())
    }

    #[rustfmt::skip]
    async fn create(&self, id: SessionId, record: Record, _: Timestamp) -> Result<Created, StoreError> {
        let mut maps = self.0.lock().await;
        if maps.records.contains_key(&id) {
            return Ok(Created::Exists);
        }
        if let Some(owner) = &record.owner {
            if maps.is_revoked(owner, record.authenticated_at.unwrap_or(record.created_at)) {
                return Ok(Created::Revoked);
            }
            maps.owned.entry(owner.clone()).or_default().insert(id);
        }
        maps.records.insert(id, record);
        Ok(Created::Created)
    }

    #[rustfmt::skip]
    async fn apply(&self, id: SessionId, secret: &SecretHash, delta: Delta, at: Instants) -> Result<Applied, StoreError> {
        let mut maps = self.0.lock().await;
        let Some(mut record) = maps.records.get(&id).cloned() else {
            return Ok(Applied::Missing);
        };
        let applied = record.apply(secret, &delta, at);
        if let (Applied::Applied(_), Some(sign_in)) = (&applied, &delta.sign_in) {
            if maps.is_revoked(&sign_in.owner, sign_in.authenticated_at) {
                return Ok(Applied::Revoked);
            }
            maps.owned.entry(sign_in.owner.clone()).or_default().insert(id);
        }
        maps.records.insert(id, record);
        Ok(applied)
    }

    #[rustfmt::skip]
    async fn remove(&self, id: SessionId, secret: Option<&SecretHash>, at: Instants) -> Result<Removed, StoreError> {
        let mut maps = self.0.lock().await;
        let standing = maps.records.get(&id).map(|record| record.standing(secret.unwrap_or(&record.secret), at));
        Ok(match standing {
            None | Some(Standing::Missing) => Removed::Missing,
            Some(Standing::Superseded) => Removed::Superseded,
            Some(Standing::Admitted) => {
                maps.remove(id);
                Removed::Removed
            }
        })
    }

    #[rustfmt::skip]
    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let maps = self.0.lock().await;
        // Ids ascend with the time of their making: these are the oldest first.
        let ids = maps.owned.get(owner).into_iter().flatten();
        let records = ids.filter_map(|id| Some((*id, maps.records.get(id)?)));
        let alive = records.filter(|(_, record)| !record.is_expired(Instants::at(now)));
        Ok(alive.map(|(id, record)| SessionSummary::new(id, record, now)).collect())
    }

    #[rustfmt::skip]
    async fn remove_owned(&self, owner: &Owner, except: Option<SessionId>, now: Timestamp) -> Result<u64, StoreError> {
        let mut maps = self.0.lock().await;
        let revoked_at = maps.revoked_at.entry(owner.clone());
        revoked_at.and_modify(|at| *at = now.max(*at)).or_insert(now);
        let ids = maps.owned.get(owner).cloned().unwrap_or_default();
        let removed = ids.into_iter().filter(|id| Some(*id) != except).filter_map(|id| maps.remove(id));
        Ok(removed.filter(|record| !record.is_expired(Instants::at(now))).count() as u64)
    }
}

fn main() {
    let trials = contract::rules().into_iter().map(|rule| {
        Trial::test(rule.name(), move || {
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.enable_all().build()?;
            let store = Arc::new(MapStore::default());
            runtime.block_on(rule.check(Arc::clone(&store), store));
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}
