//! Reads the certificate again on SIGHUP, so that a new one needs no restart.

use std::{io, path::PathBuf};

use axum_server::tls_rustls::RustlsConfig;

/// Reads the files again at each SIGHUP. If they are wrong, that is logged and the old certificate
/// stays.
#[cfg(unix)]
pub(crate) fn on_hangup(config: RustlsConfig, cert: PathBuf, key: PathBuf) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    use crate::tls::Identity;

    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            match Identity::from_pem_files(&cert, &key).and_then(Identity::into_config) {
                Ok(new) => {
                    config.reload_from_config(new);
                    tracing::info!("certificate read again: new connections get it");
                }
                Err(error) => tracing::error!(%error, "the certificate stays the old one"),
            }
        }
    });
    Ok(())
}

/// Does nothing: there is no such signal.
#[cfg(not(unix))]
pub(crate) fn on_hangup(_: RustlsConfig, _: PathBuf, _: PathBuf) -> io::Result<()> {
    Ok(())
}
