//! The stores that are struck, one a file.

#[cfg(feature = "redis")]
mod cluster;
#[cfg(feature = "mysql")]
mod mariadb;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod sentinel;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{thread, time::Duration};

#[cfg(feature = "mysql")]
pub(crate) use self::mariadb::check as mariadb;
#[cfg(feature = "postgres")]
pub(crate) use self::postgres::check as postgres;
#[cfg(feature = "sqlite")]
pub(crate) use self::sqlite::check as sqlite;
#[cfg(feature = "redis")]
pub(crate) use self::{
    cluster::check as cluster, redis::check as redis, sentinel::check as sentinel,
};

/// Longer than a store waits for an answer before it takes its server for dead.
fn long_pause() {
    thread::sleep(Duration::from_secs(3));
}

fn short_pause() {
    thread::sleep(Duration::from_millis(300));
}

/// How slow a slow network is.
const SLOW: Duration = Duration::from_millis(40);
