//! The statements of a store, with the names of its tables.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::{
    columns::HEAD,
    dialect::Dialect,
    names::Names,
    row::{SLOT_COLUMN, SLOT_MILLIS, VALUES},
};

/// How long a revocation is remembered, in milliseconds: far longer than a sign-in can take.
pub(crate) const REMEMBER_REVOCATION: i64 = 24 * 60 * 60 * 1000;

/// Finds a session by the id and the secret of its token. A wrong secret finds no row, and locks
/// none.
const HELD: &str = "id = $1 AND (secret = $2 OR retired_secret = $2)";

/// The statements of a store. What comes from a request is only ever an argument (`$1`, `$2`).
pub(crate) struct Statements {
    pub(crate) begin: SqlStr,
    pub(crate) commit: SqlStr,
    pub(crate) rollback: SqlStr,
    /// `$1` id. Returns id, head and values.
    pub(crate) load: SqlStr,
    /// `$1` id. Returns a row if there is one.
    pub(crate) exists: SqlStr,
    /// `$1` id, `$2` secret. Returns a row if the secret is its current or its retired one.
    pub(crate) held: SqlStr,
    /// Like `held`, but locks the row. Returns id, head and values.
    pub(crate) lock: SqlStr,
    /// Like `lock`, without the values.
    pub(crate) lock_head: SqlStr,
    /// `$1` id, then head, slot and values. Returns a row if there was none of this id.
    pub(crate) insert: SqlStr,
    /// `$1` id, then head and slot.
    pub(crate) update_head: SqlStr,
    /// `$1` id, then head, slot and values.
    pub(crate) update: SqlStr,
    /// `$1` id. Returns id and head of what was there.
    pub(crate) delete: SqlStr,
    /// `$1` owner. Returns id and head.
    pub(crate) list: SqlStr,
    /// `$1` owner, `$2` the id to keep. Returns id and head of what was there.
    pub(crate) delete_owned: SqlStr,
    /// `$1` owner, `$2` time.
    pub(crate) revoke: SqlStr,
    /// `$1` owner. Returns the time of the last revocation.
    pub(crate) revoked_at: SqlStr,
    /// `$1` owner.
    pub(crate) lock_owner: Option<SqlStr>,
    /// `$1` owner.
    pub(crate) share_owner: Option<SqlStr>,
    /// `$1` slot, `$2` how many. Returns a row for each.
    pub(crate) reclaim: SqlStr,
    /// `$1` time. Returns a row for each.
    pub(crate) forget_revocations: SqlStr,
}

impl Statements {
    pub(crate) fn new<D: Dialect>(names: &Names, lock_timeout: Duration) -> Self {
        let fill = |template: &str| checked(names.fill(template));
        let head = HEAD.join(", ");
        // The id is $1, the head follows, then the slot and the values.
        let slot = HEAD.len() + 2;
        let arguments: Vec<String> = (1..=slot + 1).map(|number| format!("${number}")).collect();
        let mut assignments: Vec<String> = HEAD
            .iter()
            .enumerate()
            .map(|(index, column)| format!("{column} = ${}", index + 2))
            .collect();
        assignments.push(format!("{SLOT_COLUMN} = ${slot}"));
        let assignments = assignments.join(", ");
        let lock_row = D::LOCK_ROW;
        let now = D::NOW;
        let past = format!("{SLOT_COLUMN} <= $1 AND {SLOT_COLUMN} <= {now} / {SLOT_MILLIS}");
        Self {
            begin: checked(D::begin(lock_timeout)),
            commit: "COMMIT".into_sql_str(),
            rollback: "ROLLBACK".into_sql_str(),
            load: fill(&format!(
                "SELECT id, {head}, {VALUES} FROM {{sessions}} WHERE id = $1"
            )),
            exists: fill("SELECT id FROM {sessions} WHERE id = $1"),
            held: fill(&format!("SELECT id FROM {{sessions}} WHERE {HELD}")),
            lock: fill(&format!(
                "SELECT id, {head}, {VALUES} FROM {{sessions}} WHERE {HELD}{lock_row}"
            )),
            lock_head: fill(&format!(
                "SELECT id, {head} FROM {{sessions}} WHERE {HELD}{lock_row}"
            )),
            insert: fill(&format!(
                "INSERT INTO {{sessions}} (id, {head}, {SLOT_COLUMN}, {VALUES}) VALUES ({}) \
                 ON CONFLICT (id) DO NOTHING RETURNING id",
                arguments.join(", ")
            )),
            update_head: fill(&format!(
                "UPDATE {{sessions}} SET {assignments} WHERE id = $1"
            )),
            update: fill(&format!(
                "UPDATE {{sessions}} SET {assignments}, {VALUES} = ${} WHERE id = $1",
                slot + 1
            )),
            delete: fill(&format!(
                "DELETE FROM {{sessions}} WHERE id = $1 RETURNING id, {head}"
            )),
            list: fill(&format!(
                "SELECT id, {head} FROM {{sessions}} WHERE owner = $1 ORDER BY created_at, id"
            )),
            delete_owned: fill(&format!(
                "DELETE FROM {{sessions}} WHERE owner = $1 AND id IS DISTINCT FROM $2 \
                 RETURNING id, {head}"
            )),
            revoke: fill(
                "INSERT INTO {revocations} AS held (owner, not_before) VALUES ($1, $2) \
                 ON CONFLICT (owner) DO UPDATE SET not_before = excluded.not_before \
                 WHERE held.not_before < excluded.not_before",
            ),
            revoked_at: fill("SELECT not_before FROM {revocations} WHERE owner = $1"),
            lock_owner: D::LOCK_OWNER.map(fill),
            share_owner: D::SHARE_OWNER.map(fill),
            reclaim: fill(&D::RECLAIM.replace("{past}", &past)),
            forget_revocations: fill(&format!(
                "DELETE FROM {{revocations}} \
                 WHERE not_before < $1 AND not_before < {now} - {REMEMBER_REVOCATION} \
                 RETURNING not_before"
            )),
        }
    }
}

/// A statement that is made of text of this crate, checked names and numbers. Cheap to clone.
pub(crate) fn checked(sql: String) -> SqlStr {
    AssertSqlSafe(Arc::<str>::from(sql)).into_sql_str()
}
