#![doc = include_str!("../README.md")]

mod address;
mod arguments;
mod builder;
mod cluster;
mod connect_error;
mod connector;
mod dispatch;
mod failure;
mod fields;
mod keys;
mod life;
mod link;
mod numbers;
mod owners;
mod reply;
mod scripts;
mod servers;
mod slot;
mod store;

pub use {builder::RedisStoreBuilder, connect_error::ConnectError, store::RedisStore};
