//! A network between programs that can be slow, or cut.

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Bytes that stand still look again after this time.
const PAUSE: Duration = Duration::from_millis(5);

/// A network of wires: programs connect to a wire in place of a server.
#[derive(Clone, Debug, Default)]
pub struct Network(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cuts: Mutex<HashSet<Cut>>,
    /// How long bytes take, in milliseconds.
    delay: AtomicU64,
}

/// What is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Cut {
    /// The server of this port, from everybody.
    Server(u16),
    /// The server of this port, from its replicas and sentinels.
    FromPeers(u16),
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    /// A node of a Redis cluster, with this port.
    Node(u16),
    /// A replica or a sentinel of Redis, by the name of its user.
    Peer,
}

/// A port that leads to a server. It is closed when dropped.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    end: Arc<End>,
}

#[derive(Debug)]
struct End {
    network: Network,
    /// Where new connections go, in turns.
    servers: Mutex<Vec<u16>>,
    next: AtomicUsize,
    /// The port by which the server is known, if it isn't the one at the other end.
    known_as: Mutex<Option<u16>>,
    closed: AtomicBool,
}

impl Network {
    /// Adds a wire that leads to this port.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn wire(&self, server: u16) -> Wire {
        self.wire_to(vec![server])
    }

    /// Adds a wire that leads to these ports in turns. A server that refuses is passed over.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn wire_to(&self, servers: Vec<u16>) -> Wire {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let end = Arc::new(End {
            network: self.clone(),
            servers: Mutex::new(servers),
            next: AtomicUsize::new(0),
            known_as: Mutex::new(None),
            closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&end);
        thread::spawn(move || accept(&listener, &accepting));
        Wire { port, end }
    }

    /// Cuts this server off: bytes to and from it stand still. Its connections stay open.
    pub fn cut(&self, server: u16) {
        lock(&self.0.cuts).insert(Cut::Server(server));
    }

    /// Cuts a Redis server off from its replicas and sentinels alone, which are the users `replica`
    /// and `sentinel`.
    pub fn cut_from_peers(&self, server: u16) {
        lock(&self.0.cuts).insert(Cut::FromPeers(server));
    }

    /// Makes bytes take this long.
    pub fn slow(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.0.delay.store(millis, Ordering::SeqCst);
    }

    /// Takes it all back.
    pub fn mend(&self) {
        lock(&self.0.cuts).clear();
        self.slow(Duration::ZERO);
    }

    /// Waits until bytes between the two may pass, and as long as they take.
    fn pass(&self, server: u16, sender: Sender) {
        let is_cut = || {
            let cuts = lock(&self.0.cuts);
            let of_sender = match sender {
                Sender::Client => None,
                Sender::Node(node) => Some(Cut::Server(node)),
                Sender::Peer => Some(Cut::FromPeers(server)),
            };
            let mut either = [Some(Cut::Server(server)), of_sender].into_iter().flatten();
            either.any(|cut| cuts.contains(&cut))
        };
        while is_cut() {
            thread::sleep(PAUSE);
        }
        thread::sleep(Duration::from_millis(self.0.delay.load(Ordering::SeqCst)));
    }
}

impl Wire {
    /// The port to connect to, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections to another server.
    pub fn lead_to(&self, server: u16) {
        *lock(&self.end.servers) = vec![server];
    }

    /// Says by which port the server at the other end is known, if it has several.
    pub fn belongs_to(&self, server: u16) {
        *lock(&self.end.known_as) = Some(server);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.end.closed.store(true, Ordering::SeqCst);
        // Its listener waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn accept(listener: &TcpListener, end: &Arc<End>) {
    for client in listener.incoming().flatten() {
        if end.closed.load(Ordering::SeqCst) {
            return;
        }
        let end = Arc::clone(end);
        thread::spawn(move || {
            // A client of a server that isn't there is hung up on.
            if let Some((server, port)) = end.connect() {
                carry(client, server, port, &end);
            }
        });
    }
}

impl End {
    fn connect(&self) -> Option<(TcpStream, u16)> {
        let servers = lock(&self.servers).clone();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut servers = servers
            .iter()
            .cycle()
            .skip(first % servers.len())
            .take(servers.len());
        servers.find_map(|port| Some((TcpStream::connect(("127.0.0.1", *port)).ok()?, *port)))
    }
}

/// Carries bytes both ways until both have ended.
fn carry(client: TcpStream, server: TcpStream, port: u16, end: &Arc<End>) {
    let sender = Arc::new(Mutex::new(Sender::Client));
    let (Ok(from_client), Ok(to_client)) = (client.try_clone(), client.try_clone()) else {
        return;
    };
    let Ok(to_server) = server.try_clone() else {
        return;
    };
    let pass = {
        let (end, sender) = (Arc::clone(end), Arc::clone(&sender));
        move || {
            let known_as = lock(&end.known_as).unwrap_or(port);
            let sender = *lock(&sender);
            end.network.pass(known_as, sender);
        }
    };
    let back = pass.clone();
    let answers = thread::spawn(move || copy(server, to_client, back, |_| {}));
    copy(from_client, to_server, pass, |bytes| {
        let mut sender = lock(&sender);
        if *sender == Sender::Client {
            *sender = sender_of(bytes);
        }
    });
    let _ = answers.join();
}

fn copy(mut from: TcpStream, mut to: TcpStream, pass: impl Fn(), mut look: impl FnMut(&[u8])) {
    let _ = to.set_nodelay(true);
    let mut bytes = vec![0; 32 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        look(&bytes[..length]);
        pass();
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    // The end of a connection is news too.
    pass();
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// Who sent this. A message between nodes of a cluster is a signature, a length of 4 bytes, a
/// version of 2, and the port of the node. Replicas and sentinels sign in by their names.
fn sender_of(bytes: &[u8]) -> Sender {
    let port = bytes.strip_prefix(b"RCmb").and_then(|rest| rest.get(6..8));
    if let Some(&[high, low]) = port {
        return Sender::Node(u16::from_be_bytes([high, low]));
    }
    let names: [&[u8]; 2] = [
        b"\r\nAUTH\r\n$7\r\nreplica\r\n",
        b"\r\nAUTH\r\n$8\r\nsentinel\r\n",
    ];
    let is_there = |name: &[u8]| bytes.windows(name.len()).any(|part| part == name);
    match names.into_iter().any(is_there) {
        true => Sender::Peer,
        false => Sender::Client,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
