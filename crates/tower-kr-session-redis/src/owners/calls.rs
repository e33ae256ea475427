//! Calls the scripts of an owner's index: one round trip each.

use tower_kr_session::{Owner, SessionId, Timestamp};

use super::entry::Revocations;
use crate::{
    database::Database,
    failure::Failure,
    record::{fields::time_text, reply::Reply},
    scripts::{self, Program},
};

/// A session in an owner's index, and the text of its entry.
pub(super) type Indexed = (SessionId, String);

/// Which sign-in is announced.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// One that gives a record its owner. The record's secret was checked.
    SignIn,
    /// One that creates a record.
    Creation,
}

/// A session that gets an owner, or has one.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) owner: &'a Owner,
    pub(super) id: SessionId,
    pub(super) authenticated_at: Timestamp,
    pub(super) absolute_deadline: Timestamp,
}

/// An announced sign-in.
pub(super) struct Announced {
    pub(super) revocations: Revocations,
    /// The text of the entry, unlike any other.
    entry: String,
    /// The entry from before; empty if there was none.
    previous: String,
    /// Some other entries, which may be out of date.
    pub(super) sample: Vec<Indexed>,
}

/// What the index says of a session that carries the owner, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is in the index.
    Held,
    /// It was revoked.
    Revoked,
}

/// Some entries of an index.
pub(super) struct Page {
    pub(super) revocations: Revocations,
    pub(super) entries: Vec<Indexed>,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<Cursor>,
}

#[derive(Clone)]
pub(super) struct Cursor(String);

/// What an entry is replaced with.
pub(super) struct Change {
    pub(super) id: SessionId,
    /// The text that it must still have; any, if empty.
    pub(super) expected: String,
    /// The new text; empty if the entry is to go.
    pub(super) entry: String,
}

impl Default for Cursor {
    /// The first page.
    fn default() -> Self {
        Self("0".to_owned())
    }
}

impl Database {
    /// Writes that the session is about to carry the owner; `None` if its sign-in was revoked since
    /// it was checked.
    pub(super) async fn announce(
        &self,
        kind: Kind,
        subject: Subject<'_>,
        now: Timestamp,
    ) -> Result<Option<Announced>, Failure> {
        let kind = match kind {
            Kind::SignIn => "sign_in",
            Kind::Creation => "creation",
        };
        let arguments = [
            subject.id.to_string(),
            kind.to_owned(),
            time_text(now),
            self.nonces.next(),
            time_text(subject.authenticated_at),
            time_text(subject.absolute_deadline),
            self.nonces.random().to_string(),
        ];
        let reply = self.ask(&scripts::ANNOUNCE, subject.owner, &arguments);
        let reply = reply.await?;
        match reply.word() {
            "revoked" => Ok(None),
            "announced" => Ok(Some(Announced {
                revocations: revocations(&reply)?,
                entry: reply.text(3).to_owned(),
                previous: reply.text(4).to_owned(),
                sample: entries(reply.parts().get(5..).unwrap_or_default()),
            })),
            _ => Err(Failure::BadReply("an unknown word")),
        }
    }

    /// Writes that the session carries the owner now, unless it was revoked meanwhile.
    pub(super) async fn settle(
        &self,
        announced: &Announced,
        subject: Subject<'_>,
        now: Timestamp,
    ) -> Result<Standing, Failure> {
        let arguments = [
            subject.id.to_string(),
            announced.entry.clone(),
            time_text(subject.authenticated_at),
            time_text(subject.absolute_deadline),
            time_text(now),
        ];
        let reply = self
            .ask(&scripts::SETTLE, subject.owner, &arguments)
            .await?;
        standing(&reply)
    }

    /// Asks whether a session that carries the owner was revoked. If not, it is in the index
    /// afterwards. Who signs in again proves again who they are, which takes an earlier revocation
    /// back.
    pub(super) async fn check(
        &self,
        subject: Subject<'_>,
        signs_in: bool,
        now: Timestamp,
    ) -> Result<Standing, Failure> {
        let arguments = [
            subject.id.to_string(),
            time_text(subject.authenticated_at),
            u8::from(signs_in).to_string(),
            time_text(subject.absolute_deadline),
            time_text(now),
        ];
        let reply = self.ask(&scripts::CHECK, subject.owner, &arguments).await?;
        standing(&reply)
    }

    /// Marks all sessions of the owner but one as revoked; returns the revocations so far.
    pub(super) async fn revoke(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Revocations, Failure> {
        let except = except.map(|id| id.to_string()).unwrap_or_default();
        let reply = self
            .ask(&scripts::REVOKE, owner, &[time_text(now), except])
            .await?;
        Ok(Revocations {
            count: count(reply.text(0))?,
            last: Some(now),
        })
    }

    pub(super) async fn page(&self, owner: &Owner, cursor: Cursor) -> Result<Page, Failure> {
        let reply = self.ask(&scripts::PAGE, owner, &[cursor.0]).await?;
        let next = reply.text(0);
        Ok(Page {
            revocations: revocations(&reply)?,
            entries: entries(reply.parts().get(3..).unwrap_or_default()),
            next: (next != "0").then(|| Cursor(next.to_owned())),
        })
    }

    /// Takes the entry of a refused sign-in back.
    pub(super) async fn withdraw(
        &self,
        announced: &Announced,
        subject: Subject<'_>,
        now: Timestamp,
    ) {
        let change = Change {
            id: subject.id,
            expected: announced.entry.clone(),
            entry: announced.previous.clone(),
        };
        self.tidy(subject.owner, &[change], now).await;
    }

    /// Drops the entry of a record that is gone for good.
    pub(crate) async fn forget(&self, owner: &Owner, id: SessionId, now: Timestamp) {
        let change = Change {
            id,
            expected: String::new(),
            entry: String::new(),
        };
        self.tidy(owner, &[change], now).await;
    }

    /// Changes entries. A failure is harmless: whoever meets them next changes them.
    pub(super) async fn tidy(&self, owner: &Owner, changes: &[Change], now: Timestamp) {
        if changes.is_empty() {
            return;
        }
        let mut arguments = vec![time_text(now)];
        for change in changes {
            arguments.push(change.id.to_string());
            arguments.extend([change.expected.clone(), change.entry.clone()]);
        }
        if let Err(error) = self.ask(&scripts::TIDY, owner, &arguments).await {
            tracing::debug!(%error, "the index of an owner is left to be tidied later");
        }
    }

    async fn ask(
        &self,
        program: &Program,
        owner: &Owner,
        arguments: &[String],
    ) -> Result<Reply, Failure> {
        let arguments: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
        let key = self.keys.owner(owner);
        Reply::new(self.servers.run(program, &key, &arguments).await?)
    }
}

fn standing(reply: &Reply) -> Result<Standing, Failure> {
    match reply.word() {
        "held" | "settled" => Ok(Standing::Held),
        "revoked" => Ok(Standing::Revoked),
        _ => Err(Failure::BadReply("an unknown word")),
    }
}

/// Reads their count and the time of the last one, which stand behind an answer's first part.
fn revocations(reply: &Reply) -> Result<Revocations, Failure> {
    let last = reply.text(2).parse().ok();
    Ok(Revocations {
        count: count(reply.text(1))?,
        last: last.map(Timestamp::from_unix_millis),
    })
}

fn count(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::BadReply("no count"))
}

/// Reads ids and entries. What is no id of a session is nothing of ours.
fn entries(parts: &[Vec<u8>]) -> Vec<Indexed> {
    let entries = parts.chunks_exact(2).filter_map(|entry| {
        let [id, entry] = [0, 1].map(|index| str::from_utf8(&entry[index]).ok());
        Some((id?.parse().ok()?, entry?.to_owned()))
    });
    entries.collect()
}
