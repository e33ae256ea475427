//! The lanes of a link: each is a connection, so that a short answer doesn't wait behind a large
//! one.

/// What a call's answer may be like, which decides its lane.
#[derive(Clone, Copy)]
pub(crate) enum Lane {
    /// Short.
    Small = 0,
    /// As large as a session.
    Large = 1,
}

/// The connections of a link.
pub(super) const LANES: usize = 2;
