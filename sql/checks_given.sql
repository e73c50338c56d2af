-- Business checks in a definition's options, and a second opinion on each row: options.checks, options.verify.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null -
\set VERBOSITY terse
CREATE SCHEMA cg;
SET search_path = cg;
CREATE TABLE t (k int PRIMARY KEY, region text, a int);
CREATE TABLE empty (k int PRIMARY KEY, a int);
INSERT INTO t SELECT i, CASE WHEN i % 2 = 0 THEN 'north' ELSE 'south' END, i FROM generate_series(1, 10) i;
CREATE PROCEDURE try(options jsonb) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM mig_start('cg0', 'ALTER TABLE t ALTER a TYPE bigint USING a * 100', options);
	RAISE WARNING 'started';
EXCEPTION WHEN OTHERS THEN RAISE WARNING '%: %', SQLSTATE, SQLERRM;
END $$;
CALL try('{"checks": {"c": {"kind": "unheard of"}}}');
CALL try('{"checks": {"c": "SELECT nothing"}}');
CALL try('{"checks": {"c": 1}}');
CALL try('{"checks": []}');
CALL try('{"verify": {"t.a": "new.a = older.a"}}');
CALL try('{"verify": {"nowhere.a": "new.a = old.a"}}');
CALL try('{"verify": {"t.a": 3}}');
-- The definition says how a row is to look, in words of its own; a manifest carries it
SELECT mig_start('{"name": "cg1", "operations": [{"alter_column": {"table": "t", "column": "a", "type": "bigint", "up": "a * 100", "down": "a / 100"}},
    {"alter_column": {"table": "empty", "column": "a", "type": "bigint", "up": "a", "down": "a"}}],
  "options": {"drift": false, "verify": {"t.a": "new.a = old.a * 100"}, "checks": {
    "by region": {"kind": "sum", "table": "t", "column": "a", "old": "a * 100", "by": "region"},
    "rows of it": {"kind": "rows", "table": "t", "holds": "old.region = new.region", "by": "new.region"},
    "few": "SELECT count(*) < 11 FROM cg.t",
    "nothing": {"kind": "count", "table": "empty"},
    "nothing differs": {"kind": "rows", "table": "empty", "holds": "old.a = new.a"}}}}');
CALL mig_wait('cg1');
SELECT value FROM mig_gates('cg1') WHERE gate = 'checks';
SELECT check_name, segment, old_value, new_value, ok, failure FROM mig_check('cg1') ORDER BY 1, 2;
-- A row that one segment's totals show, and the second opinion
INSERT INTO cg_cg1.t VALUES (11, 'south', 1150);
SELECT check_name, segment, old_value, new_value, ok FROM mig_check('cg1') WHERE NOT ok ORDER BY 1, 2;
SELECT mig_complete('cg1');
SELECT open, value FROM mig_gates('cg1') WHERE gate = 'checks';
DELETE FROM cg_cg1.t WHERE k = 11;
SELECT mig_complete('cg1');
CALL mig_wait('cg1', until => 'completed');
SELECT count(*) FROM mig.check_results WHERE name = 'cg1' AND check_name = 'verify t.a' AND green;
DROP SCHEMA cg CASCADE;
