//! Serves a WebSocket in a session, and stops soon after the user signs out, is signed out by
//! others, or signs in again in another tab.
//!
//! `cargo run -p tower-kr-session --example sockets`, then open a socket at
//! `ws://localhost:3000/socket` and send it texts.

use std::time::Duration;

use axum::{
    Router,
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    response::Response,
    routing::{any, post},
};
use tower_kr_session::{
    MemoryStore, Owner, Session, SessionError, SessionKey, SessionLayer, SessionStore,
};

const MESSAGES: SessionKey<i64> = SessionKey::new("messages");

/// How often a socket looks whether its session is still the one that it began with. It serves for
/// at most this long, and the layer's I/O timeout, after that session has ended.
#[derive(Clone, Copy)]
struct Looks(Duration);

/// A real application checks a password first.
async fn login(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
    session.sign_in(user)
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.sign_out()
}

async fn connect(
    session: Session,
    State(looks): State<Looks>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, SessionError> {
    // The head of this response carries the cookie. After it no session can start, so it does now.
    if session.id().await?.is_none() {
        session.insert(MESSAGES, &0)?;
        session.save().await?;
    }
    let user = session.owner().await?;
    // For changes after the head.
    let session = session.detach();
    Ok(upgrade.on_upgrade(move |socket| serve(socket, session, user, looks)))
}

async fn serve(mut socket: WebSocket, session: Session, user: Option<Owner>, looks: Looks) {
    let mut look = tokio::time::interval(looks.0);
    loop {
        tokio::select! {
            _ = look.tick() => {
                if !is_current(&session, user.as_ref()).await {
                    break;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    // A write moves the idle deadline; a look doesn't.
                    let Ok(count) = session.increment(MESSAGES, 1).await else {
                        break;
                    };
                    if socket.send(format!("{count}: {text}").into()).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                // The client left.
                Some(Err(_)) | None => return,
            }
        }
    }
    // A page that is still signed in connects again, with the cookie of now.
    let reason = CloseFrame {
        code: close_code::POLICY,
        reason: "the session is over".into(),
    };
    drop(socket.send(Message::Close(Some(reason))).await);
}

/// Asks the store: a sign-out or a revocation ends the session, and a sign-in elsewhere replaces
/// the token that this socket was opened with. A store that doesn't answer counts as an end.
async fn is_current(session: &Session, user: Option<&Owner>) -> bool {
    let current = async {
        session.reload().await?;
        Ok::<_, SessionError>(
            session.id().await?.is_some() && session.owner().await?.as_ref() == user,
        )
    };
    current.await.unwrap_or(false)
}

fn app(store: impl SessionStore, looks: Looks) -> Router {
    Router::new()
        .route("/socket", any(connect))
        .route("/login/{user}", post(login))
        .route("/logout", post(logout))
        .layer(SessionLayer::new(store))
        .with_state(looks)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("localhost:3000").await?;
    let app = app(MemoryStore::new(), Looks(Duration::from_secs(10)));
    axum::serve(listener, app).await
}

#[cfg(test)]
#[path = "shared/client.rs"]
mod client;

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::timeout,
    };

    use super::{client::Client, *};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A client's side of a WebSocket, without a library: short messages only.
    struct Socket {
        stream: TcpStream,
        /// The head of the response.
        head: String,
    }

    impl Socket {
        async fn open(address: std::net::SocketAddr, cookie: &str) -> Self {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!(
                "GET /socket HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\
                 Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            Self { stream, head }
        }

        async fn send(&mut self, text: &str) {
            let length = u8::try_from(text.len()).unwrap();
            // Text, masked with zeros.
            let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
            frame.extend(text.as_bytes());
            self.stream.write_all(&frame).await.unwrap();
        }

        /// The first byte and the payload of the next frame.
        async fn receive(&mut self) -> (u8, Vec<u8>) {
            let frame = async {
                let first = self.stream.read_u8().await?;
                let length = self.stream.read_u8().await?;
                let mut payload = vec![0; length.into()];
                self.stream.read_exact(&mut payload).await?;
                std::io::Result::Ok((first, payload))
            };
            timeout(PATIENCE, frame).await.unwrap().unwrap()
        }

        async fn assert_answers(&mut self, text: &str, answer: &str) {
            self.send(text).await;
            assert_eq!(self.receive().await, (0x81, answer.into()));
        }

        async fn assert_closes(&mut self) {
            let (first, payload) = self.receive().await;
            assert_eq!(first, 0x88);
            assert!(payload.ends_with(b"the session is over"));
        }
    }

    #[tokio::test]
    async fn a_socket_starts_a_session_and_ends_soon_after_it() {
        let looks = Looks(Duration::from_millis(20));
        let app = app(MemoryStore::new(), looks);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, app.clone()).into_future());

        // A visitor without a session gets one with the upgrade.
        let mut socket = Socket::open(address, "").await;
        let (_, cookie) = socket.head.split_once("set-cookie: ").unwrap();
        let (cookie, _) = cookie.split_once(';').unwrap();
        let mut client = Client::new(&app);
        client.cookie = cookie.to_owned();
        socket.assert_answers("a", "1: a").await;
        socket.assert_answers("b", "2: b").await;

        // Signing in, and signing in again, replaces the token.
        for _ in 0..2 {
            client.post("/login/max").await;
            socket.assert_closes().await;
            socket = Socket::open(address, &client.cookie).await;
            assert!(!socket.head.contains("set-cookie"), "{}", socket.head);
        }
        socket.assert_answers("c", "3: c").await;
        client.post("/logout").await;
        socket.assert_closes().await;
    }
}
