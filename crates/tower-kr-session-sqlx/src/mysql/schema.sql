CREATE TABLE IF NOT EXISTS {sessions} (
    id binary(16) PRIMARY KEY,
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
    secret varbinary(32) NOT NULL,
    retired_secret varbinary(32),
    retired_at bigint,
    owner varbinary(256),
    label varbinary(256),
    device varbinary(848),
    session_values longblob NOT NULL,
    INDEX reclaim_slot (reclaim_slot),
    INDEX owner (owner)
) ENGINE = InnoDB;
CREATE TABLE IF NOT EXISTS {revocations} (
    owner varbinary(256) PRIMARY KEY,
    not_before bigint NOT NULL,
    INDEX not_before (not_before)
) ENGINE = InnoDB;
