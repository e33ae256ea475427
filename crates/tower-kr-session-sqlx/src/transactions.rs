//! The statements of each transaction, and the order of its locks.
//!
//! No sign-in escapes a revocation. A sign-in shares the owner's lock from before it reads the
//! revocations until its commit is visible. A revocation holds the lock alone from before it reads
//! the sessions until its commit is visible. So one of the two is over before the other reads.
//! Under READ COMMITTED each statement sees everything that was committed before it. MySQL's lock
//! is the owner's row of the revocations, which sign-ins don't share: they take turns.
//!
//! There is no deadlock. An owner is always locked before a session, and no transaction locks two
//! owners. Only a revocation waits for several sessions, and whoever holds one of those waits for
//! nobody. Where a database sees a deadlock nevertheless, it undoes one of the transactions, and
//! that one runs again.
//!
//! SQLite gives the whole database to one writing transaction, so nothing else is locked there.

use tower_kr_session::{
    Owner, SessionId, StoreError, Timestamp,
    store::{
        ApplyOutcome, CreateOutcome, DecodeError, Delta, Instants, Record, RemoveOutcome,
        SecretHash, TokenState,
    },
};

use crate::{
    answers::{created, first, removed},
    dialect::{Argument, Dialect},
    error::DatabaseFailure,
    lease::Lease,
    row::{self, Written},
    store::SqlStore,
};

/// Whether a delta changes values. They may be large, so they aren't read or written if not.
pub(crate) fn edits_values(delta: &Delta) -> bool {
    delta.clear || !delta.changes().is_empty() || delta.operation.is_some()
}

type Read<D> = fn(&<D as sqlx::Database>::Row) -> Result<Record, DecodeError>;

impl<D: Dialect> SqlStore<D> {
    pub(crate) async fn apply_in(
        &self,
        lease: &mut Lease<'_, D>,
        id: SessionId,
        secret: &SecretHash,
        delta: &Delta,
        at: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        let sql = self.statements();
        if let (Some(sign_in), Some(share)) = (&delta.sign_in, &sql.share_owner) {
            lease.execute(share, &[row::owner(&sign_in.owner)]).await?;
        }
        let values = edits_values(delta);
        let (lock, read, update, written) = if values {
            (
                &sql.lock,
                row::read::<D> as Read<D>,
                &sql.update,
                Written::ALL,
            )
        } else {
            (
                &sql.lock_head,
                row::read_head::<D> as Read<D>,
                &sql.update_head,
                Written::HEAD,
            )
        };
        let holder = [Argument::Id(Some(id)), row::secret(secret)];
        let rows = lease.fetch(lock, &holder).await?;
        let Some(mut record) = first(id, &rows, read)? else {
            return Ok(ApplyOutcome::Missing);
        };
        // Only the holder of the token learns of a revocation.
        if let Some(sign_in) = &delta.sign_in
            && record.token_state(secret, at) == TokenState::Current
            && self
                .is_revoked(lease, &sign_in.owner, sign_in.authenticated_at)
                .await?
        {
            return Ok(ApplyOutcome::Revoked);
        }
        let applied = record.apply(secret, delta, at);
        if matches!(applied, ApplyOutcome::Applied(_)) {
            let arguments = row::arguments(id, &record, written);
            lease.execute_last(update, &arguments).await?;
        }
        Ok(applied)
    }

    pub(crate) async fn create_owned(
        &self,
        lease: &mut Lease<'_, D>,
        owner: &Owner,
        id: SessionId,
        record: &Record,
    ) -> Result<CreateOutcome, StoreError> {
        if let Some(share) = &self.statements().share_owner {
            lease.execute(share, &[row::owner(owner)]).await?;
        }
        let authenticated_at = record.authenticated_at.unwrap_or(record.created_at);
        if self.is_revoked(lease, owner, authenticated_at).await? {
            let rows = lease
                .fetch(&self.statements().exists, &[Argument::Id(Some(id))])
                .await?;
            return Ok(if rows.is_empty() {
                CreateOutcome::Revoked
            } else {
                CreateOutcome::Exists
            });
        }
        let arguments = row::arguments(id, record, Written::ALL);
        let insert = &self.statements().insert;
        let inserted = lease.execute_last(insert, &arguments).await;
        Ok(created(inserted)?)
    }

    pub(crate) async fn remove_in(
        &self,
        lease: &mut Lease<'_, D>,
        id: SessionId,
        secret: &SecretHash,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        let sql = self.statements();
        let id_argument = Argument::Id(Some(id));
        let rows = lease
            .fetch(&sql.lock_head, &[id_argument, row::secret(secret)])
            .await?;
        let Some(record) = first(id, &rows, row::read_head::<D>)? else {
            return Ok(RemoveOutcome::Missing);
        };
        let removal = record.removal(Some(secret), at);
        if removal.deletes {
            lease.execute_last(&sql.delete, &[id_argument]).await?;
        }
        Ok(removal.outcome)
    }

    /// Removes a session without a look at its secret.
    pub(crate) async fn remove_any_in(
        &self,
        lease: &mut Lease<'_, D>,
        id: SessionId,
        at: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        let sql = self.statements();
        let id = [Argument::Id(Some(id))];
        let rows = lease.fetch(&sql.lock_any, &id).await?;
        let Some(row) = rows.first() else {
            return Ok(RemoveOutcome::Missing);
        };
        lease.execute_last(&sql.delete, &id).await?;
        Ok(removed::<D>(row, at))
    }

    pub(crate) async fn remove_owned_in(
        &self,
        lease: &mut Lease<'_, D>,
        owner: &Owner,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = self.statements();
        let owner = row::owner(owner);
        if let Some(lock) = &sql.lock_owner {
            lease.execute(lock, &[owner]).await?;
        }
        let not_before = Argument::Integer(Some(now.as_unix_millis()));
        lease.execute(&sql.revoke, &[owner, not_before]).await?;
        let owned = [owner, Argument::Id(except)];
        let rows = lease.fetch(&sql.lock_owned, &owned).await?;
        lease.execute_last(&sql.delete_owned, &owned).await?;
        let at = Instants::at(now);
        let alive = rows
            .iter()
            .filter(|row| removed::<D>(row, at) == RemoveOutcome::Removed);
        Ok(alive.count() as u64)
    }

    async fn is_revoked(
        &self,
        lease: &mut Lease<'_, D>,
        owner: &Owner,
        authenticated_at: Timestamp,
    ) -> Result<bool, DatabaseFailure> {
        let rows = lease
            .fetch(&self.statements().revoked_at, &[row::owner(owner)])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(false);
        };
        let not_before = D::integer(row, 0)?;
        Ok(not_before.is_some_and(|not_before| authenticated_at.as_unix_millis() <= not_before))
    }
}
