//! The settings of a layer: their checks, and the form in which all its requests share them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, request, response, uri::Scheme};
use kr_cookie::{CookieBuilder, CookieTemplate, SecurePolicy};

use crate::{
    assurance::AssuranceLevel,
    error::SessionError,
    model::{Clock, IdleLimit, Record, Timestamp, is_timeout, whole_millis},
    session_limit::SessionLimit,
    site_data::SiteData,
    store::erased::ErasedStore,
    telemetry::events::Events,
};

pub(crate) type ErrorHook = Arc<dyn Fn(&SessionError, &mut response::Parts) + Send + Sync>;
pub(crate) type Predicate = Arc<dyn Fn(&request::Parts) -> bool + Send + Sync>;

/// The largest size of a session, in bytes. It also keeps the encoding's 32-bit offsets far from
/// overflow.
const MAX_SESSION_BYTES: u64 = 1024 * 1024 * 1024;

/// The settings of a layer, as its setters collect them.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) store: Arc<ErasedStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cookie: CookieBuilder,
    pub(crate) assurance: Option<AssuranceLevel>,
    pub(crate) idle_timeout: Duration,
    pub(crate) anonymous_idle_timeout: Option<Duration>,
    pub(crate) absolute_timeout: Duration,
    pub(crate) io_timeout: Duration,
    pub(crate) touch_interval: Option<Duration>,
    pub(crate) max_session_bytes: u64,
    pub(crate) session_limit: SessionLimit,
    pub(crate) clear_site_data: Vec<SiteData>,
    pub(crate) on_error: Option<ErrorHook>,
    pub(crate) https_when: Predicate,
    pub(crate) consent_when: Option<Predicate>,
}

impl Settings {
    pub(crate) fn check(&self) -> Result<Config, ConfigError> {
        for (name, value) in [
            ("idle_timeout", self.idle_timeout),
            (
                "anonymous_idle_timeout",
                self.anonymous_idle_timeout.unwrap_or(self.idle_timeout),
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
                timeout: whole_millis(self.idle_timeout),
                touch_interval: whole_millis(touch_interval),
            },
            None => IdleLimit::new(self.idle_timeout),
        };
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
        let absolute_timeout = whole_millis(self.absolute_timeout);
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
        let asks_for_consent = !cookie.is_essential();
        Ok(Config {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            cookie,
            idle,
            anonymous_idle,
            absolute_timeout,
            longest_idle_timeout,
            longest_absolute_timeout,
            io_timeout: self.io_timeout,
            max_session_bytes: self.max_session_bytes,
            session_limit: self.session_limit,
            clear_site_data: SiteData::header(&self.clear_site_data),
            on_error: self.on_error.clone(),
            https_when: Arc::clone(&self.https_when),
            consent_when: self.consent_when.clone().filter(|_| asks_for_consent),
            withheld_was_logged: AtomicBool::new(false),
            last_revocation: AtomicI64::new(i64::MIN),
            events: Arc::new(Events::new()),
        })
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
    pub(crate) idle: IdleLimit,
    /// The idle limit of a session that nobody has signed in to.
    pub(crate) anonymous_idle: IdleLimit,
    pub(crate) absolute_timeout: Duration,
    /// The longest idle timeout that a handler may give one session.
    pub(crate) longest_idle_timeout: Duration,
    pub(crate) longest_absolute_timeout: Duration,
    pub(crate) io_timeout: Duration,
    pub(crate) max_session_bytes: u64,
    pub(crate) session_limit: SessionLimit,
    /// Sent with the cookie's removal.
    pub(crate) clear_site_data: Option<HeaderValue>,
    pub(crate) on_error: Option<ErrorHook>,
    pub(crate) https_when: Predicate,
    /// `None` if the cookie is essential.
    pub(crate) consent_when: Option<Predicate>,
    /// When [`Sessions`](crate::Sessions) last revoked all sessions of a user, in Unix
    /// milliseconds.
    pub(crate) last_revocation: AtomicI64,
    pub(crate) events: Arc<Events>,
    withheld_was_logged: AtomicBool,
}

/// What the head of a request says about its cookie.
#[derive(Clone, Copy, Default)]
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

    /// Returns the time of a sign-in or a revocation, later than every revocation that this process
    /// completed, even within one millisecond. So a handler can end a user's other sessions and
    /// then sign them in.
    pub(crate) fn now_after_revocations(&self) -> Timestamp {
        let revoked = self.last_revocation.load(Ordering::SeqCst);
        self.clock
            .exact_now()
            .max(Timestamp::from_unix_millis(revoked.saturating_add(1)))
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

    /// Returns whether the cookies of this layer depend on the head of the request.
    pub(crate) fn asks_for_head(&self) -> bool {
        self.asks_for_scheme() || self.consent_when.is_some()
    }

    fn asks_for_scheme(&self) -> bool {
        self.cookie.secure_policy() == SecurePolicy::SameAsRequest
    }

    pub(crate) fn read_head(&self, parts: &request::Parts) -> Head {
        let consents = |asks: &Predicate| asks(parts);
        Head {
            https: self.asks_for_scheme() && (self.https_when)(parts),
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
