//! Typed and raw values, and what a call costs the store.

use http::StatusCode;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tower_kr_session::{Session, SessionError, SessionKey};

use crate::support::{App, ok, on_each_store};

on_each_store!(
    a_float_is_read_back_as_it_was_given,
    what_was_noted_before_a_destroy_does_not_come_back,
    keys_of_every_kind_read_well,
    a_request_reads_what_it_wrote,
    update_and_take_work_wherever_the_value_stands,
    a_failing_increment_changes_nothing_and_says_why,
    a_session_that_would_grow_too_large_is_refused_and_stays_as_it_was,
    values_of_a_session_that_is_left_are_not_read_any_more,
    an_update_that_changes_nothing_is_one_of_the_value_of_now,
    a_new_session_is_not_larger_than_allowed_however_it_grew,
    values_that_were_read_before_another_user_signed_in_are_not_read_afterwards,
);

const NAME: SessionKey<String> = SessionKey::new("name");
const COUNT: SessionKey<i64> = SessionKey::new("count");
const CART: SessionKey<Cart> = SessionKey::new("cart");

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<u32>,
}

async fn keys_of_every_kind_read_well(app: App) {
    let reply = app
        .with(None, |session| async move {
            session.insert(NAME, "max")?;
            session.insert(NAME, &"max".to_owned())?;
            session.insert(COUNT, &41)?;
            session.insert("plain", &true)?;
            session.insert(&String::from("owned"), &[1, 2])?;
            session.insert(CART, &Cart { items: vec![1] })?;
            session.insert_bytes("raw", vec![0, 255])?;
            assert_eq!(session.increment(COUNT, 1).await?, 42);
            Ok(ok(""))
        })
        .await;
    let token = reply.token();
    app.with(Some(&token), |session| async move {
        assert_eq!(session.get(NAME).await?.as_deref(), Some("max"));
        assert_eq!(session.get(COUNT).await?, Some(42));
        assert_eq!(session.get::<bool>("plain").await?, Some(true));
        assert_eq!(
            session.get::<Vec<u8>>(&String::from("owned")).await?,
            Some(vec![1, 2])
        );
        assert_eq!(session.get(CART).await?, Some(Cart { items: vec![1] }));
        assert_eq!(
            session.get_bytes("raw").await?.as_deref(),
            Some(&[0, 255][..])
        );
        assert_eq!(session.get_bytes(COUNT).await?.as_deref(), Some(&b"42"[..]));
        let keys = session.keys().await?;
        assert_eq!(keys, ["cart", "count", "name", "owned", "plain", "raw"]);
        session.remove(NAME)?;
        session.remove("plain")?;
        session.insert("added", &1)?;
        let keys = session.keys().await?;
        assert_eq!(keys, ["added", "cart", "count", "owned", "raw"]);
        assert!(!session.contains_key(NAME).await?);
        assert!(session.contains_key("added").await?);
        Ok(ok(""))
    })
    .await
    .assert_plain();
}

async fn a_request_reads_what_it_wrote(app: App) {
    let token = app.start(&[("a", 1), ("b", 2), ("n", 10)]).await;
    app.with(Some(&token), |session| async move {
        session.insert("a", &100)?;
        assert_eq!(session.increment("n", 1).await?, 11);
        assert_eq!(session.get::<i64>("a").await?, Some(100));
        assert_eq!(session.get::<i64>("n").await?, Some(11));
        assert_eq!(session.get::<i64>("b").await?, Some(2));
        assert_eq!(
            session.increment("a", 1).await?,
            101,
            "what was carried along is in the store"
        );
        session.remove("b")?;
        assert_eq!(session.get::<i64>("b").await?, None);
        assert_eq!(session.increment("b", 5).await?, 5);
        session.clear()?;
        assert_eq!(session.keys().await?, Vec::<String>::new());
        assert_eq!(session.increment("n", 1).await?, 1);
        session.insert("z", &26)?;
        session.save().await?;
        assert_eq!(session.keys().await?, ["n", "z"]);
        assert_eq!(session.get::<i64>("z").await?, Some(26));
        Ok(ok(""))
    })
    .await
    .assert_plain();
    assert_eq!(app.read(&token, "n").await, Some(1));
    assert_eq!(app.read(&token, "a").await, None);
    assert_eq!(app.read(&token, "z").await, Some(26));
}

async fn update_and_take_work_wherever_the_value_stands(app: App) {
    let add = |old: Option<Cart>| {
        let mut cart = old.unwrap_or_default();
        cart.items.push(7);
        Some(cart)
    };
    let reply = app
        .with(None, move |session| async move {
            assert_eq!(session.update(CART, add).await?.unwrap().items, [7]);
            assert_eq!(session.update(CART, add).await?.unwrap().items, [7, 7]);
            session.insert("flash", &1)?;
            assert_eq!(session.take::<i64>("flash").await?, Some(1));
            assert_eq!(session.take::<i64>("flash").await?, None);
            Ok(ok(""))
        })
        .await;
    let token = reply.token();
    app.with(Some(&token), move |session| async move {
        assert_eq!(session.keys().await?, ["cart"]);
        assert_eq!(session.update(CART, add).await?.unwrap().items, [7, 7, 7]);
        assert_eq!(session.get(CART).await?.unwrap().items.len(), 3);
        assert_eq!(session.update(CART, |_| None).await?, None);
        assert_eq!(session.get(CART).await?, None);
        assert_eq!(session.update(CART, |_| None).await?, None);
        Ok(ok(""))
    })
    .await
    .assert_plain();
}

async fn a_failing_increment_changes_nothing_and_says_why(app: App) {
    let token = app.start(&[("full", i64::MAX)]).await;
    let reply = app
        .with(Some(&token), |session| async move {
            session.insert("text", "x")?;
            session.save().await?;
            session.insert("carried", &1)?;
            let text = session.increment("text", 1).await.unwrap_err();
            assert_eq!(
                text.to_string(),
                "session value `text` is not a 64-bit integer"
            );
            let full = session.increment("full", 1).await.unwrap_err();
            assert!(matches!(full, SessionError::Overflow { .. }), "{full}");
            let wrong = session.get::<i64>("text").await.unwrap_err();
            assert!(matches!(wrong, SessionError::Decode { .. }), "{wrong}");
            assert_eq!(wrong.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(!wrong.public_message().contains("text"));
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    assert_eq!(app.read(&token, "carried").await, Some(1));
    assert_eq!(app.read(&token, "full").await, Some(i64::MAX));
}

#[tokio::test]
async fn bad_keys_and_owners_are_errors_at_the_call() {
    let app = App::over_io();
    app.remote.take_calls();
    let reply = app
        .with(None, |session| async move {
            let long = "k".repeat(257);
            for bad in ["", "a\nb", "\u{0}", "\u{7f}", "\u{85}", &long] {
                let status = |error: SessionError| error.status();
                assert_eq!(
                    session.insert(bad, &1).map_err(status),
                    Err(StatusCode::BAD_REQUEST)
                );
                assert_eq!(
                    session.remove(bad).map_err(status),
                    Err(StatusCode::BAD_REQUEST)
                );
                assert!(session.get::<i64>(bad).await.is_err());
                assert!(session.contains_key(bad).await.is_err());
                assert!(session.increment(bad, 1).await.is_err());
                assert!(session.take::<i64>(bad).await.is_err());
            }
            let error = session.insert(&long, &1).unwrap_err().to_string();
            assert!(
                error.contains("257 bytes") && error.contains("256"),
                "{error}"
            );
            assert!(session.sign_in("").is_err());
            assert!(session.sign_in("o".repeat(257)).is_err());
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    assert_eq!(app.remote.take_calls(), 0);
}

async fn a_session_that_would_grow_too_large_is_refused_and_stays_as_it_was(mut app: App) {
    app.layer = app.layer.max_session_bytes(1_000);
    let token = app.start(&[("a", 1)]).await;
    let alone = app
        .with(Some(&token), |session| async move {
            session.insert("big", &"x".repeat(1_000))?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(
        alone.status,
        StatusCode::PAYLOAD_TOO_LARGE,
        "known at the call"
    );
    let together = app
        .with(Some(&token), |session| async move {
            session.insert("b", &2)?;
            session.insert("big", &"x".repeat(992))?;
            Ok(ok(""))
        })
        .await;
    together.assert_refused(StatusCode::PAYLOAD_TOO_LARGE);
    let saved = app
        .with(Some(&token), |session| async move {
            session.insert("big", &"x".repeat(994))?;
            let error = session.save().await.unwrap_err();
            assert!(
                matches!(
                    error,
                    SessionError::TooLarge {
                        size: 1_000..,
                        limit: 1_000
                    }
                ),
                "{error}"
            );
            Ok(ok("told the client so"))
        })
        .await;
    saved.assert_plain();
    let first = app
        .with(None, |session| async move {
            session.insert("x", &"x".repeat(900))?;
            session.insert("y", &"x".repeat(900))?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(first.status, StatusCode::PAYLOAD_TOO_LARGE);
    let reply = app
        .with(Some(&token), |session| async move {
            Ok(ok(session.keys().await?.join(",")))
        })
        .await;
    assert_eq!(reply.body, "a");
}

#[tokio::test]
async fn a_call_costs_the_store_what_the_documentation_says() {
    let app = App::over_io();
    let token = app.start(&[("a", 1)]).await;
    assert_eq!(app.remote.take_calls(), 1, "a new session: one create");
    type Handler =
        fn(Session) -> std::pin::Pin<Box<dyn Future<Output = Result<(), SessionError>> + Send>>;
    let cases: [(&str, usize, Handler); 8] = [
        ("untouched", 0, |_| Box::pin(async { Ok(()) })),
        ("read", 1, |session| {
            Box::pin(async move { session.get::<i64>("a").await.map(drop) })
        }),
        ("reads", 1, |session| {
            Box::pin(async move {
                session.get::<i64>("a").await?;
                session.get::<i64>("b").await?;
                session.keys().await.map(drop)
            })
        }),
        ("blind write", 1, |session| {
            Box::pin(async move { session.insert("b", &1) })
        }),
        ("increment", 1, |session| {
            Box::pin(async move { session.increment("n", 1).await.map(drop) })
        }),
        ("read and write", 2, |session| {
            Box::pin(async move {
                session.get::<i64>("a").await?;
                session.insert("a", &1)
            })
        }),
        ("write carried by an increment", 1, |session| {
            Box::pin(async move {
                session.insert("b", &2)?;
                session.increment("n", 1).await.map(drop)
            })
        }),
        ("sign in", 2, |session| {
            Box::pin(async move { session.sign_in("max") })
        }),
    ];
    for (name, calls, handler) in cases {
        app.with(Some(&token), move |session| async move {
            handler(session).await?;
            Ok(ok(""))
        })
        .await;
        assert_eq!(app.remote.take_calls(), calls, "{name}");
    }
}

async fn values_of_a_session_that_is_left_are_not_read_any_more(app: App) {
    let token = app.start(&[("n", 1)]).await;
    app.with(Some(&token), |session| async move {
        session.increment("n", 1).await?;
        session.clear()?;
        session.save().await?;
        assert_eq!(session.get::<i64>("n").await?, None, "cleared");
        session.increment("n", 1).await?;
        session.clear()?;
        session.increment("m", 1).await?;
        assert_eq!(session.get::<i64>("n").await?, None, "cleared at once");
        session.increment("n", 1).await?;
        session.destroy()?;
        session.save().await?;
        assert_eq!(session.get::<i64>("n").await?, None, "destroyed");
        assert_eq!(session.status().await?, tower_kr_session::Status::Absent);
        session.insert("k", &1)?;
        session.save().await?;
        assert_eq!(session.keys().await?, ["k"]);
        assert_eq!(session.status().await?, tower_kr_session::Status::New);
        Ok(ok(""))
    })
    .await;
}

async fn an_update_that_changes_nothing_is_one_of_the_value_of_now(app: App) {
    let token = app.start(&[("n", 7)]).await;
    let (other, same) = (app.clone(), token.clone());
    app.with(Some(&token), move |session| async move {
        session.get::<i64>("n").await?;
        other
            .with(Some(&same), |session| async move {
                session.insert("n", &3)?;
                Ok(ok(""))
            })
            .await;
        session
            .update("n", |n: Option<i64>| n.map(|n| n.max(5)))
            .await?;
        Ok(ok(""))
    })
    .await
    .assert_plain();
    assert_eq!(app.read(&token, "n").await, Some(5));
}

#[tokio::test]
async fn the_number_of_noted_changes_is_bounded() {
    let app = App::over_io();
    let reply = app
        .with(None, |session| async move {
            for number in 0..4_096 {
                session.insert(&format!("{number}"), &1)?;
            }
            session.insert("0", &2)?;
            let more = session.remove("one more").unwrap_err();
            assert!(
                matches!(more, SessionError::TooManyChanges { limit: 4_096 }),
                "{more}"
            );
            assert_eq!(more.status(), StatusCode::PAYLOAD_TOO_LARGE);
            session.save().await?;
            session.insert("one more", &1)?;
            Ok(ok(""))
        })
        .await;
    assert_eq!(app.read(&reply.token(), "one more").await, Some(1));
}

async fn a_new_session_is_not_larger_than_allowed_however_it_grew(mut app: App) {
    app.layer = app.layer.max_session_bytes(100);
    let reply = app
        .with(None, |session| async move {
            session.insert("a", &"x".repeat(90))?;
            session
                .update("b", |_: Option<String>| Some("x".repeat(90)))
                .await?;
            Ok(ok(""))
        })
        .await;
    reply.assert_refused(StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(app.records(), 0);
}

#[tokio::test]
async fn an_update_gives_up_when_others_are_always_faster() {
    let app = App::over_io();
    let token = app.start(&[("n", 0)]).await;
    let (other, same) = (app.clone(), token.clone());
    let reply = app
        .with(Some(&token), move |session| async move {
            let mut attempts = 0;
            let updated = session
                .update("n", |n: Option<i64>| {
                    attempts += 1;
                    // Somebody else writes between the read and the write, each time.
                    let id = same.clone();
                    let other = other.clone();
                    std::thread::spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread()
                            .enable_all()
                            .build()
                            .unwrap();
                        runtime.block_on(async {
                            other
                                .with(Some(&id), |session| async move {
                                    session.increment("n", 1).await?;
                                    Ok(ok(""))
                                })
                                .await
                        })
                    })
                    .join()
                    .unwrap();
                    n.map(|n| n + 1_000)
                })
                .await;
            let error = updated.unwrap_err();
            assert!(
                matches!(error, SessionError::Contended { attempts: 64, .. }),
                "{error}"
            );
            assert_eq!(error.status(), StatusCode::CONFLICT);
            Ok(ok(attempts))
        })
        .await;
    assert_eq!(reply.body, "64");
    assert_eq!(app.read(&token, "n").await, Some(64));
}

async fn values_that_were_read_before_another_user_signed_in_are_not_read_afterwards(app: App) {
    let token = app
        .with(None, |session| async move {
            session.sign_in("first")?;
            session.insert("private", &7)?;
            Ok(ok(""))
        })
        .await
        .token();
    app.with(Some(&token), |session| async move {
        assert_eq!(session.get::<i64>("private").await?, Some(7));
        session.sign_in("second")?;
        assert_eq!(session.get::<i64>("private").await?, None);
        assert!(session.keys().await?.is_empty());
        Ok(ok(""))
    })
    .await;
}

async fn a_float_is_read_back_as_it_was_given(app: App) {
    let reply = app
        .with(None, |session| async move {
            let mut random = StdRng::seed_from_u64(13);
            let awkward = [117.633_311_394_000_17, f64::MIN_POSITIVE, f64::MAX, -0.0];
            let drawn = (0..2_000).map(|_| f64::from_bits(random.random()));
            let floats: Vec<f64> = awkward
                .into_iter()
                .chain(drawn)
                .filter(|float| float.is_finite())
                .collect();
            session.insert("floats", &floats)?;
            let read: Vec<f64> = session.get("floats").await?.unwrap();
            assert_eq!(bits(&read), bits(&floats));
            let updated = session
                .update("floats", |floats: Option<Vec<f64>>| floats)
                .await?;
            assert_eq!(bits(&updated.unwrap()), bits(&floats));
            Ok(ok(""))
        })
        .await;
    assert_eq!(reply.status, StatusCode::OK);
}

fn bits(floats: &[f64]) -> Vec<u64> {
    floats.iter().map(|float| float.to_bits()).collect()
}

async fn what_was_noted_before_a_destroy_does_not_come_back(app: App) {
    let start = app
        .with(None, |session| async move {
            session.insert("text", "no number")?;
            Ok(ok(""))
        })
        .await;
    let reply = app
        .with(Some(&start.token()), |session| async move {
            session.insert("note", &1)?;
            let (sum, destroyed) =
                tokio::join!(session.increment("text", 1), async { session.destroy() });
            assert!(sum.is_err());
            destroyed?;
            Ok(ok(""))
        })
        .await;
    assert!(reply.removes_cookie(), "{reply:?}");
    assert_eq!(app.records(), 0);
}
