//! What a record says of the device of its session: plain data, and decisions without I/O.
//!
//! A store keeps it as bytes that it doesn't read. It holds nothing that admits anybody: a public
//! key, and hashes of random texts.

use std::time::Duration;

use super::{jwk::PublicKey, jwt::Proof, refusal::Refusal, secret::challenge_hash};
use crate::model::{DecodeError, SecretHash, Timestamp};

/// How many bound secrets and how many challenges count at a time: for requests on their way, and
/// for several refreshes in a row.
const MOST: usize = 4;

/// How long a browser may take to register after a sign-in.
const REGISTRATION: Duration = Duration::from_secs(5 * 60);

/// The version of the encoding, its first byte.
const VERSION: u8 = 1;

/// What the encoding of a session without a key has in place of the key's algorithm.
const UNBOUND: u8 = 0;

/// A hash that counts until a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timed {
    hash: SecretHash,
    until: Timestamp,
}

/// Whether a session is bound to a device, and what proves that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    bound: Option<Bound>,
    /// The latest last. At most [`MOST`], as the secrets.
    challenges: Vec<Timed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    key: PublicKey,
    since: Timestamp,
    secrets: Vec<Timed>,
}

/// How a session stands to the device that its user signed in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceState {
    /// Nobody asked for a binding: nobody is signed in, or the sign-in came over plain HTTP or
    /// before the layer had a [`DeviceBinding`](crate::DeviceBinding).
    Unbound,
    /// The response to the sign-in offered it. Most browsers don't know the offer and stay here.
    Offered,
    /// A token without a fresh proof of the device's key opens nothing.
    Bound {
        /// When the browser registered its key.
        since: Timestamp,
    },
}

/// What a successful proof brings, and how long it counts.
pub(crate) struct Fresh {
    /// The hash of the bound cookie's new value.
    pub(crate) secret: SecretHash,
    /// The hash of the next challenge.
    pub(crate) challenge: SecretHash,
    pub(crate) now: Timestamp,
    /// How long the bound cookie proves the device.
    pub(crate) lifetime: Duration,
    /// How long after that it may still count.
    pub(crate) kept_for: Duration,
}

impl Binding {
    /// A session whose sign-in offers registration with this challenge.
    pub(crate) fn offered(challenge: SecretHash, now: Timestamp) -> Self {
        Self {
            bound: None,
            challenges: vec![Timed {
                hash: challenge,
                until: now.saturating_add(REGISTRATION),
            }],
        }
    }

    pub(crate) const fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    pub(crate) const fn state(&self) -> DeviceState {
        match &self.bound {
            Some(bound) => DeviceState::Bound { since: bound.since },
            None => DeviceState::Offered,
        }
    }

    /// Returns until when the bound cookies of a request prove the device: the end of the best one.
    /// `None`: none of them is known, and the session is bound.
    pub(crate) fn proved_until(&self, carried: &[SecretHash]) -> Option<Timestamp> {
        let secrets = self.bound.iter().flat_map(|bound| &bound.secrets);
        // All of them are compared, whichever is right.
        secrets
            .filter(|secret| {
                carried
                    .iter()
                    .fold(false, |any, hash| any | (secret.hash == *hash))
            })
            .map(|secret| secret.until)
            .max()
    }

    /// Returns whether a request that began then, with these bound cookies, comes from the device.
    /// One that began before the session was bound needs no proof. `grace`: how long after its end
    /// a proof still counts.
    pub(crate) fn admits(
        &self,
        carried: &[SecretHash],
        first_contact: Timestamp,
        grace: Duration,
    ) -> bool {
        let Some(bound) = &self.bound else {
            return true;
        };
        let until = self.proved_until(carried);
        first_contact < bound.since
            || until.is_some_and(|until| first_contact < until.saturating_add(grace))
    }

    /// Binds the session to the key of a proof that answers the sign-in's own challenge. That
    /// challenge counts once, and a bound session keeps its key.
    ///
    /// # Errors
    /// If it isn't so.
    pub(crate) fn bind(&self, proof: &Proof<'_>, fresh: &Fresh) -> Result<Self, Refusal> {
        if self.is_bound() {
            return Err(Refusal::Bound);
        }
        let key = proof.key.as_ref().ok_or(Refusal::Key)?;
        if !self.challenges_with(proof, fresh.now) {
            return Err(Refusal::Challenge);
        }
        if !key.signed(proof) {
            return Err(Refusal::Signature);
        }
        let mut next = Self {
            bound: Some(Bound {
                key: key.clone(),
                since: fresh.now,
                secrets: Vec::new(),
            }),
            challenges: Vec::new(),
        };
        next.add(fresh);
        Ok(next)
    }

    /// Takes a proof of the device that is bound. Its challenge counts once.
    ///
    /// # Errors
    /// If the session isn't bound, the proof isn't signed by its key, or the challenge doesn't
    /// count: the browser then needs a new one.
    pub(crate) fn refresh(&self, proof: &Proof<'_>, fresh: &Fresh) -> Result<Self, Refusal> {
        let bound = self.bound.as_ref().ok_or(Refusal::Unbound)?;
        // First, so that nobody else learns which challenges count.
        if !bound.key.signed(proof) {
            return Err(Refusal::Signature);
        }
        if !self.challenges_with(proof, fresh.now) {
            return Err(Refusal::Challenge);
        }
        let answered = challenge_hash(&proof.challenge);
        let mut next = self.clone();
        next.challenges
            .retain(|challenge| challenge.hash != answered);
        next.add(fresh);
        Ok(next)
    }

    /// Gives a bound session one more challenge.
    ///
    /// # Errors
    /// If the session isn't bound.
    pub(crate) fn challenge(
        &self,
        hash: SecretHash,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Self, Refusal> {
        if !self.is_bound() {
            return Err(Refusal::Unbound);
        }
        let mut next = self.clone();
        next.add_challenge(hash, now, lifetime);
        Ok(next)
    }

    /// Whether the proof answers a challenge that counts.
    fn challenges_with(&self, proof: &Proof<'_>, now: Timestamp) -> bool {
        let answered = challenge_hash(&proof.challenge);
        let counts = |challenge: &Timed| challenge.hash == answered && now < challenge.until;
        self.challenges.iter().any(counts)
    }

    fn add(&mut self, fresh: &Fresh) {
        let now = fresh.now;
        if let Some(bound) = &mut self.bound {
            let secrets = &mut bound.secrets;
            secrets.retain(|secret| now < secret.until.saturating_add(fresh.kept_for));
            keep_latest(secrets);
            secrets.push(Timed {
                hash: fresh.secret,
                until: now.saturating_add(fresh.lifetime),
            });
        }
        self.add_challenge(fresh.challenge, now, fresh.lifetime);
    }

    /// A challenge is kept for the refresh after the next one, too: a browser may be late.
    fn add_challenge(&mut self, hash: SecretHash, now: Timestamp, lifetime: Duration) {
        self.challenges.retain(|challenge| now < challenge.until);
        keep_latest(&mut self.challenges);
        self.challenges.push(Timed {
            hash,
            until: now.saturating_add(lifetime.saturating_mul(2)),
        });
    }

    /// Encodes the binding: version; of a bound one the key, which begins with its algorithm, the
    /// time and the secrets, else [`UNBOUND`]; the challenges.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        match &self.bound {
            None => bytes.push(UNBOUND),
            Some(bound) => {
                bound.key.write(&mut bytes);
                bytes.extend(bound.since.as_unix_millis().to_le_bytes());
                write_list(&mut bytes, &bound.secrets);
            }
        }
        write_list(&mut bytes, &self.challenges);
        bytes
    }

    /// Decodes what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If a later release wrote it, or nobody.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let [version] = take(&mut bytes)?;
        if version != VERSION {
            return Err(DecodeError::UnknownVersion { version });
        }
        let bound = match take(&mut bytes)? {
            [UNBOUND] => None,
            [algorithm] => Some(Bound {
                key: PublicKey::take(algorithm, &mut bytes).ok_or(DecodeError::Corrupt)?,
                since: take_time(&mut bytes)?,
                secrets: take_list(&mut bytes)?,
            }),
        };
        let challenges = take_list(&mut bytes)?;
        match bytes {
            [] => Ok(Self { bound, challenges }),
            _ => Err(DecodeError::Corrupt),
        }
    }
}

/// Makes room for one more: the earliest goes.
fn keep_latest(list: &mut Vec<Timed>) {
    while list.len() >= MOST {
        list.remove(0);
    }
}

fn write_list(bytes: &mut Vec<u8>, list: &[Timed]) {
    bytes.push(list.len() as u8);
    for timed in list {
        bytes.extend(timed.hash.as_bytes());
        bytes.extend(timed.until.as_unix_millis().to_le_bytes());
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(DecodeError::Corrupt)?;
    *bytes = rest;
    Ok(*taken)
}

fn take_time(bytes: &mut &[u8]) -> Result<Timestamp, DecodeError> {
    let millis = i64::from_le_bytes(take(bytes)?);
    Ok(Timestamp::from_unix_millis(millis))
}

fn take_list(bytes: &mut &[u8]) -> Result<Vec<Timed>, DecodeError> {
    let [length] = take(bytes)?;
    if usize::from(length) > MOST {
        return Err(DecodeError::Corrupt);
    }
    let timed = |_| {
        Ok(Timed {
            hash: SecretHash::from_bytes(take(bytes)?),
            until: take_time(bytes)?,
        })
    };
    (0..length).map(timed).collect()
}
