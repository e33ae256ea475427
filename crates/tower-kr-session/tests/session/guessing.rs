//! Who guesses learns nothing: a token with an id that isn't there, and one with the id of a live
//! session and a wrong secret, are answered alike, to the last byte and with the same calls to the
//! store. (That the secrets are compared in constant time is a property of the code: `SecretHash`.)

use http::{HeaderMap, StatusCode, header};
use tower_kr_session::{Session, SessionError};

use crate::support::{App, ok, on_each_store, settle};

on_each_store!(
    an_unknown_id_and_a_wrong_secret_are_answered_alike,
    the_right_token_is_answered_otherwise,
);

/// Everything that a handler can do first.
const USES: [&str; 12] = [
    "get",
    "status",
    "id",
    "insert",
    "increment",
    "update",
    "take",
    "sign_in",
    "sign_out",
    "destroy",
    "rotate",
    "save",
];

async fn use_(session: &Session, what: &str) -> Result<String, SessionError> {
    Ok(match what {
        "get" => format!("{:?}", session.get::<i64>("a").await?),
        "status" => format!("{:?}", session.status().await?),
        "id" => format!("{:?}", session.id().await?),
        "insert" => format!("{:?}", session.insert("a", &2)?),
        "increment" => format!("{:?}", session.increment("a", 1).await?),
        "update" => {
            let update = |value: Option<i64>| Some(value.unwrap_or_default() + 1);
            format!("{:?}", session.update("a", update).await?)
        }
        "take" => format!("{:?}", session.take::<i64>("a").await?),
        "sign_in" => format!("{:?}", session.sign_in("eve")?),
        "sign_out" => format!("{:?}", session.sign_out()?),
        "destroy" => format!("{:?}", session.destroy()?),
        "rotate" => format!("{:?}", session.rotate()?),
        _ => {
            session.insert("a", &2)?;
            format!("{:?}", session.save().await?)
        }
    })
}

/// All that this token brings: status, headers, body, error and calls. What is random in a new
/// token is masked.
async fn seen(
    app: &App,
    token: &str,
    what: &'static str,
) -> (StatusCode, HeaderMap, String, String, usize) {
    settle().await;
    app.remote.take_calls();
    let mut reply = app
        .with(Some(token), move |session| async move {
            Ok(ok(use_(&session, what).await?))
        })
        .await;
    settle().await;
    let calls = app.remote.take_calls();
    if let Some(cookie) = reply.headers.remove(header::SET_COOKIE) {
        let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
        let (value, attributes) = rest.split_once(';').unwrap();
        let masked = format!("{name}=<{} characters>;{attributes}", value.len());
        reply
            .headers
            .insert(header::SET_COOKIE, masked.parse().unwrap());
    }
    let error = format!("{:?}", reply.error);
    (reply.status, reply.headers, reply.body, error, calls)
}

async fn an_unknown_id_and_a_wrong_secret_are_answered_alike(app: App) {
    for what in USES {
        let app = app.again();
        let token = app.start(&[("a", 1)]).await;
        // The id is the first 21 characters and a part of the next.
        let wrong_secret = format!("{}{}", &token[..22], "A".repeat(42));
        let almost = format!(
            "{}{}",
            &token[..63],
            if token.ends_with('A') { "B" } else { "A" }
        );
        let unknown_id = format!("{}{}", "A".repeat(22), &token[22..]);
        let answers = [
            seen(&app, &unknown_id, what).await,
            seen(&app, &wrong_secret, what).await,
            seen(&app, &almost, what).await,
        ];
        assert_eq!(answers[0], answers[1], "{what}");
        assert_eq!(answers[0], answers[2], "{what}");
        assert_eq!(app.read(&token, "a").await, Some(1), "{what}");
    }
}

/// Else the answers above could be alike because all answers are.
async fn the_right_token_is_answered_otherwise(app: App) {
    for what in ["get", "status", "id", "increment", "update", "take"] {
        let app = app.again();
        let token = app.start(&[("a", 1)]).await;
        let unknown_id = format!("{}{}", "A".repeat(22), &token[22..]);
        let unknown = seen(&app, &unknown_id, what).await;
        assert_ne!(seen(&app, &token, what).await, unknown, "{what}");
    }
}
