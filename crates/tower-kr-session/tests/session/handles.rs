//! Handles that outlive the response, and the one outside of requests.

use std::time::Duration;

use tower_kr_session::{Session, SessionError, Status};

use crate::support::{App, ok, on_each_store, owner};

on_each_store!(
    after_the_head_a_plain_handle_refuses_what_nobody_would_store,
    a_detached_handle_stores_with_save,
    a_handle_that_outlives_its_request_reads_what_the_commit_stored,
    no_session_starts_after_the_head,
    save_commits_before_the_response_and_says_what_happened,
    sessions_of_a_user_are_listed_and_ended_from_outside,
);

/// The session of a request whose response has left.
async fn kept(app: &App, token: Option<&str>, detach: bool) -> Session {
    let (sender, receiver) = std::sync::mpsc::channel();
    let reply = app
        .with(token, move |session| async move {
            session.get::<i64>("a").await?;
            sender
                .send(if detach { session.detach() } else { session })
                .unwrap();
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    receiver.recv().unwrap()
}

fn is_sent(result: Result<(), SessionError>) -> bool {
    matches!(result, Err(SessionError::ResponseSent(_)))
}

async fn after_the_head_a_plain_handle_refuses_what_nobody_would_store(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let session = kept(&app, Some(&token), false).await;
    assert!(is_sent(session.insert("a", &2)));
    assert!(is_sent(session.remove("a")));
    assert!(is_sent(session.clear()));
    assert!(is_sent(session.destroy()));
    assert!(is_sent(session.rotate()));
    assert!(is_sent(session.sign_in("max")));
    assert!(is_sent(session.set_persistent(true)));
    assert_eq!(session.get::<i64>("a").await.unwrap(), Some(1));
    assert_eq!(
        session.increment("n", 1).await.unwrap(),
        1,
        "stored at once"
    );
    assert_eq!(app.read(&token, "a").await, Some(1));
    assert_eq!(app.read(&token, "n").await, Some(1));
}

#[tokio::test]
async fn an_untouched_session_is_closed_with_the_response_too() {
    let app = App::over_io();
    let (sender, receiver) = std::sync::mpsc::channel();
    app.with(None, move |session| async move {
        sender.send(session).unwrap();
        Ok(ok(""))
    })
    .await
    .assert_plain();
    assert!(is_sent(receiver.recv().unwrap().insert("a", &1)));
}

async fn a_detached_handle_stores_with_save(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let session = kept(&app, Some(&token), true).await;
    session.insert("a", &2).unwrap();
    assert_eq!(app.read(&token, "a").await, Some(1));
    session.save().await.unwrap();
    assert_eq!(app.read(&token, "a").await, Some(2));
    assert!(is_sent(session.rotate()));
    assert!(is_sent(session.sign_in("max")));
    session.destroy().unwrap();
    session.save().await.unwrap();
    assert_eq!(app.read(&token, "a").await, None);
    assert_eq!(app.records(), 0);
}

async fn a_handle_that_outlives_its_request_reads_what_the_commit_stored(app: App) {
    let token = app.start(&[("a", 1), ("n", 1)]).await;
    let (sender, receiver) = std::sync::mpsc::channel();
    app.with(Some(&token), move |session| async move {
        session.get::<i64>("a").await?;
        session.increment("n", 1).await?;
        session.insert("a", &2)?;
        session.insert("n", &7)?;
        session.insert("b", &3)?;
        sender.send(session.detach()).unwrap();
        Ok(ok(""))
    })
    .await
    .assert_plain();
    let session = receiver.recv().unwrap();
    let mut seen = Vec::new();
    for key in ["a", "b", "n"] {
        seen.push(session.get::<i64>(key).await.unwrap());
    }
    assert_eq!(seen, [Some(2), Some(3), Some(7)]);
    assert_eq!(session.keys().await.unwrap(), ["a", "b", "n"]);
}

async fn no_session_starts_after_the_head(app: App) {
    let session = kept(&app, None, true).await;
    session.insert("a", &1).unwrap();
    assert!(is_sent(session.save().await));
    assert!(is_sent(session.increment("a", 1).await.map(drop)));
    assert!(is_sent(session.update("a", |_| Some(1)).await.map(drop)));
    assert_eq!(app.records(), 0);
}

async fn save_commits_before_the_response_and_says_what_happened(app: App) {
    let inner = app.clone();
    let reply = app
        .with(None, move |session| async move {
            session.insert("a", &1)?;
            assert_eq!(session.id().await?, None, "about to start");
            session.save().await?;
            let id = session.id().await?.unwrap();
            assert_eq!(session.status().await?, Status::New);
            assert_eq!(inner.records(), 1);
            session.sign_in("max")?;
            session.save().await?;
            assert_eq!(session.id().await?, Some(id));
            session.insert("b", &2)?;
            Ok(ok(id))
        })
        .await;
    let token = reply.token();
    assert_eq!(app.id(&token).await.unwrap().to_string(), reply.body);
    assert_eq!(app.read(&token, "b").await, Some(2));
    assert_eq!(app.sessions().list(&owner("max")).await.unwrap().len(), 1);
}

async fn sessions_of_a_user_are_listed_and_ended_from_outside(app: App) {
    let login = || async {
        let reply = app
            .with(None, |session| async move {
                session.sign_in("max")?;
                Ok(ok(""))
            })
            .await;
        app.advance(Duration::from_millis(10));
        reply.token()
    };
    let (first, second, third) = (login().await, login().await, login().await);
    let sessions = app.sessions();
    let max = owner("max");
    let list = sessions.list(&max).await.unwrap();
    let ids: Vec<_> = list.iter().map(|session| session.id).collect();
    let expected = [
        app.id(&first).await.unwrap(),
        app.id(&second).await.unwrap(),
        app.id(&third).await.unwrap(),
    ];
    assert_eq!(ids, expected);
    assert!(sessions.revoke_as_admin(ids[0]).await.unwrap());
    assert!(!sessions.revoke_as_admin(ids[0]).await.unwrap());
    assert_eq!(app.id(&first).await, None);
    assert_eq!(sessions.revoke_others(&max, ids[2]).await.unwrap(), 1);
    assert_eq!(app.id(&second).await, None);
    assert_eq!(app.id(&third).await, Some(ids[2]));
    assert_eq!(sessions.revoke_all(&max).await.unwrap(), 1);
    assert_eq!(app.id(&third).await, None);
    let text = format!("{list:?}");
    assert!(!text.contains(&third[22..]), "no token in a list: {text}");
}
