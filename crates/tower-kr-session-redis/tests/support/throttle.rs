//! A network between store and server that lets only so many bytes a second through to the store.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

/// Starts it, and returns its port.
pub(crate) async fn throttle(server: u16, bytes_a_second: u32) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    // When the network is free for the next bytes, whichever connection they are of.
    let free = Arc::new(Mutex::new(Instant::now()));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let free = Arc::clone(&free);
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", server)).await;
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.expect("the server").into_split();
                tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
                let mut bytes = vec![0; 32_768];
                while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
                    let takes = Duration::from_secs(1) * u32::try_from(length).expect("a length");
                    let passed = {
                        let mut free = free.lock().expect("no panic");
                        *free = (*free).max(Instant::now()) + takes / bytes_a_second;
                        *free
                    };
                    sleep_until(passed).await;
                    if to_client.write_all(&bytes[..length]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}
