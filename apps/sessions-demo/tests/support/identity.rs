//! Certificates for tests.

use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};
use test_support::Scratch;

/// Writes a certificate for localhost and its key, and returns where.
pub(crate) fn identity(dir: &Scratch, name: &str) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let names = ["localhost", "127.0.0.1"].map(String::from);
    let cert = CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    (
        dir.file(&format!("{name}.cert.pem"), cert.pem()),
        dir.file(&format!("{name}.key.pem"), key.serialize_pem()),
    )
}
