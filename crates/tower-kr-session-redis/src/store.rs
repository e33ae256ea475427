//! Sessions in Redis.

use std::{fmt, sync::Arc};

use redis::Cmd;
use tower_kr_session::{
    Owner, SessionId, SessionStore, SessionSummary, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

use crate::{
    arguments::{self, Index},
    builder::RedisStoreBuilder,
    connect_error::ConnectError,
    failure::Failure,
    fields::{self, Unreadable},
    keys::Keys,
    life, numbers,
    owners::Nonces,
    reply::{Reply, text, warn_of_corruption},
    scripts,
    servers::Servers,
};

/// Sessions in Redis: in a single server, in the master that sentinels name, or in a cluster. A clone is the same store.
///
/// See the [crate's documentation](crate) for what it promises, and [`builder`](Self::builder) for the URLs and the settings.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) servers: Servers,
    pub(crate) keys: Keys,
    pub(crate) nonces: Nonces,
    pub(crate) description: String,
}

/// What a removal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A live record, which is gone now.
    Removed,
    /// None, or a dead one.
    Missing,
    /// A record of somebody else.
    OthersRecord,
}

impl RedisStore {
    /// Connects to the servers that the URL names, with the default settings.
    ///
    /// Must be called within a Tokio runtime, which must live as long as the store: a task there watches over the connection.
    ///
    /// # Errors
    /// If the URL is wrong, there is no server, it denies access, or it can't keep sessions.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// Sets up a store on the servers that the URL names:
    ///
    /// | URL | |
    /// |---|---|
    /// | `redis://[[user]:password@]host[:port][/database]` | a single server |
    /// | `unix:///path/to/redis.sock` | the same through a socket |
    /// | `redis+sentinel://[[user]:password@]host[:port],host[:port]/master[/database]` | the master that these sentinels name |
    /// | `redis+cluster://[[user]:password@]host[:port],host[:port]` | a cluster, of which these are some nodes |
    ///
    /// With `rediss` instead of `redis` the connections are encrypted (TLS), and the servers' certificates are checked.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }

    /// Sets up a store on the server that this client of the application connects to.
    ///
    /// Its address, credentials and certificates are used; the connection is the store's own, since it watches over it.
    pub fn from_client(client: &redis::Client) -> RedisStoreBuilder {
        RedisStoreBuilder::from_client(client)
    }

    pub(crate) fn new(servers: Servers, prefix: String, description: String) -> Self {
        Self(Arc::new(Inner {
            servers,
            keys: Keys::new(prefix),
            nonces: Nonces::new(),
            description,
        }))
    }
}

impl fmt::Debug for RedisStore {
    /// Shows where the sessions are, without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("servers", &self.0.description)
            .field("key_prefix", &self.0.keys.prefix())
            .finish_non_exhaustive()
    }
}

impl SessionStore for RedisStore {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.0.load(id, now).await
    }

    async fn create(
        &self,
        id: SessionId,
        record: Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        let Some(owner) = &record.owner else {
            return self.0.create_record(id, &record, now).await;
        };
        let authenticated_at = record.authenticated_at.unwrap_or(record.created_at);
        let announced = self.0.announce(owner, id, Some(authenticated_at), now);
        let Some(announced) = announced.await? else {
            return Ok(CreateOutcome::Revoked);
        };
        let created = self.0.create_record(id, &record, now).await?;
        if created != CreateOutcome::Created {
            self.0.withdraw(owner, id, &announced, now).await;
            return Ok(created);
        }
        let deadline = record.absolute_deadline;
        let settled = self.0.settle(owner, id, &announced, deadline, now).await?;
        Ok(if settled {
            CreateOutcome::Created
        } else {
            CreateOutcome::Revoked
        })
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        if let Some(sign_in) = &delta.sign_in {
            let time = Some(sign_in.authenticated_at);
            // Boxed, here and below: it would make the usual call larger.
            let applying = self
                .0
                .apply_owned(&sign_in.owner, time, id, secret, &delta, at);
            return Box::pin(applying).await;
        }
        let reply = self
            .0
            .run_apply(id, secret, &delta, at, Index::NotAsked)
            .await?;
        if reply.word() == "owned" {
            let owner = Owner::new(reply.text(1)).map_err(|_| Failure::BadReply("no owner"))?;
            let applying = self.0.apply_owned(&owner, None, id, secret, &delta, at);
            return Box::pin(applying).await;
        }
        Ok(reply.applied()?)
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        let reply = self.0.run_remove(id, secret, at, "").await?;
        if let Ok(owner) = Owner::new(reply.text(1))
            && reply.word() != "corrupt"
        {
            self.0.forget(&owner, id, at.now).await;
        }
        match reply.word() {
            "removed" => Ok(RemoveOutcome::Removed),
            "missing" | "corrupt" => Ok(RemoveOutcome::Missing),
            "superseded" => Ok(RemoveOutcome::Superseded),
            _ => Err(Failure::BadReply("an unknown word").into()),
        }
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        self.0.list_of(owner, now).await
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.0.remove_all_of(owner, except, now).await
    }
}

impl Inner {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let key = self.keys.session(id);
        let mut command = Cmd::with_capacity(2, 7 + key.len());
        command.arg("HGETALL").arg(&key);
        let fields = match self.servers.call(&key, command).await {
            Err(failure) if failure.code() == Some("WRONGTYPE") => {
                warn_of_corruption(id, "type");
                return Ok(None);
            }
            reply => reply?,
        };
        let fields = fields.as_map_iter().ok_or(Failure::BadReply("no hash"))?;
        let mut fields = fields
            .map(|(field, value)| (text(field), text(value)))
            .peekable();
        if fields.peek().is_none() {
            return Ok(None);
        }
        match fields::read(fields) {
            Ok(record) => Ok((!record.is_expired(Instants::at(now))).then_some(record)),
            Err(Unreadable::Version(version)) => Err(StoreError::UnknownVersion { version }),
            Err(Unreadable::Corrupt(field)) => {
                warn_of_corruption(id, field);
                Ok(None)
            }
        }
    }

    async fn create_record(
        &self,
        id: SessionId,
        record: &Record,
        now: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        let left = life::time_to_live(record, now).to_string();
        let fields = fields::write(record);
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

    /// An `apply` that gives the session an owner, or moves the absolute deadline of one that has an owner (then without a
    /// time of sign-in): its index knows of it before and after.
    async fn apply_owned(
        &self,
        owner: &Owner,
        authenticated_at: Option<Timestamp>,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let announced = self.announce(owner, id, authenticated_at, at.now).await?;
        let index = match announced {
            Some(_) => Index::Indexed,
            None => Index::Revoked,
        };
        let reply = self.run_apply(id, secret, delta, at, index).await?;
        let applied = reply.applied()?;
        let Some(announced) = announced else {
            // A session that is being revoked, whose holder only wanted to change its limits.
            if authenticated_at.is_none() && applied == ApplyOutcome::Revoked {
                return Ok(ApplyOutcome::Missing);
            }
            return Ok(applied);
        };
        let ApplyOutcome::Applied(receipt) = applied else {
            self.withdraw(owner, id, &announced, at.now).await;
            return Ok(applied);
        };
        let deadline = receipt.absolute_deadline;
        let settled = self.settle(owner, id, &announced, deadline, at.now).await?;
        Ok(if settled {
            applied
        } else {
            ApplyOutcome::Revoked
        })
    }

    async fn run_apply(
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

    async fn run_remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
        owner: &str,
    ) -> Result<Reply, StoreError> {
        let times = [numbers::time(at.first_contact), numbers::time(at.now)].concat();
        let secret = secret.map_or(&[][..], |secret| secret.as_bytes());
        let arguments = [&times, secret, owner.as_bytes()];
        let key = self.keys.session(id);
        let reply = Reply::new(self.servers.run(&scripts::REMOVE, &key, &arguments).await?)?;
        reply.check_readable(id)?;
        Ok(reply)
    }

    /// Removes a record if it has this owner or none.
    pub(crate) async fn remove_of(
        &self,
        owner: &Owner,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
        let reply = self
            .run_remove(id, None, Instants::at(now), owner.as_str())
            .await?;
        match reply.word() {
            "removed" => Ok(Found::Removed),
            "missing" | "corrupt" => Ok(Found::Missing),
            "other_owner" => Ok(Found::OthersRecord),
            _ => Err(Failure::BadReply("an unknown word").into()),
        }
    }
}
