#![doc = include_str!("../README.md")]

mod assurance;
mod clock;
mod delta;
mod encoding;
mod error;
mod events;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod id;
mod key;
mod layer;
mod log_limit;
#[cfg(feature = "metrics")]
mod metrics;
mod owner;
mod record;
mod service;
mod session;
mod session_limit;
mod sessions;
mod settings;
mod site_data;
mod store;
mod token_text;
mod transport;
mod values;

#[cfg(feature = "axum")]
pub use extract::MissingSessionLayer;
#[cfg(feature = "metrics")]
pub use metrics::describe_metrics;
#[cfg(feature = "contract")]
pub use store::contract;
#[cfg(feature = "memory")]
pub use store::memory::{Evictions, MemoryStore, MemoryStoreBuilder};
pub use {
    assurance::AssuranceLevel,
    clock::{Clock, ManualClock, SystemClock, Timestamp},
    delta::{Delta, IdleLimit, Instants, LimitsChange, Operation, SignIn},
    encoding::DecodeError,
    error::{ConfigError, SessionError},
    future::ResponseFuture,
    id::{InvalidSessionId, SecretHash, SessionId},
    key::{InsertKey, InvalidKey, Key, KeyBuf, KeyName, MAX_KEY_BYTES, SessionKey},
    layer::SessionLayer,
    owner::{InvalidOwner, MAX_OWNER_BYTES, Owner},
    record::{Applied, RECLAIM_GRACE, RETIRED_FOR, Receipt, Record, Retired, Standing},
    service::SessionService,
    session::{Session, Status},
    session_limit::SessionLimit,
    sessions::Sessions,
    settings::Https,
    site_data::SiteData,
    store::{
        Created, ImmediateStore, Removed, SessionStore, SessionSummary, StoreError, StoreFailure,
    },
    values::{CorruptValues, Values},
};
