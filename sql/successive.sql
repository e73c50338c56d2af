-- Many migrations of one table, one after the other: attribute numbers are for a table's life, and there are 1600.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
CREATE SCHEMA successive;
SET search_path = successive;
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT i, i, i FROM generate_series(1, 10) i;
CREATE INDEX t_a ON t (a);

-- A change of type there and back is two numbers each time: the new column, and the state of the rows
CREATE PROCEDURE mt_successive(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM mig_start('successive_' || i, CASE i % 2 WHEN 1 THEN 'ALTER TABLE t ALTER a TYPE bigint' ELSE 'ALTER TABLE t ALTER a TYPE int' END);
		COMMIT;
		CALL mig_run('successive_' || i, until => 'ready');
		PERFORM mig_complete('successive_' || i);
		COMMIT;
		CALL mig_run('successive_' || i, until => 'completed');
		PERFORM mig_retire('successive_' || i - 1, '0') WHERE i > 1;
		COMMIT;
	END LOOP;
END$$;
CALL mt_successive(30);
SELECT max(attnum) - 3 AS used, count(*) FILTER (WHERE NOT attisdropped) AS live, max(attnum) - 3 <= 2 * 30 AS at_most_two FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0;
SELECT count(*), sum(a) FROM t;
SELECT indexdef FROM pg_indexes WHERE schemaname = 'successive' ORDER BY 1;
SELECT count(*) FROM mig_history('successive') WHERE outcome = 'completed';

-- What changes no data takes none, and what is rolled back takes them, too
SELECT mig_start('successive_n1', 'ALTER TABLE t RENAME b TO c; ALTER TABLE t ADD CHECK (a > 0), ALTER a SET NOT NULL, ALTER a SET DEFAULT 5');
CALL mig_run('successive_n1');
SELECT mig_complete('successive_n1');
CALL mig_run('successive_n1', until => 'completed');
SELECT max(attnum) - 3 AS used FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0;
SELECT mig_start('successive_n2', 'ALTER TABLE t ALTER a TYPE bigint');
CALL mig_run('successive_n2');
SELECT mig_rollback('successive_n2');
SELECT max(attnum) - 3 AS used FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0;

-- The plan warns when fewer than 200 are left, and a start for which there are too few leaves nothing
CREATE TABLE wide (id int PRIMARY KEY, a int);
CREATE PROCEDURE mt_widen(upto int) LANGUAGE plpgsql AS $$
DECLARE n int := (SELECT max(attnum) FROM pg_attribute WHERE attrelid = 'wide'::regclass);
BEGIN
	EXECUTE 'ALTER TABLE wide ' || (SELECT string_agg(format('ADD x%s int', i), ', ') FROM generate_series(n + 1, upto) i);
	EXECUTE 'ALTER TABLE wide ' || (SELECT string_agg(format('DROP x%s', i), ', ') FROM generate_series(n + 1, upto) i);
END$$;
CALL mt_widen(1400);
SELECT count(*) FROM mig_plan('w', 'ALTER TABLE wide ALTER a TYPE bigint') WHERE note ~ 'attribute numbers';
CALL mt_widen(1401);
SELECT note FROM mig_plan('w', 'ALTER TABLE wide ALTER a TYPE bigint') WHERE note ~ 'attribute numbers';
CALL mt_widen(1599);
SELECT mt.remember('successive');
SELECT * FROM mt.try('SELECT mig_start(''w'', ''ALTER TABLE wide ALTER a TYPE bigint'')');
SELECT * FROM mt.changes('successive');
SELECT mig_start('w', 'ALTER TABLE wide RENAME a TO b');
CALL mig_run('w');
SELECT mig_complete('w');
RESET search_path;
SELECT mt.clean('successive');
