//! Borrows a connection for one call.

use std::future::Future;

use sqlx::{Pool, SqlStr, pool::PoolConnection};

use crate::{
    dialect::{Argument, Dialect},
    error::DatabaseFailure,
    health::{Health, give_back},
    kept::Place,
    names::checked,
    statements::Statements,
};

/// A connection, and its state.
///
/// A call can be cut off at any point: its future is dropped. If that happens while a statement is
/// under way or a transaction is open, or if the network fails, the state of the connection is
/// unknown. It is then closed, which rolls back its transaction. Given back, it would put its
/// next user into somebody else's transaction.
pub(crate) struct Lease<'a, D: Dialect> {
    /// There until it is dropped.
    connection: Option<Held<'a, D>>,
    pool: &'a Pool<D>,
    health: &'a Health,
    statements: &'a Statements,
    behind_pooler: bool,
    busy: bool,
    in_transaction: bool,
}

/// Where a connection comes from, and goes to afterwards.
pub(crate) enum Held<'a, D: Dialect> {
    Pooled(PoolConnection<D>),
    Kept(D::Connection, Place<'a, D::Connection>),
}

impl<'a, D: Dialect> Lease<'a, D> {
    pub(crate) const fn new(
        connection: Held<'a, D>,
        pool: &'a Pool<D>,
        health: &'a Health,
        statements: &'a Statements,
        behind_pooler: bool,
    ) -> Self {
        Self {
            connection: Some(connection),
            pool,
            health,
            statements,
            behind_pooler,
            busy: false,
            in_transaction: false,
        }
    }

    /// Runs one statement, and returns its rows.
    pub(crate) async fn fetch(
        &mut self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<D::Row>, DatabaseFailure> {
        let arguments = D::arguments(arguments)?;
        let persistent = !self.behind_pooler;
        self.call(|connection| D::fetch(connection, sql.clone(), arguments, persistent))
            .await
    }

    /// Runs one statement, and returns how many rows it has changed.
    pub(crate) async fn execute(
        &mut self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<u64, DatabaseFailure> {
        let arguments = D::arguments(arguments)?;
        let persistent = !self.behind_pooler;
        self.call(|connection| D::execute(connection, sql.clone(), arguments, persistent))
            .await
    }

    /// Runs the last statement of a transaction. The commit goes along with it if the dialect can.
    pub(crate) async fn execute_last(
        &mut self,
        sql: &SqlStr,
        arguments: &[Argument<'_>],
    ) -> Result<(), DatabaseFailure> {
        if !D::COMMIT_GOES_ALONG {
            return self.execute(sql, arguments).await.map(drop);
        }
        let commit = self.statements.commit.as_str();
        let joined = checked(format!("{}; {commit}", sql.as_str()));
        self.execute(&joined, arguments).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Runs statements without arguments.
    pub(crate) async fn run(&mut self, sql: &SqlStr) -> Result<(), DatabaseFailure> {
        self.call(|connection| D::run(connection, sql.clone()))
            .await
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

    /// Runs a statement. An error that the database itself returned leaves the connection usable.
    pub(crate) async fn call<'c, T, F>(
        &'c mut self,
        statement: impl FnOnce(&'c mut D::Connection) -> F,
    ) -> Result<T, DatabaseFailure>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        self.busy = true;
        let Some(connection) = &mut self.connection else {
            return Err(sqlx::Error::PoolClosed.into());
        };
        let connection = match connection {
            Held::Pooled(connection) => &mut **connection,
            Held::Kept(connection, _) => connection,
        };
        match self.health.guard(statement(connection)).await {
            Ok(done) => {
                self.busy = false;
                Ok(done)
            }
            Err(failure) => {
                let usable = failure.leaves_connection_usable();
                let failure = self.health.failure(self.pool, failure);
                // A pool replaces its connections in time. One that is kept goes with any error
                // that may be of the file.
                let of_the_file = !D::IS_SERVER && !failure.locked && !failure.taken;
                self.busy = !usable || of_the_file;
                Err(failure)
            }
        }
    }
}

impl<D: Dialect> Drop for Lease<'_, D> {
    fn drop(&mut self) {
        let unknown = self.busy || self.in_transaction;
        match self.connection.take() {
            Some(Held::Pooled(connection)) if unknown => drop(connection.detach()),
            Some(Held::Pooled(connection)) => give_back(connection),
            Some(Held::Kept(connection, place)) if !unknown && !self.pool.is_closed() => {
                place.put(connection);
            }
            Some(Held::Kept(..)) | None => {}
        }
    }
}
