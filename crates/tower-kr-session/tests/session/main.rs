//! The layer as an application meets it: over the memory store, and over a store that needs I/O.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

mod clocks;
mod concurrency;
mod consent;
mod cookies;
mod defaults;
mod failures;
mod guessing;
mod handles;
mod header;
mod import;
mod lifetime;
mod listing;
mod model;
mod outcomes;
mod routing;
mod sign_in;
mod support;
mod timeouts;
mod values;
