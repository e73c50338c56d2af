-- Proof before trust: looking before starting, and the record afterwards.
CREATE FUNCTION mig_rehearse(definition text, rows int DEFAULT 10000, options jsonb DEFAULT '{}')
    RETURNS TABLE (relation text, column_name text, finding text, rows bigint, found bigint, sample jsonb, note text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_rehearse';
COMMENT ON FUNCTION mig_rehearse(text, int, jsonb) IS 'up, down and new rules on sampled rows, without changing anything: what fails, becomes NULL or does not come back; size and time of the whole';

CREATE VIEW mig.report AS
    SELECT m.id, m.name, CASE WHEN mig.may_see_definition(m.owner_name, m.options) THEN
        to_jsonb(m) - 'database_oid' - 'id' || jsonb_build_object(
        'options', m.options - 'held',
        'server_version', current_setting('server_version'), 'extension_version', (SELECT extversion FROM pg_extension WHERE extname = 'mig_control'), 'reported_at', clock_timestamp(),
        'steps', (SELECT coalesce(jsonb_agg(to_jsonb(s) - 'migration_id' - 'relid' ORDER BY s.no), '[]') FROM mig.step s WHERE s.migration_id = m.id),
        'tables', (SELECT coalesce(jsonb_agg(to_jsonb(t) - 'migration_id' - 'relid' ORDER BY t.no), '[]') FROM mig.migrated_table t WHERE t.migration_id = m.id),
        'tasks', (SELECT coalesce(jsonb_agg(to_jsonb(t) - 'migration_id' - 'relid' - 'relfilenode' || jsonb_build_object('ranges_left',
                         (SELECT count(*) FROM mig.range r WHERE r.migration_id = m.id AND r.step_no = t.step_no AND r.state <> 'done')) ORDER BY t.step_no), '[]')
                    FROM mig.task t WHERE t.migration_id = m.id),
        'bad_rows', (SELECT coalesce(jsonb_agg(to_jsonb(b) - 'migration_id' - 'relid' - 'id' ORDER BY b.id), '[]') FROM mig.bad_row b
                      WHERE b.migration_id = m.id AND has_table_privilege(b.relid, 'SELECT')),
        'consumers', (SELECT coalesce(jsonb_agg(to_jsonb(c) - 'migration_id' ORDER BY c.version, c.role_name, c.application), '[]') FROM mig.consumer c WHERE c.migration_id = m.id),
        'drift', (SELECT coalesce(jsonb_agg(to_jsonb(d) - 'migration_id' - 'relid' - 'leaf' - 'id' ORDER BY d.id), '[]') FROM mig.drift_row d
                   WHERE d.migration_id = m.id AND has_table_privilege(d.leaf, 'SELECT')),
        'passes', (SELECT coalesce(jsonb_agg(to_jsonb(p) - '{id,migration_id,relid,leaf,next_block,next_xid,oldest_xid}'::text[] ORDER BY p.id), '[]') FROM mig.pass p WHERE p.migration_id = m.id),
        'epochs', (SELECT coalesce(jsonb_agg(to_jsonb(e) - 'migration_id' ORDER BY e.epoch), '[]') FROM mig.epoch e WHERE e.migration_id = m.id),
        'gates', (SELECT coalesce(jsonb_agg(to_jsonb(g) - 'migration_id' ORDER BY g.name), '[]') FROM mig.gate g WHERE g.migration_id = m.id),
        'approvals', (SELECT coalesce(jsonb_agg(to_jsonb(a) - 'migration_id' - 'id' - 'event_id' ORDER BY a.id), '[]') FROM mig.approval a WHERE a.migration_id = m.id),
        'checks', (SELECT coalesce(jsonb_agg(to_jsonb(c) - 'migration_id' || jsonb_build_object('runs',
                         (SELECT coalesce(jsonb_agg(to_jsonb(r) - 'migration_id' - 'check_name' - 'id' ORDER BY r.id), '[]') FROM mig.check_run r WHERE r.migration_id = m.id AND r.check_name = c.name)) ORDER BY c.name), '[]')
                    FROM mig.business_check c WHERE c.migration_id = m.id),
        'restore_points', (SELECT coalesce(jsonb_agg(e.detail || jsonb_build_object('at', e.at) ORDER BY e.id), '[]') FROM mig.event e WHERE e.migration_id = m.id AND e.kind = 'restore point'),
        'events', (SELECT coalesce(jsonb_agg(to_jsonb(e) - 'migration_id' ORDER BY e.id), '[]') FROM mig.event e WHERE e.migration_id = m.id)) END AS report
      FROM mig.migration m
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
COMMENT ON VIEW mig.report IS 'one JSON document per migration: what mig_report() returns';
GRANT SELECT ON mig.report TO PUBLIC;

CREATE FUNCTION mig_report(name text) RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mig_report';
COMMENT ON FUNCTION mig_report(text) IS 'all that is known of a migration as one JSON document, for the record';

CREATE FUNCTION mig_check_add(name text, check_name text, sql text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_check_add';
COMMENT ON FUNCTION mig_check_add(text, text, text, jsonb) IS 'adds a business check to a migration: an assertion, or a comparison of the versions, as a whole or by segment';

CREATE FUNCTION mig_check_drop(name text, check_name text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_check_drop';
COMMENT ON FUNCTION mig_check_drop(text, text) IS 'takes a business check away; its results stay';

CREATE FUNCTION mig_check(name text, which text DEFAULT NULL)
    RETURNS TABLE (check_name text, segment jsonb, old_value text, new_value text, ok boolean, failure text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_check';
COMMENT ON FUNCTION mig_check(text, text) IS 'runs business checks now, and keeps their results';

CREATE VIEW mig.check_results AS
    SELECT m.name, r.check_name, r.started_at::timestamptz(3) AS started_at, r.ms, coalesce(r.wrong = 0 AND r.failure IS NULL AND r.ended_at IS NOT NULL, false) AS green, r.failure,
           CASE WHEN mig.may_see(m.owner_name) THEN x.segment END AS segment,
           CASE WHEN mig.may_see(m.owner_name) THEN x.old_value END AS old_value, CASE WHEN mig.may_see(m.owner_name) THEN x.new_value END AS new_value, x.ok, r.run_by
      FROM mig.check_run r JOIN mig.migration m ON m.id = r.migration_id LEFT JOIN mig.check_result x ON x.run_id = r.id
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     ORDER BY r.id DESC, x.ok;
COMMENT ON VIEW mig.check_results IS 'runs of business checks, newest first, one row per segment';
GRANT SELECT ON mig.check_results TO PUBLIC;

CREATE VIEW mig.checks AS
    SELECT p.id, m.name, p.relation, p.kind, p.started_at::timestamptz(3) AS started_at, p.ended_at::timestamptz(3) AS ended_at, p.epoch, p.clean, p.ranges, p.checked, p.divergent,
           p.missing, p.violating, p.repaired, p.old_digest, p.old_sum, p.new_digest, p.new_sum, p.started_lsn AS lsn
      FROM mig.pass p JOIN mig.migration m ON m.id = p.migration_id
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     ORDER BY p.id DESC;
COMMENT ON VIEW mig.checks IS 'evidence: what each pass over a table has seen, newest first';

CREATE VIEW mig.epochs AS
    SELECT m.name, e.epoch, e.began_at::timestamptz(3) AS began_at, e.why, e.detail
      FROM mig.epoch e JOIN mig.migration m ON m.id = e.migration_id
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     ORDER BY m.id DESC, e.epoch DESC;
COMMENT ON VIEW mig.epochs IS 'when writes may have got past the sync triggers, and why';
GRANT SELECT ON mig.checks, mig.epochs TO PUBLIC;

CREATE FUNCTION mig_gates(name text) RETURNS TABLE (gate text, before text, open boolean, value text, "limit" text, overridable boolean)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_gates';
COMMENT ON FUNCTION mig_gates(text) IS 'asks the gates of a migration now: what has to hold before its next phases';

CREATE FUNCTION mig_approve(name text, comment text DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_approve';
COMMENT ON FUNCTION mig_approve(text, text) IS 'approves a migration, as one of its approvers';

CREATE VIEW mig.gates AS
    SELECT m.name, g.name AS gate, g.before, g.open,
           CASE WHEN mig.may_see(m.owner_name) THEN coalesce(g.failure, g.value) WHEN coalesce(g.failure, g.value) IS NOT NULL THEN '(shown to its owner)' END AS value,
           g.limit_text AS "limit", g.since::timestamptz(0) AS since, g.checked_at::timestamptz(0) AS checked_at, g.overridable
      FROM mig.gate g JOIN mig.migration m ON m.id = g.migration_id
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     ORDER BY m.id DESC, g.before DESC, g.name;
COMMENT ON VIEW mig.gates IS 'gates as they were when somebody last looked; mig_gates() asks them now';
GRANT SELECT ON mig.gates TO PUBLIC;
