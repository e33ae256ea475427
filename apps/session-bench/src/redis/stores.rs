//! The Redis stores, behind the same routes.

use axum::Router;
use clap::ValueEnum;
use time::Duration;
use tower_sessions_0_14::{Expiry, Session, SessionManagerLayer};
use tower_sessions_redis_store::{
    RedisStore,
    fred::prelude::{ClientLike, Config, Pool},
};

use crate::{candidate::kr, routes::routes};

/// The number of connections that the documentation of the store shows.
const CONNECTIONS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Store {
    Kr,
    TowerSessions,
}

impl Store {
    pub const ALL: [Self; 2] = [Self::Kr, Self::TowerSessions];

    /// Returns the name in tables.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Kr => "tower-kr-session-redis",
            Self::TowerSessions => "tower-sessions-redis-store 0.16",
        }
    }

    /// Returns a router whose store is connected to the server at `url`.
    pub(super) async fn router(self, url: &str) -> Router {
        match self {
            Self::Kr => {
                let store = tower_kr_session_redis::RedisStore::connect(url).await;
                kr::router(store.expect("a server that answers"))
            }
            Self::TowerSessions => {
                let config = Config::from_url(url).expect("a URL of Redis");
                let pool = Pool::new(config, None, None, None, CONNECTIONS).expect("a pool");
                pool.connect();
                pool.wait_for_connect()
                    .await
                    .expect("a server that answers");
                let expiry = Expiry::OnInactivity(Duration::minutes(20));
                let layer = SessionManagerLayer::new(RedisStore::new(pool)).with_expiry(expiry);
                routes::<Session>().layer(layer)
            }
        }
    }
}
