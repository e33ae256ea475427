//! Expiry: removes sessions some time after they expired.

use super::{Shared, shards::Shard, share::Share, table::Minute};
use crate::model::Timestamp;

/// How many places of each table the start of a session looks at. As many new sessions as a table
/// holds go round it three to seven times, so the dead add a third to the living at most.
const SWEEP: usize = 8;

impl Shared {
    /// Removes the sessions that are due at the next few places of a shard.
    pub(super) fn sweep(&self, shard: &mut Shard, now: Timestamp) {
        self.sweep_places(shard, SWEEP, now);
    }

    /// Removes all sessions that are due.
    pub(super) fn sweep_all(&self, now: Timestamp) {
        for mut shard in self.shards.iter() {
            self.sweep_places(&mut shard, usize::MAX, now);
        }
    }

    fn sweep_places(&self, shard: &mut Shard, places: usize, now: Timestamp) {
        for share in [Share::Anonymous, Share::Owned] {
            shard
                .share(share)
                .sweep(places, Minute::of(now), |slot| self.forget(slot));
        }
    }
}
