//! A good browser: from the sign-in over proofs to the sign-out.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use tower_kr_session::{DeviceState, Owner};

use crate::{
    browser::{Browser, Key},
    site::{BOUND, NAME, Site, on_each_store},
};

on_each_store!(
    a_browser_registers_proves_itself_and_signs_out,
    a_browser_that_knows_nothing_goes_on_unbound,
    a_step_up_keeps_the_binding_and_another_user_starts_without_one,
    each_browser_of_a_user_is_bound_on_its_own,
    an_offer_that_was_saved_early_is_sent,
    a_handle_that_outlives_its_request_keeps_what_the_request_had,
    the_list_of_a_users_sessions_tells_which_are_bound,
    what_a_store_holds_admits_nobody,
);

async fn a_browser_registers_proves_itself_and_signs_out(site: Site) {
    let mut browser = Browser::new(&site);
    let reply = browser.sign_in("max").await;
    let offer = reply.header("secure-session-registration").unwrap();
    let expected = format!(
        "(ES256 RS256);path=\"/session/device/register\";challenge=\"{}\"",
        browser.challenge
    );
    assert_eq!(offer, expected);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(browser.look().await, "Active max offered none");

    let reply = browser.register().await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    let expected = serde_json::json!({
        "session_identifier": browser.session_id(),
        "refresh_url": "/session/device/refresh",
        "scope": { "include_site": false },
        "credentials": [{
            "type": "cookie",
            "name": BOUND,
            "attributes": "Secure; Path=/; HttpOnly; SameSite=Lax",
        }],
    });
    assert_eq!(json, expected);
    let cookie = reply.header("set-cookie").unwrap();
    let (_, attributes) = cookie.split_once("; ").unwrap();
    let expected = "Max-Age=590; Secure; Path=/; HttpOnly; SameSite=Lax";
    assert_eq!(attributes, expected);
    assert_eq!(browser.look().await, "Active max bound none");

    for round in 1..=3 {
        site.advance(599);
        let reply = browser
            .send(&[], |session| async move {
                let proved = session.proved_until().await?.unwrap();
                let count = session.increment("count", 1).await?;
                Ok(format!("{count} {}", proved.as_unix_millis()))
            })
            .await;
        let end = 1_800_000_000_000_i64 + round * 599_000 + 1_000;
        assert_eq!(reply.body, format!("{round} {end}"));
        let reply = browser.refresh().await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.body, json.to_string());
        assert!(reply.cookie(BOUND).is_some() && reply.cookie(NAME).is_none());
    }
    // It slept, and proves itself before it goes on.
    site.advance(2_000);
    let old = browser.challenge.clone();
    assert_eq!(browser.look().await, "ProofMissing nobody unbound none");
    let reply = browser.refresh().await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "the challenge is old");
    assert_ne!(browser.challenge, old);
    assert_eq!(browser.refresh().await.status, StatusCode::OK);
    assert_eq!(browser.look().await, "Active max bound 3");

    let id = browser.session_id();
    let reply = browser
        .send(&[], |session| async move {
            session.sign_out()?;
            Ok(String::new())
        })
        .await;
    assert_eq!(
        (reply.cookie(NAME), reply.cookie(BOUND)),
        (Some(""), Some(""))
    );
    assert!(site.stored(id).await.is_none());
    assert_eq!(browser.begin_refresh().await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.look().await, "Absent nobody unbound none");
}

async fn a_browser_that_knows_nothing_goes_on_unbound(site: Site) {
    let mut browser = Browser::new(&site);
    let reply = browser
        .send(&[], |session| async move {
            session.increment("count", 1).await?;
            Ok(String::new())
        })
        .await;
    assert_eq!(reply.header("secure-session-registration"), None);
    assert_eq!(browser.look().await, "Active nobody unbound 1");
    assert!(
        browser
            .sign_in("max")
            .await
            .headers
            .contains_key("secure-session-registration")
    );
    for _ in 0..5 {
        site.advance(2_000);
        assert_eq!(browser.look().await, "Active max offered 1");
    }
    let reply = browser
        .send(&[], |session| async move {
            session.insert("count", &2)?;
            Ok(String::new())
        })
        .await;
    assert!(reply.cookie(NAME).is_none());
    assert_eq!(browser.look().await, "Active max offered 2");
}

async fn a_step_up_keeps_the_binding_and_another_user_starts_without_one(site: Site) {
    let mut browser = Browser::bound(&site, "max").await;
    let (id, challenge) = (browser.session_id(), browser.challenge.clone());
    let reply = browser.sign_in("max").await;
    assert_eq!(reply.header("secure-session-registration"), None);
    assert_eq!((browser.session_id(), &browser.challenge), (id, &challenge));
    assert_eq!(browser.look().await, "Active max bound none");
    assert_eq!(browser.refresh().await.status, StatusCode::OK);
    // Without its proof it is not that session that is signed in to again.
    let mut thief = browser.token_alone();
    thief.sign_in("max").await;
    assert_ne!(thief.session_id(), id);

    let mut browser = Browser::bound(&site, "max").await;
    let id = browser.session_id();
    let reply = browser.sign_in("eva").await;
    assert!(reply.header("secure-session-registration").is_some());
    assert_ne!(browser.session_id(), id);
    assert!(site.stored(id).await.is_none());
    assert_eq!(browser.look().await, "Active eva offered none");
    assert_eq!(browser.begin_refresh().await.status, StatusCode::NOT_FOUND);
    browser.key = Key::generate();
    assert_eq!(browser.register().await.status, StatusCode::OK);
    assert_eq!(browser.look().await, "Active eva bound none");
}

async fn each_browser_of_a_user_is_bound_on_its_own(site: Site) {
    let mut first = Browser::bound(&site, "max").await;
    let mut second = Browser::bound(&site, "max").await;
    site.advance(300);
    assert_eq!(second.refresh().await.status, StatusCode::OK);
    site.advance(300);
    assert_eq!(first.look().await, "ProofMissing nobody unbound none");
    assert_eq!(second.look().await, "Active max bound none");
    // Nobody takes another one's cookie.
    first
        .cookies
        .insert(BOUND.into(), second.cookies[BOUND].clone());
    assert_eq!(first.look().await, "ProofMissing nobody unbound none");
    assert_eq!(first.refresh().await.status, StatusCode::OK);
    assert_eq!(first.look().await, "Active max bound none");
}

async fn an_offer_that_was_saved_early_is_sent(site: Site) {
    let mut browser = Browser::new(&site);
    let reply = browser
        .send(&[], |session| async move {
            session.sign_in("max")?;
            session.save().await?;
            session.rotate()?;
            Ok(String::new())
        })
        .await;
    assert!(reply.header("secure-session-registration").is_some());
    assert_eq!(browser.register().await.status, StatusCode::OK);

    // The session that it was for is over.
    let mut browser = Browser::new(&site);
    let reply = browser
        .send(&[], |session| async move {
            session.sign_in("max")?;
            session.save().await?;
            session.destroy()?;
            session.insert("count", &1)?;
            Ok(String::new())
        })
        .await;
    assert_eq!(reply.header("secure-session-registration"), None);
    assert_eq!(browser.look().await, "Active nobody unbound 1");
}

async fn a_handle_that_outlives_its_request_keeps_what_the_request_had(site: Site) {
    let mut browser = Browser::bound(&site, "max").await;
    let (send, receive) = tokio::sync::oneshot::channel();
    browser
        .send(&[], |session| async move {
            session.get::<i64>("count").await?;
            assert!(send.send(session.detach()).is_ok());
            Ok(String::new())
        })
        .await;
    let session = receive.await.unwrap();
    site.advance(1_000);
    session.reload().await.unwrap();
    assert_eq!(session.owner().await.unwrap(), Owner::new("max").ok());
    session.insert("count", &1).unwrap();
    session.save().await.unwrap();
    browser.refresh().await;
    assert_eq!(browser.refresh().await.status, StatusCode::OK);
    assert_eq!(browser.look().await, "Active max bound 1");
}

async fn the_list_of_a_users_sessions_tells_which_are_bound(site: Site) {
    let bound = Browser::bound(&site, "max").await;
    let mut offered = Browser::new(&site);
    offered.sign_in("max").await;
    let sessions = site.layer.sessions().unwrap();
    let list = sessions.list(&Owner::new("max").unwrap()).await.unwrap();
    let device = |browser: &Browser| {
        let id = browser.session_id();
        list.iter().find(|session| session.id == id).unwrap().device
    };
    assert!(matches!(device(&bound), DeviceState::Bound { .. }));
    assert_eq!(device(&offered), DeviceState::Offered);
}

/// Neither as text nor as bytes is a secret in the record, whether the session is bound or only
/// offered a binding. The id, the first 16 bytes of the token, is public.
async fn what_a_store_holds_admits_nobody(site: Site) {
    let mut offered = Browser::new(&site);
    offered.sign_in("max").await;
    let mut bound = Browser::bound(&site, "max").await;
    bound.refresh().await;
    bound.begin_refresh().await;
    for browser in [&offered, &bound] {
        let record = site.stored(browser.session_id()).await.unwrap();
        let dump = record.encode();
        let holds = |part: &[u8]| dump.windows(part.len()).any(|window| window == part);
        assert!(holds(b"max"), "what is looked for would be found");
        let token = URL_SAFE_NO_PAD.decode(&browser.cookies[NAME]).unwrap();
        assert!(!holds(&token[16..32]) && !holds(&token[32..]));
        let mut texts = vec![&browser.cookies[NAME], &browser.challenge];
        texts.extend(browser.cookies.get(BOUND));
        for text in texts {
            assert!(!holds(&text.as_bytes()[text.len() - 16..]), "{text}");
            let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
            assert!(!holds(&bytes[bytes.len() - 16..]), "{text}");
        }
    }
}
