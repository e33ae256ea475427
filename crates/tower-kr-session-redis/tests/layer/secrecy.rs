//! What is in Redis opens no session; and what a request costs.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use redis::Value;

use super::app::App;
use crate::support::{Monitor, Server};

/// All texts in an answer, one after the other.
fn texts(value: Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::BulkString(text) => into.push(text),
        Value::Array(values) => values.into_iter().for_each(|value| texts(value, into)),
        Value::Map(pairs) => pairs.into_iter().for_each(|(key, value)| {
            texts(key, into);
            texts(value, into);
        }),
        _ => {}
    }
}

pub(crate) async fn a_dump_of_the_server_admits_nobody() {
    let server = Server::start(&["--appendonly", "yes"]);
    let app = App::start(&server.url()).await;
    let first = app.counter(None).await.token();
    let second = app.sign_in(Some(&first), "max").await.token();
    app.counter(Some(&second)).await;

    let mut stored = Vec::new();
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in keys {
        texts(server.ask(&["HGETALL", &key]), &mut stored);
        stored.push(key.into_bytes());
    }
    // What the server wrote to its disk, and what it was told.
    let folder = server.folder().join("appendonlydir");
    for file in std::fs::read_dir(folder).expect("the server's folder") {
        stored.push(std::fs::read(file.expect("a file").path()).expect("its text"));
    }
    let stored = stored.join(&b'\n');
    let holds = |bytes: &[u8]| stored.windows(bytes.len()).any(|part| part == bytes);
    assert!(holds(b"max") && holds(b"until:"), "it is the dump");
    for token in [first, second] {
        let bytes = URL_SAFE_NO_PAD.decode(&token).expect("base64");
        let secret = &bytes[16..];
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        // Parts of it are as telling as the whole.
        assert!(!holds(&secret[..8]) && !holds(&secret[24..]));
        assert!(!holds(&hex.as_bytes()[..16]) && !holds(&hex.as_bytes()[48..]));
        assert!(!holds(&token.as_bytes()[22..38]) && !holds(&token.as_bytes()[48..]));
    }
}

pub(crate) async fn a_request_costs_what_the_docs_say() {
    let server = Server::start(&[]);
    let app = App::start(&server.url()).await;
    let mut monitor = Monitor::start(&server);
    let mut cost = || monitor.commands().len();
    app.untouched(None).await;
    assert_eq!(cost(), 0);
    let token = app.insert(None, "a".to_owned()).await.token();
    assert_eq!(cost(), 1, "a new session");
    app.untouched(Some(&token)).await;
    assert_eq!(cost(), 0);
    app.read(&token).await;
    assert_eq!(cost(), 1, "a read");
    app.counter(Some(&token)).await;
    assert_eq!(cost(), 1, "an increment");
    app.insert(Some(&token), "b".to_owned()).await;
    assert_eq!(cost(), 1, "a blind write");
    let reply = app.request(Some(&token), |session| async move {
        let seen = session.get::<i64>("counter").await?;
        session.insert("c", &seen)?;
        Ok(String::new())
    });
    assert_eq!(reply.await.status, http::StatusCode::OK);
    assert_eq!(cost(), 2, "a read, then a write");
    app.sign_in(Some(&token), "max").await;
    assert_eq!(
        cost(),
        4 + 2,
        "a sign-in, and a look at the user's only session"
    );
}
