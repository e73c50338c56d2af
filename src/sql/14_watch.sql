-- What the drift watch has found, how far it is, and what it has closed.
CREATE TABLE mig.drift_row (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    relid oid NOT NULL,             -- the migration's table
    leaf oid NOT NULL,              -- the same, or the partition or child that the row lies in
    relation text NOT NULL,         -- of the leaf
    key jsonb NOT NULL,
    column_name text NOT NULL,
    kind text NOT NULL,             -- as in mig.bad_row; "no trigger": the leaf has lost its sync triggers, or they do not always fire
    old_value text,
    new_value text,
    expected text,
    error text,
    found_by text NOT NULL,         -- sweep (over what was written lately), pass (over all)
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    pass_id bigint NOT NULL,        -- that has seen it last
    epoch int NOT NULL,
    gone_at timestamptz             -- when a pass no longer found it; NULL: it is still there
);
CREATE UNIQUE INDEX drift_row_known ON mig.drift_row (migration_id, leaf, column_name, jsonb_hash_extended(key, 0)) WHERE gone_at IS NULL;
CREATE INDEX drift_row_relation ON mig.drift_row (migration_id, relid);
SELECT pg_extension_config_dump('mig.drift_row', '');
SELECT pg_extension_config_dump('mig.drift_row_id_seq', '');

-- Where the watch of a migration is, so that any driver goes on with it.
CREATE TABLE mig.watcher (
    migration_id bigint PRIMARY KEY REFERENCES mig.migration ON DELETE CASCADE,
    rests_until timestamptz,
    failure text,                   -- why nothing can be checked
    cycle_at timestamptz,           -- when the passes over all tables began
    cycle_table oid,                -- whose pass is under way; NULL: none, the next cycle is not due
    sweep_at timestamptz,
    sweep_ms double precision NOT NULL DEFAULT 0,   -- that it has worked
    sweep_table oid,                -- where it is; NULL: the next is not due
    sweep_leaf oid,
    sweep_block bigint NOT NULL DEFAULT 0,
    since_xid bigint,               -- it looks at rows written by this transaction or a later one,
    since_lsn bigint,               -- in pages written from here on
    oldest_xid bigint,              -- the oldest that ran when it began: the next sweep's since_xid
    mark_xids bigint[] NOT NULL DEFAULT '{}',   -- the transactions that were to come when the last sweeps began,
    mark_lsns bigint[] NOT NULL DEFAULT '{}'    -- and where the log was
) WITH (fillfactor = 50);
SELECT pg_extension_config_dump('mig.watcher', '');

-- Tables whose new version's writes are refused. Read when a sync trigger is compiled (store/fence.c), so its columns have fixed places.
CREATE TABLE mig.fence (
    relid oid PRIMARY KEY,
    name text NOT NULL,             -- of the migration
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    since_lsn pg_lsn NOT NULL DEFAULT pg_current_wal_insert_lsn()
);
CREATE INDEX fence_migration ON mig.fence (migration_id);

-- Rows of a table that are known to diverge: as many as the last pass has counted, or more that were found since.
CREATE FUNCTION mig.drift_count(of_migration bigint, of_table oid) RETURNS bigint
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT greatest((SELECT p.divergent + p.missing - p.repaired FROM mig.pass p WHERE p.migration_id = of_migration AND p.relid = of_table AND p.kind IN ('watch', 'repair') AND p.step_no = 0
                        AND p.ended_at IS NOT NULL ORDER BY p.ended_lsn DESC, p.id DESC LIMIT 1),
                    (SELECT count(DISTINCT (d.leaf, d.key)) FROM mig.drift_row d WHERE d.migration_id = of_migration AND d.relid = of_table AND d.gone_at IS NULL));
END;
COMMENT ON FUNCTION mig.drift_count(bigint, oid) IS 'rows of a migration''s table that are known to diverge';
