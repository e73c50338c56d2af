-- What goes wrong between ready and complete is found before the old columns go.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
CREATE SCHEMA app;
SET search_path = app;
CREATE FUNCTION rate(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 100';
CREATE TABLE t (k int PRIMARY KEY, a int);
INSERT INTO t VALUES (1, 1), (2, 2);
SELECT mig_start('m', 'ALTER TABLE t ALTER a TYPE bigint USING rate(a)', '{"down": {"t.a": "a / 100"}, "drift": false, "gates": {"verified": {"overridable": true}}}');
CALL mig_wait('m');
-- a function that lies from now on: rows filled before and rows written since do not agree
CREATE OR REPLACE FUNCTION rate(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 1000';
INSERT INTO t VALUES (3, 3);
SELECT relation, checked, divergent, repaired FROM mig_validate('m');
\set VERBOSITY terse
-- the gate is closed; whoever passes it by force, as this migration allows, gets to the fence, and not further
SELECT mig_complete('m');
SELECT mig_complete('m', force => true);
SELECT mig_complete('m', force => true, reason => 'see how far that goes');
CALL mig_wait('m', until => 'completed');
SELECT phase, divergent, error FROM mig_status('m');
SELECT kind, column_name, key FROM mig.bad_rows ORDER BY key;
SELECT conname FROM pg_constraint WHERE conrelid = 'app.t'::regclass AND conname LIKE '\_mig%';
-- mended, it completes
CREATE OR REPLACE FUNCTION rate(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 100';
UPDATE t SET a = 4 WHERE k = 3;
SELECT mig_complete('m');
SELECT relation, checked, divergent, repaired FROM mig_validate('m');
SELECT mig_complete('m');
CALL mig_wait('m', until => 'completed');
SELECT phase, divergent, error FROM mig_status('m');
SELECT * FROM t ORDER BY k;
DROP SCHEMA app CASCADE;
