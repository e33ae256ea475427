//! Whatever handlers do, in whatever order, a store in place and one that needs I/O lead to the same answers, cookies and records.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::header;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tower_kr_session::{Session, SessionError};

use crate::support::{App, NAME, ok, owner, settle};

const SCRIPTS: u64 = 1_000;
const KEYS: [&str; 3] = ["a", "b", "c"];
const USERS: [&str; 2] = ["max", "eve"];

type Log = Arc<Mutex<Vec<String>>>;

fn told<T: Debug>(answer: Result<T, SessionError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => error.to_string(),
    }
}

/// One call, drawn at random: what it was, and what came of it.
async fn call(session: &Session, random: &mut StdRng) -> String {
    let key = KEYS[random.random_range(0..KEYS.len())];
    let user = USERS[random.random_range(0..USERS.len())];
    let number = random.random_range(0..100_i64);
    let step = random.random_range(0..30);
    let answer = match step {
        0..7 => told(session.get::<i64>(key).await),
        7..11 => told(session.insert(key, &number)),
        11..15 => told(session.increment(key, 1).await),
        15 => told(session.remove(key)),
        16 => told(session.take::<i64>(key).await),
        17 => told(
            session
                .update(key, |old: Option<i64>| old.map(|old| old * 2))
                .await,
        ),
        18 => told(session.contains_key(key).await),
        19 => told(session.keys().await),
        20 => told(session.clear()),
        21 => told(session.sign_in(user)),
        22 => told(session.destroy()),
        23 => told(session.rotate()),
        24 | 25 => told(session.save().await),
        26 => told(session.owner().await),
        27 => told(session.id().await.map(|id| id.is_some())),
        28 => told(session.status().await),
        _ => told(session.expires_at().await),
    };
    format!("{step} {key} {user} {number}: {answer}")
}

async fn calls(session: &Session, mut random: StdRng, log: &Log) {
    for _ in 0..random.random_range(0..6) {
        let call = call(session, &mut random).await;
        log.lock().unwrap().push(call);
    }
}

/// Some requests of one client, who may send older tokens and several of them, and work that outlives some of the requests.
async fn script(app: &App, seed: u64) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let log = Log::default();
    let mut tokens: Vec<String> = Vec::new();
    for _ in 0..random.random_range(2..8) {
        app.advance(Duration::from_millis(random.random_range(0..3_000)));
        let sent = random.random_range(0..3).min(tokens.len());
        let newest = &tokens[tokens.len() - sent..];
        let cookies: Vec<_> = newest
            .iter()
            .map(|token| format!("{NAME}={token}"))
            .collect();
        let (during, after) = (random.random(), random.random());
        let kept: Option<Arc<Mutex<Option<Session>>>> =
            random.random::<bool>().then(Default::default);
        let (handlers_log, keep) = (Arc::clone(&log), kept.clone());
        let reply = app
            .raw(&cookies, move |session| async move {
                calls(&session, StdRng::seed_from_u64(during), &handlers_log).await;
                if let Some(keep) = keep {
                    *keep.lock().unwrap() = Some(session.detach());
                }
                Ok(ok(""))
            })
            .await;
        settle().await;
        let cookie = reply.set_cookie().map(|cookie| {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let token = pair.strip_prefix("Kr.Session=").unwrap();
            tokens.extend((!token.is_empty()).then(|| token.to_owned()));
            attributes.to_owned()
        });
        let headers = [header::VARY, header::CACHE_CONTROL].map(|name| {
            reply
                .headers
                .get_all(name)
                .iter()
                .cloned()
                .collect::<Vec<_>>()
        });
        log.lock()
            .unwrap()
            .push(format!("{} {cookie:?} {headers:?}", reply.status));
        let kept = kept.and_then(|kept| kept.lock().unwrap().take());
        if let Some(session) = kept {
            app.advance(Duration::from_millis(500));
            calls(&session, StdRng::seed_from_u64(after), &log).await;
            // What a call takes along to the store by the way differs; what is saved doesn't.
            let saved = told(session.save().await);
            log.lock().unwrap().push(saved);
        }
        let mut held = vec![format!("{} records", app.records())];
        for user in USERS {
            let sessions = app.sessions().list(&owner(user)).await.unwrap();
            held.extend(
                sessions
                    .iter()
                    .map(|session| format!("{user} since {:?}", session.created_at)),
            );
        }
        log.lock().unwrap().extend(held);
    }
    let log = log.lock().unwrap();
    log.clone()
}

#[tokio::test]
async fn a_store_in_place_and_one_over_io_agree() {
    for seed in 0..SCRIPTS {
        let (in_memory, over_io) = (App::in_memory(), App::over_io());
        let (in_memory, over_io) = (script(&in_memory, seed).await, script(&over_io, seed).await);
        let differs = in_memory.iter().zip(&over_io).position(|(a, b)| a != b);
        if let Some(line) = differs {
            let before = &in_memory[..line];
            panic!(
                "script {seed}: {before:#?}, then in memory {}, over I/O {}",
                in_memory[line], over_io[line]
            );
        }
        assert_eq!(in_memory.len(), over_io.len(), "script {seed}");
    }
}
