-- The drift watch.
CREATE VIEW mig.drift AS
    SELECT m.name, d.found_at::timestamptz(3) AS found_at, d.relation, d.key, d.column_name, d.kind, d.old_value, d.new_value, d.expected, d.error, d.found_by, d.pass_id AS pass, d.epoch,
           d.seen_at::timestamptz(3) AS seen_at, d.gone_at::timestamptz(3) AS gone_at
      FROM mig.drift_row d JOIN mig.migration m ON m.id = d.migration_id
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
       AND coalesce(has_table_privilege(d.leaf, 'SELECT') AND NOT row_security_active(d.leaf), mig.may_see(m.owner_name))
     ORDER BY d.id DESC;
COMMENT ON VIEW mig.drift IS 'rows in which the versions were found to differ while both were in use, newest first; gone_at: no longer so';

CREATE VIEW mig.watch AS
    SELECT m.name, CASE WHEN m.phase <> 'ready' OR m.paused OR NOT o.on THEN false ELSE w.failure IS NULL END AS watching,
           o.duty, o.reaction, f.since::timestamptz(3) AS fenced_since, w.sweep_at::timestamptz(3) AS last_sweep, p.ended_at::timestamptz(3) AS last_pass, p.clean AS last_pass_clean,
           p.lasted AS pass_lasted, CASE WHEN mig.may_see(m.owner_name) THEN w.failure WHEN w.failure IS NOT NULL THEN '(shown to its owner)' END AS failure
      FROM mig.migration m
      JOIN mig.watcher w ON w.migration_id = m.id
      CROSS JOIN LATERAL (SELECT coalesce(m.options -> 'drift', '{}') <> 'false' AS on, coalesce(m.options #>> '{drift,duty}', current_setting('mig_control.drift_duty', true))::float8 AS duty,
                                 coalesce(m.options #>> '{drift,reaction}', 'alarm') AS reaction) o
      LEFT JOIN LATERAL (SELECT min(since) AS since FROM mig.fence f WHERE f.migration_id = m.id) f ON true
      LEFT JOIN LATERAL (SELECT max(l.ended_at) AS ended_at, bool_and(l.clean AND l.epoch = m.epoch) AS clean, sum(l.ended_at - l.started_at) AS lasted
                           FROM (SELECT DISTINCT ON (p.relid) p.* FROM mig.pass p WHERE p.migration_id = m.id AND p.kind = 'watch' AND p.ended_at IS NOT NULL
                                  ORDER BY p.relid, p.ended_lsn DESC, p.id DESC) l) p ON true
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     ORDER BY m.id DESC;
COMMENT ON VIEW mig.watch IS 'the drift watch of each migration that has been ready: at what duty, when it last looked, what it has fenced';
GRANT SELECT ON mig.drift, mig.watch TO PUBLIC;
