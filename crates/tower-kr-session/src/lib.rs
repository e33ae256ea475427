#![doc = include_str!("../README.md")]

mod assurance;
mod config;
mod error;
#[cfg(feature = "axum")]
pub mod extract;
mod future;
mod json;
mod layer;
mod model;
pub mod service;
mod session;
mod session_limit;
mod sessions;
mod site_data;
pub mod store;
mod telemetry;
mod transport;

pub use kr_cookie as cookie;

#[cfg(feature = "memory")]
pub use store::memory::{MemoryStore, MemoryStoreBuilder};
#[cfg(feature = "moka")]
pub use store::moka::{MokaStore, MokaStoreBuilder};
#[cfg(any(feature = "memory", feature = "moka"))]
pub use store::shares::Evictions;
#[cfg(feature = "metrics")]
pub use telemetry::metrics::describe_metrics;
pub use {
    assurance::AssuranceLevel,
    config::{ConfigError, Https},
    error::SessionError,
    layer::SessionLayer,
    model::{
        Clock, InvalidOwner, InvalidSessionId, ManualClock, Owner, SessionId, SystemClock,
        Timestamp,
        key::{self, SessionKey},
    },
    session::{Session, Status},
    session_limit::SessionLimit,
    sessions::Sessions,
    site_data::SiteData,
    store::{SessionStore, SessionSummary, StoreError},
};
