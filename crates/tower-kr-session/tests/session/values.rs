//! Typed and raw values, and what a call costs the store.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use http::StatusCode;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tower_kr_session::{Session, SessionError, SessionKey};

use crate::support::{App, ok, on_each_store};

on_each_store!(
    a_float_is_read_back_as_it_was_given,
    what_was_noted_before_a_destroy_does_not_come_back,
    what_was_noted_before_a_discard_does_not_come_back,
    keys_of_every_kind_read_well,
    a_request_reads_what_it_wrote,
    update_and_take_work_wherever_the_value_stands,
    a_failing_increment_changes_nothing_and_says_why,
    a_session_that_would_grow_too_large_is_refused_and_stays_as_it_was,
    values_of_a_session_that_is_left_are_not_read_any_more,
    an_update_that_changes_nothing_is_one_of_the_value_of_now,
    a_new_session_is_not_larger_than_allowed_however_it_grew,
    values_that_were_read_before_another_user_signed_in_are_not_read_afterwards,
    what_json_cannot_hold_is_refused_where_it_is_set,
    a_value_nested_as_deep_as_can_be_read_comes_back,
    what_is_written_as_null_reads_as_absent,
    a_value_of_another_type_can_be_replaced_by_its_bytes,
    an_error_about_a_value_names_its_type_and_place_and_never_the_value,
    all_values_are_read_at_once,
    a_snapshot_of_untouched_values_is_that_of_the_record,
    a_key_takes_what_its_type_borrows,
    what_a_request_wrote_is_not_read_by_the_user_who_signs_in_after_it,
    what_a_request_wrote_does_not_hide_a_newer_snapshot,
);

const NAME: SessionKey<String> = SessionKey::new("name");
const COUNT: SessionKey<i64> = SessionKey::new("count");
const CART: SessionKey<Cart> = SessionKey::new("cart");

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<u32>,
}

/// Lists in lists.
struct Nested(usize);

impl Serialize for Nested {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner: &[Self] = if self.0 > 1 { &[Self(self.0 - 1)] } else { &[] };
        serializer.collect_seq(inner)
    }
}

/// Fails with its secret in the message.
struct Secret(&'static str);

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(self.0))
    }
}

#[derive(Serialize)]
enum Shape {
    Newtype(f32),
    Tuple(u8, f64),
    Struct { width: Option<f64> },
}

async fn what_json_cannot_hold_is_refused_where_it_is_set(app: App) {
    fn refused<T: Serialize + ?Sized>(session: &Session, value: &T) -> String {
        let error = session.insert("a", value).unwrap_err();
        assert!(matches!(error, SessionError::Encode { .. }), "{error}");
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        error.to_string()
    }
    let reply = app
        .with(None, |session| async move {
            let nan = "session value `a` can't be written as JSON: \
                       a number in this `f64` is NaN or infinite";
            assert_eq!(refused(&session, &f64::NAN), nan);
            for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                #[expect(clippy::cast_possible_truncation, reason = "it is no number either")]
                let short = number as f32;
                let map = BTreeMap::from([("key", Some(number))]);
                let messages = [
                    refused(&session, &short),
                    refused(&session, &vec![1.0, number]),
                    refused(&session, &(1, "x", number)),
                    refused(&session, &[Some(Some(number))]),
                    refused(&session, &map),
                    refused(&session, &Shape::Newtype(short)),
                    refused(&session, &Shape::Tuple(1, number)),
                    refused(
                        &session,
                        &Shape::Struct {
                            width: Some(number),
                        },
                    ),
                    refused(&session, &(None::<i64>, number)),
                ];
                for message in messages {
                    assert!(message.ends_with(" is NaN or infinite"), "{message}");
                }
            }
            let deep = refused(&session, &Nested(128));
            assert!(
                deep.ends_with("Nested` is nested more than 127 levels deep"),
                "{deep}"
            );
            let key = refused(&session, &BTreeMap::from([((1, 2), 3)]));
            assert!(key.ends_with("has a key that is no text"), "{key}");
            let failing = refused(&session, &Secret("hunter2"));
            assert!(failing.ends_with("Secret` failed"), "{failing}");
            let updated = session.update("a", |_: Option<f64>| Some(f64::NAN)).await;
            assert!(
                matches!(updated, Err(SessionError::Encode { .. })),
                "{updated:?}"
            );
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    assert_eq!(app.records(), 0, "nothing of it starts a session");
}

async fn a_value_nested_as_deep_as_can_be_read_comes_back(app: App) {
    app.with(None, |session| async move {
        session.insert("deep", &Nested(127))?;
        session.insert("broad", &vec![vec![vec![1]]; 1_000])?;
        session.save().await?;
        session.reload().await?;
        let deep = session.get::<serde_json::Value>("deep").await?.unwrap();
        let depth = std::iter::successors(Some(&deep), |value| value.get(0)).count();
        assert_eq!(depth, 127);
        let broad = session.get::<Vec<Vec<Vec<i32>>>>("broad").await?;
        assert_eq!(broad.map(|broad| broad.len()), Some(1_000));
        let finite = (None::<f64>, f64::MAX, f64::MIN_POSITIVE);
        session.insert("finite", &finite)?;
        assert_eq!(session.get("finite").await?, Some(finite));
        Ok(ok(""))
    })
    .await
    .assert_done();
}

async fn what_is_written_as_null_reads_as_absent(app: App) {
    let reply = app
        .with(None, |session| async move {
            session.insert("none", &None::<i64>)?;
            session.insert("unit", &())?;
            Ok(ok(""))
        })
        .await;
    reply.assert_plain();
    assert_eq!(app.records(), 0, "nothing is stored");
    let token = app.start(&[("a", 1), ("b", 2)]).await;
    let handler = |session: Session| async move {
        session.insert("a", &None::<i64>)?;
        let none = session.update("b", |_| Some(None::<i64>)).await?;
        assert_eq!(none, Some(None));
        session.insert_bytes("raw", "null")?;
        session.save().await?;
        session.reload().await?;
        assert_eq!(session.keys().await?, ["raw"]);
        for key in ["a", "b", "raw"] {
            assert_eq!(session.get::<i64>(key).await?, None);
            assert_eq!(session.get::<Option<i64>>(key).await?, None);
            assert_eq!(session.get::<serde_json::Value>(key).await?, None);
            assert_eq!(session.take::<i64>(key).await?, None);
        }
        assert_eq!(session.increment("a", 1).await?, 1);
        session.insert("some", &Some(7))?;
        assert_eq!(session.get::<i64>("some").await?, Some(7));
        Ok(ok(""))
    };
    app.with(Some(&token), handler).await.assert_plain();
}

async fn a_value_of_another_type_can_be_replaced_by_its_bytes(app: App) {
    let reply = app
        .with(None, |session| async move {
            session.insert("cart", &["apple", "pear"])?;
            session.insert("note", &1)?;
            Ok(ok(""))
        })
        .await;
    let token = reply.token();
    let migrate = |old: Option<&[u8]>| {
        let names: Vec<String> = serde_json::from_slice(old?).ok()?;
        let items = names.iter().map(|name| u32::try_from(name.len()).unwrap());
        let cart = Cart {
            items: items.collect(),
        };
        serde_json::to_vec(&cart).ok().map(Into::into)
    };
    app.with(Some(&token), move |session| async move {
        let add = |cart: Option<Cart>| cart;
        let wrong = session.update(CART, add).await;
        assert!(
            matches!(wrong, Err(SessionError::Decode { .. })),
            "{wrong:?}"
        );
        let wrong = session.take(CART).await;
        assert!(
            matches!(wrong, Err(SessionError::Decode { .. })),
            "{wrong:?}"
        );
        let new = session.update_bytes(CART, migrate).await?;
        assert_eq!(new.as_deref(), Some(&br#"{"items":[5,4]}"#[..]));
        assert_eq!(session.get(CART).await?.unwrap().items, [5, 4]);
        let note = session.take_bytes("note").await?;
        assert_eq!(note.as_deref(), Some(&b"1"[..]));
        assert_eq!(session.take_bytes("note").await?, None);
        assert_eq!(session.update_bytes("note", |_| None).await?, None);
        Ok(ok(""))
    })
    .await
    .assert_plain();
    app.with(Some(&token), |session| async move {
        assert_eq!(session.keys().await?, ["cart"]);
        assert_eq!(session.get(CART).await?.unwrap().items, [5, 4]);
        Ok(ok(""))
    })
    .await
    .assert_plain();
}

async fn an_error_about_a_value_names_its_type_and_place_and_never_the_value(app: App) {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        #[expect(dead_code, reason = "only read from JSON")]
        x: u8,
    }
    #[derive(Debug, Deserialize)]
    enum Mode {
        On,
    }
    #[derive(Debug)]
    struct Picky;

    impl<'de> Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format!("bad password {text}")))
        }
    }

    async fn message<T: serde::de::DeserializeOwned + std::fmt::Debug>(
        session: &Session,
        json: &'static str,
    ) -> String {
        session.insert_bytes("key", json).unwrap();
        let error = session.get::<T>("key").await.unwrap_err();
        let mut shown = format!("{error:?} {}", error.public_message());
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            shown += &format!(" {error} {error:?}");
            cause = error.source();
        }
        for secret in ["hunter2", "31337"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        error.to_string()
    }

    app.with(None, |session| async move {
        let start = "session value `key` is not of the type that was asked for: ";
        let of_text = message::<i64>(&session, r#""hunter2""#).await;
        assert_eq!(
            of_text,
            format!("{start}expected `i64` at line 1, column 9")
        );
        let messages = [
            message::<u8>(&session, "31337").await,
            message::<String>(&session, "31337").await,
            message::<Point>(&session, r#"{"x":1,"hunter2":1}"#).await,
            message::<Point>(&session, r#"{"x":"hunter2"}"#).await,
            message::<Mode>(&session, r#""hunter2""#).await,
            message::<Vec<bool>>(&session, r#"[true, "hunter2"]"#).await,
        ];
        for message in messages {
            assert!(message.starts_with(start), "{message}");
            assert!(message.contains(" at line 1, column "), "{message}");
        }
        let picky = message::<Picky>(&session, r#""hunter2""#).await;
        assert!(picky.ends_with("Picky`"), "{picky}");
        let early = message::<String>(&session, r#""hunter2"#).await;
        assert_eq!(
            early,
            format!("{start}expected `alloc::string::String`, found JSON that ends early")
        );
        let garbled = message::<i64>(&session, "hunter2").await;
        let expected = "expected `i64`, found no JSON at line 1, column 1";
        assert_eq!(garbled, format!("{start}{expected}"));
        session.discard();
        Ok(ok(""))
    })
    .await
    .assert_plain();
}

async fn all_values_are_read_at_once(app: App) {
    let token = app.start(&[("a", 1), ("b", 2), ("c", 3)]).await;
    app.with(Some(&token), |session| async move {
        session.remove("a")?;
        session.increment("b", 1).await?;
        session.insert("d", "x")?;
        let values = session.values().await?;
        let shown: Vec<_> = values
            .iter()
            .map(|(key, value)| format!("{key}={}", str::from_utf8(value).unwrap()))
            .collect();
        assert_eq!(shown, ["b=3", "c=3", "d=\"x\""]);
        assert!(values.keys().eq(session.keys().await?.iter()));
        let snapshot = session.snapshot().await?;
        let same = values.iter().map(|(key, value)| (key.as_str(), &value[..]));
        assert!(snapshot.iter().eq(same));
        session.clear()?;
        session.insert("e", &true)?;
        assert_eq!(session.values().await?.len(), 1);
        session.destroy()?;
        assert_eq!(session.values().await?.len(), 0);
        assert!(session.snapshot().await?.is_empty());
        assert_eq!(session.presented_id(), None);
        Ok(ok(""))
    })
    .await
    .assert_done();
}

async fn a_snapshot_of_untouched_values_is_that_of_the_record(app: App) {
    let token = app.start(&[("a", 1), ("b", 2)]).await;
    let id = app.id(&token).await.unwrap();
    let stored = app.stored(id).await.unwrap().values;
    let reply = app.with(Some(&token), move |session| async move {
        assert_eq!(session.presented_id(), Some(id));
        assert_eq!(session.snapshot().await?, stored);
        Ok(ok(""))
    });
    reply.await.assert_plain();
}

async fn a_key_takes_what_its_type_borrows(app: App) {
    const TEXT: SessionKey<Box<str>> = SessionKey::new("text");
    const NUMBERS: SessionKey<Vec<u8>> = SessionKey::new("numbers");
    const THREE: SessionKey<[u8; 3]> = SessionKey::new("three");
    const SHARED: SessionKey<Box<Cart>> = SessionKey::new("shared");
    const COPIED: SessionKey<Cow<'static, str>> = SessionKey::new("copied");
    const PATH: SessionKey<PathBuf> = SessionKey::new("path");
    app.with(None, |session| async move {
        session.insert(TEXT, "a")?;
        session.insert(NUMBERS, &[1, 2][..])?;
        session.insert(THREE, &[1, 2, 3][..])?;
        session.insert(SHARED, &Cart { items: vec![1] })?;
        session.insert(COPIED, "b")?;
        session.insert(PATH, Path::new("c"))?;
        assert_eq!(session.get(TEXT).await?.as_deref(), Some("a"));
        assert_eq!(session.get(NUMBERS).await?, Some(vec![1, 2]));
        assert_eq!(session.get(THREE).await?, Some([1, 2, 3]));
        assert_eq!(session.get(SHARED).await?.unwrap().items, [1]);
        assert_eq!(session.get(COPIED).await?.as_deref(), Some("b"));
        assert_eq!(session.get(PATH).await?, Some(PathBuf::from("c")));
        Ok(ok(""))
    })
    .await
    .assert_done();
}

async fn what_a_request_wrote_is_not_read_by_the_user_who_signs_in_after_it(app: App) {
    let reply = app
        .with(None, |session| async move {
            session.sign_in("max")?;
            session.insert("n", &1)?;
            Ok(ok(""))
        })
        .await;
    for call in 0..4 {
        let token = reply.token();
        app.with(Some(&token), move |session| async move {
            // Without a look at the record, so nobody knows whose it is.
            assert_eq!(session.increment("n", 1).await?, 2 + call);
            session.sign_in("eve")?;
            match call {
                0 => assert_eq!(session.get::<i64>("n").await?, None),
                1 => assert!(!session.contains_key("n").await?),
                2 => assert!(session.keys().await?.is_empty()),
                _ => assert_eq!(session.increment("n", 1).await?, 1),
            }
            session.discard();
            Ok(ok(""))
        })
        .await
        .assert_plain();
    }
}

async fn what_a_request_wrote_does_not_hide_a_newer_snapshot(app: App) {
    let token = app.start(&[("n", 1), ("a", 1)]).await;
    let (others, others_token) = (app.clone(), token.clone());
    app.with(Some(&token), move |session| async move {
        assert_eq!(session.increment("n", 1).await?, 2);
        let later = others.with(Some(&others_token), |session| async move {
            session.insert("n", &10)?;
            session.remove("a")?;
            Ok(ok(""))
        });
        later.await.assert_plain();
        session.reload().await?;
        assert_eq!(session.get::<i64>("n").await?, Some(10));
        assert_eq!(session.keys().await?, ["n"]);
        // The first look at the record is one too.
        let fresh = others.with(Some(&others_token), |session| async move {
            session.increment("n", 1).await?;
            Ok(ok(""))
        });
        fresh.await.assert_plain();
        Ok(ok(""))
    })
    .await
    .assert_plain();
    let (others, others_token) = (app.clone(), token.clone());
    app.with(Some(&token), move |session| async move {
        assert_eq!(session.increment("n", 1).await?, 12);
        let later = others.with(Some(&others_token), |session| async move {
            session.insert("n", &20)?;
            Ok(ok(""))
        });
        later.await.assert_plain();
        assert_eq!(session.get::<i64>("a").await?, None, "it loads the record");
        assert_eq!(session.get::<i64>("n").await?, Some(20));
        Ok(ok(""))
    })
    .await
    .assert_plain();
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
        .await
        .assert_done();
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
    .await
    .assert_done();
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
            .await
            .assert_done();
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
                    .unwrap()
                    .assert_done();
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
    .await
    .assert_done();
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

async fn what_was_noted_before_a_discard_does_not_come_back(app: App) {
    let token = app.start(&[("a", 1)]).await;
    app.with(Some(&token), |session| async move {
        session.insert("text", "x")?;
        session.save().await?;
        session.insert("note", &1)?;
        let discard = async { session.discard() };
        let (refused, ()) = tokio::join!(session.increment("text", 1), discard);
        assert!(refused.is_err());
        assert_eq!(session.get::<i64>("note").await?, None);
        Ok(ok(""))
    })
    .await
    .assert_plain();
    assert_eq!(app.read(&token, "note").await, None);
}
