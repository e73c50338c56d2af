-- Every version schema that is there or may be: by it a version schema is told from a base schema. Readable by all: names only.
CREATE VIEW mig.version_schema AS
    SELECT m.id AS migration_id, m.version_schema AS schema_name, m.schema_name AS base_schema, m.phase
      FROM mig.migration m
     WHERE m.retired_at IS NULL AND m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system())
    UNION ALL
    SELECT m.id, m.schema_name || '_base', m.schema_name, 'completed'
      FROM mig.migration m
     WHERE m.retired_at IS NULL AND m.database_oid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND m.options ->> 'baseline' = 'true'
       AND m.system_identifier = (SELECT system_identifier FROM pg_control_system());
GRANT SELECT ON mig.version_schema TO PUBLIC;
COMMENT ON VIEW mig.version_schema IS 'schemas of views that show a version of a base schema';
