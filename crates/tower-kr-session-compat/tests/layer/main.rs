//! The layer as an application of tower-sessions meets it, for both versions at once.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

mod bridge;
mod limits;
mod meaning;
mod moving;
mod owners;
mod races;
mod scenarios;
#[path = "../support/mod.rs"]
mod support;

/// Repeats tests for each version: `tower_sessions` is our module, `peer` their crate.
macro_rules! for_each_version {
    ($($tests:item)+) => {
        mod version_0_14 {
            #[allow(unused_imports, reason = "not each test needs the peer")]
            use ::tower_sessions_0_14 as peer;
            use tower_kr_session_compat::tower_sessions_0_14 as tower_sessions;

            $($tests)+
        }

        mod version_0_15 {
            #[allow(unused_imports, reason = "not each test needs the peer")]
            use ::tower_sessions_0_15 as peer;
            use tower_kr_session_compat::tower_sessions_0_15 as tower_sessions;

            $($tests)+
        }
    };
}
pub(crate) use for_each_version;
