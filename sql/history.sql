-- What has ended, who may see it, and manifests that make the same again.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
CREATE ROLE regress_owner;
CREATE ROLE regress_operator;
CREATE ROLE regress_other;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_owner', current_database()) \gexec
CREATE SCHEMA trail AUTHORIZATION regress_owner;
CREATE SCHEMA copy AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA trail TO PUBLIC;

-- One of each kind, in a schema; one rolled back, one not ended
SET ROLE regress_owner;
SET search_path = trail;
CREATE PROCEDURE mt_do(name text, definition text, options jsonb DEFAULT '{}') LANGUAGE plpgsql AS $$
BEGIN
	PERFORM mig_start(name, definition, options);
	COMMIT;
	CALL mig_wait(name);
	PERFORM mig_complete(name);
	COMMIT;
	CALL mig_wait(name, until => 'completed');
END$$;
CALL mt_do('01', '{"operations": [{"create_table": {"name": "t", "columns": [{"name": "id", "type": "int", "pk": true}, {"name": "b", "type": "text", "nullable": true}]}}]}');
CALL mt_do('02', '  -- there and back
ALTER TABLE t ALTER b TYPE int USING b::int', '{"down": {"t.b": "b::text"}, "operators": ["regress_operator"], "workers": 1}');
CALL mt_do('03', '{"version_schema": "indexed", "operations": [{"create_index": {"name": "t_bid", "table": "t", "columns": {"id": {"sort": "DESC"}, "b": {}}}}, {"rename_table": {"from": "t", "to": "u"}}]}');
SELECT mig_start('04', 'ALTER TABLE u DROP b');
CALL mig_wait('04');
SELECT mig_rollback('04', 'no');
CALL mt_do('04', '{"ddl": "ALTER TABLE u ADD c int", "options": {"up": {"u.c": "b + 1"}}}', '{"version_schema": "fourth"}');
SELECT mig_start('05', 'ALTER TABLE u DROP c');
CALL mig_wait('05');
SELECT name, schema, version_schema, outcome, definition, options, started_at < ended_at AS times, started_by = session_user AS started_by_us, ended_by = session_user AS ended_by_us,
	(SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(phase_seconds) k) AS phases, longest_lock_ms >= 0 AS lock FROM mig_history('trail') \gx
SELECT count(*) FROM mig_history('copy');
SELECT count(*) FROM mig_history() WHERE schema = 'trail';
SELECT e FROM mig_export('trail') e;

-- The manifests as they are make the same again: here in another schema, under other names
DO $$
DECLARE e jsonb;
BEGIN
	CREATE TEMP TABLE manifests AS SELECT n, m FROM mig_export('trail') WITH ORDINALITY x (m, n);
	FOR e IN SELECT m FROM manifests ORDER BY n LOOP
		PERFORM mig_start('again ' || (e ->> 'name'), e::text, '{"schema": "copy"}');
		COMMIT;
		CALL mig_wait('again ' || (e ->> 'name'));
		PERFORM mig_complete('again ' || (e ->> 'name'));
		COMMIT;
		CALL mig_wait('again ' || (e ->> 'name'), until => 'completed');
	END LOOP;
END$$;
SELECT mig_rollback('05');
DROP PROCEDURE mt_do;
SELECT * FROM mt.differences('trail', 'copy');
SELECT count(*) FROM manifests a JOIN mig_export('copy') WITH ORDINALITY b (m, n) USING (n) WHERE a.m - 'name' = jsonb_set(b.m - 'name', '{options,schema}', '"trail"');

-- Where they have run they are no-ops
SELECT mig_start((m || '{"name": "01"}')::text) FROM manifests WHERE m ->> 'name' = '01';
SELECT mig_start(m::text) FROM manifests WHERE m ->> 'name' = '02';
SELECT mig_start(m::text) FROM manifests WHERE m ->> 'name' = '03';
SELECT mig_start('02', '{"ddl": "ALTER TABLE t DROP b"}');
SELECT mig_start('02', '{"ddl"');

-- A manifest of DDL: what it may say
SELECT * FROM mt.refused('{"ddl": "ALTER TABLE u DROP c", "operations": []}');
SELECT * FROM mt.refused('{"ddl": ""}');
SELECT * FROM mt.refused('{"ddl": ["ALTER TABLE u DROP c"]}');
SELECT * FROM mt.refused('{"ddl": "ALTER TABLE u DROP nothing"}');
SELECT * FROM mt.refused('{"ddl": "ALTER TABLE u ADD x int", "options": {"up": {"u.y": "1"}}}');
SELECT * FROM mt.refused('{"operations": [{"drop_column": {"table": "u", "column": "c"}}], "options": {"down": {"u.c": "1"}}}');
SELECT * FROM mt.refused('{"operations": [{"drop_column": {"table": "u", "column": "c"}}]}', '{"down": {"u.c": "1"}}');
SELECT mig_start('{"ddl": "ALTER TABLE u DROP c"}');

-- Who may see what
SET ROLE regress_operator;
SELECT name, outcome, definition, options FROM mig_history('trail');
SELECT * FROM mt.try('SELECT count(*) FROM mig_export(%L)', 'trail');
SET ROLE regress_other;
SELECT name, outcome, definition, options, started_by IS NOT NULL AS who FROM mig_history('trail');
SELECT * FROM mt.try('SELECT count(*) FROM mig_export(%L)', 'trail');
SELECT count(manifest) FROM mig.history WHERE schema = 'trail';
SELECT count(report) FROM mig.report WHERE name = '01';
SELECT * FROM mt.try('SELECT count(*) FROM mig_report(%L)', '01');
RESET ROLE;

-- All that is known of one
SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(mig_report('01')) k;
SELECT r ->> 'name' AS name, r ->> 'phase' AS phase, jsonb_array_length(r -> 'steps') = (SELECT count(*) FROM mig.steps WHERE name = '01') AS steps, r #>> '{events,0,kind}' AS first, r #>> '{events,-1,detail,to}' AS last,
	(SELECT count(*) FROM jsonb_array_elements(r -> 'events') e WHERE e ->> 'role_name' IS NULL OR e ->> 'at' IS NULL) AS incomplete FROM mig_report('01') r;
SELECT * FROM mt.try('SELECT mig_report(%L)', 'nothing');
SELECT count(*) FROM mig_export('trail');
GRANT pg_monitor TO regress_other;
SET ROLE regress_other;
SELECT count(*) FROM mig_export('trail');
SELECT mig_report('01') ->> 'name' AS name;
RESET ROLE;
RESET search_path;
SELECT mt.clean('trail', 'copy');
DROP OWNED BY regress_owner, regress_operator, regress_other;
DROP ROLE regress_owner, regress_operator, regress_other;
