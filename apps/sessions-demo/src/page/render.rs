//! Renders the page of a request.

use maud::Markup;
use tower_kr_session::{Session, SessionError};

use super::{
    answer::Answer, base::Base, notice::Notice, replay::OldToken, snapshot::Snapshot,
    state::PageState, view,
};

pub(super) async fn page(
    state: &PageState,
    session: &Session,
    base: &Base,
    notice: &Notice,
    old: OldToken,
    answer: &Answer,
) -> Result<Markup, SessionError> {
    let snapshot = Snapshot::read(session, &state.sessions).await?;
    let visits = match &snapshot.live {
        Some(live) => state.traffic.of(live.id),
        None => Vec::new(),
    };
    Ok(view::page(
        &state.about,
        base,
        &snapshot,
        &visits,
        notice,
        old,
        answer,
    ))
}
