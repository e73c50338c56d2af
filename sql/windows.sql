-- Windows of time: what they mean at fixed moments, across changes of daylight saving, and what is refused.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';

-- The next changes of a window from a moment on, as the clocks in a zone show them.
CREATE FUNCTION pg_temp.changes(w jsonb, start text, n int, zone text DEFAULT 'UTC') RETURNS TABLE (state text)
LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz := start::timestamptz;
	open boolean := mig.window_open(w, at);
BEGIN
	RETURN QUERY SELECT CASE WHEN open THEN 'open' ELSE 'closed' END;
	FOR i IN 1 .. n LOOP
		at := mig.window_next(w, at);
		EXIT WHEN at = 'infinity';
		open := NOT open;
		IF mig.window_open(w, at) <> open OR mig.window_open(w, at - interval '1 s') = open THEN
			RAISE 'no change at %', at;
		END IF;
		RETURN QUERY SELECT CASE WHEN open THEN 'opens ' ELSE 'closes ' END || to_char(at AT TIME ZONE zone, 'Dy YYYY-MM-DD HH24:MI:SS');
	END LOOP;
END$$;
-- A window against a rule for wall-clock time that says the same: how many moments are tried, how many are open, how many differ.
CREATE FUNCTION pg_temp.compare(w jsonb, rule text, start timestamptz, until timestamptz, zone text DEFAULT 'UTC', step interval DEFAULT '10 minutes') RETURNS TABLE (tried bigint, open bigint, differ bigint)
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT count(*), count(*) FILTER (WHERE mig.window_open($1, at)), count(*) FILTER (WHERE mig.window_open($1, at) <> (%s))
		FROM generate_series($2, $3 - interval ''1 minute'', $5) at,
		LATERAL (SELECT at AT TIME ZONE $4) l (t),
		LATERAL (SELECT extract(minute FROM t), extract(hour FROM t), extract(day FROM t), extract(month FROM t), extract(dow FROM t)) c (mi, h, d, mo, dow)', rule)
		USING w, start, until, zone, step;
END$$;

-- Times of day; over midnight a window belongs to the day on which it opens
SELECT * FROM pg_temp.changes('{"from": "09:00", "to": "17:30"}', '2026-11-20 12:00', 3);
SELECT * FROM pg_temp.changes('{"days": "mon-fri", "from": "22:00", "to": "06:00"}', '2026-11-19 12:00', 8);
SELECT * FROM pg_temp.changes('{"days": "fri", "from": "22:00", "to": "22:00"}', '2026-11-19 12:00', 3);
SELECT * FROM pg_temp.changes('{"days": "sat,sun"}', '2026-11-19 12:00', 3);
SELECT * FROM pg_temp.changes('{"days": "sat-mon", "to": "24:00"}', '2026-11-19 12:00', 2);
SELECT * FROM pg_temp.changes('{"days": "7"}', '2026-11-19 12:00', 2);
SELECT * FROM pg_temp.changes('{"from": "8:05"}', '2026-11-19 12:00', 2);
SELECT * FROM pg_temp.changes('{"from": "00:00", "to": "00:00"}', '2026-11-19 12:00', 2);
SELECT * FROM pg_temp.changes('{"days": "Wed", "from": "23:00", "to": "00:00"}', '2026-11-19 12:00', 2);
SELECT * FROM pg_temp.changes('{"days": "mon-fri", "from": "22:00", "to": "06:00", "timezone": "America/Lima"}', '2026-11-19 12:00', 4, 'America/Lima');
SELECT mig.window_open('{"from": "09:00", "to": "10:00"}', '2026-11-19 08:59:59.999999'), mig.window_open('{"from": "09:00", "to": "10:00"}', '2026-11-19 09:00'),
       mig.window_open('{"from": "09:00", "to": "10:00"}', '2026-11-19 09:59:59.999999'), mig.window_open('{"from": "09:00", "to": "10:00"}', '2026-11-19 10:00');

-- Cron expressions: open in every minute that matches
SELECT * FROM pg_temp.changes('"* 1-4 * * *"', '2026-11-20 12:00', 3);
SELECT * FROM pg_temp.changes('"30-44 2 * * *"', '2026-11-20 12:00:30', 2);
SELECT * FROM pg_temp.changes('"* * * * *"', '2026-11-20 12:00:30', 2);
SELECT * FROM pg_temp.changes('"0 0 29 2 *"', '2026-11-20 12:00', 3);
SELECT * FROM pg_temp.changes('"* * 29 2 *"', '2096-03-01 00:00', 2);
SELECT * FROM pg_temp.changes('{"cron": "* 22-23 * * mon-fri", "timezone": "Europe/Berlin"}', '2026-11-20 12:00', 3, 'Europe/Berlin');
SELECT * FROM pg_temp.compare('"*/15 * * * *"', 'mi % 15 = 0', '2026-11-01', '2026-11-02', 'UTC', '1 minute');
SELECT * FROM pg_temp.compare('"10-50/20,7 1,3-5 * * *"', 'mi IN (10, 30, 50, 7) AND h IN (1, 3, 4, 5)', '2026-11-01', '2026-11-02', 'UTC', '1 minute');
SELECT * FROM pg_temp.compare('"0-29 */6 1,15 JAN-mar,12 *"', 'mi < 30 AND h % 6 = 0 AND d IN (1, 15) AND mo IN (1, 2, 3, 12)', '2026-11-01', '2027-02-20');
SELECT * FROM pg_temp.compare('"* 3 * * 0"', 'h = 3 AND dow = 0', '2026-11-01', '2026-11-20');
SELECT * FROM pg_temp.compare('"* 3 * * 7"', 'h = 3 AND dow = 0', '2026-11-01', '2026-11-20');
SELECT * FROM pg_temp.compare('"* 3 * * 5-7"', 'h = 3 AND dow IN (5, 6, 0)', '2026-11-01', '2026-11-20');
SELECT * FROM pg_temp.compare('"* 3 * * sun,Tue-wed"', 'h = 3 AND dow IN (0, 2, 3)', '2026-11-01', '2026-11-20');
SELECT * FROM pg_temp.compare('"* 3 * * fri-sun"', 'h = 3 AND dow IN (5, 6, 0)', '2026-11-01', '2026-11-20');
-- both day of the month and weekday: one of them is enough; but not where one begins with *
SELECT * FROM pg_temp.compare('"* 3 13 * 5"', 'h = 3 AND (d = 13 OR dow = 5)', '2026-10-01', '2026-11-20');
SELECT * FROM pg_temp.compare('"* 3 */2 * 5"', 'h = 3 AND d % 2 = 1 AND dow = 5', '2026-10-01', '2026-11-20');
SELECT * FROM pg_temp.compare('"* 3 13 * */5"', 'h = 3 AND d = 13 AND dow IN (0, 5)', '2026-10-01', '2026-12-20');
-- a whole year
SELECT * FROM pg_temp.compare('{"days": "mon-fri", "from": "22:15", "to": "06:45", "timezone": "America/Santiago"}',
	't::time >= ''22:15'' AND dow BETWEEN 1 AND 5 OR t::time < ''06:45'' AND dow BETWEEN 2 AND 6', '2026-01-01', '2027-01-01', 'America/Santiago', '15 minutes');

-- Several: open when one of them is
SELECT * FROM pg_temp.changes('[{"days": "mon-fri", "from": "22:00", "to": "06:00"}, {"days": "sat,sun"}, "* 12 * * *"]', '2026-11-19 12:30', 7);
SELECT * FROM pg_temp.changes('[{"from": "00:00", "to": "12:00"}, {"from": "12:00", "to": "24:00"}]', '2026-11-19 12:30', 2);
SELECT * FROM pg_temp.changes('[{"from": "20:00", "to": "22:00", "timezone": "America/Lima"}, {"from": "02:00", "to": "04:00", "timezone": "Europe/Berlin"}]', '2026-11-19 12:30', 4);
SELECT mig.window_open(NULL, '2026-11-19'), mig.window_open('null', '2026-11-19'), mig.window_next(NULL, '2026-11-19'), mig.window_open('"* * * * *"', NULL);

-- Clocks go forward in Berlin (2026-03-29 02:00 → 03:00): a window within the gap does not open, one over it is an hour shorter
SELECT * FROM pg_temp.changes('{"from": "02:15", "to": "02:45", "timezone": "Europe/Berlin"}', '2026-03-27 12:00+00', 4, 'Europe/Berlin');
SELECT * FROM pg_temp.changes('{"from": "02:30", "to": "03:30", "timezone": "Europe/Berlin"}', '2026-03-28 12:00+00', 2, 'Europe/Berlin');
SELECT * FROM pg_temp.changes('{"from": "01:00", "to": "02:30", "timezone": "Europe/Berlin"}', '2026-03-28 12:00+00', 2, 'Europe/Berlin');
SELECT mig.window_next(w, '2026-03-28 23:00+00') - '2026-03-28 23:00+00' AS opens_for FROM (VALUES ('{"from": "00:00", "to": "06:00", "timezone": "Europe/Berlin"}'::jsonb)) x (w);
-- and back (2026-10-25 03:00 → 02:00): one within the hour that comes twice opens twice
SELECT * FROM pg_temp.changes('{"from": "02:15", "to": "02:45", "timezone": "Europe/Berlin"}', '2026-10-24 12:00+00', 4);
SELECT * FROM pg_temp.changes('{"from": "02:30", "to": "03:30", "timezone": "Europe/Berlin"}', '2026-10-24 12:00+00', 4);
SELECT mig.window_next(w, '2026-10-24 22:00+00') - '2026-10-24 22:00+00' AS opens_for FROM (VALUES ('{"from": "00:00", "to": "06:00", "timezone": "Europe/Berlin"}'::jsonb)) x (w);
-- In Santiago midnight itself is skipped (2026-09-06) and comes twice (2026-04-04)
SELECT * FROM pg_temp.changes('{"days": "sun", "from": "00:00", "to": "06:00", "timezone": "America/Santiago"}', '2026-09-05 12:00+00', 2, 'America/Santiago');
SELECT * FROM pg_temp.changes('{"days": "sat", "from": "22:00", "to": "06:00", "timezone": "America/Santiago"}', '2026-09-05 12:00+00', 2);
SELECT * FROM pg_temp.changes('{"days": "sat", "from": "22:00", "to": "06:00", "timezone": "America/Santiago"}', '2026-04-04 12:00+00', 2);
SELECT * FROM pg_temp.changes('{"days": "sat", "from": "23:00", "to": "24:00", "timezone": "America/Santiago"}', '2026-04-04 12:00+00', 2);
-- a change of half an hour
SELECT * FROM pg_temp.changes('{"from": "01:45", "to": "02:15", "timezone": "Australia/Lord_Howe"}', '2026-04-04 12:00+00', 3);

-- Until when it is closed, in words
SELECT mig.window_reason('{"days": "mon-fri", "from": "22:00", "to": "06:00", "timezone": "America/Lima"}', '2026-11-21 12:00');
SELECT mig.window_reason('[{"days": "mon-fri", "from": "22:00", "to": "06:00", "timezone": "America/Lima"}, {"days": "sun", "timezone": "Europe/Berlin"}]', '2026-11-21 12:00');
SELECT mig.window_reason('"* 1 * * *"', '2026-11-21 01:12'), mig.window_reason(NULL, '2026-11-21');

-- When it has been open for so long
SELECT mig.window_add('{"from": "22:00", "to": "06:00"}', '2026-11-19 23:00', 3600), mig.window_add('{"from": "22:00", "to": "06:00"}', '2026-11-19 12:00', 0.5);
SELECT mig.window_add('{"from": "22:00", "to": "06:00"}', '2026-11-19 23:00', 7 * 3600), mig.window_add('{"from": "22:00", "to": "06:00"}', '2026-11-19 23:00', 7 * 3600 + 1),
       mig.window_add('{"from": "22:00", "to": "06:00"}', '2026-11-19 12:00', 20 * 3600);
SELECT mig.window_add('{"from": "22:00", "to": "06:00"}', '2026-11-19 23:00:00.75', 0.125), mig.window_add('{"from": "22:00", "to": "06:00"}', '2026-11-20 05:59:59.75', 0.5),
       mig.window_add('{"from": "22:00", "to": "06:00"}', '2026-11-20 06:00:00.75', 0.5);
SELECT mig.window_add('"*/2 * * * *"', '2026-11-19 12:00', 3600), mig.window_add('"* * * * *"', '2026-11-19 12:00', 3600), mig.window_add(NULL, '2026-11-19 12:00', 1.5);
SELECT mig.window_add('"0 0 29 2 *"', '2026-11-19 12:00', 60), mig.window_add('"0 0 29 2 *"', '2026-11-19 12:00', 600), mig.window_add('"* * * * *"', '2026-11-19', 'NaN'),
       mig.window_add('"* * * * *"', '2026-11-19', -5);
SELECT mig.window_add('{"from": "00:00", "to": "06:00", "timezone": "Europe/Berlin"}', '2026-03-28 12:00', 5 * 3600 + 1) AS next_night,
       mig.window_add('{"from": "00:00", "to": "06:00", "timezone": "Europe/Berlin"}', '2026-10-24 12:00', 7 * 3600) AS same_night;

-- Refused, with the place
\pset tuples_only on
SELECT o.outcome FROM unnest(ARRAY['"* * 30 2 *"', '"* * 31 4,6 *"', '[]', '[{"days": "mon"}, "0 0 31 feb *"]', '{}', '{"timezone": "UTC"}', '[{"timezone": "UTC"}]', '5', '[null]', '[[]]', 'true',
	'{"day": "mon"}', '{"from": 5}', '{"from": "25:00"}', '[{"from": "24:00"}]', '{"to": "24:01"}', '{"to": "7"}', '{"to": "7:5"}', '{"to": "07:60"}', '{"to": "-1:00"}', '{"to": ""}', '{"to": "07:00:00"}', '{"to": "07:00pm"}',
	'{"days": "someday"}', '{"days": ""}', '{"days": "mon,"}', '{"days": "8"}', '{"days": "mon-"}', '{"days": "monday"}', '{"days": ["mon"]}', '{"cron": "* * * * *", "from": "07:00"}', '{"cron": "* * *"}',
	'["* * * * *", {"days": "mon", "timezone": "Mars/Phobos"}]', '{"cron": "* * * * *", "timezone": ""}', '""', '"* * * *"', '"* * * * * *"', '"60 * * * *"', '"* 24 * * *"', '"* * 0 * *"', '"* * 32 * *"', '"* * * 13 *"', '"* * * 0 *"',
	'"* * * foo *"', '"* * * * 8"', '"* 22-6 * * *"', '"*/0 * * * *"', '"5/15 * * * *"', '"1,,2 * * * *"', '"1-2-3 * * * *"', '"** * * * *"', '"99999999999999 * * * *"', '"@daily"', '"* * jan * *"']) WITH ORDINALITY w (w, n),
	mt.try('SELECT mig.window_open(%L)', w) WITH ORDINALITY o (outcome, line) ORDER BY n, line;
SELECT * FROM mt.try('SELECT mig.window_next(%L, %L)', '"* * * * *"', 'infinity');
\pset tuples_only off

-- The option is checked where it is given, and keeps the zone of the session that gave it
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;
SELECT * FROM mt.refused('ALTER TABLE t ALTER a TYPE int USING a::int', '{"window": {"from": "25:00"}}');
SELECT * FROM mt.refused('ALTER TABLE t ALTER a TYPE int USING a::int', '{"window": 7}');
SELECT * FROM mt.refused('{"operations": [{"sql": {"up": "SELECT 1"}}], "options": {"window": ["* * 30 2 *"]}}');
SELECT * FROM mt.try('SELECT mig_start(%L, %L, %L)', 'w1', 'ALTER TABLE t ALTER a TYPE int USING a::int', '{"window": "* * 30 2 *"}');
SET TimeZone = 'America/Lima';
SELECT mig_start('w1', 'ALTER TABLE t ALTER a TYPE int USING a::int', '{"window": "* 3 * * *", "hold": ["backfilling"]}');
SELECT options -> 'window' AS "window" FROM mig.migration WHERE name = 'w1';
SELECT mig_set('w1', '{"window": [{"days": "mon"}, {"cron": "* 1 * * *", "timezone": "Europe/Berlin"}, "* 2 * * *"]}');
SELECT options -> 'window' AS "window" FROM mig.migration WHERE name = 'w1';
SELECT * FROM mt.try('SELECT mig_set(%L, %L)', 'w1', '{"window": {"from": "x"}}');
SELECT mig_set('w1', '{"window": null}');
SELECT options -> 'window' AS "window" FROM mig.migration WHERE name = 'w1';
SELECT mig_rollback('w1');
RESET search_path;
SELECT mt.clean('app');
