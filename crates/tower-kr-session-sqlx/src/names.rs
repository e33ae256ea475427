//! The names of the tables, checked once so that statements can contain them.

use std::{fmt, sync::Arc};

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::{dialect::Dialect, error::SetupError};

/// PostgreSQL cuts names after 63 bytes, and the longest name that is derived from the table's is
/// `<table>_revocations_not_before`.
const MAX_NAME_BYTES: usize = 40;

/// The suffixes of a store's other tables. A table whose name ends so could be that of another
/// store.
const OWN_SUFFIXES: [&str; 2] = ["_revocations", "_migrations"];

const DEFAULT_TABLE: &str = "kr_sessions";

/// The names of a store's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    schema: Option<String>,
    table: String,
}

impl Names {
    /// # Errors
    /// If a name can't be used.
    pub(crate) fn new(schema: Option<String>, table: Option<String>) -> Result<Self, SetupError> {
        let table = table.unwrap_or_else(|| DEFAULT_TABLE.to_owned());
        check("table", &table)?;
        let lower = table.to_ascii_lowercase();
        if OWN_SUFFIXES.iter().any(|suffix| lower.ends_with(suffix)) {
            return Err(SetupError::InvalidName {
                what: "table",
                name: table,
                reason: "it ends like the name of another table of a store",
            });
        }
        if let Some(schema) = &schema {
            check("schema", schema)?;
        }
        Ok(Self { schema, table })
    }

    /// The table of the sessions, one a row.
    pub(crate) fn sessions(&self) -> String {
        self.with_suffix("")
    }

    /// The table of revocations: an owner's sign-ins before `not_before` are void.
    pub(crate) fn revocations(&self) -> String {
        self.with_suffix("_revocations")
    }

    /// The table of the schema's versions. It is named after the sessions' table, so that it isn't
    /// taken for the application's own migrations.
    pub(crate) fn migrations(&self) -> String {
        self.with_suffix("_migrations")
    }

    /// The statement of this template, as the database spells it.
    pub(crate) fn sql<D: Dialect>(&self, template: &str) -> SqlStr {
        checked(self.text::<D>(template))
    }

    /// The text of [`sql`](Self::sql).
    pub(crate) fn text<D: Dialect>(&self, template: &str) -> String {
        D::spell(self.fill(template))
    }

    /// Replaces the names in braces.
    fn fill(&self, template: &str) -> String {
        template
            .replace("{sessions}", &self.sessions())
            .replace("{revocations}", &self.revocations())
            .replace("{migrations}", &self.migrations())
            .replace("{prefix}", &self.prefix())
            .replace("{schema}", self.schema.as_deref().unwrap_or_default())
            .replace("{table}", &self.table)
    }

    fn prefix(&self) -> String {
        match &self.schema {
            Some(schema) => format!("\"{schema}\"."),
            None => String::new(),
        }
    }

    pub(crate) fn with_suffix(&self, suffix: &str) -> String {
        format!("{}\"{}{suffix}\"", self.prefix(), self.table)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.table)
    }
}

/// A statement that is made of text of this crate, checked names and numbers. Cheap to clone.
pub(crate) fn checked(sql: String) -> SqlStr {
    AssertSqlSafe(Arc::<str>::from(sql)).into_sql_str()
}

fn check(what: &'static str, name: &str) -> Result<(), SetupError> {
    let invalid = |reason| SetupError::InvalidName {
        what,
        name: name.escape_debug().to_string(),
        reason,
    };
    if name.is_empty() {
        return Err(invalid("it is empty"));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(invalid("it is longer than 40 bytes"));
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(invalid("it starts with a digit"));
    }
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return Err(invalid(
            "only ASCII letters, digits and underscores are allowed",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(schema: Option<&str>, table: &str) -> Result<Names, SetupError> {
        Names::new(schema.map(str::to_owned), Some(table.to_owned()))
    }

    #[test]
    fn names_are_quoted_and_qualified() {
        let names = names(Some("auth"), "user").unwrap();
        assert_eq!(names.sessions(), r#""auth"."user""#);
        assert_eq!(names.revocations(), r#""auth"."user_revocations""#);
        assert_eq!(names.migrations(), r#""auth"."user_migrations""#);
        assert_eq!(names.to_string(), "auth.user");
        let default = Names::new(None, None).unwrap();
        assert_eq!(default.sessions(), r#""kr_sessions""#);
        assert_eq!(default.fill(r#"{prefix}"{table}_x""#), r#""kr_sessions_x""#);
    }

    #[test]
    fn what_is_no_identifier_is_refused_by_name() {
        for bad in [
            "",
            "1st",
            "a b",
            "a\"b",
            "a;b",
            "a.b",
            "a-b",
            "a'b",
            "é",
            "a\0",
            "a\n",
            "{table}",
            &"a".repeat(41),
        ] {
            let error = names(None, bad).unwrap_err().to_string();
            assert!(error.starts_with("the table name \""), "{error}");
            assert!(!error.contains('\n') && !error.contains('\0'), "{error}");
            assert!(names(Some(bad), "sessions").is_err(), "{bad:?}");
        }
        assert!(names(Some("_a1"), &"a".repeat(40)).is_ok());
    }

    #[test]
    fn a_table_never_has_the_name_of_another_table_of_a_store() {
        for meets in ["app_revocations", "App_Migrations"] {
            let error = names(None, meets).unwrap_err().to_string();
            assert!(error.contains(meets), "{error}");
            assert!(names(Some(meets), "sessions").is_ok());
        }
        assert!(names(None, "migrations").is_ok());
    }
}
