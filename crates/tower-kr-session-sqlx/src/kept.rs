//! The connections that a store on a file keeps: some to read with, and one to write with.
//!
//! A pool pings what comes back to it. On SQLite that is one more message to the thread of the
//! connection, which costs as much as a read. SQLite also takes one writer at a time: those of this
//! process queue up here, in order, instead of polling for the lock of the file. The writer's page
//! cache stays valid, while a connection has to read its pages anew after another one wrote.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) struct Kept<C> {
    readers: Shelf<C>,
    writer: Shelf<C>,
}

impl<C> Kept<C> {
    /// Keeps this many connections, or none if it is only one, which has to read and to write.
    pub(crate) fn new(connections: u32) -> Option<Self> {
        let readers = connections.checked_sub(1).filter(|readers| *readers > 0)?;
        Some(Self {
            readers: Shelf::new(readers),
            writer: Shelf::new(1),
        })
    }

    pub(crate) async fn to_read(&self) -> Place<'_, C> {
        self.readers.place().await
    }

    pub(crate) async fn to_write(&self) -> Place<'_, C> {
        self.writer.place().await
    }
}

/// The connections that nobody uses just now, and the queue for them.
struct Shelf<C> {
    places: Semaphore,
    idle: Mutex<Vec<C>>,
}

impl<C> Shelf<C> {
    fn new(places: u32) -> Self {
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        Self {
            places: Semaphore::new(places.min(Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
        }
    }

    async fn place(&self) -> Place<'_, C> {
        Place {
            shelf: self,
            // An error if the semaphore is closed, which nobody does.
            _permit: self.places.acquire().await.ok(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<C>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use one connection. The next one in the queue gets it when it is dropped.
pub(crate) struct Place<'a, C> {
    shelf: &'a Shelf<C>,
    _permit: Option<SemaphorePermit<'a>>,
}

impl<C> Place<'_, C> {
    /// Takes a connection that is open.
    pub(crate) fn take(&self) -> Option<C> {
        self.shelf.idle().pop()
    }

    pub(crate) fn put(&self, connection: C) {
        self.shelf.idle().push(connection);
    }

    /// Closes all connections that nobody uses just now.
    pub(crate) fn close(&self) {
        self.shelf.idle().clear();
    }
}
