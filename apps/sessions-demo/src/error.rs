//! The error of a server that can't start or breaks down.

use std::{io, net::SocketAddr, path::PathBuf};

/// Error of [`run`](crate::run). Its message is one line that says what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An option's value, or a combination of options, is wrong.
    #[error("{option} {why}")]
    Option {
        /// The option's name on the command line, or an environment variable's.
        option: &'static str,
        /// What is wrong with it.
        why: String,
    },

    /// A file that an option names can't be used.
    #[error("{option} {}: {why}", path.display())]
    File {
        /// The option that names the file.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// The session settings don't fit together.
    #[error("session settings: {0}")]
    Sessions(#[from] tower_kr_session::ConfigError),

    /// The server can't listen on the address.
    #[error("can't listen on {address}: {source}; choose another --port or --bind")]
    Bind {
        /// The requested address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },

    /// No certificate could be made.
    #[error("can't make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),

    /// The server couldn't be set up, or broke down.
    #[error("the server failed: {0}")]
    Serve(#[source] io::Error),
}

impl StartError {
    pub(crate) fn option(option: &'static str, why: impl Into<String>) -> Self {
        Self::Option {
            option,
            why: why.into(),
        }
    }
}
