-- What people look at. Phases and progress are for everybody; keys and texts that may show data only for those who can read the table.
-- The views are made for psql at 100 columns: what does not fit is in mig_status() (use \gx) and in the tables.
-- Texts that may hold values of rows or other sessions' queries: for the owner's role and monitoring roles.
CREATE FUNCTION mig.may_see(owner_name text) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_has_role('pg_monitor', 'USAGE')
        OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = may_see.owner_name AND pg_has_role(r.oid, 'USAGE'));
END;
COMMENT ON FUNCTION mig.may_see(text) IS 'may the current user see texts of that role''s migrations that can hold data?';

CREATE VIEW mig.state AS
    SELECT m.id, m.name, m.schema_name AS schema, m.version_schema, m.phase, m.paused,
           CASE WHEN m.phase IN ('validating', 'ready', 'completing', 'completed') THEN 100.0
                WHEN t.rows_total > 0 THEN least(99.9, round(100.0 * coalesce(t.rows_done, 0) / t.rows_total, 1))
                ELSE 0.0 END AS percent,
           coalesce(t.rows_done, 0) AS rows_done, coalesce(t.rows_total, 0) AS rows_total,
           round(coalesce(p.by_clock, t.while_busy)::numeric) AS rows_per_second,
           justify_hours(make_interval(secs => round(extract(epoch FROM nullif(mig.window_add(e.options -> 'window', c.now,
               CASE WHEN m.phase = 'backfilling' AND NOT m.paused THEN greatest(t.rows_total - t.rows_done, 0) / p.expected END), 'infinity') - c.now)))) AS eta,
           CASE WHEN w.reason IS NOT NULL OR mig.may_see(m.owner_name) THEN coalesce(w.reason, m.reason)
                WHEN m.reason IS NOT NULL THEN '(shown to its owner)' END AS waiting_for,
           m.divergent,
           CASE WHEN mig.may_see(m.owner_name) THEN m.error WHEN m.error IS NOT NULL THEN '(shown to its owner)' END AS error, m.started_at,
           greatest(m.updated_at, t.updated_at) AS updated_at,
           p.duty, p.workers, p.chunk_pages, x.waited,
           (SELECT jsonb_object_agg(r.key, round((r.value ->> 'utilisation')::numeric, 2)) FROM jsonb_each(p.readings) r WHERE r.value ->> 'utilisation' IS NOT NULL) AS utilisation
      FROM mig.migration m
      JOIN mig.in_effect e ON e.id = m.id
      -- the clock goes on within a procedure, now() does not
      CROSS JOIN LATERAL (SELECT clock_timestamp() AS now, m.phase IN ('backfilling', 'validating') AND NOT m.paused AS moves OFFSET 0) c
      CROSS JOIN LATERAL (SELECT CASE WHEN c.moves THEN mig.window_reason(e.options -> 'window', c.now) END AS reason OFFSET 0) w
      LEFT JOIN LATERAL (
           SELECT sum(t.rows_done)::bigint AS rows_done, max(t.updated_at) AS updated_at, sum(t.rows_done) * 1000.0 / nullif(sum(t.busy_ms), 0) AS while_busy,
                  sum(CASE WHEN s.done_at IS NULL THEN greatest(t.rows_total, t.rows_done, CASE WHEN t.relid IS NULL AND m.phase = 'backfilling' THEN r.reltuples END, 0)
                           ELSE t.rows_done END)::bigint AS rows_total
             FROM mig.step s
             LEFT JOIN mig.task t ON t.migration_id = s.migration_id AND t.step_no = s.no
             LEFT JOIN pg_class r ON r.oid = s.relid
            WHERE s.migration_id = m.id AND s.kind = 'backfill') t ON true
      LEFT JOIN mig.pace x ON x.migration_id = m.id
      -- what it is paced by, while it is: the rows of the last minute by the clock; what is to be expected of it from now on, or when it may work again
      LEFT JOIN LATERAL (
           SELECT x.duty, x.workers, x.chunk_pages, x.readings, k.by_clock,
                  CASE WHEN w.reason IS NULL AND x.stopped_by IS NULL AND k.by_clock > 0 THEN k.by_clock
                       ELSE nullif(t.while_busy, 0) * coalesce(x.duty * greatest(x.workers, 1), 1) END AS expected
             FROM (SELECT ((x.samples -> -1 ->> 1)::float8 - (x.samples -> 0 ->> 1)::float8)
                          / nullif((x.samples -> -1 ->> 0)::float8 - (x.samples -> 0 ->> 0)::float8, 0) AS by_clock
                     FROM (SELECT 1) n WHERE (x.samples -> -1 ->> 0)::float8 > extract(epoch FROM c.now) - 60) k
            RIGHT JOIN (SELECT 1) n ON true) p ON c.moves
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
COMMENT ON VIEW mig.state IS 'one row per migration: all that mig_status() and mig.status show';

CREATE VIEW mig.status AS
    SELECT s.name, s.phase, s.percent, s.rows_per_second, s.eta,
           -- in lines that fit beside the rest
           rtrim(regexp_replace(CASE WHEN s.paused THEN 'paused' || coalesce(': ' || coalesce(s.error, s.waiting_for), '')
                                     ELSE coalesce(s.error, s.waiting_for, CASE WHEN s.duty < 1 THEN format('works %s %% of the time', round((100 * s.duty)::numeric)) END) END,
                                '(.{1,34})(\s+|$)', E'\\1\n', 'g'), E'\n') AS note
      FROM mig.state s ORDER BY s.id DESC;
COMMENT ON VIEW mig.status IS 'one row per migration, newest first, in brief; mig_status() shows all';

CREATE VIEW mig.progress AS
    SELECT m.name, s.relation, s.phase,
           CASE WHEN s.done_at IS NOT NULL THEN 100.0
                ELSE least(99.9, round(100.0 * t.rows_done / greatest(t.rows_total, 1), 1)) END AS percent,
           t.rows_done, CASE WHEN s.done_at IS NULL THEN greatest(t.rows_total, t.rows_done) ELSE t.rows_done END AS rows_total,
           CASE WHEN s.done_at IS NULL AND m.phase IN ('backfilling', 'validating') THEN m.rows_per_second
                ELSE round(t.rows_done * 1000.0 / nullif(t.busy_ms, 0)) END AS rows_per_second,
           pg_size_pretty(t.bytes_before) AS size_before, pg_size_pretty(t.bytes) AS size_now, round(t.bytes / t.bytes_before, 2) AS growth
      FROM mig.step s
      JOIN mig.state m ON m.id = s.migration_id
      JOIN (SELECT migration_id, step_no, sum(rows_done)::bigint AS rows_done, sum(rows_total)::bigint AS rows_total, sum(busy_ms)::bigint AS busy_ms,
                   nullif(sum(heap_before + toast_before + indexes_before), 0) AS bytes_before, nullif(sum(heap + toast + indexes), 0) AS bytes
              FROM mig.task GROUP BY migration_id, step_no) t ON t.migration_id = s.migration_id AND t.step_no = s.no
     ORDER BY m.id DESC, s.no;
COMMENT ON VIEW mig.progress IS 'one row per table and task (backfill, validate)';

CREATE VIEW mig.leaves AS
    SELECT m.name, s.relation, t.relation AS leaf, s.phase,
           CASE WHEN s.done_at IS NOT NULL OR r.left_to_do IS NULL THEN 100.0
                ELSE least(99.9, round(100.0 * t.rows_done / greatest(t.rows_total, 1), 1)) END AS percent,
           t.rows_done, CASE WHEN s.done_at IS NULL AND r.left_to_do THEN greatest(t.rows_total, t.rows_done) ELSE t.rows_done END AS rows_total
      FROM mig.task t
      JOIN mig.step s ON s.migration_id = t.migration_id AND s.no = t.step_no
      JOIN mig.state m ON m.id = t.migration_id
      LEFT JOIN LATERAL (SELECT true AS left_to_do FROM mig.range r WHERE r.migration_id = t.migration_id AND r.step_no = t.step_no
              AND r.relid = t.relid AND r.state <> 'done' LIMIT 1) r ON true
     ORDER BY m.id DESC, t.step_no, t.relation;
COMMENT ON VIEW mig.leaves IS 'one row per relation and task: the partitions and children of the tables in mig.progress';

CREATE VIEW mig.steps AS
    SELECT m.name, s.no AS step, s.phase, s.relation, s.lock_mode, s.done_at::timestamptz(0) AS done_at, s.rewrites,
           CASE WHEN mig.may_see(m.owner_name) THEN s.sql END AS sql,
           CASE WHEN mig.may_see(m.owner_name) THEN s.undo END AS undo, s.note
      FROM mig.step s JOIN mig.migration m ON m.id = s.migration_id
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     ORDER BY m.id DESC, s.no;
COMMENT ON VIEW mig.steps IS 'the stored plans: what each migration does, in order';

CREATE VIEW mig.events AS
    SELECT e.id, e.at::timestamptz(3) AS at, m.name, e.kind,
           CASE WHEN mig.may_see(m.owner_name) THEN e.detail END AS detail, e.role_name, e.application_name, e.client_addr, e.pid
      FROM mig.event e JOIN mig.migration m ON m.id = e.migration_id
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     ORDER BY e.id;
COMMENT ON VIEW mig.events IS 'the audit log, append-only';

CREATE VIEW mig.bad_rows AS
    SELECT m.name, b.relation, b.kind, b.column_name, b.key, b.error, b.seen_at
      FROM mig.bad_row b JOIN mig.migration m ON m.id = b.migration_id
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND has_table_privilege(b.relid, 'SELECT')
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
COMMENT ON VIEW mig.bad_rows IS 'samples of rows whose up fails, or whose versions differ';

CREATE VIEW mig.overrides AS
    SELECT m.name, CASE WHEN o.ended_at < o.expires_at THEN 'taken back' WHEN o.expires_at <= n.now THEN 'expired' WHEN m.phase IN ('completed', 'rolled_back') THEN 'over'
                        ELSE 'in effect' END AS state,
           CASE WHEN mig.may_see(m.owner_name) THEN o.options END AS options, o.set_at::timestamptz(0) AS set_at, o.expires_at::timestamptz(0) AS expires_at, o.set_by,
           CASE WHEN mig.may_see(m.owner_name) THEN o.reason END AS reason
      FROM mig.override o JOIN mig.migration m ON m.id = o.migration_id, LATERAL (SELECT clock_timestamp() AS now OFFSET 0) n
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     ORDER BY o.id DESC;
COMMENT ON VIEW mig.overrides IS 'options that hold, or held, for a while: mig_override()';

GRANT SELECT ON mig.overrides, mig.state, mig.status, mig.progress, mig.leaves, mig.steps, mig.events, mig.bad_rows TO PUBLIC;

CREATE FUNCTION mig_status(name text DEFAULT NULL)
    RETURNS TABLE (name text, schema text, version_schema text, phase text, paused boolean, percent numeric, rows_done bigint,
                   rows_total bigint, rows_per_second numeric, eta interval, waiting_for text, divergent bigint, error text,
                   started_at timestamptz, updated_at timestamptz, duty double precision, workers int, chunk_pages int, waited jsonb, utilisation jsonb)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.name, s.schema, s.version_schema, s.phase, s.paused, s.percent, s.rows_done, s.rows_total, s.rows_per_second, s.eta,
           s.waiting_for, s.divergent, s.error, s.started_at, s.updated_at, s.duty, s.workers, s.chunk_pages, s.waited, s.utilisation
      FROM mig.state s WHERE mig_status.name IS NULL OR s.name = mig_status.name ORDER BY s.id DESC;
END;
COMMENT ON FUNCTION mig_status(text) IS 'one row per migration, newest first';
