//! Opens plain connections: to a node, to a sentinel, or to anything else that speaks the protocol.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, PushInfo, PushKind, RedisError,
    TlsCertificates,
    aio::{MultiplexedConnection, SendError},
};
use tokio::sync::Notify;

use super::{address, credentials::Credentials};
use crate::{connect_error::ConnectError, failure::reason};

/// Settings of every connection.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) certificates: Option<TlsCertificates>,
    pub(crate) credentials: Option<Credentials>,
}

impl Settings {
    /// Opens a plain connection to a server, with the credentials of now.
    pub(super) async fn open_server(
        &self,
        info: &ConnectionInfo,
        closed: Option<&Arc<Notify>>,
    ) -> Result<MultiplexedConnection, ConnectError> {
        match &self.credentials {
            None => self.open(info, closed).await,
            Some(credentials) => {
                let info = credentials.put_into(info, self.connect_timeout).await?;
                self.open(&info, closed).await
            }
        }
    }

    /// Opens a plain connection. `closed` is notified when it ends.
    pub(crate) async fn open(
        &self,
        info: &ConnectionInfo,
        closed: Option<&Arc<Notify>>,
    ) -> Result<MultiplexedConnection, ConnectError> {
        let client = self.client(info)?;
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout));
        if let Some(closed) = closed {
            let closed = Arc::clone(closed);
            // The link has a patience of its own.
            config = config
                .set_response_timeout(None)
                .set_push_sender(move |push: PushInfo| {
                    if push.kind == PushKind::Disconnection {
                        closed.notify_one();
                    }
                    Ok::<(), SendError>(())
                });
        }
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| self.explain(info, &error))
    }

    pub(crate) fn client(&self, info: &ConnectionInfo) -> Result<Client, ConnectError> {
        match &self.certificates {
            Some(certificates) if address::uses_tls(info) => {
                Client::build_with_tls(info.clone(), certificates.clone())
            }
            _ => Client::open(info.clone()),
        }
        .map_err(|error| self.explain(info, &error))
    }

    /// Explains an error at the start of a connection.
    pub(crate) fn explain(&self, info: &ConnectionInfo, error: &RedisError) -> ConnectError {
        let server = info.addr().to_string();
        let message = reason(error, self.connect_timeout).to_string();
        if error.kind() == ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
        {
            let reason = match error.code() {
                Some("NOAUTH") => {
                    "it wants a password: write one into the URL, or name a file with it"
                }
                _ => message.as_str(),
            };
            return ConnectError::Denied {
                server,
                reason: reason.to_owned(),
            };
        }
        if error.kind() == ErrorKind::RESP3NotSupported {
            return ConnectError::Unsuitable {
                server,
                reason: "it is older than Redis 6".to_owned(),
            };
        }
        if error.kind() == ErrorKind::InvalidClientConfig {
            return ConnectError::Unsuitable {
                server,
                reason: message,
            };
        }
        let reason = if message.contains("max number of clients") {
            "all its connections are taken (maxclients)".to_owned()
        } else {
            message
        };
        ConnectError::Unreachable { server, reason }
    }
}
