//! A proxy in front of a server, which can forget its connections as a firewall does, and counts
//! round trips.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

pub(crate) struct Proxy {
    port: u16,
    control: Arc<Control>,
}

#[derive(Default)]
struct Control {
    accepted: AtomicUsize,
    /// Connections up to this number are forgotten: nothing passes, and nobody is told.
    forgotten: AtomicUsize,
    swallowed: AtomicUsize,
    round_trips: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq)]
enum From {
    Client,
    Server,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let control = Arc::new(Control::default());
        let accepting = Arc::clone(&control);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let number = accepting.accepted.fetch_add(1, Ordering::SeqCst) + 1;
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let asking = Arc::new(AtomicBool::new(false));
                for (side, from, to) in [
                    (From::Client, from_client, to_server),
                    (From::Server, from_server, to_client),
                ] {
                    let (control, asking) = (Arc::clone(&accepting), Arc::clone(&asking));
                    tokio::spawn(async move {
                        let count = || {
                            let asks = side == From::Client;
                            if asks && !asking.swap(asks, Ordering::SeqCst) {
                                control.round_trips.fetch_add(1, Ordering::SeqCst);
                            } else if !asks {
                                asking.store(false, Ordering::SeqCst);
                            }
                        };
                        pass(from, to, number, &control, count).await;
                    });
                }
            }
        });
        Self { port, control }
    }

    /// The URL of a server behind it, which is at this port.
    pub(crate) fn url(&self, server: &str, port: u16) -> String {
        server.replace(&format!(":{port}/"), &format!(":{}/", self.port))
    }

    /// Lets nothing pass any more on the connections of now.
    pub(crate) fn forget_connections(&self) {
        let accepted = self.control.accepted.load(Ordering::SeqCst);
        self.control.forgotten.store(accepted, Ordering::SeqCst);
    }

    /// How often a client has sent something and waited for the answer.
    pub(crate) fn round_trips(&self) -> usize {
        self.control.round_trips.load(Ordering::SeqCst)
    }

    /// How many messages were lost.
    pub(crate) fn swallowed(&self) -> usize {
        self.control.swallowed.load(Ordering::SeqCst)
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: usize,
    control: &Control,
    count: impl Fn(),
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        count();
        if number <= control.forgotten.load(Ordering::SeqCst) {
            control.swallowed.fetch_add(1, Ordering::SeqCst);
        } else if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    if number <= control.forgotten.load(Ordering::SeqCst) {
        // Not even the end is told.
        std::future::pending::<()>().await;
    }
}
