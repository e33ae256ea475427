//! Changes in one statement, without a lock: it writes what was made of a record that was read
//! before, if the row still has the revision of that record.
//!
//! No such statement waits for a lock. If somebody else has the row, or was faster, the transaction
//! with its lock decides: a session that many change at once neither starves nor spins.

use sqlx::SqlStr;
use tower_kr_session::{
    SessionId, StoreError,
    store::{ApplyOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

use crate::{
    answers::first,
    dialect::{Argument, Dialect},
    error::DatabaseFailure,
    lease::Lease,
    row::{self, Written},
    store::SqlStore,
    transactions::edits_values,
};

impl<D: Dialect> SqlStore<D> {
    /// Applies a delta to the record as the request has seen it, or else as it is now. Returns
    /// `None` if the lock has to decide.
    pub(crate) async fn apply_unlocked(
        &self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<Option<ApplyOutcome>, StoreError> {
        let mut borrowed = Borrowed::new(self);
        let applied = borrowed.apply(id, secret, delta, at).await;
        borrowed.end(applied).await
    }

    /// Removes the record of this secret. Returns `None` if the lock has to decide.
    pub(crate) async fn remove_unlocked(
        &self,
        id: SessionId,
        secret: &SecretHash,
        at: Instants,
    ) -> Result<Option<RemoveOutcome>, StoreError> {
        let mut borrowed = Borrowed::new(self);
        let removed = borrowed.remove(id, secret, at).await;
        borrowed.end(removed).await
    }
}

/// A store, and the connection for the statements of one call: borrowed for the first of them.
struct Borrowed<'a, D: Dialect> {
    store: &'a SqlStore<D>,
    lease: Option<Lease<'a, D>>,
}

impl<'a, D: Dialect> Borrowed<'a, D> {
    const fn new(store: &'a SqlStore<D>) -> Self {
        Self { store, lease: None }
    }

    async fn end<T, E: From<DatabaseFailure>>(&mut self, answer: Result<T, E>) -> Result<T, E> {
        match self.lease.take() {
            Some(lease) => lease.end(answer, |_| true).await,
            None => answer,
        }
    }

    async fn lease(&mut self) -> Result<&mut Lease<'a, D>, DatabaseFailure> {
        let lease = match self.lease.take() {
            Some(lease) => lease,
            None => self.store.lease_for_statements().await?,
        };
        Ok(self.lease.insert(lease))
    }

    async fn apply(
        &mut self,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<Option<ApplyOutcome>, StoreError> {
        let values = edits_values(delta);
        let seen = match &delta.seen {
            Some(record) => Some(Record::clone(record)),
            None => self.look(id, secret, values).await?,
        };
        let Some(mut record) = seen else {
            return Ok(Some(ApplyOutcome::Missing));
        };
        let slot = row::slot_of(&record);
        let applied = record.apply(secret, delta, at);
        if !matches!(applied, ApplyOutcome::Applied(_)) {
            // What the request has seen may be out of date by now.
            return Ok(delta.seen.is_none().then_some(applied));
        }
        // Only a sign-in, which never comes here, changes the owner.
        let written = Written {
            indexed: row::slot_of(&record) != slot,
            values,
        };
        let mut arguments = row::arguments(id, &record, written);
        arguments.push(row::revision(&record));
        let replace = self.store.statements().replace(written);
        let replaced = self.write(replace, &arguments).await?;
        Ok(replaced.then_some(applied))
    }

    async fn remove(
        &mut self,
        id: SessionId,
        secret: &SecretHash,
        at: Instants,
    ) -> Result<Option<RemoveOutcome>, StoreError> {
        let Some(record) = self.look(id, secret, false).await? else {
            return Ok(Some(RemoveOutcome::Missing));
        };
        let removal = record.removal(Some(secret), at);
        if !removal.deletes {
            return Ok(Some(removal.outcome));
        }
        let arguments = [Argument::Id(Some(id)), row::revision(&record)];
        let delete = &self.store.statements().delete_unchanged;
        let deleted = self.write(delete, &arguments).await?;
        Ok(deleted.then_some(removal.outcome))
    }

    /// Reads the record of this secret.
    async fn look(
        &mut self,
        id: SessionId,
        secret: &SecretHash,
        values: bool,
    ) -> Result<Option<Record>, StoreError> {
        let sql = self.store.statements();
        let lease = self.lease().await?;
        let holder = [Argument::Id(Some(id)), row::secret(secret)];
        if values {
            let rows = lease.fetch(&sql.look, &holder).await?;
            first(id, &rows, row::read::<D>)
        } else {
            let rows = lease.fetch(&sql.look_head, &holder).await?;
            first(id, &rows, row::read_head::<D>)
        }
    }

    /// Runs a statement that writes one row. Returns whether it found its row.
    async fn write(
        &mut self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<bool, DatabaseFailure> {
        if self.store.keeps_connections() {
            // Who waits for their turn keeps no connection from those who read.
            self.end(Ok::<_, DatabaseFailure>(())).await?;
            self.lease = Some(self.store.lease_to_write().await?);
        }
        match self.lease().await?.execute(sql, arguments).await {
            Ok(rows) => Ok(rows > 0),
            // The database did nothing.
            Err(failure) if failure.undone || failure.locked => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}
