//! The values of the `Secure` and `SameSite` attributes.

/// When a cookie carries the `Secure` attribute, which keeps browsers from ever sending it over
/// plain HTTP (RFC 6265bis, section 4.1.2.5).
///
/// | policy | over HTTPS | over HTTP |
/// |---|---|---|
/// | [`Always`](Self::Always) | `Secure` | `Secure` |
/// | [`SameAsRequest`](Self::SameAsRequest) | `Secure` | - |
/// | [`None`](Self::None) | - | - |
///
/// A browser drops a `Secure` cookie that arrives over plain HTTP, so with `Always` a server
/// without TLS needs another policy. Chromium, Firefox and curl accept the cookie from loopback
/// addresses, WebKit doesn't.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SecurePolicy {
    /// `Secure` on every cookie: the default.
    #[default]
    Always,
    /// `Secure` if the request came over HTTPS. For a server that is reached both ways.
    ///
    /// A cookie set over HTTPS can't be used over HTTP: browsers don't send it there, and let no
    /// response replace or remove it (RFC 6265bis, section 5.7).
    SameAsRequest,
    /// Never `Secure`. For development without TLS.
    None,
}

impl SecurePolicy {
    pub(crate) fn is_secure(self, https: bool) -> bool {
        match self {
            Self::Always => true,
            Self::SameAsRequest => https,
            Self::None => false,
        }
    }
}

/// Which requests that start on another site carry the cookie (RFC 6265bis, section 4.1.2.7).
///
/// The attribute can also be left out, see
/// [`CookieBuilder::same_site`](crate::CookieBuilder::same_site).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// Only top-level navigations with a safe method: links send it, cross-site POST forms don't.
    Lax,
    /// None: a user who follows a link to the site arrives without the cookie.
    Strict,
    /// All of them. Browsers accept this only together with `Secure`.
    None,
}

impl SameSite {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}
