//! The modules for the versions of tower-sessions: their names, and how each is driven.

/// Writes the module of a version: its public names, and how it is driven.
macro_rules! version {
    ($module:ident, $peer:ident, $number:literal, $intro:literal) => {
        #[doc = $intro]
        ///
        /// The module has all names of that crate's root. `SessionManagerLayer` and `MemoryStore`
        /// are ours, so that the `use` of an application is all that changes:
        ///
        #[doc = concat!("```\nuse tower_kr_session_compat::", stringify!($module), "::{MemoryStore, Session, SessionManagerLayer};")]
        ///
        /// async fn count(session: Session) -> String {
        ///     let count: u32 = session.get("count").await.unwrap().unwrap_or_default();
        ///     session.insert("count", count + 1).await.unwrap();
        ///     count.to_string()
        /// }
        ///
        /// let layer = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
        /// # layer.check()?;
        /// # Ok::<(), tower_kr_session::ConfigError>(())
        /// ```
        pub mod $module {
            use std::sync::Arc;

            use ::$peer::{
                cookie::SameSite,
                session::{Id, Record},
                session_store::{Error, Result},
            };
            use async_trait::async_trait;
            use time::OffsetDateTime;
            use tower_kr_session::cookie::SameSite as OurSameSite;

            pub use ::$peer::*;
            #[doc(no_inline)]
            pub use tower_kr_session::MemoryStore;

            use crate::{
                decide::RawId,
                lifetime::Lifetime,
                old_store::{OldRecord, OldStore},
                request_store::{Loaded, RequestStore},
            };

            #[doc = concat!("The layer for tower-sessions ", $number, ".")]
            pub type SessionManagerLayer = crate::manager::SessionManagerLayer<Version>;

            #[doc = concat!("The bridge to tower-sessions ", $number, ", for an application with a `SessionLayer` of its own.")]
            pub type Bridge = crate::bridge::Bridge<Version>;

            #[doc = concat!("tower-sessions ", $number, ".")]
            #[derive(Clone, Copy, Debug)]
            pub enum Version {}

            impl SessionManagerLayer {
                /// Sets which requests from other sites carry the cookie. Default: none (`Strict`).
                #[must_use]
                pub fn with_same_site(self, same_site: SameSite) -> Self {
                    self.same_site(Some(match same_site {
                        SameSite::Strict => OurSameSite::Strict,
                        SameSite::Lax => OurSameSite::Lax,
                        SameSite::None => OurSameSite::None,
                    }))
                }

                /// Moves the sessions of the store that the application had before, so that nobody
                /// has to sign in again.
                ///
                /// A request that brings no cookie of ours but the old one is held until its
                /// session is here: values, user (see [`with_owner`](Self::with_owner)) and the
                /// time that is left to it. The old record is deleted. This takes a few calls once
                /// for each browser, and three for each request with an old cookie that opens
                /// nothing any more. If either store fails, the request is answered with 503.
                ///
                /// Leave it in for as long as the longest old session lives, 14 days unless an
                /// `Expiry` said otherwise, and then drop the old store.
                #[must_use]
                pub fn with_old_store(self, store: impl SessionStore) -> Self {
                    self.old_store(Arc::new(Old(store)))
                }
            }

            impl crate::version::Version for Version {
                type Session = Session;
                type Expiry = Expiry;

                fn session(
                    id: Option<RawId>,
                    store: Arc<RequestStore>,
                    expiry: Option<Expiry>,
                ) -> Session {
                    Session::new(id.map(Id), store, expiry)
                }

                fn expiry(session: &Session) -> Option<Expiry> {
                    session.expiry()
                }

                fn is_modified(session: &Session) -> bool {
                    session.is_modified()
                }

                async fn is_empty(session: &Session) -> bool {
                    session.is_empty().await
                }

                async fn save(session: &Session) -> bool {
                    session.save().await.is_ok()
                }

                fn lifetime(expiry: Option<Expiry>) -> Lifetime {
                    match expiry {
                        None | Some(Expiry::OnSessionEnd) => Lifetime::BrowserSession,
                        Some(Expiry::OnInactivity(duration)) => Lifetime::inactivity(duration),
                        Some(Expiry::AtDateTime(time)) => Lifetime::until(time),
                    }
                }

                fn parse_id(text: &str) -> Option<RawId> {
                    text.parse().ok().map(|Id(id)| id)
                }
            }

            /// tower-sessions turns each error into a text of its own.
            fn failed(error: impl ToString) -> Error {
                Error::Backend(error.to_string())
            }

            #[async_trait]
            impl SessionStore for RequestStore {
                async fn create(&self, record: &mut Record) -> Result<()> {
                    let stored = Self::create(self, record.id.0, &record.data).await;
                    record.id = Id(stored.map_err(failed)?);
                    Ok(())
                }

                async fn save(&self, record: &Record) -> Result<()> {
                    let saved = Self::save(self, record.id.0, &record.data).await;
                    saved.map_err(failed)
                }

                async fn load(&self, id: &Id) -> Result<Option<Record>> {
                    let loaded = Self::load(self, id.0).await.map_err(failed)?;
                    Ok(loaded.map(|Loaded { id, data }| Record {
                        id: Id(id),
                        data,
                        // `Session` neither shows it nor looks at it: a load finds what is alive.
                        expiry_date: OffsetDateTime::UNIX_EPOCH,
                    }))
                }

                async fn delete(&self, id: &Id) -> Result<()> {
                    Self::delete(self, id.0).await.map_err(failed)
                }
            }

            struct Old<S>(S);

            #[async_trait]
            impl<S: SessionStore> OldStore for Old<S> {
                async fn load(&self, id: RawId) -> std::result::Result<Option<OldRecord>, String> {
                    let record = self.0.load(&Id(id)).await.map_err(|error| error.to_string())?;
                    let now = OffsetDateTime::now_utc();
                    // Not every store looks at the time itself.
                    let alive = record.filter(|record| record.expiry_date > now);
                    Ok(alive.map(|record| OldRecord {
                        data: record.data,
                        expires_at: std::time::SystemTime::from(record.expiry_date).into(),
                    }))
                }

                async fn delete(&self, id: RawId) -> std::result::Result<(), String> {
                    self.0.delete(&Id(id)).await.map_err(|error| error.to_string())
                }
            }
        }
    };
}

#[cfg(feature = "tower-sessions-0_14")]
version!(
    tower_sessions_0_14,
    tower_sessions_0_14,
    "0.14",
    "tower-sessions 0.14, which axum-login 0.18 and axum-messages 0.8 use."
);

#[cfg(feature = "tower-sessions-0_15")]
version!(
    tower_sessions_0_15,
    tower_sessions_0_15,
    "0.15",
    "tower-sessions 0.15."
);
