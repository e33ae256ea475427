//! Answers plain HTTP at a port that speaks HTTPS.
//!
//! TLS would end such a connection without a word that a person sees.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{listener::Connection, log::Limit};

/// How long a client that got the answer may take to close the connection.
const LINGER: Duration = Duration::from_secs(1);

/// Accepts connections that begin with anything but a letter, as TLS does.
#[derive(Clone)]
pub(crate) struct RefusePlainHttp {
    /// For the first byte.
    within: Duration,
    refused: Arc<Limit>,
}

impl RefusePlainHttp {
    pub(crate) fn within(within: Duration) -> Self {
        Self {
            within,
            refused: Arc::default(),
        }
    }
}

impl<S: Send + 'static> Accept<Connection, S> for RefusePlainHttp {
    type Stream = Connection;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Connection, S)>> + Send>>;

    fn accept(&self, connection: Connection, service: S) -> Self::Future {
        let Self { within, refused } = self.clone();
        Box::pin(async move {
            // A request begins with its method, and TLS with a byte that is no letter.
            let first = timeout(within, connection.first_byte()).await??;
            if !first.is_some_and(|byte| byte.is_ascii_alphabetic()) {
                return Ok((connection, service));
            }
            if let Some(suppressed) = refused.permit() {
                tracing::info!(suppressed, "plain HTTP at the HTTPS port: answered 400");
            }
            // Whether the client gets it is its own matter.
            let _ = timeout(LINGER, answer(connection)).await;
            Err(io::ErrorKind::InvalidData.into())
        })
    }
}

/// Says where the server is, and waits until the client has read it: a connection that is closed
/// with bytes that nobody has read is reset, and the answer is lost.
async fn answer(mut connection: Connection) -> io::Result<()> {
    let address = connection.local_addr()?;
    let body = format!("This port speaks HTTPS: https://{address}/\n");
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n\
         Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Connection: close\r\n\
         \r\n\
         {body}",
        body.len()
    );
    connection.write_all(answer.as_bytes()).await?;
    connection.shutdown().await?;
    let mut unread = [0; 1024];
    while connection.read(&mut unread).await? > 0 {}
    Ok(())
}
