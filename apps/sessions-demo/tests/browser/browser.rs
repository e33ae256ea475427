//! A browser on the page, as a visitor uses it.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use test_support::Scratch;

use crate::{
    support::Server,
    webdriver::{Driver, WebDriver},
};

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Ends once the page has loaded and lies still: after that its scripts show what works with
/// scripts only, and scroll to where the visitor was, at the second frame. A click hits what lies
/// at its place when it arrives, even if that is no longer the element that it was meant for, and
/// keys reach what has the focus.
const SETTLED: &str = "
    const [done] = arguments;
    const frames = (left) => left ? requestAnimationFrame(() => frames(left - 1)) : done();
    if (document.readyState === 'complete') frames(4);
    else addEventListener('load', () => frames(4));
";

/// The key under which an answer of WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub(crate) struct Browser {
    driver: WebDriver,
    base: String,
    scripts: bool,
    /// Removed once the browser has ended.
    _profile: Scratch,
}

impl Browser {
    /// A fresh browser that looks at the page.
    pub(crate) fn open(driver: &Driver, server: &Server) -> Self {
        Self::start(driver, server, true)
    }

    pub(crate) fn open_without_scripts(driver: &Driver, server: &Server) -> Self {
        Self::start(driver, server, false)
    }

    /// One that trusts only what these arguments say, and has the features that they name.
    pub(crate) fn open_bound(driver: &Driver, server: &Server, arguments: Vec<String>) -> Self {
        let profile = Scratch::new();
        let opened = driver.open_with(profile.path().to_str().unwrap(), arguments);
        Self::show(opened, profile, server, true)
    }

    fn start(driver: &Driver, server: &Server, scripts: bool) -> Self {
        let profile = Scratch::new();
        let opened = driver.open(profile.path().to_str().unwrap(), scripts);
        Self::show(opened, profile, server, scripts)
    }

    fn show(driver: WebDriver, profile: Scratch, server: &Server, scripts: bool) -> Self {
        let browser = Self {
            driver,
            base: server.base.clone(),
            scripts,
            _profile: profile,
        };
        browser.go("/");
        browser
    }

    pub(crate) fn go(&self, path: &str) {
        self.visit(&format!("{}{path}", self.base));
    }

    pub(crate) fn visit(&self, url: &str) {
        self.driver.call("POST", "/url", &json!({"url": url}));
    }

    pub(crate) fn back(&self) {
        self.driver.call("POST", "/back", &json!({}));
    }

    fn try_find(&self, selector: &str) -> Result<String, String> {
        let by = json!({"using": "css selector", "value": selector});
        let found = self.driver.try_call("POST", "/element", &by)?;
        Ok(format!(
            "/element/{}",
            found[ELEMENT].as_str().ok_or("no element")?
        ))
    }

    /// The text that a visitor sees there; nothing while it is hidden.
    fn try_text(&self, selector: &str) -> Result<String, String> {
        let element = self.try_find(selector)?;
        let text = self
            .driver
            .try_call("GET", &format!("{element}/text"), &Value::Null)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        self.try_text(selector).unwrap()
    }

    /// Waits until this text is seen there. A page that is on its way has it not yet.
    #[track_caller]
    pub(crate) fn sees(&self, selector: &str, expected: &str) {
        self.waits_for(selector, |text| text == expected);
    }

    /// Waits until what is seen there is `right`, and tells it.
    #[track_caller]
    pub(crate) fn waits_for(&self, selector: &str, right: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.try_text(selector);
            match &text {
                Ok(text) if right(text) => return text.clone(),
                _ => assert!(start.elapsed() < DEADLINE, "{selector}: saw {text:?}"),
            }
        }
    }

    /// Waits until a script returns this.
    #[track_caller]
    pub(crate) fn waits_for_script(&self, script: &str, right: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let value = self.script(script);
            if right(&value) {
                return value;
            }
            assert!(start.elapsed() < DEADLINE, "{script}: {value}");
        }
    }

    /// Waits until the ring has so many seconds left.
    #[track_caller]
    pub(crate) fn waits_for_seconds_left(&self, range: RangeInclusive<u32>) {
        let seconds = |text: &str| text.strip_suffix(" s")?.parse().ok();
        self.waits_for("#left", |text| {
            seconds(text).is_some_and(|left| range.contains(&left))
        });
    }

    /// Clicks as soon as it can be: a page may be on its way, or show a button once its script
    /// runs.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        /// What a browser says of an element that it did not click.
        const NOT_YET: [&str; 3] = [
            "no such element",
            "element not interactable",
            "stale element reference",
        ];
        let start = Instant::now();
        while let Err(error) = self.try_click(selector) {
            let not_yet = NOT_YET.iter().any(|reason| error.contains(reason));
            assert!(not_yet && start.elapsed() < DEADLINE, "{selector}: {error}");
        }
    }

    fn try_settle(&self) -> Result<(), String> {
        if self.scripts {
            let settled = json!({"script": SETTLED, "args": []});
            self.driver.try_call("POST", "/execute/async", &settled)?;
        }
        Ok(())
    }

    fn try_click(&self, selector: &str) -> Result<Value, String> {
        self.try_settle()?;
        let click = format!("{}/click", self.try_find(selector)?);
        self.driver.try_call("POST", &click, &json!({}))
    }

    pub(crate) fn submit(&self, selector: &str) {
        // A click would scroll to the button first.
        self.script(&format!("document.querySelector(\"{selector}\").click()"));
    }

    #[track_caller]
    pub(crate) fn write(&self, selector: &str, text: &str) {
        self.try_settle().unwrap();
        let element = self.try_find(selector).unwrap();
        self.driver
            .call("POST", &format!("{element}/value"), &json!({"text": text}));
    }

    /// Signs in with the form, and waits until the page says who it is.
    #[track_caller]
    pub(crate) fn sign_in(&self, user: &str) {
        self.write("#name", user);
        self.click("#login");
        self.sees("#user", user);
    }

    /// Presses a key, on whatever has the focus.
    pub(crate) fn press(&self, key: &str) {
        let keys = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]});
        self.driver.call("POST", "/actions", &actions);
    }

    /// The id of what has the focus.
    pub(crate) fn focus(&self) -> String {
        let id = self.script("return document.activeElement.id");
        id.as_str().unwrap().to_owned()
    }

    pub(crate) fn script(&self, script: &str) -> Value {
        self.driver.call(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// All cookies as the browser keeps them.
    pub(crate) fn cookies(&self) -> Vec<Value> {
        let cookies = self.driver.call("GET", "/cookie", &Value::Null);
        cookies.as_array().unwrap().clone()
    }

    pub(crate) fn session_cookie(&self) -> Option<Value> {
        let mut cookies = self.cookies().into_iter();
        cookies.find(|cookie| cookie["name"] == "Kr.Session")
    }

    /// Opens a second tab on the page and leaves it in front; the answer leads back to the first.
    pub(crate) fn second_tab(&self) -> String {
        let first = self.driver.call("GET", "/window", &Value::Null);
        let second = self
            .driver
            .call("POST", "/window/new", &json!({"type": "tab"}));
        self.switch(second["handle"].as_str().unwrap());
        self.go("/");
        first.as_str().unwrap().to_owned()
    }

    pub(crate) fn switch(&self, tab: &str) {
        self.driver.call("POST", "/window", &json!({"handle": tab}));
    }

    pub(crate) fn prefer_dark(&self) {
        self.prefer("prefers-color-scheme", "dark");
    }

    pub(crate) fn force_colors(&self) {
        self.prefer("forced-colors", "active");
    }

    fn prefer(&self, name: &str, value: &str) {
        let features = json!([{"name": name, "value": value}]);
        self.driver
            .devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Lets the page read and write the clipboard.
    pub(crate) fn allow_clipboard(&self) {
        let permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"];
        self.driver.devtools(
            "Browser.grantPermissions",
            &json!({"permissions": permissions}),
        );
    }

    pub(crate) fn set_width(&self, width: u32, mobile: bool) {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": mobile});
        self.driver
            .devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// The whole page as a PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let height = self.script("return document.documentElement.scrollHeight");
        let width = self.script("return window.innerWidth");
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.driver
            .devtools("Emulation.setDeviceMetricsOverride", &size);
        let png = self.driver.call("GET", "/screenshot", &Value::Null);
        BASE64_STANDARD.decode(png.as_str().unwrap()).unwrap()
    }

    /// Checks what no visitor sees: a clean console, and no request to another host.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let console = self.driver.log("browser");
        assert!(console.is_empty(), "the console has {console:?}");
        let requests = self.requests();
        assert!(!requests.is_empty(), "the log must have the page itself");
        for url in requests {
            assert!(
                url.starts_with(&format!("{}/", self.base)),
                "a request to {url}"
            );
        }
    }

    /// The URLs that were asked for since this was last called, without those of the browser's own
    /// pages.
    pub(crate) fn requests(&self) -> Vec<String> {
        let entries = self.driver.log("performance").into_iter();
        let messages = entries.map(|entry| {
            let entry: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            entry["message"].clone()
        });
        messages
            .filter(|message| message["method"] == "Network.requestWillBeSent")
            .filter_map(|message| Some(message["params"]["request"]["url"].as_str()?.to_owned()))
            .filter(|url| !url.starts_with("chrome:") && !url.starts_with("data:"))
            .collect()
    }
}
