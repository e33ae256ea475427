//! Sessions bound to a device, over HTTP, with keys made by hand.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod axum_routers;
mod browser;
#[path = "../events/capture.rs"]
mod capture;
mod endpoints;
mod events;
mod missing;
mod races;
mod rsa;
mod settings;
mod site;
mod steps;
