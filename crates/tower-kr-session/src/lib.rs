#![doc = include_str!("../README.md")]

mod assurance;
mod config;
#[cfg(feature = "device-bound")]
mod device;
mod error;
#[cfg(feature = "axum")]
pub mod extract;
mod future;
pub mod import;
mod json;
mod layer;
mod model;
mod revocations;
pub mod service;
mod session;
mod session_limit;
mod sessions;
mod site_data;
pub mod store;
mod telemetry;
mod transport;

pub use kr_cookie as cookie;

#[cfg(feature = "device-bound")]
pub use device::{DeviceBinding, DeviceState};
#[cfg(feature = "memory")]
pub use store::memory::MemoryStore;
#[cfg(feature = "moka")]
pub use store::moka::MokaStore;
#[cfg(any(feature = "memory", feature = "moka"))]
pub use store::shares::{Evictions, MemoryStoreBuilder};
#[cfg(feature = "metrics")]
pub use telemetry::metrics::describe_metrics;
pub use {
    assurance::AssuranceLevel,
    config::{ConfigError, Https},
    error::SessionError,
    json::ValueError,
    layer::SessionLayer,
    model::{
        Clock, InvalidLabel, InvalidOwner, InvalidSessionId, Label, ManualClock, Owner, SessionId,
        SystemClock, Timestamp,
        key::{self, SessionKey},
    },
    session::{Session, Status},
    session_limit::SessionLimit,
    sessions::Sessions,
    site_data::SiteData,
    store::{Cursor, Page, SessionStore, SessionSummary, StoreError},
};

/// The blocks of these guides compile as printed.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/cookies.md")]
#[doc = include_str!("../../../docs/guides/timeouts.md")]
mod guides {}
