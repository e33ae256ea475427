//! Remembers the last requests of each session, for the page that shows them, and tells the log
//! which session a request is of.
//!
//! A request counts for a session if its token opened it, or if it started it; only the page of
//! that session shows it. What is remembered has no token, no value, and no words of a client.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, Method, StatusCode, header};
use tower_kr_session::{Clock, Session, SessionId, Status, SystemClock, Timestamp};

use crate::requests::OfSession;

/// The routes whose requests are shown, and what each stores if it succeeds.
const ROUTES: [(&str, &str); 15] = [
    ("/", NOTHING),
    ("/page/counter", "counter + 1"),
    ("/page/login", SIGN_IN),
    ("/page/race/increment", "count + 1"),
    ("/page/race/plain", "count read + 1"),
    ("/page/race/ready", "two counts"),
    ("/page/replay", NOTHING),
    ("/page/set", "a value"),
    ("/page/revoke", "an end elsewhere"),
    ("/page/revoke-others", "ends elsewhere"),
    ("/session/counter", "counter + 1"),
    ("/session/get", NOTHING),
    ("/session/login", SIGN_IN),
    ("/session/set", "a value"),
    ("/session/whoami", NOTHING),
];

const NOTHING: &str = "nothing";
const SIGN_IN: &str = "user, new token";
const FIRST_SIGN_IN: &str = "user, new session";

/// The requests of all sessions together that are remembered.
const MOST: usize = 4_096;

/// The rows of one session that are shown.
const SHOWN: usize = 12;

/// The last requests, the newest one last.
#[derive(Clone, Default)]
pub(crate) struct Traffic(Arc<Mutex<VecDeque<(SessionId, Visit)>>>);

/// A request, or several of one kind in a race, as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) at: Timestamp,
    pub(crate) method: Method,
    pub(crate) route: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) stored: &'static str,
    pub(crate) cookie: Cookie,
    /// The longest of them took this long.
    pub(crate) took: Duration,
    pub(crate) times: u32,
}

/// What a response did with the session cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    Kept,
    Set,
    Removed,
}

impl Traffic {
    /// Returns the last requests of a session, the newest one first, with one row for all of a kind
    /// in a race.
    pub(crate) fn of(&self, id: SessionId) -> Vec<Visit> {
        let visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<Visit> = Vec::new();
        for (_, visit) in visits.iter().rev().filter(|(of, _)| *of == id) {
            let race = rows.iter_mut().rev().take_while(|row| row.is_race());
            match race
                .filter(|_| visit.is_race())
                .find(|row| row.is_like(visit))
            {
                Some(row) => {
                    row.times += 1;
                    row.took = row.took.max(visit.took);
                }
                None => rows.push(visit.clone()),
            }
        }
        rows.truncate(SHOWN);
        rows
    }

    fn add(&self, id: SessionId, visit: Visit) {
        let mut visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if visits.len() == MOST {
            visits.pop_front();
        }
        visits.push_back((id, visit));
    }
}

impl Visit {
    fn is_race(&self) -> bool {
        self.route.starts_with("/page/race/")
    }

    fn is_like(&self, other: &Self) -> bool {
        let kind = |visit: &Self| (visit.route, visit.status, visit.stored, visit.cookie);
        self.method == other.method && kind(self) == kind(other)
    }
}

/// The session that a request used. After the commit it knows whether there is one.
#[derive(Clone)]
struct Used(Session);

/// Hands the session out to [`watch`]. This goes inside of the session layer, and `watch` outside.
pub(crate) async fn hand_out(session: Session, request: Request, next: Next) -> Response {
    let is_shown = route(&request).is_some();
    let mut response = next.run(request).await;
    if is_shown {
        response.extensions_mut().insert(Used(session));
    }
    response
}

/// Remembers a request for its session.
pub(crate) async fn watch(
    State(traffic): State<Traffic>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let at = SystemClock.now();
    let method = request.method().clone();
    let route = route(&request);
    let mut response = next.run(request).await;
    let took = start.elapsed();
    if let (Some((route, stored)), Some(Used(session))) =
        (route, response.extensions_mut().remove())
        && let Ok(Some(id)) = session.id().await
    {
        response.extensions_mut().insert(OfSession(id));
        let status = response.status();
        let failed = status.is_client_error() || status.is_server_error();
        let began = session
            .status()
            .await
            .is_ok_and(|status| status == Status::New);
        traffic.add(
            id,
            Visit {
                at,
                method,
                route,
                status,
                stored: match stored {
                    _ if failed => NOTHING,
                    SIGN_IN if began => FIRST_SIGN_IN,
                    stored => stored,
                },
                cookie: Cookie::of(response.headers().get(header::SET_COOKIE)),
                took,
                times: 1,
            },
        );
    }
    response
}

fn route(request: &Request) -> Option<(&'static str, &'static str)> {
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    ROUTES.into_iter().find(|(route, _)| *route == path)
}

impl Cookie {
    fn of(set_cookie: Option<&HeaderValue>) -> Self {
        let Some(cookie) = set_cookie else {
            return Self::Kept;
        };
        let removal = b"; Max-Age=0";
        let is_removal = cookie
            .as_bytes()
            .windows(removal.len())
            .any(|part| part == removal);
        if is_removal { Self::Removed } else { Self::Set }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(route: &'static str) -> Visit {
        Visit {
            at: SystemClock.now(),
            method: Method::GET,
            route,
            status: StatusCode::OK,
            stored: NOTHING,
            cookie: Cookie::Kept,
            took: Duration::from_micros(1),
            times: 1,
        }
    }

    #[test]
    fn a_session_sees_its_own_last_requests() {
        let traffic = Traffic::default();
        let [own, other] = [1, 2].map(|number| SessionId::from_bytes([number; 16]));
        traffic.add(own, visit("/"));
        traffic.add(other, visit("/page/set"));
        traffic.add(own, visit("/page/counter"));
        let seen: Vec<_> = traffic.of(own).iter().map(|visit| visit.route).collect();
        assert_eq!(seen, ["/page/counter", "/"]);
    }

    #[test]
    fn a_race_has_a_row_for_each_kind() {
        let traffic = Traffic::default();
        let id = SessionId::from_bytes([1; 16]);
        for _ in 0..2 {
            traffic.add(id, visit("/page/race/ready"));
            for took in [7, 9, 8] {
                let took = Duration::from_millis(took);
                for route in ["/page/race/increment", "/page/race/plain"] {
                    traffic.add(
                        id,
                        Visit {
                            took,
                            ..visit(route)
                        },
                    );
                }
            }
            traffic.add(id, visit("/"));
            traffic.add(id, visit("/"));
        }
        let rows = traffic.of(id);
        let seen: Vec<_> = rows.iter().map(|row| (row.route, row.times)).collect();
        let race = [
            ("/", 1),
            ("/", 1),
            ("/page/race/plain", 3),
            ("/page/race/increment", 3),
            ("/page/race/ready", 1),
        ];
        assert_eq!(seen, [race, race].concat());
        assert_eq!(rows[2].took, Duration::from_millis(9));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let traffic = Traffic::default();
        let [own, other] = [1, 2].map(|number| SessionId::from_bytes([number; 16]));
        for _ in 0..2 * SHOWN {
            traffic.add(own, visit("/"));
        }
        assert_eq!(traffic.of(own).len(), SHOWN);
        for _ in 0..MOST {
            traffic.add(other, visit("/"));
        }
        assert_eq!(traffic.of(own), []);
        assert_eq!(traffic.0.lock().unwrap().len(), MOST);
    }

    #[test]
    fn a_removal_is_told_from_a_new_cookie() {
        for (text, cookie) in [
            ("id=c2VjcmV0; Secure; Path=/", Cookie::Set),
            ("id=c2VjcmV0; Max-Age=43200; Path=/", Cookie::Set),
            ("id=; Max-Age=0; Path=/", Cookie::Removed),
        ] {
            assert_eq!(Cookie::of(Some(&HeaderValue::from_static(text))), cookie);
        }
        assert_eq!(Cookie::of(None), Cookie::Kept);
    }
}
