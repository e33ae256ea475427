//! Clients that each start a session and never come back, against a store in memory: the memory of
//! the process stays where it was, and nobody who is signed in loses their session.
//!
//! Sixty thousand clients, or with `KR_FULL_SIZE=1` in the environment a million.

use std::{convert::Infallible, fs, thread};

use http::{Request, Response, header};
use tower::{Layer, ServiceExt, service_fn};
use tower_kr_session::{Session, SessionError, SessionLayer, SessionStore};

const MEBIBYTE: u64 = 1024 * 1024;
const OWNED: usize = 1_000;
const THREADS: u64 = 4;

/// How many clients come, and the bytes that their sessions may take.
fn size() -> (u64, u64) {
    let full = std::env::var_os("KR_FULL_SIZE").is_some_and(|value| value == "1");
    if full {
        (1_000_000, 16 * MEBIBYTE)
    } else {
        (60_000, 3 * MEBIBYTE)
    }
}

/// The memory that the process has in use, in bytes; a page has 4 KiB or more.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() * 1_024
}

/// Sends a request with these cookies; what the handler said, and the cookie that came back.
async fn send<F>(
    layer: &SessionLayer,
    cookie: Option<&str>,
    handler: impl Fn(Session) -> F + Clone,
) -> (String, Option<String>)
where
    F: Future<Output = Result<String, SessionError>>,
{
    let mut request = Request::builder();
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let service = layer.layer(service_fn(move |request: Request<()>| {
        let answer = handler(request.extensions().get::<Session>().unwrap().clone());
        async move { Ok::<_, Infallible>(Response::new(answer.await.unwrap())) }
    }));
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    let set_cookie = response.headers().get(header::SET_COOKIE).map(|value| {
        let (pair, _) = value.to_str().unwrap().split_once(';').unwrap();
        pair.to_owned()
    });
    (response.into_body(), set_cookie)
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// Sends this many requests without a cookie; each gets a session.
fn flood(layer: &SessionLayer, clients: u64) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                block_on(async {
                    for _ in 0..clients / THREADS {
                        let (_, cookie) = send(layer, None, |session| async move {
                            session.insert("visits", &1)?;
                            Ok(String::new())
                        })
                        .await;
                        assert!(cookie.is_some());
                    }
                });
            });
        }
    });
}

async fn who(layer: &SessionLayer, cookie: &str) -> String {
    let (owner, _) = send(layer, Some(cookie), |session| async move {
        Ok(session
            .owner()
            .await?
            .map_or(String::new(), |owner| owner.to_string()))
    })
    .await;
    owner
}

/// Floods a store that has a share of so many bytes for anonymous sessions. What the share takes in
/// memory may be more than is counted, by this factor: allocators round up, and leave holes.
pub(crate) fn check<S: SessionStore + Clone>(
    new: impl Fn(u64) -> S,
    records: impl Fn(&S) -> u64,
    factor: f64,
) {
    let (clients, share) = size();
    let store = new(share);
    let layer = SessionLayer::new(store.clone());
    let owned: Vec<String> = block_on(async {
        let mut cookies = Vec::new();
        for user in 0..OWNED {
            let (_, cookie) = send(&layer, None, move |session| async move {
                session.sign_in(format!("user {user}"))?;
                Ok(String::new())
            })
            .await;
            cookies.push(cookie.unwrap());
        }
        cookies
    });

    let before = resident();
    flood(&layer, clients / 2);
    let half_way = resident();
    flood(&layer, clients / 2);
    let after = resident();

    let told = format!("{before} bytes before, {half_way} after half of them, {after} after all");
    // The process grows by this much besides, whatever the size of the share: threads have heaps of
    // their own. Half of the clients would take 9 MiB and more.
    let besides = 2 * MEBIBYTE;
    let most = (share as f64 * factor) as u64 + besides;
    assert!(after.saturating_sub(before) < most, "{told}");
    assert!(
        after < half_way + share / 4 + besides,
        "it grows on: {told}"
    );
    let held = records(&store);
    assert!(held < clients / 5, "{held} records");
    block_on(async {
        for (user, cookie) in owned.iter().enumerate() {
            assert_eq!(who(&layer, cookie).await, format!("user {user}"));
        }
    });
}
