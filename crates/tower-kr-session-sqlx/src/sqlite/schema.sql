CREATE TABLE {sessions} (
    id BLOB PRIMARY KEY NOT NULL,
    revision INTEGER NOT NULL DEFAULT 1099511627776,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    authenticated_at INTEGER,
    idle_timeout INTEGER NOT NULL,
    touch_interval INTEGER NOT NULL,
    absolute_timeout INTEGER NOT NULL,
    idle_deadline INTEGER NOT NULL,
    absolute_deadline INTEGER NOT NULL,
    reclaim_slot INTEGER NOT NULL,
    persistent INTEGER NOT NULL,
    secret BLOB NOT NULL,
    retired_secret BLOB,
    retired_at INTEGER,
    owner BLOB,
    label BLOB,
    device BLOB,
    session_values BLOB NOT NULL
) STRICT;
CREATE INDEX {prefix}"{table}_reclaim_slot" ON "{table}" (reclaim_slot);
CREATE INDEX {prefix}"{table}_owner" ON "{table}" (owner) WHERE owner IS NOT NULL;
CREATE TABLE {revocations} (
    owner BLOB PRIMARY KEY NOT NULL,
    not_before INTEGER NOT NULL
) STRICT;
CREATE INDEX {prefix}"{table}_revocations_not_before" ON "{table}_revocations" (not_before);
