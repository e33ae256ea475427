//! Which sessions a user has.
//!
//! In a cluster a session and its owner's index are in different slots, so no script can change both. The order of the steps
//! makes it safe, and each step is safe to be the last one (a crash, a timeout):
//!
//! | a sign-in (checked at time `a`) | a revocation (at time `r`) |
//! |---|---|
//! | S1 index: refuse if `a <= not_before`, else note `pending` | R1 index: `not_before = r`, mark all entries `revoked` |
//! | S2 record: write the owner (or create the record) | R2 each marked record: remove if it has this owner or none |
//! | S3 index: `until` the deadline, unless marked or gone | R3 index: drop the entries of what was removed |
//! | S4 if it was: remove the record | |
//!
//! - S1 after R1: `a <= r` is refused. A later `a` is a new proof of identity and may stay.
//! - S1 before R1: the entry gets marked. If S2 comes before R2, R2 finds the owner and removes the record. If R2 comes first, it
//!   removes the record that has no owner yet and S2 finds nothing; or there is none yet and S2 creates it, but then S3 finds
//!   the mark, since R3 leaves the entries of records that were not there.
//! - A sign-in that ends after S2 has not answered: nobody holds the new token. The record is indexed (`pending`), so every
//!   later revocation finds it.
//! - A revocation that ends early has not answered either; the marks stay, and the next one and the list go on with them.
//! - A sign-in that was refused in S2 takes its entry back, but only if it is its own: the text of an entry is unique.
//!
//! An entry is dropped if its record was removed; if the record is missing and no sign-in can be on its way any more; or if
//! the record has another owner, since an owner is written once.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tower_kr_session::{Owner, SessionId, SessionSummary, StoreError, Timestamp, store::Instants};

use crate::{
    database::Database,
    failure::Failure,
    record::{Found, fields::time_text, reply::Reply},
    scripts,
};

/// How old an entry without a record must be to be dropped: several I/O timeouts.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// How many sessions of one user are looked at a time.
const AT_A_TIME: usize = 32;

/// An announced sign-in.
pub(crate) struct Announced {
    /// The text of the entry, unlike any other.
    entry: String,
    /// The entry from before; empty if there was none.
    previous: String,
}

impl Database {
    /// S1: `None` if the sessions of the owner were revoked since the sign-in. Without a time of sign-in, the session has this
    /// owner already.
    pub(crate) async fn announce(
        &self,
        owner: &Owner,
        id: SessionId,
        authenticated_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Announced>, StoreError> {
        let entry = format!("pending:{}:{}", now.as_unix_millis(), self.nonces.next());
        let authenticated_at = authenticated_at.map(time_text).unwrap_or_default();
        let id = id.to_string();
        let arguments = [&id, &entry, &authenticated_at].map(|argument| argument.as_bytes());
        let key = self.keys.owner(owner);
        let reply = Reply::new(self.servers.run(&scripts::INDEX, &key, &arguments).await?)?;
        match reply.word() {
            "revoked" => Ok(None),
            "indexed" => Ok(Some(Announced {
                previous: reply.text(1).to_owned(),
                entry,
            })),
            _ => Err(Failure::BadReply("an unknown word").into()),
        }
    }

    /// S3 and S4: whether the session, which carries the owner now, may live.
    pub(crate) async fn settle(
        &self,
        owner: &Owner,
        id: SessionId,
        announced: &Announced,
        absolute_deadline: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let reply = self
            .note_deadline(owner, id, &announced.entry, absolute_deadline, now)
            .await?;
        if reply.word() == "settled" {
            return Ok(true);
        }
        self.remove_of(owner, id, now).await?;
        Ok(false)
    }

    async fn note_deadline(
        &self,
        owner: &Owner,
        id: SessionId,
        entry: &str,
        absolute_deadline: Timestamp,
        now: Timestamp,
    ) -> Result<Reply, Failure> {
        let (now, id) = (time_text(now), id.to_string());
        let deadline = time_text(absolute_deadline);
        let arguments = [&now, &id, entry, &deadline].map(str::as_bytes);
        let key = self.keys.owner(owner);
        Reply::new(self.servers.run(&scripts::SETTLE, &key, &arguments).await?)
    }

    /// After a sign-in that was refused: takes the entry back. Failing to is harmless: it is dropped when met.
    pub(crate) async fn withdraw(
        &self,
        owner: &Owner,
        id: SessionId,
        announced: &Announced,
        now: Timestamp,
    ) {
        let entry = (
            id.to_string(),
            announced.entry.clone(),
            announced.previous.clone(),
        );
        self.restore(owner, &[entry], now).await;
    }

    /// After a logout: the entry of a record that is gone for good.
    pub(crate) async fn forget(&self, owner: &Owner, id: SessionId, now: Timestamp) {
        let entry = (id.to_string(), String::new(), String::new());
        self.restore(owner, &[entry], now).await;
    }

    /// Puts entries (id, as seen, as before) back, where they are still as seen; with nothing seen, in any case.
    async fn restore(&self, owner: &Owner, entries: &[(String, String, String)], now: Timestamp) {
        if entries.is_empty() {
            return;
        }
        let now = time_text(now);
        let mut arguments = vec![now.as_bytes()];
        for (id, seen, before) in entries {
            arguments.extend([id.as_bytes(), seen.as_bytes(), before.as_bytes()]);
        }
        let key = self.keys.owner(owner);
        if let Err(error) = self.servers.run(&scripts::RESTORE, &key, &arguments).await {
            tracing::debug!(%error, "the index of an owner is left to be tidied later");
        }
    }

    pub(crate) async fn list_of(
        &self,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        let key = self.keys.owner(owner);
        let mut command = redis::cmd("HGETALL");
        command.arg(&key);
        let entries = self.servers.call(&key, command).await?;
        let entries: Vec<(String, String)> =
            redis::from_redis_value(entries).map_err(|_| Failure::BadReply("no index"))?;
        let entries = entries.into_iter().filter_map(|(id, entry)| {
            let id: SessionId = id.parse().ok()?;
            Some((id, entry))
        });
        let looks = entries.map(|(id, entry)| async move {
            let head = self.head(id).await?;
            Ok::<_, StoreError>((id, entry, head))
        });
        let mut looks = stream::iter(looks).buffered(AT_A_TIME);
        let (mut sessions, mut dropped) = (Vec::new(), Vec::new());
        while let Some(look) = looks.next().await {
            let (id, entry, head) = look?;
            let state = Entry::read(&entry);
            match head {
                None if state.may_be_dropped(now) => {
                    dropped.push((id.to_string(), entry, String::new()));
                }
                Some(record) if record.owner.as_ref().is_some_and(|held| held != owner) => {
                    dropped.push((id.to_string(), entry, String::new()));
                }
                // A revocation that didn't come to its end.
                Some(_) if matches!(state, Entry::Revoked { .. }) => {
                    self.remove_of(owner, id, now).await?;
                    dropped.push((id.to_string(), entry, String::new()));
                }
                Some(record) if record.owner.is_some() => {
                    if matches!(state, Entry::Pending { .. }) && state.may_be_dropped(now) {
                        let deadline = record.absolute_deadline;
                        self.note_deadline(owner, id, &entry, deadline, now).await?;
                    }
                    if !record.is_expired(Instants::at(now)) {
                        sessions.push(SessionSummary::new(id, &record, now));
                    }
                }
                _ => {}
            }
        }
        self.restore(owner, &dropped, now).await;
        sessions.sort_by_key(|session| (session.created_at, session.id));
        Ok(sessions)
    }

    pub(crate) async fn remove_all_of(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (time, kept) = (time_text(now), except.map(|id| id.to_string()));
        let arguments = [time.as_str(), kept.as_deref().unwrap_or_default()].map(str::as_bytes);
        let key = self.keys.owner(owner);
        let marked = Reply::new(self.servers.run(&scripts::REVOKE, &key, &arguments).await?)?;
        let removals =
            marked_entries(marked.parts())
                .into_iter()
                .map(|(id, before, mark)| async move {
                    (id, before, mark, self.remove_of(owner, id, now).await)
                });
        let mut removals = stream::iter(removals).buffer_unordered(AT_A_TIME);
        let (mut removed, mut dropped, mut failure) = (0, Vec::new(), None);
        while let Some((id, before, mark, found)) = removals.next().await {
            let gone = match found {
                Ok(Found::Removed) => {
                    removed += 1;
                    true
                }
                Ok(Found::Missing) => before.may_be_dropped(now),
                Ok(Found::OthersRecord) => true,
                // The others go all the same.
                Err(error) => {
                    failure = Some(error);
                    false
                }
            };
            if gone {
                dropped.push((id.to_string(), mark, String::new()));
            }
        }
        drop(removals);
        self.restore(owner, &dropped, now).await;
        failure.map_or(Ok(removed), Err)
    }
}

/// What `revoke.lua` answers: the id, the entry from before and the mark of each session.
fn marked_entries(parts: &[Vec<u8>]) -> Vec<(SessionId, Entry, String)> {
    let entries = parts.chunks_exact(3).filter_map(|entry| {
        let part = |index: usize| str::from_utf8(&entry[index]).ok();
        let id: SessionId = part(0)?.parse().ok()?;
        Some((id, Entry::read(part(1)?), part(2)?.to_owned()))
    });
    entries.collect()
}

/// What the index says of a session.
#[derive(Clone, Copy)]
enum Entry {
    Pending { at: Timestamp },
    Until,
    Revoked { at: Timestamp },
}

impl Entry {
    fn read(text: &str) -> Self {
        let mut parts = text.split(':');
        let state = parts.next();
        let at = parts.next().and_then(|at| at.parse().ok()).unwrap_or(0);
        let at = Timestamp::from_unix_millis(at);
        match state {
            Some("until") => Self::Until,
            Some("revoked") => Self::Revoked { at },
            _ => Self::Pending { at },
        }
    }

    /// Whether the record, if it is missing, is missing for good.
    fn may_be_dropped(self, now: Timestamp) -> bool {
        match self {
            Self::Until => true,
            Self::Pending { at } | Self::Revoked { at } => {
                now.saturating_duration_since(at) >= ON_ITS_WAY
            }
        }
    }
}
