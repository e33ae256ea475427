//! The transport of the listener: plain HTTP, or TLS with a certificate.

use std::{path::Path, sync::Arc};

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::{
    InconsistentKeys, ServerConfig, crypto,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};

use crate::error::StartError;

/// The transport of the listener.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    Http,
    Https(RustlsConfig),
}

/// A certificate chain and its private key.
#[derive(Debug)]
pub(crate) struct Identity(CertifiedKey);

const CERT: &str = "--tls-cert";
const KEY: &str = "--tls-key";

impl Transport {
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https(_) => "https",
        }
    }
}

impl Identity {
    /// Makes a self-signed certificate for the usual names of this machine.
    pub(crate) fn self_signed() -> Result<Self, StartError> {
        let mut params =
            CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(String::from))?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Sessions Demo Server");
        let pair = KeyPair::generate()?;
        let certificate = params.self_signed(&pair)?;
        let key = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
        let key = crypto::ring::sign::any_supported_type(&key)
            .map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Self(CertifiedKey::new(vec![certificate.into()], key)))
    }

    /// Reads the chain and the key from two PEM files. An error names the wrong file.
    pub(crate) fn from_pem_files(cert: &Path, key: &Path) -> Result<Self, StartError> {
        let wrong = |option: &str, path: &Path, why: String| StartError::File {
            option: option.to_owned(),
            path: path.to_owned(),
            why,
        };
        let wrong_cert = |why: String| wrong(CERT, cert, why);
        let wrong_key = |why: String| wrong(KEY, key, why);

        let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect)
            .map_err(|error| wrong_cert(explain(&error, "BEGIN CERTIFICATE")))?;
        if chain.is_empty() {
            return Err(wrong_cert(explain(
                &pem::Error::NoItemsFound,
                "BEGIN CERTIFICATE",
            )));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
            let expected = "BEGIN PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY";
            wrong_key(match std::fs::read_to_string(key) {
                Ok(text) if text.contains("ENCRYPTED") => {
                    format!("the key is encrypted; decrypt it, to a PEM file with {expected}")
                }
                _ => explain(&error, expected),
            })
        })?;
        let private = crypto::ring::sign::any_supported_type(&private).map_err(|_| {
            wrong_key(
                "not a usable private key; it has to be RSA, ECDSA P-256 or P-384, or Ed25519"
                    .into(),
            )
        })?;

        let identity = CertifiedKey::new(chain, private);
        match identity.keys_match() {
            // Unknown: the provider can't compare them, so the first handshake will.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Self(identity))
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(wrong_key(format!(
                "not the private key of the certificate in {}",
                cert.display()
            ))),
            Err(_) => Err(wrong_cert(
                "the first certificate in it is not a valid X.509 certificate".into(),
            )),
        }
    }

    pub(crate) fn into_transport(self) -> Result<Transport, StartError> {
        Ok(Transport::Https(RustlsConfig::from_config(
            self.into_config()?,
        )))
    }

    pub(crate) fn into_config(self) -> Result<Arc<ServerConfig>, StartError> {
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
                .map_err(|error| StartError::Serve(std::io::Error::other(error)))?
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.0)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn explain(error: &pem::Error, expected: &str) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => {
            format!("found nothing to use; expected a PEM file with {expected}")
        }
        _ => format!("not a PEM file; expected one with {expected}"),
    }
}
