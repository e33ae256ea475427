//! Keeps the index of each owner's sessions, so that they can be listed and revoked.
//!
//! In a cluster a session and its owner's index are in different slots, so no script can change
//! both. The order of the steps makes it safe, and each step may be the last one (a crash, a
//! timeout):
//!
//! | a sign-in (checked at time `a`) | a revocation (at time `r`) |
//! |---|---|
//! | S0 record: alive, the secret is right, no owner | R1 index: count one more, `not_before = r` |
//! | S1 index: refuse if `a <= not_before`, else `sign_in` | R2 each entry of a lower count: remove the record |
//! | S2 record: check again, write the owner | R3 index: drop the entries of what was removed |
//! | S3 index: `until` the deadline, unless revoked | |
//! | S4 if it was: remove the record | |
//!
//! An entry holds the count of revocations when it was written, so R1 revokes all in one short
//! step, and R2 and R3 go through them in pages. Nobody leaves a trace before S0 has seen that they
//! hold the secret. A new record (`create`) has no S0, and its entry is `creation`.
//!
//! - S1 after R1: `a <= r` is refused. A later `a` is a new proof of identity and may stay.
//! - S1 before R1: the entry is revoked. If S2 comes before R2, R2 finds the owner and removes the
//!   record. If R2 comes first, it removes the record that has no owner yet, and S2 finds nothing.
//!   (Only for `sign_in`, and only for a minute: a holder of the secret asked for this owner.) Or
//!   there is no record yet and S2 creates it; then S3 finds the revocation, since R3 leaves an
//!   entry whose record may be on its way.
//! - A sign-in that ends after S2 has not answered: nobody holds the new token. The record is
//!   indexed, so every later revocation finds it.
//! - A revocation that ends early has not answered either. Its count stays: the list goes on with
//!   it, and so does each of the sessions at its next check.
//! - A refused sign-in takes its own entry back, since the text of an entry is unique.
//!
//! **A session that carries the owner** is checked before it is written, at most once per touch
//! interval, and when it signs in again or gets another absolute deadline. Its entry decides, and
//! an entry that is revoked ends it. So does a missing one, if `a <= not_before`: a fail-over may
//! have lost the entry before the revocation, or the records' removal after it. Else the entry is
//! written anew. A revocation that spares a session writes its entry in R1, so that `not_before`
//! doesn't count for it.
//!
//! **Entries that are out of date** (a record that is gone, a sign-in that broke off) are dropped
//! or completed by whoever meets them: the list, a revocation, and each sign-in, for a few entries
//! at random. No clock does it alone: the record is looked at first.

mod calls;
mod entry;

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use tower_kr_session::{
    Owner, SessionId, SessionSummary, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, SecretHash},
};

use self::{
    calls::{Announced, Change, Cursor, Indexed, Kind, Standing, Subject},
    entry::{Entry, Revocations, Verdict, judge},
};
use crate::{
    database::Database,
    failure::Failure,
    record::{Found, Index, Whose, reply::Question},
};

/// How many sessions of one user are looked at a time.
const AT_A_TIME: usize = 32;

impl Database {
    /// Stores a new record that has an owner.
    pub(crate) async fn create_owned(
        &self,
        owner: &Owner,
        id: SessionId,
        record: &Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        let subject = Subject {
            owner,
            id,
            authenticated_at: record.authenticated_at.unwrap_or(record.created_at),
            absolute_deadline: record.absolute_deadline,
        };
        let Some(announced) = self.announce(Kind::Creation, subject, now).await? else {
            return Ok(if self.exists(id).await? {
                CreateOutcome::Exists
            } else {
                CreateOutcome::Revoked
            });
        };
        let created = self.create_record(id, record, now).await?;
        if created != CreateOutcome::Created {
            self.withdraw(&announced, subject, now).await;
            return Ok(created);
        }
        match self.conclude(announced, subject, now).await? {
            Standing::Held => Ok(CreateOutcome::Created),
            Standing::Revoked => Ok(CreateOutcome::Revoked),
        }
    }

    /// Applies a delta after the question to the owner's index is answered.
    pub(crate) async fn apply_asking(
        &self,
        question: Question,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let subject = |owner, authenticated_at| Subject {
            owner,
            id,
            authenticated_at,
            absolute_deadline: question.absolute_deadline,
        };
        let index = match (&delta.sign_in, &question.owner) {
            (Some(sign_in), None) => {
                let subject = subject(&sign_in.owner, sign_in.authenticated_at);
                return self.sign_in(subject, secret, delta, at).await;
            }
            (Some(sign_in), Some(owner)) => {
                let subject = subject(owner, sign_in.authenticated_at);
                match self.check(subject, true, at.now).await? {
                    Standing::Held => Index::Held,
                    Standing::Revoked => return Ok(ApplyOutcome::Revoked),
                }
            }
            (None, Some(owner)) => {
                let subject = subject(owner, question.authenticated_at);
                match self.check(subject, false, at.now).await {
                    Ok(Standing::Held) => Index::Held,
                    Ok(Standing::Revoked) => {
                        self.end(subject, at.now).await?;
                        return Ok(ApplyOutcome::Missing);
                    }
                    // A later deadline must be in the index before it is in the record.
                    Err(failure) if delta.limits.absolute_timeout.is_some() => {
                        return Err(failure.into());
                    }
                    // Asked only because it was time: the next call asks again.
                    Err(error) => {
                        tracing::debug!(session = %id, %error, "the index of an owner doesn't answer");
                        Index::Unknown
                    }
                }
            }
            (None, None) => return Err(Failure::BadReply("a question about nobody").into()),
        };
        let reply = self.run_apply(id, secret, delta, at, index).await?;
        Ok(reply.applied()?)
    }

    /// Gives a record its owner.
    async fn sign_in(
        &self,
        subject: Subject<'_>,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let Some(announced) = self.announce(Kind::SignIn, subject, at.now).await? else {
            return Ok(ApplyOutcome::Revoked);
        };
        let reply = self
            .run_apply(subject.id, secret, delta, at, Index::Held)
            .await?;
        let applied = reply.applied()?;
        if !matches!(applied, ApplyOutcome::Applied(_)) {
            self.withdraw(&announced, subject, at.now).await;
            return Ok(applied);
        }
        match self.conclude(announced, subject, at.now).await? {
            Standing::Held => Ok(applied),
            Standing::Revoked => Ok(ApplyOutcome::Revoked),
        }
    }

    /// Settles a sign-in whose record is written, and tidies up what its announcement met.
    async fn conclude(
        &self,
        announced: Announced,
        subject: Subject<'_>,
        now: Timestamp,
    ) -> Result<Standing, StoreError> {
        let standing = self.settle(&announced, subject, now).await?;
        if standing == Standing::Revoked {
            self.end(subject, now).await?;
        }
        if !announced.sample.is_empty() {
            let revocations = announced.revocations;
            let visited = self.visit(subject.owner, revocations, announced.sample, now);
            if let Err(error) = visited.await {
                tracing::debug!(%error, "the index of an owner is left to be tidied later");
            }
        }
        Ok(standing)
    }

    /// Removes the record of a session that turned out to be revoked.
    async fn end(&self, subject: Subject<'_>, now: Timestamp) -> Result<(), StoreError> {
        let Subject { owner, id, .. } = subject;
        self.remove_of(owner, Whose::Owners, id, now).await?;
        self.forget(owner, id, now).await;
        Ok(())
    }

    /// Up to `most` live sessions of an owner, the oldest of them first. Goes through no more pages
    /// of the index than it needs for them.
    pub(crate) async fn list_of(
        &self,
        owner: &Owner,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        // A page may repeat what an earlier one had.
        let mut sessions = HashMap::new();
        let mut next = Some(Cursor::default());
        while let Some(cursor) = next
            && sessions.len() < most
        {
            let page = self.page(owner, cursor).await?;
            let visited = self.visit(owner, page.revocations, page.entries, now);
            let visited = visited.await?.into_iter();
            sessions.extend(visited.map(|session| (session.id, session)));
            next = page.next;
        }
        let mut sessions: Vec<_> = sessions.into_values().collect();
        sessions.sort_by_key(|session| (session.created_at, session.id));
        sessions.truncate(most);
        Ok(sessions)
    }

    /// Looks at the records of these entries, does what is to be done about each, and returns the
    /// live sessions among them.
    async fn visit(
        &self,
        owner: &Owner,
        revocations: Revocations,
        entries: Vec<Indexed>,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        let looks = entries.into_iter().map(|(id, text)| async move {
            let record = self.head(id).await?;
            Ok::<_, StoreError>((id, text, record))
        });
        let mut looks = stream::iter(looks).buffered(AT_A_TIME);
        let (mut sessions, mut changes) = (Vec::new(), Vec::new());
        while let Some(look) = looks.next().await {
            let (id, expected, record) = look?;
            let verdict = judge(
                Entry::read(&expected),
                record.as_ref(),
                owner,
                revocations,
                now,
            );
            let entry = match verdict {
                Verdict::Keep => None,
                Verdict::Drop => Some(String::new()),
                Verdict::Complete(deadline) => Some(Entry::until(deadline, revocations)),
                Verdict::End(whose) => {
                    self.remove_of(owner, whose, id, now).await?;
                    Some(String::new())
                }
            };
            changes.extend(entry.map(|entry| Change {
                id,
                expected,
                entry,
            }));
            let lists = matches!(verdict, Verdict::Keep | Verdict::Complete(_));
            if let Some(record) = record.filter(|_| lists)
                && record.owner.is_some()
                && !record.is_expired(Instants::at(now))
            {
                sessions.push(SessionSummary::new(id, &record, now));
            }
        }
        self.tidy(owner, &changes, now).await;
        Ok(sessions)
    }

    pub(crate) async fn remove_all_of(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let revocations = self.revoke(owner, except, now).await?;
        let (mut removed, mut failure) = (0, None);
        let mut next = Some(Cursor::default());
        while let Some(cursor) = next {
            let page = self.page(owner, cursor).await?;
            let (count, error) = self
                .remove_page(owner, revocations, page.entries, now)
                .await;
            removed += count;
            // The others go all the same.
            failure = error.or(failure);
            next = page.next;
        }
        failure.map_or(Ok(removed), Err)
    }

    /// Removes the revoked sessions of a page; returns how many of them lived, and an error if one
    /// may be left.
    async fn remove_page(
        &self,
        owner: &Owner,
        revocations: Revocations,
        entries: Vec<Indexed>,
        now: Timestamp,
    ) -> (u64, Option<StoreError>) {
        let revoked = entries.into_iter().filter_map(|(id, text)| {
            let entry = Entry::read(&text);
            // One that can't be read has no count, and this revocation means all.
            revocations.include(entry, now).then_some((id, text, entry))
        });
        let removals = revoked.map(|(id, text, entry)| async move {
            let whose = entry.map_or(Whose::Owners, |entry| entry.whose(now));
            (id, text, entry, self.remove_of(owner, whose, id, now).await)
        });
        let mut removals = stream::iter(removals).buffer_unordered(AT_A_TIME);
        let (mut removed, mut changes, mut failure) = (0, Vec::new(), None);
        while let Some((id, expected, entry, found)) = removals.next().await {
            match found {
                Ok(Found::Removed) => removed += 1,
                // Its record may be on its way: whoever is about to write it finds the revocation.
                Ok(Found::Missing | Found::Spared)
                    if entry.is_some_and(|entry| entry.is_on_its_way(now)) =>
                {
                    continue;
                }
                Ok(Found::Missing | Found::Spared) => {}
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            }
            changes.push(Change {
                id,
                expected,
                entry: String::new(),
            });
        }
        drop(removals);
        self.tidy(owner, &changes, now).await;
        (removed, failure)
    }
}
