//! One session in several processes: this test binary runs itself as the other ones.

use std::{
    env,
    process::{Child, Command},
};

use http::StatusCode;
use tokio::task::JoinSet;

use super::app::App;
use crate::support::Server;

const VARIABLE: &str = "KR_TEST_WORK";
const WORKERS: usize = 32;
const EACH: usize = 100;

/// What another process is to do.
pub(crate) struct Work {
    url: String,
    token: String,
    task: String,
}

impl Work {
    pub(crate) fn of_this_process() -> Option<Self> {
        let work = env::var(VARIABLE).ok()?;
        let mut words = work.split(' ').map(str::to_owned);
        Some(Self {
            url: words.next()?,
            token: words.next()?,
            task: words.next()?,
        })
    }

    fn start(url: &str, token: &str, task: &str) -> Child {
        Command::new(env::current_exe().expect("this binary"))
            .env(VARIABLE, format!("{url} {token} {task}"))
            .spawn()
            .expect("another process")
    }

    pub(crate) async fn done(self) {
        let app = App::start(&self.url).await;
        let mut workers = JoinSet::new();
        for worker in 0..WORKERS {
            let (app, token, task) = (app.clone(), self.token.clone(), self.task.clone());
            workers.spawn(async move {
                if task == "count" {
                    for _ in 0..EACH {
                        let reply = app.counter(Some(&token)).await;
                        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
                    }
                } else {
                    let reply = app.insert(Some(&token), format!("{task} {worker}")).await;
                    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
                }
            });
        }
        workers.join_all().await;
    }
}

fn all_succeed(processes: impl IntoIterator<Item = Child>) {
    for mut process in processes {
        assert!(process.wait().expect("its end").success());
    }
}

pub(crate) async fn two_processes_count_exactly() {
    let server = Server::start(&[]);
    let app = App::start(&server.url()).await;
    let token = app.insert(None, "a".to_owned()).await.token();
    all_succeed([(); 2].map(|()| Work::start(&server.url(), &token, "count")));
    assert_eq!(app.read(&token).await.body, "Some(6400)");
}

pub(crate) async fn two_processes_write_different_keys() {
    let server = Server::start(&[]);
    let app = App::start(&server.url()).await;
    let token = app.insert(None, "a".to_owned()).await.token();
    all_succeed(["one", "two"].map(|name| Work::start(&server.url(), &token, name)));
    let reply = app.request(Some(&token), |session| async move {
        Ok(session.keys().await?.join(","))
    });
    let body = reply.await.body;
    let keys: Vec<&str> = body.split(',').collect();
    assert_eq!(keys.len(), 1 + 2 * WORKERS, "{keys:?}");
    for worker in 0..WORKERS {
        for name in ["one", "two"] {
            assert!(
                keys.contains(&format!("{name} {worker}").as_str()),
                "{keys:?}"
            );
        }
    }
}

pub(crate) async fn a_session_goes_on_at_another_process_and_ends_at_all() {
    let server = Server::start(&[]);
    let (one, other) = (
        App::start(&server.url()).await,
        App::start(&server.url()).await,
    );
    let token = one.counter(None).await.token();
    assert_eq!(other.counter(Some(&token)).await.body, "2");
    let signed_in = other.sign_in(Some(&token), "max").await.token();
    assert_ne!(signed_in, token);
    assert_eq!(one.counter(Some(&token)).await.status, StatusCode::CONFLICT);
    assert_eq!(one.counter(Some(&signed_in)).await.body, "3");
    assert_eq!(one.sign_out(&signed_in).await.status, StatusCode::OK);
    assert_eq!(other.read(&signed_in).await.body, "None");
}
