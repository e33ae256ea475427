#![doc = include_str!("../README.md")]

mod address;
mod builder;
mod cluster;
mod connect_error;
mod connector;
mod failure;
mod fields;
mod keys;
mod link;
mod owners;
mod reply;
mod scripts;
mod servers;
mod slot;
mod store;

pub use {builder::RedisStoreBuilder, connect_error::ConnectError, store::RedisStore};
