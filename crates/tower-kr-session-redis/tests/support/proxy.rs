//! A proxy between store and server that breaks connections, or holds them up, at a script call of
//! choice.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::{Notify, watch},
};

/// What happens to a script call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    /// The connection breaks before the call reaches the server.
    CutBefore,
    /// The server does what it was told, and the connection breaks before the answer.
    CutAfter,
    /// The call waits until `release`.
    Hold,
}

pub(crate) struct Proxy {
    port: u16,
    control: Arc<Control>,
}

struct Control {
    server: u16,
    /// The fate of each script call by its number from 0.
    fates: Box<dyn Fn(usize) -> Fate + Send + Sync>,
    calls: AtomicUsize,
    forwarded: AtomicUsize,
    held: Notify,
    released: watch::Sender<bool>,
    connections: Mutex<usize>,
}

impl Proxy {
    pub(crate) async fn start(
        server: u16,
        fates: impl Fn(usize) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let control = Arc::new(Control {
            server,
            fates: Box::new(fates),
            calls: AtomicUsize::new(0),
            forwarded: AtomicUsize::new(0),
            held: Notify::new(),
            released: watch::Sender::new(false),
            connections: Mutex::new(0),
        });
        let accepting = Arc::clone(&control);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                *accepting.connections.lock().expect("the count") += 1;
                tokio::spawn(serve(client, Arc::clone(&accepting)));
            }
        });
        Self { port, control }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How many script calls reached the server.
    pub(crate) fn forwarded(&self) -> usize {
        self.control.forwarded.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        *self.control.connections.lock().expect("the count")
    }

    /// Waits until a call is held.
    pub(crate) async fn held(&self) {
        self.control.held.notified().await;
    }

    pub(crate) fn release(&self) {
        self.control.released.send_replace(true);
    }
}

async fn serve(client: TcpStream, control: Arc<Control>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", control.server)).await else {
        return;
    };
    let (client_reader, client_writer) = client.into_split();
    let (server_reader, mut server_writer) = server.into_split();
    let muted = Arc::new(AtomicBool::new(false));
    let answers = tokio::spawn(copy_answers(
        server_reader,
        client_writer,
        Arc::clone(&muted),
    ));
    let last = pass_calls(client_reader, &mut server_writer, &control).await;
    muted.store(true, Ordering::SeqCst);
    if let Some(command) = last {
        control.forwarded.fetch_add(1, Ordering::SeqCst);
        let _ = server_writer.write_all(&command).await;
    }
    // The server reads all that came before the end of the stream, does it, and hangs up; then the
    // client learns of it.
    let _ = server_writer.shutdown().await;
    let _ = answers.await;
}

async fn copy_answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    muted: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = server.read(&mut buffer).await {
        if !muted.load(Ordering::SeqCst) {
            // A client that is gone changes nothing for the server.
            let _ = client.write_all(&buffer[..length]).await;
        }
    }
}

/// Returns when the connection is to be broken: with a command that the server is to do before.
async fn pass_calls(
    mut client: OwnedReadHalf,
    server: &mut OwnedWriteHalf,
    control: &Control,
) -> Option<Vec<u8>> {
    let mut pending = Vec::new();
    loop {
        while let Some(length) = whole_command(&pending) {
            let command: Vec<u8> = pending.drain(..length).collect();
            let fate = if is_script_call(&command) {
                (control.fates)(control.calls.fetch_add(1, Ordering::SeqCst))
            } else {
                Fate::Pass
            };
            match fate {
                Fate::Pass => {}
                Fate::CutBefore => return None,
                Fate::CutAfter => return Some(command),
                Fate::Hold => {
                    control.held.notify_one();
                    let mut released = control.released.subscribe();
                    let _ = released.wait_for(|released| *released).await;
                }
            }
            if is_script_call(&command) {
                control.forwarded.fetch_add(1, Ordering::SeqCst);
            }
            if server.write_all(&command).await.is_err() {
                return None;
            }
        }
        match client.read_buf(&mut pending).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn is_script_call(command: &[u8]) -> bool {
    let head = &command[..command.len().min(24)];
    let holds = |word: &[u8]| head.windows(word.len()).any(|part| part == word);
    holds(b"\r\nEVALSHA\r\n") || holds(b"\r\nEVAL\r\n")
}

/// The length of the first command in the bytes, if it is there as a whole.
fn whole_command(bytes: &[u8]) -> Option<usize> {
    let (count, mut at) = number_after(bytes, 0, b'*')?;
    for _ in 0..count {
        let (length, start) = number_after(bytes, at, b'$')?;
        at = start + length + 2;
    }
    (at <= bytes.len()).then_some(at)
}

fn number_after(bytes: &[u8], at: usize, kind: u8) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?;
    let end = line.windows(2).position(|pair| pair == b"\r\n")?;
    assert_eq!(line[0], kind, "the client speaks in lists of texts");
    let number = str::from_utf8(&line[1..end]).expect("digits");
    Some((number.parse().expect("a number"), at + end + 2))
}
