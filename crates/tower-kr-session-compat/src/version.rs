//! The versions of tower-sessions, whose types differ although their meaning is one.

use std::{future::Future, sync::Arc};

use crate::{decide::RawId, lifetime::Lifetime, request_store::RequestStore};

/// A version of tower-sessions. Applications don't name it: each version has a module of its own.
pub trait Version: Sized + 'static {
    /// `tower_sessions::Session`.
    type Session: Clone + Send + Sync + 'static;
    /// `tower_sessions::Expiry`.
    type Expiry: Copy + PartialEq + Send + Sync + 'static;

    /// Creates the session of a request.
    fn session(
        id: Option<RawId>,
        store: Arc<RequestStore>,
        expiry: Option<Self::Expiry>,
    ) -> Self::Session;

    /// Returns the expiry, as the handler left it.
    fn expiry(session: &Self::Session) -> Option<Self::Expiry>;

    /// Returns whether a handler changed the session.
    fn is_modified(session: &Self::Session) -> bool;

    /// Returns whether there is nothing to save.
    fn is_empty(session: &Self::Session) -> impl Future<Output = bool> + Send;

    /// Saves the session. Returns whether that worked; the store knows why not.
    fn save(session: &Self::Session) -> impl Future<Output = bool> + Send;

    /// Returns what an expiry means.
    fn lifetime(expiry: Option<Self::Expiry>) -> Lifetime;

    /// Reads an id from its text.
    fn parse_id(text: &str) -> Option<RawId>;
}
