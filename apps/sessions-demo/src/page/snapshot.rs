//! The session as the page shows it.

use std::time::Duration;

use tower_kr_session::{
    Clock, Owner, Session, SessionError, SessionId, SessionSummary, Sessions, Status, SystemClock,
    Timestamp,
};

use super::race;
use crate::{device_binding::Device, routes::COUNTER};

pub(super) struct Snapshot {
    pub(super) status: Status,
    pub(super) counter: i64,
    pub(super) race: Option<Race>,
    /// Sorted by key.
    pub(super) values: Vec<(String, String)>,
    /// Facts of a live session.
    pub(super) live: Option<Live>,
    pub(super) user: Option<User>,
}

/// What the two ways to count have counted in the last race.
pub(super) struct Race {
    pub(super) increment: i64,
    pub(super) plain: i64,
}

pub(super) struct Live {
    pub(super) id: SessionId,
    pub(super) created_at: Timestamp,
    /// How long the session lives from now on without a request.
    pub(super) remaining: Duration,
    pub(super) ends_at: Timestamp,
    pub(super) device: Device,
}

pub(super) struct User {
    pub(super) name: Owner,
    pub(super) since: Option<Timestamp>,
    pub(super) sessions: Vec<SessionSummary>,
}

impl Snapshot {
    pub(super) async fn read(session: &Session, sessions: &Sessions) -> Result<Self, SessionError> {
        let values = session.values().await?.into_iter();
        let values = values.map(|(key, value)| (key, String::from_utf8_lossy(&value).into_owned()));
        let user = match session.owner().await? {
            Some(name) => Some(User {
                since: session.authenticated_at().await?,
                sessions: sessions.list(&name).await?,
                name,
            }),
            None => None,
        };
        Ok(Self {
            status: session.status().await?,
            race: race(session).await?,
            counter: session.get(COUNTER).await?.unwrap_or_default(),
            values: values.collect(),
            live: live(session).await?,
            user,
        })
    }
}

async fn race(session: &Session) -> Result<Option<Race>, SessionError> {
    let increment = session.get(race::INCREMENT).await?.unwrap_or_default();
    let plain = session.get(race::PLAIN).await?.unwrap_or_default();
    // Before the first of them has counted, there is nothing to tell.
    Ok((increment > 0).then_some(Race { increment, plain }))
}

async fn live(session: &Session) -> Result<Option<Live>, SessionError> {
    let now = SystemClock.now();
    let device = Device::read(session).await?;
    Ok(
        match (
            session.id().await?,
            session.created_at().await?,
            session.expires_at().await?,
            session.absolute_deadline().await?,
        ) {
            (Some(id), Some(created_at), Some(expires_at), Some(ends_at)) => Some(Live {
                id,
                created_at,
                remaining: expires_at.saturating_duration_since(now),
                ends_at,
                device,
            }),
            _ => None,
        },
    )
}
