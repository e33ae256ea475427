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
        option: String,
        /// What is wrong with it.
        why: String,
    },

    /// A file that an option names can't be used.
    #[error("{option} {}: {why}", path.display())]
    File {
        /// The option that names the file, or an environment variable.
        option: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// The session settings don't fit together.
    #[error("session settings: {0}")]
    Sessions(tower_kr_session::ConfigError),

    /// The store can't be used, although its options are right.
    #[error("{option} can't be used: {why}")]
    Store {
        /// The option that names the store, or an environment variable.
        option: String,
        /// What is wrong.
        why: String,
    },

    /// The server can't listen on the address.
    #[error("can't listen on {address}: {source}; choose another {port} or {bind}")]
    Bind {
        /// The requested address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
        /// The option that names the port, or an environment variable.
        port: String,
        /// The option that names the IP address, or an environment variable.
        bind: String,
    },

    /// No certificate could be made.
    #[error("can't make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),

    /// Programs can't be told where the server listens.
    #[error("can't write the address to standard output: {0}")]
    Announce(#[source] io::Error),

    /// The server couldn't be set up, or broke down.
    #[error("the server failed: {0}")]
    Serve(#[source] io::Error),
}

impl StartError {
    pub(crate) fn option(option: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Option {
            option: option.into(),
            why: why.into(),
        }
    }

    /// Returns the exit status of the process: 2 if an option, a variable, or a file that one of
    /// them names, is wrong, and 1 if the server failed.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Option { .. } | Self::File { .. } | Self::Sessions(_) => 2,
            Self::Store { .. }
            | Self::Bind { .. }
            | Self::SelfSigned(_)
            | Self::Announce(_)
            | Self::Serve(_) => 1,
        }
    }

    /// The options or variables that the message names.
    pub(crate) fn options_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Option { option, .. }
            | Self::File { option, .. }
            | Self::Store { option, .. } => {
                vec![option]
            }
            Self::Bind { port, bind, .. } => vec![port, bind],
            _ => Vec::new(),
        }
    }
}
