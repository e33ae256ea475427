//! Measures many live sessions: their memory, and the cost of a request among them. Each candidate
//! has its own process, so that what another one leaves in the heap doesn't count.

pub mod child;
mod parent;

pub use parent::{Crowd, compare};

/// The numbers of live sessions.
pub const POPULATIONS: [u32; 3] = [1_000, 100_000, 500_000];
