-- Who uses which version.
CREATE FUNCTION mig.consumers_now()
    RETURNS TABLE (migration_id bigint, version text, role_name text, application text, pids int[], last_read timestamptz, last_write timestamptz,
                   reads bigint, writes bigint, errors bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_consumers_now';
COMMENT ON FUNCTION mig.consumers_now() IS 'who uses a version of an active migration now, with what mig.consumer does not have yet; without preload, whose transactions hold locks on it';

CREATE VIEW mig.consumers AS
    SELECT m.name, c.version, c.role_name AS role, c.application, coalesce(max(cardinality(c.pids)), 0) AS sessions, max(c.last_read) AS last_read, max(c.last_write) AS last_write,
           sum(c.reads)::bigint AS reads, sum(c.writes)::bigint AS writes, sum(c.errors)::bigint AS errors, max(c.pids) AS pids
      FROM (SELECT migration_id, version, role_name, application, NULL::int[] AS pids, last_read, last_write, reads, writes, errors FROM mig.consumer
            UNION ALL
            SELECT n.* FROM mig.consumers_now() n) c
      JOIN mig.migration m ON m.id = c.migration_id
     WHERE m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
     GROUP BY m.id, c.version, c.role_name, c.application
     ORDER BY m.id DESC, c.version DESC, greatest(max(c.last_read), max(c.last_write)) DESC;
COMMENT ON VIEW mig.consumers IS 'which roles and applications use, or have used, which version of a migration, and when';
GRANT SELECT ON mig.consumers TO PUBLIC;

CREATE FUNCTION mig.old_version_use(name text, idle interval DEFAULT '5 minutes', OUT sessions int, OUT who text, OUT last_write timestamptz) RETURNS SETOF record
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_old_version_use';
COMMENT ON FUNCTION mig.old_version_use(text, interval) IS 'how many other sessions use the old version of a migration, or have done within that time, and when it was last written; NULL: not known, and who says why';
