//! Properties of the token in a cookie, as the layer finds and decodes it.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use http::{HeaderValue, Request, Response, header};
use kr_cookie::CookieBuilder;
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{
    Owner, Session, SessionId, SessionLayer, SessionStore, SessionSummary, Status, StoreError,
    Timestamp,
    store::{ApplyOutcome, CreateOutcome, Delta, Instants, Record, RemoveOutcome, SecretHash},
};

use crate::damage::Damage;

const NAME: &str = "id";
const LENGTH: usize = 64;
/// More than this many different tokens are an attack, and none is loaded.
const MOST: usize = 4;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// An empty store, which records the ids that it is asked for.
#[derive(Default)]
struct Empty {
    loaded: Mutex<BTreeSet<SessionId>>,
}

impl SessionStore for Empty {
    async fn load(&self, id: SessionId, _: Timestamp) -> Result<Option<Record>, StoreError> {
        self.loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
        Ok(None)
    }

    async fn create(
        &self,
        _: SessionId,
        _: Record,
        _: Timestamp,
    ) -> Result<CreateOutcome, StoreError> {
        Ok(CreateOutcome::Created)
    }

    async fn apply(
        &self,
        _: SessionId,
        _: &SecretHash,
        _: &Delta,
        _: Instants,
    ) -> Result<ApplyOutcome, StoreError> {
        Ok(ApplyOutcome::Missing)
    }

    async fn remove(
        &self,
        _: SessionId,
        _: Option<&SecretHash>,
        _: Instants,
    ) -> Result<RemoveOutcome, StoreError> {
        Ok(RemoveOutcome::Missing)
    }

    async fn list(&self, _: &Owner, _: Timestamp) -> Result<Vec<SessionSummary>, StoreError> {
        Ok(Vec::new())
    }

    async fn remove_owned(
        &self,
        _: &Owner,
        _: Option<SessionId>,
        _: Timestamp,
    ) -> Result<u64, StoreError> {
        Ok(0)
    }
}

thread_local! {
    /// One runtime, store and layer serve all cases of a thread.
    static LAYER: LazyLock<(Runtime, Arc<Empty>, SessionLayer)> = LazyLock::new(|| {
        let store = Arc::new(Empty::default());
        let layer = SessionLayer::new(Arc::clone(&store)).cookie(CookieBuilder::new(NAME));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        (runtime.expect("a runtime"), store, layer)
    });
}

/// The layer loads exactly the ids of the well-formed tokens, and none of these becomes the token
/// of a new session.
pub fn token(data: &[u8]) {
    check(data);
    check(&cookies(data));
}

/// Returns cookies that are tokens, or almost.
fn cookies(data: &[u8]) -> Vec<u8> {
    let mut damage = Damage(data);
    let mut header = Vec::new();
    while !damage.is_over() {
        let name: &[u8] = if damage.byte() < 240 {
            NAME.as_bytes()
        } else {
            damage.bytes()
        };
        let length = match damage.byte() {
            0 => LENGTH - 1,
            1 => LENGTH + 1,
            _ => LENGTH,
        };
        let seed = damage.byte() % 8;
        let mut token: Vec<u8> = (0..length)
            .map(|at| ALPHABET[(at * usize::from(seed)) % 64])
            .collect();
        for _ in 0..damage.byte() % 4 {
            let at = damage.index(length);
            token[at] = match damage.byte() {
                byte @ 0..32 => byte.wrapping_mul(8),
                byte => ALPHABET[usize::from(byte % 64)],
            };
        }
        header.extend([name, b"=", &token, b"; "].concat());
    }
    header
}

fn check(cookie: &[u8]) {
    let Ok(cookie) = HeaderValue::from_bytes(cookie) else {
        return;
    };
    let tokens: BTreeSet<&[u8]> = kr_cookie::parse(cookie.as_bytes())
        .filter(|cookie| cookie.name == NAME.as_bytes() && cookie.value.len() == LENGTH)
        .map(|cookie| cookie.value)
        .filter(|value| value.iter().all(|byte| ALPHABET.contains(byte)))
        .collect();
    let ids: BTreeSet<SessionId> = tokens
        .iter()
        .map(|token| {
            let bytes = BASE64_URL_SAFE_NO_PAD
                .decode(token)
                .expect("64 characters of the alphabet");
            SessionId::from_bytes(bytes[..16].try_into().expect("48 bytes"))
        })
        .collect();

    let (loaded, status, set_cookie) = ask(&cookie);
    if tokens.len() > MOST {
        assert_eq!((loaded.len(), status), (0, Status::Ambiguous));
        assert_eq!(set_cookie, None);
        return;
    }
    let expected = if ids.is_empty() {
        Status::Absent
    } else {
        Status::Expired
    };
    assert_eq!((loaded, status), (ids.clone(), expected));
    let given = set_cookie.expect("a session was started");
    let token = given
        .to_str()
        .ok()
        .and_then(|cookie| cookie.strip_prefix("id=")?.get(..LENGTH))
        .expect("a token");
    let new = BASE64_URL_SAFE_NO_PAD.decode(token).expect("a token");
    assert!(!tokens.contains(token.as_bytes()));
    assert!(!ids.contains(&SessionId::from_bytes(
        new[..16].try_into().expect("48 bytes")
    )));
}

/// Returns the ids that a request with this cookie loads, the status of its session, and the cookie
/// of the session that it starts.
fn ask(cookie: &HeaderValue) -> (BTreeSet<SessionId>, Status, Option<HeaderValue>) {
    LAYER.with(|layer| {
        let (runtime, store, layer) = &**layer;
        let service = layer.layer(service_fn(async |request: Request<()>| {
            let session = request
                .extensions()
                .get::<Session>()
                .expect("a session")
                .clone();
            let status = session.status().await.expect("a status");
            session.insert("a", &1).expect("a note");
            Ok::<_, Infallible>(Response::new(Some(status)))
        }));
        let request = Request::builder()
            .header(header::COOKIE, cookie)
            .body(())
            .expect("a request");
        let response = runtime
            .block_on(service.oneshot(request))
            .unwrap_or_else(|never| match never {});
        let loaded =
            std::mem::take(&mut *store.loaded.lock().unwrap_or_else(PoisonError::into_inner));
        let set_cookie = response.headers().get(header::SET_COOKIE).cloned();
        // A refusal has an empty body: the write was refused, since the cookies are ambiguous.
        (
            loaded,
            response.into_body().unwrap_or(Status::Ambiguous),
            set_cookie,
        )
    })
}
