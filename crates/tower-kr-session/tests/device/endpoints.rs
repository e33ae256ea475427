//! Whoever is not the device is refused, always alike, and nothing is stored.

use http::{Request, StatusCode};
use tower_kr_session::Owner;

use crate::{
    browser::{Browser, HEAD, Key, claims, encode},
    site::{BOUND, NAME, REFRESH, REGISTER, Reply, Site, on_each_store},
};

on_each_store!(
    strangers_learn_nothing,
    bad_registrations_are_refused,
    bad_refreshes_are_refused,
    a_refresh_without_a_proof_gets_a_challenge,
    a_challenge_counts_once,
    a_bound_session_keeps_its_key,
    a_registration_after_a_revocation_is_refused,
    a_token_that_was_rotated_away_is_to_try_again,
    other_methods_and_paths_are_the_applications,
);

/// The one answer to everything that is wrong.
pub(crate) fn assert_refused(reply: &Reply, what: &str) {
    assert_eq!(reply.status, StatusCode::NOT_FOUND, "{what}");
    let headers: Vec<_> = reply.headers.iter().collect();
    assert_eq!(headers.len(), 1, "{what}: {headers:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(reply.body, "", "{what}");
}

async fn strangers_learn_nothing(site: Site) {
    let browser = Browser::bound(&site, "max").await;
    let token = &browser.cookies[NAME];
    // Of no session, and of a session with another secret.
    let unknown = encode([5; 48]);
    let wrong = format!("{}{}", &token[..22], &unknown[22..]);
    let tokens = [None, Some(unknown), Some(wrong), Some("x".into())];
    let before = site.stored(browser.session_id()).await;
    for token in tokens {
        let mut stranger = Browser::new(&site);
        if let Some(token) = token {
            stranger.cookies.insert(NAME.into(), token);
        }
        stranger.id = browser.session_id().to_string();
        let key = Key::generate();
        let registration = key.registration("abc");
        let registration = [("secure-session-response", &registration[..])];
        assert_refused(&stranger.ask(REGISTER, &[]).await, "register");
        assert_refused(&stranger.ask(REGISTER, &registration).await, "register");
        assert_refused(&stranger.ask(REFRESH, &[]).await, "refresh without an id");
        assert_refused(&stranger.begin_refresh().await, "refresh");
        assert_refused(&stranger.refresh().await, "refresh with a proof");
    }
    assert_eq!(site.stored(browser.session_id()).await, before);
}

async fn bad_registrations_are_refused(site: Site) {
    let mut browser = Browser::new(&site);
    browser.sign_in("max").await;
    let mut other = Browser::new(&site);
    other.sign_in("max").await;
    let challenge = browser.challenge.clone();
    let (key, head) = (Key::generate(), browser.key.head());
    let valid = browser.key.registration(&challenge);
    let (signed, signature) = valid.rsplit_once('.').unwrap();
    let unsigned = format!(
        "{}.{}.",
        encode(head.replace("ES256", "none")),
        encode(claims(&challenge))
    );
    let off_curve = head.replacen(r#""x":""#, r#""x":"A"#, 1);
    let bad = [
        String::new(),
        "x".repeat(100_000),
        signed.to_owned(),
        format!("{signed}.{}", encode([0; 64])),
        format!(
            "{signed}.{}",
            key.registration(&challenge).rsplit_once('.').unwrap().1
        ),
        format!(
            "{}.{signature}",
            key.registration(&challenge).rsplit_once('.').unwrap().0
        ),
        unsigned,
        browser
            .key
            .jwt(&head.replace("ES256", "none"), &claims(&challenge)),
        browser
            .key
            .jwt(&head.replace("ES256", "RS256"), &claims(&challenge)),
        browser.key.jwt(&off_curve, &claims(&challenge)),
        browser.key.jwt(HEAD, &claims(&challenge)),
        browser.key.jwt(&head, "{}"),
        browser.key.registration(&other.challenge),
        browser.key.registration("abc"),
        browser.key.registration(""),
    ];
    let before = site.stored(browser.session_id()).await;
    for proof in &bad {
        let reply = browser
            .ask(REGISTER, &[("secure-session-response", proof)])
            .await;
        assert_refused(&reply, proof);
    }
    let twice = [("secure-session-response", &valid[..]); 2];
    assert_refused(&browser.ask(REGISTER, &twice).await, "two proofs");
    assert_eq!(site.stored(browser.session_id()).await, before);
    // Too late.
    let mut late = Browser::new(&site);
    late.sign_in("max").await;
    assert_eq!(browser.register().await.status, StatusCode::OK);
    site.advance(300);
    assert_refused(&late.register().await, "too late");
    assert_eq!(late.look().await, "Active max offered none");
}

async fn bad_refreshes_are_refused(site: Site) {
    let mut browser = Browser::bound(&site, "max").await;
    let other = Browser::bound(&site, "max").await;
    let challenge = browser.challenge.clone();
    let valid = browser.key.refresh(&challenge);
    let (signed, _) = valid.rsplit_once('.').unwrap();
    let none = HEAD.replace("ES256", "none");
    let bad = [
        "x".repeat(100_000),
        signed.to_owned(),
        format!("{signed}.{}", encode([0; 64])),
        format!("{}.{}.", encode(&none), encode(claims(&challenge))),
        browser.key.jwt(&none, &claims(&challenge)),
        other.key.refresh(&challenge),
        other.key.registration(&challenge),
        Key::generate().registration(&challenge),
    ];
    let before = site.stored(browser.session_id()).await;
    for proof in &bad {
        assert_refused(&browser.refresh_with(proof).await, proof);
    }
    // Of another session, or of none.
    let own = browser.id.clone();
    for id in [other.id.clone(), String::new(), "x".into()] {
        browser.id = id.clone();
        assert_refused(&browser.refresh_with(&valid).await, &id);
        assert_refused(&browser.begin_refresh().await, &id);
    }
    assert_eq!(site.stored(browser.session_id()).await, before);
    browser.id = own;
    assert_eq!(browser.refresh().await.status, StatusCode::OK);

    // A session that is not bound has nothing to refresh.
    let mut offered = Browser::new(&site);
    offered.sign_in("max").await;
    offered.id = offered.session_id().to_string();
    assert_refused(&offered.begin_refresh().await, "offered");
    assert_refused(&offered.refresh().await, "offered");
}

async fn a_refresh_without_a_proof_gets_a_challenge(site: Site) {
    let browser = Browser::bound(&site, "max").await;
    // It needs no bound cookie, and gives away none.
    let mut stale = browser.token_alone();
    let reply = stale.begin_refresh().await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(reply.headers.len(), 2, "{:?}", reply.headers);
    assert_ne!(stale.challenge, browser.challenge);
    assert_refused(&stale.refresh().await, "another key");
    stale.key = browser.key;
    assert_eq!(stale.refresh().await.status, StatusCode::OK);
    assert!(stale.cookies.contains_key(BOUND));
    assert_eq!(stale.look().await, "Active max bound none");
}

async fn a_challenge_counts_once(site: Site) {
    let mut browser = Browser::bound(&site, "max").await;
    let proof = browser.key.refresh(&browser.challenge);
    assert_eq!(browser.refresh_with(&proof).await.status, StatusCode::OK);
    let cookie = browser.cookies[BOUND].clone();
    let reply = browser.refresh_with(&proof).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "a replay");
    assert_eq!(reply.cookie(BOUND), None);
    assert_eq!(browser.cookies[BOUND], cookie);
    // A challenge of another session is none.
    let other = Browser::bound(&site, "max").await;
    let foreign = browser.key.refresh(&other.challenge);
    assert_eq!(
        browser.refresh_with(&foreign).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(browser.refresh().await.status, StatusCode::OK);
}

async fn a_bound_session_keeps_its_key(site: Site) {
    let mut browser = Browser::new(&site);
    browser.sign_in("max").await;
    let offer = browser.challenge.clone();
    let registration = browser.key.registration(&offer);
    assert_eq!(browser.register().await.status, StatusCode::OK);
    let before = site.stored(browser.session_id()).await;
    let mut thief = browser.thief();
    let replay = [("secure-session-response", &registration[..])];
    assert_refused(&thief.ask(REGISTER, &replay).await, "a replay");
    for challenge in [&offer, &browser.challenge] {
        let own = thief.key.registration(challenge);
        let reply = thief
            .ask(REGISTER, &[("secure-session-response", &own)])
            .await;
        assert_refused(&reply, "a second key");
    }
    assert_eq!(site.stored(browser.session_id()).await, before);
}

async fn a_registration_after_a_revocation_is_refused(site: Site) {
    let sessions = site.layer.sessions().unwrap();
    let mut browser = Browser::new(&site);
    browser.sign_in("max").await;
    let mut bound = Browser::bound(&site, "max").await;
    assert_eq!(
        sessions
            .revoke_all(&Owner::new("max").unwrap())
            .await
            .unwrap(),
        2
    );
    assert_refused(&browser.register().await, "revoked");
    assert_refused(&bound.begin_refresh().await, "revoked");
    assert_refused(&bound.refresh().await, "revoked");
    assert_eq!(site.records(), 0);
    assert_eq!(bound.look().await, "Expired nobody unbound none");
}

async fn a_token_that_was_rotated_away_is_to_try_again(site: Site) {
    let mut browser = Browser::bound(&site, "max").await;
    let mut late = browser.thief();
    browser.sign_in("max").await;
    for reply in [late.begin_refresh().await, late.register().await] {
        let expected = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (expected, Some("5"))
        );
    }
    assert_eq!(browser.refresh().await.status, StatusCode::OK);
}

async fn other_methods_and_paths_are_the_applications(site: Site) {
    for (method, path) in [
        ("GET", REGISTER),
        ("HEAD", REFRESH),
        ("OPTIONS", REFRESH),
        ("POST", "/session/device"),
        ("POST", "/session/device/register/"),
        ("POST", "/session/device/refresh/x"),
        ("POST", "/x/session/device/refresh"),
    ] {
        let request = Request::builder().method(method).uri(path);
        let handler = |_| async { Ok("the application".to_owned()) };
        let reply = site.handle(request.body(()).unwrap(), handler).await;
        assert_eq!(reply.body, "the application", "{method} {path}");
    }
    // A query changes nothing.
    let mut browser = Browser::new(&site);
    let reply = browser.ask("/session/device/register?x=y", &[]).await;
    assert_refused(&reply, "with a query");
}
