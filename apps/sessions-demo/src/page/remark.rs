//! What there is to say about an action beside that it was done.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_kr_session::{Session, Status};

use super::{action::Action, problem::Problem};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remark {
    /// The visitor's session was over, and the action started a new one.
    Renewed,
    /// The visitor had no session, and the action started one.
    Began,
    /// The visitor had no session that the action could end.
    NoSession,
    /// The old token was refused, since its session has a newer one.
    Superseded,
    /// The old token was refused, since it opens no session.
    Refused,
    /// The old token let somebody in.
    LetIn,
    /// There is no old token.
    NoToken,
}

impl Remark {
    const ALL: [Self; 7] = [
        Self::Renewed,
        Self::Began,
        Self::NoSession,
        Self::Superseded,
        Self::Refused,
        Self::LetIn,
        Self::NoToken,
    ];

    /// The name that notices use.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Began => "began",
            Self::NoSession => "no-session",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
            Self::LetIn => "let-in",
            Self::NoToken => "no-token",
        }
    }

    /// Whether something went wrong, or there was nothing to do it with.
    pub(super) const fn is_failure(self) -> bool {
        matches!(self, Self::NoSession | Self::NoToken | Self::LetIn)
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|remark| remark.name() == name)
    }
}

/// Remarks on an action of a visitor who had no session.
pub(super) async fn without_session(session: Session, request: Request, next: Next) -> Response {
    let before = match session.status().await {
        Ok(status) => status,
        Err(error) => return Problem::from(error).into_response(),
    };
    let mut response = next.run(request).await;
    let action = response.extensions().get::<Action>();
    let remark = match (before, action) {
        (Status::Absent | Status::Expired, Some(Action::Logout)) => Remark::NoSession,
        (Status::Absent, Some(action)) if action.starts_session() => Remark::Began,
        (Status::Expired, Some(action)) if action.starts_session() => Remark::Renewed,
        _ => return response,
    };
    response.extensions_mut().insert(remark);
    response
}
