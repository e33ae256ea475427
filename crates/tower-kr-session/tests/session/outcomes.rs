//! What a commit finds, and what then happens: every cell of the table in docs/architecture.md.

use http::StatusCode;
use tower_kr_session::{SessionError, Status};

use crate::support::{App, Reply, ok, on_each_store, owner};

on_each_store!(
    read_of_a_missing_session_leaves_the_response_as_it_is,
    read_of_a_superseded_session_reads_as_absent,
    touch_of_a_session_that_went_away_leaves_the_response_as_it_is,
    blind_write_to_a_missing_session_starts_a_new_one,
    blind_write_to_a_superseded_session_is_a_conflict,
    blind_increment_of_a_missing_session_starts_a_new_one,
    increment_with_a_superseded_token_is_an_error_at_the_call,
    write_after_the_session_was_seen_alive_and_went_away_is_a_conflict,
    write_after_the_session_was_seen_alive_and_rotated_is_a_conflict,
    sign_in_on_a_missing_session_starts_one_without_the_old_values,
    sign_in_with_a_superseded_token_starts_a_session_of_its_own,
    destroy_of_a_missing_session_succeeds_and_removes_the_cookie,
    destroy_with_a_superseded_token_is_a_conflict,
    destroy_of_a_live_session_ends_it_and_removes_the_cookie,
    what_is_noted_after_destroy_starts_a_new_session,
    signing_in_another_user_ends_the_session_and_takes_nothing_of_it,
    a_sign_in_that_was_checked_before_a_revocation_is_refused,
    a_rotation_of_nothing_does_nothing,
    what_another_user_wrote_in_this_request_is_left_with_the_other_session,
    a_handler_ends_a_users_sessions_and_signs_them_in,
    facts_of_a_session_stay_while_a_sign_in_waits_for_the_commit,
    a_superseded_token_beside_a_forged_one_is_superseded,
    destroy_after_the_token_was_seen_superseded_is_a_conflict_too,
    a_session_that_is_found_gone_on_a_second_read_has_ended,
);

/// A session that is gone; its token, and how many records are left.
async fn missing(app: &App) -> String {
    let token = app.start(&[("old", 1)]).await;
    let id = app.id(&token).await.unwrap();
    assert!(app.sessions().revoke_as_admin(id).await.unwrap());
    token
}

/// A session whose token was just replaced; the old and the new one.
async fn superseded(app: &App) -> (String, String) {
    let old = app.start(&[("old", 1)]).await;
    let rotated = app
        .with(Some(&old), |session| async move {
            session.rotate()?;
            Ok(ok(""))
        })
        .await;
    let new = rotated.token();
    assert_ne!(old, new);
    (old, new)
}

async fn insert(app: &App, token: &str) -> Reply {
    app.with(Some(token), |session| async move {
        session.insert("new", &2)?;
        Ok(ok(""))
    })
    .await
}

async fn status(app: &App, token: &str) -> (Status, Reply) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let reply = app
        .with(Some(token), move |session| async move {
            sender.send(session.status().await?).unwrap();
            Ok(ok(""))
        })
        .await;
    (receiver.recv().unwrap(), reply)
}

async fn read_of_a_missing_session_leaves_the_response_as_it_is(app: App) {
    let token = missing(&app).await;
    assert_eq!(app.read(&token, "old").await, None);
    let (found, reply) = status(&app, &token).await;
    assert_eq!(found, Status::Expired);
    reply.assert_plain();
    assert_eq!(app.records(), 0);
}

async fn read_of_a_superseded_session_reads_as_absent(app: App) {
    let (old, new) = superseded(&app).await;
    assert_eq!(app.read(&old, "old").await, None);
    let (found, reply) = status(&app, &old).await;
    assert_eq!(found, Status::Superseded);
    reply.assert_plain();
    assert_eq!(app.read(&new, "old").await, Some(1));
}

async fn touch_of_a_session_that_went_away_leaves_the_response_as_it_is(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let id = app.id(&token).await.unwrap();
    app.advance(crate::support::IDLE / 2);
    let other = app.clone();
    let reply = app
        .with(Some(&token), move |session| async move {
            assert_eq!(session.get::<i64>("a").await?, Some(1));
            assert!(other.sessions().revoke_as_admin(id).await?);
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    assert_eq!(app.records(), 0);
}

async fn blind_write_to_a_missing_session_starts_a_new_one(app: App) {
    let token = missing(&app).await;
    let reply = insert(&app, &token).await;
    assert_eq!(reply.status, StatusCode::OK);
    let new = reply.token();
    assert_ne!(new[..22], token[..22], "a new id");
    assert_ne!(new[22..], token[22..], "a new secret");
    assert_eq!(app.read(&new, "new").await, Some(2));
    assert_eq!(app.read(&new, "old").await, None);
    assert_eq!(app.read(&token, "new").await, None);
    assert_eq!(app.records(), 1);
}

async fn blind_write_to_a_superseded_session_is_a_conflict(app: App) {
    let (old, new) = superseded(&app).await;
    insert(&app, &old)
        .await
        .assert_refused(StatusCode::CONFLICT);
    assert_eq!(app.read(&new, "new").await, None);
    assert_eq!(app.records(), 1);
}

async fn blind_increment_of_a_missing_session_starts_a_new_one(app: App) {
    let token = missing(&app).await;
    let reply = app
        .with(Some(&token), |session| async move {
            session.insert("b", &1)?;
            assert_eq!(session.increment("n", 5).await?, 5);
            assert_eq!(session.increment("n", 5).await?, 10);
            assert_eq!(session.increment("b", 1).await?, 2);
            assert_eq!(session.get::<i64>("n").await?, Some(10));
            assert_eq!(session.status().await?, Status::New);
            Ok(ok(""))
        })
        .await;
    let new = reply.token();
    assert_eq!(app.read(&new, "n").await, Some(10));
    assert_eq!(app.read(&new, "b").await, Some(2));
}

async fn increment_with_a_superseded_token_is_an_error_at_the_call(app: App) {
    let (old, new) = superseded(&app).await;
    let reply = app
        .with(Some(&old), |session| async move {
            session.increment("old", 1).await?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert_eq!(reply.set_cookie(), None);
    assert_eq!(app.read(&new, "old").await, Some(1));
}

async fn write_after_the_session_was_seen_alive_and_went_away_is_a_conflict(app: App) {
    for change in ["insert", "increment", "remove", "clear", "rotate"] {
        let token = app.start(&[("a", 1)]).await;
        let id = app.id(&token).await.unwrap();
        let other = app.clone();
        let reply = app
            .with(Some(&token), move |session| async move {
                assert_eq!(session.get::<i64>("a").await?, Some(1));
                assert!(other.sessions().revoke_as_admin(id).await?);
                match change {
                    "insert" => session.insert("a", &2)?,
                    "increment" => {
                        let error = session.increment("a", 1).await.unwrap_err();
                        assert!(matches!(error, SessionError::Ended), "{error}");
                        session.insert("a", &2)?;
                    }
                    "remove" => session.remove("a")?,
                    "clear" => session.clear()?,
                    _ => session.rotate()?,
                }
                Ok(ok(""))
            })
            .await;
        reply.assert_refused(StatusCode::CONFLICT);
        assert_eq!(app.records(), 0, "{change}");
        assert_eq!(app.read(&token, "a").await, None);
    }
}

async fn write_after_the_session_was_seen_alive_and_rotated_is_a_conflict(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let (other, same) = (app.clone(), token.clone());
    let (sender, receiver) = std::sync::mpsc::channel();
    let reply = app
        .with(Some(&token), move |session| async move {
            assert_eq!(session.get::<i64>("a").await?, Some(1));
            let rotated = other
                .with(Some(&same), |session| async move {
                    session.rotate()?;
                    Ok(ok(""))
                })
                .await;
            sender.send(rotated.token()).unwrap();
            session.insert("a", &2)?;
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::CONFLICT);
    assert_eq!(app.read(&receiver.recv().unwrap(), "a").await, Some(1));
}

async fn sign_in_on_a_missing_session_starts_one_without_the_old_values(app: App) {
    for seen in [false, true] {
        let token = app.start(&[("old", 1)]).await;
        let id = app.id(&token).await.unwrap();
        let other = app.clone();
        let reply = app
            .with(Some(&token), move |session| async move {
                if seen {
                    assert_eq!(session.get::<i64>("old").await?, Some(1));
                }
                assert!(other.sessions().revoke_as_admin(id).await?);
                session.sign_in("max")?;
                session.insert("new", &2)?;
                Ok(ok(""))
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        let new = reply.token();
        assert_ne!(app.id(&new).await, Some(id));
        assert_eq!(app.read(&new, "old").await, None);
        assert_eq!(app.read(&new, "new").await, Some(2));
        assert_eq!(app.sessions().revoke_all(&owner("max")).await.unwrap(), 1);
        app.advance(std::time::Duration::from_millis(1));
    }
}

async fn sign_in_with_a_superseded_token_starts_a_session_of_its_own(app: App) {
    let (old, current) = superseded(&app).await;
    let reply = app
        .with(Some(&old), |session| async move {
            session.sign_in("max")?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    let new = reply.token();
    assert_ne!(app.id(&new).await, app.id(&current).await);
    assert_eq!(app.read(&new, "old").await, None);
    assert_eq!(
        app.read(&current, "old").await,
        Some(1),
        "the newer token still lives"
    );
}

async fn destroy_of_a_missing_session_succeeds_and_removes_the_cookie(app: App) {
    let token = missing(&app).await;
    let reply = app
        .with(Some(&token), |session| async move {
            session.destroy()?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.removes_cookie(), "{reply:?}");
    assert_eq!(app.records(), 0);
}

async fn destroy_with_a_superseded_token_is_a_conflict(app: App) {
    let (old, new) = superseded(&app).await;
    let reply = app
        .with(Some(&old), |session| async move {
            session.destroy()?;
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::CONFLICT);
    assert_eq!(app.read(&new, "old").await, Some(1));
}

async fn destroy_of_a_live_session_ends_it_and_removes_the_cookie(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let reply = app
        .with(Some(&token), |session| async move {
            session.insert("b", &2)?;
            session.destroy()?;
            assert_eq!(session.get::<i64>("a").await?, None);
            assert_eq!(session.status().await?, Status::Absent);
            Ok(ok(""))
        })
        .await;
    assert!(reply.removes_cookie(), "{reply:?}");
    assert_eq!(app.records(), 0);
    assert_eq!(app.read(&token, "a").await, None);
}

async fn what_is_noted_after_destroy_starts_a_new_session(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let reply = app
        .with(Some(&token), |session| async move {
            session.destroy()?;
            session.insert("flash", &1)?;
            assert_eq!(session.increment("flash", 1).await?, 2);
            assert_eq!(session.status().await?, Status::New);
            Ok(ok(""))
        })
        .await;
    let new = reply.token();
    assert_eq!(app.read(&new, "flash").await, Some(2));
    assert_eq!(app.read(&new, "a").await, None);
    assert_eq!(app.read(&token, "a").await, None);
    assert_eq!(app.records(), 1);
}

async fn signing_in_another_user_ends_the_session_and_takes_nothing_of_it(app: App) {
    for look in [false, true] {
        let first = app
            .with(None, |session| async move {
                session.insert("private", &1)?;
                session.sign_in("first")?;
                Ok(ok(""))
            })
            .await
            .token();
        let reply = app
            .with(Some(&first), move |session| async move {
                session.sign_in("second")?;
                if look {
                    assert_eq!(session.get::<i64>("private").await?, None);
                    assert_eq!(session.increment("private", 1).await?, 1);
                }
                assert_eq!(session.owner().await?, Some(owner("second")));
                Ok(ok(""))
            })
            .await;
        let second = reply.token();
        assert_ne!(app.id(&second).await, app.id(&first).await);
        assert_eq!(app.read(&second, "private").await, look.then_some(1));
        assert_eq!(app.read(&first, "private").await, None);
        assert_eq!(app.sessions().list(&owner("first")).await.unwrap(), []);
        assert_eq!(
            app.sessions().list(&owner("second")).await.unwrap().len(),
            1
        );
        app.sessions().revoke_all(&owner("second")).await.unwrap();
        app.advance(std::time::Duration::from_millis(1));
    }
}

async fn a_sign_in_that_was_checked_before_a_revocation_is_refused(app: App) {
    let token = app.start(&[("a", 1)]).await;
    for token in [Some(token.as_str()), None] {
        let other = app.clone();
        let reply = app
            .with(token, move |session| async move {
                session.sign_in("max")?;
                other.sessions().revoke_all(&owner("max")).await?;
                Ok(ok(""))
            })
            .await;
        reply.assert_refused(StatusCode::CONFLICT);
        assert_eq!(app.sessions().list(&owner("max")).await.unwrap(), []);
    }
}

async fn a_rotation_of_nothing_does_nothing(app: App) {
    let gone = missing(&app).await;
    for token in [None, Some(gone.as_str())] {
        let reply = app
            .with(token, |session| async move {
                session.rotate()?;
                session.remove("a")?;
                session.clear()?;
                Ok(ok(""))
            })
            .await;
        reply.assert_plain();
        assert_eq!(app.records(), 0);
    }
}

async fn what_another_user_wrote_in_this_request_is_left_with_the_other_session(app: App) {
    for save in [false, true] {
        let token = app
            .with(None, |session| async move {
                session.sign_in("first")?;
                Ok(ok(""))
            })
            .await
            .token();
        let reply = app
            .with(Some(&token), move |session| async move {
                session.update("private", |_| Some(1)).await?;
                session.sign_in("second")?;
                if save {
                    session.save().await?;
                } else {
                    assert_eq!(session.id().await?, None, "about to start");
                    assert_eq!(session.created_at().await?, None);
                }
                assert_eq!(session.increment("private", 1).await?, 1);
                Ok(ok(""))
            })
            .await;
        assert_eq!(app.read(&reply.token(), "private").await, Some(1));
    }
}

async fn a_handler_ends_a_users_sessions_and_signs_them_in(app: App) {
    let mut tokens: Vec<String> = Vec::new();
    // The clock stands still: both happen within one millisecond.
    for _ in 0..3 {
        let other = app.clone();
        let reply = app
            .with(None, move |session| async move {
                other.sessions().revoke_all(&owner("max")).await?;
                session.sign_in("max")?;
                Ok(ok(""))
            })
            .await;
        assert_eq!(reply.status, StatusCode::OK);
        if let Some(last) = tokens.last() {
            assert_eq!(app.id(last).await, None);
        }
        tokens.push(reply.token());
    }
    let token = tokens.pop().unwrap();
    let other = app.clone();
    let reply = app
        .with(Some(&token), move |session| async move {
            session.sign_in("max")?;
            session.save().await?;
            let id = session.id().await?.unwrap();
            other.sessions().revoke_others(&owner("max"), id).await?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(app.id(&reply.token()).await.is_some());
}

async fn facts_of_a_session_stay_while_a_sign_in_waits_for_the_commit(app: App) {
    let token = app.start(&[("a", 1)]).await;
    app.with(Some(&token), |session| async move {
        let before = session.created_at().await?.unwrap();
        session.sign_in("max")?;
        assert_eq!(session.created_at().await?, Some(before));
        assert!(session.expires_at().await?.is_some());
        assert!(session.absolute_deadline().await?.is_some());
        assert!(session.id().await?.is_some());
        Ok(ok(""))
    })
    .await
    .assert_done();
}

async fn a_superseded_token_beside_a_forged_one_is_superseded(app: App) {
    let (old, _) = superseded(&app).await;
    let old = format!("{}={old}", crate::support::NAME);
    let forged = format!("{}={}", crate::support::NAME, "x".repeat(64));
    for cookies in [[old.clone(), forged.clone()], [forged, old]] {
        app.raw(&cookies, |session| async move {
            session.insert("a", &1)?;
            Ok(ok(""))
        })
        .await
        .assert_refused(StatusCode::CONFLICT);
    }
}

async fn destroy_after_the_token_was_seen_superseded_is_a_conflict_too(app: App) {
    let (old, new) = superseded(&app).await;
    app.with(Some(&old), |session| async move {
        assert_eq!(session.status().await?, Status::Superseded);
        session.destroy()?;
        Ok(ok(""))
    })
    .await
    .assert_refused(StatusCode::CONFLICT);
    assert_eq!(app.read(&new, "old").await, Some(1));
}

async fn a_session_that_is_found_gone_on_a_second_read_has_ended(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let id = app.id(&token).await.unwrap();
    let other = app.clone();
    app.with(Some(&token), move |session| async move {
        session.increment("n", 1).await?;
        assert!(other.sessions().revoke_as_admin(id).await?);
        assert_eq!(session.get::<i64>("a").await?, None);
        session.insert("a", &2)?;
        Ok(ok(""))
    })
    .await
    .assert_refused(StatusCode::CONFLICT);
    assert_eq!(app.records(), 0);
}
