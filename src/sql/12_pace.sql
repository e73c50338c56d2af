-- What the drivers of a migration have in common while it is paced, and what people are shown of it. One row per migration, written at each look.
CREATE TABLE mig.pace (
    migration_id bigint PRIMARY KEY REFERENCES mig.migration ON DELETE CASCADE,
    looked_at timestamptz NOT NULL DEFAULT '-infinity',
    duty double precision NOT NULL DEFAULT 1,
    workers int NOT NULL DEFAULT 1,
    chunk_pages int,
    beside_clients boolean NOT NULL DEFAULT false,  -- there are clients whom it could disturb
    stopped_by text,                -- name of a signal, window, hibernation; NULL: nothing stops it
    reason text,                    -- the same in words
    stopped_since timestamptz,
    moved_at timestamptz,           -- when duty and workers were last decided on
    cool_until timestamptz,         -- neither is raised before
    hibernations int NOT NULL DEFAULT 0,
    hibernate_until timestamptz,
    readings jsonb NOT NULL DEFAULT '{}',   -- signal → {value, limit, critical, utilisation, who, read_at (epoch)}
    waited jsonb NOT NULL DEFAULT '{}',     -- what it was stopped by, or horizon → seconds
    samples jsonb NOT NULL DEFAULT '[]'     -- [[epoch, rows done, WAL position in bytes], …] of the last minute
) WITH (fillfactor = 50);
ALTER TABLE mig.pace ALTER COLUMN readings SET STORAGE MAIN;  -- written four times a second: never out of line
SELECT pg_extension_config_dump('mig.pace', '');

-- Who has held dead rows back, and for how long the migration has waited for that.
CREATE TABLE mig.holder (
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    key text NOT NULL,
    who text NOT NULL,
    waited_ms double precision NOT NULL DEFAULT 0,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    gone_on_at timestamptz,         -- when the migration stopped waiting for it
    PRIMARY KEY (migration_id, key)
);
SELECT pg_extension_config_dump('mig.holder', '');

-- Options that hold for a while and then expire by themselves.
CREATE TABLE mig.override (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    options jsonb NOT NULL,
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    set_by text NOT NULL DEFAULT session_user,
    reason text,
    ended_at timestamptz            -- when its end was noticed, or when it was taken back
);
CREATE INDEX override_migration ON mig.override (migration_id);
SELECT pg_extension_config_dump('mig.override', '');
SELECT pg_extension_config_dump('mig.override_id_seq', '');
