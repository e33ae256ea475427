//! A client that sends bytes over TLS, and one on top of it that keeps cookies. Neither helps a
//! server that breaks a rule.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use test_support::{Jar, Scratch};

use crate::support::{Server, identity};

/// Far more than an answer takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running server, and what is needed to trust it.
pub(crate) struct Site {
    pub(crate) server: Server,
    /// The server's certificate lies in it.
    _dir: Scratch,
    config: Arc<ClientConfig>,
}

impl Site {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(&[], args)
    }

    pub(crate) fn start_with(env: &[(&str, &str)], args: &[&str]) -> Self {
        let dir = Scratch::new();
        let (cert, key) = identity(&dir, "server");
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&cert).unwrap())
            .unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let files = [
            "--tls-cert",
            cert.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ];
        let env = [&[("PORT", "0")], env].concat();
        Self {
            server: Server::start_with(&env, &[&files[..], args].concat()),
            _dir: dir,
            config: Arc::new(config),
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        Connection(StreamOwned::new(tls, stream))
    }

    pub(crate) fn visitor(&self) -> Visitor {
        Visitor {
            connection: self.connect(),
            jar: Jar::default(),
        }
    }
}

/// Bytes to the server and back.
pub(crate) struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    /// Sends these bytes and reads one answer; `None` if the server ends the connection instead.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Option<Answer> {
        // A server may refuse before it has read everything: then the answer is already there.
        let _ = self.0.write_all(request).and_then(|()| self.0.flush());
        let head = self.read_head()?;
        let mut answer = Answer::parse(&head);
        let length = answer
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body).ok()?;
        Some(answer)
    }

    fn read_head(&mut self) -> Option<Vec<u8>> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).ok()?;
            head.extend(byte);
        }
        Some(head)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(head: &[u8]) -> Self {
        // A header of this server is text: anything else is a reflection.
        let head = str::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            status: status.parse().unwrap(),
            headers: headers.collect(),
            body: Vec::new(),
        }
    }

    /// The header of this name, of which there must not be two.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers(name);
        let value = values.next();
        assert_eq!(values.next(), None, "two headers {name}: {self:?}");
        value
    }

    pub(crate) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.headers.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The `Set-Cookie` header of the session cookie.
    pub(crate) fn session_cookie(&self) -> Option<&str> {
        self.headers("set-cookie")
            .find(|cookie| !cookie.starts_with("Kr.Notice="))
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// Somebody with a cookie jar: one host, one path, as a browser keeps it.
pub(crate) struct Visitor {
    connection: Connection,
    pub(crate) jar: Jar,
}

impl Visitor {
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "")
    }

    pub(crate) fn post(&mut self, path: &str, form: &str) -> Answer {
        self.send("POST", path, form)
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, form: &str) -> Answer {
        let cookies = self.jar.header().map_or(String::new(), |cookies| {
            format!("Cookie: {}\r\n", cookies.to_str().unwrap())
        });
        let length = form.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{cookies}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        );
        let answer = self
            .connection
            .exchange(request.as_bytes())
            .expect("an answer");
        for cookie in answer.headers("set-cookie") {
            self.jar.set(cookie);
        }
        answer
    }

    /// The session's token, by the demo's usual name of the cookie.
    pub(crate) fn token(&self) -> Option<&str> {
        self.jar.get("Kr.Session")
    }

    /// The user as whom the visitor is signed in.
    pub(crate) fn user(&mut self) -> Option<String> {
        let answer = self.get("/session/whoami");
        match answer.status {
            401 => None,
            200 => {
                let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                Some(body["user"].as_str().unwrap().to_owned())
            }
            _ => panic!("{answer:?}"),
        }
    }
}
