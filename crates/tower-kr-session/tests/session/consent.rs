//! A cookie that is not essential is sent only to those who consent.

use http::{StatusCode, header};
use kr_cookie::CookieBuilder;
use tower_kr_session::{SessionError, Status};

use crate::support::{App, NAME, Reply, ok, on_each_store, owner};

on_each_store!(
    without_consent_a_session_lives_for_the_request_only,
    a_token_that_is_over_starts_nothing_either,
    with_consent_and_for_an_essential_cookie_and_without_a_question_a_session_starts,
    a_session_that_exists_goes_on_without_consent_and_ends_when_it_is_told_to,
    a_sign_in_without_consent_is_no_success_that_does_not_stick,
    a_save_without_consent_says_so_and_the_request_goes_on,
    a_sign_in_without_consent_does_not_end_the_session_of_another_user,
    a_session_ends_also_if_the_sign_in_after_it_lacks_consent,
);

const CONSENT: &str = "consent=yes";

fn not_essential() -> CookieBuilder {
    CookieBuilder::new(NAME).essential(false)
}

/// The application, with a session cookie that needs consent.
fn asking(mut app: App) -> App {
    app.layer = app.layer.cookie(not_essential()).consent_when(|request| {
        let mut cookies = kr_cookie::cookies(&request.headers);
        cookies.any(|cookie| cookie.name == b"consent" && cookie.value == b"yes")
    });
    app
}

async fn insert(app: &App, cookies: &[&str]) -> Reply {
    let cookies: Vec<_> = cookies.iter().map(ToString::to_string).collect();
    app.raw(&cookies, |session| async move {
        session.insert("a", &1)?;
        Ok(ok(""))
    })
    .await
}

async fn without_consent_a_session_lives_for_the_request_only(app: App) {
    let app = asking(app);
    let reply = app
        .with(None, |session| async move {
            assert_eq!(session.status().await?, Status::Absent);
            session.insert("a", &1)?;
            assert_eq!(session.increment("n", 2).await?, 2);
            let list = |list: Option<Vec<i64>>| Some([list.unwrap_or_default(), vec![7]].concat());
            assert_eq!(session.update("list", list).await?, Some(vec![7]));
            session.set_persistent(true)?;
            session.rotate()?;
            assert_eq!(session.status().await?, Status::RequestOnly);
            assert_eq!(session.get::<i64>("a").await?, Some(1));
            assert_eq!(session.keys().await?, ["a", "list", "n"]);
            assert_eq!(session.id().await?, None);
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    assert_eq!(reply.headers[header::VARY], "Cookie");
    assert_eq!(app.records(), 0);
    assert_eq!(app.remote.take_calls(), 0);
}

async fn a_token_that_is_over_starts_nothing_either(app: App) {
    let app = asking(app);
    let token = insert(&app, &[CONSENT]).await.token();
    let id = app.id(&token).await.unwrap();
    app.sessions().revoke_as_admin(id).await.unwrap();
    insert(&app, &[&format!("{NAME}={token}")])
        .await
        .assert_plain();
    assert_eq!(app.records(), 0);
}

async fn with_consent_and_for_an_essential_cookie_and_without_a_question_a_session_starts(
    app: App,
) {
    let asking = asking(app.again());
    let token = insert(&asking, &[CONSENT]).await.token();
    assert_eq!(asking.read(&token, "a").await, Some(1));
    assert!(
        insert(&asking, &["consent=no"])
            .await
            .set_cookie()
            .is_none()
    );

    let mut essential = asking;
    essential.layer = essential.layer.cookie(CookieBuilder::new(NAME));
    insert(&essential, &[]).await.token();

    let mut without_question = app;
    without_question.layer = without_question.layer.cookie(not_essential());
    insert(&without_question, &[]).await.token();
}

async fn a_session_that_exists_goes_on_without_consent_and_ends_when_it_is_told_to(app: App) {
    let app = asking(app);
    let token = insert(&app, &[CONSENT]).await.token();
    let reply = app
        .with(Some(&token), |session| async move {
            assert_eq!(session.status().await?, Status::Active);
            session.insert("a", &2)?;
            session.rotate()?;
            Ok(ok(""))
        })
        .await;
    let token = reply.token();
    assert_eq!(app.read(&token, "a").await, Some(2));
    let reply = app
        .with(Some(&token), |session| async move {
            session.sign_in("max")?;
            Ok(ok(""))
        })
        .await;
    let token = reply.token();
    let reply = app
        .with(Some(&token), |session| async move {
            session.destroy()?;
            session.insert("b", &1)?;
            assert_eq!(session.status().await?, Status::RequestOnly);
            Ok(ok(""))
        })
        .await;
    assert!(reply.removes_cookie());
    assert_eq!(app.records(), 0);
}

async fn a_sign_in_without_consent_is_no_success_that_does_not_stick(app: App) {
    let app = asking(app);
    let reply = app
        .with(None, |session| async move {
            session.sign_in("max")?;
            assert_eq!(session.status().await?, Status::RequestOnly);
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::FORBIDDEN);
    assert!(matches!(reply.error, Some(SessionError::NoConsent)));
    assert_eq!(app.sessions().list(&owner("max")).await.unwrap(), []);
    assert_eq!(app.records(), 0);
}

async fn a_save_without_consent_says_so_and_the_request_goes_on(app: App) {
    let app = asking(app);
    let reply = app
        .with(None, |session| async move {
            session.save().await?;
            session.insert("a", &1)?;
            for _ in 0..2 {
                let error = session.save().await.unwrap_err();
                assert!(matches!(error, SessionError::NoConsent), "{error}");
                assert_eq!(session.get::<i64>("a").await?, Some(1));
                assert_eq!(session.status().await?, Status::RequestOnly);
            }
            assert_eq!(session.increment("a", 1).await?, 2);
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    assert_eq!(app.records(), 0);
}

async fn a_sign_in_without_consent_does_not_end_the_session_of_another_user(app: App) {
    for looks in [[false, false], [false, true], [true, true]] {
        let mut app = app.again();
        let first = app
            .with(None, |session| async move {
                session.sign_in("first")?;
                Ok(ok(""))
            })
            .await
            .token();
        app.layer = app
            .layer
            .clone()
            .cookie(not_essential())
            .consent_when(|_| false);
        let reply = app
            .with(Some(&first), move |session| async move {
                if looks[0] {
                    session.owner().await?;
                }
                session.sign_in("second")?;
                if looks[1] {
                    session.id().await?;
                }
                Ok(ok(""))
            })
            .await;
        reply.assert_refused(StatusCode::FORBIDDEN);
        assert!(app.id(&first).await.is_some());
    }
}

async fn a_session_ends_also_if_the_sign_in_after_it_lacks_consent(app: App) {
    let app = asking(app);
    let token = insert(&app, &[CONSENT]).await.token();
    let reply = app
        .with(Some(&token), |session| async move {
            session.destroy()?;
            session.sign_in("max")?;
            let error = session.save().await.unwrap_err();
            assert!(matches!(error, SessionError::NoConsent), "{error}");
            Ok(ok(""))
        })
        .await;
    reply.assert_done();
    assert!(reply.removes_cookie());
    assert_eq!(app.records(), 0);
}
