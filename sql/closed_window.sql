-- A migration whose window is closed: only the sync runs. An override opens it for a while; drivers notice the end of one.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
SET TimeZone = 'UTC';
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
-- opens in three hours, for one
SELECT jsonb_build_object('window', jsonb_build_object('from', to_char(now() + interval '3 hours', 'HH24:MI'), 'to', to_char(now() + interval '4 hours', 'HH24:MI'))) AS options \gset
SELECT mig_start('c1', 'ALTER TABLE t ALTER a TYPE int USING a::int', :'options');
CALL mt.wait_for('SELECT waiting_for IS NOT NULL FROM mig_status(''c1'')');
CALL mt.wait_for('SELECT stopped_by IS NOT NULL FROM mig.pace p JOIN mig.migration m ON m.id = p.migration_id WHERE m.name = ''c1''');
SELECT phase, paused, rows_done, waiting_for = mig.window_reason(:'options'::jsonb -> 'window') AS tells, mig.window_reason(:'options'::jsonb -> 'window') ~ '^the window is closed until' AS closed FROM mig_status('c1');
SELECT p.stopped_by, p.reason ~ '^the window is closed until' AS reason FROM mig.pace p JOIN mig.migration m ON m.id = p.migration_id WHERE m.name = 'c1';
-- a driver that may not work does nothing, and ends with its time
CALL mig_tick('0.5 s');
SELECT count(_mig_c1) AS filled FROM t;
-- the sync goes on
UPDATE t SET a = '77' WHERE id = 7;
SELECT id, a, _mig_c1 FROM t WHERE _mig_c1 IS NOT NULL;
-- it is counted what was waited for
CALL mt.wait_for('SELECT (waited ->> ''window'')::numeric > 0 FROM mig_status(''c1'')');
-- an override that is over: the drivers that wait notice
SELECT mig_override('c1', '{"workers": 1}', '1 second', 'tried') > now() AS overridden;
CALL mt.wait_for('SELECT count(*) = 1 FROM mig.events WHERE name = ''c1'' AND kind = ''override ended''');
SELECT detail - '{set_at,expired_at}'::text[] AS detail, at >= (detail ->> 'expired_at')::timestamptz AS afterwards FROM mig.events WHERE name = 'c1' AND kind = 'override ended';
SELECT state FROM mig.overrides WHERE name = 'c1';
SELECT phase, rows_done FROM mig_status('c1');
-- mig_set moves the window, an override opens it
SELECT to_char(now() + interval '5 hours', 'HH24:MI') AS opens, to_char(now() + interval '6 hours', 'HH24:MI') AS closes \gset
SELECT mig_set('c1', jsonb_build_object('window', jsonb_build_object('from', :'opens', 'to', :'closes')));
SELECT waiting_for ~ :'opens' AS later FROM mig_status('c1');
SELECT mig_override('c1', '{"window": null}', '1 hour', 'the boss wants it now') > now() AS overridden;
CALL mig_wait('c1');
SELECT phase, waiting_for, duty FROM mig_status('c1');
SELECT count(*) AS wrong FROM app_c1.t WHERE a <> CASE id WHEN 7 THEN 77 ELSE id END;
-- whoever completes does so now
SELECT mig_override('c1', NULL) <= clock_timestamp() AS taken_back;
SELECT pg_sleep(0.5);	-- a driver's last look counts for 250 ms
SELECT mig_complete('c1');
CALL mig_wait('c1', until => 'completed');
SELECT phase, waiting_for FROM mig_status('c1');
RESET search_path;
SELECT mt.clean('app');
