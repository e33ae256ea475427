//! A user's sessions behind the small door.
//!
//! A record and the index of its owner are two keys, and no call changes both. The order of the
//! steps makes it safe, and each step is safe to be the last one (a crash, a time-out):
//!
//! | a sign-in, checked at time `a` | a revocation, at time `r` |
//! |---|---|
//! | S0 record: read; check the secret and the change (a new one: it must not be there) | R1 index: `not_before = r`, mark all entries |
//! | S1 index: refuse if `a <= not_before`, else note *pending* | R2 each marked record: delete |
//! | S2 record: write over the version of S0; changed: back to S0 | R3 index: drop the entries of what is gone |
//! | S3 index: settle, unless marked or gone | |
//! | S4 if it was: delete the record | |
//!
//! - S1 after R1: `a <= r` is refused. A later `a` is a new proof of identity and may stay.
//! - S1 before R1: the entry gets its mark, and R2 deletes the record whether it has the owner
//!   already or none yet. If it had none, S2 finds the version of S0 gone. A record that is created
//!   has no version that R2 could delete: if R2 passes before S2, the mark stays for a minute, and
//!   S3 finds it.
//! - A sign-in that breaks off after S1 leaves an entry to prune; after S2, a session that is in
//!   the index. A new record that R2 had passed by is then alive, but its token was given to
//!   nobody, and the next `list` or revocation ends it.
//! - A revocation that breaks off has not answered. Its marks stay, and the next `list`, revocation
//!   or sign-in of the session goes on with them.
//!
//! An entry is dropped if its record was deleted, is missing and no sign-in can bring it any more,
//! is somebody else's (an owner is written once), or is past its deadline. The entry of a record
//! that has no owner yet stays as long as the record, so that no sign-in of it, however late,
//! escapes.

use super::{
    door::{StoreKey, StoreValue, ValueClass, Version, VersionedStore},
    index::{Announced, Entry, Index},
    records::{Ended, Records, Tries},
};
use crate::{
    model::{DecodeError, Instants, Owner, Record, SessionId, Timestamp},
    store::{SessionSummary, StoreError},
};

/// What a user's session tells the index before its record changes.
pub(super) enum Step {
    /// Somebody signs in.
    SignIn,
    /// The absolute deadline of a session that is in the index moves.
    Extend,
}

impl<S: VersionedStore> Records<S> {
    /// Whether a session may be used: if the store may have dropped the index of its owner, a
    /// revocation may have missed the record.
    pub(super) async fn admits(&self, id: SessionId, record: &Record) -> Result<bool, StoreError> {
        match &record.owner {
            Some(owner) if self.store.may_evict() => {
                let index = self.read_index(&StoreKey::owner(owner)).await?;
                Ok(index.into_index().admits(id))
            }
            _ => Ok(true),
        }
    }

    /// S1, or the like before a deadline moves: `record` is what will be written.
    pub(super) async fn announce(
        &self,
        owner: &Owner,
        id: SessionId,
        record: &Record,
        step: Step,
        now: Timestamp,
    ) -> Result<Announced, StoreError> {
        let checked_at = record.authenticated_at.unwrap_or(record.created_at);
        let until = record.absolute_deadline;
        let capacity = Index::capacity(self.store.largest_value());
        let mut tries = Tries::new();
        loop {
            let change = |index: &mut Index| match step {
                Step::SignIn => index.announce(id, checked_at, until, now, capacity),
                Step::Extend => index.extend(id, checked_at, until, now, capacity),
            };
            match self.change_index(owner, now, change).await? {
                // The record first, so that no session is left out of the index.
                Announced::Full(oldest) => {
                    self.end(owner, oldest.id, now).await?;
                    let forget = |index: &mut Index| index.forget(&[oldest]);
                    self.change_index(owner, now, forget).await?;
                    tries.again().await?;
                }
                announced => return Ok(announced),
            }
        }
    }

    /// S3 and S4: whether the session, whose record has the owner now, may live.
    pub(super) async fn settle(
        &self,
        owner: &Owner,
        id: SessionId,
        record: &Record,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let until = record.absolute_deadline;
        let settle = |index: &mut Index| index.settle(id, until);
        let settled = self.change_index(owner, now, settle).await?;
        if !settled {
            self.end(owner, id, now).await?;
        }
        Ok(settled)
    }

    /// After the record was deleted. Failing to is harmless: the entry is dropped when it is met.
    pub(super) async fn forget(&self, owner: &Owner, id: SessionId, now: Timestamp) {
        let remove = |index: &mut Index| index.remove(id);
        left_for_later(self.change_index(owner, now, remove).await);
    }

    /// Up to `most` live sessions. No more records than that are read, but for those that are gone.
    pub(super) async fn list_of(
        &self,
        owner: &Owner,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        let index = self.read_index(&StoreKey::owner(owner)).await?.into_index();
        let (mut sessions, mut gone) = (Vec::new(), Vec::new());
        for entry in index.entries() {
            if sessions.len() == most {
                break;
            }
            // A revocation that broke off.
            if entry.revoked {
                let (_, may_go) = self.end_marked(owner, entry, now).await?;
                gone.extend(may_go.then_some(*entry));
                continue;
            }
            match self.read(entry.id).await? {
                None => gone.extend(entry.may_be_dropped(now).then_some(*entry)),
                Some((_, record)) => match &record.owner {
                    Some(held) if held != owner => gone.push(*entry),
                    Some(_) if !record.is_expired(Instants::at(now)) => {
                        sessions.push(SessionSummary::new(entry.id, &record, now));
                    }
                    _ => {}
                },
            }
        }
        self.forget_all(owner, &gone, now).await;
        sessions.sort_by_key(|session| (session.created_at, session.id));
        Ok(sessions)
    }

    pub(super) async fn remove_all_of(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let revoke = |index: &mut Index| index.revoke(except, now);
        let marked = self.change_index(owner, now, revoke).await?;
        let (mut removed, mut gone, mut failure) = (0, Vec::new(), None);
        for entry in &marked {
            match self.end_marked(owner, entry, now).await {
                Ok((ended, may_go)) => {
                    removed += u64::from(ended == Ended::Alive);
                    gone.extend(may_go.then_some(*entry));
                }
                // The others go all the same.
                Err(error) => failure = Some(error),
            }
        }
        self.forget_all(owner, &gone, now).await;
        failure.map_or(Ok(removed), Err)
    }

    /// R2: what was left of the session, and whether its entry may go.
    async fn end_marked(
        &self,
        owner: &Owner,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<(Ended, bool), StoreError> {
        let _turn = self.turns.take(&StoreKey::session(entry.id), None).await;
        let ended = self.end(owner, entry.id, now).await?;
        let may_go = ended != Ended::Missing || entry.may_be_dropped(now);
        Ok((ended, may_go))
    }

    /// R3. Failing to is harmless: the entries are dropped when they are met.
    async fn forget_all(&self, owner: &Owner, gone: &[Entry], now: Timestamp) {
        if !gone.is_empty() {
            let forget = |index: &mut Index| index.forget(gone);
            left_for_later(self.change_index(owner, now, forget).await);
        }
    }

    /// Changes the index in one step, and writes it only if something changed.
    async fn change_index<T>(
        &self,
        owner: &Owner,
        now: Timestamp,
        change: impl Fn(&mut Index) -> T,
    ) -> Result<T, StoreError> {
        let key = StoreKey::owner(owner);
        let _turn = self.turns.take(&key, None).await;
        let mut tries = Tries::new();
        loop {
            let (version, before) = match self.read_index(&key).await? {
                Found::Nothing => (None, Index::default()),
                Found::Index(version, index) => (Some(version), index),
                // Nobody knows which sessions it held, so nothing may count as revoked.
                Found::Corrupt => {
                    return Err(StoreError::unavailable(format!(
                        "the index of a user's sessions is corrupt and was kept: end the user's sessions, then delete {key}"
                    )));
                }
            };
            let mut index = before.clone();
            let answer = change(&mut index);
            let written = index == before
                || match (index.keep_for(now), version) {
                    (Some(keep_for), version) => {
                        let value = StoreValue::new(index.encode(), ValueClass::Index);
                        self.store.put_if(&key, version, value, keep_for).await?
                    }
                    (None, Some(version)) => self.store.delete_if(&key, version).await?,
                    (None, None) => true,
                };
            if written {
                return Ok(answer);
            }
            tries.again().await?;
        }
    }

    async fn read_index(&self, key: &StoreKey) -> Result<Found, StoreError> {
        let Some((version, bytes)) = self.store.get(key).await? else {
            return Ok(Found::Nothing);
        };
        match Index::decode(&bytes) {
            Ok(index) => Ok(Found::Index(version, index)),
            Err(DecodeError::UnknownVersion { version }) => {
                Err(StoreError::UnknownVersion { version })
            }
            Err(DecodeError::Corrupt) => {
                tracing::warn!(%key, "a corrupt index of a user's sessions is kept and counts as missing");
                Ok(Found::Corrupt)
            }
        }
    }
}

enum Found {
    Nothing,
    Index(Version, Index),
    Corrupt,
}

impl Found {
    /// For a look at it: a corrupt index counts as missing.
    fn into_index(self) -> Index {
        match self {
            Self::Index(_, index) => index,
            Self::Nothing | Self::Corrupt => Index::default(),
        }
    }
}

fn left_for_later<T>(tidied: Result<T, StoreError>) {
    if let Err(error) = tidied {
        tracing::debug!(%error, "the index of a user's sessions is left to be tidied later");
    }
}
