//! What a layer was set up with, checked once and shared by all its requests.

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
    clock::{Clock, Timestamp},
    delta::IdleLimit,
    error::{ConfigError, MAX_TIMEOUT, SessionError},
    events::Events,
    record::Record,
    session_limit::SessionLimit,
    site_data::SiteData,
    store::erased::ErasedStore,
};

pub(crate) type ErrorHook = Arc<dyn Fn(&SessionError, &mut response::Parts) + Send + Sync>;
pub(crate) type Predicate = Arc<dyn Fn(&request::Parts) -> bool + Send + Sync>;

/// Sessions of more than this are no sessions; it also keeps the encoding's 32-bit offsets far from their end.
const MAX_SESSION_BYTES: u64 = 1024 * 1024 * 1024;

/// What the setters of a layer collect.
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
    pub(crate) fn check(&self) -> Result<Shared, ConfigError> {
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
            level.check(idle, absolute_timeout)?;
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
        Ok(Shared {
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

/// The settings as requests use them.
pub(crate) struct Shared {
    pub(crate) store: Arc<ErasedStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cookie: CookieTemplate,
    pub(crate) idle: IdleLimit,
    /// Of a session that nobody has signed in to.
    pub(crate) anonymous_idle: IdleLimit,
    pub(crate) absolute_timeout: Duration,
    /// The longest that a handler may give one session.
    pub(crate) longest_idle_timeout: Duration,
    pub(crate) longest_absolute_timeout: Duration,
    pub(crate) io_timeout: Duration,
    pub(crate) max_session_bytes: u64,
    pub(crate) session_limit: SessionLimit,
    /// Goes with the cookie's removal.
    pub(crate) clear_site_data: Option<HeaderValue>,
    pub(crate) on_error: Option<ErrorHook>,
    pub(crate) https_when: Predicate,
    /// Asked only if the cookie is not essential.
    pub(crate) consent_when: Option<Predicate>,
    /// When [`Sessions`](crate::Sessions) last ended all sessions of somebody.
    pub(crate) last_revocation: AtomicI64,
    pub(crate) events: Arc<Events>,
    withheld_was_logged: AtomicBool,
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time of a sign-in or a revocation: after every revocation that this process has seen through, also within one
    /// millisecond. So a handler can end a user's other sessions and then sign him in.
    pub(crate) fn now_after_revocations(&self) -> Timestamp {
        let revoked = self.last_revocation.load(Ordering::SeqCst);
        self.clock
            .exact_now()
            .max(Timestamp::from_unix_millis(revoked.saturating_add(1)))
    }

    /// The limit that a session gets when its user signs in, if it has the one of anonymous sessions.
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

    /// Whether cookies of this layer depend on the head of the request.
    pub(crate) fn asks_for_head(&self) -> bool {
        self.asks_for_scheme() || self.consent_when.is_some()
    }

    fn asks_for_scheme(&self) -> bool {
        self.cookie.secure_policy() == SecurePolicy::SameAsRequest
    }

    pub(crate) fn is_https(&self, parts: &request::Parts) -> bool {
        self.asks_for_scheme() && (self.https_when)(parts)
    }

    pub(crate) fn withholds_cookie(&self, parts: &request::Parts) -> bool {
        self.consent_when
            .as_ref()
            .is_some_and(|consents| !consents(parts))
    }

    /// Every visitor may do this for long, so it is told once.
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
/// A server whose requests don't carry the scheme in their URI (HTTP/1.1 never does) puts it into the request's extensions
/// where it accepts TLS connections.
#[derive(Clone, Copy, Debug)]
pub struct Https;

pub(crate) fn is_https(parts: &request::Parts) -> bool {
    parts.uri.scheme() == Some(&Scheme::HTTPS) || parts.extensions.get::<Https>().is_some()
}

pub(crate) fn is_timeout(value: Duration, longest: Duration) -> bool {
    value >= Duration::from_millis(1) && value <= longest
}

/// Limits are kept in milliseconds: what a record carries must be what a store gives back.
pub(crate) fn whole_millis(value: Duration) -> Duration {
    Duration::from_millis(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
}
