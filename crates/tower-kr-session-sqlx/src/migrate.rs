//! Creates the schema, brings it up to date, and checks it at start.

use std::ops::RangeInclusive;

use sqlx::{SqlSafeStr, SqlStr};

use crate::{
    columns::HEAD,
    dialect::Dialect,
    error::{DatabaseFailure, SetupError},
    lease::Lease,
    names::{Names, checked},
    row::{REVISION, SLOT_COLUMN, VALUES},
    store::SqlStore,
};

impl<D: Dialect> SqlStore<D> {
    /// Creates the tables, or brings them up to the version of this release.
    ///
    /// Several processes can call it at once: one does the work, the others wait and find it done.
    /// A table of the store's own, `<table>_migrations`, records the versions.
    ///
    /// # Errors
    /// If the database can't be reached or refuses, a table is somebody else's or was dropped, or
    /// the schema is of a later release. Nothing is changed then.
    pub async fn migrate(&self) -> Result<(), SetupError> {
        let mut lease = self.writer().await?;
        lease.begin().await?;
        lease.call(D::lock_schema).await?;
        let migrated = self.migrate_in(&mut lease).await;
        if let Some(unlock) = D::UNLOCK_SCHEMA {
            lease.run(&unlock.into_sql_str()).await?;
        }
        lease.end(migrated, |()| true).await?;
        self.check().await
    }

    /// Checks that the tables exist in the version of this release, for a start without
    /// [`migrate`](Self::migrate).
    ///
    /// # Errors
    /// If they don't, or the database can't be reached.
    pub async fn check(&self) -> Result<(), SetupError> {
        let mut lease = self.lease().await?;
        lease.begin_single().await?;
        let checked = self.check_in(&mut lease).await;
        lease.end(checked, |()| true).await
    }

    /// Returns the SQL that [`migrate`](Self::migrate) runs on an empty database, for teams that
    /// run migrations themselves.
    #[must_use]
    pub fn schema_sql(&self) -> String {
        schema_sql::<D>(self.names())
    }

    async fn migrate_in(&self, lease: &mut Lease<'_, D>) -> Result<(), SetupError> {
        let found = match self.version(lease).await? {
            Some(found) => found,
            None => {
                self.refuse_foreign(lease).await?;
                lease.run(&self.filled(VERSIONS)).await?;
                0
            }
        };
        if found > known::<D>() {
            return Err(self.other_version(found));
        }
        for step in found + 1..=known::<D>() {
            let sql = step_sql::<D>(self.names(), step);
            lease.run(&checked(sql)).await?;
        }
        Ok(())
    }

    async fn check_in(&self, lease: &mut Lease<'_, D>) -> Result<(), SetupError> {
        let Some(found) = self.version(lease).await? else {
            self.refuse_foreign(lease).await?;
            return Err(SetupError::MissingTable {
                table: self.table(""),
            });
        };
        for suffix in TABLES {
            if found > 0 && !self.has_table(lease, suffix).await? {
                return Err(SetupError::LostTable {
                    table: self.table(suffix),
                    versions: self.table(VERSIONS_SUFFIX),
                });
            }
        }
        if found != known::<D>() {
            return Err(self.other_version(found));
        }
        // A schema made by hand may lack a column.
        let columns = HEAD.join(", ");
        let probe = self.filled(&format!(
            "SELECT id, {columns}, {SLOT_COLUMN}, {VALUES}, {REVISION} FROM {{sessions}} WHERE 1 = 0"
        ));
        lease.fetch(&probe, &[]).await?;
        Ok(())
    }

    /// The version of the schema in the database, if there is any.
    async fn version(&self, lease: &mut Lease<'_, D>) -> Result<Option<i64>, SetupError> {
        if !self.has_table(lease, VERSIONS_SUFFIX).await? {
            return Ok(None);
        }
        let latest = self.filled("SELECT version FROM {migrations} ORDER BY version DESC LIMIT 1");
        let rows = lease.fetch(&latest, &[]).await?;
        let Some(row) = rows.first() else {
            return Ok(Some(0));
        };
        let version = D::integer(row, 0).map_err(DatabaseFailure::from)?;
        Ok(Some(version.unwrap_or(0)))
    }

    /// Refuses a table of one of the store's names if there are no versions beside it: the store
    /// has not created it.
    async fn refuse_foreign(&self, lease: &mut Lease<'_, D>) -> Result<(), SetupError> {
        for suffix in TABLES {
            if self.has_table(lease, suffix).await? {
                return Err(SetupError::ForeignTable {
                    table: self.table(suffix),
                    versions: self.table(VERSIONS_SUFFIX),
                });
            }
        }
        Ok(())
    }

    fn table(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.names())
    }

    async fn has_table(&self, lease: &mut Lease<'_, D>, suffix: &str) -> Result<bool, SetupError> {
        let sql = self.filled(&D::TABLE_EXISTS.replace("{suffix}", suffix));
        let rows = lease.fetch(&sql, &[]).await?;
        Ok(!rows.is_empty())
    }

    fn filled(&self, template: &str) -> SqlStr {
        self.names().sql::<D>(template)
    }

    fn other_version(&self, found: i64) -> SetupError {
        let table = self.names().to_string();
        if found < known::<D>() {
            SetupError::OldSchema {
                table,
                found,
                needed: known::<D>(),
            }
        } else {
            SetupError::NewSchema {
                table,
                found,
                known: known::<D>(),
            }
        }
    }
}

/// The suffixes of the tables' names, apart from that of the versions.
const TABLES: [&str; 2] = ["", "_revocations"];
const VERSIONS_SUFFIX: &str = "_migrations";

const VERSIONS: &str = "CREATE TABLE {migrations} (version bigint PRIMARY KEY);\n";

/// All steps, each followed by its version.
fn schema_sql<D: Dialect>(names: &Names) -> String {
    let all: RangeInclusive<i64> = 1..=known::<D>();
    let steps: String = all.map(|step| step_sql::<D>(names, step)).collect();
    names.text::<D>(VERSIONS) + &steps
}

/// One step, followed by its version.
fn step_sql<D: Dialect>(names: &Names, step: i64) -> String {
    let index = usize::try_from(step - 1).unwrap_or(usize::MAX);
    let sql = D::MIGRATIONS.get(index).copied().unwrap_or_default();
    names.text::<D>(&format!(
        "{sql}INSERT INTO {{migrations}} (version) VALUES ({step});\n"
    ))
}

/// The version of this release.
fn known<D: Dialect>() -> i64 {
    i64::try_from(D::MIGRATIONS.len()).unwrap_or(i64::MAX)
}
