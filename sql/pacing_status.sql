-- What people are shown of a paced migration: rate, ETA with duty and closed windows, why it waits. All in a transaction, so that nobody drives it, with the rows
-- that drivers would write set by hand.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
SET TimeZone = 'UTC';
SET IntervalStyle = 'postgres';
CREATE ROLE regress_other;
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text);
CREATE TABLE u (id int PRIMARY KEY, a text);
INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
INSERT INTO u SELECT i, i FROM generate_series(1, 500) i;
ANALYZE t, u;

BEGIN;
SELECT mig_start('s1', 'ALTER TABLE t ALTER a TYPE int USING a::int; ALTER TABLE u ALTER a TYPE int USING a::int');
-- in the middle of the first table: 400 of its 1000 rows in 2 s of work; the other has not begun
UPDATE mig.migration SET phase = 'backfilling' WHERE name = 's1';
INSERT INTO mig.task (migration_id, step_no, relid, relation, relfilenode, blocks, lanes, rows_total, rows_done, busy_ms)
	SELECT migration_id, no, relid, relation, 0, 10, 4, 1000, 400, 2000 FROM mig.step JOIN mig.migration m ON m.id = migration_id WHERE m.name = 's1' AND kind = 'backfill' AND relid = 't'::regclass;
CREATE PROCEDURE pg_temp.pace(w jsonb, duty float8 DEFAULT 1, workers int DEFAULT 1, samples jsonb DEFAULT '[]', stopped_by text DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE mig.migration SET options = jsonb_strip_nulls(jsonb_build_object('window', w)) WHERE name = 's1';
	DELETE FROM mig.pace WHERE migration_id = (SELECT id FROM mig.migration WHERE name = 's1');
	INSERT INTO mig.pace (migration_id, duty, workers, chunk_pages, stopped_by, samples, waited, readings) SELECT id, duty, workers, 64, stopped_by, samples, '{"window": 12.5, "wal_rate": 3}',
		'{"wal_rate": {"value": 5, "limit": 10, "utilisation": 0.512345}, "replica_lag": {"value": null, "limit": 10, "utilisation": null}}' FROM mig.migration WHERE name = 's1';
END$$;
CREATE FUNCTION pg_temp.minutes_ago(seconds_and_rows float8[]) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_array(jsonb_build_array(extract(epoch FROM clock_timestamp()) - $1[1], $1[2]), jsonb_build_array(extract(epoch FROM clock_timestamp()) - $1[3], $1[4]))
$$;
-- without a row of mig.pace: as fast as it was while it worked, 200 rows a second; 600 and 500 rows are left
SELECT percent, rows_done, rows_total, rows_per_second, eta, duty, workers, chunk_pages, waited, utilisation FROM mig_status('s1');
-- with duty and two workers
CALL pg_temp.pace(NULL, 0.25, 2);
SELECT rows_per_second, eta, duty, workers, chunk_pages, waited, utilisation FROM mig_status('s1');
SELECT * FROM mig.status WHERE name = 's1';
SELECT * FROM mig.progress WHERE name = 's1';
-- by the clock, over the last minute: 300 rows in 30 s
CALL pg_temp.pace(NULL, 0.25, 2, pg_temp.minutes_ago('{31, 100, 1, 400}'));
SELECT rows_per_second, eta FROM mig_status('s1');
SELECT rows_per_second FROM mig.progress WHERE name = 's1';
-- nothing moved: a rate of 0, and what is to be expected when it goes on
CALL pg_temp.pace(NULL, 0.5, 1, pg_temp.minutes_ago('{31, 400, 1, 400}'));
SELECT rows_per_second, eta FROM mig_status('s1');
-- stopped by a signal: likewise
CALL pg_temp.pace(NULL, 0.5, 1, pg_temp.minutes_ago('{31, 100, 1, 400}'), 'replica_lag');
UPDATE mig.migration SET reason = 'replica_lag is 35000 ms (standby1), over its limit of 10000 ms: time that the slowest standby is behind' WHERE name = 's1';
SELECT rows_per_second, eta, waiting_for FROM mig_status('s1');
SELECT name, phase, eta, note FROM mig.status WHERE name = 's1';
-- samples that are old do not count
CALL pg_temp.pace(NULL, 1, 1, pg_temp.minutes_ago('{131, 100, 101, 400}'));
SELECT rows_per_second, eta FROM mig_status('s1');
-- a long one is told in days
UPDATE mig.task SET busy_ms = 40000000 WHERE migration_id = (SELECT id FROM mig.migration WHERE name = 's1');
SELECT rows_per_second, eta FROM mig_status('s1');

-- Closed for an hour, then open: the ETA is the moment at which 110 s of work are done
CREATE FUNCTION pg_temp.at(minutes int) RETURNS timestamptz LANGUAGE sql AS $$ SELECT date_trunc('minute', now()) + make_interval(mins => minutes) $$;
CREATE FUNCTION pg_temp.window(opens int, closes int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('from', to_char(pg_temp.at(opens), 'HH24:MI'), 'to', to_char(pg_temp.at(closes), 'HH24:MI'), 'timezone', 'UTC')
$$;
UPDATE mig.task SET busy_ms = 40000 WHERE migration_id = (SELECT id FROM mig.migration WHERE name = 's1');	-- 10 rows a second: 110 s
CALL pg_temp.pace(pg_temp.window(60, 120), 1, 1);
SELECT (clock_timestamp() + eta)::timestamptz(0) - pg_temp.at(60) BETWEEN '100 s' AND '120 s' AS in_time FROM mig_status('s1');
SELECT waiting_for = 'the window is closed until ' || to_char(pg_temp.at(60), 'YYYY-MM-DD HH24:MI UTC') AS tells_until_when FROM mig_status('s1');
SELECT regexp_replace(note, '\d', '9', 'g') AS note FROM mig.status WHERE name = 's1';
-- a minute a day
CALL pg_temp.pace(pg_temp.window(60, 61), 1, 1);
SELECT (clock_timestamp() + eta)::timestamptz(0) - pg_temp.at(60 + 24 * 60) BETWEEN '40 s' AND '60 s' AS in_time FROM mig_status('s1');
-- open now, but not for long enough
CALL pg_temp.pace(pg_temp.window(-60, 60), 1, 1);
UPDATE mig.task SET busy_ms = 4000000 WHERE migration_id = (SELECT id FROM mig.migration WHERE name = 's1');	-- 11000 s
SELECT (clock_timestamp() + eta)::timestamptz(0) > pg_temp.at(22 * 60 + 60) AS goes_on_tomorrow, waiting_for FROM mig_status('s1');
-- an override opens it
UPDATE mig.task SET busy_ms = 40000 WHERE migration_id = (SELECT id FROM mig.migration WHERE name = 's1');
CALL pg_temp.pace(pg_temp.window(60, 120), 1, 1);
SELECT mig_override('s1', '{"window": null}') > now() AS overridden;
SELECT eta, waiting_for FROM mig_status('s1');
-- a window that is too short for ever: no ETA
UPDATE mig.override SET ended_at = now() WHERE ended_at IS NULL;
UPDATE mig.task SET busy_ms = 4000000 WHERE migration_id = (SELECT id FROM mig.migration WHERE name = 's1');
CALL pg_temp.pace('"0 0 29 2 *"', 1, 1);
SELECT eta FROM mig_status('s1');
UPDATE mig.task SET busy_ms = 40000 WHERE migration_id = (SELECT id FROM mig.migration WHERE name = 's1');

-- Who may not see the owner's texts sees the pace, and until when a window is closed
UPDATE mig.migration SET reason = 'secret' WHERE name = 's1';
SET LOCAL ROLE regress_other;
SELECT waiting_for ~ '^the window is closed until' AS told, duty, waited FROM mig_status('s1');
RESET ROLE;
CALL pg_temp.pace(NULL);
SET LOCAL ROLE regress_other;
SELECT waiting_for, duty FROM mig_status('s1');
RESET ROLE;

-- Paused, and in other phases: no pace, and no ETA
UPDATE mig.migration SET paused = true, reason = 'office hours' WHERE name = 's1';
SELECT eta, waiting_for, duty, workers, waited FROM mig_status('s1');
SELECT note FROM mig.status WHERE name = 's1';
UPDATE mig.migration SET paused = false, phase = 'ready', reason = NULL WHERE name = 's1';
SELECT percent, rows_per_second, eta, waiting_for, duty, waited FROM mig_status('s1');

-- At 100 columns
UPDATE mig.migration SET phase = 'backfilling', reason = 'replica_lag is 35000 ms (standby1), over its limit of 10000 ms: time that the slowest standby is behind' WHERE name = 's1';
\pset format aligned
\pset null ''
SELECT * FROM mig.status WHERE name = 's1';
SELECT * FROM mig.progress WHERE name = 's1';
ROLLBACK;
RESET search_path;
SELECT mt.clean('app');
DROP ROLE regress_other;
