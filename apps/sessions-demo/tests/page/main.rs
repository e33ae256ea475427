//! The page without a browser: what it shows, what its forms do, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod answers;
mod forms;
mod notices;
mod problems;
mod replay;
mod requests;
mod sessions;
#[path = "../support/mod.rs"]
mod support;
mod text;

use axum::Router;
use kr_cookie::CookieBuilder;
use sessions_demo::About;
use tower_kr_session::{MokaStore, SessionLayer, SessionStore};

use support::{Answer, Client, NAME};

fn app(store: impl SessionStore) -> Router {
    let sessions = SessionLayer::new(store).cookie(CookieBuilder::new(NAME));
    let about = About {
        store: "moka",
        https: true,
        cookie: CookieBuilder::new(NAME).build().unwrap(),
    };
    sessions_demo::app(sessions, about).unwrap()
}

fn browser() -> Client {
    Client::new(&app(MokaStore::new()))
}

/// The text of the element with this id, up to the first tag in it that does more than mark text.
#[track_caller]
fn text(page: &Answer, id: &str) -> String {
    let body = &page.body;
    let element = body.split_once(&format!("id=\"{id}\""));
    let (_, rest) = element.unwrap_or_else(|| panic!("no {id} in {body}"));
    let (_, rest) = rest.split_once('>').unwrap();
    let mut rest = rest.to_owned();
    for tag in ["<bdi>", "</bdi>", "<code>", "</code>"] {
        rest = rest.replace(tag, "");
    }
    rest.split_once('<').unwrap().0.to_owned()
}

/// The attributes of the element with this id.
#[track_caller]
fn attributes<'a>(page: &'a Answer, id: &str) -> &'a str {
    let body = &page.body;
    let element = body.split_once(&format!("id=\"{id}\""));
    let (_, rest) = element.unwrap_or_else(|| panic!("no {id} in {body}"));
    rest.split_once('>').unwrap().0
}
