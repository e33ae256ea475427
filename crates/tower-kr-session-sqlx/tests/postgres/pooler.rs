//! A pooler as PgBouncer is with `pool_mode = transaction`: each transaction goes to the next
//! connection of the server.

use std::{collections::VecDeque, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, Semaphore},
};

/// Of PostgreSQL's protocol: `ReadyForQuery`, `Sync`, `Query` and `Terminate`.
const READY: u8 = b'Z';
const SYNC: u8 = b'S';
const QUERY: u8 = b'Q';
const TERMINATE: u8 = b'X';
const SSL_REQUEST: u32 = 80_877_103;

/// How many connections of the server are shared.
const CONNECTIONS: usize = 3;

type Server = (OwnedReadHalf, OwnedWriteHalf);

struct Pool {
    /// Used in turn, so that two transactions never follow each other on the same one.
    idle: Mutex<VecDeque<Server>>,
    free: Semaphore,
}

/// Starts one in front of the server at this port, for this user, and returns its port.
pub(crate) async fn start(server: u16, user: &str) -> u16 {
    let mut idle = VecDeque::new();
    for _ in 0..CONNECTIONS {
        idle.push_back(connect(server, user).await);
    }
    let pool = Arc::new(Pool {
        idle: Mutex::new(idle),
        free: Semaphore::new(CONNECTIONS),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, Arc::clone(&pool)));
        }
    });
    port
}

async fn connect(port: u16, user: &str) -> Server {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut from, mut to) = stream.into_split();
    let mut startup = 196_608_u32.to_be_bytes().to_vec();
    for part in ["user", user, "database", "postgres", ""] {
        startup.extend(part.as_bytes());
        startup.push(0);
    }
    let length = u32::try_from(startup.len() + 4).unwrap();
    to.write_all(&length.to_be_bytes()).await.unwrap();
    to.write_all(&startup).await.unwrap();
    while message(&mut from).await.unwrap()[0] != READY {}
    (from, to)
}

/// A message with its type and length.
async fn message(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 5];
    from.read_exact(&mut bytes).await.ok()?;
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
    bytes.resize(1 + length as usize, 0);
    from.read_exact(&mut bytes[5..]).await.ok()?;
    Some(bytes)
}

/// Lets anybody in.
async fn greet(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> Option<()> {
    loop {
        let length = from.read_u32().await.ok()?;
        let mut rest = vec![0; length as usize - 4];
        from.read_exact(&mut rest).await.ok()?;
        if rest[..4] != SSL_REQUEST.to_be_bytes() {
            break;
        }
        to.write_all(b"N").await.ok()?;
    }
    let (ok, version, ready) = (
        b"R\0\0\0\x08\0\0\0\0",
        b"S\0\0\0\x18server_version\x0015.0\0",
        b"Z\0\0\0\x05I",
    );
    to.write_all(&[&ok[..], version, ready].concat()).await.ok()
}

async fn serve(client: TcpStream, pool: Arc<Pool>) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let (mut from_client, mut to_client) = client.into_split();
    greet(&mut from_client, &mut to_client).await?;
    loop {
        let mut next = Some(message(&mut from_client).await?);
        if next.as_ref()?[0] == TERMINATE {
            return None;
        }
        let _free = pool.free.acquire().await.ok()?;
        let (mut from_server, mut to_server) = pool.idle.lock().await.pop_front()?;
        // Until the server is ready with all that it was sent, and in no transaction.
        let mut awaited = 0;
        loop {
            if let Some(message) = next.take() {
                awaited += u32::from(message[0] == SYNC || message[0] == QUERY);
                to_server.write_all(&message).await.ok()?;
            }
            if awaited == 0 {
                next = Some(message(&mut from_client).await?);
                continue;
            }
            let answer = message(&mut from_server).await?;
            to_client.write_all(&answer).await.ok()?;
            if answer[0] == READY {
                awaited -= 1;
                if awaited == 0 && answer[5] == b'I' {
                    break;
                }
            }
        }
        pool.idle.lock().await.push_back((from_server, to_server));
    }
}
