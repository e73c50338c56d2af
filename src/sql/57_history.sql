-- What has ended, and how to do it again elsewhere.
CREATE FUNCTION mig.may_see_definition(owner_name text, options jsonb) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT mig.may_see(may_see_definition.owner_name)
        OR EXISTS (SELECT FROM pg_roles r WHERE coalesce(may_see_definition.options -> 'operators', '[]') ? r.rolname::text AND pg_has_role(r.oid, 'USAGE'));
END;
COMMENT ON FUNCTION mig.may_see_definition(text, jsonb) IS 'may the current user see the definitions of that role''s migrations with these options?';

-- The order of keys is lost in jsonb, and in the columns of an index it counts: there they become an array.
CREATE FUNCTION mig.manifest(name text, schema_name text, definition text, options jsonb) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN definition !~ '^\s*{' THEN jsonb_build_object('ddl', definition)
                WHEN definition::jsonb ? 'ddl' THEN definition::jsonb
                ELSE definition::jsonb || jsonb_build_object('operations', (
                     SELECT jsonb_agg(CASE WHEN jsonb_typeof(o::jsonb #> '{create_index,columns}') = 'object'
                                      THEN jsonb_set(o::jsonb, '{create_index,columns}', (
                                           SELECT jsonb_agg(jsonb_build_object('column', c.key) || c.value::jsonb ORDER BY c.n)
                                             FROM json_each(o #> '{create_index,columns}') WITH ORDINALITY c (key, value, n)))
                                      ELSE o::jsonb END ORDER BY n)
                       FROM json_array_elements(definition::json -> 'operations') WITH ORDINALITY e (o, n)))
           END || jsonb_build_object('name', manifest.name, 'options',
               (SELECT coalesce(jsonb_object_agg(o.key, o.value), '{}') FROM jsonb_each(manifest.options) o WHERE o.key IN ('version_schema', 'up', 'down'))
               || jsonb_build_object('schema', manifest.schema_name));
END;
COMMENT ON FUNCTION mig.manifest(text, text, text, jsonb) IS 'a migration as a manifest for mig_start(), with those of its options that decide what comes of it';

CREATE VIEW mig.history AS
    SELECT m.id, m.name, m.schema_name AS schema, m.version_schema, m.phase AS outcome,
           CASE WHEN v.may THEN m.definition END AS definition, CASE WHEN v.may THEN m.options - 'held' END AS options,
           CASE WHEN v.may AND m.phase = 'completed' THEN mig.manifest(m.name, m.schema_name, m.definition, m.options) END AS manifest,
           m.started_at, m.ended_at, m.started_by,
           (SELECT e.role_name FROM mig.event e WHERE e.migration_id = m.id AND e.kind = 'phase' AND e.detail ->> 'to' IN ('completing', 'rolling_back')
             ORDER BY e.id DESC LIMIT 1) AS ended_by,
           (SELECT jsonb_object_agg(p.phase, p.seconds)
              FROM (SELECT q.phase, round(sum(extract(epoch FROM q.until - q.at)), 3) AS seconds
                      FROM (SELECT u.phase, u.at, lead(u.at) OVER (ORDER BY u.n) AS until
                              FROM (SELECT 0::bigint AS n, 'planned' AS phase, m.started_at AS at
                                    UNION ALL SELECT e.id, e.detail ->> 'to', e.at FROM mig.event e WHERE e.migration_id = m.id AND e.kind = 'phase') u) q
                     WHERE q.until IS NOT NULL GROUP BY q.phase) p) AS phase_seconds,
           (SELECT max((e.detail ->> 'locked_ms')::numeric) FROM mig.event e
             WHERE e.migration_id = m.id AND coalesce(e.detail ->> 'lock', 'ACCESS EXCLUSIVE') = 'ACCESS EXCLUSIVE') AS longest_lock_ms
      FROM mig.migration m, LATERAL (SELECT mig.may_see_definition(m.owner_name, m.options) AS may) v
     WHERE m.phase IN ('completed', 'rolled_back') AND m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
COMMENT ON VIEW mig.history IS 'one row per migration that has ended, with what mig_history() and mig_export() return';
GRANT SELECT ON mig.history TO PUBLIC;

CREATE FUNCTION mig_history(schema text DEFAULT NULL)
    RETURNS TABLE (name text, schema text, version_schema text, outcome text, definition text, options jsonb, started_at timestamptz, ended_at timestamptz,
                   started_by text, ended_by text, phase_seconds jsonb, longest_lock_ms numeric)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT h.name, h.schema, h.version_schema, h.outcome, h.definition, h.options, h.started_at, h.ended_at, h.started_by, h.ended_by, h.phase_seconds, h.longest_lock_ms
      FROM mig.history h WHERE mig_history.schema IS NULL OR h.schema = mig_history.schema ORDER BY h.id DESC;
END;
COMMENT ON FUNCTION mig_history(text) IS 'one row per migration that has ended, newest first';

CREATE FUNCTION mig_export(schema text DEFAULT NULL) RETURNS SETOF jsonb
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mig_export';
COMMENT ON FUNCTION mig_export(text) IS 'the completed migrations as manifests, in the order to start them elsewhere';
