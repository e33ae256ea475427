//! How long a change of a session's device fights with other ones.

use crate::store::StoreError;

/// How often a change is tried while other requests of the session change its device.
pub(crate) const TRIES: usize = 16;

/// The error after so many tries.
pub(crate) fn contended() -> StoreError {
    StoreError::unavailable("other requests kept changing the device of the session")
}
