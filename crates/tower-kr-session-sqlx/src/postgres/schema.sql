CREATE TABLE {sessions} (
    id uuid PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    authenticated_at bigint,
    idle_timeout bigint NOT NULL,
    touch_interval bigint NOT NULL,
    absolute_timeout bigint NOT NULL,
    idle_deadline bigint NOT NULL,
    absolute_deadline bigint NOT NULL,
    reclaim_slot bigint NOT NULL,
    persistent boolean NOT NULL,
    secret bytea NOT NULL,
    retired_secret bytea,
    retired_at bigint,
    owner bytea,
    label bytea,
    device bytea,
    session_values bytea NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX "{table}_reclaim_slot" ON {sessions} (reclaim_slot);
CREATE INDEX "{table}_owner" ON {sessions} (owner) WHERE owner IS NOT NULL;
CREATE TABLE {revocations} (
    owner bytea PRIMARY KEY,
    not_before bigint NOT NULL
);
CREATE INDEX "{table}_revocations_not_before" ON {revocations} (not_before);
