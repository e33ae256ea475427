//! The error of building and rendering cookies.

use std::time::Duration;

/// Error of building or rendering a cookie.
///
/// Positions count bytes from 0. No variant holds any part of a cookie's value, which may be a
/// secret.
///
/// ```
/// use kr_cookie::CookieBuilder;
///
/// let error = CookieBuilder::new("session id").build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "cookie name has ' ' at position 7; allowed are ASCII letters, digits and !#$%&'*+-.^_`|~"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is empty.
    #[error("cookie name is empty; it needs at least one character")]
    NameEmpty,
    /// The name is not a token (RFC 9110, section 5.6.2).
    #[error(
        "cookie name has {character:?} at position {position}; \
         allowed are ASCII letters, digits and !#$%&'*+-.^_`|~"
    )]
    NameCharacter {
        /// The first character that is not allowed.
        character: char,
        /// Where it is.
        position: usize,
    },
    /// The value has a character that isn't a `cookie-octet` (RFC 6265bis, section 4.1.1).
    #[error(
        "cookie value has {class} at position {position}; allowed is visible ASCII except \
         quote, comma, semicolon and backslash: encode the value, for example as base64url"
    )]
    ValueCharacter {
        /// What kind of character it is, such as `"a comma"`.
        class: &'static str,
        /// Where it is.
        position: usize,
    },
    /// Name and value together are longer than 4,096 bytes (RFC 6265bis, section 5.6).
    #[error(
        "cookie name and value are {length} bytes together; browsers ignore a cookie over 4096"
    )]
    TooLarge {
        /// The length of both, in bytes.
        length: usize,
    },
    /// The domain is empty, or nothing but a dot.
    #[error("cookie domain is empty; leave it out for a cookie of this host alone")]
    DomainEmpty,
    /// The domain is not a host name (RFC 6265bis, section 4.1.1).
    #[error(
        "cookie domain has {character:?} at position {position}; it must be a host name alone, \
         such as example.com, with international names in their xn-- form"
    )]
    DomainCharacter {
        /// The first character that is not allowed.
        character: char,
        /// Where it is.
        position: usize,
    },
    /// The domain has a dot too many: at its end, a second one at its start, or two in a row.
    #[error(
        "cookie domain has an empty label at position {position}; write it as in example.com, \
         without a dot at the end and with one at most at the start"
    )]
    DomainEmptyLabel {
        /// Where the label would be.
        position: usize,
    },
    /// The domain is longer than 253 bytes, so no host can have it (RFC 1035, section 2.3.4).
    #[error("cookie domain is {length} bytes long; DNS allows 253")]
    DomainTooLong {
        /// The length without a leading dot, in bytes.
        length: usize,
    },
    /// A label of the domain is longer than 63 bytes, so no host can have it (RFC 1035, section
    /// 2.3.4).
    #[error("cookie domain has a label of {length} bytes; DNS allows 63")]
    DomainLabelTooLong {
        /// The length of the first such label, in bytes.
        length: usize,
    },
    /// The last label of the domain is a number, but the domain is no IPv4 address as browsers
    /// write it (URL standard, "ends in a number checker").
    #[error(
        "cookie domain ends in a number, which makes it an IPv4 address to browsers; \
         write one as in 192.0.2.1"
    )]
    DomainNumber,
    /// A label of the domain starts with `xn--` and has no valid Punycode after it (RFC 3492).
    #[error(
        "cookie domain has the label {label:?}, which is not Punycode; write the international \
         name in its ASCII form, as in xn--bcher-kva.example"
    )]
    DomainPunycode {
        /// The first such label.
        label: String,
    },
    /// The path doesn't start with `/`, so browsers would use another one (RFC 6265bis, section
    /// 5.6.4).
    #[error("cookie path does not start with '/'; it must be absolute, such as /app")]
    PathNotAbsolute,
    /// The path has white space, a control character, a semicolon or a character beyond ASCII
    /// (RFC 6265bis, section 4.1.1).
    #[error(
        "cookie path has {character:?} at position {position}; allowed is visible ASCII except \
         semicolon: percent-encode the rest, as in a URL"
    )]
    PathCharacter {
        /// The first character that is not allowed.
        character: char,
        /// Where it is.
        position: usize,
    },
    /// An extension has no name.
    #[error("cookie extension is empty; it must be a name, or a name=value, such as Priority=High")]
    ExtensionEmpty,
    /// An extension has a control character, a semicolon or a character beyond ASCII
    /// (RFC 6265bis, section 4.1.1).
    #[error(
        "cookie extension {extension:?} has {character:?} at position {position}; allowed is \
         printable ASCII except semicolon: several extensions take several calls"
    )]
    ExtensionCharacter {
        /// The whole extension.
        extension: String,
        /// The first character that is not allowed.
        character: char,
        /// Where it is.
        position: usize,
    },
    /// An extension repeats an attribute that has a setter, whose checks it would bypass.
    #[error("cookie extension repeats {attribute}; set it by CookieBuilder::{setter} instead")]
    ExtensionKnown {
        /// The attribute's name.
        attribute: &'static str,
        /// The builder's setter for it.
        setter: &'static str,
    },
    /// An attribute's value is longer than 1,024 bytes (RFC 6265bis, section 5.6).
    #[error(
        "cookie {attribute} is {length} bytes long; browsers ignore an attribute whose value is over 1024"
    )]
    AttributeTooLong {
        /// `Path` or `extension`.
        attribute: &'static str,
        /// The length of its value, in bytes.
        length: usize,
    },
    /// Max-Age or Expires is zero, which deletes the cookie (RFC 6265bis, section 5.6.2).
    #[error(
        "cookie {attribute} is zero, which deletes the cookie; use CookieTemplate::removal for that"
    )]
    ZeroLifetime {
        /// `Max-Age` or `Expires`.
        attribute: &'static str,
    },
    /// Max-Age or Expires is longer than [`LIFETIME_LIMIT`](crate::LIFETIME_LIMIT) (RFC 6265bis,
    /// section 5.5).
    #[error("cookie {attribute} is {age:?}; browsers cut it to 400 days (34560000s)")]
    LifetimeTooLong {
        /// `Max-Age` or `Expires`.
        attribute: &'static str,
        /// The lifetime asked for.
        age: Duration,
    },
    /// Expires is outside the years that a cookie's date can express (RFC 6265bis, section 5.1.1).
    #[error("cookie Expires is not within the years 1601 to 9999; check the clock")]
    ExpiresOutOfRange,
    /// `SameSite=None` without [`SecurePolicy::Always`](crate::SecurePolicy::Always).
    #[error("cookie SameSite=None is refused by browsers without Secure; set SecurePolicy::Always")]
    SameSiteNoneWithoutSecure,
    /// `Partitioned` without [`SecurePolicy::Always`](crate::SecurePolicy::Always).
    #[error("cookie Partitioned is refused by browsers without Secure; set SecurePolicy::Always")]
    PartitionedWithoutSecure,
    /// A prefix that needs [`SecurePolicy::Always`](crate::SecurePolicy::Always) (RFC 6265bis,
    /// section 4.1.3).
    #[error("cookie name starts with {prefix}, which needs Secure; set SecurePolicy::Always")]
    PrefixWithoutSecure {
        /// The prefix, in its usual case.
        prefix: &'static str,
    },
    /// A prefix that needs `HttpOnly` (draft-ietf-httpbis-layered-cookies).
    #[error("cookie name starts with {prefix}, which needs HttpOnly; set http_only(true)")]
    PrefixWithoutHttpOnly {
        /// The prefix, in its usual case.
        prefix: &'static str,
    },
    /// A prefix that needs the path `/` (RFC 6265bis, section 4.1.3.2).
    #[error("cookie name starts with {prefix}, which needs the path \"/\"; the path is {path:?}")]
    PrefixWithPath {
        /// The prefix, in its usual case.
        prefix: &'static str,
        /// The path that was set.
        path: String,
    },
    /// A prefix that forbids a domain (RFC 6265bis, section 4.1.3.2).
    #[error("cookie name starts with {prefix}, which forbids a domain; leave out {domain:?}")]
    PrefixWithDomain {
        /// The prefix, in its usual case.
        prefix: &'static str,
        /// The domain that was set.
        domain: String,
    },
}
