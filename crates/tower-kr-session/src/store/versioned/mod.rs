//! A small door for stores: any database with compare-and-set becomes a session store.

mod adapter;
mod door;
mod index;
mod owners;
mod records;
mod turns;

pub use self::{
    adapter::Versioned,
    door::{StoreKey, StoreValue, ValueClass, Version, VersionedStore},
};
