#![doc = include_str!("../README.md")]
#![cfg(any(feature = "tower-sessions-0_14", feature = "tower-sessions-0_15"))]

mod bridge;
mod cookie_age;
mod decide;
mod lifetime;
mod manager;
mod modules;
mod moving;
mod old_store;
mod owner;
mod refuse;
mod request_store;
mod values;
mod version;

pub use self::owner::axum_login_user;

#[cfg(feature = "tower-sessions-0_14")]
pub use modules::tower_sessions_0_14;
#[cfg(feature = "tower-sessions-0_15")]
pub use modules::tower_sessions_0_15;

/// The blocks of the guide compile as printed.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/moving.md")]
mod guide {}
