//! The store: each call of the contract is one statement or one short transaction.

use std::{fmt, sync::Arc, time::Duration};

use sqlx::{Pool, SqlStr};
use tower_kr_session::{
    Applied, Created, DecodeError, Delta, Instants, Owner, Record, Removed, SecretHash, SessionId,
    SessionStore, SessionSummary, Standing, StoreError, Timestamp,
};

use crate::{
    dialect::{Argument, Dialect},
    error::DatabaseFailure,
    lease::Lease,
    names::Names,
    row,
    statements::Statements,
    turns::Turns,
};

/// Sessions in a table of a database; see [`PostgresStore`](crate::PostgresStore) and [`SqliteStore`](crate::SqliteStore).
///
/// A clone is the same store. Call [`migrate`](Self::migrate) (or [`check`](Self::check), if the schema is somebody else's
/// work) at start, and [`spawn_cleanup`](Self::spawn_cleanup) in at least one process.
pub struct SqlStore<D: Dialect>(Arc<Shared<D>>);

struct Shared<D: Dialect> {
    pool: Pool<D>,
    names: Names,
    statements: Statements,
    turns: Turns,
    /// Whether each statement may run on another connection of the server: then none is kept prepared, and even a single one
    /// needs a transaction around it.
    behind_pooler: bool,
}

impl<D: Dialect> SqlStore<D> {
    pub(crate) fn new(
        pool: Pool<D>,
        names: Names,
        lock_timeout: Duration,
        behind_pooler: bool,
    ) -> Self {
        Self(Arc::new(Shared {
            pool,
            statements: Statements::new::<D>(&names, lock_timeout),
            names,
            turns: Turns::new(D::SINGLE_WRITER),
            behind_pooler,
        }))
    }

    /// The pool of connections that the store works on.
    #[must_use]
    pub fn pool(&self) -> &Pool<D> {
        &self.0.pool
    }

    pub(crate) fn names(&self) -> &Names {
        &self.0.names
    }

    pub(crate) fn statements(&self) -> &Statements {
        &self.0.statements
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    pub(crate) async fn lease(&self) -> Result<Lease<'_, D>, DatabaseFailure> {
        let connection = self.0.pool.acquire().await?;
        Ok(Lease::new(
            connection,
            &self.0.statements,
            self.0.behind_pooler,
        ))
    }

    async fn begin(&self) -> Result<Lease<'_, D>, DatabaseFailure> {
        let mut lease = self.lease().await?;
        lease.begin().await?;
        Ok(lease)
    }

    /// One statement that is a call by itself.
    pub(crate) async fn fetch(
        &self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<D::Row>, DatabaseFailure> {
        let mut lease = self.lease().await?;
        lease.begin_single().await?;
        let rows = lease.fetch(sql, arguments).await;
        lease.end(rows, |_| true).await
    }

    async fn apply_in(
        &self,
        lease: &mut Lease<'_, D>,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<Applied, StoreError> {
        let sql = &self.0.statements;
        if let (Some(sign_in), Some(share)) = (&delta.sign_in, &sql.share_owner) {
            lease
                .fetch(share, &[owner_argument(&sign_in.owner)])
                .await?;
        }
        // What leaves the values alone doesn't read them either: they may be large.
        let values = delta.clear || !delta.changes().is_empty() || delta.operation.is_some();
        let (lock, update, read) = if values {
            (&sql.lock, &sql.update, row::read::<D> as Read<D>)
        } else {
            (
                &sql.lock_head,
                &sql.update_head,
                row::read_head::<D> as Read<D>,
            )
        };
        let rows = lease.fetch(lock, &[Argument::Id(Some(id))]).await?;
        let Some(mut record) = first(id, &rows, read)? else {
            return Ok(Applied::Missing);
        };
        // A stranger must not learn of a revocation.
        if let Some(sign_in) = &delta.sign_in
            && record.standing(secret, at) == Standing::Admitted
            && self
                .is_revoked(lease, &sign_in.owner, sign_in.authenticated_at)
                .await?
        {
            return Ok(Applied::Revoked);
        }
        let applied = record.apply(secret, delta, at);
        if matches!(applied, Applied::Applied(_)) {
            let mut arguments = row::head(id, &record);
            if values {
                arguments.push(row::values(&record));
            }
            lease.fetch_last(update, &arguments).await?;
        }
        Ok(applied)
    }

    async fn create_owned(
        &self,
        lease: &mut Lease<'_, D>,
        owner: &Owner,
        id: SessionId,
        record: &Record,
    ) -> Result<Created, StoreError> {
        if let Some(share) = &self.0.statements.share_owner {
            lease.fetch(share, &[owner_argument(owner)]).await?;
        }
        let authenticated_at = record.authenticated_at.unwrap_or(record.created_at);
        if self.is_revoked(lease, owner, authenticated_at).await? {
            return Ok(Created::Revoked);
        }
        let rows = lease
            .fetch_last(&self.0.statements.insert, &whole(id, record))
            .await?;
        Ok(created(&rows))
    }

    async fn remove_in(
        &self,
        lease: &mut Lease<'_, D>,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<Removed, StoreError> {
        let sql = &self.0.statements;
        let id_argument = [Argument::Id(Some(id))];
        if let Some(secret) = secret {
            let rows = lease.fetch(&sql.lock_head, &id_argument).await?;
            let record = first(id, &rows, row::read_head::<D>)?;
            match record.map(|record| record.standing(secret, at)) {
                Some(Standing::Admitted) => {}
                Some(Standing::Superseded) => return Ok(Removed::Superseded),
                Some(Standing::Missing) | None => return Ok(Removed::Missing),
            }
        }
        let rows = lease.fetch_last(&sql.delete, &id_argument).await?;
        let alive = rows.iter().any(|row| was_alive::<D>(row, at.now));
        Ok(if secret.is_some() || alive {
            Removed::Removed
        } else {
            Removed::Missing
        })
    }

    // No sign-in escapes: it shares the owner from before it looks for a revocation until its commit is visible, and a
    // revocation locks the owner from before it looks for sessions until its own is. So of the two one is over before the
    // other looks, and (READ COMMITTED) each look is a statement of its own, which sees all that was committed before it.
    //
    // No deadlock: the owner is always locked before sessions, and nobody locks two owners. A revocation is the only one that
    // waits for several sessions, and whoever holds one of those waits for nobody.
    async fn remove_owned_in(
        &self,
        lease: &mut Lease<'_, D>,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = &self.0.statements;
        let owner = owner_argument(owner);
        if let Some(lock) = &sql.lock_owner {
            lease.fetch(lock, &[owner]).await?;
        }
        let not_before = Argument::Integer(Some(now.as_unix_millis()));
        lease.fetch(&sql.revoke, &[owner, not_before]).await?;
        let rows = lease
            .fetch_last(&sql.delete_owned, &[owner, Argument::Id(except)])
            .await?;
        let alive = rows.iter().filter(|row| was_alive::<D>(row, now));
        Ok(alive.count() as u64)
    }

    async fn is_revoked(
        &self,
        lease: &mut Lease<'_, D>,
        owner: &Owner,
        authenticated_at: Timestamp,
    ) -> Result<bool, DatabaseFailure> {
        let rows = lease
            .fetch(&self.0.statements.revoked_at, &[owner_argument(owner)])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(false);
        };
        let not_before = D::integer(row, 0)?;
        Ok(not_before.is_some_and(|not_before| authenticated_at.as_unix_millis() <= not_before))
    }
}

impl<D: Dialect> SessionStore for SqlStore<D> {
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let rows = self
            .fetch(&self.0.statements.load, &[Argument::Id(Some(id))])
            .await?;
        let record = first(id, &rows, row::read::<D>)?;
        Ok(record.filter(|record| !record.is_expired(Instants::at(now))))
    }

    async fn create(
        &self,
        id: SessionId,
        record: Record,
        _: Timestamp,
    ) -> Result<Created, StoreError> {
        let _turn = self.0.turns.to_write().await;
        let Some(owner) = &record.owner else {
            let arguments = whole(id, &record);
            let rows = self.fetch(&self.0.statements.insert, &arguments).await?;
            return Ok(created(&rows));
        };
        let mut lease = self.begin().await?;
        let created = self.create_owned(&mut lease, owner, id, &record).await;
        lease
            .end(created, |created| *created == Created::Created)
            .await
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: Delta,
        at: Instants,
    ) -> Result<Applied, StoreError> {
        let _turn = self.0.turns.on(id).await;
        let mut lease = self.begin().await?;
        let applied = self.apply_in(&mut lease, id, secret, &delta, at).await;
        lease
            .end(applied, |applied| matches!(applied, Applied::Applied(_)))
            .await
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<Removed, StoreError> {
        let _turn = self.0.turns.on(id).await;
        let mut lease = self.begin().await?;
        let removed = self.remove_in(&mut lease, id, secret, at).await;
        lease
            .end(removed, |removed| {
                *removed == Removed::Removed || secret.is_none()
            })
            .await
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let rows = self
            .fetch(&self.0.statements.list, &[owner_argument(owner)])
            .await?;
        let mut sessions = Vec::with_capacity(rows.len());
        for row in &rows {
            let id = D::id(row, 0).map_err(DatabaseFailure::from)?;
            if let Some(record) = readable(id, row::read_head::<D>(row))?
                && !record.is_expired(Instants::at(now))
            {
                sessions.push(SessionSummary::new(id, &record, now));
            }
        }
        Ok(sessions)
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let _turn = self.0.turns.to_write().await;
        let mut lease = self.begin().await?;
        let removed = self.remove_owned_in(&mut lease, owner, except, now).await;
        lease.end(removed, |_| true).await
    }
}

impl<D: Dialect> Clone for SqlStore<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Dialect> fmt::Debug for SqlStore<D> {
    /// Shows nothing of the connection's options: they hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &D::NAME)
            .field("table", &format_args!("{}", self.0.names))
            .field("connections", &self.0.pool.size())
            .finish_non_exhaustive()
    }
}

type Read<D> = fn(&<D as sqlx::Database>::Row) -> Result<Record, DecodeError>;

/// The record in the only row, if there is one that can be read.
fn first<R>(
    id: SessionId,
    rows: &[R],
    read: impl FnOnce(&R) -> Result<Record, DecodeError>,
) -> Result<Option<Record>, StoreError> {
    match rows.first() {
        Some(row) => readable(id, read(row)),
        None => Ok(None),
    }
}

fn readable(
    id: SessionId,
    record: Result<Record, DecodeError>,
) -> Result<Option<Record>, StoreError> {
    match record {
        Ok(record) => Ok(Some(record)),
        Err(DecodeError::UnknownVersion { version }) => Err(StoreError::UnknownVersion { version }),
        Err(_) => {
            tracing::warn!(session = %id, "corrupt session row; it is kept and read as missing");
            Ok(None)
        }
    }
}

/// All arguments of an insertion.
fn whole(id: SessionId, record: &Record) -> Vec<Argument<'_>> {
    let mut arguments = row::head(id, record);
    arguments.push(row::values(record));
    arguments
}

fn created<R>(rows: &[R]) -> Created {
    if rows.is_empty() {
        Created::Exists
    } else {
        Created::Created
    }
}

fn owner_argument(owner: &Owner) -> Argument<'_> {
    Argument::Bytes(Some(owner.as_str().as_bytes()))
}

/// Of a deleted row with both deadlines.
fn was_alive<D: Dialect>(row: &D::Row, now: Timestamp) -> bool {
    let is_ahead = |column| {
        D::integer(row, column)
            .ok()
            .flatten()
            .is_some_and(|deadline| now.as_unix_millis() < deadline)
    };
    is_ahead(0) && is_ahead(1)
}
