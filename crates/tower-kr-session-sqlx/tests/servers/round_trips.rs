//! How often a call asks the server, as the guide says.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{TestServer, impatient, proxy::Proxy};
use crate::support::calls;

pub(crate) async fn the_guide_has_the_round_trips_of_each_call<S: TestServer>() {
    let server = S::start();
    let proxy = Proxy::start(server.port()).await;
    let url = proxy.url(&server.url(), server.port());
    let store = impatient::<S>(&url, "sessions", 1).await;
    let calls = AtomicUsize::new(0);
    calls::are_in_the_guide(&store, S::ROUND_TRIPS, || {
        // Whenever a connection goes back to its pool, sqlx asks once more. Nobody waits for that.
        proxy.round_trips() - calls.fetch_add(1, Ordering::Relaxed)
    })
    .await;
}
