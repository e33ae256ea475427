//! Recipes with libraries that the workspace is too lean for. The guides print these files, and
//! `tests/printed.rs` checks that they do.

/// Attempts that are finished by another request: kept in the session, taken once, in time.
pub mod attempts;
/// Signing in with OpenID Connect: the guide `external-logins`.
pub mod openid_connect;
/// Signing in with WebAuthn: the guide `passkeys`.
pub mod passkeys;
