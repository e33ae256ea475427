//! A browser that knows device bound sessions, as far as a test lets it.

use std::{collections::BTreeMap, future::Future};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, StatusCode};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use tower_kr_session::{Session, SessionError, SessionId};

use crate::site::{BOUND, NAME, REFRESH, REGISTER, Reply, Site, look};

/// A key that never leaves its device.
pub(crate) enum Key {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Key {
    pub(crate) fn generate() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Es256(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap())
    }

    /// An RSA key of 2,048 bits, as a TPM has it. Everybody knows it: it is for tests alone.
    pub(crate) fn rsa() -> Self {
        Self::Rs256(RsaKeyPair::from_der(include_bytes!("keys/rsa-2048.der")).unwrap())
    }

    /// Another one, of 4,096 bits.
    pub(crate) fn largest_rsa() -> Self {
        Self::Rs256(RsaKeyPair::from_der(include_bytes!("keys/rsa-4096.der")).unwrap())
    }

    /// The public key, as a JWK.
    pub(crate) fn jwk(&self) -> String {
        match self {
            Self::Es256(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = (encode(&point[..32]), encode(&point[32..]));
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Self::Rs256(key) => {
                let key: RsaPublicKeyComponents<Vec<u8>> = key.public().into();
                let n = encode(key.n);
                format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#)
            }
        }
    }

    /// The head of a JWT with this key in it.
    pub(crate) fn head(&self) -> String {
        let jwk = format!(r#""jwk":{},"typ""#, self.jwk());
        self.short_head().replace(r#""typ""#, &jwk)
    }

    fn short_head(&self) -> &'static str {
        match self {
            Self::Es256(_) => HEAD,
            Self::Rs256(_) => RSA_HEAD,
        }
    }

    pub(crate) fn jwt(&self, head: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(head), encode(claims));
        let (random, bytes) = (SystemRandom::new(), signed.as_bytes());
        let signature = match self {
            Self::Es256(key) => key.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature)
                    .unwrap();
                signature
            }
        };
        format!("{signed}.{}", encode(signature))
    }

    pub(crate) fn registration(&self, challenge: &str) -> String {
        self.jwt(&self.head(), &claims(challenge))
    }

    pub(crate) fn refresh(&self, challenge: &str) -> String {
        self.jwt(self.short_head(), &claims(challenge))
    }
}

pub(crate) const HEAD: &str = r#"{"alg":"ES256","typ":"dbsc+jwt"}"#;
pub(crate) const RSA_HEAD: &str = r#"{"alg":"RS256","typ":"dbsc+jwt"}"#;

pub(crate) fn claims(challenge: &str) -> String {
    format!(r#"{{"jti":"{challenge}"}}"#)
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The text between quotes after this.
pub(crate) fn quoted<'a>(text: &'a str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("{after}\"")).unwrap();
    rest.split_once('"').unwrap().0
}

pub(crate) struct Browser {
    pub(crate) site: Site,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) key: Key,
    /// What the next proof answers.
    pub(crate) challenge: String,
    pub(crate) id: String,
}

impl Browser {
    pub(crate) fn new(site: &Site) -> Self {
        Self {
            site: site.clone(),
            cookies: BTreeMap::new(),
            key: Key::generate(),
            challenge: String::new(),
            id: String::new(),
        }
    }

    /// A browser whose session is bound.
    pub(crate) async fn bound(site: &Site, user: &'static str) -> Self {
        let mut browser = Self::new(site);
        browser.sign_in(user).await;
        assert_eq!(browser.register().await.status, StatusCode::OK);
        browser
    }

    /// Somebody who has copied the cookies, but not the key.
    pub(crate) fn thief(&self) -> Self {
        Self {
            cookies: self.cookies.clone(),
            challenge: self.challenge.clone(),
            id: self.id.clone(),
            ..Self::new(&self.site)
        }
    }

    /// The same, without the bound cookie.
    pub(crate) fn token_alone(&self) -> Self {
        let mut browser = self.thief();
        browser.cookies.remove(BOUND);
        browser
    }

    pub(crate) fn request(&self, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method("POST").uri(path);
        for (name, value) in &self.cookies {
            request = request.header("cookie", format!("{name}={value}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    /// Keeps cookies and challenges, as a browser does.
    fn keep(&mut self, reply: Reply) -> Reply {
        for name in [NAME, BOUND] {
            match reply.cookie(name) {
                None => {}
                Some("") => drop(self.cookies.remove(name)),
                Some(value) => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
        if let Some(offer) = reply.header("secure-session-registration") {
            self.challenge = quoted(offer, "challenge=").to_owned();
        }
        if let Some(next) = reply.header("secure-session-challenge") {
            assert_eq!(quoted(next, ";id="), self.session_id().to_string());
            self.challenge = quoted(next, "").to_owned();
        }
        reply
    }

    pub(crate) async fn send<F>(
        &mut self,
        headers: &[(&str, &str)],
        handler: impl FnOnce(Session) -> F + Send + 'static,
    ) -> Reply
    where
        F: Future<Output = Result<String, SessionError>> + Send + 'static,
    {
        let request = self.request("/", headers);
        let reply = self.site.handle(request, handler).await;
        self.keep(reply)
    }

    /// Asks the layer; the application must not be.
    pub(crate) async fn ask(&mut self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.request(path, headers);
        let handler = |_| async { panic!("the layer answers this itself") };
        let reply = self.site.handle(request, handler).await;
        self.keep(reply)
    }

    pub(crate) async fn sign_in(&mut self, user: &'static str) -> Reply {
        self.send(&[], move |session| async move {
            session.sign_in(user)?;
            Ok(String::new())
        })
        .await
    }

    pub(crate) async fn register(&mut self) -> Reply {
        let proof = self.key.registration(&self.challenge);
        let reply = self
            .ask(REGISTER, &[("secure-session-response", &proof)])
            .await;
        self.id = self.session_id().to_string();
        reply
    }

    pub(crate) async fn refresh(&mut self) -> Reply {
        let proof = self.key.refresh(&self.challenge);
        self.refresh_with(&proof).await
    }

    pub(crate) async fn refresh_with(&mut self, proof: &str) -> Reply {
        let id = self.id.clone();
        let headers = [
            ("secure-session-response", proof),
            ("sec-secure-session-id", &id),
        ];
        self.ask(REFRESH, &headers).await
    }

    /// Asks for a challenge.
    pub(crate) async fn begin_refresh(&mut self) -> Reply {
        let id = self.id.clone();
        self.ask(REFRESH, &[("sec-secure-session-id", &id)]).await
    }

    pub(crate) async fn look(&mut self) -> String {
        let reply = self.send(&[], look).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.body
    }

    /// The id in the token.
    pub(crate) fn session_id(&self) -> SessionId {
        let token = URL_SAFE_NO_PAD.decode(&self.cookies[NAME]).unwrap();
        SessionId::from_bytes(token[..16].try_into().unwrap())
    }
}
