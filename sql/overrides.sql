-- Options that hold for a while: what is in effect, who may, limits, events at both ends.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
SET TimeZone = 'UTC';
CREATE ROLE regress_owner;
CREATE ROLE regress_operator;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_owner', current_database()); END$$;
CREATE SCHEMA app AUTHORIZATION regress_owner;
SET ROLE regress_owner;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;
SELECT mig_start('o1', 'ALTER TABLE t ALTER a TYPE int USING a::int', '{"hold": ["backfilling"], "operators": ["regress_operator"], "workers": 2, "window": "* 3 * * *"}');
CALL mt.wait_for('SELECT paused FROM mig_status(''o1'')');
RESET ROLE;
CREATE VIEW app.now_in_effect AS SELECT e.options - 'held' - 'hold' - 'operators' AS options FROM mig.in_effect e JOIN mig.migration m USING (id) WHERE m.name = 'o1';

-- Refused: other options, wrong values, no time or too long, others than the owner
\pset tuples_only on
SELECT o.outcome FROM (VALUES (1, '{"hold": ["ready"]}', '1 hour'), (2, '{"schema": "app"}', '1 hour'), (3, '{"colour": "red"}', '1 hour'), (4, '{"workers": 99}', '1 hour'), (5, '{"window": {"from": "25:00"}}', '1 hour'),
	(6, '{"window": 5}', '1 hour'), (13, '{"throttle": {"xid_age": "much"}}', '1 hour'), (14, '{"batch": 0}', '1 hour'), (15, '{"batch": 1.5}', '1 hour'), (7, '[]', '1 hour'), (8, '{}', '1 hour'), (9, '{"workers": 1}', '-1 second'), (10, '{"workers": 1}', '0.9 s'), (11, '{"workers": 1}', '30 days 1 second'),
	(12, '{"workers": 1}', '1000000 years')) v (n, options, ttl), mt.try('SELECT mig_override(%L, %L, %L)', 'o1', options, ttl) WITH ORDINALITY o (outcome, line) ORDER BY n, line;
SELECT * FROM mt.try('SELECT mig_override(%L, %L, NULL)', 'o1', '{"workers": 1}');
SELECT * FROM mt.try('SELECT mig_override(NULL, %L)', '{"workers": 1}');
SELECT * FROM mt.try('SELECT mig_override(%L, %L)', 'nothing', '{"workers": 1}');
SET ROLE regress_operator;
SELECT * FROM mt.try('SELECT mig_override(%L, %L)', 'o1', '{"workers": 1}');
RESET ROLE;
\pset tuples_only off
SELECT count(*) FROM mig.overrides WHERE name = 'o1';

-- In effect over what the start and mig_set say; the later wins; null is the default; signals of throttle one by one
SELECT options FROM app.now_in_effect;
SET ROLE regress_owner;
SELECT until - clock_timestamp() BETWEEN '1:55' AND '2:00' AS for_two_hours FROM mig_override('o1', '{"workers": 5, "throttle": {"wal_rate": "20MB", "dead_rows": "off"}}', '2 hours', 'night shift') until;
SELECT until - clock_timestamp() BETWEEN '0:55' AND '1:00' AS for_one_hour FROM mig_override('o1', '{"window": null, "throttle": {"dead_rows": 3}}') until;
SELECT mig_override('o1', '{"workers": 4}', '30 days') > clock_timestamp() AS later_wins;
RESET ROLE;
SELECT options FROM app.now_in_effect;
SELECT mig_set('o1', '{"workers": 3, "throttle": {"replica_lag": "5s"}}', 'for good');
SELECT options FROM app.now_in_effect;
SELECT options - 'held' - 'hold' - 'operators' AS own FROM mig.migration WHERE name = 'o1';
SELECT mig_set('o1', '{"throttle": {"replica_lag": null, "xid_age": 5}}');
SELECT options -> 'throttle' AS own FROM mig.migration WHERE name = 'o1';
SELECT mig_set('o1', '{"throttle": null}');
SELECT name, state, options, round(extract(epoch FROM expires_at - set_at) / 60) AS minutes, set_by, reason FROM mig.overrides WHERE name = 'o1';
SET ROLE regress_operator;
SELECT name, state, options, reason FROM mig.overrides WHERE name = 'o1';
SELECT * FROM mt.try('SELECT * FROM mig.override');
SELECT name, duty, workers FROM mig_status('o1');
RESET ROLE;

-- A time that is over: nothing is in effect from that moment on, also when nobody has noticed it; who comes next writes it down, once
SELECT count(*) FROM mig.event e JOIN mig.migration m ON m.id = e.migration_id WHERE m.name = 'o1' AND e.kind = 'override ended';
UPDATE mig.override SET set_at = set_at - interval '3 hours', expires_at = expires_at - interval '3 hours' WHERE options ? 'throttle';
SELECT options FROM app.now_in_effect;
SELECT state, options FROM mig.overrides WHERE name = 'o1';
SELECT mig_pause('o1');
SELECT mig_pause('o1');
SELECT kind, detail - '{until,set_at,expired_at,taken_back_before}'::text[] AS detail, detail ?| '{until,expired_at}' AS moment FROM mig.events WHERE name = 'o1' AND kind ~ 'override' ORDER BY id;
SELECT count(*) FROM mig.override WHERE ended_at IS NOT NULL AND migration_id = (SELECT id FROM mig.migration WHERE name = 'o1');

-- Taken back: by no time, or no options
SELECT mig_override('o1', '{"batch": 7}', '0') <= clock_timestamp() AS ended;
SELECT options FROM app.now_in_effect;
SELECT state, options FROM mig.overrides WHERE name = 'o1';
SELECT mig_override('o1', '{"batch": 7}') > clock_timestamp() AS running;
SELECT mig_override('o1', NULL) <= clock_timestamp() AS ended;
SELECT mig_override('o1', NULL, NULL, NULL) <= clock_timestamp() AS nothing_to_end;
SELECT options FROM app.now_in_effect;
SELECT kind, detail - '{until,set_at,expired_at,taken_back_before}'::text[] AS detail, detail ? 'taken_back_before' AS taken_back FROM mig.events WHERE name = 'o1' AND kind ~ 'override' ORDER BY id OFFSET 5;

-- Rolled back with the transaction that made it
BEGIN;
SELECT mig_override('o1', '{"batch": 8}') > clock_timestamp() AS running;
ROLLBACK;
SELECT options FROM app.now_in_effect;

-- Not after the end, and those that run end with the migration
SELECT mig_override('o1', '{"batch": 9}') > clock_timestamp() AS running;
SELECT mig_rollback('o1');
SELECT state, options FROM mig.overrides WHERE name = 'o1' LIMIT 1;
SELECT * FROM mt.try('SELECT mig_override(%L, %L)', 'o1', '{"workers": 1}');
RESET search_path;
DROP VIEW app.now_in_effect;
SELECT mt.clean('app');
DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM regress_owner', current_database()); END$$;
DROP ROLE regress_owner, regress_operator;
