//! Gives out texts that no other process gives out, and random numbers.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

pub(crate) struct Nonces {
    /// Takes its seed from the operating system.
    random: RandomState,
    next: AtomicU64,
}

impl Nonces {
    pub(crate) fn new() -> Self {
        Self {
            random: RandomState::new(),
            next: AtomicU64::new(1),
        }
    }

    pub(crate) fn next(&self) -> String {
        let next = self.count();
        format!("{:016x}{next:x}", self.random.hash_one(0_u64))
    }

    /// A random number, not for secrets.
    pub(crate) fn random(&self) -> u64 {
        self.random.hash_one(self.count())
    }

    fn count(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}
