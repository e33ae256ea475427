//! What a request knows of the session in the store.

use std::sync::Arc;

use crate::{
    model::{Record, Token, TokenState},
    transport::Candidates,
};

/// What is known of the session in the store.
#[derive(Default)]
pub(super) enum View {
    /// Nobody has looked at the cookies yet.
    Unread(Candidates),
    /// There is a token, and the store was not asked yet.
    Unknown(Token),
    /// There are several tokens, and the store is being asked which one is alive.
    Several(Box<Choice>),
    /// It lives. The record is there once something was read.
    Alive(Token, Option<Arc<Record>>),
    /// There is none: no cookie that could be one.
    #[default]
    Absent,
    /// There is a well-formed token without a live record.
    Expired(Token),
    /// The token was rotated away moments ago.
    Superseded,
    /// Several sessions are live under the cookies of the request, or there are too many cookies.
    Ambiguous,
    /// It was alive when this request looked, and is gone.
    Ended(Token),
}

/// Which of several tokens is the session's.
pub(super) struct Choice {
    pub(super) tokens: Vec<Token>,
    /// How many of them are not loaded yet: the first ones.
    pub(super) left: usize,
    pub(super) best: Option<(usize, TokenState, Option<Arc<Record>>)>,
}

impl View {
    pub(super) fn of(candidates: &Candidates, cookie_name: &str) -> Self {
        let token = |text| Token::decode(text, cookie_name);
        match candidates {
            Candidates::None => Self::Absent,
            Candidates::One(text) => Self::Unknown(token(text)),
            Candidates::Several(texts) => Self::Several(Box::new(Choice {
                tokens: texts.iter().rev().map(token).collect(),
                left: texts.len(),
                best: None,
            })),
            Candidates::TooMany => Self::Ambiguous,
        }
    }
}
