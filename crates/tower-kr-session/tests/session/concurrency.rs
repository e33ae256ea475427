//! Requests of one session at the same time.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tokio::{sync::Barrier, task::JoinSet};
use tower_kr_session::Status;

use crate::support::{App, ok, on_each_store};

on_each_store!(a_slow_request_does_not_revive_a_session_that_signs_out_meanwhile,);

on_each_store!(
    in_threads:
    no_increment_of_6400_is_lost,
    no_update_of_640_is_lost,
    writers_of_different_keys_keep_each_other,
    a_flash_message_is_taken_once,
    after_a_login_the_old_token_is_refused_in_parallel_requests_too,
    of_parallel_logins_each_client_ends_with_a_session_that_lives,
);

async fn no_increment_of_6400_is_lost(app: App) {
    let token = app.start(&[("n", 0)]).await;
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let (app, token) = (app.clone(), token.clone());
        tasks.spawn(async move {
            for _ in 0..100 {
                let reply = app
                    .with(Some(&token), |session| async move {
                        let before = session.get::<i64>("n").await?.unwrap();
                        tokio::task::yield_now().await;
                        assert!(session.increment("n", 1).await? > before);
                        Ok(ok(""))
                    })
                    .await;
                reply.assert_plain();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(app.read(&token, "n").await, Some(6_400));
}

async fn no_update_of_640_is_lost(app: App) {
    let token = app.start(&[("n", 0)]).await;
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (app, token) = (app.clone(), token.clone());
        tasks.spawn(async move {
            for _ in 0..40 {
                let reply = app
                    .with(Some(&token), |session| async move {
                        session
                            .update("n", |n: Option<i64>| n.map(|n| n + 1))
                            .await?;
                        Ok(ok(""))
                    })
                    .await;
                reply.assert_plain();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(app.read(&token, "n").await, Some(640));
}

async fn writers_of_different_keys_keep_each_other(app: App) {
    let token = app.start(&[("n", 0)]).await;
    let all_read = Arc::new(Barrier::new(64));
    let mut tasks = JoinSet::new();
    for number in 0..64_i64 {
        let (app, token, all_read) = (app.clone(), token.clone(), Arc::clone(&all_read));
        tasks.spawn(async move {
            let reply = app
                .with(Some(&token), move |session| async move {
                    assert_eq!(session.keys().await?, ["n"]);
                    all_read.wait().await;
                    session.insert(&format!("key {number}"), &number)?;
                    Ok(ok(""))
                })
                .await;
            reply.assert_plain();
        });
    }
    tasks.join_all().await;
    let reply = app
        .with(Some(&token), |session| async move {
            for number in 0..64 {
                assert_eq!(
                    session.get::<i64>(&format!("key {number}")).await?,
                    Some(number)
                );
            }
            Ok(ok(session.keys().await?.len()))
        })
        .await;
    assert_eq!(reply.body, "65");
}

async fn a_flash_message_is_taken_once(app: App) {
    for _ in 0..20 {
        let token = app.start(&[("flash", 7)]).await;
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (app, token) = (app.clone(), token.clone());
            tasks.spawn(async move {
                app.with(Some(&token), |session| async move {
                    Ok(ok(format!("{:?}", session.take::<i64>("flash").await?)))
                })
                .await
                .body
            });
        }
        let bodies = tasks.join_all().await;
        assert_eq!(bodies.iter().filter(|body| *body == "Some(7)").count(), 1);
        assert_eq!(bodies.iter().filter(|body| *body == "None").count(), 7);
    }
}

async fn a_slow_request_does_not_revive_a_session_that_signs_out_meanwhile(app: App) {
    for use_ in ["insert", "increment", "read", "rotate", "blind"] {
        let token = app.start(&[("a", 1)]).await;
        let (other, same) = (app.clone(), token.clone());
        let slow = app
            .with(Some(&token), move |session| async move {
                if use_ != "blind" {
                    session.get::<i64>("a").await?;
                }
                let logout = other
                    .with(Some(&same), |session| async move {
                        session.sign_out()?;
                        Ok(ok(""))
                    })
                    .await;
                assert!(logout.removes_cookie());
                match use_ {
                    "increment" => drop(session.increment("a", 1).await),
                    "rotate" => session.rotate()?,
                    "read" => {}
                    _ => session.insert("a", &2)?,
                }
                Ok(ok(""))
            })
            .await;
        if use_ == "blind" {
            assert_ne!(slow.token()[..22], token[..22], "a session of its own");
        } else {
            assert_eq!(slow.set_cookie(), None, "{use_}");
        }
        assert_eq!(app.read(&token, "a").await, None, "{use_}");
    }
}

async fn after_a_login_the_old_token_is_refused_in_parallel_requests_too(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let login = app
        .with(Some(&token), |session| async move {
            session.sign_in("max")?;
            Ok(ok(""))
        })
        .await;
    let new = login.token();
    let mut tasks = JoinSet::new();
    for number in 0..32 {
        let (app, token) = (app.clone(), token.clone());
        tasks.spawn(async move {
            let reply = app
                .with(Some(&token), move |session| async move {
                    if number % 2 == 0 {
                        session.insert("a", &2)?;
                    } else {
                        assert_eq!(session.get::<i64>("a").await?, None);
                        assert_eq!(session.status().await?, Status::Superseded);
                        assert_eq!(session.owner().await?, None);
                    }
                    Ok(ok(""))
                })
                .await;
            assert_eq!(reply.set_cookie(), None);
            let expected = [StatusCode::CONFLICT, StatusCode::OK][number % 2];
            assert_eq!(reply.status, expected);
        });
    }
    tasks.join_all().await;
    assert_eq!(app.read(&new, "a").await, Some(1));
    app.advance(Duration::from_secs(10));
}

async fn of_parallel_logins_each_client_ends_with_a_session_that_lives(app: App) {
    let token = app.start(&[("a", 1)]).await;
    let all = Arc::new(Barrier::new(8));
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (app, token, all) = (app.clone(), token.clone(), Arc::clone(&all));
        tasks.spawn(async move {
            let reply = app
                .with(Some(&token), |session| async move {
                    session.sign_in("max")?;
                    all.wait().await;
                    Ok(ok(""))
                })
                .await;
            assert_eq!(reply.status, StatusCode::OK);
            reply.token()
        });
    }
    let tokens = tasks.join_all().await;
    for token in &tokens {
        assert!(
            app.id(token).await.is_some(),
            "a lost login response locks nobody out"
        );
    }
}

#[tokio::test]
async fn one_session_is_loaded_once_by_calls_at_the_same_time() {
    let app = App::over_io();
    let token = app.start(&[("a", 1), ("b", 2)]).await;
    app.remote.take_calls();
    app.with(Some(&token), |session| async move {
        let (a, b, id) = tokio::join!(
            session.get::<i64>("a"),
            session.get::<i64>("b"),
            session.id()
        );
        assert_eq!((a?, b?), (Some(1), Some(2)));
        assert!(id?.is_some());
        Ok(ok(""))
    })
    .await
    .assert_plain();
    assert_eq!(app.remote.take_calls(), 1);
}
