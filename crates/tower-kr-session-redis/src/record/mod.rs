//! Loads and changes session records. Each call is one command or one script on the record's key.

mod arguments;
pub(crate) mod fields;
pub(crate) mod life;
pub(crate) mod numbers;
pub(crate) mod reply;

use redis::{Cmd, Value};
use tower_kr_session::{
    Owner, SessionId, StoreError, Timestamp,
    store::{CreateOutcome, Delta, Instants, Record, SecretHash},
};

pub(crate) use self::arguments::Index;
use self::{
    fields::{NAMES, Unreadable},
    reply::{Reply, text, warn_of_corruption},
};
use crate::{database::Database, failure::Failure, scripts};

/// What a removal by the owner's index found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A live record, now removed.
    Removed,
    /// No record, or an expired one, now removed.
    Missing,
    /// A record that isn't the owner's, left alone.
    Spared,
}

/// Which records a removal by the owner's index removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Owners,
    OwnersOrNobodys,
}

impl Database {
    pub(crate) async fn load(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        let key = self.keys.session(id);
        let mut command = Cmd::with_capacity(2, 7 + key.len());
        command.arg("HGETALL").arg(&key);
        let fields = self.servers.call_for_much(&key, command).await;
        let Some(fields) = hash(id, fields)? else {
            return Ok(None);
        };
        let fields = fields.as_map_iter().ok_or(Failure::BadReply("no hash"))?;
        let mut fields = fields
            .map(|(field, value)| (text(field), text(value)))
            .peekable();
        if fields.peek().is_none() {
            return Ok(None);
        }
        let record = readable(id, fields::read(fields))?;
        Ok(record.filter(|record| !record.is_expired(Instants::at(now))))
    }

    /// Loads a record without its values, also an expired one.
    pub(crate) async fn head(&self, id: SessionId) -> Result<Option<Record>, StoreError> {
        let key = self.keys.session(id);
        let mut command = redis::cmd("HMGET");
        command.arg(&key).arg(&NAMES);
        let fields = self.servers.call(&key, command).await;
        let Some(fields) = hash(id, fields)? else {
            return Ok(None);
        };
        let fields: Vec<Option<Vec<u8>>> =
            redis::from_redis_value(fields).map_err(|_| Failure::BadReply("no fields"))?;
        if fields.iter().all(Option::is_none) {
            return Ok(None);
        }
        let fields = NAMES.iter().zip(&fields).filter_map(|(name, value)| {
            let value = value.as_deref()?;
            Some((name.as_bytes(), value))
        });
        readable(id, fields::read(fields))
    }

    /// Whether anything is stored at this id.
    pub(crate) async fn exists(&self, id: SessionId) -> Result<bool, StoreError> {
        let key = self.keys.session(id);
        let mut command = redis::cmd("EXISTS");
        command.arg(&key);
        let reply = self.servers.call(&key, command).await?;
        Ok(redis::from_redis_value(reply).map_err(|_| Failure::BadReply("no answer to EXISTS"))?)
    }

    pub(crate) async fn create_record(
        &self,
        id: SessionId,
        record: &Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        let left = life::time_to_live(record, now).to_string();
        let fields = fields::write(record, now);
        let mut arguments = vec![left.as_bytes()];
        arguments.extend(fields.iter().map(|field| &**field));
        let key = self.keys.session(id);
        let reply = Reply::new(self.servers.run(&scripts::CREATE, &key, &arguments).await?)?;
        match reply.word() {
            "created" => Ok(CreateOutcome::Created),
            "exists" => Ok(CreateOutcome::Exists),
            _ => Err(Failure::BadReply("an unknown word").into()),
        }
    }

    pub(crate) async fn run_apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
        index: Index,
    ) -> Result<Reply, StoreError> {
        let arguments = arguments::of_apply(secret, delta, at, index)?;
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| &**argument).collect();
        let key = self.keys.session(id);
        let reply = Reply::new(self.servers.run(&scripts::APPLY, &key, &arguments).await?)?;
        reply.check_readable(id)?;
        Ok(reply)
    }

    /// Removes a record: with a secret only if it is the record's; with an owner only if it is
    /// theirs.
    pub(crate) async fn run_remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
        owner: Option<(&Owner, Whose)>,
    ) -> Result<Reply, StoreError> {
        let times = [numbers::time(at.first_contact), numbers::time(at.now)].concat();
        let secret = secret.map_or(&[][..], |secret| secret.as_bytes());
        let (owner, ownerless) = match owner {
            None => ("", "1"),
            Some((owner, Whose::OwnersOrNobodys)) => (owner.as_str(), "1"),
            Some((owner, Whose::Owners)) => (owner.as_str(), "0"),
        };
        let arguments = [&times, secret, owner.as_bytes(), ownerless.as_bytes()];
        let key = self.keys.session(id);
        let reply = Reply::new(self.servers.run(&scripts::REMOVE, &key, &arguments).await?)?;
        reply.check_readable(id)?;
        Ok(reply)
    }

    /// Removes a record if it is this owner's.
    pub(crate) async fn remove_of(
        &self,
        owner: &Owner,
        whose: Whose,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
        let reply = self
            .run_remove(id, None, Instants::at(now), Some((owner, whose)))
            .await?;
        match reply.word() {
            "removed" => Ok(Found::Removed),
            "missing" | "corrupt" => Ok(Found::Missing),
            "spared" => Ok(Found::Spared),
            _ => Err(Failure::BadReply("an unknown word").into()),
        }
    }
}

/// The fields of a session; `None` if its key holds something else than a hash.
fn hash(id: SessionId, fields: Result<Value, Failure>) -> Result<Option<Value>, Failure> {
    match fields {
        Err(failure) if failure.code() == Some("WRONGTYPE") => {
            warn_of_corruption(id, "type");
            Ok(None)
        }
        fields => fields.map(Some),
    }
}

/// A corrupt record is logged and counts as missing; one of a later release is an error.
fn readable(
    id: SessionId,
    record: Result<Record, Unreadable>,
) -> Result<Option<Record>, StoreError> {
    match record {
        Ok(record) => Ok(Some(record)),
        Err(Unreadable::Version(version)) => Err(StoreError::UnknownVersion { version }),
        Err(Unreadable::Corrupt(field)) => {
            warn_of_corruption(id, field);
            Ok(None)
        }
    }
}
