//! What a request knows of its session: plain data, and decisions on it without I/O.

use std::{collections::BTreeMap, mem, sync::Arc};

use bytes::Bytes;

use super::{notes::Notes, view::View};
#[cfg(feature = "device-bound")]
use crate::{device::Carried, model::Owner};
use crate::{
    error::SessionError,
    model::{
        ApplyOutcome, Delta, Instants, Operation, Receipt, Record, SignIn, Timestamp, Token,
        TokenState, Values, change, find, integer_bytes, key::KeyBuf,
    },
    store::StoreError,
    transport::{Candidates, CookieChange},
};

#[derive(Default)]
pub(super) struct Request {
    pub(super) view: View,
    /// The tokens of further cookies. A sign-in, or the end of the session, ends theirs too.
    others: Vec<Token>,
    pub(super) notes: Option<Box<Notes>>,
    /// Values that this request wrote at once, over those of the record; sorted by key.
    written: Vec<(KeyBuf, Option<Bytes>)>,
    /// What the response has to tell the client.
    pub(super) cookie: Option<Box<CookieChange>>,
    pub(super) first_contact: Option<Timestamp>,
    /// Why the store is not asked any more: nobody knows what an earlier call did.
    pub(super) poison: Option<Box<SessionError>>,
    /// Why noted changes can't be stored any more, for a handle that outlives the request and
    /// saves.
    pub(super) lost: Option<Box<SessionError>>,
    /// The bytes that the values of a session may have.
    max_bytes: u64,
    /// The store answers at once: to load a record anew costs nothing.
    loads_anew: bool,
    /// What was taken from the notes before counts no more: it was discarded meanwhile.
    discarded: bool,
    /// A call asks the store: the others wait for their turn.
    pub(super) has_turn: bool,
    /// A change is on its way. If it still is when the next call begins, its call was dropped.
    pub(super) in_flight: bool,
    /// Whether this request has seen the session alive: then a later "missing" means that it ended
    /// meanwhile.
    pub(super) seen_alive: bool,
    /// Whether a record that this request loaded had an owner.
    pub(super) owned: Option<bool>,
    /// Whether this request started the session.
    pub(super) started: bool,
    /// Whether this request has moved the idle deadline.
    touched: bool,
    /// The head of the response has left, or never will.
    pub(super) head_sent: bool,
    /// The request ended without a commit.
    abandoned: bool,
    /// A token may need a proof of the session's device: nothing is written before that is known.
    #[cfg(feature = "device-bound")]
    pub(super) asks_for_proof: bool,
    /// What it has to do with the device. One word, since most requests have nothing to do with
    /// one.
    #[cfg(feature = "device-bound")]
    pub(super) proof: Option<Box<Proof>>,
}

/// What a request has to do with the device of its session.
#[cfg(feature = "device-bound")]
#[derive(Default)]
pub(super) struct Proof {
    pub(super) carried: Carried,
    /// The session whose proof is missing.
    pub(super) unproven: Option<Unproven>,
}

/// A live session whose token came without a proof of its device.
#[cfg(feature = "device-bound")]
pub(super) struct Unproven {
    pub(super) token: Token,
    pub(super) owner: Option<Owner>,
}

/// Where the value of a key stands.
pub(super) enum Lookup {
    /// The value, or `None` if there is none.
    Found(Option<Bytes>),
    /// In this record, or nowhere.
    Record(Arc<Record>),
}

/// Where an immediate operation on a key belongs.
pub(super) enum Place {
    /// On the notes: the key is noted, or there is no session.
    Notes,
    /// At the store, under this token.
    Store(Token),
}

static NO_NOTES: Notes = Notes::new(0);

impl Request {
    pub(super) fn new(candidates: Candidates, max_bytes: u64, loads_anew: bool) -> Self {
        Self {
            view: View::Unread(candidates),
            max_bytes,
            loads_anew,
            ..Self::default()
        }
    }

    /// The times by which a call is judged. A handle that outlives the request is judged by the
    /// time of each call alone, or it could bring back what expired since.
    pub(super) fn contact(&mut self, now: Timestamp, cookie_name: &str) -> Instants {
        if let View::Unread(candidates) = &self.view {
            self.view = View::of(candidates, cookie_name);
        }
        let first_contact = *self.first_contact.get_or_insert(now);
        if self.head_sent {
            self.doubt_after(now);
            return Instants::at(now);
        }
        Instants { first_contact, now }
    }

    /// Begins the turn of a call, unless another one has it.
    pub(super) const fn begin_turn(&mut self) -> bool {
        !mem::replace(&mut self.has_turn, true)
    }

    // What is noted.

    pub(super) fn notes(&self) -> &Notes {
        self.notes.as_deref().unwrap_or(&NO_NOTES)
    }

    /// The notes, to add to them.
    pub(super) fn notes_mut(&mut self) -> &mut Notes {
        let max_bytes = self.max_bytes;
        self.notes
            .get_or_insert_with(|| Box::new(Notes::new(max_bytes)))
    }

    /// Takes the noted values, for an operation that carries them along.
    pub(super) fn take_values(&mut self) -> Delta {
        self.discarded = false;
        match &mut self.notes {
            Some(notes) => notes.take_values(),
            None => Delta::new(self.max_bytes),
        }
    }

    /// Puts values that were taken and not stored back, unless the request they belong to is over.
    pub(super) fn put_back(&mut self, taken: Delta) {
        if self.discarded || (!taken.clear && taken.changes().is_empty()) {
            return;
        }
        if self.abandoned {
            return self.lose(SessionError::Interrupted);
        }
        self.notes_mut().put_back(taken);
    }

    /// Drops what is noted; a later `save` says why.
    pub(super) fn lose(&mut self, error: SessionError) {
        self.notes = None;
        self.lost = Some(Box::new(error));
    }

    pub(super) fn discard(&mut self) {
        self.notes = None;
        self.discarded = true;
    }

    /// The request ends without a commit: what it noted dies with it.
    pub(super) fn abandon(&mut self) {
        self.head_sent = true;
        self.abandoned = true;
        if !self.notes().is_empty() {
            self.lose(SessionError::Interrupted);
        }
    }

    // What is known.

    /// The token of the session, unless it is known that it opens nothing.
    pub(super) const fn own_token(&self) -> Option<Token> {
        match &self.view {
            View::Alive(token, _) | View::Unknown(token) => Some(*token),
            _ => None,
        }
    }

    /// Whether it is known which session is meant, and that its token counts here.
    pub(super) const fn is_unambiguous(&self) -> bool {
        #[cfg(feature = "device-bound")]
        if self.asks_for_proof && matches!(self.view, View::Unknown(_)) {
            return false;
        }
        !matches!(self.view, View::Several(_))
    }

    /// Whether it can't be known which session is meant. A request that ends them all, or signs in,
    /// means no single one.
    pub(super) fn is_ambiguous(&self, notes: &Notes) -> bool {
        let ends_all = notes.destroy || notes.sign_in().is_some();
        matches!(self.view, View::Ambiguous) && (self.others.is_empty() || !ends_all)
    }

    /// Takes the tokens whose sessions end with this one. Those that look expired are among them:
    /// the clock may be ahead.
    pub(super) fn take_others(&mut self) -> Vec<Token> {
        let mut tokens = mem::take(&mut self.others);
        if let View::Expired(token) | View::Ended(token) = self.view {
            tokens.push(token);
        }
        tokens
    }

    pub(super) fn record(&self) -> Option<&Arc<Record>> {
        match &self.view {
            View::Alive(_, record) => record.as_ref(),
            _ => None,
        }
    }

    /// Whether the record is here, or it is known that there is no session.
    pub(super) const fn record_is_known(&self) -> bool {
        !matches!(self.view, View::Alive(_, None)) && self.presence_is_known()
    }

    /// Whether it is known that there is a session, or that there is none.
    pub(super) const fn presence_is_known(&self) -> bool {
        !matches!(
            self.view,
            View::Unread(_) | View::Unknown(_) | View::Several(_)
        )
    }

    /// Ends the session of another user whose place the user who signs in takes: none of its values
    /// is seen from then on.
    pub(super) fn leave_other_owner(&mut self) {
        if self.is_of_other_owner(self.notes().sign_in()) {
            self.notes_mut().destroy = true;
        }
    }

    pub(super) fn is_of_other_owner(&self, sign_in: Option<&SignIn>) -> bool {
        let owner = self.record().and_then(|record| record.owner.as_ref());
        matches!((sign_in, owner), (Some(sign_in), Some(owner)) if sign_in.owner != *owner)
    }

    /// Looks up the value of a key. Returns `None` if the record has to be loaded first.
    pub(super) fn look_up(&mut self, key: &str) -> Option<Lookup> {
        if let Some(noted) = self.notes().value(key) {
            return Some(Lookup::Found(noted.cloned()));
        }
        // Whose session it is decides whether its values still count.
        if !self.record_is_known() && self.notes().sign_in().is_some() {
            return None;
        }
        self.leave_other_owner();
        match &self.view {
            View::Alive(..) if self.notes().destroy => Some(Lookup::Found(None)),
            View::Alive(_, record) => match find(&self.written, key) {
                Ok(index) => Some(Lookup::Found(self.written[index].1.clone())),
                Err(_) => record.clone().map(Lookup::Record),
            },
            _ => self.record_is_known().then_some(Lookup::Found(None)),
        }
    }

    /// All values, once the record is loaded.
    pub(super) fn values(&self) -> BTreeMap<&str, &[u8]> {
        let notes = self.notes();
        let mut values = BTreeMap::new();
        let mut written = &[][..];
        if !notes.hides_stored() {
            let record = self.record().into_iter();
            values.extend(record.flat_map(|record| record.values.iter()));
            written = &self.written;
        }
        for (key, value) in written.iter().chain(notes.delta.changes()) {
            match value {
                Some(value) => values.insert(key.as_str(), value),
                None => values.remove(key.as_str()),
            };
        }
        values
    }

    /// All values as one run, once the record is loaded.
    pub(super) fn snapshot(&self) -> Values {
        let plain = self.written.is_empty() && self.notes().is_empty();
        match self.record() {
            Some(record) if plain => record.values.clone(),
            _ => {
                let values = self.values();
                let edits: Vec<_> = values
                    .iter()
                    .map(|(key, value)| (*key, Some(*value)))
                    .collect();
                Values::default().edited(true, &edits)
            }
        }
    }

    /// Where an immediate operation on this key belongs. Returns `None` if the record has to be
    /// loaded first.
    ///
    /// # Errors
    /// If the session can't be written to.
    pub(super) fn place(&mut self, key: &str) -> Result<Option<Place>, SessionError> {
        let signing_in = self.notes().sign_in().is_some();
        if !self.is_unambiguous() || (signing_in && !self.record_is_known()) {
            return Ok(None);
        }
        self.leave_other_owner();
        match &self.view {
            _ if self.is_ambiguous(self.notes()) => Err(SessionError::AmbiguousCookie),
            _ if self.notes().value(key).is_some() => Ok(Some(Place::Notes)),
            View::Alive(token, _) | View::Unknown(token) => Ok(Some(Place::Store(*token))),
            _ if self.head_sent => {
                Err(SessionError::ResponseSent("a session can't start any more"))
            }
            View::Superseded if !signing_in => Err(SessionError::Superseded),
            View::Ended(_) if !signing_in => Err(SessionError::Ended),
            #[cfg(feature = "device-bound")]
            _ if self.waits_for_proof() && !signing_in => Err(SessionError::ProofMissing),
            _ => Ok(Some(Place::Notes)),
        }
    }

    // What a call to the store finds.

    /// # Errors
    /// If an earlier call failed or was dropped, so that nobody knows what the store has.
    pub(super) fn check(&mut self) -> Result<(), SessionError> {
        if mem::take(&mut self.in_flight) {
            self.poison
                .get_or_insert_with(|| Box::new(SessionError::Interrupted));
        }
        match &self.poison {
            None => Ok(()),
            Some(error) => Err(SessionError::clone(error)),
        }
    }

    /// A store that failed once is not asked again in this request: nobody knows what it did.
    pub(super) fn fail(&mut self, error: StoreError) -> SessionError {
        let error = SessionError::Store(error);
        self.poison = Some(Box::new(error.clone()));
        error
    }

    /// The token to load next, until it is known whether there is a session and what it holds.
    pub(super) fn to_load(&self) -> Option<Token> {
        match &self.view {
            View::Unknown(token) | View::Alive(token, None) => Some(*token),
            View::Several(choice) => choice.tokens[..choice.left].last().copied(),
            _ => None,
        }
    }

    /// Takes in what a load found. Returns whether it is now plain that several sessions are live.
    pub(super) fn loaded(
        &mut self,
        token: Token,
        state: TokenState,
        record: Option<Arc<Record>>,
    ) -> bool {
        let View::Several(choice) = &mut self.view else {
            self.settle(token, state, record);
            return false;
        };
        choice.left -= 1;
        let index = choice.left;
        match (state, &choice.best) {
            (TokenState::Current, Some((_, TokenState::Current, _))) => {
                self.others = mem::take(&mut choice.tokens);
                self.view = View::Ambiguous;
                return true;
            }
            (TokenState::Current, _)
            | (TokenState::Superseded, Some((_, TokenState::Missing, _)))
            | (_, None) => choice.best = Some((index, state, record)),
            _ => {}
        }
        if choice.left == 0
            && let Some((index, state, record)) = choice.best.take()
        {
            self.others = mem::take(&mut choice.tokens);
            let token = self.others.swap_remove(index);
            self.settle(token, state, record);
        }
        false
    }

    fn settle(&mut self, token: Token, state: TokenState, record: Option<Arc<Record>>) {
        self.view = match state {
            TokenState::Current => {
                // The snapshot is newer than what this request wrote before.
                self.written.clear();
                self.seen_alive = true;
                if let Some(record) = &record {
                    self.owned = Some(record.owner.is_some() || self.owned == Some(true));
                }
                View::Alive(token, record)
            }
            TokenState::Superseded => View::Superseded,
            TokenState::Missing => return self.missing(token),
        };
    }

    /// Takes in that the token opens nothing.
    pub(super) fn missing(&mut self, token: Token) {
        self.view = match self.seen_alive {
            true => View::Ended(token),
            false => View::Expired(token),
        };
    }

    /// Lets go of what was read before a write, if it is worthless after that, or costs nothing to
    /// load anew: a store in memory can then edit the record in place. A handle that outlives its
    /// request must not be left with what it read before.
    pub(super) fn before_write(&mut self, delta: &mut Delta) {
        let seen = self.record().filter(|_| !self.loads_anew && !self.touched);
        delta.seen = seen.map(Arc::clone);
        if !delta.is_touch() && (self.loads_anew || self.head_sent || delta.clear) {
            self.forget_values();
        }
    }

    /// Takes in a change that the store made.
    pub(super) fn applied(&mut self, token: Token, delta: &Delta, receipt: &Receipt) {
        self.seen_alive = true;
        self.touched = true;
        if !matches!(self.view, View::Alive(..)) {
            self.view = View::Alive(token, None);
        }
        if self.loads_anew || self.head_sent {
            return;
        }
        for (key, value) in delta.changes() {
            change(&mut self.written, key.clone(), value.clone());
        }
        if let Some((key, operation)) = &delta.operation {
            let value = match operation {
                Operation::Increment(_) => receipt.incremented.map(integer_bytes),
                Operation::CompareAndSet { new, .. } => new.clone(),
            };
            change(&mut self.written, key.clone(), value);
        }
    }

    /// What it means that the store refused an operation on one value: `None` if there is no
    /// session.
    ///
    /// # Errors
    /// If the session is gone, or would become too large.
    pub(super) fn refused_operation(
        &self,
        outcome: ApplyOutcome,
    ) -> Result<Option<ApplyOutcome>, SessionError> {
        match outcome {
            ApplyOutcome::Missing if self.seen_alive => Err(SessionError::Ended),
            ApplyOutcome::Missing => Ok(None),
            ApplyOutcome::Superseded => Err(SessionError::Superseded),
            ApplyOutcome::TooLarge { size } => Err(SessionError::TooLarge {
                size,
                limit: self.max_bytes,
            }),
            refused => Ok(Some(refused)),
        }
    }

    /// Forgets all values, so that the next read asks the store.
    pub(super) fn forget_values(&mut self) {
        self.written.clear();
        if let View::Alive(_, record) = &mut self.view {
            *record = None;
        }
    }

    /// The session is none of this request's any more.
    pub(super) fn leave(&mut self) {
        self.view = View::Absent;
        self.seen_alive = false;
        self.started = false;
        self.written.clear();
        #[cfg(feature = "device-bound")]
        if let Some(cookie) = &mut self.cookie {
            cookie.take_offer();
        }
    }

    /// The session goes on, or starts, under this token.
    pub(super) fn adopt(&mut self, token: Token, cookie: CookieChange) {
        #[cfg(feature = "device-bound")]
        let cookie = match self.cookie.take() {
            Some(earlier) => cookie.after(*earlier),
            None => cookie,
        };
        self.cookie = Some(Box::new(cookie));
        self.seen_alive = true;
        self.touched = true;
        self.view = View::Alive(token, None);
    }

    /// Whether this request only read, and found the idle deadline stale.
    pub(super) fn touch_is_due(&self, now: Timestamp) -> bool {
        !self.touched
            && match &self.view {
                View::Alive(_, Some(record)) => record.touch_is_due(now),
                // A change let go of the record, and was refused.
                View::Alive(_, None) => true,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_that_was_taken_and_not_stored_counts_again_unless_it_was_discarded() {
        for discards in [false, true] {
            let mut request = Request::new(Candidates::None, 100, false);
            request.notes_mut().clear();
            let taken = request.take_values();
            assert!(!request.notes().hides_stored());
            if discards {
                request.discard();
            }
            request.put_back(taken);
            assert_eq!(request.notes().hides_stored(), !discards);
        }
    }
}
