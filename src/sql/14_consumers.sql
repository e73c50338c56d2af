-- Who uses which version of a migration: written by its drivers from what sessions have noted in shared memory.
CREATE TABLE mig.consumer (
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    version text NOT NULL,          -- old, new
    role_name text NOT NULL,
    application text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_read timestamptz,
    last_write timestamptz,
    reads bigint NOT NULL DEFAULT 0,
    writes bigint NOT NULL DEFAULT 0,
    errors bigint NOT NULL DEFAULT 0,   -- of writes
    PRIMARY KEY (migration_id, version, role_name, application)
) WITH (fillfactor = 50);
SELECT pg_extension_config_dump('mig.consumer', '');

-- What is kept from one look at a migration's clients to the next.
CREATE TABLE mig.lookout (
    migration_id bigint PRIMARY KEY REFERENCES mig.migration ON DELETE CASCADE,
    looked_at timestamptz NOT NULL DEFAULT '-infinity',
    since timestamptz,              -- clients have been watched without a break since
    baseline_ms double precision,   -- 95th percentile of their statements before rows were filled
    slow_since timestamptz,         -- they have been slower than abort_if allows since
    samples jsonb NOT NULL DEFAULT '[]',    -- [[epoch, writes, errors], …] of the new version in the last minute
    acted jsonb NOT NULL DEFAULT '{}'       -- thresholds of abort_if that have acted, as they were given
) WITH (fillfactor = 50);
SELECT pg_extension_config_dump('mig.lookout', '');
