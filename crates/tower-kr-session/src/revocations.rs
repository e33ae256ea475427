//! When this process last revoked all sessions of a user.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::model::{Owner, Timestamp};

/// How many users are remembered. One is needed for the rest of a millisecond, or, if the clock
/// went back, until it has caught up.
const REMEMBERED: usize = 1_024;

/// The times of the last revocations, so that a sign-in after one counts as later, even within a
/// millisecond. Each user has their own: a clock that was wrong once must not date the sign-ins of
/// everybody.
#[derive(Default)]
pub(crate) struct Revocations(Mutex<HashMap<Owner, Timestamp>>);

impl Revocations {
    /// Remembers a revocation; `now` is the time at which it is over.
    pub(crate) fn note(&self, owner: &Owner, revoked_at: Timestamp, now: Timestamp) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= REMEMBERED {
            last.retain(|_, revoked_at| *revoked_at >= now);
        }
        if last.len() >= REMEMBERED
            && let Some((owner, _)) = last.iter().min_by_key(|(_, revoked_at)| **revoked_at)
        {
            let owner = owner.clone();
            last.remove(&owner);
        }
        let latest = last.entry(owner.clone()).or_insert(revoked_at);
        *latest = revoked_at.max(*latest);
    }

    /// Returns `now`, or a time just after the last revocation of this user's sessions if that is
    /// later.
    pub(crate) fn after_last(&self, owner: &Owner, now: Timestamp) -> Timestamp {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = |revoked_at: &Timestamp| {
            Timestamp::from_unix_millis(revoked_at.as_unix_millis().saturating_add(1))
        };
        last.get(owner).map_or(now, |last| now.max(next(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    fn owner(number: usize) -> Owner {
        Owner::new(&number.to_string()).unwrap()
    }

    #[test]
    fn a_time_after_a_revocation_is_later_for_this_user_alone() {
        let revocations = Revocations::default();
        revocations.note(&owner(1), at(10), at(10));
        revocations.note(&owner(1), at(5), at(5));
        assert_eq!(revocations.after_last(&owner(1), at(10)), at(11));
        assert_eq!(revocations.after_last(&owner(1), at(3)), at(11));
        assert_eq!(revocations.after_last(&owner(1), at(12)), at(12));
        assert_eq!(revocations.after_last(&owner(2), at(3)), at(3));
    }

    #[test]
    fn the_users_that_are_remembered_are_bounded_and_the_past_goes_first() {
        let revocations = Revocations::default();
        for number in 0..REMEMBERED {
            revocations.note(
                &owner(number),
                at(if number < 10 { 100 } else { 10 }),
                at(10),
            );
        }
        revocations.note(&owner(REMEMBERED), at(20), at(20));
        assert_eq!(revocations.0.lock().unwrap().len(), 11);
        for number in 0..3 * REMEMBERED {
            let millis = i64::try_from(number).unwrap();
            revocations.note(&owner(number), at(1_000 + millis), at(30));
        }
        assert_eq!(revocations.0.lock().unwrap().len(), REMEMBERED);
        let last = owner(3 * REMEMBERED - 1);
        assert!(revocations.after_last(&last, at(0)) > at(1_000));
        assert_eq!(revocations.after_last(&owner(0), at(0)), at(0));
    }
}
