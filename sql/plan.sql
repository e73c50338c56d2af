-- What mig_plan shows: it is the plan that mig_start stores and runs.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null -
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, b int CONSTRAINT small CHECK (b < 1000), c date DEFAULT '2024-01-01');
CREATE INDEX t_a ON t (a);
CREATE TABLE untouched (id int);
CREATE TABLE keyless (a int);
INSERT INTO t VALUES (1, '1', 1);
SELECT mt.remember('app');

-- The whole of one
SELECT step, phase, relation, lock_mode, rewrites, mt.mask(sql) AS sql, note FROM mig_plan('v2', 'ALTER TABLE t ALTER a TYPE int USING a::int, ALTER b SET NOT NULL', '{"down": {"t.a": "a::text"}}');

-- Locks and notes of each operation, the views of other tables left out
CREATE FUNCTION mt.plan(definition text, options jsonb DEFAULT '{}') RETURNS TABLE (line text) LANGUAGE sql AS $$
	SELECT concat_ws('; ', phase, relation, lock_mode, CASE WHEN rewrites THEN 'REWRITES' END, replace(note, '; ', ', ')) FROM mig_plan('v2', definition, options) WHERE relation IS NOT NULL AND relation !~ 'untouched|keyless' ORDER BY step
$$;
SELECT * FROM mt.plan('ALTER TABLE t ADD x int');
SELECT * FROM mt.plan('ALTER TABLE t ADD x int NOT NULL DEFAULT 1');
SELECT * FROM mt.plan('ALTER TABLE t ADD x timestamptz DEFAULT clock_timestamp()');
SELECT * FROM mt.plan('ALTER TABLE t ADD x int', '{"up": {"t.x": "b * 2"}}');
SELECT * FROM mt.plan('ALTER TABLE t DROP b');
SELECT * FROM mt.plan('ALTER TABLE t DROP a', '{"down": {"t.a": "b::text"}}');
SELECT * FROM mt.plan('ALTER TABLE t RENAME b TO x');
SELECT * FROM mt.plan('ALTER TABLE t RENAME TO x');
SELECT * FROM mt.plan('ALTER TABLE t ALTER b TYPE bigint');
SELECT * FROM mt.plan('ALTER TABLE t ALTER b TYPE bigint', '{"down": {"t.b": "b::int"}}');
SELECT * FROM mt.plan('ALTER TABLE t ALTER b SET NOT NULL');
SELECT * FROM mt.plan('ALTER TABLE t ALTER b SET NOT NULL', '{"up": {"t.b": "coalesce(b, 0)"}}');
SELECT * FROM mt.plan('ALTER TABLE t ALTER a DROP NOT NULL');
SELECT * FROM mt.plan('ALTER TABLE t ALTER b SET DEFAULT 5');
SELECT * FROM mt.plan('ALTER TABLE t ADD CHECK (b > 0)');
SELECT * FROM mt.plan('ALTER TABLE t ADD CHECK (b > 0)', '{"up": {"t.b": "abs(b)"}}');
SELECT * FROM mt.plan('ALTER TABLE t DROP CONSTRAINT small');
SELECT * FROM mt.plan('COMMENT ON COLUMN t.b IS ''x''');
SELECT * FROM mt.plan('ALTER TABLE t ALTER c TYPE text USING c || random()::text');
SELECT line FROM mig_plan('v2', 'ALTER TABLE keyless ALTER a TYPE text') p, concat_ws('; ', p.phase, p.lock_mode, p.note) line WHERE p.relation = 'app.keyless' AND p.note IS NOT NULL;

-- DDL and JSON make the same plan
CREATE FUNCTION mt.same(ddl text, manifest text, options jsonb DEFAULT '{}') RETURNS TABLE (d text, j text) LANGUAGE sql AS $$
	SELECT d, j FROM mig_plan('v2', ddl, options) d FULL JOIN mig_plan('v2', manifest) j ON d = j WHERE d IS NULL OR j IS NULL
$$;
SELECT * FROM mt.same('ALTER TABLE t ADD x int', '{"operations": [{"add_column": {"table": "t", "column": {"name": "x", "type": "int", "nullable": true}}}]}');
SELECT * FROM mt.same('ALTER TABLE t ADD x int NOT NULL DEFAULT 5 CONSTRAINT k CHECK (x > 0); COMMENT ON COLUMN t.x IS ''y''', '{"operations": [{"add_column": {"table": "t", "column": {"name": "x", "type": "int", "default": "5", "comment": "y", "check": {"name": "k", "constraint": "x > 0"}}}}]}');
SELECT * FROM mt.same('ALTER TABLE t ADD x int NOT NULL', '{"operations": [{"add_column": {"table": "t", "column": {"name": "x", "type": "int"}, "up": "coalesce(b, 0)"}}]}', '{"up": {"t.x": "coalesce(b, 0)"}}');
SELECT * FROM mt.same('ALTER TABLE t DROP a', '{"operations": [{"drop_column": {"table": "t", "column": "a", "down": "b::text"}}]}', '{"down": {"t.a": "b::text"}}');
SELECT * FROM mt.same('ALTER TABLE t RENAME b TO x', '{"operations": [{"rename_column": {"table": "t", "from": "b", "to": "x"}}]}');
SELECT * FROM mt.same('ALTER TABLE t RENAME TO x', '{"operations": [{"rename_table": {"from": "t", "to": "x"}}]}');
SELECT * FROM mt.same('ALTER TABLE t RENAME CONSTRAINT t_pkey TO x', '{"operations": [{"rename_constraint": {"table": "t", "from": "t_pkey", "to": "x"}}]}');
SELECT * FROM mt.same('ALTER TABLE t ALTER b TYPE numeric(10,2) USING b * 2', '{"operations": [{"alter_column": {"table": "t", "column": "b", "type": "numeric(10,2)", "up": "b * 2", "down": "b / 2"}}]}', '{"down": {"t.b": "b / 2"}}');
SELECT * FROM mt.same('ALTER TABLE t ALTER b SET NOT NULL', '{"operations": [{"alter_column": {"table": "t", "column": "b", "nullable": false, "up": "b"}}]}');
SELECT * FROM mt.same('ALTER TABLE t ALTER b SET NOT NULL', '{"operations": [{"alter_column": {"table": "t", "column": "b", "nullable": false, "up": "SELECT coalesce(b, 1)"}}]}', '{"up": {"t.b": "SELECT coalesce(b, 1)"}}');
SELECT * FROM mt.same('ALTER TABLE t ALTER a DROP NOT NULL', '{"operations": [{"alter_column": {"table": "t", "column": "a", "nullable": true, "down": "coalesce(a, ''x'')"}}]}', '{"down": {"t.a": "coalesce(a, ''x'')"}}');
SELECT * FROM mt.same('ALTER TABLE t ALTER b SET DEFAULT 7', '{"operations": [{"alter_column": {"table": "t", "column": "b", "default": "7"}}]}');
SELECT * FROM mt.same('ALTER TABLE t ALTER c DROP DEFAULT', '{"operations": [{"alter_column": {"table": "t", "column": "c", "default": null}}]}');
SELECT * FROM mt.same('COMMENT ON COLUMN t.b IS ''x''', '{"operations": [{"alter_column": {"table": "t", "column": "b", "comment": "x"}}]}');
SELECT * FROM mt.same('ALTER TABLE t ADD CONSTRAINT k CHECK (b > 0)', '{"operations": [{"create_constraint": {"table": "t", "name": "k", "type": "check", "columns": ["b"], "check": "b > 0", "up": {"b": "b"}, "down": {"b": "b"}}}]}');
SELECT * FROM mt.same('ALTER TABLE t ADD CONSTRAINT k CHECK (b > 0)', '{"operations": [{"alter_column": {"table": "t", "column": "b", "check": {"name": "k", "constraint": "b > 0"}, "up": "abs(b)", "down": "b"}}]}', '{"up": {"t.b": "abs(b)"}}');
SELECT * FROM mt.same('ALTER TABLE t DROP CONSTRAINT small', '{"operations": [{"drop_constraint": {"table": "t", "name": "small", "up": "b", "down": "b"}}]}');

-- The plan looks at the rows that are there: those that would break a rule, by key; what is repaired by up does not
CREATE TABLE r (id int PRIMARY KEY, b int);
INSERT INTO r SELECT i, CASE WHEN i % 4 > 0 THEN i END FROM generate_series(1, 12) i;
SELECT phase, sql, note FROM mig_plan('v2', 'ALTER TABLE r ALTER b SET NOT NULL, ADD CONSTRAINT odd CHECK (b % 3 > 0)') WHERE note ~ 'WARNING';
SELECT phase, note FROM mig_plan('v2', 'ALTER TABLE r ALTER b SET NOT NULL', '{"up": {"r.b": "coalesce(b, 1)"}}') WHERE note ~ 'WARNING';
SELECT phase, note FROM mig_plan('v2', 'ALTER TABLE r ADD CONSTRAINT x CHECK (10 / (id - 3) < 100)') WHERE note ~ 'cannot be looked at';
-- So are values that collide in a new key, and rows that refer to nothing
CREATE TABLE s (id$1 int PRIMARY KEY);
INSERT INTO s VALUES (1), (2);
SELECT phase, note FROM mig_plan('v2', 'ALTER TABLE r ADD UNIQUE (b), ADD FOREIGN KEY (b) REFERENCES s') WHERE note ~ 'WARNING';
SELECT phase, note FROM mig_plan('v2', 'ALTER TABLE r ALTER b TYPE int USING b / 4; CREATE UNIQUE INDEX ON r (b); ALTER TABLE r ADD UNIQUE (b, id), ADD FOREIGN KEY (b) REFERENCES s') WHERE note ~ 'WARNING';
DROP TABLE r, s;

-- The stored plan is the one shown; name, version schema and options from the manifest; version_schema by option
CREATE TABLE mt.shown AS SELECT * FROM mig_plan('{"name": "v3", "version_schema": "three", "options": {"hold": ["expanding"]}, "operations": [{"alter_column": {"table": "t", "column": "b", "type": "bigint", "up": "b", "down": "b"}}]}');
SELECT * FROM mt.changes('app');
SELECT mig_start('{"name": "v3", "version_schema": "three", "options": {"hold": ["expanding"]}, "operations": [{"alter_column": {"table": "t", "column": "b", "type": "bigint", "up": "b", "down": "b"}}]}');
SELECT name, version_schema, phase, paused FROM mig_status('v3');
SELECT step, phase, relation, lock_mode, rewrites, sql, note FROM mt.shown EXCEPT SELECT step, phase, relation, lock_mode, rewrites, sql, note FROM mig.steps WHERE name = 'v3';
SELECT (SELECT count(*) FROM mt.shown) - (SELECT count(*) FROM mig.steps WHERE name = 'v3') AS missing;
SELECT mig_rollback('v3');
SELECT mig_start('v4', 'ALTER TABLE t ADD x int', '{"version_schema": "vier", "hold": ["expanding"]}');
SELECT mig_rollback('v4');
SELECT * FROM mt.changes('app');
RESET search_path;
SELECT mt.clean('app');
DROP TABLE mt.shown;
