//! A server, a store on it, and stores whose connection breaks at a step of choice.

use std::sync::Arc;

use tower_kr_session::{Owner, SessionStore};
use tower_kr_session_redis::RedisStore;

use super::{
    proxy::{Fate, Proxy},
    server::Server,
    session::{Session, now},
};

pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) direct: RedisStore,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let server = Server::start(&[]);
        let direct = RedisStore::connect(&server.url()).await.expect("connect");
        Self { server, direct }
    }

    /// A store whose n-th script call has this fate.
    pub(crate) async fn faulty(&self, step: usize, fate: Fate) -> (Arc<Proxy>, RedisStore) {
        let fates = move |call| if call == step { fate } else { Fate::Pass };
        let proxy = Proxy::start(self.server.port(), fates).await;
        let store = RedisStore::connect(&proxy.url()).await.expect("connect");
        (Arc::new(proxy), store)
    }

    pub(crate) async fn revoke(&self, user: &Owner) -> u64 {
        let removed = self.direct.remove_owned(user, None, now()).await;
        removed.expect("remove_owned")
    }

    /// Whether a session that carries this owner can be had.
    pub(crate) async fn lives(&self, session: &Session, user: &Owner) -> bool {
        let record = session.through(&self.direct).load().await;
        record.is_some_and(|record| record.owner.as_ref() == Some(user))
    }

    pub(crate) async fn listed(&self, user: &Owner) -> usize {
        self.direct.list(user, now()).await.expect("list").len()
    }
}
