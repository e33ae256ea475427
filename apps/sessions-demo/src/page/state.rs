//! What the page's handlers share.

use axum::extract::FromRef;
use tower_kr_session::Sessions;

use super::notice::Notices;
use crate::about::About;

#[derive(Clone)]
pub(super) struct PageState {
    pub(super) about: About,
    pub(super) sessions: Sessions,
    pub(super) notices: Notices,
}

impl FromRef<PageState> for Notices {
    fn from_ref(state: &PageState) -> Self {
        state.notices.clone()
    }
}
