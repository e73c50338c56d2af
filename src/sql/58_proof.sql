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
        'events', (SELECT coalesce(jsonb_agg(to_jsonb(e) - 'migration_id' ORDER BY e.id), '[]') FROM mig.event e WHERE e.migration_id = m.id)) END AS report
      FROM mig.migration m
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
COMMENT ON VIEW mig.report IS 'one JSON document per migration: what mig_report() returns';
GRANT SELECT ON mig.report TO PUBLIC;

CREATE FUNCTION mig_report(name text) RETURNS jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mig_report';
COMMENT ON FUNCTION mig_report(text) IS 'all that is known of a migration as one JSON document, for the record';
