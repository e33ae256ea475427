//! What visitors write, and what a shell reads.

use http::Request;

use crate::{browser, support::Answer};

#[tokio::test]
async fn what_visitors_write_is_text() {
    let mut browser = browser();
    let script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let form = Box::leak(format!("key={script}&value={script}").into_boxed_str());
    browser.post("/page/set", form).await;
    browser.post("/page/login", "user=%3Cb%3E%22'").await;
    browser
        .jar
        .insert("Kr.Notice", format!("set%20-%20{script}"));
    for path in [
        "/".to_owned(),
        format!("/?get={script}"),
        format!("/?get={script}2"),
    ] {
        let page = browser.get(&path).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("<script>"), "{}", page.body);
        assert!(!page.body.contains("<b>"), "{}", page.body);
    }
}

/// U+202E turns the text that follows it, to the end of the element that isolates it.
#[tokio::test]
async fn what_visitors_write_turns_no_sentence_around() {
    let mut browser = browser();
    browser.post("/page/login", "user=%E2%80%AEmax").await;
    browser
        .post("/page/set", "key=%E2%80%AEa&value=%E2%80%AEb")
        .await;
    let isolated = |page: &Answer| {
        let pieces: Vec<&str> = page.body.split('\u{202e}').collect();
        assert!(pieces.len() > 2, "{}", page.body);
        for piece in &pieces[..pieces.len() - 1] {
            let inside = [
                "<bdi>",
                "<bdi>user:",
                "<bdi>&quot;",
                "dir=\"auto\" value=\"",
            ];
            assert!(inside.iter().any(|tag| piece.ends_with(tag)), "{piece}");
        }
    };
    isolated(&browser.get("/").await);
    isolated(&browser.get("/?whoami=1").await);
    isolated(&browser.get("/?get=%E2%80%AEa").await);
    isolated(&browser.get("/?get=%E2%80%AEnone").await);
}

/// The commands are for a shell, and a name of a host comes from outside.
#[tokio::test]
async fn commands_hold_nothing_that_means_something_to_a_shell() {
    let mut browser = browser();
    for (host, printed) in [
        ("localhost:8443", "localhost:8443"),
        ("[::1]:8080", "[::1]:8080"),
        ("a'; touch b; '", "127.0.0.1:8080"),
        ("$(touch b)", "127.0.0.1:8080"),
        ("-oevil", "127.0.0.1:8080"),
        ("", "127.0.0.1:8080"),
    ] {
        let request = Request::builder().uri("/").header("host", host);
        let page = browser.request(request, "").await;
        let command =
            format!("curl -sk -w '\\n' -b jar.txt -c jar.txt 'https://{printed}/session/counter'");
        assert!(page.body.contains(&command), "{host}");
    }
}
