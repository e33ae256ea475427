//! Who is next, within this process.

use tokio::sync::{Mutex, MutexGuard};
use tower_kr_session::SessionId;

/// Enough that two busy sessions seldom meet.
const STRIPES: usize = 256;

/// Calls on one session queue up here, in order, before they take a connection. So a session that gets many requests at once
/// holds one connection, not all of them, and no one polls for a lock that a neighbour holds.
pub(crate) struct Turns {
    stripes: Box<[Mutex<()>]>,
}

/// Waits for nobody once it is there; the next one in the queue goes on when it is dropped.
pub(crate) type Turn<'a> = MutexGuard<'a, ()>;

impl Turns {
    /// With `single_writer`, all writes of the process take turns.
    pub(crate) fn new(single_writer: bool) -> Self {
        let stripes = if single_writer { 1 } else { STRIPES };
        Self {
            stripes: (0..stripes).map(|_| Mutex::new(())).collect(),
        }
    }

    /// The turn to change this session.
    pub(crate) async fn on(&self, id: SessionId) -> Turn<'_> {
        // The end of an id is random.
        let tail = usize::from(id.as_bytes()[15]);
        self.stripes[tail % self.stripes.len()].lock().await
    }

    /// The turn to write what isn't one known session.
    pub(crate) async fn to_write(&self) -> Option<Turn<'_>> {
        match &*self.stripes {
            [single] => Some(single.lock().await),
            _ => None,
        }
    }
}
