//! A session that is bound at one process and proved at the other, with a key made by hand.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use test_support::Scratch;

use crate::{
    curl::{Answer, Browser, curl},
    support::Server,
};

struct Key(EcdsaKeyPair);

impl Key {
    fn generate() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap())
    }

    /// The header of a proof that answers this challenge.
    fn proof(&self, challenge: &str, registers: bool) -> String {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let point = &self.0.public_key().as_ref()[1..];
        let (x, y) = (encode(&point[..32]), encode(&point[32..]));
        let key = match registers {
            true => format!(r#","jwk":{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#),
            false => String::new(),
        };
        let head = format!(r#"{{"alg":"ES256","typ":"dbsc+jwt"{key}}}"#);
        let claims = format!(r#"{{"jti":"{challenge}"}}"#);
        let signed = [encode(head.as_bytes()), encode(claims.as_bytes())].join(".");
        let signature = self
            .0
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        let signature = encode(signature.as_ref());
        format!("Secure-Session-Response: {signed}.{signature}")
    }
}

fn post(browser: &Browser, path: &str, headers: &[&str]) -> Answer {
    let url = format!("{}{path}", browser.base);
    let mut arguments = vec!["-k", "-c", &browser.jar, "-b", &browser.jar, "-X", "POST"];
    arguments.extend(headers.iter().flat_map(|header| ["-H", header]));
    arguments.push(&url);
    curl(&arguments)
}

/// The first text in quotes after this one.
fn quoted(text: &str, after: &str) -> String {
    let (_, rest) = text.split_once(after).unwrap();
    rest.split('"').nth(1).unwrap().to_owned()
}

/// Two processes on this store are as one for a browser that binds its session.
pub(crate) fn is_bound_at_one_and_proved_at_the_other(url: &str) {
    let dir = Scratch::new();
    let options = [
        "--store",
        url,
        "--idle-timeout",
        "10m",
        "--device-binding",
        "10m",
    ];
    let (one, other) = (Server::start(&options), Server::start(&options));
    let at_one = Browser::new(&one, &dir, "jar");
    let at_other = Browser::new(&other, &dir, "jar");
    let key = Key::generate();
    let signed_in = at_one.get("/session/login?user=max");
    let offer = signed_in.header("secure-session-registration").unwrap();
    // Somebody has the token of before.
    let stolen = dir.path().join("stolen").to_str().unwrap().to_owned();
    std::fs::copy(&at_one.jar, &stolen).unwrap();

    let proof = key.proof(&quoted(&offer, "challenge="), true);
    let bound = post(&at_other, "/session/device/register", &[&proof]);
    assert_eq!(bound.status, 200, "{bound:?}");
    let again = post(&at_one, "/session/device/register", &[&proof]);
    assert_eq!(again.status, 404, "{again:?}");
    let id = format!(
        "Sec-Secure-Session-Id: {}",
        quoted(&bound.body, "session_identifier\":")
    );
    let mut next = bound.header("secure-session-challenge").unwrap();
    for browser in [&at_one, &at_other, &at_one] {
        let proof = key.proof(&quoted(&next, ""), false);
        let refreshed = post(browser, "/session/device/refresh", &[&proof, &id]);
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        next = refreshed.header("secure-session-challenge").unwrap();
        // At whichever process, it counted once.
        let replayed = post(&at_other, "/session/device/refresh", &[&proof, &id]);
        assert_eq!(replayed.status, 403, "{replayed:?}");
        for browser in [&at_one, &at_other] {
            browser.get("/session/whoami").is(200, r#"{"user":"max"}"#);
        }
    }
    for server in [&one, &other] {
        let whoami = format!("{}/session/whoami", server.base);
        let thief = curl(&["-k", "-b", &stolen, &whoami]);
        thief.is(401, r#"{"error":"No active session or user not set"}"#);
    }
}
