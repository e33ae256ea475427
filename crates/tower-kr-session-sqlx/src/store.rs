//! The store: each call is a statement or two, or one short transaction.

use std::{
    error::Error,
    fmt,
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use sqlx::{Pool, SqlStr, pool::PoolConnection};
use tokio::time::timeout;
use tower_kr_session::{
    Cursor, Owner, Page, SessionId, SessionStore, SessionSummary, StoreError, Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

use crate::{
    answers::{created, first, summaries},
    dialect::{Argument, Dialect},
    error::DatabaseFailure,
    health::{Failure, Health, Supervisor},
    kept::{Kept, Place},
    lease::{Held, Lease},
    names::Names,
    row::{self, Written},
    start::Start,
    statements::Statements,
    turns::Turns,
};

/// A transaction that the database undoes is run this often at most. On MariaDB with
/// `innodb_snapshot_isolation`, the default since 11.6, each wait for another process ends so, and
/// a session that many processes change may lose many times in a row.
const MOST_TRIES: u32 = 64;

/// Stores sessions in a table of a database. See [`PostgresStore`](crate::PostgresStore),
/// [`MysqlStore`](crate::MysqlStore) and [`SqliteStore`](crate::SqliteStore).
///
/// A clone is the same store. At start, call [`migrate`](Self::migrate), or [`check`](Self::check)
/// if you create the schema yourself. Call [`spawn_cleanup`](Self::spawn_cleanup) in at least one
/// process.
pub struct SqlStore<D: Dialect>(Arc<Shared<D>>);

struct Shared<D: Dialect> {
    pool: Pool<D>,
    health: Arc<Health>,
    supervisor: Supervisor,
    start: Start,
    settings: D::Settings,
    names: Names,
    statements: Statements,
    turns: Turns,
    /// There if the database takes one writer at a time, unless the pool has but one connection.
    kept: Option<Kept<D::Connection>>,
    /// Whether a pooler may run each statement on another connection of the server. Then none stays
    /// prepared, and even a single one needs a transaction around it.
    behind_pooler: bool,
}

impl<D: Dialect> SqlStore<D> {
    pub(crate) fn new(
        pool: Pool<D>,
        health: Arc<Health>,
        settings: D::Settings,
        names: Names,
        lock_timeout: Duration,
        behind_pooler: bool,
    ) -> Self {
        let kept = match D::SINGLE_WRITER {
            true => Kept::new(pool.options().get_max_connections()),
            false => None,
        };
        Self(Arc::new(Shared {
            pool,
            health,
            supervisor: Supervisor::default(),
            start: Start::default(),
            settings,
            statements: Statements::new::<D>(&names, lock_timeout),
            names,
            turns: Turns::default(),
            kept,
            behind_pooler,
        }))
    }

    /// Returns the store's pool of connections.
    ///
    /// An [`SqliteStore`](crate::SqliteStore) takes connections out of it and keeps them. They
    /// close with the store, or with the calls that come after the pool was closed.
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

    pub(crate) fn keeps_connections(&self) -> bool {
        self.0.kept.is_some()
    }

    pub(crate) fn health(&self) -> &Health {
        &self.0.health
    }

    pub(crate) fn start(&self) -> &Start {
        &self.0.start
    }

    /// Has the pool use the credentials of now for new connections.
    pub(crate) async fn renew(&self) -> Result<(), DatabaseFailure> {
        D::renew(&self.0.pool, &self.0.settings).await
    }

    /// Borrows a connection, also while the store isn't set up yet.
    pub(crate) async fn lease(&self) -> Result<Lease<'_, D>, DatabaseFailure> {
        let shared = &*self.0;
        let Some(kept) = &shared.kept else {
            let connection = self.acquire().await?;
            return Ok(self.lease_of(Held::Pooled(connection)));
        };
        let options = shared.pool.options();
        let lease = async { self.lease_at(kept.to_read().await).await };
        let in_time = timeout(options.get_acquire_timeout(), lease).await;
        in_time.unwrap_or_else(|_| {
            let most = options.get_max_connections();
            Err(DatabaseFailure::busy(most, shared.health.place()))
        })
    }

    /// Like [`lease`](Self::lease), but to write with.
    pub(crate) async fn writer(&self) -> Result<Lease<'_, D>, DatabaseFailure> {
        match &self.0.kept {
            Some(kept) => self.lease_at(kept.to_write().await).await,
            None => self.lease().await,
        }
    }

    async fn lease_at<'a>(
        &'a self,
        place: Place<'a, D::Connection>,
    ) -> Result<Lease<'a, D>, DatabaseFailure> {
        if self.0.pool.is_closed() {
            place.close();
        }
        let connection = match place.take() {
            Some(connection) => connection,
            None => self.acquire().await?.detach(),
        };
        Ok(self.lease_of(Held::Kept(connection, place)))
    }

    fn lease_of<'a>(&'a self, connection: Held<'a, D>) -> Lease<'a, D> {
        let shared = &*self.0;
        Lease::new(
            connection,
            &shared.pool,
            &shared.health,
            &shared.statements,
            shared.behind_pooler,
        )
    }

    async fn acquire(&self) -> Result<PoolConnection<D>, DatabaseFailure> {
        let shared = &*self.0;
        let settings = &shared.settings;
        shared
            .supervisor
            .watch(&shared.pool, &shared.health, settings);
        shared.health.check()?;
        let mut acquired = shared.health.guard(shared.pool.acquire()).await;
        if acquired.as_ref().is_err_and(Failure::is_refused_login) {
            self.renew().await?;
            acquired = shared.health.guard(shared.pool.acquire()).await;
        }
        acquired.map_err(|failure| shared.health.failure(&shared.pool, failure))
    }

    /// Begins a transaction that writes, once it is its turn.
    async fn begin(&self) -> Result<Lease<'_, D>, DatabaseFailure> {
        self.0.start.check()?;
        let mut lease = self.writer().await?;
        lease.begin().await?;
        Ok(lease)
    }

    /// Whether this is the current or the retired secret of a session.
    async fn is_held(&self, id: SessionId, secret: &SecretHash) -> Result<bool, DatabaseFailure> {
        let holder = [Argument::Id(Some(id)), row::secret(secret)];
        let held = self.fetch(&self.0.statements.held, &holder).await?;
        Ok(!held.is_empty())
    }

    /// Runs one statement that changes rows, with the store's own isolation and lock timeout.
    pub(crate) async fn write(
        &self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<u64, StoreError> {
        if !D::HAS_DEFAULTS {
            return Ok(self.execute(sql, arguments).await?);
        }
        again(|| async {
            let mut lease = self.begin().await?;
            let rows = lease.execute(sql, arguments).await;
            Ok(lease.end(rows, |_| true).await?)
        })
        .await
    }

    /// Runs one statement that changes rows, and returns how many.
    async fn execute(
        &self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<u64, DatabaseFailure> {
        let mut lease = self.lease_to_write().await?;
        let rows = lease.execute(sql, arguments).await;
        lease.end(rows, |_| true).await
    }

    /// Runs one statement, and returns its rows.
    async fn fetch(
        &self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<D::Row>, DatabaseFailure> {
        let mut lease = self.lease_for_statements().await?;
        let rows = lease.fetch(sql, arguments).await;
        lease.end(rows, |_| true).await
    }

    /// Borrows a connection for statements that each stand for themselves.
    pub(crate) async fn lease_for_statements(&self) -> Result<Lease<'_, D>, DatabaseFailure> {
        self.0.start.check()?;
        let mut lease = self.lease().await?;
        lease.begin_single().await?;
        Ok(lease)
    }

    /// Borrows a connection for one statement that writes, once it is its turn.
    pub(crate) async fn lease_to_write(&self) -> Result<Lease<'_, D>, DatabaseFailure> {
        self.0.start.check()?;
        let mut lease = self.writer().await?;
        lease.begin_single().await?;
        Ok(lease)
    }
}

/// Runs a transaction, and runs it again if the database has undone it because of another one.
async fn again<T, F>(transaction: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 1..MOST_TRIES {
        match transaction().await {
            Err(error) if is_undone(&error) => {}
            answer => return answer,
        }
    }
    transaction().await
}

fn is_undone(error: &StoreError) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<DatabaseFailure>())
        .is_some_and(|failure| failure.undone)
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
        let Some(owner) = &record.owner else {
            let arguments = row::arguments(id, &record, Written::ALL);
            return again(|| async {
                let inserted = self.execute(&self.0.statements.insert, &arguments).await;
                Ok(created(inserted.map(drop))?)
            })
            .await;
        };
        again(|| async {
            let mut lease = self.begin().await?;
            let created = self.create_owned(&mut lease, owner, id, &record).await;
            lease
                .end(created, |created| *created == CreateOutcome::Created)
                .await
        })
        .await
    }

    async fn apply(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let _token_turn = self.0.turns.with_token(id, secret).await;
        if delta.sign_in.is_none() {
            if let Some(applied) = self.apply_unlocked(id, secret, delta, at).await? {
                return Ok(applied);
            }
        } else if D::SINGLE_WRITER && !self.is_held(id, secret).await? {
            // Nobody waits to write behind a wrong secret.
            return Ok(ApplyOutcome::Missing);
        }
        again(|| async {
            let mut lease = self.begin().await?;
            let applied = self.apply_in(&mut lease, id, secret, delta, at).await;
            lease
                .end(applied, |applied| {
                    matches!(applied, ApplyOutcome::Applied(_))
                })
                .await
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
            return again(|| async {
                let mut lease = self.begin().await?;
                let removed = self.remove_any_in(&mut lease, id, at).await;
                lease.end(removed, |_| true).await
            })
            .await;
        };
        let _token_turn = self.0.turns.with_token(id, secret).await;
        if let Some(outcome) = self.remove_unlocked(id, secret, at).await? {
            return Ok(outcome);
        }
        again(|| async {
            let mut lease = self.begin().await?;
            let removed = self.remove_in(&mut lease, id, secret, at).await;
            lease
                .end(removed, |removed| *removed == RemoveOutcome::Removed)
                .await
        })
        .await
    }

    async fn list(&self, owner: &Owner, now: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        let rows = self
            .fetch(&self.0.statements.list, &[row::owner(owner)])
            .await?;
        summaries::<D>(&rows, now)
    }

    async fn list_up_to(
        &self,
        owner: &Owner,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let alive = Argument::Integer(Some(now.as_unix_millis()));
        let most = Argument::Integer(Some(most));
        let arguments = [row::owner(owner), alive, alive, most];
        let rows = self
            .fetch(&self.0.statements.list_up_to, &arguments)
            .await?;
        summaries::<D>(&rows, now)
    }

    async fn remove_owned(
        &self,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        again(|| async {
            let mut lease = self.begin().await?;
            let removed = self.remove_owned_in(&mut lease, owner, except, now).await;
            lease.end(removed, |_| true).await
        })
        .await
    }

    /// The cursor is the last id of the page: ids are in the primary key's index.
    async fn page(
        &self,
        after: Option<&Cursor>,
        most: usize,
        now: Timestamp,
    ) -> Result<Page, StoreError> {
        let after = match after {
            Some(cursor) => cursor.session_id()?,
            None => SessionId::from_bytes([0; 16]),
        };
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let now_argument = Argument::Integer(Some(now.as_unix_millis()));
        let arguments = [
            Argument::Id(Some(after)),
            now_argument,
            now_argument,
            Argument::Integer(Some(limit)),
        ];
        let rows = self.fetch(&self.0.statements.page, &arguments).await?;
        let last = rows.last().filter(|_| rows.len() >= most);
        let last = last.map(|row| D::id(row, 0)).transpose();
        let next = last.map_err(DatabaseFailure::from)?.map(Cursor::from);
        Ok(Page::new(summaries::<D>(&rows, now)?, next))
    }

    async fn count(&self, now: Timestamp) -> Result<Option<u64>, StoreError> {
        let now = Argument::Integer(Some(now.as_unix_millis()));
        let rows = self.fetch(&self.0.statements.count, &[now, now]).await?;
        let count = rows.first().map(|row| D::integer(row, 0)).transpose();
        let count = count.map_err(DatabaseFailure::from)?.flatten();
        Ok(count.map(i64::cast_unsigned))
    }
}

/// A store that goes with the last of its clones.
pub(crate) struct WeakStore<D: Dialect>(Weak<Shared<D>>);

impl<D: Dialect> SqlStore<D> {
    pub(crate) fn downgrade(&self) -> WeakStore<D> {
        WeakStore(Arc::downgrade(&self.0))
    }
}

impl<D: Dialect> WeakStore<D> {
    pub(crate) fn upgrade(&self) -> Option<SqlStore<D>> {
        self.0.upgrade().map(SqlStore)
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
            .finish_non_exhaustive()
    }
}
