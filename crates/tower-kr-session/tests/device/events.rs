//! What operators learn of bound sessions, without a secret in it.

use http::StatusCode;

use crate::{
    browser::Browser,
    capture::{start, take},
    site::{BOUND, NAME, REGISTER, Site, on_each_store},
};

on_each_store!(each_step_and_each_refusal_is_told);

/// The events of devices since the last call, without the session's id.
fn told(browser: &Browser) -> Vec<String> {
    let lines = take();
    let secrets = [NAME, BOUND].map(|name| browser.cookies.get(name).cloned());
    for line in &lines {
        let text = format!("{} {}", line.text(), line.message);
        for secret in secrets.iter().flatten().chain([&browser.challenge]) {
            assert!(!text.contains(&secret[..]), "{text}");
        }
    }
    let of_devices = lines.iter().filter(|line| line.event().contains("device"));
    let session = format!(" session={}", browser.session_id());
    of_devices
        .map(|line| line.text().replace(&session, ""))
        .collect()
}

async fn each_step_and_each_refusal_is_told(site: Site) {
    start();
    let mut browser = Browser::new(&site);
    browser.sign_in("max").await;
    assert_eq!(told(&browser), [""; 0]);
    browser.register().await;
    assert_eq!(told(&browser), ["INFO session.device_bound"]);
    browser.look().await;
    assert_eq!(told(&browser), [""; 0], "an ordinary request is not told");
    browser.refresh().await;
    assert_eq!(told(&browser), ["DEBUG session.device_refreshed"]);

    let refused = |level: &str, reason: &str| {
        [format!(
            "{level} session.device_refused reason={reason} suppressed=0"
        )]
    };
    site.advance(1);
    let mut thief = browser.thief();
    thief.refresh().await;
    assert_eq!(told(&browser), refused("WARN", "signature"));
    site.advance(1);
    let own = thief.key.registration(&thief.challenge);
    thief
        .ask(REGISTER, &[("secure-session-response", &own)])
        .await;
    assert_eq!(told(&browser), refused("WARN", "bound"));
    site.advance(1);
    browser.token_alone().look().await;
    assert_eq!(told(&browser), refused("DEBUG", "no_cookie"));
    site.advance(1);
    browser
        .ask(REGISTER, &[("secure-session-response", "x")])
        .await;
    assert_eq!(told(&browser), refused("DEBUG", "malformed"));
    site.advance(1);
    let old = browser.key.refresh("old");
    assert_eq!(
        browser.refresh_with(&old).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(told(&browser), refused("DEBUG", "challenge"));

    site.advance(1);
    let skipped = [("secure-session-skipped", "unreachable")];
    browser
        .send(&skipped, |_| async { Ok(String::new()) })
        .await;
    assert_eq!(told(&browser), [""; 0], "it didn't use its session");
    browser.send(&skipped, crate::site::look).await;
    let expected = "DEBUG session.device_skipped reason=unreachable suppressed=0";
    assert_eq!(told(&browser), [expected]);
}
