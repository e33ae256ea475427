//! The actions of the forms, with their paths and the names that notices use.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Counter,
    Login,
    Logout,
    Replay,
    Set,
    Revoke,
    RevokeOthers,
}

impl Action {
    const ALL: [Self; 7] = [
        Self::Counter,
        Self::Login,
        Self::Logout,
        Self::Replay,
        Self::Set,
        Self::Revoke,
        Self::RevokeOthers,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Replay => "replay",
            Self::Set => "set",
            Self::Revoke => "revoke",
            Self::RevokeOthers => "revoke-others",
        }
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Counter => "/page/counter",
            Self::Login => "/page/login",
            Self::Logout => "/page/logout",
            Self::Replay => "/page/replay",
            Self::Set => "/page/set",
            Self::Revoke => "/page/revoke",
            Self::RevokeOthers => "/page/revoke-others",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether it starts a session if there is none.
    pub(super) const fn starts_session(self) -> bool {
        matches!(self, Self::Counter | Self::Login | Self::Set)
    }

    /// Whether the session's token changes or ends, so that the one before it is worthless.
    pub(super) const fn retires_token(self) -> bool {
        matches!(self, Self::Login | Self::Logout)
    }
}
