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
    comment text,
    event_id bigint NOT NULL        -- its event: one counts while the options have not been changed since
);
CREATE INDEX approval_migration ON mig.approval (migration_id);
SELECT pg_extension_config_dump('mig.approval', '');
SELECT pg_extension_config_dump('mig.approval_id_seq', '');

-- Evidence: what each pass over a table of a migration has seen.
CREATE TABLE mig.pass (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    relid oid NOT NULL,
    relation text NOT NULL,
    kind text NOT NULL,             -- validate (a step of the plan), call (mig_validate), watch, repair, rollback
    step_no int NOT NULL DEFAULT 0,
    epoch int NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_lsn pg_lsn NOT NULL,
    next_xid bigint NOT NULL,       -- the transaction that was to come then, read after started_lsn,
    oldest_xid bigint NOT NULL,     -- and the oldest that ran; next_xid if none did
    ended_at timestamptz,
    ended_lsn pg_lsn,               -- what came first is told by these places: clocks may be set back
    clean boolean NOT NULL DEFAULT false,
    ranges bigint NOT NULL DEFAULT 0,
    checked bigint NOT NULL DEFAULT 0,
    divergent bigint NOT NULL DEFAULT 0,
    missing bigint NOT NULL DEFAULT 0,
    violating bigint NOT NULL DEFAULT 0,
    repaired bigint NOT NULL DEFAULT 0,
    old_digest bigint NOT NULL DEFAULT 0,   -- exclusive or of the rows' 64-bit hashes
    old_sum bigint NOT NULL DEFAULT 0,      -- and their sum modulo 2^64
    new_digest bigint NOT NULL DEFAULT 0,
    new_sum bigint NOT NULL DEFAULT 0,
    leaf oid,                       -- where it goes on
    next_block bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX pass_relation ON mig.pass (migration_id, relid, kind);
SELECT pg_extension_config_dump('mig.pass', '');
SELECT pg_extension_config_dump('mig.pass_id_seq', '');

-- Times in which writes may have got past the sync triggers: each begins an epoch, and passes from before do not count.
CREATE TABLE mig.epoch (
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    epoch int NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    why text NOT NULL,
    detail jsonb,
    suspect_from xid8,              -- rows written by transactions from this one on may not be what their state says; NULL: any row
    PRIMARY KEY (migration_id, epoch)
);
SELECT pg_extension_config_dump('mig.epoch', '');

-- All by which a bypass would show, as it was when it was last looked at.
CREATE TABLE mig.seal (
    migration_id bigint PRIMARY KEY REFERENCES mig.migration ON DELETE CASCADE,
    seal jsonb,
    seen_xid xid8 NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
SELECT pg_extension_config_dump('mig.seal', '');

CREATE FUNCTION mig.wrapping_sum(a bigint, b bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT (s - CASE WHEN s > 9223372036854775807 THEN 18446744073709551616 WHEN s < -9223372036854775808 THEN -18446744073709551616 ELSE 0 END)::bigint
      FROM (SELECT a::numeric + b AS s OFFSET 0) x;
END;
COMMENT ON FUNCTION mig.wrapping_sum(bigint, bigint) IS 'the sum modulo 2^64';

-- A seal is {"table": {"what": value, …}, …}
CREATE FUNCTION mig.seal_changes(former jsonb, present jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(jsonb_agg(format('%s: %s', t, w) ORDER BY t, w), '[]')
      FROM (SELECT coalesce(a.t, b.t) AS t, coalesce(a.w, b.w) || CASE WHEN b.v IS NULL THEN ' is gone' WHEN a.v IS NULL THEN ' is new' ELSE ' has changed' END AS w
              FROM (SELECT x.key AS t, y.key AS w, y.value AS v FROM jsonb_each(former) x, jsonb_each(x.value) y) a
              FULL JOIN (SELECT x.key AS t, y.key AS w, y.value AS v FROM jsonb_each(present) x, jsonb_each(x.value) y) b ON a.t = b.t AND a.w = b.w
             WHERE a.v IS DISTINCT FROM b.v) d;
END;
COMMENT ON FUNCTION mig.seal_changes(jsonb, jsonb) IS 'what has changed between two seals, as sentences';

-- Gates as they were when somebody last looked.
CREATE TABLE mig.gate (
    migration_id bigint NOT NULL REFERENCES mig.migration ON DELETE CASCADE,
    name text NOT NULL,
    before text NOT NULL,           -- phase: ready or completing
    open boolean NOT NULL,
    overridable boolean NOT NULL,
    value text,
    limit_text text,
    failure text,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration_id, name)
);
SELECT pg_extension_config_dump('mig.gate', '');
