//! Signing in through a provider of OpenID Connect, which runs in this process.

// Helpers of tests may panic as tests do; the lint's own exception covers test functions only.
#![allow(clippy::unwrap_used)]

#[path = "../../../crates/tower-kr-session-compat/tests/support/mod.rs"]
mod support;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{
    Form, Json, Router,
    extract::State,
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::StatusCode;
use openidconnect::{
    AccessToken, Audience, AuthUrl, ClientId, ClientSecret, EmptyAdditionalClaims,
    EmptyAdditionalProviderMetadata, EmptyExtraTokenFields, IssuerUrl, JsonWebKeySet,
    JsonWebKeySetUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, PrivateSigningKey, RedirectUrl,
    ResponseTypes, StandardClaims, SubjectIdentifier, TokenUrl,
    core::{
        CoreEdDsaPrivateSigningKey, CoreIdToken, CoreIdTokenClaims, CoreIdTokenFields,
        CoreJsonWebKeySet, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType,
        CoreSubjectIdentifierType, CoreTokenResponse, CoreTokenType,
    },
    url::Url,
};
use recipes::openid_connect::{Provider, routes};
use support::{Browser, Reply};
use tower_kr_session::{Clock, ManualClock, MemoryStore, Session, SessionLayer, SystemClock};

/// A provider that knows the user `max`, and what it was asked for each code that it gave out.
struct Idp {
    issuer: String,
    codes: Mutex<HashMap<String, Asked>>,
}

/// What the address of a login says.
#[derive(Clone)]
struct Asked {
    state: String,
    nonce: String,
    challenge: String,
}

impl Asked {
    fn new(login: &Reply) -> Self {
        assert_eq!(login.status, StatusCode::SEE_OTHER);
        let url = Url::parse(login.headers["location"].to_str().unwrap()).unwrap();
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge_method"], "S256");
        Self {
            state: query["state"].clone(),
            nonce: query["nonce"].clone(),
            challenge: query["code_challenge"].clone(),
        }
    }
}

impl Idp {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let idp = Arc::new(Self {
            issuer,
            codes: Mutex::default(),
        });
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&idp));
        tokio::spawn(async { axum::serve(listener, app).await });
        idp
    }

    /// The user signed in: the address to which the provider sends the browser back.
    fn answer(&self, asked: &Asked) -> String {
        let mut codes = self.codes.lock().unwrap();
        let code = format!("code-{}", codes.len());
        codes.insert(code.clone(), asked.clone());
        format!("/login/callback?state={}&code={code}", asked.state)
    }
}

fn signing_key() -> CoreEdDsaPrivateSigningKey {
    // PKCS #8 of an Ed25519 key: a constant head, then its 32 bytes.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([7; 32]);
    let label = "PRIVATE KEY";
    let pem = format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    );
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, None).unwrap()
}

async fn metadata(State(idp): State<Arc<Idp>>) -> Json<CoreProviderMetadata> {
    let path = |path| format!("{}{path}", idp.issuer);
    let metadata = CoreProviderMetadata::new(
        IssuerUrl::new(idp.issuer.clone()).unwrap(),
        AuthUrl::new(path("/authorize")).unwrap(),
        JsonWebKeySetUrl::new(path("/keys")).unwrap(),
        vec![ResponseTypes::new(vec![CoreResponseType::Code])],
        vec![CoreSubjectIdentifierType::Public],
        vec![CoreJwsSigningAlgorithm::EdDsa],
        EmptyAdditionalProviderMetadata {},
    );
    Json(metadata.set_token_endpoint(Some(TokenUrl::new(path("/token")).unwrap())))
}

async fn keys() -> Json<CoreJsonWebKeySet> {
    Json(JsonWebKeySet::new(vec![
        signing_key().as_verification_key(),
    ]))
}

/// Takes a code once, from who has the verifier of its challenge.
async fn token(
    State(idp): State<Arc<Idp>>,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Json<CoreTokenResponse>, StatusCode> {
    let asked = idp.codes.lock().unwrap().remove(&form["code"]);
    let asked = asked.ok_or(StatusCode::BAD_REQUEST)?;
    let verifier = PkceCodeVerifier::new(form["code_verifier"].clone());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    if challenge.as_str() != asked.challenge {
        return Err(StatusCode::BAD_REQUEST);
    }
    let now = SystemTime::now();
    let claims = CoreIdTokenClaims::new(
        IssuerUrl::new(idp.issuer.clone()).unwrap(),
        vec![Audience::new("shop".to_owned())],
        (now + Duration::from_secs(60)).into(),
        now.into(),
        StandardClaims::new(SubjectIdentifier::new("max".to_owned())),
        EmptyAdditionalClaims {},
    )
    .set_nonce(Some(Nonce::new(asked.nonce)));
    let (key, algorithm) = (signing_key(), CoreJwsSigningAlgorithm::EdDsa);
    let token = CoreIdToken::new(claims, &key, algorithm, None, None).unwrap();
    Ok(Json(CoreTokenResponse::new(
        AccessToken::new("access".to_owned()),
        CoreTokenType::Bearer,
        CoreIdTokenFields::new(Some(token), EmptyExtraTokenFields {}),
    )))
}

struct Shop {
    idp: Arc<Idp>,
    clock: Arc<ManualClock>,
    app: Router,
}

async fn shop() -> Shop {
    let (idp, clock) = (
        Idp::start().await,
        Arc::new(ManualClock::new(SystemClock.now())),
    );
    let provider = Provider::discover(
        IssuerUrl::new(idp.issuer.clone()).unwrap(),
        (
            ClientId::new("shop".to_owned()),
            ClientSecret::new("secret".to_owned()),
        ),
        RedirectUrl::new("https://shop.example/login/callback".to_owned()).unwrap(),
        clock.clone(),
    );
    let who = async |session: Session| {
        let owner = session.owner().await.unwrap();
        owner.map_or_else(String::new, |owner| owner.to_string())
    };
    let app = routes(provider.await.unwrap())
        .route("/who", get(who))
        .route(
            "/fill",
            get(async |session: Session| session.insert("cart", &42).unwrap()),
        )
        .route(
            "/cart",
            get(async |session: Session| {
                format!("{:?}", session.get::<u32>("cart").await.unwrap())
            }),
        )
        .layer(SessionLayer::new(MemoryStore::new()).clock(clock.clone()));
    Shop { idp, clock, app }
}

impl Shop {
    fn browser(&self) -> Browser {
        Browser::new(&self.app)
    }

    fn max(&self) -> String {
        format!("{} max", self.idp.issuer)
    }
}

#[tokio::test]
async fn a_login_keeps_the_cart_and_its_answer_works_once() {
    let shop = shop().await;
    let mut browser = shop.browser();
    browser.get("/fill").await;
    let before = browser.clone();
    let answer = shop
        .idp
        .answer(&Asked::new(&browser.get("/login?then=/cart").await));
    let reply = browser.get(&answer).await;
    assert_eq!(
        (reply.status, &reply.headers["location"]),
        (StatusCode::SEE_OTHER, &"/cart".parse().unwrap())
    );
    assert_eq!(browser.get("/who").await.body, shop.max());
    assert_eq!(browser.get("/cart").await.body, "Some(42)");
    // The token is a new one, and the old one opens nothing.
    assert_eq!(before.clone().get("/who").await.body, "");
    assert_eq!(browser.get(&answer).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn of_one_answer_that_arrives_twice_at_once_one_is_accepted() {
    let shop = shop().await;
    let mut browser = shop.browser();
    let answer = shop.idp.answer(&Asked::new(&browser.get("/login").await));
    let mut tab = browser.clone();
    let (one, other) = tokio::join!(browser.get(&answer), tab.get(&answer));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 400]);
}

#[tokio::test]
async fn two_tabs_sign_in_at_the_same_time() {
    let shop = shop().await;
    let mut browser = shop.browser();
    let first = Asked::new(&browser.get("/login").await);
    let second = Asked::new(&browser.get("/login").await);
    for asked in [second, first] {
        let reply = browser.get(&shop.idp.answer(&asked)).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER);
        assert_eq!(browser.get("/who").await.body, shop.max());
    }
}

#[tokio::test]
async fn an_answer_to_another_browser_is_refused() {
    let shop = shop().await;
    let (mut attacker, mut victim) = (shop.browser(), shop.browser());
    let answer = shop.idp.answer(&Asked::new(&attacker.get("/login").await));
    victim.get("/login").await;
    assert_eq!(victim.get(&answer).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(victim.get("/who").await.body, "");
    // Nor is the attempt of the attacker gone.
    assert_eq!(attacker.get(&answer).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_code_of_another_attempt_is_refused_and_ends_this_one() {
    let shop = shop().await;
    let mut browser = shop.browser();
    let first = Asked::new(&browser.get("/login").await);
    let second = Asked::new(&browser.get("/login").await);
    // A code that was given out for the second attempt, in an answer to the first.
    let mixed = Asked {
        state: first.state.clone(),
        ..second
    };
    let answer = shop.idp.answer(&mixed);
    assert_eq!(browser.get(&answer).await.status, StatusCode::BAD_GATEWAY);
    let again = shop.idp.answer(&first);
    assert_eq!(browser.get(&again).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/who").await.body, "");
}

#[tokio::test]
async fn an_id_token_with_another_nonce_is_refused() {
    let shop = shop().await;
    let mut browser = shop.browser();
    let mut asked = Asked::new(&browser.get("/login").await);
    asked.nonce = "other".to_owned();
    let answer = shop.idp.answer(&asked);
    assert_eq!(browser.get(&answer).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(browser.get("/who").await.body, "");
}

#[tokio::test]
async fn an_attempt_ends_after_ten_minutes() {
    let shop = shop().await;
    for (age, expected) in [(600, StatusCode::SEE_OTHER), (601, StatusCode::BAD_REQUEST)] {
        let mut browser = shop.browser();
        let asked = Asked::new(&browser.get("/login").await);
        shop.clock.advance(Duration::from_secs(age));
        assert_eq!(browser.get(&shop.idp.answer(&asked)).await.status, expected);
    }
}

#[tokio::test]
async fn a_no_of_the_user_takes_the_attempt() {
    let shop = shop().await;
    let mut browser = shop.browser();
    let asked = Asked::new(&browser.get("/login").await);
    let no = format!("/login/callback?state={}&error=access_denied", asked.state);
    assert_eq!(browser.get(&no).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        browser.get(&shop.idp.answer(&asked)).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_login_leads_to_no_other_site() {
    let shop = shop().await;
    for then in ["https://evil", "//evil", "/%5Cevil", "/%09/evil"] {
        let mut browser = shop.browser();
        let login = browser.get(&format!("/login?then={then}")).await;
        let reply = browser.get(&shop.idp.answer(&Asked::new(&login))).await;
        assert_eq!(reply.headers["location"], "/", "{then}");
    }
}

#[tokio::test]
async fn attempts_that_were_given_up_are_removed() {
    let shop = shop().await;
    let mut browser = shop.browser();
    let first = Asked::new(&browser.get("/login").await);
    for _ in 0..7 {
        browser.get("/login").await;
    }
    let ninth = Asked::new(&browser.get("/login").await);
    assert_eq!(
        browser.get(&shop.idp.answer(&first)).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        browser.get(&shop.idp.answer(&ninth)).await.status,
        StatusCode::SEE_OTHER
    );
}
