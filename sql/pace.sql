-- A backfill that is stopped and goes on, errors that should pass, ranges put aside, a full disk. Driven by workers.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
\pset footer off
SET client_min_messages = warning;
-- Small ranges, in workers that start from now on
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET mig_control.range_pages = 16', current_database()); END $$;
CALL mt.wait_for($$SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'mig_control worker%' AND datname = current_database())$$);
CREATE SCHEMA pc;
SET search_path = pc;
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT i, i, 'b' || i FROM generate_series(1, 9999) i;
CREATE TABLE switch (what text PRIMARY KEY);
INSERT INTO switch VALUES ('stop');
-- It can be told not to work on a row, in several ways; whether it does, it sees at once
CREATE FUNCTION up(v int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF v = 3333 AND EXISTS (SELECT FROM pc.switch WHERE what = 'conflict') THEN
		RAISE 'not now' USING ERRCODE = 'serialization_failure';
	ELSIF v = 3333 AND EXISTS (SELECT FROM pc.switch WHERE what = 'full') THEN
		RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
	END IF;
	RETURN v * 10;
END $$;

-- Stopped by its query before the first row, and what is shown then
SELECT mig_start('pc1', 'ALTER TABLE pc.t ALTER COLUMN a TYPE bigint USING pc.up(a)',
				 '{"schema": "pc", "down": {"pc.t.a": "a / 10"}, "throttle": {"query": "SELECT EXISTS (SELECT FROM pc.switch WHERE what = ''stop'')"}}');
CALL mt.wait_for($$SELECT stopped_by = 'query' FROM mig.pace JOIN mig.migration m ON m.id = migration_id WHERE name = 'pc1'$$);
SELECT phase, rows_done, waiting_for LIKE 'query%' AS says_why FROM mig_status('pc1');
SELECT stopped_by, pace.reason = (SELECT waiting_for FROM mig_status('pc1')) AS says_why, stopped_since IS NOT NULL AS since, readings -> 'query' ->> 'value' AS value
  FROM mig.pace JOIN mig.migration m ON m.id = migration_id WHERE name = 'pc1';
-- All clear; but one row meets a conflict each time: the range it is in is put aside, everything else is filled, and the migration stops there
UPDATE switch SET what = 'conflict';
CALL mt.wait_for($$SELECT paused FROM mig_status('pc1')$$);
SELECT phase, paused, waiting_for, error FROM mig_status('pc1');
SELECT waited ? 'query' AS waited, stopped_by FROM mig.pace JOIN mig.migration m ON m.id = migration_id WHERE name = 'pc1';
SELECT state, range.error, (SELECT split_part(trim(ctid::text, '()'), ',', 1)::int FROM t WHERE id = 3333) BETWEEN first_block AND end_block - 1 AS has_row, count(*) > 0 AS some
  FROM mig.range JOIN mig.migration m ON m.id = migration_id WHERE name = 'pc1' GROUP BY 1, 2, 3 ORDER BY 1, 3;
SELECT count(*) > 1 AS some_unfilled, count(*) < 5000 AS most_filled, bool_or(id = 3333) AS this_one FROM t WHERE _mig_state IS NULL;
SELECT kind, detail - '{step,rows,bytes,bytes_before,growth}'::text[] AS detail FROM mig.events WHERE name = 'pc1' AND kind IN ('put aside', 'failed', 'retry', 'filled') ORDER BY id;
-- Again, without anything having changed: the same
SELECT mig_resume('pc1');
CALL mt.wait_for($$SELECT paused FROM mig_status('pc1')$$);
SELECT count(*) FROM mig.events WHERE name = 'pc1' AND kind = 'put aside';
-- A full disk: the worker waits and says so, and goes on when there is room. Nothing is put aside
UPDATE switch SET what = 'full';
SELECT mig_resume('pc1');
CALL mt.wait_for($$SELECT waiting_for LIKE 'could not extend file%' FROM mig_status('pc1')$$);
SELECT pid AS worker FROM mig.events WHERE name = 'pc1' AND kind = 'retry' ORDER BY id DESC LIMIT 1 \gset
SELECT phase, paused, waiting_for, error FROM mig_status('pc1');
SELECT pg_sleep(1.5);
SELECT count(*) AS alive FROM pg_stat_activity WHERE pid = :worker;
DELETE FROM switch;
CALL mt.wait_for($$SELECT phase = 'ready' FROM mig_status('pc1')$$);
SELECT DISTINCT kind, detail - '{step,rows,bytes,bytes_before,growth}'::text[] AS detail FROM mig.events WHERE name = 'pc1' AND kind IN ('retry', 'filled') ORDER BY kind DESC;
SELECT count(*), sum(a) = sum(id::bigint * 10) AS filled FROM pc_pc1.t;

-- Options and settings out of range
SELECT * FROM mt.refused('ALTER TABLE pc.switch ADD x int', '{"schema": "pc", "batch": 0}');
SELECT * FROM mt.refused('ALTER TABLE pc.switch ADD x int', '{"schema": "pc", "batch": 1.5}');
SELECT * FROM mt.refused('ALTER TABLE pc.switch ADD x int', '{"schema": "pc", "batch": 2000000}');
SELECT * FROM mt.refused('ALTER TABLE pc.switch ADD x int', '{"schema": "pc", "batch": "many"}');
SELECT * FROM mt.try('SET mig_control.chunk_target = 0');
SELECT * FROM mt.try('SET mig_control.chunk_wal = %L', '1kB');
SELECT * FROM mt.try('SET mig_control.hibernate = %L', '2 h');
SELECT * FROM mt.try('SET mig_control.hibernations = -1');
SELECT mt.clean('pc');
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET mig_control.range_pages', current_database()); END $$;
