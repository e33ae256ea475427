//! Serves the application, and lets requests finish when the server stops.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, Server, accept::DefaultAcceptor, tls_rustls::RustlsAcceptor};
use hyper_util::rt::TokioTimer;
use tower_http::timeout::RequestBodyDeadlineLayer;

use crate::{
    banner::Banner,
    error::StartError,
    first_bytes::FirstBytes,
    listener::{Bounded, Peer},
    option_values::Time,
    plain_http::RefusePlainHttp,
    stop::StopSignals,
    tls::Transport,
};

pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|source| StartError::Bind {
            address,
            source,
            port: "--port".to_owned(),
            bind: "--bind".to_owned(),
        })
}

/// How many clients the server has at a time, and how long it waits for them.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// How many connections are open at a time.
    pub(crate) connections: usize,
    /// For the headers of a request, and then for its body.
    pub(crate) read: Duration,
    /// For requests to finish after a stop signal.
    pub(crate) shutdown: Time,
}

/// Serves `app` until a stop signal, then lets requests finish.
pub(crate) async fn serve(
    listener: TcpListener,
    transport: Transport,
    app: Router,
    bounds: Bounds,
    banner: Banner,
) -> Result<(), StartError> {
    let handle = Handle::new();
    // Before the server says that it listens: who reads that may send the signal at once.
    let stop = StopSignals::new().map_err(StartError::Serve)?;
    let grace = bounds.shutdown.clone();
    let announced = tokio::spawn(announce(transport.scheme(), handle.clone(), banner));
    tokio::select! {
        served = accept(listener, transport, app, bounds, handle.clone()) => {
            served.map_err(StartError::Serve)?;
        }
        () = drain(stop, &handle, &grace) => {}
        Ok(Err(error)) = announced => return Err(StartError::Announce(error)),
    }
    tracing::info!("stopped");
    Ok(())
}

async fn accept(
    listener: TcpListener,
    transport: Transport,
    app: Router,
    bounds: Bounds,
    handle: Handle<Peer>,
) -> io::Result<()> {
    let read = bounds.read;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let listener = Bounded::new(listener, bounds.connections);
    let app = app.layer(RequestBodyDeadlineLayer::new(read));
    let app = app.into_make_service();
    let mut server = Server::from_listener(listener).handle(handle);
    let http = server.http_builder();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(read);
    // A client of HTTP/2 that is silent is asked whether it is still there.
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(read)
        .keep_alive_timeout(read);
    match transport {
        Transport::Http => {
            let acceptor = FirstBytes::within(read, DefaultAcceptor::new());
            server.acceptor(acceptor).serve(app).await
        }
        Transport::Https(config) => {
            let tls = RustlsAcceptor::new(config).acceptor(RefusePlainHttp::within(read));
            let acceptor = FirstBytes::within(read, tls);
            server.acceptor(acceptor).serve(app).await
        }
    }
}

async fn announce(scheme: &str, handle: Handle<Peer>, banner: Banner) -> io::Result<()> {
    let Some(Peer(address)) = handle.listening().await else {
        return Ok(());
    };
    banner.show(scheme, address);
    let mut out = io::stdout();
    match writeln!(out, "listening on {scheme}://{address}").and_then(|()| out.flush()) {
        // If nobody reads it any more, that is no reason not to serve.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Stops the server gracefully at the first signal: it takes no more connections, and ends with the
/// last one or after `grace`. Returns at the second signal.
async fn drain(mut stop: StopSignals, handle: &Handle<Peer>, grace: &Time) {
    stop.next().await;
    tracing::info!(
        connections = handle.connection_count(),
        "stopping; requests may finish within {grace}"
    );
    handle.graceful_shutdown(Some(grace.duration()));
    stop.next().await;
    tracing::warn!("stopping at once");
}

#[cfg(all(test, unix))]
mod tests {
    use std::{process::Command, sync::Arc};

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::Notify,
    };

    use super::*;

    /// Far more than the test takes.
    const GRACE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_request_that_runs_when_the_signal_comes_is_answered() {
        let (started, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let app = Router::new().route(
            "/",
            get({
                let (started, go_on) = (Arc::clone(&started), Arc::clone(&go_on));
                async move || {
                    started.notify_one();
                    go_on.notified().await;
                    "late"
                }
            }),
        );
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let grace: Time = "30s".parse().unwrap();
        let read = Duration::from_millis(10);
        let bounds = Bounds {
            connections: 100,
            read,
            shutdown: grace.clone(),
        };
        let banner = Banner {
            store: "moka",
            idle_timeout: grace.clone(),
            absolute_timeout: grace,
        };
        let server = tokio::spawn(serve(listener, Transport::Http, app, bounds, banner));

        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        started.notified().await;
        let own = std::process::id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", "TERM", &own])
                .status()
                .unwrap()
                .success()
        );
        // The listener is closed once the server drains.
        let closed = async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(GRACE, closed).await.unwrap();
        // The server is patient with itself: a handler may take longer than a client.
        tokio::time::sleep(10 * read).await;
        go_on.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("late"),
            "{answer}"
        );
        server.await.unwrap().unwrap();
    }
}
