//! What the page's handlers share.

use axum::extract::FromRef;
use tower_kr_session::Sessions;

use super::{notice::Notices, replay::Replay};
use crate::{about::About, traffic::Traffic};

#[derive(Clone)]
pub(super) struct PageState {
    pub(super) about: About,
    pub(super) sessions: Sessions,
    pub(super) notices: Notices,
    pub(super) replay: Replay,
    pub(super) traffic: Traffic,
}

impl FromRef<PageState> for Notices {
    fn from_ref(state: &PageState) -> Self {
        state.notices.clone()
    }
}

impl FromRef<PageState> for Replay {
    fn from_ref(state: &PageState) -> Self {
        state.replay.clone()
    }
}
