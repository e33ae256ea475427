//! What the page says about the server.

use kr_cookie::CookieTemplate;

/// Facts about the server that the page shows.
#[derive(Debug, Clone)]
pub struct About {
    /// The name of the store.
    pub store: &'static str,
    /// Whether browsers reach the server over TLS.
    pub https: bool,
    /// The session cookie.
    pub cookie: CookieTemplate,
}
