//! Finds the file that an SQLite URL names, and refuses a database that isn't in a file.

use std::{fs::OpenOptions, io, path::Path, str::FromStr};

use sqlx::{
    Row,
    sqlite::{Sqlite, SqliteConnectOptions, SqlitePool},
};

use crate::{
    dialect::Sealed,
    error::{DatabaseFailure, SetupError},
};

const IN_MEMORY: &str = "in memory each connection would have a database of its own; \
    use a file, or the memory store";

/// Reads the connection options from a URL, and whether a missing file is to be created.
///
/// # Errors
/// If the URL can't be used. The error never repeats it: one for another database holds a password.
pub(super) fn read_url(url: &str) -> Result<(SqliteConnectOptions, bool), SetupError> {
    if !url.starts_with("sqlite:") {
        return Err(invalid("it must start with sqlite://"));
    }
    let options = SqliteConnectOptions::from_str(url).map_err(|error| match error {
        sqlx::Error::Configuration(error) => invalid(&error.to_string()),
        _ => invalid("it must look like sqlite://sessions.db"),
    })?;
    let file = options.get_filename().as_os_str().as_encoded_bytes();
    // The latter is how sqlx names a database in memory.
    if file.is_empty() || file == b":memory:" || file.starts_with(b"file:sqlx-in-memory") {
        return Err(invalid(IN_MEMORY));
    }
    if file.starts_with(b"file:") {
        return Err(invalid("name the file by its path, without `file:`"));
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mode = query.split('&').find_map(|pair| pair.strip_prefix("mode="));
    match mode {
        Some("memory") => Err(invalid(IN_MEMORY)),
        None | Some("rwc") => Ok((options.create_if_missing(true), true)),
        Some(_) => Ok((options, false)),
    }
}

/// Creates the file if there is none, readable by its user alone. SQLite would make it readable by
/// everybody. The files that SQLite puts beside it get the same permissions.
pub(super) fn create_private(file: &Path) -> Result<(), SetupError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let file = file.display();
            Err(invalid(&format!(
                "the file {file} can't be created: {error}"
            )))
        }
        _ => Ok(()),
    }
}

/// Asks SQLite where the database is: there are more ways to write `:memory:` than can be listed.
///
/// # Errors
/// If it isn't in a file, or SQLite can't answer.
pub(super) async fn refuse_memory(pool: &SqlitePool) -> Result<(), SetupError> {
    let row = sqlx::query("SELECT file FROM pragma_database_list WHERE name = 'main'")
        .fetch_one(pool)
        .await
        .map_err(|error| {
            let place = Sqlite::place(&pool.connect_options());
            DatabaseFailure::new(error, Some(&place))
        })?;
    let file: Option<String> = row.try_get(0).map_err(DatabaseFailure::from)?;
    match file.as_deref() {
        None | Some("") => Err(invalid(IN_MEMORY)),
        Some(_) => Ok(()),
    }
}

fn invalid(reason: &str) -> SetupError {
    SetupError::InvalidUrl {
        reason: reason.to_owned(),
    }
}
