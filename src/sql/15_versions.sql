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

-- Steps of a migration call these, as its owner; they make and drop what the caller may make and drop.
CREATE FUNCTION mig.make_views(base text, version text, "except" text[]) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_make_views';
COMMENT ON FUNCTION mig.make_views(text, text, text[])
    IS 'makes a view of each table of a base schema, but those listed, that a version schema does not show yet; a table under an earlier active migration is shown as that shows it';

CREATE FUNCTION mig.drop_views(version text, "all" boolean DEFAULT false) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_drop_views';
COMMENT ON FUNCTION mig.drop_views(text, boolean)
    IS 'drops the views of a version schema, but closed ones; of a version that was open, closes those that stand on another version or on tables that it has created, or all, and leaves the others';

CREATE FUNCTION mig.make_current(base text, version text, tables text[]) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_make_current';
COMMENT ON FUNCTION mig.make_current(text, text, text[])
    IS 'makes a version the current one: other versions'' views of these tables are closed, its own views that stood on another version stand on the tables';

CREATE FUNCTION mig.drop_version(version text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'mig_drop_version';
COMMENT ON FUNCTION mig.drop_version(text) IS 'drops all views of a version schema, and the schema';

-- Identity columns until the swap, and in it.
CREATE FUNCTION mig.next_identity(sequence regclass) RETURNS bigint
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mig_next_identity';
COMMENT ON FUNCTION mig.next_identity(regclass) IS 'the next value of a table''s own sequence, for those who may write to the table: default of a version''s identity column';

CREATE FUNCTION mig.make_identity(relation regclass, "column" name, sequence regclass, kind "char") RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mig_make_identity';
REVOKE EXECUTE ON FUNCTION mig.make_identity(regclass, name, regclass, "char") FROM PUBLIC;
COMMENT ON FUNCTION mig.make_identity(regclass, name, regclass, "char") IS 'makes a sequence that a column of the table owns the identity of another of its columns';

CREATE FUNCTION mig.make_generated(relation regclass, "column" name, expression text) RETURNS void
    LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'mig_make_generated';
REVOKE EXECUTE ON FUNCTION mig.make_generated(regclass, name, text) FROM PUBLIC;
COMMENT ON FUNCTION mig.make_generated(regclass, name, text) IS 'makes a column, which has its values, a stored generated one';

CREATE FUNCTION mig.free_type(type oid) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mig_free_type';
COMMENT ON FUNCTION mig.free_type(oid) IS 'makes the closed views of versions that have columns of a type again without it, so that the type can be dropped';

-- A step of the swap.
CREATE FUNCTION mig.carry(relation regclass, columns name[], sql text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mig_carry';
COMMENT ON FUNCTION mig.carry(regclass, name[], text) IS 'runs statements, as the caller, that put others in the place of a table''s columns: what uses them is dropped before and made again afterwards';

CREATE FUNCTION mig.for_partition(parent regclass, partition text, index text, sql text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mig_for_partition';
COMMENT ON FUNCTION mig.for_partition(regclass, text, text, text) IS 'runs SQL, as the caller, if that table is still a partition of the parent, and has that index';

CREATE FUNCTION mig.name_partition_indexes(relation regclass) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mig_name_partition_indexes';
COMMENT ON FUNCTION mig.name_partition_indexes(regclass) IS 'gives indexes of partitions that were made during a migration the names they would have without it';
