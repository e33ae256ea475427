//! What the calls of a handler mean, to the end of the request and beyond.

crate::for_each_version! {
    use std::sync::Arc;

    use axum::{Router, extract::Path, routing::get};
    use http::StatusCode;
    use serde_json::{Value, json};
    use tokio::sync::Notify;
    use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

    use crate::support::Browser;

    fn app(handler: axum::routing::MethodRouter) -> Router {
        let all = async |session: Session| {
            let mut all = serde_json::Map::new();
            for key in ["a", "b", "c"] {
                all.extend(session.get_value(key).await.unwrap().map(|value| (key.to_owned(), value)));
            }
            Value::Object(all).to_string()
        };
        Router::new()
            .route("/start", get(async |session: Session| {
                session.insert("a", 1).await.unwrap();
                session.insert("b", 1).await.unwrap();
            }))
            .route("/a/{value}", get(async |session: Session, Path(value): Path<i64>| {
                session.insert("a", value).await.unwrap();
            }))
            .route("/all", get(all))
            .route("/", handler)
            .layer(SessionManagerLayer::new(MemoryStore::default()))
    }

    async fn start(handler: axum::routing::MethodRouter) -> Browser {
        let mut browser = Browser::new(&app(handler));
        browser.get("/start").await;
        browser
    }

    async fn all(browser: &mut Browser) -> Value {
        browser.get("/all").await.body.parse().unwrap()
    }

    #[tokio::test]
    async fn a_clear_before_anything_was_loaded_clears() {
        let mut browser = start(get(async |session: Session| {
            session.clear().await;
            session.insert("c", 2).await.unwrap();
        })).await;
        let token = browser.jar.get("id").map(ToOwned::to_owned);
        browser.get("/").await;
        assert_eq!(browser.jar.get("id"), token.as_deref());
        assert_eq!(all(&mut browser).await, json!({"c": 2}));
    }

    #[tokio::test]
    async fn a_null_is_a_value() {
        let mut browser = start(get(async |session: Session| {
            session.insert("a", ()).await.unwrap();
        })).await;
        browser.get("/").await;
        assert_eq!(all(&mut browser).await, json!({"a": null, "b": 1}));
    }

    #[tokio::test]
    async fn a_flush_with_a_message_starts_another_session() {
        let mut browser = start(get(async |session: Session| {
            session.get::<i64>("a").await.unwrap();
            session.flush().await.unwrap();
            session.insert("c", "Signed out.").await.unwrap();
        })).await;
        let mut old = browser.clone();
        browser.get("/").await;
        assert_eq!(all(&mut browser).await, json!({"c": "Signed out."}));
        assert_eq!(all(&mut old).await, json!({}));
    }

    #[tokio::test]
    async fn what_a_failing_handler_set_is_dropped_but_a_flush_holds() {
        let mut browser = start(get(async |session: Session| {
            session.insert("a", 2).await.unwrap();
            StatusCode::INTERNAL_SERVER_ERROR
        })).await;
        assert_eq!(browser.get("/").await.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(all(&mut browser).await, json!({"a": 1, "b": 1}));

        let mut browser = start(get(async |session: Session| {
            session.flush().await.unwrap();
            session.insert("c", 1).await.unwrap();
            StatusCode::INTERNAL_SERVER_ERROR
        })).await;
        let mut old = browser.clone();
        let reply = browser.get("/").await;
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(reply.set_cookie().unwrap().starts_with("id=;"));
        assert_eq!(all(&mut old).await, json!({}));
    }

    #[tokio::test]
    async fn a_save_within_the_handler_is_stored_at_once() {
        let mut browser = start(get(async |session: Session| {
            assert!(session.id().is_some());
            session.insert("a", 2).await.unwrap();
            session.save().await.unwrap();
            session.insert("b", 2).await.unwrap();
            StatusCode::BAD_GATEWAY
        })).await;
        browser.get("/").await;
        assert_eq!(all(&mut browser).await, json!({"a": 2, "b": 1}));
    }

    #[tokio::test]
    async fn a_session_that_a_handler_saves_has_its_id_and_its_cookie() {
        let mut browser = Browser::new(&app(get(async |session: Session| {
            assert_eq!(session.id(), None);
            session.insert("a", 2).await.unwrap();
            session.save().await.unwrap();
            let id = session.id().unwrap();
            session.load().await.unwrap();
            session.insert("b", 3).await.unwrap();
            assert_eq!(session.id(), Some(id));
            id.to_string()
        })));
        assert_eq!(browser.get("/").await.body.len(), 22);
        assert_eq!(browser.jar.get("id").map(str::len), Some(64));
        assert_eq!(all(&mut browser).await, json!({"a": 2, "b": 3}));
    }

    #[tokio::test]
    async fn a_cycle_that_a_handler_saves_is_one_rotation() {
        let mut browser = start(get(async |session: Session| {
            session.cycle_id().await.unwrap();
            session.insert("c", 1).await.unwrap();
            session.save().await.unwrap();
            session.remove::<i64>("a").await.unwrap();
        })).await;
        let mut old = browser.clone();
        browser.get("/").await;
        assert_eq!(all(&mut browser).await, json!({"b": 1, "c": 1}));
        assert_eq!(all(&mut old).await, json!({}));
    }

    #[tokio::test]
    async fn a_load_sees_what_other_requests_stored_since() {
        let (loaded, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handler = {
            let (loaded, go_on) = (Arc::clone(&loaded), Arc::clone(&go_on));
            async move |session: Session| {
                session.get_value("a").await.unwrap();
                loaded.notify_one();
                go_on.notified().await;
                session.load().await.unwrap();
                session.get_value("a").await.unwrap().unwrap().to_string()
            }
        };
        let mut browser = start(get(handler)).await;
        let mut tab = browser.clone();
        let running = tokio::spawn(async move { tab.get("/").await.body });
        loaded.notified().await;
        browser.get("/a/7").await;
        go_on.notify_one();
        assert_eq!(running.await.unwrap(), "7");
    }

    #[tokio::test]
    async fn a_task_that_outlives_the_response_saves_and_deletes() {
        for deletes in [false, true] {
            let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let handler = {
                let (go_on, done) = (Arc::clone(&go_on), Arc::clone(&done));
                async move |session: Session| {
                    session.get_value("a").await.unwrap();
                    tokio::spawn(async move {
                        go_on.notified().await;
                        if deletes {
                            session.flush().await.unwrap();
                        } else {
                            session.insert("a", 2).await.unwrap();
                            session.save().await.unwrap();
                        }
                        done.notify_one();
                    });
                }
            };
            let mut browser = start(get(handler)).await;
            browser.get("/").await;
            go_on.notify_one();
            done.notified().await;
            let expected = if deletes { json!({}) } else { json!({"a": 2, "b": 1}) };
            assert_eq!(all(&mut browser).await, expected);
        }
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_stored_is_refused_and_nothing_else_is() {
        let mut browser = start(get(async |session: Session| {
            session.insert("a", 2).await.unwrap();
            session.insert("line\nbreak", 2).await.unwrap();
            "done"
        })).await;
        let reply = browser.get("/").await;
        assert_eq!((reply.status, reply.body.as_str()), (StatusCode::BAD_REQUEST, ""));
        assert_eq!(all(&mut browser).await, json!({"a": 1, "b": 1}));
        let mut browser = start(get(async |session: Session| {
            session.insert("a", "x".repeat(300_000)).await.unwrap();
            let refused = session.save().await.unwrap_err().to_string();
            assert!(refused.contains("at most 262144 bytes"), "{refused}");
        })).await;
        let reply = browser.get("/").await;
        assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
