//! What the page says about the server.

/// Facts about the server that the page shows.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The name of the store.
    pub store: &'static str,
    /// Whether browsers reach the server over TLS.
    pub https: bool,
}
