//! The sessions of a user, and all sessions, from outside of requests.

use std::{collections::HashSet, time::Duration};

use http::StatusCode;
use tower_kr_session::{Clock, Cursor, Label};

use crate::support::{App, ok, on_each_store, owner};

on_each_store!(
    sessions_of_a_user_are_listed_and_ended_from_outside,
    a_list_of_devices_names_each_and_says_when_it_was_used,
    an_administrator_counts_and_goes_through_all_sessions,
);

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

async fn a_list_of_devices_names_each_and_says_when_it_was_used(app: App) {
    let sign_in = async |token: Option<&str>, label: Option<&'static str>| {
        let reply = app.with(token, move |session| async move {
            match label {
                Some(label) => session.sign_in_with_label("max", label)?,
                None => session.sign_in("max")?,
            }
            Ok(ok(""))
        });
        reply.await.token()
    };
    let start = app.clock.now();
    let firefox = sign_in(None, Some("Firefox on Linux")).await;
    app.advance(Duration::from_secs(5));
    let unnamed = sign_in(None, None).await;
    app.advance(Duration::from_secs(5));
    let used = app.with(Some(&firefox), |session| async move {
        session.insert("a", &1)?;
        Ok(ok(""))
    });
    used.await.assert_done();
    let max = owner("max");
    let list = app.sessions().list(&max).await.unwrap();
    let named: Vec<_> = list
        .iter()
        .map(|session| session.label.as_ref().map(|label| label.as_str()))
        .collect();
    assert_eq!(named, [Some("Firefox on Linux"), None]);
    let used = |seconds| start.saturating_add(Duration::from_secs(seconds));
    assert_eq!(
        [list[0].last_used_at, list[1].last_used_at],
        [used(10), used(5)]
    );
    assert!(
        list.iter()
            .all(|session| session.owner.as_ref() == Some(&max))
    );

    // Who proves again who they are keeps the name.
    let again = sign_in(Some(&firefox), None).await;
    let list = app.sessions().list(&max).await.unwrap();
    assert_eq!(list[0].label, Some(Label::new("Firefox on Linux").unwrap()));
    assert_eq!(list[0].last_used_at, used(10));
    assert_ne!(app.id(&again).await, app.id(&unnamed).await);

    let too_long = app.with(None, |session| async move {
        let refused = session.sign_in_with_label("max", "x".repeat(257));
        let refused = refused.unwrap_err();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert!(refused.to_string().contains("257"), "{refused}");
        assert!(session.sign_in_with_label("max", "").is_err());
        Ok(ok(""))
    });
    too_long.await.assert_plain();
}

async fn an_administrator_counts_and_goes_through_all_sessions(app: App) {
    let mut tokens = Vec::new();
    for _ in 0..250 {
        tokens.push(app.start(&[("a", 1)]).await);
    }
    let reply = app.with(Some(&tokens[7]), |session| async move {
        session.sign_in("max")?;
        Ok(ok(""))
    });
    let max = reply.await.token();
    let sessions = app.sessions();
    let (mut found, mut pages, mut cursor) = (HashSet::new(), 0, None);
    loop {
        let page = sessions.page(cursor.as_ref()).await.unwrap();
        for session in page.sessions {
            let id = session.id;
            assert_eq!(session.owner.is_some(), Some(id) == app.id(&max).await);
            assert!(found.insert(id), "{id} came twice");
        }
        pages += 1;
        cursor = match page.next {
            // A link of the administrator's page carries it.
            Some(next) => Some(next.to_string().parse().unwrap()),
            None => break,
        };
    }
    assert_eq!((found.len(), pages), (250, 3));
    assert_eq!(sessions.count().await.unwrap(), 250);
    let refused = sessions.page(Some(&Cursor::new("x"))).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    app.advance(Duration::from_secs(3_600));
    assert_eq!(sessions.count().await.unwrap(), 0);
}
