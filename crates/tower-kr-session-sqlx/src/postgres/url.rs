//! Reads a PostgreSQL URL without showing any of it.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::error::SetupError;

/// The parameters that sqlx reads; it reads `options[name]` besides.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

const ENCODE: &str = "percent-encode the user and the password (`@` is %40, `/` is %2F, \
    `?` is %3F, `#` is %23), and any `@` or `#` after them";

/// Reads the connection options from a URL.
///
/// # Errors
/// If it can't be used. The error never repeats the URL: any part of it may be a password.
pub(super) fn read(url: &str) -> Result<PgConnectOptions, SetupError> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    if !["postgres", "postgresql"].contains(&scheme) {
        return Err(invalid("it must start with postgres:// or postgresql://"));
    }
    if is_ambiguous(rest) {
        return Err(invalid(ENCODE));
    }
    let (url, ignored) = known_parameters(url);
    for parameter in ignored {
        // sqlx would log the value too, and a misspelled parameter may hold a secret.
        tracing::warn!(
            parameter,
            "ignoring an unknown parameter of the database URL"
        );
    }
    PgConnectOptions::from_str(&url).map_err(|error| match error {
        sqlx::Error::Configuration(error) => invalid(&error.to_string()),
        _ => invalid("it must look like postgres://user:password@host:5432/database"),
    })
}

fn invalid(reason: &str) -> SetupError {
    SetupError::InvalidUrl {
        reason: reason.to_owned(),
    }
}

/// Whether an unencoded character of the user or the password may have ended the host part early. A
/// parser would then take a piece of the password for the host, and look it up in the DNS.
fn is_ambiguous(after_scheme: &str) -> bool {
    let host_end = after_scheme.find(['/', '?']);
    let rest = host_end.map_or("", |end| &after_scheme[end..]);
    after_scheme.contains('#') || rest.contains('@')
}

/// The URL without the parameters that sqlx doesn't read, and the names of those.
fn known_parameters(url: &str) -> (String, Vec<&str>) {
    let Some((start, query)) = url.split_once('?') else {
        return (url.to_owned(), Vec::new());
    };
    let (known, ignored): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| {
        let name = name(pair);
        PARAMETERS.contains(&name) || name.starts_with("options[")
    });
    let ignored = ignored.into_iter().map(name).collect();
    (format!("{start}?{}", known.join("&")), ignored)
}

fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_not_percent_encoded_is_never_taken_for_a_host() {
        for password in [
            "p@ss#word",
            "p#ss",
            "p#ss@word",
            "p/ss",
            "12/ss",
            "p?ss",
            "12?ss",
            "12?a=b",
            "#",
            "a/@",
        ] {
            let url = format!("postgres://kr:{password}@db.example.org/app");
            let error = read(&url).unwrap_err().to_string();
            // Word for word, so it repeats nothing.
            assert_eq!(error, format!("the database URL can't be used: {ENCODE}"));
        }
        let good = read("postgres://kr:p%40ss%23w%2Fo%3Frd@db.example.org/app").unwrap();
        assert_eq!(good.get_host(), "db.example.org");
        // Every parser reads this one as it is meant.
        let good = read("postgres://kr:p@ss@db.example.org/app?sslmode=require").unwrap();
        assert_eq!(good.get_host(), "db.example.org");
    }

    #[test]
    fn an_unknown_parameter_is_named_without_its_value() {
        let url =
            "postgres://kr@h/app?pass_word=hunter2&sslmode=require&channel_binding&options[a]=b";
        let (known, ignored) = known_parameters(url);
        assert_eq!(known, "postgres://kr@h/app?sslmode=require&options[a]=b");
        assert_eq!(ignored, ["pass_word", "channel_binding"]);
        assert_eq!(known_parameters("postgres://h/app").1, [""; 0]);
        read(url).unwrap();
    }
}
