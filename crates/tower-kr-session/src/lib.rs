//! Server-side HTTP sessions for tower.

mod clock;
mod delta;
mod error;
mod id;
mod key;
mod owner;
mod record;
mod store;
mod values;

#[cfg(feature = "contract")]
pub use store::contract;
#[cfg(feature = "memory")]
pub use store::memory::{MemoryStore, MemoryStoreBuilder};
pub use {
    clock::{Clock, ManualClock, SystemClock, Timestamp},
    delta::{Delta, IdleLimit, Instants, LimitsChange, Operation, SignIn},
    error::{ConfigError, SessionError},
    id::{InvalidSessionId, SecretHash, SessionId},
    key::{InvalidKey, Key, KeyBuf, KeyName, MAX_KEY_BYTES, SessionKey},
    owner::{InvalidOwner, MAX_OWNER_BYTES, Owner},
    record::{
        Applied, DecodeError, RECLAIM_GRACE, RETIRED_FOR, Receipt, Record, Retired, Standing,
    },
    store::{
        Created, ImmediateStore, Removed, SessionStore, SessionSummary, StoreError, StoreFailure,
    },
    values::{CorruptValues, Values},
};
