//! Connections over TLS.

use rcgen::{CertificateParams, KeyPair};
use test_support::{DatabaseServer, MariadbServer, Scratch};
use tower_kr_session_sqlx::{MysqlStore, SetupError};

pub(crate) async fn a_server_is_checked_if_the_url_says_so() {
    let folder = Scratch::new();
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let key = folder.file("key.pem", key.serialize_pem());
    let certificate = folder.file("certificate.pem", certificate.pem());
    let server = MariadbServer::start_with(&[
        "--innodb-flush-log-at-trx-commit=0",
        &format!("--ssl-key={}", key.display()),
        &format!("--ssl-cert={}", certificate.display()),
    ]);
    let connect = async |parameters: &str| -> Result<String, SetupError> {
        let store = MysqlStore::connect(&format!("{}?{parameters}", server.url())).await?;
        let cipher = "SELECT variable_value FROM information_schema.session_status \
             WHERE variable_name = 'SSL_VERSION'";
        let cipher = sqlx::query_scalar(cipher).fetch_one(store.pool()).await;
        Ok(cipher.unwrap())
    };
    let checked = format!("ssl-mode=VERIFY_IDENTITY&ssl-ca={}", certificate.display());
    assert_eq!(connect(&checked).await.unwrap(), "TLSv1.3");
    // By default it is encrypted, whoever the server is.
    assert_eq!(connect("").await.unwrap(), "TLSv1.3");
    assert_eq!(connect("ssl-mode=DISABLED").await.unwrap(), "");
    // Nobody that browsers trust says who it is.
    let error = connect("ssl-mode=VERIFY_IDENTITY").await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
