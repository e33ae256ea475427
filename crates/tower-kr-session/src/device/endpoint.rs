//! Answers a browser that registers its key, or proves that it still has it.
//!
//! Everything that doesn't end in a proof or a challenge is answered alike: whoever asks learns
//! neither whether there is a session nor what was wrong. Nothing of a request's body is read.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};

use super::{
    binding::Binding,
    headers::{self, CHALLENGE, RESPONSE},
    jwt::Proof,
    refusal::Refusal,
    secret::{Secret, challenge_hash},
    settings::{Device, Endpoint, Issued},
    tries::{TRIES, contended},
};
use crate::{
    config::Config,
    error::RETRY_AFTER,
    model::{
        ApplyOutcome, DecodeError, Delta, DeviceChange, Instants, Record, SessionId, Timestamp,
        Token, TokenState,
    },
    store::StoreError,
    transport::{Candidates, candidates},
};

/// The answer of an endpoint, and how to make its body.
pub(crate) struct Answer<B> {
    response: Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>,
    body: fn(Bytes) -> B,
}

impl<B> Answer<B> {
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Response<B>> {
        let response = self.response.as_mut().poll(context);
        response.map(|response| response.map(self.body))
    }
}

/// Answers a request that is for one of the layer's endpoints. All others are the application's.
pub(crate) fn answer<R, B: Default + 'static>(
    config: &Arc<Config>,
    request: &Request<R>,
) -> Option<Answer<B>> {
    let device = config.device.as_ref()?;
    let endpoint = device.endpoint(request)?;
    let Some(body) = device.body_maker() else {
        tracing::error!(
            "the device of a session can't be bound: the service's body is of another type than `DeviceBinding::body` makes"
        );
        return Some(Answer {
            response: Box::pin(async { empty(StatusCode::INTERNAL_SERVER_ERROR) }),
            body: |_| B::default(),
        });
    };
    let call = Call::read(endpoint, request.headers(), config);
    let config = Arc::clone(config);
    Some(Answer {
        response: Box::pin(async move { call.answer(&config).await }),
        body,
    })
}

/// What an endpoint looks at of a request.
struct Call {
    endpoint: Endpoint,
    tokens: Vec<Token>,
    /// The session that is meant, of a refresh.
    id: Option<SessionId>,
    /// `None`: the request carries no proof, or several.
    proof: Option<Vec<u8>>,
}

/// What follows for a session, decided without I/O.
enum Step {
    /// The device proved itself.
    Proved(Binding, Issued),
    /// The browser has to sign this first. What was wrong with what it signed, if it did.
    Challenge(Binding, Secret, Option<Refusal>),
}

enum Failure {
    Refused(Refusal),
    /// A newer token is on its way to the browser, which is to try again with it.
    Superseded,
    Store(StoreError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Call {
    fn read(endpoint: Endpoint, headers: &HeaderMap, config: &Config) -> Self {
        let texts = match candidates(headers, config) {
            Candidates::One(text) => vec![text],
            Candidates::Several(texts) => texts.into_vec(),
            Candidates::None | Candidates::TooMany => Vec::new(),
        };
        let token = |text| Token::decode(text, config.token_name());
        Self {
            endpoint,
            tokens: texts.iter().map(token).collect(),
            id: headers::id(headers),
            proof: headers::only(headers, &RESPONSE).map(<[u8]>::to_vec),
        }
    }

    async fn answer(&self, config: &Config) -> Response<Bytes> {
        let id = self.tokens.first().map(Token::id);
        match self.run(config).await {
            Ok(response) => response,
            Err(Failure::Refused(refusal)) => {
                config.events.device_refused(id, refusal, config.now());
                empty(StatusCode::NOT_FOUND)
            }
            Err(Failure::Superseded) => unavailable(),
            Err(Failure::Store(error)) => {
                let error = error.into();
                config.events.commit_failed(&error, config.now());
                unavailable()
            }
        }
    }

    async fn run(&self, config: &Config) -> Result<Response<Bytes>, Failure> {
        let Some(device) = &config.device else {
            return Err(Refusal::Unbound.into());
        };
        let proof = self.proof.as_deref().map(Proof::read).transpose();
        let proof = proof.map_err(Refusal::from)?;
        for _ in 0..TRIES {
            let at = Instants::at(config.now());
            let (token, record) = self.find(config, at).await?;
            let before = record.device().ok_or(Refusal::Unbound)?;
            let binding = decode(before)?;
            let step = decide(self.endpoint, device, &binding, proof.as_ref(), at.now)?;
            let mut delta = Delta::new(config.max_session_bytes);
            let after = step.binding().encode();
            delta.device = Some(Box::new(DeviceChange::new(Some(before), after)));
            let (id, secret) = (token.id(), token.secret_hash());
            let applied = config.store.apply(id, secret, &delta, at);
            match applied.within(config.io_timeout).await? {
                ApplyOutcome::Applied(_) => {
                    config.wrote(at.now);
                    return Ok(self.done(config, device, id, step, at.now));
                }
                ApplyOutcome::Conflict => {}
                ApplyOutcome::Superseded => return Err(Failure::Superseded),
                _ => return Err(Refusal::NoSession.into()),
            }
        }
        Err(contended().into())
    }

    /// Finds the live session that is meant, with a user. Only its token counts: no bound cookie is
    /// needed here.
    async fn find(&self, config: &Config, at: Instants) -> Result<(Token, Arc<Record>), Failure> {
        let mut superseded = false;
        for token in &self.tokens {
            if self.endpoint == Endpoint::Refresh && self.id != Some(token.id()) {
                continue;
            }
            let load = config.store.load(token.id(), at.first_contact);
            let Some(record) = load.within(config.io_timeout).await? else {
                continue;
            };
            match record.token_state(token.secret_hash(), at) {
                TokenState::Current if record.owner.is_some() => return Ok((*token, record)),
                TokenState::Superseded => superseded = true,
                TokenState::Current | TokenState::Missing => {}
            }
        }
        Err(match superseded {
            true => Failure::Superseded,
            false => Refusal::NoSession.into(),
        })
    }

    fn done(
        &self,
        config: &Config,
        device: &Device,
        id: SessionId,
        step: Step,
        now: Timestamp,
    ) -> Response<Bytes> {
        let events = &config.events;
        match step {
            Step::Challenge(_, challenge, refusal) => {
                if let Some(refusal) = refusal {
                    events.device_refused(Some(id), refusal, now);
                }
                let mut response = empty(StatusCode::FORBIDDEN);
                challenge_next(response.headers_mut(), &challenge, id);
                response
            }
            Step::Proved(_, issued) => {
                match self.endpoint {
                    Endpoint::Register => events.device_bound(id),
                    Endpoint::Refresh => events.device_refreshed(id),
                }
                let mut response = empty(StatusCode::OK);
                *response.body_mut() = device.instructions(id);
                let headers = response.headers_mut();
                let json = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, json);
                challenge_next(headers, &issued.challenge, id);
                match device.set_cookie(&issued.cookie, now) {
                    Ok(cookie) => drop(headers.append(header::SET_COOKIE, cookie)),
                    // The template was checked at start: only a clock far off gets here.
                    Err(error) => tracing::error!(%error, "could not write the bound cookie"),
                }
                response
            }
        }
    }
}

impl Step {
    const fn binding(&self) -> &Binding {
        match self {
            Self::Proved(binding, _) | Self::Challenge(binding, ..) => binding,
        }
    }
}

fn decide(
    endpoint: Endpoint,
    device: &Device,
    binding: &Binding,
    proof: Option<&Proof<'_>>,
    now: Timestamp,
) -> Result<Step, Refusal> {
    let issued = Issued {
        cookie: Secret::generate(),
        challenge: Secret::generate(),
    };
    let fresh = device.fresh(&issued, now);
    let refused = match (endpoint, proof) {
        (Endpoint::Register, None) => return Err(Refusal::Malformed),
        (Endpoint::Register, Some(proof)) => {
            return Ok(Step::Proved(binding.bind(proof, &fresh)?, issued));
        }
        (Endpoint::Refresh, None) => None,
        (Endpoint::Refresh, Some(proof)) => match binding.refresh(proof, &fresh) {
            Ok(next) => return Ok(Step::Proved(next, issued)),
            // The device signed it, but too late, or for the second time.
            Err(Refusal::Challenge) => Some(Refusal::Challenge),
            Err(refusal) => return Err(refusal),
        },
    };
    let challenge = issued.challenge;
    let hash = challenge_hash(challenge.as_str());
    let next = binding.challenge(hash, now, device.lifetime)?;
    Ok(Step::Challenge(next, challenge, refused))
}

fn decode(bytes: &[u8]) -> Result<Binding, Failure> {
    Binding::decode(bytes).map_err(|error| match error {
        DecodeError::UnknownVersion { version } => StoreError::UnknownVersion { version }.into(),
        DecodeError::Corrupt => Refusal::Unbound.into(),
    })
}

fn challenge_next(headers: &mut HeaderMap, challenge: &Secret, id: SessionId) {
    if let Some(value) = headers::challenge(challenge.as_str(), id) {
        headers.insert(CHALLENGE, value);
    }
}

/// A response without a body, which no cache keeps.
fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

/// The browser keeps its session, and tries again.
fn unavailable() -> Response<Bytes> {
    let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
    let seconds = HeaderValue::from_static(RETRY_AFTER);
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}
