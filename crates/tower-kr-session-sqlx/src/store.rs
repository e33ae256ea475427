//! The store: each call is one statement or one short transaction.

use std::{fmt, sync::Arc, time::Duration};

use sqlx::{Pool, SqlStr};
use tower_kr_session::{
    Owner, SessionId, SessionStore, SessionSummary, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

use crate::{
    answers::{created, first, readable, removed},
    dialect::{Argument, Dialect},
    error::DatabaseFailure,
    lease::Lease,
    names::Names,
    row,
    statements::Statements,
    turns::{Turn, Turns},
};

/// Stores sessions in a table of a database. See [`PostgresStore`](crate::PostgresStore) and
/// [`SqliteStore`](crate::SqliteStore).
///
/// A clone is the same store. At start, call [`migrate`](Self::migrate), or [`check`](Self::check)
/// if you create the schema yourself. Call [`spawn_cleanup`](Self::spawn_cleanup) in at least one
/// process.
pub struct SqlStore<D: Dialect>(Arc<Shared<D>>);

struct Shared<D: Dialect> {
    pool: Pool<D>,
    names: Names,
    statements: Statements,
    turns: Turns,
    /// Whether a pooler may run each statement on another connection of the server. Then none stays
    /// prepared, and even a single one needs a transaction around it.
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

    /// Returns the store's pool of connections.
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

    /// Waits for the turn to change this session. Returns `None` if the secret is wrong: where all
    /// writers share one queue, it is checked first, so that a stranger takes nobody's place.
    async fn turn(
        &self,
        id: SessionId,
        secret: &SecretHash,
    ) -> Result<Option<Turn<'_>>, DatabaseFailure> {
        match &self.0.turns {
            Turns::Token(tokens) => Ok(Some(Turn::Token(tokens.turn(id, secret).await))),
            Turns::All(writers) => {
                if let Ok(turn) = writers.try_lock() {
                    return Ok(Some(Turn::All(turn)));
                }
                // A reader waits for no writer.
                let arguments = [Argument::Id(Some(id)), row::secret(secret)];
                let held = self.fetch(&self.0.statements.held, &arguments).await?;
                Ok(match held.is_empty() {
                    true => None,
                    false => Some(Turn::All(writers.lock().await)),
                })
            }
        }
    }

    /// Runs one statement that writes, with the store's own isolation and lock timeout.
    pub(crate) async fn write(
        &self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<D::Row>, DatabaseFailure> {
        if !D::HAS_DEFAULTS {
            return self.fetch(sql, arguments).await;
        }
        let mut lease = self.begin().await?;
        let rows = lease.fetch_last(sql, arguments).await;
        lease.end(rows, |_| true).await
    }

    /// Runs one statement.
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
    ) -> Result<CreateOutcome, StoreError> {
        let _turn = self.0.turns.to_write().await;
        let Some(owner) = &record.owner else {
            let arguments = row::whole(id, &record);
            let rows = self.fetch(&self.0.statements.insert, &arguments).await?;
            return Ok(created(&rows));
        };
        let mut lease = self.begin().await?;
        let created = self.create_owned(&mut lease, owner, id, &record).await;
        lease
            .end(created, |created| *created == CreateOutcome::Created)
            .await
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let Some(_turn) = self.turn(id, secret).await? else {
            return Ok(ApplyOutcome::Missing);
        };
        let mut lease = self.begin().await?;
        let applied = self.apply_in(&mut lease, id, secret, &delta, at).await;
        lease
            .end(applied, |applied| {
                matches!(applied, ApplyOutcome::Applied(_))
            })
            .await
    }

    async fn remove(
        &self,
        id: SessionId,
        secret: Option<&SecretHash>,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        let Some(secret) = secret else {
            let _turn = self.0.turns.to_write().await;
            let id = [Argument::Id(Some(id))];
            let rows = self.write(&self.0.statements.delete, &id).await?;
            let removed = rows.first().map(|row| removed::<D>(row, at));
            return Ok(removed.unwrap_or(RemoveOutcome::Missing));
        };
        let Some(_turn) = self.turn(id, secret).await? else {
            return Ok(RemoveOutcome::Missing);
        };
        let mut lease = self.begin().await?;
        let removed = self.remove_in(&mut lease, id, secret, at).await;
        lease
            .end(removed, |removed| *removed == RemoveOutcome::Removed)
            .await
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let rows = self
            .fetch(&self.0.statements.list, &[row::owner(owner)])
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
    /// Shows nothing of the connection options, which hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &D::NAME)
            .field("table", &format_args!("{}", self.0.names))
            .field("connections", &self.0.pool.size())
            .finish_non_exhaustive()
    }
}
