//! Many live sessions: their memory, and what a request costs among them. Each candidate has a process of its own, so that
//! what another one leaves behind in the heap doesn't count.

pub mod child;
mod parent;

pub use parent::{Crowd, compare};

/// How many live sessions.
pub const POPULATIONS: [u32; 3] = [1_000, 100_000, 500_000];
