//! Accepts a bounded number of connections, and says so when there is no room.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum_server::{AddrListener, Address};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{log::Limit, stream::forward_writes};

/// The address of a client, or the one that the server listens on.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Address for Peer {
    type Stream = Connection;
    type Listener = Bounded;
}

/// Accepts a connection only if there is room for it. Others wait in the kernel's queue.
#[derive(Debug)]
pub(crate) struct Bounded {
    listener: TcpListener,
    most: usize,
    room: Arc<Semaphore>,
    full: Limit,
    failed: Limit,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener, most: usize) -> Self {
        Self {
            listener,
            most,
            room: Arc::new(Semaphore::new(most)),
            full: Limit::default(),
            failed: Limit::default(),
        }
    }

    async fn place(&self) -> io::Result<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.room).try_acquire_owned() {
            return Ok(place);
        }
        if let Some(suppressed) = self.full.permit() {
            let most = self.most;
            tracing::warn!(
                suppressed,
                "all {most} connections are taken, and new ones wait"
            );
        }
        let place = Arc::clone(&self.room).acquire_owned().await;
        place.map_err(io::Error::other)
    }
}

impl AddrListener<Connection, Peer> for Bounded {
    async fn bind_to(address: Peer) -> io::Result<Self> {
        let listener = TcpListener::bind(address.0).await?;
        Ok(Self::new(listener, Semaphore::MAX_PERMITS))
    }

    async fn accept_stream(&self) -> io::Result<(Connection, Peer)> {
        let place = self.place().await?;
        match self.listener.accept().await {
            Ok((stream, address)) => {
                let connection = Connection {
                    stream,
                    _place: place,
                };
                Ok((connection, Peer(address)))
            }
            Err(error) => {
                // The server tries again.
                if let Some(suppressed) = self.failed.permit() {
                    tracing::error!(%error, suppressed, "can't accept connections");
                }
                Err(error)
            }
        }
    }

    fn get_local_addr(&self) -> io::Result<Peer> {
        self.listener.local_addr().map(Peer)
    }
}

/// A connection that has a place until it is dropped.
pub(crate) struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Waits for the first byte, and leaves it where it is. `None` if the client sends none.
    pub(crate) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let length = self.stream.peek(&mut byte).await?;
        Ok((length > 0).then_some(byte[0]))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

forward_writes!([] Connection);
