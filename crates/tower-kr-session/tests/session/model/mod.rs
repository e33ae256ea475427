//! Random scripts of calls on the handle against a small sequential model: answers, statuses,
//! cookies and what is stored in the end, with calls that are dropped or fail, and other requests
//! in between.

mod expected;

use std::sync::{Arc, Mutex};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tower_kr_session::{Session, SessionError};

use self::expected::{Cookie, Request, Token, World};
use crate::support::{App, Behaviour, NAME, ok, on_each_store, settle};

on_each_store!(scripts_end_as_the_model_says);

/// How many scripts run on each store; with `KR_FULL_SIZE=1` in the environment 100,000.
const SCRIPTS: u64 = 2_000;

const KEYS: [&str; 3] = ["a", "b", "c"];
const USERS: [&str; 2] = ["max", "eve"];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Get(&'static str),
    Contains(&'static str),
    Keys,
    Insert(&'static str, i64),
    Remove(&'static str),
    Clear,
    Increment(&'static str),
    Double(&'static str),
    Take(&'static str),
    SignIn(&'static str),
    Destroy,
    Rotate,
    Discard,
    Reload,
    Save,
    Owner,
    Id,
    Status,
    /// Another request with this one of the tokens that are known ends the session.
    OtherDestroys(usize),
    /// Another request with this one of the tokens that are known rotates it.
    OtherRotates(usize),
}

/// What becomes of the first call to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Fails,
    /// Never gets there, and the caller gives up.
    IsDropped,
    /// Gets there, and the caller gives up before the answer comes.
    IsDroppedWhenDone,
}

type Step = (Call, Option<Fault>);

fn draw(random: &mut StdRng, tokens: usize, faults: bool) -> Step {
    let key = KEYS[random.random_range(0..KEYS.len())];
    let user = USERS[random.random_range(0..USERS.len())];
    let call = match random.random_range(0..40) {
        0..7 => Call::Get(key),
        7 => Call::Contains(key),
        8 | 9 => Call::Keys,
        10..15 => Call::Insert(key, random.random_range(0..100)),
        15 => Call::Remove(key),
        16 => Call::Clear,
        17..21 => Call::Increment(key),
        21 | 22 => Call::Double(key),
        23 => Call::Take(key),
        24 | 25 => Call::SignIn(user),
        26 => Call::Destroy,
        27 => Call::Rotate,
        28 => Call::Discard,
        29 => Call::Reload,
        30..33 => Call::Save,
        33 => Call::Owner,
        34 => Call::Id,
        35 | 36 => Call::Status,
        37 if tokens > 0 => Call::OtherRotates(random.random_range(0..tokens)),
        38 if tokens > 0 => Call::OtherDestroys(random.random_range(0..tokens)),
        _ => Call::Get(key),
    };
    let fault = match random.random_range(0..60) {
        0 if faults => Some(Fault::Fails),
        1 if faults => Some(Fault::IsDropped),
        2 if faults => Some(Fault::IsDroppedWhenDone),
        _ => None,
    };
    (call, fault)
}

fn text<T: std::fmt::Debug>(answer: Result<T, SessionError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => expected::name(&error).to_owned(),
    }
}

async fn make(session: &Session, call: Call) -> String {
    match call {
        Call::Get(key) => text(session.get::<i64>(key).await),
        Call::Contains(key) => text(session.contains_key(key).await),
        Call::Keys => text(session.keys().await),
        Call::Insert(key, value) => text(session.insert(key, &value)),
        Call::Remove(key) => text(session.remove(key)),
        Call::Clear => text(session.clear()),
        Call::Increment(key) => text(session.increment(key, 1).await),
        Call::Double(key) => {
            let double = |old: Option<i64>| old.map(|old| old * 2);
            text(session.update(key, double).await)
        }
        Call::Take(key) => text(session.take::<i64>(key).await),
        Call::SignIn(user) => text(session.sign_in(user)),
        Call::Destroy => text(session.destroy()),
        Call::Rotate => text(session.rotate()),
        Call::Discard => {
            session.discard();
            text(Ok(()))
        }
        Call::Reload => text(session.reload().await),
        Call::Save => text(session.save().await),
        Call::Owner => text(
            session
                .owner()
                .await
                .map(|owner| owner.map(|owner| owner.to_string())),
        ),
        Call::Id => text(session.id().await.map(|id| id.is_some())),
        Call::Status => text(session.status().await),
        Call::OtherDestroys(_) | Call::OtherRotates(_) => unreachable!("made by another request"),
    }
}

/// Makes the calls of one request, and returns what each answered.
async fn make_all(
    app: App,
    session: Session,
    steps: Vec<Step>,
    tokens: Vec<String>,
) -> Vec<String> {
    let mut answers = Vec::new();
    for (call, fault) in steps {
        let other = match call {
            Call::OtherDestroys(token) => Some((token, Call::Destroy)),
            Call::OtherRotates(token) => Some((token, Call::Rotate)),
            _ => None,
        };
        if let Some((token, call)) = other {
            let _ = app
                .with(Some(&tokens[token]), move |session| async move {
                    make(&session, call).await;
                    Ok(ok(""))
                })
                .await;
            continue;
        }
        app.remote.set(match fault {
            None => Behaviour::Answer,
            Some(Fault::Fails) => Behaviour::Fail,
            Some(Fault::IsDropped) => Behaviour::Hang,
            Some(Fault::IsDroppedWhenDone) => Behaviour::DoAndHang,
        });
        let answer = tokio::select! {
            biased;
            answer = make(&session, call) => answer,
            () = settle() => "dropped".to_owned(),
        };
        app.remote.set(Behaviour::Answer);
        answers.push(answer);
    }
    answers
}

/// One script: some requests of a client, who may send older tokens, and several of them.
async fn script(app: &App, seed: u64, faults: bool) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new(!app.needs_io);
    let mut known: Vec<(Token, String)> = Vec::new();
    for _ in 0..random.random_range(2..5) {
        let newest = known.len().saturating_sub(3);
        let mut sent: Vec<usize> = Vec::new();
        for _ in 0..random.random_range(0..3) {
            if newest < known.len() {
                sent.push(random.random_range(newest..known.len()));
            }
        }
        let steps: Vec<Step> = (0..random.random_range(0..7))
            .map(|_| draw(&mut random, known.len(), faults))
            .collect();
        let tokens: Vec<Token> = known.iter().map(|(token, _)| *token).collect();

        let candidates: Vec<Token> = sent.iter().map(|index| tokens[*index]).collect();
        let expected = Request::run(&mut world, &candidates, &steps, &tokens);

        let cookies: Vec<String> = sent
            .iter()
            .map(|index| format!("{NAME}={}", known[*index].1))
            .collect();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (log, handlers_app, handlers_steps) =
            (Arc::clone(&answers), app.clone(), steps.clone());
        let texts: Vec<String> = known.iter().map(|(_, text)| text.clone()).collect();
        let reply = app
            .raw(&cookies, move |session| async move {
                let made = make_all(handlers_app, session, handlers_steps, texts).await;
                *log.lock().unwrap() = made;
                Ok(ok(""))
            })
            .await;
        settle().await;
        let context =
            format!("script {seed}, tokens {candidates:?} of {tokens:?}, calls {steps:#?}");
        assert_eq!(*answers.lock().unwrap(), expected.answers, "{context}");
        assert_eq!(reply.status.as_u16(), expected.status, "{context}");
        match expected.cookie {
            None => assert_eq!(reply.set_cookie(), None, "{context}"),
            Some(Cookie::Remove) => assert!(reply.removes_cookie(), "{context}: {reply:?}"),
            Some(Cookie::Set(token)) => known.push((token, reply.token())),
        }
    }
    for (token, text) in &known {
        let reply = app
            .with(Some(text), |session| async move {
                let mut values = Vec::new();
                for key in KEYS {
                    values.push(session.get::<i64>(key).await?);
                }
                let owner = session.owner().await?.map(|owner| owner.to_string());
                Ok(ok(format!("{values:?} {owner:?}")))
            })
            .await;
        let (values, owner) = world.seen(*token, &KEYS);
        assert_eq!(
            reply.body,
            format!("{values:?} {owner:?}"),
            "script {seed}, {token:?}"
        );
    }
}

async fn scripts_end_as_the_model_says(app: App) {
    let full = std::env::var_os("KR_FULL_SIZE").is_some_and(|value| value == "1");
    let scripts = if full { 100_000 } else { SCRIPTS };
    let faults = app.needs_io && app.moka.is_none();
    let mut used = app;
    for seed in 0..scripts {
        if seed % 50 == 0 {
            // The sessions of one user are limited.
            used = used.again();
        }
        script(&used, seed, faults).await;
    }
}
