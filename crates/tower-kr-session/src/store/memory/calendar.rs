//! When to look whether a session can be forgotten.
//!
//! The cache can do this itself, by a timer for each entry; but then every read moves that timer, which costs more than the read,
//! and the timer takes more memory than an id in a list. Here a session stands in the list of the minute in which it may be
//! dropped as things are. If it turns out to be alive then, it moves to the list of a later minute.

use std::collections::BTreeMap;

use crate::{clock::Timestamp, id::SessionId};

const MINUTE_MILLIS: i64 = 60_000;

/// How many sessions one call looks at, at most: housekeeping rides on requests and must not hold one up.
pub(super) const BATCH: usize = 16;

/// Lists this much longer than the number of sessions hold ids of sessions that are gone already.
const SLACK: usize = 1_024;

#[derive(Default)]
pub(super) struct Calendar {
    minutes: BTreeMap<i64, Vec<SessionId>>,
    length: usize,
    /// The minute whose list is searched for ids of sessions that are gone, and how far the search is.
    hand: (i64, usize),
}

impl Calendar {
    pub(super) fn add(&mut self, id: SessionId, at: Timestamp) {
        // The minute after: at its start the whole minute before it has passed.
        let minute = at
            .as_unix_millis()
            .div_euclid(MINUTE_MILLIS)
            .saturating_add(1);
        self.minutes.entry(minute).or_default().push(id);
        self.length += 1;
    }

    /// Takes out sessions whose minute has come, a [`BATCH`] at most.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<SessionId> {
        let minute = now.as_unix_millis().div_euclid(MINUTE_MILLIS);
        let mut due = Vec::new();
        while due.len() < BATCH
            && let Some(mut list) = self.minutes.first_entry()
            && *list.key() <= minute
        {
            let ids = list.get_mut();
            let kept = ids.len().saturating_sub(BATCH - due.len());
            due.extend(ids.drain(kept..));
            if ids.is_empty() {
                list.remove();
            }
        }
        self.length -= due.len();
        due
    }

    /// If the lists are far longer than there are sessions, looks through the next [`BATCH`] of ids and drops those that `lives`
    /// doesn't know. So a flood that the cache evicts doesn't pile up here.
    pub(super) fn shed(&mut self, sessions: u64, lives: impl Fn(&SessionId) -> bool) {
        let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
        if self.length <= sessions.saturating_mul(2).saturating_add(SLACK) {
            return;
        }
        for _ in 0..BATCH {
            let (minute, index) = self.hand;
            let Some((&found, ids)) = self.minutes.range_mut(minute..).next() else {
                self.hand = (i64::MIN, 0);
                return;
            };
            let index = if found == minute { index } else { 0 };
            match ids.get(index) {
                Some(id) if lives(id) => self.hand = (found, index + 1),
                Some(_) => {
                    ids.swap_remove(index);
                    self.length -= 1;
                    self.hand = (found, index);
                }
                None => self.hand = (found.saturating_add(1), 0),
            }
            if ids.is_empty() {
                self.minutes.remove(&found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_unix_millis(minute * MINUTE_MILLIS + 1)
    }

    fn ids(count: usize) -> Vec<SessionId> {
        let mut ids: Vec<_> = (0..count).map(|_| SessionId::generate(at(0))).collect();
        ids.sort();
        ids
    }

    #[test]
    fn a_session_is_due_once_its_minute_is_over() {
        let mut calendar = Calendar::default();
        let ids = ids(BATCH + 4);
        for id in &ids {
            calendar.add(*id, at(5));
        }
        assert_eq!(calendar.take_due(at(5)), []);
        let mut due = calendar.take_due(at(6));
        assert_eq!(due.len(), BATCH);
        due.extend(calendar.take_due(at(6)));
        due.sort();
        assert_eq!(due, ids);
        assert_eq!(calendar.take_due(at(7)), []);
        assert!(calendar.minutes.is_empty());
        assert_eq!(calendar.length, 0);
    }

    #[test]
    fn a_flood_of_sessions_that_are_gone_does_not_pile_up() {
        let mut calendar = Calendar::default();
        let living = ids(100);
        for (number, id) in living.iter().enumerate() {
            calendar.add(*id, at(number as i64));
        }
        let mut longest = 0;
        for id in ids(50_000) {
            calendar.add(id, at(50));
            calendar.shed(100, |id| living.contains(id));
            longest = longest.max(calendar.length);
        }
        assert!(longest <= SLACK + 300, "{longest}");
        let mut left: Vec<_> = calendar.minutes.into_values().flatten().collect();
        left.retain(|id| living.contains(id));
        left.sort();
        assert_eq!(left, living, "none that lives is dropped");
    }
}
