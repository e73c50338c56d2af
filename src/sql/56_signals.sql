-- The signals by which migrations are paced.
CREATE FUNCTION mig.known_signals(throttle jsonb DEFAULT NULL)
    RETURNS TABLE (signal text, class text, unit text, "limit" double precision, critical double precision, meaning text)
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mig_known_signals';
COMMENT ON FUNCTION mig.known_signals(jsonb) IS 'the signals there are, and their limits under options.throttle like this and the settings of this session; NULL: off, or found by itself';

CREATE FUNCTION mig.read_signals(throttle jsonb DEFAULT NULL, relation regclass DEFAULT NULL)
    RETURNS TABLE (signal text, class text, unit text, "limit" double precision, critical double precision, value double precision, who text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_read_signals';
COMMENT ON FUNCTION mig.read_signals(jsonb, regclass) IS 'what the signals that are on say now, for a migration of that table with options.throttle like this';
REVOKE EXECUTE ON FUNCTION mig.read_signals(jsonb, regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mig.read_signals(jsonb, regclass) TO pg_monitor;

-- What was read last; limits of what was not read yet, or is off, are those of the settings of who asks.
CREATE VIEW mig.signals AS
    SELECT m.name, k.signal, k.class, k.unit,
           CASE WHEN r.reading IS NULL THEN k."limit" ELSE (r.reading ->> 'limit')::double precision END AS "limit",
           CASE WHEN r.reading IS NULL THEN k.critical ELSE (r.reading ->> 'critical')::double precision END AS critical,
           (r.reading ->> 'value')::double precision AS value, (r.reading ->> 'utilisation')::double precision AS utilisation,
           CASE WHEN mig.may_see(m.owner_name) THEN r.reading ->> 'who' WHEN r.reading ->> 'who' IS NOT NULL THEN '(shown to its owner)' END AS who,
           to_timestamp((r.reading ->> 'read_at')::double precision) AS read_at, coalesce(p.stopped_by = k.signal, false) AS stopping
      FROM mig.migration m
      JOIN mig.in_effect e ON e.id = m.id
      LEFT JOIN mig.pace p ON p.migration_id = m.id
     CROSS JOIN LATERAL mig.known_signals(e.options -> 'throttle') WITH ORDINALITY k
     CROSS JOIN LATERAL (SELECT p.readings -> k.signal AS reading) r
     WHERE m.phase NOT IN ('completed', 'rolled_back')
       AND m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     ORDER BY m.id DESC, k.ordinality;
COMMENT ON VIEW mig.signals IS 'one row per active migration and signal: what it said when it was read last, and its limits';
GRANT SELECT ON mig.signals TO PUBLIC;
