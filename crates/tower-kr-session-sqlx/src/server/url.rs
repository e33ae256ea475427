//! Reads the URL of a server without showing any of it.

use std::path::PathBuf;

use super::{Options, ServerDialect};
use crate::error::SetupError;

const ENCODE: &str = "percent-encode the user and the password (`@` is %40, `/` is %2F, \
    `?` is %3F, `#` is %23), and any `@` or `#` after them";

/// What a URL says.
pub(super) struct Url<D: ServerDialect> {
    pub(super) options: Options<D>,
    pub(super) transaction_pooler: Option<bool>,
    pub(super) password_file: Option<PathBuf>,
}

/// Reads a URL.
///
/// # Errors
/// If it can't be used. The error never repeats the URL: any part of it may be a password.
pub(super) fn read<D: ServerDialect>(url: &str) -> Result<Url<D>, SetupError> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let [usual, other] = D::SCHEMES;
    if ![usual, other].contains(&scheme) {
        return Err(invalid(&format!(
            "it must start with {usual}:// or {other}://"
        )));
    }
    if is_ambiguous(rest) {
        return Err(invalid(ENCODE));
    }
    let (url, others) = known_parameters::<D>(url);
    let (mut transaction_pooler, mut password_file) = (None, None);
    for (parameter, value) in others {
        match (parameter, value) {
            ("transaction_pooler", "true") if D::POOLERS => transaction_pooler = Some(true),
            ("transaction_pooler", "false") if D::POOLERS => transaction_pooler = Some(false),
            ("transaction_pooler", _) if D::POOLERS => {
                return Err(invalid("`transaction_pooler` must be `true` or `false`"));
            }
            ("password_file", path) => password_file = Some(PathBuf::from(path)),
            // sqlx would log the value too, and a misspelled parameter may hold a secret.
            _ => tracing::warn!(
                parameter,
                "ignoring an unknown parameter of the database URL"
            ),
        }
    }
    let options = url.parse().map_err(|error| match error {
        sqlx::Error::Configuration(error) => invalid(&match error.to_string() {
            // Not which one: it may be a password without its host.
            port if port == "invalid port number" => format!("{port}; write one up to 65535"),
            reason => reason,
        }),
        _ => invalid(&format!(
            "it must look like {usual}://user:password@host/database"
        )),
    })?;
    Ok(Url {
        options,
        transaction_pooler,
        password_file,
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

/// The URL without the parameters that sqlx doesn't read, and those by name and value.
fn known_parameters<D: ServerDialect>(url: &str) -> (String, Vec<(&str, &str)>) {
    let Some((start, query)) = url.split_once('?') else {
        return (url.to_owned(), Vec::new());
    };
    let (known, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| {
        let (name, _) = name_and_value(pair);
        D::PARAMETERS
            .iter()
            .any(|known| name == *known || known.ends_with('[') && name.starts_with(known))
    });
    let others = others.into_iter().map(name_and_value).collect();
    (format!("{start}?{}", known.join("&")), others)
}

fn name_and_value(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use sqlx::Postgres;

    use super::*;

    fn read(url: &str) -> Result<Url<Postgres>, SetupError> {
        super::read(url)
    }

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
            let error = read(&url).err().unwrap().to_string();
            // Word for word, so it repeats nothing.
            assert_eq!(error, format!("the database URL can't be used: {ENCODE}"));
        }
        let good = read("postgres://kr:p%40ss%23w%2Fo%3Frd@db.example.org/app").unwrap();
        assert_eq!(good.options.get_host(), "db.example.org");
        // Every parser reads this one as it is meant.
        let good = read("postgres://kr:p@ss@db.example.org/app?sslmode=require").unwrap();
        assert_eq!(good.options.get_host(), "db.example.org");
    }

    #[test]
    fn a_port_that_is_none_is_not_repeated() {
        for url in ["postgres://h:99999/app", "postgres://kr:hunter2"] {
            let error = read(url).err().unwrap().to_string();
            let says = "the database URL can't be used: invalid port number; write one up to 65535";
            assert_eq!(error, says);
        }
    }

    #[test]
    fn a_parameter_that_sqlx_does_not_read_is_kept_from_it() {
        let url =
            "postgres://kr@h/app?pass_word=hunter2&sslmode=require&channel_binding&options[a]=b";
        let (known, others) = known_parameters::<Postgres>(url);
        assert_eq!(known, "postgres://kr@h/app?sslmode=require&options[a]=b");
        assert_eq!(others, [("pass_word", "hunter2"), ("channel_binding", "")]);
        assert_eq!(known_parameters::<Postgres>("postgres://h/app").1, []);
        read(url).unwrap();
    }

    #[test]
    fn the_stores_own_parameters_are_read() {
        let url = "postgres://kr@h/app?transaction_pooler=true&password_file=/run/secrets/db";
        let read_url = read(url).unwrap();
        assert_eq!(read_url.transaction_pooler, Some(true));
        assert_eq!(
            read_url.password_file.as_deref(),
            Some("/run/secrets/db".as_ref())
        );
        let none = read("postgres://kr@h/app").unwrap();
        assert_eq!((none.transaction_pooler, none.password_file), (None, None));
        let error = read("postgres://kr@h/app?transaction_pooler=1")
            .err()
            .unwrap();
        assert!(error.to_string().contains("transaction_pooler"), "{error}");
    }
}
