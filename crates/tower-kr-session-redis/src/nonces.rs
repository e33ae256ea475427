//! Gives out texts that no other process gives out.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

pub(crate) struct Nonces {
    process: u64,
    next: AtomicU64,
}

impl Nonces {
    pub(crate) fn new() -> Self {
        // `RandomState` takes its seed from the operating system.
        let process = RandomState::new().build_hasher().finish();
        Self {
            process,
            next: AtomicU64::new(0),
        }
    }

    pub(crate) fn next(&self) -> String {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{next:x}", self.process)
    }
}
