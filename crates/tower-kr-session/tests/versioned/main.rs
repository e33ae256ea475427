//! The adapter behind the small door: sign-ins and revocations that meet or break off at every
//! step, turns, limits, and what it does with values that it can't read.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

mod crashes;
mod faults;
mod increments;
mod map_store;
mod schedule;
mod strangers;
mod values;
