-- State. Written by store/ only. Names stand beside OIDs: OIDs are not meaningful after a restore, names are. A row counts only where its
-- system identifier and database are those of this server, so that a restored or copied database never resumes another one's migration.
CREATE TABLE mig.migration (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    schema_name text NOT NULL,
    version_schema text NOT NULL,
    definition text NOT NULL,
    options jsonb NOT NULL DEFAULT '{}',
    phase text NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    reason text,
    error text,
    owner_name text NOT NULL,
    started_by text NOT NULL DEFAULT session_user,
    settings text[] NOT NULL DEFAULT '{}',
    was_ready boolean NOT NULL DEFAULT false,
    divergent bigint,
    epoch int NOT NULL DEFAULT 1,   -- of mig.epoch
    filled_xid xid8,
    filled_at timestamptz,
    system_identifier bigint NOT NULL,
    database_oid oid NOT NULL,
    database_name text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    phase_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    retired_at timestamptz
);
CREATE UNIQUE INDEX migration_live_name ON mig.migration (database_oid, system_identifier, name)
    WHERE phase <> 'rolled_back';

CREATE TABLE mig.step (
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    no int NOT NULL,
    phase text NOT NULL,
    kind text NOT NULL,
    grp int NOT NULL,
    relation text,
    relid oid,
    lock_mode text,
    rewrites boolean NOT NULL DEFAULT false,
    sql text NOT NULL,
    undo text,
    keep boolean NOT NULL DEFAULT false,
    superuser boolean NOT NULL DEFAULT false,
    note text,
    done_at timestamptz,
    PRIMARY KEY (migration_id, no)
);

-- The tables of a migration; by it, those that are active at the same time in a schema keep out of each other's way.
CREATE TABLE mig.migrated_table (
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    no int NOT NULL,
    kind text NOT NULL,             -- changed; created; parked (created, but waiting for a name); referenced (by a foreign key it makes)
    relid oid,
    name text,                      -- NULL: did not exist
    new_name text,                  -- NULL: dropped
    PRIMARY KEY (migration_id, no)
);

-- A step's task on one relation with rows of its own: the table, or one of its partitions or children.
CREATE TABLE mig.task (
    migration_id bigint NOT NULL,
    step_no int NOT NULL,
    relid oid NOT NULL,
    relation text NOT NULL,
    relfilenode oid NOT NULL,
    blocks bigint NOT NULL,
    lanes int NOT NULL,
    rows_total bigint NOT NULL,
    rows_done bigint NOT NULL DEFAULT 0,
    divergent bigint NOT NULL DEFAULT 0,
    missing bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    busy_ms bigint NOT NULL DEFAULT 0,
    heap_before bigint NOT NULL DEFAULT 0,      -- bytes, when a backfill began
    toast_before bigint NOT NULL DEFAULT 0,
    indexes_before bigint NOT NULL DEFAULT 0,
    heap bigint NOT NULL DEFAULT 0,             -- when a lane last ended
    toast bigint NOT NULL DEFAULT 0,
    indexes bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (migration_id, step_no, relid),
    FOREIGN KEY (migration_id, step_no) REFERENCES mig.step ON DELETE CASCADE
);

CREATE TABLE mig.range (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL,
    step_no int NOT NULL,
    relid oid NOT NULL,
    first_block bigint NOT NULL,
    end_block bigint NOT NULL,
    lane int NOT NULL DEFAULT 0,
    next_block bigint NOT NULL,
    state text NOT NULL DEFAULT 'open',
    not_before timestamptz,
    dead_until xid8,                -- between two lanes: the dead rows of transactions before it should be removable
    error text,                     -- why it was put aside
    FOREIGN KEY (migration_id, step_no, relid) REFERENCES mig.task ON DELETE CASCADE
) WITH (fillfactor = 50);
CREATE INDEX range_task ON mig.range (migration_id, step_no, relid);
CREATE INDEX range_left ON mig.range (migration_id, step_no, state DESC, id) WHERE state IN ('open', 'later');

CREATE TABLE mig.bad_row (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    relid oid NOT NULL,
    relation text NOT NULL,
    column_name text NOT NULL,
    key jsonb NOT NULL,
    kind text NOT NULL,
    error text,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX bad_row_relation ON mig.bad_row (migration_id, relid, kind);

CREATE TABLE mig.event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    role_name text NOT NULL DEFAULT session_user,
    application_name text DEFAULT current_setting('application_name'),
    client_addr inet DEFAULT inet_client_addr(),
    pid int NOT NULL DEFAULT pg_backend_pid(),
    detail jsonb
);
CREATE INDEX event_migration ON mig.event (migration_id, id);

SELECT pg_extension_config_dump('mig.migration', '');
SELECT pg_extension_config_dump('mig.migration_id_seq', '');
SELECT pg_extension_config_dump('mig.step', '');
SELECT pg_extension_config_dump('mig.migrated_table', '');
SELECT pg_extension_config_dump('mig.task', '');
SELECT pg_extension_config_dump('mig.range', '');
SELECT pg_extension_config_dump('mig.range_id_seq', '');
SELECT pg_extension_config_dump('mig.bad_row', '');
SELECT pg_extension_config_dump('mig.bad_row_id_seq', '');
SELECT pg_extension_config_dump('mig.event', '');
SELECT pg_extension_config_dump('mig.event_id_seq', '');
