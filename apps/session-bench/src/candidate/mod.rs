//! What is measured side by side.

pub(crate) mod kr;
#[cfg(feature = "peers")]
mod peers;
mod plain;

use axum::Router;
use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Candidate {
    Bare,
    Identity,
    Extension,
    Kr,
    KrMoka,
    #[cfg(feature = "peers")]
    KrBridge,
    #[cfg(feature = "peers")]
    TowerSessions,
    #[cfg(feature = "peers")]
    TowerSessionsMoka,
    #[cfg(feature = "peers")]
    AxumSession,
}

impl Candidate {
    /// All that this program was built with.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Those that keep sessions.
    pub fn with_sessions() -> impl Iterator<Item = Self> {
        Self::all()
            .iter()
            .copied()
            .filter(|candidate| candidate.keeps_sessions())
    }

    /// Those that keep sessions and are not ours.
    pub fn peers() -> impl Iterator<Item = Self> {
        Self::with_sessions().filter(|candidate| !candidate.is_ours())
    }

    const fn is_ours(self) -> bool {
        match self {
            Self::Kr | Self::KrMoka => true,
            #[cfg(feature = "peers")]
            Self::KrBridge => true,
            _ => false,
        }
    }

    pub const fn keeps_sessions(self) -> bool {
        !matches!(self, Self::Bare | Self::Identity | Self::Extension)
    }

    /// As the tables name it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Bare => "axum, no layer",
            Self::Identity => "axum, identity layer",
            Self::Extension => "axum, `Extension` layer",
            Self::Kr => "tower-kr-session, memory",
            Self::KrMoka => "tower-kr-session, moka",
            #[cfg(feature = "peers")]
            Self::KrBridge => "tower-kr-session, bridge to 0.15, memory",
            #[cfg(feature = "peers")]
            Self::TowerSessions => "tower-sessions 0.15, memory",
            #[cfg(feature = "peers")]
            Self::TowerSessionsMoka => "tower-sessions 0.14, moka 0.15",
            #[cfg(feature = "peers")]
            Self::AxumSession => "axum_session 0.22, memory",
        }
    }

    /// As the command line names it.
    pub fn key(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Its router, with a store of its own. Call it inside a runtime: one of the peers starts a
    /// task.
    pub fn router(self) -> Router {
        match self {
            Self::Bare => plain::bare(),
            Self::Identity => plain::identity(),
            Self::Extension => plain::extension(),
            Self::Kr => kr::memory(),
            Self::KrMoka => kr::moka(),
            #[cfg(feature = "peers")]
            Self::KrBridge => peers::kr_bridge(),
            #[cfg(feature = "peers")]
            Self::TowerSessions => peers::tower_sessions(),
            #[cfg(feature = "peers")]
            Self::TowerSessionsMoka => peers::tower_sessions_moka(),
            #[cfg(feature = "peers")]
            Self::AxumSession => peers::axum_session(),
        }
    }
}
