//! The demo behind the proxies of the operations guide, set up as printed there.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use test_support::{Scratch, free_port, wait_until};

use crate::support::Server;

const GUIDE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/guides/operations.md"
);

/// What the guide's nginx does if it is left out.
const REPEATS_NOTHING: &str = "proxy_next_upstream off;";

pub(crate) const NGINX: &[crate::Test] = &[("proxies::nginx_repeats_nothing", || {
    repeats_nothing(nginx);
    assert!(
        most_often(|listen, servers| {
            let settings = printed("nginx").replace(REPEATS_NOTHING, "");
            start_nginx(&settings, listen, servers)
        }) > 1
    );
})];

pub(crate) const HAPROXY: &[crate::Test] = &[("proxies::haproxy_repeats_nothing", || {
    repeats_nothing(haproxy)
})];

/// A running proxy, killed when dropped.
struct Proxy {
    child: Child,
    _folder: Scratch,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The settings that the guide shows for this program.
fn printed(language: &str) -> String {
    let guide = std::fs::read_to_string(GUIDE).unwrap();
    let (_, rest) = guide.split_once(&format!("\n```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn with_ports(settings: &str, servers: [u16; 2]) -> String {
    let [one, two] = servers.map(|port| format!("127.0.0.1:{port}"));
    let settings = settings.replace("127.0.0.1:8081", &one);
    settings.replace("127.0.0.1:8082", &two)
}

fn nginx(listen: u16, servers: [u16; 2]) -> Proxy {
    start_nginx(&printed("nginx"), listen, servers)
}

fn start_nginx(settings: &str, listen: u16, servers: [u16; 2]) -> Proxy {
    let folder = Scratch::new();
    let settings = with_ports(settings, servers);
    let settings = settings.replace("listen 80;", &format!("listen 127.0.0.1:{listen};"));
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|kind| format!("{kind}_temp_path {kind};\n"));
    let file = folder.file(
        "nginx.conf",
        format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {{}}\n\
             http {{ access_log off;\n{}{settings} }}\n",
            temporary.concat()
        ),
    );
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder.path()).arg("-c").arg(file);
    Proxy::start(command, listen, folder)
}

fn haproxy(listen: u16, servers: [u16; 2]) -> Proxy {
    let folder = Scratch::new();
    let settings = with_ports(&printed("haproxy"), servers);
    let settings = settings.replace("bind :80", &format!("bind 127.0.0.1:{listen}"));
    let file = folder.file("haproxy.cfg", settings);
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    Proxy::start(command, listen, folder)
}

impl Proxy {
    fn start(mut command: Command, listen: u16, folder: Scratch) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let proxy = Self {
            child,
            _folder: folder,
        };
        wait_until("the proxy listens", || {
            TcpStream::connect(("127.0.0.1", listen)).ok()
        });
        proxy
    }
}

fn repeats_nothing(start: fn(u16, [u16; 2]) -> Proxy) {
    assert_eq!(most_often(start), 1);
    serves(start);
}

/// Sends requests to a proxy whose servers break the connection in place of an answer. Returns how
/// often the servers got the request that they got most often.
fn most_often(start: impl Fn(u16, [u16; 2]) -> Proxy) -> usize {
    let requests = Arc::new(Mutex::new(HashMap::new()));
    let servers = [(); 2].map(|()| breaking_server(&requests));
    let listen = free_port();
    let _proxy = start(listen, servers);
    for number in 0..10 {
        let status = get(listen, &format!("/{number}"), "").0;
        assert_eq!(status, "502", "a request that broke");
    }
    let requests = requests.lock().unwrap();
    requests.values().copied().max().unwrap()
}

/// A server that is ready, and breaks the connection at any other request.
fn breaking_server(requests: &Arc<Mutex<HashMap<String, usize>>>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::clone(requests);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let read = BufReader::new(&stream).read_line(&mut line);
            match line.split(' ').nth(1) {
                Some("/readyz") => {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
                Some(path) if read.is_ok() => {
                    *requests.lock().unwrap().entry(path.to_owned()).or_insert(0) += 1;
                }
                _ => {}
            }
        }
    });
    port
}

/// A session goes on through both servers, and then through the one that is left.
fn serves(start: fn(u16, [u16; 2]) -> Proxy) {
    let dir = Scratch::new();
    let store = format!("sqlite://{}/sessions.db", dir.path().display());
    let options = ["--http", "--secure-policy", "always", "--store", &store];
    let ports = [(); 2].map(|()| free_port());
    let mut servers: Vec<Server> = ports
        .iter()
        .map(|port| Server::start_with(&[("PORT", &port.to_string())], &options))
        .collect();
    let listen = free_port();
    let _proxy = start(listen, ports);
    let (status, head, _) = get(listen, "/session/counter", "");
    assert_eq!(status, "200");
    let (_, rest) = head.split_once("set-cookie: ").unwrap();
    let (cookie, _) = rest.split_once(';').unwrap();
    for count in 2..=10 {
        let (_, _, body) = get(listen, "/session/counter", cookie);
        assert!(body.ends_with(&format!(":{count}}}")), "{body}");
    }
    servers.pop();
    // A proxy that doesn't know yet may answer 502, once.
    wait_until("the proxy leaves the dead server out", || {
        let statuses = (0..6).map(|_| get(listen, "/session/whoami", cookie).0);
        statuses
            .into_iter()
            .all(|status| status == "401")
            .then_some(())
    });
    let (_, _, body) = get(listen, "/session/counter", cookie);
    assert!(body.ends_with(":11}"), "{body}");
}

/// The status, head and body of the answer.
fn get(port: u16, path: &str, cookie: &str) -> (String, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let request = format!("{head}Cookie: {cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.to_owned(), head.to_owned(), body.to_owned())
}
