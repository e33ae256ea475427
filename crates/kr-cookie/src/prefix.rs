//! The prefixes of cookie names, and what they require.

/// A prefix of cookie names that makes browsers guarantee how the cookie was set.
pub(crate) struct Prefix {
    pub(crate) text: &'static str,
    /// Must have `HttpOnly`, so that no script can have set it.
    pub(crate) http_only: bool,
    /// Must have `Path=/` and no Domain, so that no other host can have set it.
    pub(crate) host_only: bool,
}

/// RFC 6265bis, section 4.1.3, has `__Secure-` and `__Host-`; draft-ietf-httpbis-layered-cookies
/// adds the other two. `__Host-Http-` comes first, since it starts with `__Host-`.
const PREFIXES: [Prefix; 4] = [
    Prefix {
        text: "__Host-Http-",
        http_only: true,
        host_only: true,
    },
    Prefix {
        text: "__Secure-",
        http_only: false,
        host_only: false,
    },
    Prefix {
        text: "__Host-",
        http_only: false,
        host_only: true,
    },
    Prefix {
        text: "__Http-",
        http_only: true,
        host_only: false,
    },
];

impl Prefix {
    /// Finds the prefix of a name. Ignores case, as browsers do (RFC 6265bis, section 5.4).
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        PREFIXES.iter().find(|prefix| {
            name.get(..prefix.text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.text))
        })
    }
}
