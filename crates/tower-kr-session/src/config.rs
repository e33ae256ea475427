//! The settings of a layer: their checks, and the form in which all its requests share them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue, header, request, response, uri::Scheme};
use kr_cookie::{CookieBuilder, CookieTemplate, SecurePolicy};

#[cfg(feature = "device-bound")]
use crate::device::{Device, DeviceBinding};
use crate::{
    assurance::AssuranceLevel,
    error::SessionError,
    model::{Clock, IdleLimit, Owner, Record, Timestamp, is_timeout, whole_millis},
    revocations::Revocations,
    session_limit::SessionLimit,
    site_data::SiteData,
    store::erased::ErasedStore,
    telemetry::events::Events,
};

pub(crate) type ErrorHook = Arc<dyn Fn(&SessionError, &mut response::Parts) + Send + Sync>;
pub(crate) type Predicate = Arc<dyn Fn(&request::Parts) -> bool + Send + Sync>;

const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// The largest size of a session, in bytes. It also keeps the encoding's 32-bit offsets far from
/// overflow.
const MAX_SESSION_BYTES: u64 = 1024 * 1024 * 1024;

/// The settings of a layer, as its setters collect them.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) store: Arc<ErasedStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cookie: CookieBuilder,
    /// The name of the header that carries the token in place of a cookie.
    pub(crate) header: Option<String>,
    pub(crate) assurance: Option<AssuranceLevel>,
    /// `None`: the default one, or the absolute one if that is shorter.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) anonymous_idle_timeout: Option<Duration>,
    pub(crate) absolute_timeout: Duration,
    pub(crate) io_timeout: Duration,
    pub(crate) touch_interval: Option<Duration>,
    pub(crate) await_touch: bool,
    pub(crate) persistent: bool,
    pub(crate) max_session_bytes: u64,
    pub(crate) session_limit: SessionLimit,
    pub(crate) clear_site_data: Vec<SiteData>,
    pub(crate) on_error: Option<ErrorHook>,
    pub(crate) https_when: Predicate,
    pub(crate) consent_when: Option<Predicate>,
    #[cfg(feature = "device-bound")]
    pub(crate) device: Option<DeviceBinding>,
}

impl Settings {
    pub(crate) fn check(&self) -> Result<Config, ConfigError> {
        let default = DEFAULT_IDLE_TIMEOUT.min(self.absolute_timeout);
        let idle_timeout = self.idle_timeout.unwrap_or(default);
        for (name, value) in [
            ("idle_timeout", idle_timeout),
            (
                "anonymous_idle_timeout",
                self.anonymous_idle_timeout.unwrap_or(idle_timeout),
            ),
            ("absolute_timeout", self.absolute_timeout),
            ("io_timeout", self.io_timeout),
        ] {
            if !is_timeout(value, MAX_TIMEOUT) {
                return Err(ConfigError::Timeout { name, value });
            }
        }
        let idle = match self.touch_interval {
            Some(touch_interval) => IdleLimit {
                timeout: whole_millis(idle_timeout),
                touch_interval: whole_millis(touch_interval),
            },
            None => IdleLimit::new(idle_timeout),
        };
        let absolute_timeout = whole_millis(self.absolute_timeout);
        if idle.timeout > absolute_timeout {
            return Err(ConfigError::IdleTimeout {
                idle_timeout: idle.timeout,
                absolute_timeout,
            });
        }
        if idle.touch_interval > idle.timeout {
            return Err(ConfigError::TouchInterval {
                touch_interval: idle.touch_interval,
                idle_timeout: idle.timeout,
            });
        }
        let anonymous_idle = self.anonymous_idle_timeout.map_or(idle, IdleLimit::new);
        if anonymous_idle.timeout > idle.timeout {
            return Err(ConfigError::AnonymousIdleTimeout {
                anonymous_idle_timeout: anonymous_idle.timeout,
                idle_timeout: idle.timeout,
            });
        }
        let (mut longest_idle_timeout, mut longest_absolute_timeout) = (MAX_TIMEOUT, MAX_TIMEOUT);
        if let Some(level) = self.assurance {
            check_assurance(level, idle, absolute_timeout)?;
            longest_idle_timeout = level.longest_idle_timeout();
            longest_absolute_timeout = level.absolute_timeout();
        }
        let largest = self
            .store
            .largest_session()
            .map_or(MAX_SESSION_BYTES, |largest| largest.min(MAX_SESSION_BYTES));
        if self.max_session_bytes > largest {
            return Err(ConfigError::SessionBytes {
                limit: self.max_session_bytes,
                largest,
            });
        }
        if !self.session_limit.is_possible() {
            return Err(ConfigError::SessionLimit);
        }
        let cookie = self.cookie.build()?;
        if cookie.max_age().is_some() || cookie.depends_on_time() {
            return Err(ConfigError::CookieLifetime);
        }
        let header = self.header.as_deref().map(parse_header).transpose()?;
        #[cfg(feature = "device-bound")]
        let device = match &self.device {
            Some(_) if header.is_some() => return Err(ConfigError::DeviceHeader),
            Some(device) => Some(device.check(&self.cookie)?),
            None => None,
        };
        let is_cookie = header.is_none();
        let asks_for_consent = is_cookie && !cookie.is_essential();
        let consent_when = self.consent_when.clone().filter(|_| asks_for_consent);
        let same_as_request = cookie.secure_policy() == SecurePolicy::SameAsRequest;
        let asks_for_scheme = is_cookie && same_as_request;
        let asks_for_head = asks_for_scheme || consent_when.is_some();
        #[cfg(feature = "device-bound")]
        let asks_for_head = asks_for_head || device.is_some();
        Ok(Config {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            cookie,
            header,
            idle,
            anonymous_idle,
            absolute_timeout,
            persistent: self.persistent,
            longest_idle_timeout,
            longest_absolute_timeout,
            io_timeout: self.io_timeout,
            await_touch: self.await_touch,
            max_session_bytes: self.max_session_bytes,
            session_limit: self.session_limit,
            clear_site_data: SiteData::header(&self.clear_site_data),
            on_error: self.on_error.clone(),
            https_when: Arc::clone(&self.https_when),
            asks_for_scheme,
            consent_when,
            asks_for_head,
            withheld_was_logged: AtomicBool::new(false),
            revocations: Revocations::default(),
            last_write: AtomicI64::new(i64::MIN),
            events: Arc::new(Events::new()),
            #[cfg(feature = "device-bound")]
            device,
        })
    }
}

fn parse_header(name: &str) -> Result<HeaderName, ConfigError> {
    let name = name.to_owned();
    match name.parse() {
        Ok(header::COOKIE | header::SET_COOKIE) | Err(_) => Err(ConfigError::Header { name }),
        Ok(header) => Ok(header),
    }
}

/// Checks that a layer with these timeouts meets the level.
fn check_assurance(
    level: AssuranceLevel,
    idle: IdleLimit,
    absolute: Duration,
) -> Result<(), ConfigError> {
    let inactivity = idle.timeout + idle.touch_interval;
    let rules = [
        ("absolute_timeout", absolute, Some(level.absolute_timeout())),
        (
            "idle_timeout and touch_interval together",
            inactivity,
            level.longest_inactivity(),
        ),
    ];
    for (name, value, longest) in rules {
        if let Some(longest) = longest
            && value > longest
        {
            return Err(ConfigError::Assurance {
                level,
                name,
                value,
                longest,
            });
        }
    }
    Ok(())
}

/// The checked settings, as requests use them.
pub(crate) struct Config {
    pub(crate) store: Arc<ErasedStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cookie: CookieTemplate,
    /// Carries the token in place of the cookie.
    pub(crate) header: Option<HeaderName>,
    pub(crate) idle: IdleLimit,
    /// The idle limit of a session that nobody has signed in to.
    pub(crate) anonymous_idle: IdleLimit,
    pub(crate) absolute_timeout: Duration,
    /// Whether the cookies of new sessions outlive the browser's session.
    pub(crate) persistent: bool,
    /// The longest idle timeout that a handler may give one session.
    pub(crate) longest_idle_timeout: Duration,
    pub(crate) longest_absolute_timeout: Duration,
    pub(crate) io_timeout: Duration,
    /// Whether a response waits for the touch of its session.
    pub(crate) await_touch: bool,
    pub(crate) max_session_bytes: u64,
    pub(crate) session_limit: SessionLimit,
    /// Sent with the cookie's removal.
    pub(crate) clear_site_data: Option<HeaderValue>,
    pub(crate) on_error: Option<ErrorHook>,
    pub(crate) https_when: Predicate,
    /// Whether the cookie's `Secure` depends on how the request came.
    asks_for_scheme: bool,
    /// `None` if the cookie is essential.
    pub(crate) consent_when: Option<Predicate>,
    /// Whether anything depends on the head of a request. One flag, since every request asks.
    pub(crate) asks_for_head: bool,
    /// Those that [`Sessions`](crate::Sessions) made.
    pub(crate) revocations: Revocations,
    /// When the store last changed a session for a request, in Unix milliseconds.
    last_write: AtomicI64,
    pub(crate) events: Arc<Events>,
    withheld_was_logged: AtomicBool,
    #[cfg(feature = "device-bound")]
    pub(crate) device: Option<Device>,
}

/// What the head of a request says about its cookie.
#[derive(Default)]
pub(crate) struct Head {
    /// It came over HTTPS.
    pub(crate) https: bool,
    /// The visitor has not consented to the cookie, so no session starts.
    pub(crate) withheld: bool,
}

impl Config {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the time of a sign-in or a revocation, later than every revocation of this user's
    /// sessions that this process completed, even within one millisecond. So a handler can end a
    /// user's other sessions and then sign them in.
    pub(crate) fn now_after_revocations(&self, owner: &Owner) -> Timestamp {
        self.revocations.after_last(owner, self.clock.exact_now())
    }

    /// Takes note that the store changed a session for a request.
    pub(crate) fn wrote(&self, now: Timestamp) {
        // A store that answers at once can always be written.
        if !self.store.answers_at_once() {
            self.last_write
                .store(now.as_unix_millis(), Ordering::Relaxed);
        }
    }

    /// Returns whether the store changed a session for a request, this short a time ago.
    pub(crate) fn wrote_within(&self, time: Duration, now: Timestamp) -> bool {
        let last = self.last_write.load(Ordering::Relaxed);
        let age = u64::try_from(now.as_unix_millis().saturating_sub(last));
        age.is_ok_and(|age| u128::from(age) <= time.as_millis())
    }

    /// Returns the idle limit that a sign-in gives the session: the ordinary one if it has that of
    /// anonymous sessions, else `None`.
    pub(crate) fn idle_at_sign_in(&self, record: &Record) -> Option<IdleLimit> {
        let anonymous = record.owner.is_none() && record.idle == self.anonymous_idle;
        (anonymous && self.anonymous_idle != self.idle).then_some(self.idle)
    }

    pub(crate) const fn too_large(&self, size: u64) -> SessionError {
        SessionError::TooLarge {
            size,
            limit: self.max_session_bytes,
        }
    }

    /// Returns the name of what carries the token: it is part of the hash that the store keeps.
    pub(crate) fn token_name(&self) -> &str {
        match &self.header {
            Some(header) => header.as_str(),
            None => self.cookie.name(),
        }
    }

    pub(crate) fn read_head(&self, parts: &request::Parts) -> Head {
        let consents = |asks: &Predicate| asks(parts);
        Head {
            https: self.asks_for_scheme && (self.https_when)(parts),
            withheld: !self.consent_when.as_ref().is_none_or(consents),
        }
    }

    /// Logs, once, that a session was not stored for want of consent: every visitor may cause this.
    pub(crate) fn log_withheld(&self) {
        if !self.withheld_was_logged.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "a session was not stored: its cookie is not essential, and the visitor has not consented (said once)"
            );
        }
    }
}

/// Marks a request that came over TLS, for [`SecurePolicy::SameAsRequest`].
///
/// A server whose requests don't carry the scheme in their URI (those of HTTP/1.1 never do) puts
/// this into the request's extensions where it accepts TLS connections.
#[derive(Clone, Copy, Debug)]
pub struct Https;

pub(crate) fn is_https(parts: &request::Parts) -> bool {
    parts.uri.scheme() == Some(&Scheme::HTTPS) || parts.extensions.get::<Https>().is_some()
}

/// The longest timeout: 400 days, the longest age of a cookie (RFC 6265bis, section 5.5).
pub(crate) const MAX_TIMEOUT: Duration = kr_cookie::LIFETIME_LIMIT;

/// Error returned for a layer that can't work as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The cookie breaks a rule.
    #[error("session cookie: {0}")]
    Cookie(#[from] kr_cookie::CookieError),
    /// The cookie has a lifetime of its own, with which browsers drop it while its session is in
    /// use.
    #[error(
        "session cookie: Max-Age and Expires end sessions in use; leave them out, set idle_timeout and absolute_timeout, and for cookies that outlive the browser's session persistent(true)"
    )]
    CookieLifetime,
    /// The header for the token has no valid name, or is one of those for cookies.
    #[error(
        "session header: `{name}` can't carry a token; take a name of its own, such as `x-session-token`"
    )]
    Header {
        /// The name.
        name: String,
    },
    /// The idle timeout is longer than the absolute one, which ends the session before.
    #[error(
        "idle_timeout ({idle_timeout:?}) must not be longer than absolute_timeout ({absolute_timeout:?}), which ends a session even if it is in use; set absolute_timeout too, up to 400 days"
    )]
    IdleTimeout {
        /// The idle timeout.
        idle_timeout: Duration,
        /// The absolute timeout.
        absolute_timeout: Duration,
    },
    /// A timeout is zero or longer than 400 days.
    #[error("{name} must be longer than zero and at most 400 days, not {value:?}")]
    Timeout {
        /// The setter's name.
        name: &'static str,
        /// The value that it was given.
        value: Duration,
    },
    /// The touch interval is longer than the idle timeout, so sessions would live more than twice
    /// as long as asked for.
    #[error(
        "touch_interval ({touch_interval:?}) must not be longer than idle_timeout ({idle_timeout:?})"
    )]
    TouchInterval {
        /// The touch interval.
        touch_interval: Duration,
        /// The idle timeout.
        idle_timeout: Duration,
    },
    /// The idle timeout of anonymous sessions is longer than the ordinary one.
    #[error(
        "anonymous_idle_timeout ({anonymous_idle_timeout:?}) must not be longer than idle_timeout ({idle_timeout:?})"
    )]
    AnonymousIdleTimeout {
        /// The idle timeout of anonymous sessions.
        anonymous_idle_timeout: Duration,
        /// The idle timeout.
        idle_timeout: Duration,
    },
    /// A timeout is longer than the layer's assurance level allows.
    #[error("{name} must be at most {longest:?} at {level} (NIST SP 800-63B-4), not {value:?}")]
    Assurance {
        /// The level of the layer.
        level: AssuranceLevel,
        /// The names of the setters.
        name: &'static str,
        /// The timeout that they add up to.
        value: Duration,
        /// The longest that the level allows.
        longest: Duration,
    },
    /// A header carries the token, which no browser binds to its device.
    #[cfg(feature = "device-bound")]
    #[error("device_binding needs a cookie, and this layer carries its token in a header")]
    DeviceHeader,
    /// The session cookie is never `Secure`, and browsers bind nothing over plain HTTP.
    #[cfg(feature = "device-bound")]
    #[error(
        "device_binding needs a Secure cookie: leave its policy at SecurePolicy::Always, or at SameAsRequest"
    )]
    DeviceCookie,
    /// The path of the endpoints is no plain absolute path, or the session cookie isn't sent to it.
    #[cfg(feature = "device-bound")]
    #[error(
        "device_binding: `{path}` must be an absolute path of letters, digits and -._~, such as /session/device, below the Path of the session cookie"
    )]
    DevicePath {
        /// The path.
        path: String,
    },
    /// Another layer of this process answers at that path, for another cookie.
    ///
    /// Layers don't know each other, so all those of a process count as long as they exist: also
    /// those of two applications that never see the same request, and of tests that run at a time.
    /// Any other path will do.
    #[cfg(feature = "device-bound")]
    #[error(
        "device_binding: the layer of the cookie `{other}` answers at `{path}` already; give this one another path"
    )]
    DevicePathTaken {
        /// The path.
        path: String,
        /// The name of the other layer's session cookie.
        other: String,
    },
    /// A proof counts for too short or too long.
    #[cfg(feature = "device-bound")]
    #[error(
        "device_binding: proof_lifetime must be from 2 s to a day, not {lifetime:?}, and accept_stale_when_skipped at most a day, not {stale:?}"
    )]
    DeviceLifetime {
        /// How long a proof counts.
        lifetime: Duration,
        /// How long it still counts after that.
        stale: Duration,
    },
    /// Nobody said how to make the body of a response.
    #[cfg(feature = "device-bound")]
    #[error("device_binding: without axum, DeviceBinding::body has to say how to make a body")]
    DeviceBody,
    /// The limit allows no session per owner, so nobody could sign in.
    #[error("max_sessions_per_owner must be at least 1")]
    SessionLimit,
    /// The layer allows sessions larger than the store can hold, or than 1 GiB.
    #[error("max_session_bytes is {limit}, but the store holds at most {largest} bytes a session")]
    SessionBytes {
        /// The size that the layer allows, in bytes.
        limit: u64,
        /// The size that is possible, in bytes.
        largest: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[test]
    fn the_presets_keep_their_level_with_the_touch_interval_that_comes_with_them() {
        for level in [
            AssuranceLevel::Aal1,
            AssuranceLevel::Aal2,
            AssuranceLevel::Aal3,
        ] {
            for idle in [level.idle_timeout(), level.longest_idle_timeout()] {
                let idle = IdleLimit::new(idle);
                check_assurance(level, idle, level.absolute_timeout()).unwrap();
            }
            let longer = level.absolute_timeout() + Duration::from_millis(1);
            let idle = IdleLimit::new(level.idle_timeout());
            check_assurance(level, idle, longer).unwrap_err();
        }
        let late = IdleLimit::new(15 * MINUTE);
        check_assurance(AssuranceLevel::Aal3, late, HOUR).unwrap_err();
        check_assurance(AssuranceLevel::Aal2, late, HOUR).unwrap();
    }
}
