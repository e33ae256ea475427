//! The statements of a store, with the names of its tables.

use std::time::Duration;

use sqlx::{SqlSafeStr, SqlStr};

use crate::{
    columns::HEAD,
    dialect::Dialect,
    names::{Names, checked},
    row::{REVISION, SLOT_COLUMN, SLOT_MILLIS, VALUES, Written},
};

/// How long a revocation is remembered, in milliseconds: far longer than a sign-in can take.
pub(crate) const REMEMBER_REVOCATION: i64 = 24 * 60 * 60 * 1000;

/// Finds a session by the id and the secret of its token. A wrong secret finds no row.
const HELD: &str = "id = $1 AND $2 IN (secret, retired_secret)";

/// The statements of a store. What comes from a request is only ever an argument (`$1`, `$2`).
pub(crate) struct Statements {
    pub(crate) begin: SqlStr,
    pub(crate) commit: SqlStr,
    pub(crate) rollback: SqlStr,
    /// `$1` id. Returns id, head, values and revision.
    pub(crate) load: SqlStr,
    /// `$1` id. Returns a row if there is one.
    pub(crate) exists: SqlStr,
    /// `$1` id, `$2` secret. Returns a row if the secret is its current or its retired one.
    pub(crate) held: SqlStr,
    /// Like `held`, but returns id, head, values and revision.
    pub(crate) look: SqlStr,
    /// Like `look`, without the values.
    pub(crate) look_head: SqlStr,
    /// Like `look`, but locks the row. A wrong secret locks none, and waits for none. If the secret
    /// has become another one in between, the row is returned nevertheless.
    pub(crate) lock: SqlStr,
    /// Like `lock`, without the values.
    pub(crate) lock_head: SqlStr,
    /// `$1` id. Like `lock_head`, for who needs no secret.
    pub(crate) lock_any: SqlStr,
    /// Head, slot, values and id. Fails if there is a row of this id.
    pub(crate) insert: SqlStr,
    /// Head, slot and id. Changes a row.
    pub(crate) update_head: SqlStr,
    /// Head, slot, values and id. Changes a row.
    pub(crate) update: SqlStr,
    /// For each [`Written`].
    replace: [SqlStr; 4],
    /// `$1` id.
    pub(crate) delete: SqlStr,
    /// `$1` id, `$2` the revision that the row must have. As [`replace`](Self::replace).
    pub(crate) delete_unchanged: SqlStr,
    /// `$1` owner. Returns id, head and revision.
    pub(crate) list: SqlStr,
    /// `$1` owner, `$2` and `$3` time, `$4` how many. Returns id, head and revision of those that
    /// are alive then.
    pub(crate) list_up_to: SqlStr,
    /// `$1` id, `$2` and `$3` time, `$4` how many. Returns id, head and revision of those after
    /// this id that are alive then.
    pub(crate) page: SqlStr,
    /// `$1` and `$2` time. Returns how many are alive then.
    pub(crate) count: SqlStr,
    /// `$1` owner, `$2` the id to leave out. Returns id, head and revision, and locks the rows.
    pub(crate) lock_owned: SqlStr,
    /// `$1` owner, `$2` the id to keep.
    pub(crate) delete_owned: SqlStr,
    /// `$1` owner, `$2` time.
    pub(crate) revoke: SqlStr,
    /// `$1` owner. Returns the time of the last revocation.
    pub(crate) revoked_at: SqlStr,
    /// `$1` owner.
    pub(crate) lock_owner: Option<SqlStr>,
    /// `$1` owner.
    pub(crate) share_owner: Option<SqlStr>,
    /// `$1` slot, `$2` how many.
    pub(crate) reclaim: SqlStr,
    /// `$1` time.
    pub(crate) forget_revocations: SqlStr,
}

impl Statements {
    pub(crate) fn new<D: Dialect>(names: &Names, lock_timeout: Duration) -> Self {
        let fill = |template: &str| names.sql::<D>(template);
        let head = HEAD.join(", ");
        let select_head = format!("SELECT id, {head}, {REVISION} FROM {{sessions}}");
        let select = format!("SELECT id, {head}, {VALUES}, {REVISION} FROM {{sessions}}");
        let update = |written: Written| {
            let columns = written.columns();
            let numbered = columns.iter().zip(1..);
            let assignments: Vec<_> = numbered
                .map(|(column, n)| format!("{column} = ${n}"))
                .collect();
            let assignments = assignments.join(", ");
            let update =
                format!("UPDATE {{sessions}} SET {assignments}, {REVISION} = {REVISION} + 1");
            (update, columns.len() + 1)
        };
        let (update_head, update_head_id) = update(Written::HEAD);
        let (update_all, update_id) = update(Written::ALL);
        let inserted = Written::ALL.columns();
        let arguments: Vec<_> = (1..=inserted.len() + 1).map(|n| format!("${n}")).collect();
        let lock_row = D::LOCK_ROW;
        // The inner query looks without a lock, so that only what it finds is locked.
        let held = format!("WHERE id = (SELECT id FROM {{sessions}} WHERE {HELD}){lock_row}");
        let unchanged = |id: usize| {
            D::UNCHANGED
                .replace("{id}", &format!("${id}"))
                .replace("{revision}", &format!("${}", id + 1))
        };
        let no_wait = D::NO_WAIT;
        let now = D::NOW;
        let past = format!("{SLOT_COLUMN} <= $1 AND {SLOT_COLUMN} <= {now} / {SLOT_MILLIS}");
        let forgotten = format!("not_before < $1 AND not_before < {now} - {REMEMBER_REVOCATION}");
        Self {
            begin: checked(D::begin(lock_timeout)),
            commit: D::COMMIT.into_sql_str(),
            rollback: D::ROLLBACK.into_sql_str(),
            load: fill(&format!("{select} WHERE id = $1")),
            exists: fill("SELECT id FROM {sessions} WHERE id = $1"),
            held: fill(&format!("SELECT id FROM {{sessions}} WHERE {HELD}")),
            look: fill(&format!("{select} WHERE {HELD}")),
            look_head: fill(&format!("{select_head} WHERE {HELD}")),
            lock: fill(&format!("{select} {held}")),
            lock_head: fill(&format!("{select_head} {held}")),
            lock_any: fill(&format!("{select_head} WHERE id = $1{lock_row}")),
            insert: fill(&format!(
                "INSERT INTO {{sessions}} ({}, id) VALUES ({})",
                inserted.join(", "),
                arguments.join(", ")
            )),
            update_head: fill(&format!("{update_head} WHERE id = ${update_head_id}")),
            update: fill(&format!("{update_all} WHERE id = ${update_id}")),
            replace: Written::EACH.map(|written| {
                let (update, id) = update(written);
                fill(&format!("{no_wait}{update} WHERE {}", unchanged(id)))
            }),
            delete: fill("DELETE FROM {sessions} WHERE id = $1"),
            delete_unchanged: fill(&format!(
                "{no_wait}DELETE FROM {{sessions}} WHERE {}",
                unchanged(1)
            )),
            list: fill(&format!(
                "{select_head} WHERE owner = $1 ORDER BY created_at, id"
            )),
            // In no order: the database stops as soon as it has found so many.
            list_up_to: fill(&format!(
                "{select_head} WHERE owner = $1 \
                 AND idle_deadline > $2 AND absolute_deadline > $3 LIMIT $4"
            )),
            page: fill(&format!(
                "{select_head} WHERE id > $1 \
                 AND idle_deadline > $2 AND absolute_deadline > $3 ORDER BY id LIMIT $4"
            )),
            count: fill(
                "SELECT count(*) FROM {sessions} \
                 WHERE idle_deadline > $1 AND absolute_deadline > $2",
            ),
            lock_owned: fill(
                &D::LOCK_OWNED
                    .replace("{columns}", &format!("id, {head}, {REVISION}"))
                    .replace("{lock}", lock_row),
            ),
            delete_owned: fill(D::DELETE_OWNED),
            revoke: fill(D::REVOKE),
            revoked_at: fill("SELECT not_before FROM {revocations} WHERE owner = $1"),
            lock_owner: D::LOCK_OWNER.map(fill),
            share_owner: D::SHARE_OWNER.map(fill),
            reclaim: fill(&D::RECLAIM.replace("{past}", &past)),
            forget_revocations: fill(&D::FORGET.replace("{past}", &forgotten)),
        }
    }

    /// Changes a row that nobody else has changed or holds. Its arguments: what is written, the id
    /// and the revision that the row must have. If it has another, or if somebody holds it, the
    /// statement changes no row, or fails. It never waits for a lock.
    pub(crate) const fn replace(&self, written: Written) -> &SqlStr {
        &self.replace[written.index()]
    }
}
