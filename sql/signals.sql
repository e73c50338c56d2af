-- The signals: options.throttle and its refusals, settings, mig.signals, the user's query, and what readers say on a server without load.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
\pset tuples_only on
CREATE ROLE regress_owner;
CREATE ROLE regress_other;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_owner', current_database()); END$$;
CREATE SCHEMA app AUTHORIZATION regress_owner;
SET ROLE regress_owner;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
CREATE TABLE stop (please boolean);
CREATE FUNCTION writes() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN INSERT INTO app.stop VALUES (true); RETURN false; END$$;
-- What mig_plan says of options.throttle
CREATE FUNCTION said(throttle jsonb) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT outcome FROM mt.refused('ALTER TABLE t ALTER a TYPE int USING a::int', jsonb_build_object('throttle', throttle)) $$;

-- Refused where it is set: by its path
SELECT o FROM unnest(ARRAY['true', '[]', '"10s"', '{"replica-lag": 1}', '{"replica_lag": true}', '{"replica_lag": [1]}', '{"replica_lag": -1}', '{"replica_lag": 1e19}',
	'{"replica_lag": "1 parsec"}', '{"replica_lag": ""}', '{"replica_lag": "-1"}', '{"replica_lag_bytes": "10s"}', '{"xid_age": "1GB"}', '{"replica_lag": {"limt": 1}}', '{"replica_lag": {"critical": "no"}}',
	'{"replica_lag": {"limit": 10, "critical": 9}}', '{"disk_free": {"limit": "1GB", "critical": "2GB"}}', '{"standbys": "a"}', '{"standbys": {"a": 1}}', '{"standbys": ["a", ""]}',
	'{"standbys": [1]}', '{"query": 5}', '{"query": {}}', '{"query": true}']::jsonb[]) WITH ORDINALITY v (j, n), said(j) WITH ORDINALITY s (o, line) ORDER BY n, line;
-- A query that is none, or that does not answer with true or false
SELECT o FROM unnest(ARRAY['', 'SELEC true', 'SELECT 1', 'SELECT true, false', 'SELECT true; SELECT false', 'SELECT nothing', 'SELECT NULL::boolean', 'SELECT true WHERE false', 'SELECT true FROM t LIMIT 2',
	'UPDATE stop SET please = true', 'WITH x AS (DELETE FROM t RETURNING true) SELECT count(*) > 0 FROM x', 'SELECT please FROM stop FOR UPDATE', 'SELECT app.writes()', 'SELECT 1/0 = 1',
	'SELECT true INTO x', 'VALUES (false)']) WITH ORDINALITY v (q, n), said(jsonb_build_object('query', q)) WITH ORDINALITY s (o, line) WHERE o !~ 'detail|hint' ORDER BY n, line;
SET mig_control.throttle_query_timeout = '20ms';
SELECT said('{"query": "SELECT pg_sleep(60) IS NULL"}');
RESET mig_control.throttle_query_timeout;
SELECT count(*) FROM stop;
-- Accepted
SELECT o FROM unnest(ARRAY['false', '{}', '{"replica_lag": "10s", "replica_lag_bytes": 1e6, "slot_wal": "off", "disk_free": {"limit": "5GB", "critical": "1GB"}, "xid_age": null, "waiters": {"limit": "off"}}',
	'{"query": "SELECT EXISTS (SELECT FROM stop)", "standbys": ["a", "-b"]}', '{"query": null, "standbys": null}', '{"query": "WITH x AS (SELECT 1) SELECT count(*) > 5 FROM x"}']::jsonb[]) j, said(j) o;

-- Settings: units, ranges, off; and the options go before them, one by one
\pset tuples_only off
SELECT name, setting, unit, min_val FROM pg_settings WHERE name ~ '^mig_control.(throttle|critical)_(replica_lag|disk_free|wal_rate|xid_age|query|standbys)|^mig_control.cores' ORDER BY 1;
SELECT signal, class, unit, "limit", critical FROM mig.known_signals();
SET mig_control.throttle_replica_lag = '2min';
SET mig_control.critical_replica_lag = '1h';
SET mig_control.throttle_slot_wal = -1;
SET mig_control.throttle_disk_free = '3GB';
SET mig_control.throttle_slot_wal = -2;
SET mig_control.throttle_disk_free = '3s';
SET mig_control.throttle_nothing = 1;
SELECT signal, "limit", critical FROM mig.known_signals('{"replica_lag": "5s", "slot_wal": 100, "disk_free": {"critical": "1MB"}, "xid_age": "off", "query": "SELECT true", "wal_rate": "1MB"}')
 WHERE signal IN ('replica_lag', 'slot_wal', 'disk_free', 'xid_age', 'query', 'wal_rate');
SELECT count("limit"), count(critical) FROM mig.known_signals('false');
RESET ALL;
SET search_path = app;

-- The query stops, with what it said; each signal can be changed alone
SELECT mig_start('sig1', 'ALTER TABLE t ALTER a TYPE int USING a::int', '{"throttle": {"query": "SELECT EXISTS (SELECT FROM stop)", "archive_backlog": 500}, "hold": ["backfilling"]}');
CALL mt.wait_for('SELECT paused FROM mig_status(''sig1'')');
SELECT signal, "limit", value, utilisation, who, read_at, stopping FROM mig.signals WHERE name = 'sig1' AND signal IN ('query', 'archive_backlog', 'dead_rows');
INSERT INTO stop VALUES (true);
SELECT mig_resume('sig1');
CALL mt.wait_for('SELECT waiting_for ~ ''query'' FROM mig_status(''sig1'')');
SELECT phase, rows_done, waiting_for FROM mig_status('sig1');
SELECT signal, "limit", value, utilisation, who, read_at > now() - interval '1 hour' AS fresh, stopping FROM mig.signals WHERE name = 'sig1' AND (stopping OR signal = 'archive_backlog');
SET ROLE regress_other;
SELECT signal, value, who, stopping FROM mig.signals WHERE name = 'sig1' AND stopping;
SELECT * FROM mt.try('SELECT * FROM mig.read_signals()');
SET ROLE regress_owner;
SELECT mig_set('sig1', '{"throttle": {"xid_age": 0, "archive_backlog": null, "query": "SELECT NOT EXISTS (SELECT FROM stop)"}}');
RESET ROLE;
SELECT options ->> 'throttle' AS throttle FROM mig.migration WHERE name = 'sig1';
SET ROLE regress_owner;
CALL mt.wait_for('SELECT waiting_for ~ ''xid_age'' FROM mig_status(''sig1'')');
SELECT regexp_replace(waiting_for, '\d+ \(database .*?\)', 'N (database)') FROM mig_status('sig1');
-- It fails closed: NULL, several rows, none, an error, no answer in time; and it is asked as the owner
SELECT mig_set('sig1', '{"throttle": {"xid_age": null, "query": "SELECT NOT please FROM stop"}}');
UPDATE stop SET please = NULL;
CALL mt.wait_for('SELECT waiting_for ~ ''NULL'' FROM mig_status(''sig1'')');
INSERT INTO stop VALUES (true);
CALL mt.wait_for('SELECT waiting_for ~ ''more than'' FROM mig_status(''sig1'')');
DELETE FROM stop;
CALL mt.wait_for('SELECT waiting_for ~ ''no row'' FROM mig_status(''sig1'')');
SELECT waiting_for FROM mig_status('sig1');
DROP TABLE stop;
CALL mt.wait_for('SELECT waiting_for ~ ''failed'' FROM mig_status(''sig1'')');
SELECT waiting_for FROM mig_status('sig1');
CREATE VIEW stop AS SELECT pg_sleep(60) IS NULL AS please;
CALL mt.wait_for('SELECT waiting_for ~ ''within'' FROM mig_status(''sig1'')');
SELECT waiting_for FROM mig_status('sig1');
DROP VIEW stop;
CREATE VIEW stop AS SELECT current_user <> 'regress_owner' AS please;
SELECT mig_set('sig1', '{"throttle": {"query": "SELECT please FROM app.stop"}}');
CALL mt.wait_for('SELECT phase = ''ready'' FROM mig_status(''sig1'')');
SELECT count(*) FROM app_sig1.t;
SELECT mig_complete('sig1');
CALL mt.wait_for('SELECT phase = ''completed'' FROM mig_status(''sig1'')');
SELECT count(*) FROM mig.signals;

-- A hard signal's floor, an unpaced migration
ANALYZE t;
SELECT mig_start('sig2', 'ALTER TABLE t ALTER a TYPE bigint', '{"throttle": {"wal_disk_free": 1e18}}');
CALL mt.wait_for('SELECT waiting_for ~ ''wal_disk_free'' FROM mig_status(''sig2'')');
SELECT signal, "limit" FROM mig.signals WHERE name = 'sig2' AND stopping;
SELECT regexp_replace(waiting_for, 'is .*?,', 'is N,'), percent, rows_done, rows_total > 0 AS total FROM mig_status('sig2');
SELECT mig_set('sig2', '{"throttle": false}');
CALL mt.wait_for('SELECT phase = ''ready'' FROM mig_status(''sig2'')');
SELECT mig_rollback('sig2');
RESET ROLE;

-- Readers
\pset tuples_only on
SELECT signal, value, who FROM mig.read_signals('{"standbys": ["nobody"]}') WHERE signal ~ 'replica';
SELECT signal, value, who FROM mig.read_signals('{"standbys": ["-nobody"]}') WHERE signal ~ 'replica';
SET mig_control.throttle_standbys = 'nobody, "Some one"';
SELECT signal, value, who FROM mig.read_signals() WHERE signal = 'replica_lag';
SELECT signal, value, who FROM mig.read_signals('{"standbys": []}') WHERE signal = 'replica_lag';
RESET mig_control.throttle_standbys;
SELECT signal, value FROM mig.read_signals('{"xmin_age": "1h"}', 'app.t') WHERE signal IN ('replica_lag', 'archive_backlog', 'wraparound_vacuum', 'waiters', 'query');
SELECT signal, value > 0 FROM mig.read_signals(NULL, 'app.t') WHERE signal IN ('disk_free', 'wal_disk_free', 'xid_age') ORDER BY 1;
-- nobody is there but this session
SELECT signal, value, who FROM mig.read_signals() WHERE signal IN ('active_clients', 'commit_latency');
SELECT value FROM mig.read_signals('{"query": "SELECT false"}') WHERE signal = 'query';
SELECT value, who FROM mig.read_signals('{"query": "SELECT true"}') WHERE signal = 'query';
-- a slot that keeps no WAL yet; one that does
SELECT (pg_create_physical_replication_slot('regress_later')).slot_name;
SELECT value, who FROM mig.read_signals() WHERE signal = 'slot_wal';
SELECT (pg_create_physical_replication_slot('regress_now', true)).slot_name;
SELECT pg_switch_wal() IS NULL;
CREATE TABLE app.some (a int);
SELECT value > 0, who FROM mig.read_signals() WHERE signal = 'slot_wal';
SELECT pg_drop_replication_slot('regress_later'), pg_drop_replication_slot('regress_now');
-- the rate needs two looks
\c
SELECT value, who FROM mig.read_signals('{"wal_rate": 1}') WHERE signal = 'wal_rate';
SELECT value >= 0, who FROM mig.read_signals('{"wal_rate": 1}') WHERE signal = 'wal_rate';
-- dead rows, against the table's own threshold
CREATE TABLE app.dead WITH (autovacuum_vacuum_threshold = 100000, autovacuum_vacuum_scale_factor = 0) AS SELECT i FROM generate_series(1, 1000) i;
DELETE FROM app.dead;
SELECT pg_stat_force_next_flush();
SELECT value FROM mig.read_signals(NULL, 'app.dead') WHERE signal = 'dead_rows';
ALTER TABLE app.dead SET (autovacuum_enabled = false);
SELECT value FROM mig.read_signals(NULL, 'app.dead') WHERE signal = 'dead_rows';
-- a table's index in another tablespace; a table that is gone
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_signals LOCATION '';
CREATE INDEX dead_i ON app.dead (i) TABLESPACE regress_signals;
SELECT value > 0, who ~ '^tablespace (pg_default|regress_signals)$' FROM mig.read_signals(NULL, 'app.dead') WHERE signal = 'disk_free';
DROP INDEX app.dead_i;
DROP TABLESPACE regress_signals;
SELECT signal, value > 0 FROM mig.read_signals(NULL, 1) WHERE signal IN ('disk_free', 'dead_rows') ORDER BY 1;
\pset tuples_only off
SET client_min_messages = warning;
SELECT mt.clean('app', 'app_sig1');
RESET client_min_messages;
DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM regress_owner', current_database()); END$$;
DROP ROLE regress_owner, regress_other;
