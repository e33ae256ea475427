//! Keys for RS256, as TPMs have them.

use http::StatusCode;

use crate::{
    browser::{Browser, HEAD, Key, RSA_HEAD, claims, encode},
    endpoints::assert_refused,
    site::{REGISTER, Reply, Site, on_each_store},
};

on_each_store!(
    a_browser_with_an_rsa_key_registers_and_proves_itself,
    bad_rsa_registrations_are_refused,
    a_bound_session_takes_no_proof_of_another_kind,
);

async fn a_browser_with_an_rsa_key_registers_and_proves_itself(site: Site) {
    for key in [Key::rsa(), Key::largest_rsa()] {
        let mut browser = Browser::new(&site);
        browser.key = key;
        browser.sign_in("max").await;
        assert_eq!(browser.register().await.status, StatusCode::OK);
        assert_eq!(browser.look().await, "Active max bound none");
        // Until every secret and every challenge that the record keeps is a later one.
        for _ in 0..6 {
            site.advance(60);
            let asked = browser.begin_refresh().await;
            assert_eq!(asked.status, StatusCode::FORBIDDEN);
            assert_eq!(browser.refresh().await.status, StatusCode::OK);
        }
        assert_eq!(browser.look().await, "Active max bound none");
        site.advance(600);
        assert_eq!(browser.look().await, "ProofMissing nobody unbound none");
        assert_eq!(browser.refresh().await.status, StatusCode::OK);
        assert_eq!(browser.look().await, "Active max bound none");
    }
}

async fn register_with(browser: &mut Browser, proof: &str) -> Reply {
    let headers = [("secure-session-response", proof)];
    browser.ask(REGISTER, &headers).await
}

async fn bad_rsa_registrations_are_refused(site: Site) {
    let mut browser = Browser::new(&site);
    browser.key = Key::rsa();
    browser.sign_in("max").await;
    let challenge = browser.challenge.clone();
    let (key, other) = (Key::rsa(), Key::largest_rsa());
    let (point, head, answer) = (Key::generate(), key.head(), claims(&challenge));
    let valid = key.registration(&challenge);
    let (signed, signature) = valid.rsplit_once('.').unwrap();
    let others = other.jwt(&head, &answer);
    let (_, others) = others.rsplit_once('.').unwrap();
    let with = |jwk: &str| head.replace(&key.jwk(), jwk);
    let modulus = |bytes: usize| {
        let n = encode(vec![0xff; bytes]);
        with(&format!(r#"{{"e":"AQAB","kty":"RSA","n":"{n}"}}"#))
    };
    let bad = [
        // Wrong signatures.
        format!("{signed}.{}", encode([0; 256])),
        format!("{signed}.{}", encode([0xff; 256])),
        format!("{signed}.{others}"),
        format!("{signed}.{}", &signature[..86]),
        format!("{signed}."),
        key.jwt(&with(&other.jwk()), &answer),
        // Another algorithm than that of the key.
        key.jwt(&head.replace("RS256", "ES256"), &answer),
        key.jwt(&head.replace("RS256", "PS256"), &answer),
        key.jwt(&head.replace("RS256", "HS256"), &answer),
        key.jwt(&head.replace("RS256", "none"), &answer),
        point.jwt(&head.replace("RS256", "ES256"), &answer),
        point.jwt(&head, &answer),
        point.jwt(&point.head().replace("ES256", "RS256"), &answer),
        key.jwt(&point.head().replace("ES256", "RS256"), &answer),
        key.jwt(&point.head(), &answer),
        // Keys that are none: small, huge, in no size of a key, with another exponent.
        key.jwt(&modulus(128), &answer),
        key.jwt(&modulus(1_024), &answer),
        key.jwt(&modulus(100_000), &answer),
        key.jwt(&modulus(320), &answer),
        key.jwt(&modulus(256), &answer),
        key.jwt(&head.replace("AQAB", "Aw"), &answer),
        key.jwt(&head.replace("AQAB", "AQ"), &answer),
        key.jwt(&head.replace("AQAB", "AAEAAQ"), &answer),
        key.jwt(&head.replace(r#""n":""#, r#""n":"AA"#), &answer),
        key.jwt(RSA_HEAD, &answer),
        key.registration("abc"),
    ];
    let before = site.stored(browser.session_id()).await;
    for proof in &bad {
        assert_refused(&register_with(&mut browser, proof).await, proof);
    }
    assert_eq!(site.stored(browser.session_id()).await, before);
    let reply = register_with(&mut browser, &valid).await;
    assert_eq!(reply.status, StatusCode::OK);
}

async fn a_bound_session_takes_no_proof_of_another_kind(site: Site) {
    let mut with_rsa = Browser::new(&site);
    with_rsa.key = Key::rsa();
    with_rsa.sign_in("max").await;
    assert_eq!(with_rsa.register().await.status, StatusCode::OK);
    let with_point = Browser::bound(&site, "max").await;
    for (mut browser, other) in [(with_rsa, Key::generate()), (with_point, Key::rsa())] {
        let answer = claims(&browser.challenge);
        let before = site.stored(browser.session_id()).await;
        let bad = [
            other.refresh(&browser.challenge),
            other.registration(&browser.challenge),
            Key::largest_rsa().refresh(&browser.challenge),
            // Signed by the right key, which says that it is of the other kind.
            browser
                .key
                .jwt(RSA_HEAD, &answer)
                .replace(&encode(RSA_HEAD), &encode(HEAD)),
            browser
                .key
                .jwt(HEAD, &answer)
                .replace(&encode(HEAD), &encode(RSA_HEAD)),
            other.jwt(HEAD, &answer),
            other.jwt(RSA_HEAD, &answer),
        ];
        for proof in &bad {
            assert_refused(&browser.refresh_with(proof).await, proof);
        }
        assert_eq!(site.stored(browser.session_id()).await, before);
        assert_eq!(browser.refresh().await.status, StatusCode::OK);
    }
}
