//! The connections to a server.

use std::{sync::Arc, time::Duration};

use sqlx::{ConnectOptions, Connection, pool::PoolOptions};

use super::{Options, ServerDialect};
use crate::{dialect::Server, health::Health};

/// A connection that was idle for longer is pinged before it is used again.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Of a pool whose connections lead to a server that can write, and are alive when they are lent.
pub(super) fn pool_options<D: ServerDialect>(
    max_connections: u32,
    acquire_timeout: Duration,
    health: &Arc<Health>,
) -> PoolOptions<D> {
    let (on_connect, on_acquire) = (Arc::clone(health), Arc::clone(health));
    PoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(acquire_timeout)
        .after_connect(move |connection, _| {
            let health = Arc::clone(&on_connect);
            Box::pin(async move {
                match D::server(connection).await? {
                    Server::Writable => Ok(()),
                    Server::ReadOnly => {
                        // So that the calls learn why they get no connection.
                        health.distrust();
                        Err(sqlx::Error::Protocol("the server is read-only".to_owned()))
                    }
                }
            })
        })
        // Not before each use: a ping is a round trip.
        .test_before_acquire(false)
        .before_acquire(move |connection: &mut D::Connection, meta| {
            let health = Arc::clone(&on_acquire);
            Box::pin(async move {
                // One that isn't lent is closed, and the same call gets a new one.
                Ok(health.trusts(meta.idle_for)
                    && (meta.idle_for <= TRUSTED_FOR || health.answers(connection.ping()).await))
            })
        })
}

/// Opens a connection, asks what the server can do, and closes it.
pub(crate) async fn probe<D: ServerDialect>(options: &Options<D>) -> Result<Server, sqlx::Error> {
    let mut connection = options.connect().await?;
    let server = D::server(&mut connection).await?;
    connection.close().await?;
    Ok(server)
}
