//! What the page shows, and what its forms do.

use http::{Method, Request};

use crate::{attributes, browser, support::NAME, text};

#[tokio::test]
async fn looking_at_the_page_starts_no_session() {
    let mut browser = browser();
    let page = browser.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(text(&page, "status"), "None");
    assert_eq!(text(&page, "store"), "moka");
    for part in [
        "Kr.Session=…",
        "Secure",
        "Path=/",
        "HttpOnly",
        "SameSite=Lax",
    ] {
        let part = format!("<li><code>{part}</code>");
        assert!(page.body.contains(&part), "{part}: {}", page.body);
    }
    assert!(browser.jar.is_empty(), "{:?}", browser.jar);
}

#[tokio::test]
async fn the_forms_change_the_session_and_lead_back_to_the_page() {
    let mut browser = browser();
    for (path, form) in [
        ("/page/counter", ""),
        ("/page/counter", ""),
        ("/page/login", "user=max"),
        ("/page/set", "key=color&value=deep+purple"),
    ] {
        let answer = browser.post(path, form).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/")),
            "{path}"
        );
    }
    let page = browser.get("/").await;
    assert_eq!(text(&page, "status"), "Active");
    assert_eq!(text(&page, "counter"), "2");
    assert_eq!(text(&page, "user"), "max");
    assert_eq!(text(&page, "stored"), "Stored.");
    assert!(
        page.body.contains("<bdi>&quot;deep purple&quot;</bdi>"),
        "{}",
        page.body
    );

    let page = browser.get("/?get=color").await;
    assert_eq!(text(&page, "got"), "color is deep purple.");
    assert!(!attributes(&page, "get-key").contains("value="));
    let page = browser.get("/?get=size").await;
    assert_eq!(text(&page, "got"), "Nothing is stored at size.");
    assert_eq!(text(&page, "stored"), "");
    assert!(page.body.contains("<p class=\"told wrong\" id=\"got\""));
    assert!(attributes(&page, "get-key").contains("value=\"size\""));
    let page = browser.get("/?whoami=1").await;
    assert_eq!(text(&page, "signed"), "You are max.");

    let token = browser.token().unwrap().to_owned();
    browser.post("/page/logout", "").await;
    assert_eq!(browser.token(), None);
    assert_eq!(text(&browser.get("/").await, "status"), "None");
    browser.jar.insert(NAME, token);
    assert_eq!(text(&browser.get("/").await, "status"), "Over");
}

#[tokio::test]
async fn the_page_and_the_json_routes_share_the_session() {
    let mut browser = browser();
    browser.get("/session/counter").await;
    browser.post("/page/counter", "").await;
    assert_eq!(text(&browser.get("/").await, "counter"), "2");
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let mut browser = browser();
    browser.post("/page/counter", "").await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for path in [
            "counter",
            "login",
            "logout",
            "set",
            "revoke",
            "revoke-others",
            "replay",
            "race/ready",
            "race/increment",
            "race/plain",
        ] {
            let request = Request::builder()
                .method(Method::POST)
                .uri(format!("/page/{path}"))
                .header("host", "localhost:8080")
                .header(name, value);
            let answer = browser
                .request(request, "user=eve&key=a&value=b&id=c")
                .await;
            assert_eq!(answer.status, 403, "{path} {name} {value}");
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
    let page = browser.get("/").await;
    assert_eq!(text(&page, "counter"), "1");
    assert_eq!(text(&page, "status"), "Active");
}

#[tokio::test]
async fn a_form_that_fails_comes_back_with_what_was_written_and_what_is_wrong() {
    let mut browser = browser();
    let long = "ä".repeat(200);
    let encoded = "%C3%A4".repeat(200);
    let set_long = format!("key={encoded}&value=purple");
    let value = "v".repeat(300_000);
    let set_large = format!("key=color&value={value}");
    let login_long = format!("user={encoded}");
    for (path, form, status, field, error, written) in [
        (
            "login",
            "",
            400,
            "name",
            "Enter a name to sign in with.",
            "",
        ),
        (
            "login",
            "user=+",
            400,
            "name",
            "Enter a name to sign in with.",
            "",
        ),
        (
            "login",
            "user=a%00",
            400,
            "name",
            "The user contains a control character.",
            "a",
        ),
        (
            "login",
            &login_long,
            400,
            "name",
            "The user is longer than 256 bytes.",
            &long,
        ),
        ("set", "key=color", 400, "set-value", "Enter a value.", ""),
        ("set", "value=purple", 400, "set-key", "Enter a key.", ""),
        (
            "set",
            &set_long,
            400,
            "set-key",
            "The key is longer than 251 bytes.",
            &long,
        ),
        (
            "set",
            &set_large,
            413,
            "set-value",
            "The session would hold 293 KiB of 256 KiB.",
            &value,
        ),
    ] {
        let form = Box::leak(form.to_owned().into_boxed_str());
        let answer = browser.post(&format!("/page/{path}"), form).await;
        assert_eq!(answer.status, status, "{path} {form:.20}");
        let said = text(&answer, &format!("{field}-error"));
        assert_eq!(said, error);
        let input = attributes(&answer, field);
        assert!(input.contains("aria-invalid=\"true\""), "{input:.200}");
        assert!(input.contains("autofocus"), "{input:.200}");
        assert!(input.contains(&format!("aria-describedby=\"{field}-error\"")));
        assert!(
            written.is_empty() || input.contains(written),
            "{input:.200}"
        );
    }
    // The fields that are right come back too.
    let answer = browser.post("/page/set", "key=color").await;
    assert!(attributes(&answer, "set-key").contains("value=\"color\""));
    let answer = browser.post("/page/set", "value=purple").await;
    assert!(attributes(&answer, "set-value").contains("value=\"purple\""));
    let answer = browser.get("/?get=%00").await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        text(&answer, "get-key-error"),
        "The key contains a control character."
    );
    assert_eq!(browser.token(), None, "a refused form starts no session");
}

#[tokio::test]
async fn fields_have_names_of_their_own() {
    let page = browser().get("/").await;
    let labels: Vec<&str> = page.body.split("<label for=").skip(1).collect();
    let labels: Vec<&str> = labels
        .iter()
        .map(|label| label.split(['>', '<']).nth(1).unwrap())
        .collect();
    assert_eq!(labels, ["Name", "Key to set", "Value", "Key to get"]);
    assert_eq!(page.body.matches("placeholder=").count(), labels.len());
}
