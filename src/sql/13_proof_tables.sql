-- What a migration has to show before it goes on.
CREATE TABLE mig.business_check (
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    name text NOT NULL,
    spec jsonb NOT NULL,
    sql text NOT NULL,              -- columns: segment jsonb, old_value text, new_value text, ok boolean
    added_by text NOT NULL DEFAULT session_user,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration_id, name)
);
SELECT pg_extension_config_dump('mig.business_check', '');

CREATE TABLE mig.check_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    check_name text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,           -- NULL: it never ended
    lines bigint,
    wrong bigint,
    failure text,                   -- why there is no answer
    ms bigint,
    run_by text NOT NULL DEFAULT session_user
);
CREATE INDEX check_run_check ON mig.check_run (migration_id, check_name, id);
SELECT pg_extension_config_dump('mig.check_run', '');
SELECT pg_extension_config_dump('mig.check_run_id_seq', '');

CREATE TABLE mig.check_result (
    run_id bigint NOT NULL REFERENCES mig.check_run ON DELETE CASCADE,
    segment jsonb NOT NULL,
    old_value text,
    new_value text,
    ok boolean NOT NULL
);
CREATE INDEX check_result_run ON mig.check_result (run_id);
SELECT pg_extension_config_dump('mig.check_result', '');

CREATE TABLE mig.approval (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    approved_by text NOT NULL DEFAULT current_user,
    session_role text NOT NULL DEFAULT session_user,
    approved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    comment text
);
CREATE INDEX approval_migration ON mig.approval (migration_id);
SELECT pg_extension_config_dump('mig.approval', '');
SELECT pg_extension_config_dump('mig.approval_id_seq', '');
