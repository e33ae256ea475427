#![doc = include_str!("../README.md")]

mod builder;
mod connect_error;
mod database;
mod failure;
mod keys;
mod nonces;
mod owners;
mod record;
mod scripts;
mod servers;
mod store;
mod walk;

pub use {builder::RedisStoreBuilder, connect_error::ConnectError, store::RedisStore};
