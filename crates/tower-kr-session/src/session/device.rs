//! What a device binding adds to a session: a request without a proof finds nothing, and a sign-in
//! offers registration.

use super::{
    Session,
    ask::Turn,
    commit::Work,
    request::{Proof, Request, Unproven},
    view::View,
};
use crate::{
    device::{
        Binding, Carried, DeviceState, Refusal, Secret, Skipped, TRIES, challenge_hash, contended,
    },
    error::SessionError,
    model::{
        ApplyOutcome, DecodeError, DeviceChange, Record, SecretHash, Timestamp, Token, TokenState,
    },
    store::{RemoveOutcome, StoreError},
};

/// The device that the session is bound to (feature `device-bound`).
impl Session {
    /// Returns how the session stands to the device that its user signed in with, as the store has
    /// it.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn device(&self) -> Result<DeviceState, SessionError> {
        let device = |request: &Request| {
            let record = request.record().filter(|_| !request.notes().destroy);
            record.map_or(DeviceState::Unbound, |record| DeviceState::of(record))
        };
        self.look(Request::record_is_known, device).await
    }

    /// Returns until when the proof that this request carries counts; `None` if the session isn't
    /// bound, or if this request began before it was. The browser proves itself again before.
    ///
    /// # Errors
    /// If the store can't answer.
    pub async fn proved_until(&self) -> Result<Option<Timestamp>, SessionError> {
        let until = |request: &Request| {
            let bytes = request.record()?.device()?;
            let binding = Binding::decode(bytes).ok()?;
            binding.proved_until(request.bound_cookies())
        };
        self.look(Request::record_is_known, until).await
    }

    /// Makes the request one whose session may need a proof, and takes in what it carries.
    pub(crate) fn ask_for_proof(&self, carried: Option<Carried>) {
        let proof = |carried| Proof {
            carried,
            unproven: None,
        };
        let mut request = self.inner.request();
        request.asks_for_proof = true;
        request.proof = carried.map(proof).map(Box::new);
    }
}

impl Request {
    /// Whether the request carries the token of a live session, without a proof of its device.
    pub(super) fn is_unproven(&self) -> bool {
        let unproven = self
            .proof
            .as_ref()
            .and_then(|proof| proof.unproven.as_ref());
        unproven.is_some() && matches!(self.view, View::Expired(_))
    }

    /// Whether nothing may start in the place of such a session: the browser says that it could not
    /// prove itself this time, and its cookie must not be replaced.
    pub(super) fn waits_for_proof(&self) -> bool {
        self.skipped().is_some() && self.is_unproven()
    }

    /// Why there is no fresh proof, if the browser says so.
    fn skipped(&self) -> Option<Skipped> {
        self.proof.as_ref()?.carried.skipped
    }

    /// The hashes of the bound cookies that the request carries.
    fn bound_cookies(&self) -> &[SecretHash] {
        match &self.proof {
            Some(proof) => &proof.carried.secrets,
            None => &[],
        }
    }
}

impl Turn<'_> {
    /// How the current token of a live session stands. Without a proof of the session's device it
    /// counts as missing. A request that has seen the session alive has proved itself before.
    ///
    /// # Errors
    /// If a later release wrote what the record says of the device.
    pub(super) fn judge_device(
        &self,
        token: Token,
        record: &Record,
    ) -> Result<TokenState, SessionError> {
        let Some(device) = &self.config().device else {
            return Ok(TokenState::Current);
        };
        let Some(bytes) = record.device().filter(|_| !self.request().seen_alive) else {
            return Ok(TokenState::Current);
        };
        let binding = match Binding::decode(bytes) {
            Ok(binding) => binding,
            Err(DecodeError::UnknownVersion { version }) => {
                let error = StoreError::UnknownVersion { version };
                return Err(self.request().fail(error));
            }
            Err(DecodeError::Corrupt) => {
                let id = token.id();
                tracing::warn!(session = %id, "a session whose device is corrupt is kept and counts as missing");
                return Ok(TokenState::Missing);
            }
        };
        let (events, now) = (&self.config().events, self.at.now);
        let skipped = self.request().skipped();
        let grace = match skipped {
            Some(reason) if binding.is_bound() => {
                events.device_skipped(token.id(), reason, now);
                device.grace
            }
            _ => std::time::Duration::ZERO,
        };
        let first_contact = self.at.first_contact;
        if binding.admits(self.request().bound_cookies(), first_contact, grace) {
            return Ok(TokenState::Current);
        }
        events.device_refused(Some(token.id()), Refusal::NoCookie, now);
        let mut request = self.request();
        // What it reads, and finds nothing, is for the user alone all the same.
        request.owned = Some(true);
        request.proof.get_or_insert_default().unproven = Some(Unproven {
            token,
            owner: record.owner.clone(),
        });
        Ok(TokenState::Missing)
    }

    /// What a sign-in does before its write. A session that lacks its proof is left, and ended if
    /// it is this user's: so they can meet a limit of one. Then the session that goes on, or
    /// starts, is to be offered a binding.
    pub(super) async fn prepare_device(&self, work: &mut Work) -> Result<(), SessionError> {
        if self.config().device.is_none() {
            return Ok(());
        }
        self.know(|request| Ok(request.record_is_known().then_some(())))
            .await?;
        self.leave_unproven(work).await?;
        self.offer_device(work);
        Ok(())
    }

    async fn leave_unproven(&self, work: &Work) -> Result<(), SessionError> {
        if self.inner.head.withheld || !self.request().is_unproven() {
            return Ok(());
        }
        let taken = |proof: &mut Box<Proof>| proof.unproven.take();
        let Some(unproven) = self.request().proof.as_mut().and_then(taken) else {
            return Ok(());
        };
        let owner = work.notes.sign_in().map(|sign_in| &sign_in.owner);
        let own = unproven.owner.as_ref() == owner;
        if !(own || work.notes.destroy) {
            self.request().leave();
            return Ok(());
        }
        if self.send_removal(&unproven.token).await? == RemoveOutcome::Removed {
            self.config().events.destroyed(unproven.token.id());
        }
        self.request().remove_cookie();
        Ok(())
    }

    /// Notes that the record keeps a new challenge, unless the session stays bound.
    fn offer_device(&self, work: &mut Work) {
        let config = self.config();
        (work.notes.delta.device, work.challenge) = (None, None);
        if !config.cookie.is_secure(self.inner.head.https) {
            return;
        }
        let request = self.request();
        let ends = work.notes.destroy || request.is_of_other_owner(work.notes.sign_in());
        let record = request.record().filter(|_| !ends);
        let before = record.and_then(|record| record.device());
        let binding = before.map(Binding::decode);
        if matches!(&binding, Some(Ok(binding)) if binding.is_bound()) {
            return;
        }
        let challenge = Secret::generate();
        let hash = challenge_hash(challenge.as_str());
        let offered = Binding::offered(hash, self.at.now).encode();
        let change = DeviceChange::new(before, offered);
        work.notes.delta.device = Some(Box::new(change));
        work.challenge = Some(Box::new(challenge));
    }

    /// Tries a sign-in again whose session got another device or offer meanwhile.
    pub(super) async fn apply_with_device(
        &self,
        token: &Token,
        work: &mut Work,
    ) -> Result<ApplyOutcome, SessionError> {
        for _ in 0..TRIES {
            self.request().forget_values();
            self.load().await?;
            match self.request().view {
                View::Alive(..) => {}
                View::Superseded => return Ok(ApplyOutcome::Superseded),
                _ => return Ok(ApplyOutcome::Missing),
            }
            self.offer_device(work);
            match self.apply(token, &mut work.notes.delta).await? {
                ApplyOutcome::Conflict => {}
                outcome => return Ok(outcome),
            }
        }
        Err(SessionError::Store(contended()))
    }
}
