//! The two ways to count of "Race me": an atomic increment, and a plain read, add and write.

use std::time::Duration;

use axum::{Router, routing::post};
use http::StatusCode;
use tower_kr_session::{Session, SessionKey};

use super::{problem::Problem, state::PageState};

pub(super) const INCREMENT: SessionKey<i64> = SessionKey::new("race: increment");
pub(super) const PLAIN: SessionKey<i64> = SessionKey::new("race: read, add, write");

/// What a handler does between a read and a write, such as a query of a database.
const WORK: Duration = Duration::from_millis(20);

type Done = Result<StatusCode, Problem>;

pub(super) fn routes() -> Router<PageState> {
    Router::new()
        .route("/page/race/ready", post(ready))
        .route("/page/race/increment", post(increment))
        .route("/page/race/plain", post(plain))
}

async fn ready(session: Session) -> Done {
    session.insert(INCREMENT, &0)?;
    session.insert(PLAIN, &0)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn increment(session: Session) -> Done {
    session.increment(INCREMENT, 1).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Loses counts: requests that overlap read the same number.
async fn plain(session: Session) -> Done {
    let count = session.get(PLAIN).await?.unwrap_or_default();
    tokio::time::sleep(WORK).await;
    session.insert(PLAIN, &(count + 1))?;
    Ok(StatusCode::NO_CONTENT)
}
