//! Tokens: made by the server, checked by the server, changed with each sign-in.

use std::collections::HashSet;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};

use crate::client::{Site, Visitor};

const NAME: &str = "Kr.Session";

fn with_token(site: &Site, token: &str) -> Visitor {
    let mut visitor = site.visitor();
    visitor.jar.insert(NAME, token.to_owned());
    visitor
}

/// 7.2.1, and session fixation: what a client makes up is neither believed nor taken over.
#[test]
fn a_token_that_the_server_did_not_issue_is_never_adopted() {
    let site = Site::start(&[]);
    let mut max = site.visitor();
    max.get("/session/login?user=max");
    let issued = max.token().unwrap().to_owned();
    let ended = {
        let mut visitor = site.visitor();
        visitor.get("/session/counter");
        let token = visitor.token().unwrap().to_owned();
        visitor.get("/session/logout");
        token
    };
    let planted = [
        "A".repeat(64),
        "-".repeat(64),
        ended,
        // A live session's id, which is no secret, with other secrets.
        format!("{}{}", &issued[..22], "A".repeat(42)),
        format!("{}{}", &issued[..32], &issued[..32]),
        format!("{}{}", "A".repeat(22), &issued[22..]),
        issued.to_ascii_lowercase(),
        "1".to_owned(),
        "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
    ];
    for token in planted {
        for path in [
            "/session/counter",
            "/session/login?user=eve",
            "/session/set?key=a&value=b",
        ] {
            let mut victim = with_token(&site, &token);
            assert_eq!(victim.user(), None, "{token}");
            assert_eq!(victim.get(path).status, 200);
            let given = victim.token().unwrap().to_owned();
            assert_ne!(given, token);
            assert_ne!(given[..22], *token.get(..22).unwrap_or_default(), "{token}");
            // Who planted it has nothing of what happened since.
            let mut attacker = with_token(&site, &token);
            assert_eq!(attacker.user(), None, "{token}");
            assert_eq!(attacker.get("/session/get?key=a").status, 404, "{token}");
        }
    }
    assert_eq!(max.user().unwrap(), "max");
    assert_eq!(max.token().unwrap(), issued);
}

/// 7.2.2, 7.2.3: each client gets a token of its own, with 256 secret bits. That they look random
/// is shown with a hundred thousand of them by the library's test `tokens`.
#[test]
fn no_two_clients_get_the_same_token() {
    let site = Site::start(&[]);
    let mut visitor = site.visitor();
    let (mut ids, mut secrets) = (HashSet::new(), HashSet::new());
    for _ in 0..2_000 {
        visitor.jar.clear();
        visitor.get("/session/counter");
        let token = BASE64_URL_SAFE_NO_PAD
            .decode(visitor.token().unwrap())
            .unwrap();
        assert_eq!(token.len(), 16 + 32);
        assert!(ids.insert(token[..16].to_vec()));
        assert!(secrets.insert(token[16..].to_vec()));
    }
}

/// 7.2.4: a sign-in, and signing in again, each give a new token, and the one before is refused
/// from that answer on.
#[test]
fn signing_in_and_signing_in_again_change_the_token_and_end_the_old_one() {
    let site = Site::start(&[]);
    let mut max = site.visitor();
    max.get("/session/set?key=color&value=purple");
    let mut tokens = vec![max.token().unwrap().to_owned()];
    // By link and by form, the same user again, and another one.
    for (user, form) in [
        ("max", false),
        ("max", false),
        ("max", true),
        ("eve", true),
        ("eve", false),
    ] {
        let answer = match form {
            true => max.post("/page/login", &format!("user={user}")),
            false => max.get(&format!("/session/login?user={user}")),
        };
        assert!(answer.status < 400, "{answer:?}");
        assert_eq!(max.user().unwrap(), user);
        let stays = max.get("/session/get?key=color").status == 200;
        assert_eq!(stays, user == "max", "values stay with the user");
        for old in &tokens {
            let mut thief = with_token(&site, old);
            assert_eq!(thief.user(), None);
            assert_eq!(thief.get("/session/get?key=color").status, 404);
        }
        let token = max.token().unwrap().to_owned();
        assert!(!tokens.contains(&token));
        tokens.push(token);
    }
}
