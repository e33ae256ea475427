//! What a token was that opened nothing: one whose session is over, or the id of a live session with a wrong secret, which is a sign of
//! theft. It is for the operator alone. The client's answer doesn't depend on it, nor does it wait.

use std::sync::Arc;

use super::state::State;
use crate::{
    config::Shared,
    model::{Instants, Record},
};

impl State {
    /// Tells what a load found. A session that this request has seen alive ended meanwhile: that was told when it did.
    #[cold]
    pub(super) fn tell_missing(&self, shared: &Shared, record: Option<&Record>, at: Instants) {
        if let (Some(token), false) = (&self.token, self.seen_alive) {
            shared.events.opened_nothing(token.id(), record, at);
        }
    }

    /// A change or a removal says only that it found no session of this token: one look at the record tells the rest. It goes on beside
    /// the request, in a task of its own, unless the store answers at once.
    #[cold]
    pub(super) fn ask_what_is_missing(&self, shared: &Shared, at: Instants) {
        let (Some(token), false) = (&self.token, self.seen_alive) else {
            return;
        };
        let id = token.id();
        if let Some(store) = shared.store.immediate() {
            let record = store.load_now(id, at.first_contact).ok().flatten();
            return shared.events.opened_nothing(id, record.as_deref(), at);
        }
        let (store, events) = (Arc::clone(&shared.store), Arc::clone(&shared.events));
        let io_timeout = shared.io_timeout;
        let look = async move {
            // Without an answer it counts as what it mostly is.
            let answer = store.load(io_timeout, id, at.first_contact).await;
            events.opened_nothing(id, answer.ok().flatten().as_deref(), at);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(look)),
            Err(_) => shared.events.expired(id, at.now),
        }
    }
}
