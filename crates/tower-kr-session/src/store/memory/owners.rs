//! The index of owners: which sessions a user has, and when all were last revoked.

use std::{collections::HashMap, time::Duration};

use crate::model::{Owner, SessionId, Timestamp};

/// How long a revocation is remembered: far longer than a sign-in can be on its way.
const REMEMBER_REVOCATION: Duration = Duration::from_secs(24 * 60 * 60);

/// From how many remembered revocations on old ones are looked for.
const PRUNE_FROM: usize = 1_024;

#[derive(Default)]
pub(super) struct Owners {
    /// Sorted. Ids ascend with time, so a new one goes to the end.
    sessions: HashMap<Owner, Vec<SessionId>>,
    not_before: HashMap<Owner, Timestamp>,
    prune_at: usize,
}

impl Owners {
    /// Indexes a session before it gets its owner. Returns `false` if all sessions of the owner
    /// were revoked at or after `authenticated_at`.
    pub(super) fn add(
        &mut self,
        owner: &Owner,
        id: SessionId,
        authenticated_at: Timestamp,
    ) -> bool {
        if let Some(not_before) = self.not_before.get(owner)
            && authenticated_at <= *not_before
        {
            return false;
        }
        let ids = match self.sessions.get_mut(owner) {
            Some(ids) => ids,
            // Most users have one session.
            None => self
                .sessions
                .entry(owner.clone())
                .or_insert_with(|| Vec::with_capacity(1)),
        };
        if let Err(index) = ids.binary_search(&id) {
            ids.insert(index, id);
        }
        true
    }

    pub(super) fn remove(&mut self, owner: &Owner, id: SessionId) {
        let Some(ids) = self.sessions.get_mut(owner) else {
            return;
        };
        if let Ok(index) = ids.binary_search(&id) {
            ids.remove(index);
        }
        if ids.is_empty() {
            self.sessions.remove(owner);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn of(&self, owner: &Owner) -> Vec<SessionId> {
        self.sessions.get(owner).cloned().unwrap_or_default()
    }

    /// Returns the first ids, or those that follow this one, at most so many.
    pub(super) fn some_of(
        &self,
        owner: &Owner,
        after: Option<SessionId>,
        most: usize,
    ) -> Vec<SessionId> {
        let ids = self.sessions.get(owner).map_or(&[][..], Vec::as_slice);
        let from = ids.partition_point(|id| Some(*id) <= after);
        ids[from..].iter().take(most).copied().collect()
    }

    /// Takes the sessions to remove out of the index and returns them. Refuses every sign-in that
    /// was checked up to `now`.
    pub(super) fn revoke(
        &mut self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Vec<SessionId> {
        if self.not_before.len() >= self.prune_at.max(PRUNE_FROM) {
            let oldest = now.saturating_sub(REMEMBER_REVOCATION);
            self.not_before.retain(|_, revoked_at| *revoked_at > oldest);
            self.prune_at = self.not_before.len() * 2;
        }
        let not_before = self.not_before.entry(owner.clone()).or_insert(now);
        *not_before = now.max(*not_before);
        let mut ids = self.sessions.remove(owner).unwrap_or_default();
        if let Some(kept) = except
            && let Ok(index) = ids.binary_search(&kept)
        {
            ids.remove(index);
            self.sessions.insert(owner.clone(), vec![kept]);
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    fn owner(id: &str) -> Owner {
        Owner::new(id).unwrap()
    }

    #[test]
    fn a_revocation_is_not_undone_by_one_of_an_earlier_time() {
        let mut owners = Owners::default();
        let max = owner("max");
        owners.revoke(&max, None, at(2_000));
        owners.revoke(&max, None, at(1_000));
        assert!(!owners.add(&max, SessionId::generate(at(0)), at(2_000)));
        assert!(owners.add(&max, SessionId::generate(at(0)), at(2_001)));
    }

    #[test]
    fn some_sessions_are_taken_from_the_front_and_go_on_behind_the_last_one() {
        let mut owners = Owners::default();
        let (max, ids) = (
            owner("max"),
            [1, 2, 3].map(|n| SessionId::from_bytes([n; 16])),
        );
        for id in ids {
            owners.add(&max, id, at(0));
        }
        assert_eq!(owners.some_of(&max, None, 2), ids[..2]);
        assert_eq!(owners.some_of(&max, Some(ids[1]), 2), ids[2..]);
        assert_eq!(owners.some_of(&max, Some(ids[2]), 2), []);
        assert_eq!(owners.some_of(&owner("eve"), None, 2), []);
    }

    #[test]
    fn old_revocations_are_forgotten_and_recent_ones_are_not() {
        let mut owners = Owners::default();
        let day = 24 * 60 * 60 * 1_000;
        owners.revoke(&owner("a day ago"), None, at(2));
        for number in 0..2_000 {
            owners.revoke(&owner(&format!("early {number}")), None, at(0));
        }
        for number in 0..4_000 {
            owners.revoke(&owner(&format!("late {number}")), None, at(day + 1));
        }
        assert!(
            owners.not_before.len() <= 4_001,
            "{}",
            owners.not_before.len()
        );
        assert!(!owners.add(&owner("a day ago"), SessionId::generate(at(0)), at(2)));
        assert!(!owners.add(&owner("late 0"), SessionId::generate(at(0)), at(day)));
    }

    /// A sign-in writes its entry first, so a revocation can meet that of one that was refused
    /// since.
    #[tokio::test]
    async fn a_revocation_leaves_the_record_of_another_user() {
        use std::sync::{MutexGuard, PoisonError};

        use super::super::MemoryStore;
        use crate::{
            model::{IdleLimit, Record, SecretHash},
            store::SessionStore,
        };

        let store = MemoryStore::new();
        let (now, id) = (at(1_000), SessionId::generate(at(1_000)));
        let (idle, secret) = (
            IdleLimit::new(Duration::from_secs(60)),
            SecretHash::from_bytes([1; 32]),
        );
        let mut record = Record::new(secret, now, idle, Duration::from_secs(600));
        record.owner = Some(owner("eve"));
        record.authenticated_at = Some(now);
        store.create(id, record, now).await.unwrap();
        let owners = &store.0.owners;
        let add = |mut index: MutexGuard<'_, Owners>| index.add(&owner("max"), id, now);
        assert!(add(owners.lock().unwrap_or_else(PoisonError::into_inner)));
        assert_eq!(
            store.remove_owned(&owner("max"), None, now).await.unwrap(),
            0
        );
        let record = SessionStore::load(&store, id, now).await.unwrap().unwrap();
        assert_eq!(record.owner, Some(owner("eve")));
        assert_eq!(
            store.remove_owned(&owner("eve"), None, now).await.unwrap(),
            1
        );
    }
}
