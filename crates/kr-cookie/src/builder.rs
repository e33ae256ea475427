//! Describes and checks cookies.

use std::time::Duration;

use crate::{
    domain,
    error::CookieError,
    policy::{SameSite, SecurePolicy},
    prefix::Prefix,
    syntax,
    template::CookieTemplate,
};

/// The attributes that have a setter, with its name.
const KNOWN_ATTRIBUTES: [(&str, &str); 8] = [
    ("Domain", "domain"),
    ("Path", "path"),
    ("Secure", "secure_policy"),
    ("HttpOnly", "http_only"),
    ("SameSite", "same_site"),
    ("Max-Age", "max_age"),
    ("Expires", "expires"),
    ("Partitioned", "partitioned"),
];

/// Describes a cookie: its name and its attributes, without a value.
///
/// Setters accept anything; [`build`](Self::build) checks everything at once.
///
/// | setter | default |
/// |---|---|
/// | [`name`](Self::name) | that of [`new`](Self::new) |
/// | [`domain`](Self::domain) | none: the host that sets the cookie, and no other |
/// | [`path`](Self::path) | `/` |
/// | [`http_only`](Self::http_only) | `true` |
/// | [`same_site`](Self::same_site) | [`SameSite::Lax`] |
/// | [`secure_policy`](Self::secure_policy) | [`SecurePolicy::Always`] |
/// | [`max_age`](Self::max_age), [`expires`](Self::expires) | none: until the browser closes |
/// | [`essential`](Self::essential) | `true` |
/// | [`partitioned`](Self::partitioned) | `false` |
/// | [`extension`](Self::extension) | none |
///
/// ```
/// use std::time::Duration;
/// use kr_cookie::{CookieBuilder, SameSite};
/// use time::OffsetDateTime;
///
/// let template = CookieBuilder::new("__Host-id")
///     .same_site(SameSite::Strict)
///     .max_age(Duration::from_secs(3600))
///     .build()?;
/// let header = template.render("abc", true, OffsetDateTime::UNIX_EPOCH)?;
/// assert_eq!(header, "__Host-id=abc; Max-Age=3600; Secure; Path=/; HttpOnly; SameSite=Strict");
/// # Ok::<(), kr_cookie::CookieError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a builder does nothing until it is built"]
pub struct CookieBuilder {
    name: String,
    domain: Option<String>,
    path: String,
    http_only: bool,
    same_site: Option<SameSite>,
    secure_policy: SecurePolicy,
    max_age: Option<Duration>,
    expires: Option<Duration>,
    essential: bool,
    partitioned: bool,
    extensions: Vec<String>,
}

impl CookieBuilder {
    /// Starts a cookie with this name and the defaults above.
    ///
    /// Browsers require certain attributes of cookies whose name starts with `__Secure-`, `__Host-`
    /// (RFC 6265bis, section 4.1.3), `__Http-` or `__Host-Http-`
    /// (draft-ietf-httpbis-layered-cookies); `build` checks them. The defaults satisfy all four
    /// prefixes.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            domain: None,
            path: "/".to_owned(),
            http_only: true,
            same_site: Some(SameSite::Lax),
            secure_policy: SecurePolicy::Always,
            max_age: None,
            expires: None,
            essential: true,
            partitioned: false,
            extensions: Vec::new(),
        }
    }

    /// Gives the cookie another name, and keeps everything else: for a second cookie beside it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sends the cookie to this host and all hosts below it (RFC 6265bis, section 4.1.2.3).
    ///
    /// Unset by default: only the host that sets the cookie gets it, which is safer. A leading dot
    /// changes nothing.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sends the cookie only for this path and those below it (RFC 6265bis, section 4.1.2.4). `/`
    /// by default.
    ///
    /// This is no protection: scripts on other paths of the host can read the cookie.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Hides the cookie from scripts (RFC 6265bis, section 4.1.2.6). `true` by default.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Restricts requests that start on other sites. [`SameSite::Lax`] by default.
    ///
    /// Without a value (`None` of `Option`) the attribute isn't sent, and each browser applies its
    /// own default.
    /// [`SameSite::None`] sends `SameSite=None`, which needs [`SecurePolicy::Always`].
    pub fn same_site(mut self, same_site: impl Into<Option<SameSite>>) -> Self {
        self.same_site = same_site.into();
        self
    }

    /// Sets when the cookie is `Secure`. [`SecurePolicy::Always`] by default.
    pub fn secure_policy(mut self, secure_policy: SecurePolicy) -> Self {
        self.secure_policy = secure_policy;
        self
    }

    /// Keeps the cookie this long, also after the browser is closed (RFC 6265bis, section 4.1.2.2).
    /// Unset by default.
    ///
    /// Rounded up to whole seconds, so that the cookie never ends early.
    pub fn max_age(mut self, max_age: impl Into<Option<Duration>>) -> Self {
        self.max_age = max_age.into();
        self
    }

    /// Sends `Expires` as the time of rendering plus this (RFC 6265bis, section 4.1.2.1). Unset by
    /// default.
    ///
    /// Independent of [`max_age`](Self::max_age). If both are set, browsers follow Max-Age; Expires
    /// is for clients that don't know Max-Age. Rounded up to a whole second.
    pub fn expires(mut self, expires: impl Into<Option<Duration>>) -> Self {
        self.expires = expires.into();
        self
    }

    /// Marks the cookie as one that the site can't work without. `true` by default.
    ///
    /// This isn't sent. It is for the application, which may hold back other cookies until a user
    /// consents.
    pub fn essential(mut self, essential: bool) -> Self {
        self.essential = essential;
        self
    }

    /// Gives an embedded site one cookie jar for each top-level site
    /// (draft-cutler-httpbis-partitioned-cookies). `false` by default. Needs
    /// [`SecurePolicy::Always`].
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Adds an attribute that this crate doesn't know, such as `Priority=High`.
    ///
    /// It is sent unchanged after the known attributes. Several keep their order.
    pub fn extension(mut self, extension: impl Into<String>) -> Self {
        self.extensions.push(extension.into());
        self
    }

    /// Checks the cookie, and renders what is the same in all responses.
    ///
    /// Rules that depend on `Secure` need [`SecurePolicy::Always`]: under
    /// [`SecurePolicy::SameAsRequest`] browsers would accept the cookie over HTTPS and refuse it
    /// over HTTP.
    ///
    /// # Errors
    ///
    /// - a name that is empty, not a token (RFC 9110, section 5.6.2) or too long
    /// - a domain that no browser accepts from any host: an empty or overlong label, a dot at the
    ///   end, a number at the end that isn't part of an IPv4 address, an `xn--` label without valid
    ///   Punycode
    /// - a path that doesn't start with `/`
    /// - a character that isn't allowed in a domain, a path or an extension (RFC 6265bis, section
    ///   4.1.1)
    /// - an extension that is empty or repeats an attribute that has a setter
    /// - a domain over 253 bytes; a path or the value of an extension over 1,024 bytes
    /// - a Max-Age or Expires of zero, or over [`LIFETIME_LIMIT`](crate::LIFETIME_LIMIT)
    /// - `SameSite=None` or `Partitioned` without [`SecurePolicy::Always`]
    /// - a name whose prefix requires other attributes
    ///
    /// ```
    /// use kr_cookie::{CookieBuilder, CookieError};
    ///
    /// let error = CookieBuilder::new("__Host-id").domain("example.com").build().unwrap_err();
    /// assert!(matches!(error, CookieError::PrefixWithDomain { .. }));
    /// assert_eq!(
    ///     error.to_string(),
    ///     r#"cookie name starts with __Host-, which forbids a domain; leave out "example.com""#
    /// );
    /// ```
    pub fn build(&self) -> Result<CookieTemplate, CookieError> {
        check_name(&self.name)?;
        if let Some(domain) = &self.domain {
            domain::check(domain)?;
        }
        check_path(&self.path)?;
        for extension in &self.extensions {
            check_extension(extension)?;
        }
        if let Some(max_age) = self.max_age {
            syntax::check_lifetime("Max-Age", max_age)?;
        }
        if let Some(expires) = self.expires {
            syntax::check_lifetime("Expires", expires)?;
        }
        self.check_secure()?;
        self.check_prefix()?;
        Ok(CookieTemplate {
            name: self.name.clone(),
            attributes: self.attributes(),
            secure_policy: self.secure_policy,
            max_age: self.max_age,
            expires: self.expires,
            essential: self.essential,
        })
    }

    fn is_always_secure(&self) -> bool {
        self.secure_policy == SecurePolicy::Always
    }

    fn check_secure(&self) -> Result<(), CookieError> {
        if self.same_site == Some(SameSite::None) && !self.is_always_secure() {
            return Err(CookieError::SameSiteNoneWithoutSecure);
        }
        if self.partitioned && !self.is_always_secure() {
            return Err(CookieError::PartitionedWithoutSecure);
        }
        Ok(())
    }

    fn check_prefix(&self) -> Result<(), CookieError> {
        let Some(prefix) = Prefix::of(&self.name) else {
            return Ok(());
        };
        if !self.is_always_secure() {
            return Err(CookieError::PrefixWithoutSecure {
                prefix: prefix.text,
            });
        }
        if prefix.http_only && !self.http_only {
            return Err(CookieError::PrefixWithoutHttpOnly {
                prefix: prefix.text,
            });
        }
        if prefix.host_only && self.path != "/" {
            return Err(CookieError::PrefixWithPath {
                prefix: prefix.text,
                path: self.path.clone(),
            });
        }
        if let (true, Some(domain)) = (prefix.host_only, &self.domain) {
            return Err(CookieError::PrefixWithDomain {
                prefix: prefix.text,
                domain: domain.clone(),
            });
        }
        Ok(())
    }

    /// Renders what all responses share: everything but the value, `Secure` and the lifetime.
    fn attributes(&self) -> String {
        let mut attributes = String::new();
        if let Some(domain) = &self.domain {
            attributes.push_str("; Domain=");
            attributes.push_str(domain);
        }
        attributes.push_str("; Path=");
        attributes.push_str(&self.path);
        if self.http_only {
            attributes.push_str("; HttpOnly");
        }
        if let Some(same_site) = self.same_site {
            attributes.push_str("; SameSite=");
            attributes.push_str(same_site.as_str());
        }
        if self.partitioned {
            attributes.push_str("; Partitioned");
        }
        for extension in &self.extensions {
            attributes.push_str("; ");
            attributes.push_str(extension);
        }
        attributes
    }
}

fn check_name(name: &str) -> Result<(), CookieError> {
    if name.is_empty() {
        return Err(CookieError::NameEmpty);
    }
    if let Some((position, character)) = syntax::find_illegal(name, syntax::is_token) {
        return Err(CookieError::NameCharacter {
            character,
            position,
        });
    }
    syntax::check_size(name, "")
}

fn check_path(path: &str) -> Result<(), CookieError> {
    if !path.starts_with('/') {
        return Err(CookieError::PathNotAbsolute);
    }
    if let Some((position, character)) = syntax::find_illegal(path, syntax::is_path_octet) {
        return Err(CookieError::PathCharacter {
            character,
            position,
        });
    }
    syntax::check_attribute_size("Path", path)
}

fn check_extension(extension: &str) -> Result<(), CookieError> {
    if let Some((position, character)) = syntax::find_illegal(extension, syntax::is_attribute_octet)
    {
        return Err(CookieError::ExtensionCharacter {
            extension: extension.to_owned(),
            character,
            position,
        });
    }
    // Browsers strip white space around the name, so ` Domain =..` is a Domain too.
    let (name, value) = extension.split_once('=').unwrap_or((extension, ""));
    let name = name.trim();
    if name.is_empty() {
        return Err(CookieError::ExtensionEmpty);
    }
    for (attribute, setter) in KNOWN_ATTRIBUTES {
        if name.eq_ignore_ascii_case(attribute) {
            return Err(CookieError::ExtensionKnown { attribute, setter });
        }
    }
    syntax::check_attribute_size("extension", value)
}
