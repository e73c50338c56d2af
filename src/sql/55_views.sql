-- What people look at. Phases and progress are for everybody; keys and texts that may show data only for those who can read the table.
CREATE VIEW mig.status AS
    SELECT m.id, m.name, m.schema_name AS schema, m.version_schema, m.phase, m.paused,
           CASE WHEN m.phase IN ('completed', 'ready', 'completing') THEN 100.0
                WHEN t.rows_total > 0 THEN least(100.0, round(100.0 * t.rows_done / t.rows_total, 1))
                ELSE 0.0 END AS percent,
           coalesce(t.rows_done, 0) AS rows_done, coalesce(t.rows_total, 0) AS rows_total,
           t.rows_per_second,
           CASE WHEN m.phase = 'backfilling' AND NOT m.paused AND t.rows_per_second > 0
                THEN make_interval(secs => round(greatest(t.rows_total - t.rows_done, 0) / t.rows_per_second)) END AS eta,
           m.reason AS waiting_for, m.divergent, m.error, m.started_at,
           greatest(m.updated_at, t.updated_at) AS updated_at
      FROM mig.migration m
      LEFT JOIN LATERAL (
           SELECT sum(t.rows_done)::bigint AS rows_done, sum(greatest(t.rows_total, t.rows_done))::bigint AS rows_total,
                  max(t.updated_at) AS updated_at,
                  round(sum(t.rows_done) / nullif(extract(epoch FROM max(t.updated_at) - min(t.started_at)), 0)) AS rows_per_second
             FROM mig.task t JOIN mig.step s ON s.migration_id = t.migration_id AND s.no = t.step_no
            WHERE t.migration_id = m.id AND s.kind = 'backfill') t ON true
     WHERE m.database_name = current_database()
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
COMMENT ON VIEW mig.status IS 'one row per migration';

CREATE VIEW mig.progress AS
    SELECT m.name, t.step_no AS step, s.phase, t.relation, t.rows_done, greatest(t.rows_total, t.rows_done) AS rows_total,
           CASE WHEN s.done_at IS NOT NULL THEN 100.0
                ELSE least(99.9, round(100.0 * t.rows_done / greatest(t.rows_total, 1), 1)) END AS percent,
           round(t.rows_done / nullif(extract(epoch FROM t.updated_at - t.started_at), 0)) AS rows_per_second,
           (SELECT count(*) FROM mig.range r WHERE r.migration_id = t.migration_id AND r.step_no = t.step_no AND r.state <> 'done') AS ranges_left,
           t.divergent, t.missing, t.started_at, coalesce(s.done_at, t.updated_at) AS updated_at
      FROM mig.task t
      JOIN mig.step s ON s.migration_id = t.migration_id AND s.no = t.step_no
      JOIN mig.status m ON m.id = t.migration_id;
COMMENT ON VIEW mig.progress IS 'one row per table and task (backfill, validate)';

CREATE VIEW mig.steps AS
    SELECT m.name, s.no AS step, s.phase, s.relation, s.lock_mode, s.rewrites, s.done_at,
           CASE WHEN pg_has_role(m.owner_name, 'USAGE') THEN s.sql END AS sql,
           CASE WHEN pg_has_role(m.owner_name, 'USAGE') THEN s.undo END AS undo, s.note
      FROM mig.step s JOIN mig.migration m ON m.id = s.migration_id
     WHERE m.database_name = current_database()
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
COMMENT ON VIEW mig.steps IS 'the stored plans: what each migration does, in order';

CREATE VIEW mig.events AS
    SELECT e.at, m.name, e.kind, e.detail, e.role_name, e.application_name, e.client_addr, e.pid, e.id
      FROM mig.event e JOIN mig.migration m ON m.id = e.migration_id
     WHERE m.database_name = current_database()
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
COMMENT ON VIEW mig.events IS 'the audit log, append-only';

CREATE VIEW mig.bad_rows AS
    SELECT m.name, b.relation, b.kind, b.column_name, b.key, b.error, b.seen_at
      FROM mig.bad_row b JOIN mig.migration m ON m.id = b.migration_id
     WHERE m.database_name = current_database() AND has_table_privilege(b.relid, 'SELECT')
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
COMMENT ON VIEW mig.bad_rows IS 'samples of rows whose up fails, or whose versions differ';

GRANT SELECT ON mig.status, mig.progress, mig.steps, mig.events, mig.bad_rows TO PUBLIC;

CREATE FUNCTION mig_status(name text DEFAULT NULL)
    RETURNS TABLE (name text, schema text, version_schema text, phase text, paused boolean, percent numeric, rows_done bigint,
                   rows_total bigint, rows_per_second numeric, eta interval, waiting_for text, divergent bigint, error text,
                   started_at timestamptz, updated_at timestamptz)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.name, s.schema, s.version_schema, s.phase, s.paused, s.percent, s.rows_done, s.rows_total, s.rows_per_second, s.eta,
           s.waiting_for, s.divergent, s.error, s.started_at, s.updated_at
      FROM mig.status s WHERE mig_status.name IS NULL OR s.name = mig_status.name ORDER BY s.id DESC;
END;
COMMENT ON FUNCTION mig_status(text) IS 'one row per migration, newest first';
