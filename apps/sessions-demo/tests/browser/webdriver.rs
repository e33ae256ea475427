//! As much of WebDriver (W3C) as these tests need: JSON over HTTP to a driver on this machine,
//! which is Chromium's, or WebKit's with a display of its own.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use test_support::{free_port, wait_until};

/// Far more than a browser takes for anything.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running driver, killed when dropped, and with it its browsers.
pub(crate) struct Driver {
    child: Child,
    port: u16,
    /// Where WebKit shows its windows, which nobody sees. Dropped last.
    display: Option<Display>,
}

/// A running Xvfb, killed when dropped.
struct Display(Child);

impl Driver {
    pub(crate) fn chromium() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver must be installed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver must say its port");
        // Read on, so that it never waits for its reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let display = None;
        Self {
            child,
            port,
            display,
        }
    }

    pub(crate) fn webkit() -> Self {
        let (display, number) = Display::start();
        let port = free_port();
        let child = Command::new("WebKitWebDriver")
            .arg(format!("--port={port}"))
            .env("DISPLAY", format!(":{number}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("WebKitWebDriver must be installed");
        wait_until("WebKitWebDriver listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let display = Some(display);
        Self {
            child,
            port,
            display,
        }
    }

    /// Starts a Chromium with further arguments, which has to be told which certificates to trust.
    pub(crate) fn open_with(&self, profile: &str, arguments: Vec<String>) -> WebDriver {
        let mut options = chromium_options(profile, true);
        options["acceptInsecureCerts"] = false.into();
        let all = options["goog:chromeOptions"]["args"]
            .as_array_mut()
            .unwrap();
        all.extend(arguments.into_iter().map(Value::from));
        self.session(&options)
    }

    /// Starts a browser with a profile of its own in `profile`. WebKit makes its own, and has
    /// scripts.
    pub(crate) fn open(&self, profile: &str, scripts: bool) -> WebDriver {
        let options = match &self.display {
            Some(_) => json!({"acceptInsecureCerts": true}),
            None => chromium_options(profile, scripts),
        };
        self.session(&options)
    }

    fn session(&self, options: &Value) -> WebDriver {
        let capabilities = json!({"capabilities": {"alwaysMatch": options}});
        let answer = self.call("POST", "/session", &capabilities);
        let answer = answer.unwrap_or_else(|error| panic!("no browser: {error}"));
        WebDriver {
            port: self.port,
            session: answer["sessionId"].as_str().unwrap().to_owned(),
        }
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        call(self.port, method, path, body)
    }
}

fn chromium_options(profile: &str, scripts: bool) -> Value {
    let args = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        &format!("--user-data-dir={profile}"),
    ];
    let allowed = if scripts { 1 } else { 2 };
    json!({
        "acceptInsecureCerts": true,
        "goog:chromeOptions": {
            "args": args,
            "prefs": {"profile.managed_default_content_settings.javascript": allowed},
        },
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    })
}

impl Display {
    /// Starts a display, and returns its number too.
    fn start() -> (Self, u32) {
        let mut child = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1100x900x24"])
            .args(["-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb must be installed");
        let mut number = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut number).unwrap();
        let number = number.trim_end().parse();
        (Self(child), number.expect("Xvfb must say its number"))
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser.
pub(crate) struct WebDriver {
    port: u16,
    session: String,
}

impl WebDriver {
    /// What the browser answers, or why it did not do it.
    pub(crate) fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        call(
            self.port,
            method,
            &format!("/session/{}{path}", self.session),
            body,
        )
    }

    #[track_caller]
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path} {body}: {error}"))
    }

    /// A command of Chrome's own protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) {
        self.call(
            "POST",
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        );
    }

    /// The entries of a log since it was last asked for.
    pub(crate) fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.call("POST", "/se/log", &json!({"type": kind}));
        log.as_array().unwrap().clone()
    }
}

impl Drop for WebDriver {
    fn drop(&mut self) {
        let _ = self.try_call("DELETE", "", &Value::Null);
    }
}

fn call(port: u16, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let body = stream
        .set_read_timeout(Some(DEADLINE))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .and_then(|()| read_body(&mut BufReader::new(stream)))
        .map_err(|error| error.to_string())?;
    let mut answer: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let value = answer["value"].take();
    match value.get("error") {
        Some(error) => Err(format!("{error}: {}", value["message"])),
        None => Ok(value),
    }
}

/// The driver keeps the connection open, whatever it is asked: the length says where the body ends.
fn read_body(stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap();
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}
