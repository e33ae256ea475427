//! A token without the bound cookie: each cell of the outcome table's column.

use std::time::Duration;

use http::StatusCode;
use tower_kr_session::{Session, SessionLimit};

use crate::{
    browser::Browser,
    site::{BOUND, NAME, Site, binding, look, on_each_store},
};

on_each_store!(
    it_reads_as_absent_and_changes_nothing,
    a_blind_write_starts_another_session,
    nothing_starts_while_the_browser_could_not_prove_itself,
    a_stale_proof_counts_only_as_the_application_says,
    a_sign_out_ends_the_session,
    a_sign_in_ends_the_users_own_session_first,
    a_sign_in_as_somebody_else_leaves_the_session_alone,
    a_request_that_began_before_is_admitted,
);

const SKIPPED: (&str, &str) = ("secure-session-skipped", "quota_exceeded");

async fn it_reads_as_absent_and_changes_nothing(site: Site) {
    let browser = Browser::bound(&site, "max").await;
    let id = browser.session_id();
    let before = site.stored(id).await;
    let mut thief = browser.token_alone();
    site.advance(500);
    let reply = thief.send(&[], look).await;
    assert_eq!(reply.body, "ProofMissing nobody unbound none");
    assert_eq!(reply.cookie(NAME), None);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    // Not even touched.
    assert_eq!(site.stored(id).await, before);
    thief.cookies.insert(BOUND.into(), "x".repeat(43));
    assert_eq!(thief.look().await, "ProofMissing nobody unbound none");
    // With the cookie it is as good as the browser, for the rest of that cookie's time.
    let mut thief = browser.thief();
    assert_eq!(thief.look().await, "Active max bound none");
    site.advance(100);
    assert_eq!(thief.look().await, "ProofMissing nobody unbound none");
}

async fn a_blind_write_starts_another_session(site: Site) {
    type Write = fn(Session) -> futures_util::future::BoxFuture<'static, ()>;
    let writes: [Write; 4] = [
        |session| Box::pin(async move { session.insert("count", &7).unwrap() }),
        |session| {
            Box::pin(async move { assert_eq!(session.increment("count", 7).await.unwrap(), 7) })
        },
        |session| {
            Box::pin(async move {
                let seven = |_: Option<i64>| Some(7);
                session.update("count", seven).await.unwrap();
            })
        },
        |session| {
            Box::pin(async move {
                session.insert("count", &7).unwrap();
                session.save().await.unwrap();
            })
        },
    ];
    for write in writes {
        let browser = Browser::bound(&site, "max").await;
        let id = browser.session_id();
        let before = site.stored(id).await;
        let mut thief = browser.token_alone();
        let reply = thief
            .send(&[], move |session| async move {
                write(session).await;
                Ok(String::new())
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_ne!(thief.session_id(), id);
        assert_eq!(thief.look().await, "Active nobody unbound 7");
        assert_eq!(site.stored(id).await, before);
    }
}

async fn nothing_starts_while_the_browser_could_not_prove_itself(site: Site) {
    let mut browser = Browser::bound(&site, "max").await;
    let (id, records) = (browser.session_id(), site.records());
    let before = site.stored(id).await;
    let mut stale = browser.token_alone();
    let reply = stale.send(&[SKIPPED], look).await;
    assert_eq!(reply.body, "ProofMissing nobody unbound none");
    let reply = stale
        .send(&[SKIPPED], |session| async move {
            session.insert("count", &1)?;
            look(session).await
        })
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!((reply.cookie(NAME), reply.cookie(BOUND)), (None, None));
    for reply in [
        stale
            .send(&[SKIPPED], |session| async move {
                session.increment("count", 1).await.map(|_| String::new())
            })
            .await,
        stale
            .send(&[SKIPPED], |session| async move {
                session.take::<i64>("count").await.map(|_| String::new())
            })
            .await,
        stale
            .send(&[SKIPPED], |session| async move {
                session.insert("count", &1)?;
                session.save().await.map(|()| String::new())
            })
            .await,
    ] {
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.body);
        assert_eq!((reply.cookie(NAME), reply.cookie(BOUND)), (None, None));
    }
    assert_eq!(site.records(), records);
    assert_eq!(site.stored(id).await, before);
    // The header does nothing for a session that is proved, unbound or not there.
    assert_eq!(
        browser.send(&[SKIPPED], look).await.body,
        "Active max bound none"
    );
    let mut new = Browser::new(&site);
    let reply = new
        .send(&[SKIPPED], |session| async move {
            session.increment("count", 1).await.map(|_| String::new())
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    // Who signs in gets a session all the same.
    assert_eq!(
        stale
            .send(&[SKIPPED], |session| async move {
                session.sign_in("max")?;
                Ok(String::new())
            })
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(stale.look().await, "Active max offered none");
}

async fn a_stale_proof_counts_only_as_the_application_says(site: Site) {
    let lenient = binding().accept_stale_when_skipped(Duration::from_secs(60));
    let site = site.with(|layer| layer.device_binding(lenient));
    let mut browser = Browser::bound(&site, "max").await;
    site.advance(600);
    assert_eq!(browser.look().await, "ProofMissing nobody unbound none");
    assert_eq!(
        browser.send(&[SKIPPED], look).await.body,
        "Active max bound none"
    );
    let mut thief = browser.token_alone();
    assert_eq!(
        thief.send(&[SKIPPED], look).await.body,
        "ProofMissing nobody unbound none"
    );
    site.advance(60);
    assert_eq!(
        browser.send(&[SKIPPED], look).await.body,
        "ProofMissing nobody unbound none"
    );
}

async fn a_sign_out_ends_the_session(site: Site) {
    for skipped in [false, true] {
        let browser = Browser::bound(&site, "max").await;
        let id = browser.session_id();
        let mut stale = browser.token_alone();
        let headers = if skipped { &[SKIPPED][..] } else { &[] };
        let reply = stale
            .send(headers, |session| async move {
                session.sign_out()?;
                Ok(String::new())
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(
            (reply.cookie(NAME), reply.cookie(BOUND)),
            (Some(""), Some(""))
        );
        assert!(site.stored(id).await.is_none());
    }
}

async fn a_sign_in_ends_the_users_own_session_first(site: Site) {
    for limit in [
        SessionLimit::Refuse(1),
        SessionLimit::EndOldest(1),
        SessionLimit::Unlimited,
    ] {
        let site = site
            .clone()
            .with(|layer| layer.max_sessions_per_owner(limit));
        let user = match limit {
            SessionLimit::Refuse(_) => "refuse",
            SessionLimit::EndOldest(_) => "end oldest",
            _ => "unlimited",
        };
        let browser = Browser::bound(&site, user).await;
        let id = browser.session_id();
        let mut again = browser.token_alone();
        let reply = again.sign_in(user).await;
        assert_eq!(reply.status, StatusCode::OK, "{limit:?}");
        assert!(reply.header("secure-session-registration").is_some());
        assert_ne!(again.session_id(), id);
        assert!(site.stored(id).await.is_none());
        assert_eq!(again.register().await.status, StatusCode::OK);
        assert_eq!(again.look().await, format!("Active {user} bound none"));
    }
}

async fn a_sign_in_as_somebody_else_leaves_the_session_alone(site: Site) {
    let mut browser = Browser::bound(&site, "max").await;
    let before = site.stored(browser.session_id()).await;
    let mut thief = browser.token_alone();
    thief.sign_in("thief").await;
    assert_eq!(thief.look().await, "Active thief offered none");
    assert_eq!(site.stored(browser.session_id()).await, before);
    assert_eq!(browser.look().await, "Active max bound none");
}

async fn a_request_that_began_before_is_admitted(site: Site) {
    let mut browser = Browser::new(&site);
    browser.sign_in("max").await;
    let slow = browser.token_alone();
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let request = slow.request("/", &[]);
    let handler = |session: Session| async move {
        session.insert("count", &5)?;
        told.await.unwrap();
        Ok(String::new())
    };
    let other = site.clone();
    let running = tokio::spawn(async move { other.handle(request, handler).await });
    tokio::task::yield_now().await;
    site.advance(1);
    assert_eq!(browser.register().await.status, StatusCode::OK);
    tell.send(()).unwrap();
    let reply = running.await.unwrap();
    assert_eq!((reply.status, reply.cookie(NAME)), (StatusCode::OK, None));
    assert_eq!(browser.look().await, "Active max bound 5");
}
