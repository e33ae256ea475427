//! The index of a user's sessions, as one value of the store: plain data, and what the steps of a
//! sign-in and of a revocation make of it.
//!
//! ```text
//! format version u8 | not_before i64 | entries, 33 bytes each, in the order of their ids:
//! id 16 bytes | flags u8 (1: pending, 2: revoked) | since i64 | until i64
//! ```
//!
//! Numbers are little-endian; a `not_before` of `i64::MIN` means that nothing was revoked yet.

use std::time::Duration;

use crate::model::{DecodeError, RECLAIM_GRACE, SessionId, Timestamp};

const FORMAT_VERSION: u8 = 1;
const HEAD: usize = 1 + 8;
const ENTRY: usize = 16 + 1 + 8 + 8;
const PENDING: u8 = 1;
const REVOKED: u8 = 2;
const NEVER: Timestamp = Timestamp::from_unix_millis(i64::MIN);

/// The most sessions that a user can have; the next sign-in ends the oldest one.
const MAX_ENTRIES: usize = 4_096;

/// How long a sign-in may be on its way to the store: several I/O timeouts.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// How long a revocation is remembered: far longer than a sign-in can be on its way.
const REMEMBER_REVOCATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Which sessions a user has, and until when they were revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// A sign-in that was checked at or before this time is refused.
    not_before: Timestamp,
    /// Sorted by id.
    entries: Vec<Entry>,
}

/// A session that may carry the user's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: SessionId,
    /// The sign-in is on its way: the record may not have the owner yet, or not be there yet.
    pending: bool,
    /// A revocation has to end the session, if it hasn't done so.
    pub(super) revoked: bool,
    /// When the sign-in was announced.
    since: Timestamp,
    /// The absolute deadline of the record, or a later one.
    until: Timestamp,
}

/// What the index says to a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// It is in the index.
    Indexed,
    /// All sessions of the user were revoked after it was checked.
    Revoked,
    /// A revocation has to end this very session, and has not done so yet.
    Ending,
    /// There is no room until this session, the oldest, has ended.
    Full(Entry),
}

impl Default for Index {
    fn default() -> Self {
        Self {
            not_before: NEVER,
            entries: Vec::new(),
        }
    }
}

impl Index {
    /// How many entries fit in a value of so many bytes, and are allowed.
    pub(super) fn capacity(largest_value: Option<u64>) -> usize {
        let bytes = largest_value.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX)
        });
        (bytes.saturating_sub(HEAD) / ENTRY).clamp(1, MAX_ENTRIES)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether a session that carries the user's id may be used.
    pub(super) fn admits(&self, id: SessionId) -> bool {
        self.find(id)
            .is_ok_and(|place| !self.entries[place].revoked)
    }

    /// S1: notes a sign-in before the record has the owner.
    pub(super) fn announce(
        &mut self,
        id: SessionId,
        checked_at: Timestamp,
        until: Timestamp,
        now: Timestamp,
        capacity: usize,
    ) -> Announced {
        if checked_at <= self.not_before {
            return Announced::Revoked;
        }
        if let Ok(place) = self.find(id) {
            let entry = &mut self.entries[place];
            let announced = entry.extend(until);
            if announced == Announced::Indexed {
                entry.since = entry.since.max(now);
            }
            return announced;
        }
        if self.entries.len() >= capacity
            && let Some(oldest) = self.oldest()
        {
            return Announced::Full(oldest);
        }
        self.insert(Entry {
            id,
            pending: true,
            revoked: false,
            since: now,
            until,
        });
        Announced::Indexed
    }

    /// Before the absolute deadline of a user's session moves: the entry is kept as long as the
    /// record. One that was lost is put back, unless the session was revoked meanwhile.
    pub(super) fn extend(
        &mut self,
        id: SessionId,
        checked_at: Timestamp,
        until: Timestamp,
        now: Timestamp,
        capacity: usize,
    ) -> Announced {
        match self.find(id) {
            Ok(place) => self.entries[place].extend(until),
            Err(_) => self.announce(id, checked_at, until, now, capacity),
        }
    }

    /// S3: the record has the owner now. Whether the session may live: it may not if it was revoked
    /// on its way.
    pub(super) fn settle(&mut self, id: SessionId, until: Timestamp) -> bool {
        match self.find(id) {
            Ok(place) if !self.entries[place].revoked => {
                let entry = &mut self.entries[place];
                entry.pending = false;
                entry.until = entry.until.max(until);
                true
            }
            _ => false,
        }
    }

    /// R1: refuses every sign-in that was checked until now, and marks all sessions but one.
    /// Returns those that have to end, older marks included.
    pub(super) fn revoke(&mut self, except: Option<SessionId>, now: Timestamp) -> Vec<Entry> {
        self.not_before = self.not_before.max(now);
        for entry in &mut self.entries {
            entry.revoked |= Some(entry.id) != except;
        }
        let revoked = self.entries.iter().filter(|entry| entry.revoked);
        revoked.copied().collect()
    }

    /// Drops these entries, as far as nobody changed them since they were seen.
    pub(super) fn forget(&mut self, seen: &[Entry]) {
        self.entries.retain(|entry| !seen.contains(entry));
    }

    /// Drops the entry of a session that has ended for good.
    pub(super) fn remove(&mut self, id: SessionId) {
        self.entries.retain(|entry| entry.id != id);
    }

    /// How long the index has to be kept; `None` if there is nothing to keep. Sessions count with
    /// their whole life from now on: a clock that is ahead must not shorten that, or a revocation
    /// would miss them.
    pub(super) fn keep_for(&self, now: Timestamp) -> Option<Duration> {
        let session = |entry: &Entry| {
            let began = entry.since.min(now);
            entry.until.saturating_duration_since(began) + RECLAIM_GRACE
        };
        let forgotten = self.not_before.saturating_add(REMEMBER_REVOCATION);
        let revocation = forgotten.saturating_duration_since(now);
        let sessions = self.entries.iter().map(session).max();
        sessions.max((revocation > Duration::ZERO).then_some(revocation))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.entries.len() * ENTRY);
        bytes.push(FORMAT_VERSION);
        bytes.extend(self.not_before.as_unix_millis().to_le_bytes());
        for entry in &self.entries {
            bytes.extend(entry.id.as_bytes());
            let pending = if entry.pending { PENDING } else { 0 };
            let revoked = if entry.revoked { REVOKED } else { 0 };
            bytes.push(pending | revoked);
            bytes.extend(entry.since.as_unix_millis().to_le_bytes());
            bytes.extend(entry.until.as_unix_millis().to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (&version, rest) = bytes.split_first().ok_or(DecodeError::Corrupt)?;
        if version != FORMAT_VERSION {
            return Err(DecodeError::UnknownVersion { version });
        }
        let (not_before, rest) = rest.split_first_chunk().ok_or(DecodeError::Corrupt)?;
        let (entries, rest) = rest.as_chunks::<ENTRY>();
        let entries: Option<Vec<Entry>> = entries.iter().map(Entry::decode).collect();
        let entries = entries.ok_or(DecodeError::Corrupt)?;
        if !rest.is_empty() || !entries.is_sorted_by(|a, b| a.id < b.id) {
            return Err(DecodeError::Corrupt);
        }
        Ok(Self {
            not_before: time(*not_before),
            entries,
        })
    }

    fn find(&self, id: SessionId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&id, |entry| entry.id)
    }

    fn insert(&mut self, entry: Entry) {
        if let Err(place) = self.find(entry.id) {
            self.entries.insert(place, entry);
        }
    }

    fn oldest(&self) -> Option<Entry> {
        let entries = self.entries.iter();
        entries.min_by_key(|entry| (entry.since, entry.id)).copied()
    }
}

impl Entry {
    /// Whether the record, which is missing, is missing for good.
    pub(super) fn may_be_dropped(&self, now: Timestamp) -> bool {
        !self.pending || now.saturating_duration_since(self.since) >= ON_ITS_WAY
    }

    fn extend(&mut self, until: Timestamp) -> Announced {
        if self.revoked {
            return Announced::Ending;
        }
        self.until = self.until.max(until);
        Announced::Indexed
    }

    fn decode(bytes: &[u8; ENTRY]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (&flags, rest) = rest.split_first()?;
        let (since, rest) = rest.split_first_chunk()?;
        let (until, _) = rest.split_first_chunk()?;
        (flags <= PENDING | REVOKED).then(|| Self {
            id: SessionId::from_bytes(*id),
            pending: flags & PENDING != 0,
            revoked: flags & REVOKED != 0,
            since: time(*since),
            until: time(*until),
        })
    }
}

fn time(bytes: [u8; 8]) -> Timestamp {
    Timestamp::from_unix_millis(i64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
    const ROOM: usize = 3;

    fn id(number: u8) -> SessionId {
        SessionId::from_bytes([number; 16])
    }

    fn at(seconds: u64) -> Timestamp {
        NOW.saturating_add(Duration::from_secs(seconds))
    }

    /// An index with these sessions, settled, in the order of their sign-ins.
    fn index(ids: &[u8]) -> Index {
        let mut index = Index::default();
        for (second, number) in (0..).zip(ids) {
            let until = at(3_600);
            let announced = index.announce(id(*number), at(second), until, at(second), ROOM);
            assert_eq!(announced, Announced::Indexed);
            assert!(index.settle(id(*number), until));
        }
        index
    }

    fn numbers(index: &Index) -> Vec<u8> {
        let entries = index.entries().iter();
        entries.map(|entry| entry.id.as_bytes()[0]).collect()
    }

    #[test]
    fn a_sign_in_is_pending_until_its_record_is_written() {
        let mut index = Index::default();
        let announced = index.announce(id(1), at(0), at(100), at(0), ROOM);
        assert_eq!(announced, Announced::Indexed);
        assert!(index.admits(id(1)) && !index.admits(id(2)));
        let entry = index.entries()[0];
        assert!(
            !entry.may_be_dropped(at(59)),
            "the record may be on its way"
        );
        assert!(entry.may_be_dropped(at(60)));
        assert!(index.settle(id(1), at(100)));
        assert!(index.entries()[0].may_be_dropped(at(0)));
        assert!(!index.settle(id(2), at(100)), "it is gone");
    }

    #[test]
    fn a_revocation_marks_what_is_there_and_refuses_what_was_checked_before() {
        let mut index = index(&[1, 2]);
        index.announce(id(3), at(5), at(100), at(5), ROOM);
        let marked = index.revoke(Some(id(2)), at(10));
        let ids: Vec<_> = marked.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [id(1), id(3)]);
        assert!(!index.admits(id(1)) && index.admits(id(2)));
        assert!(!index.settle(id(3), at(100)), "it is to end");
        assert!(!marked[1].may_be_dropped(at(64)), "it is still on its way");
        for checked_at in [9, 10] {
            let late = index.announce(id(4), at(checked_at), at(100), at(11), ROOM);
            assert_eq!(late, Announced::Revoked);
        }
        let again = index.announce(id(1), at(11), at(100), at(11), ROOM);
        assert_eq!(again, Announced::Ending);
        index.forget(&marked);
        assert_eq!(numbers(&index), [2]);
        let again = index.announce(id(1), at(11), at(100), at(11), ROOM);
        assert_eq!(again, Announced::Indexed);
    }

    #[test]
    fn an_earlier_revocation_takes_a_later_one_not_back() {
        let mut index = Index::default();
        index.revoke(None, at(10));
        index.revoke(None, at(5));
        let late = index.announce(id(1), at(10), at(100), at(11), ROOM);
        assert_eq!(late, Announced::Revoked);
    }

    #[test]
    fn an_entry_that_changed_since_it_was_seen_is_not_forgotten() {
        let mut index = index(&[1]);
        let seen = index.entries().to_vec();
        index.announce(id(1), at(50), at(7_200), at(50), ROOM);
        index.forget(&seen);
        assert_eq!(numbers(&index), [1]);
        index.remove(id(1));
        assert_eq!(index, Index::default());
    }

    #[test]
    fn the_oldest_sign_in_makes_room() {
        let mut full = index(&[2, 1, 3]);
        let Announced::Full(oldest) = full.announce(id(4), at(9), at(100), at(9), ROOM) else {
            panic!("no room");
        };
        assert_eq!(oldest.id, id(2));
        // Who proved their identity again is not the oldest any more.
        full.announce(id(2), at(10), at(3_600), at(10), ROOM);
        let Announced::Full(oldest) = full.announce(id(4), at(10), at(100), at(10), ROOM) else {
            panic!("no room");
        };
        assert_eq!(oldest.id, id(1));
        // A clock that is ahead makes no room: the sessions may be alive.
        let ahead = at(1_000_000);
        let announced = full.announce(id(4), ahead, at(1_009_999), ahead, ROOM);
        assert_eq!(announced, Announced::Full(oldest));
        assert_eq!(numbers(&full), [1, 2, 3]);
    }

    #[test]
    fn a_deadline_that_moves_keeps_the_entry_and_puts_a_lost_one_back() {
        let mut index = index(&[1]);
        index.revoke(Some(id(1)), at(10));
        // The excepted session signed in before the revocation, and goes on.
        let extended = index.extend(id(1), at(0), at(9_000), at(20), ROOM);
        assert_eq!(extended, Announced::Indexed);
        assert_eq!(index.entries()[0].until, at(9_000));
        let lost = index.extend(id(2), at(11), at(9_000), at(20), ROOM);
        assert_eq!(lost, Announced::Indexed);
        let revoked = index.extend(id(3), at(10), at(9_000), at(20), ROOM);
        assert_eq!(revoked, Announced::Revoked);
        index.revoke(None, at(30));
        let ending = index.extend(id(1), at(0), at(9_500), at(31), ROOM);
        assert_eq!(ending, Announced::Ending);
    }

    #[test]
    fn it_is_kept_as_long_as_a_session_or_a_revocation_counts() {
        assert_eq!(Index::default().keep_for(NOW), None);
        let mut index = index(&[1]);
        let hour = Duration::from_secs(3_600);
        assert_eq!(index.keep_for(at(0)), Some(hour + RECLAIM_GRACE));
        let ahead = at(1_000_000);
        assert_eq!(index.keep_for(ahead), Some(hour + RECLAIM_GRACE));
        index.revoke(None, at(0));
        assert_eq!(index.keep_for(at(0)), Some(24 * hour));
        assert_eq!(index.keep_for(ahead), Some(hour + RECLAIM_GRACE));
    }

    #[test]
    fn the_capacity_is_what_fits_and_is_allowed() {
        assert_eq!(Index::capacity(None), 4_096);
        let largest = index(&[1, 2, 3]).encode().len() as u64;
        assert_eq!(Index::capacity(Some(largest)), 3);
        assert_eq!(Index::capacity(Some(largest - 1)), 2);
        assert_eq!(Index::capacity(Some(0)), 1, "a user can sign in at all");
    }

    #[test]
    fn a_later_version_is_told_from_a_corrupt_index() {
        let mut bytes = index(&[1, 2]).encode();
        assert_eq!(Index::decode(&[]), Err(DecodeError::Corrupt));
        assert_eq!(
            Index::decode(&bytes[..bytes.len() - 1]),
            Err(DecodeError::Corrupt)
        );
        let second = HEAD + ENTRY;
        bytes[second..second + 16].copy_from_slice(&[1; 16]);
        assert_eq!(
            Index::decode(&bytes),
            Err(DecodeError::Corrupt),
            "one id twice"
        );
        bytes[0] = 2;
        assert_eq!(
            Index::decode(&bytes),
            Err(DecodeError::UnknownVersion { version: 2 })
        );
    }

    fn indexes() -> impl Strategy<Value = Index> {
        let entry = any::<([u8; 16], bool, bool, i64, i64)>();
        (any::<i64>(), vec(entry, 0..6)).prop_map(|(not_before, entries)| {
            let mut index = Index {
                not_before: Timestamp::from_unix_millis(not_before),
                entries: Vec::new(),
            };
            for (id, pending, revoked, since, until) in entries {
                index.insert(Entry {
                    id: SessionId::from_bytes(id),
                    pending,
                    revoked,
                    since: Timestamp::from_unix_millis(since),
                    until: Timestamp::from_unix_millis(until),
                });
            }
            index
        })
    }

    proptest! {
        #[test]
        fn the_encoding_round_trips(index in indexes()) {
            prop_assert_eq!(Index::decode(&index.encode()), Ok(index));
        }

        #[test]
        fn what_is_read_is_written_the_same(
            index in indexes(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = index.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
                if let Ok(read) = Index::decode(bytes) {
                    prop_assert_eq!(read.encode(), bytes);
                }
            }
        }
    }
}
