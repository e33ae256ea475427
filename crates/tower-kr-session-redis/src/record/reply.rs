//! Reads the scripts' answers: a word, and its details.

use redis::Value;
use tower_kr_session::{
    Owner, SessionId, StoreError, Timestamp,
    store::{ApplyOutcome, Receipt},
};

use super::{
    fields::{Head, parse_integer},
    life::{self, Life},
    numbers,
};
use crate::failure::Failure;

/// What the owner's index must be asked before an `apply`.
pub(crate) struct Question {
    /// The owner that the record has.
    pub(crate) owner: Option<Owner>,
    /// When the record's user signed in.
    pub(crate) authenticated_at: Timestamp,
    /// The absolute deadline that the record will have.
    pub(crate) absolute_deadline: Timestamp,
}

/// An answer of a script.
pub(crate) struct Reply(Vec<Vec<u8>>);

impl Reply {
    pub(crate) fn new(value: Value) -> Result<Self, Failure> {
        let parts = match value {
            Value::BulkString(text) => return Ok(Self(vec![text])),
            Value::Array(parts) => parts.into_iter(),
            _ => return Err(Failure::BadReply("no list")),
        };
        parts
            .map(|part| match part {
                Value::BulkString(text) => Ok(text),
                _ => Err(Failure::BadReply("no text")),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The word that says what happened.
    pub(crate) fn word(&self) -> &str {
        self.text(0)
    }

    /// Another part; empty if there is none.
    pub(crate) fn text(&self, index: usize) -> &str {
        let part = self.0.get(index);
        part.and_then(|part| str::from_utf8(part).ok())
            .unwrap_or_default()
    }

    pub(crate) fn parts(&self) -> &[Vec<u8>] {
        &self.0
    }

    fn integer(&self, index: usize) -> Result<i64, Failure> {
        let part = self.0.get(index).and_then(|part| parse_integer(part));
        part.ok_or(Failure::BadReply("no integer"))
    }

    /// Handles what every script may find: a record of a later release is an error, and a corrupt
    /// one is logged.
    pub(crate) fn check_readable(&self, id: SessionId) -> Result<(), StoreError> {
        match self.word() {
            "version" => Err(StoreError::UnknownVersion {
                version: u8::try_from(self.integer(1)?).unwrap_or(u8::MAX),
            }),
            "corrupt" => {
                warn_of_corruption(id, self.text(1));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The question that comes before an `apply`, if there is one.
    pub(crate) fn question(&self) -> Result<Option<Question>, Failure> {
        let [word, owner, head, deadline] = &self.0[..] else {
            return Ok(None);
        };
        if word != b"ask" {
            return Ok(None);
        }
        let owner = match &owner[..] {
            [] => None,
            owner => str::from_utf8(owner).ok().map(Owner::new),
        };
        let owner = owner
            .transpose()
            .map_err(|_| Failure::BadReply("no owner"))?;
        let head = Head::read(head).ok_or(Failure::BadReply("no head"))?;
        let deadline = numbers::take_time(&mut &deadline[..]);
        Ok(Some(Question {
            owner,
            authenticated_at: head.authenticated_at.unwrap_or(head.created_at),
            absolute_deadline: deadline.ok_or(Failure::BadReply("no deadline"))?,
        }))
    }

    pub(crate) fn applied(&self) -> Result<ApplyOutcome, Failure> {
        if let [done] = &self.0[..]
            && let Some(done) = done.strip_prefix(b"applied")
        {
            return read_receipt(done).map(ApplyOutcome::Applied);
        }
        Ok(match self.word() {
            "missing" | "corrupt" => ApplyOutcome::Missing,
            "superseded" => ApplyOutcome::Superseded,
            "conflict" => ApplyOutcome::Conflict,
            "other_owner" => ApplyOutcome::OtherOwner,
            "revoked" => ApplyOutcome::Revoked,
            "too_large" => ApplyOutcome::TooLarge {
                size: u64::try_from(self.integer(1)?).unwrap_or(u64::MAX),
            },
            "not_an_integer" => ApplyOutcome::NotAnInteger,
            "overflow" => ApplyOutcome::Overflow,
            _ => return Err(Failure::BadReply("an unknown word")),
        })
    }
}

/// Reads the new `life`, and the sum after an increment.
fn read_receipt(done: &[u8]) -> Result<Receipt, Failure> {
    let (life, sum) = done.split_at_checked(life::BYTES).unwrap_or_default();
    let life = Life::read(life).ok_or(Failure::BadReply("no lifetime"))?;
    let sum = match sum {
        [] => None,
        digits => Some(parse_integer(digits).ok_or(Failure::BadReply("no integer"))?),
    };
    Ok(life.receipt(sum))
}

/// Returns the bytes of a text; empty for anything else.
pub(crate) fn text(value: &Value) -> &[u8] {
    match value {
        Value::BulkString(text) => text,
        _ => &[],
    }
}

/// Tells the operator where to look, without values or hashes.
pub(crate) fn warn_of_corruption(id: SessionId, field: &str) {
    tracing::warn!(session = %id, field, "a corrupt session record is kept and counts as missing");
}
