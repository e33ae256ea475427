//! What a standard asks of sessions, asked of the server from outside: a process of its own, TLS,
//! and bytes.
//!
//! Numbers such as 7.2.4 are requirements of OWASP ASVS 5.0; `docs/threat-model.md` lists each with
//! the tests that show it, those elsewhere too.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

#[cfg(feature = "sqlite")]
mod administrator;
mod caching;
mod client;
mod cookies;
mod everywhere;
mod input;
mod secrecy;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod tokens;
