//! Borrows a connection of the pool for one call.

use sqlx::{SqlStr, pool::PoolConnection};

use crate::{
    dialect::{Argument, Dialect},
    error::DatabaseFailure,
    statements::{Statements, checked},
};

/// A connection of the pool, and its state.
///
/// A call can be cut off at any point: its future is dropped. If that happens while a statement is
/// under way or a transaction is open, or if the network fails, the state of the connection is
/// unknown. It is then closed, which rolls back its transaction. Back in the pool, it would put its
/// next user into somebody else's transaction.
pub(crate) struct Lease<'a, D: Dialect> {
    connection: PoolConnection<D>,
    statements: &'a Statements,
    behind_pooler: bool,
    busy: bool,
    in_transaction: bool,
}

impl<'a, D: Dialect> Lease<'a, D> {
    pub(crate) const fn new(
        connection: PoolConnection<D>,
        statements: &'a Statements,
        behind_pooler: bool,
    ) -> Self {
        Self {
            connection,
            statements,
            behind_pooler,
            busy: false,
            in_transaction: false,
        }
    }

    /// Runs one statement.
    pub(crate) async fn fetch(
        &mut self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<D::Row>, DatabaseFailure> {
        let arguments = D::arguments(arguments)?;
        self.busy = true;
        let persistent = !self.behind_pooler;
        let rows = D::fetch(&mut self.connection, sql.clone(), arguments, persistent).await;
        self.settle(rows)
    }

    /// Runs the last statement of a transaction. The commit goes along with it if the dialect can.
    pub(crate) async fn fetch_last(
        &mut self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<D::Row>, DatabaseFailure> {
        if !D::COMMIT_GOES_ALONG {
            return self.fetch(sql, arguments).await;
        }
        let commit = self.statements.commit.as_str();
        let joined = checked(format!("{}; {commit}", sql.as_str()));
        let rows = self.fetch(&joined, arguments).await?;
        self.in_transaction = false;
        Ok(rows)
    }

    /// Runs statements without arguments.
    pub(crate) async fn run(&mut self, sql: &SqlStr) -> Result<(), DatabaseFailure> {
        self.busy = true;
        let done = D::run(&mut self.connection, sql.clone()).await;
        self.settle(done)
    }

    pub(crate) async fn begin(&mut self) -> Result<(), DatabaseFailure> {
        self.in_transaction = true;
        self.run(&self.statements.begin).await
    }

    /// Begins a transaction around a single statement if a pooler needs that: without it, the
    /// pooler may prepare the statement on one server connection and execute it on another.
    pub(crate) async fn begin_single(&mut self) -> Result<(), DatabaseFailure> {
        if self.behind_pooler {
            self.begin().await?;
        }
        Ok(())
    }

    /// Ends the transaction, if there is one: commits if `keep` says so of the answer, else rolls
    /// back.
    ///
    /// # Errors
    /// That of the answer, or if it is unknown whether the commit was done.
    pub(crate) async fn end<T, E: From<DatabaseFailure>>(
        mut self,
        answer: Result<T, E>,
        keep: impl FnOnce(&T) -> bool,
    ) -> Result<T, E> {
        if self.in_transaction && !self.busy {
            if answer.as_ref().is_ok_and(keep) {
                self.run(&self.statements.commit).await?;
                self.in_transaction = false;
            } else {
                // If this fails, the connection is closed instead. The answer is the same.
                self.in_transaction = self.run(&self.statements.rollback).await.is_err();
            }
        }
        answer
    }

    /// Notes the end of a statement. An error that the database itself returned leaves the
    /// connection usable.
    fn settle<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, DatabaseFailure> {
        self.busy = !matches!(done, Ok(_) | Err(sqlx::Error::Database(_)));
        Ok(done?)
    }
}

impl<D: Dialect> Drop for Lease<'_, D> {
    fn drop(&mut self) {
        if self.busy || self.in_transaction {
            self.connection.close_on_drop();
        }
    }
}
