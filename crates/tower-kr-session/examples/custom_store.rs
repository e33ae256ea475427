//! Implements a store, and checks it with the contract suite.
//!
//! `cargo run -p tower-kr-session --example custom_store` runs the suite, as a test of yours would.
//! A store that can lock a record leaves every rule about sessions to [`Record::apply`]; what
//! remains is the time of each owner's last revocation. This store keeps everything under one lock,
//! searches all of it for an owner's sessions, and never forgets a session. A real one has an
//! index, and reclaims what is past [`Record::reclaim_at`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use libtest_mimic::{Arguments, Trial};
use tokio::sync::Mutex;
use tower_kr_session::{
    Owner, SessionId, SessionStore, SessionSummary, StoreError, Timestamp,
    store::{
        ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash, contract,
    },
};

#[derive(Default)]
struct MapStore(Mutex<Maps>);

#[derive(Default)]
struct Maps {
    /// Ids ascend with time, so the oldest come first.
    records: BTreeMap<SessionId, Record>,
    revoked_at: HashMap<Owner, Timestamp>,
}

impl Maps {
    /// Returns whether the user's sessions were revoked since the sign-in was checked.
    fn is_revoked(&self, owner: &Owner, checked_at: Timestamp) -> bool {
        let revoked_at = self.revoked_at.get(owner);
        revoked_at.is_some_and(|at| checked_at <= *at)
    }
}

#[rustfmt::skip]
impl SessionStore for MapStore {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let alive = |record: &&Record| !record.is_expired(Instants::at(now));
        Ok(self.0.lock().await.records.get(&id).filter(alive).cloned())
    }

    async fn create(&self, id: SessionId, record: Record, _: Timestamp) -> Result<CreateOutcome, StoreError> {
        let mut maps = self.0.lock().await;
        let signed_in_at = record.authenticated_at.unwrap_or(record.created_at);
        if maps.records.contains_key(&id) {
            return Ok(CreateOutcome::Exists);
        }
        if record.owner.as_ref().is_some_and(|owner| maps.is_revoked(owner, signed_in_at)) {
            return Ok(CreateOutcome::Revoked);
        }
        maps.records.insert(id, record);
        Ok(CreateOutcome::Created)
    }

    async fn apply(&self, id: SessionId, secret: &SecretHash, delta: &Delta, at: Instants) -> Result<ApplyOutcome, StoreError> {
        let mut maps = self.0.lock().await;
        let Some(mut record) = maps.records.get(&id).cloned() else {
            return Ok(ApplyOutcome::Missing);
        };
        let applied = record.apply(secret, delta, at);
        let revoked = delta.sign_in.as_ref().is_some_and(|new| maps.is_revoked(&new.owner, new.authenticated_at));
        if revoked && matches!(applied, ApplyOutcome::Applied(_)) {
            return Ok(ApplyOutcome::Revoked);
        }
        maps.records.insert(id, record);
        Ok(applied)
    }

    async fn remove(&self, id: SessionId, secret: Option<&SecretHash>, at: Instants) -> Result<RemoveOutcome, StoreError> {
        let records = &mut self.0.lock().await.records;
        let Some(removal) = records.get(&id).map(|record| record.removal(secret, at)) else {
            return Ok(RemoveOutcome::Missing);
        };
        if removal.deletes {
            records.remove(&id);
        }
        Ok(removal.outcome)
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let maps = self.0.lock().await;
        let owned = maps.records.iter().filter(|(_, record)| record.owner.as_ref() == Some(owner));
        let alive = owned.filter(|(_, record)| !record.is_expired(Instants::at(now)));
        Ok(alive.map(|(id, record)| SessionSummary::new(*id, record, now)).collect())
    }

    async fn remove_owned(&self, owner: &Owner, except: Option<SessionId>, now: Timestamp) -> Result<u64, StoreError> {
        let mut maps = self.0.lock().await;
        let revoked_at = maps.revoked_at.entry(owner.clone());
        revoked_at.and_modify(|at| *at = now.max(*at)).or_insert(now);
        let mut removed = 0;
        maps.records.retain(|id, record| {
            let goes = record.owner.as_ref() == Some(owner) && Some(*id) != except;
            removed += u64::from(goes && !record.is_expired(Instants::at(now)));
            !goes
        });
        Ok(removed)
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
