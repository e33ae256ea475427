//! A flood against [`MemoryStore`]. One test in a process of its own: it measures the whole
//! process.

#![cfg(target_os = "linux")]
// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

mod flood;

use tower_kr_session::MemoryStore;

#[test]
fn a_flood_of_anonymous_sessions_takes_no_more_memory_than_its_share_and_ends_nobody_elses() {
    let new = |share| MemoryStore::builder().anonymous_bytes(share).build();
    flood::check(new, MemoryStore::record_count, 1.5);
}
