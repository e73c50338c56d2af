-- The drift watch: its option, what it finds in a version that is ready, what it does about it, and that it finds nothing where nothing is wrong.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE SCHEMA drift;
SET search_path = drift;
CREATE TABLE t (id int PRIMARY KEY, price numeric NOT NULL, note text);
INSERT INTO t SELECT i, i / 4.0, 'n' FROM generate_series(1, 1000) i;
CREATE VIEW events AS SELECT e.id, e.kind, e.detail - 'pass' AS detail FROM mig.events e WHERE e.name = 'drift' AND e.kind ~ 'drift|fence|watch|bypass|paused' ORDER BY e.id;
-- Statements that the sync triggers do not see
CREATE PROCEDURE bypass(statements text) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL mig_control.own_statements = 1;
	ALTER TABLE t DISABLE TRIGGER USER;
	EXECUTE statements;
	ALTER TABLE t ENABLE ALWAYS TRIGGER "~mig_sync";
END$$;
-- Waits for the end of a cycle that begins from now on
CREATE PROCEDURE cycle() LANGUAGE plpgsql AS $$
BEGIN
	CALL mt.wait_for(format('SELECT EXISTS (SELECT FROM mig.pass p JOIN mig.migration m ON m.id = p.migration_id WHERE m.name = ''drift'' AND p.kind = ''watch'' AND p.step_no = 0 AND p.ended_at IS NOT NULL AND p.started_at > %L)', clock_timestamp()));
END$$;

-- The option
\pset tuples_only on
SELECT o.outcome FROM (VALUES (1, '[]'), (2, '5'), (3, '{"share": 0.1}'), (4, '{"duty": 0}'), (5, '{"duty": 1.1}'), (6, '{"duty": "0.1"}'), (7, '{"duty": 0.0009}'), (8, '{"reaction": "stop"}'),
	(9, '{"reaction": true}')) v (n, drift), mt.try('SELECT mig_start(%L, %L, %L)', 'drift', 'ALTER TABLE t ADD x int', format('{"drift": %s}', drift)) WITH ORDINALITY o (outcome, line) ORDER BY n, line;
SELECT * FROM mt.try('SET mig_control.drift_duty = 1.5');
\pset tuples_only off
SHOW mig_control.drift_duty;
SELECT mig_start('drift', 'ALTER TABLE t ALTER price TYPE bigint USING (price * 100)::bigint', '{"down": {"t.price": "price / 100.0"}, "drift": {"duty": 1}}');
CALL mig_wait('drift');

-- Its members are set one by one; null is the default
SELECT mig_set('drift', '{"drift": {"reaction": "fence"}}');
SELECT options -> 'drift' AS drift FROM mig.migration WHERE name = 'drift' AND schema_name = 'drift';
SELECT mig_set('drift', '{"drift": {"reaction": null}}');
SELECT options -> 'drift' AS drift FROM mig.migration WHERE name = 'drift' AND schema_name = 'drift';
SELECT * FROM mt.try('SELECT mig_set(%L, %L)', 'drift', '{"drift": {"duty": 7}}');
SELECT * FROM mt.try('SELECT mig_override(%L, %L)', 'drift', '{"drift": {"duty": 0.7}}');

-- Nothing is wrong: both sides are written, and no row is found
CALL cycle();
UPDATE t SET price = price + 1 WHERE id <= 500;
UPDATE drift_drift.t SET price = price + 50 WHERE id > 400;
INSERT INTO drift_drift.t (id, price) VALUES (1001, 5);
DELETE FROM t WHERE id = 7;
CALL cycle();
SELECT watching, duty, reaction, fenced_since, last_pass_clean, failure FROM mig.watch WHERE name = 'drift';
SELECT divergent FROM mig_status('drift');
SELECT * FROM mig.drift WHERE name = 'drift';

-- A value that was changed past the triggers, and a row that was inserted so
CALL bypass('UPDATE t SET price = 7 WHERE id = 3; INSERT INTO t VALUES (2000, 1.5)');
CALL mt.wait_for('SELECT count(*) = 2 FROM mig.drift WHERE name = ''drift''');
SELECT relation, key, column_name, kind, old_value, new_value, expected, error, gone_at FROM mig.drift WHERE name = 'drift' ORDER BY key;
SELECT divergent, paused FROM mig_status('drift');
SELECT s AS alarmed FROM events, jsonb_array_elements(detail -> 'samples') s WHERE kind = 'drift' ORDER BY s -> 'key';
SELECT count(*) AS alarms FROM events WHERE kind = 'drift' \gset
-- They stay what they are: no news
CALL cycle();
SELECT divergent, (SELECT count(*) FROM events WHERE kind = 'drift') - :alarms AS alarms, (SELECT count(*) FROM mig.drift WHERE name = 'drift') AS known FROM mig_status('drift');
SELECT last_pass_clean FROM mig.watch WHERE name = 'drift';
-- Corrected, they are gone; the history stays
UPDATE t SET price = 8 WHERE id IN (3, 2000);
CALL mt.wait_for('SELECT count(gone_at) = 2 FROM mig.drift WHERE name = ''drift''');
SELECT divergent FROM mig_status('drift');
SELECT kind, sum((detail ->> 'rows')::int) AS rows FROM events WHERE kind = 'drift gone' GROUP BY 1;
-- And news when it happens again
CALL bypass('UPDATE drift.t SET price = 9 WHERE id = 3');
CALL mt.wait_for('SELECT count(*) = 3 FROM mig.drift WHERE name = ''drift''');
SELECT count(*) AS alarms FROM events WHERE kind = 'drift' AND detail -> 'samples' @> '[{"key": {"id": 3}}]';

-- Who may not read the table does not see its rows
CREATE ROLE regress_drift;
SET ROLE regress_drift;
SELECT count(*) FROM mig.drift WHERE name = 'drift';
SELECT watching, failure FROM mig.watch WHERE name = 'drift';
RESET ROLE;

-- Pause
SELECT mig_set('drift', '{"drift": {"reaction": "pause"}}');
CALL cycle();
SELECT paused FROM mig_status('drift');
CALL bypass('UPDATE drift.t SET price = 10 WHERE id = 4');
CALL mt.wait_for('SELECT paused FROM mig_status(''drift'')');
SELECT waiting_for, divergent FROM mig_status('drift');
SELECT * FROM mt.try('SELECT mig_complete(%L)', 'drift');
SELECT watching FROM mig.watch WHERE name = 'drift';
SELECT mig_resume('drift');
-- what is known does not pause it again
CALL cycle();
SELECT paused, divergent FROM mig_status('drift');

-- Fence: writes through the new version are refused, those of the old one are not, nor those that don't concern the new values
SELECT mig_set('drift', '{"drift": {"reaction": "fence"}}');
CALL bypass('UPDATE drift.t SET price = 11 WHERE id = 5');
CALL mt.wait_for('SELECT fenced_since IS NOT NULL FROM mig.watch WHERE name = ''drift''');
SELECT * FROM mt.try('UPDATE drift_drift.t SET price = 1 WHERE id = 10');
SELECT * FROM mt.try('INSERT INTO drift_drift.t VALUES (3000, 1, NULL)');
SELECT * FROM mt.try('UPDATE drift_drift.t SET note = ''x'' WHERE id = 10');
SELECT * FROM mt.try('UPDATE drift.t SET price = 2 WHERE id = 10');
SELECT price FROM drift_drift.t WHERE id = 10;
-- a clean pass over all rows lifts it
UPDATE t SET price = 12 WHERE id IN (3, 4, 5);
CALL mt.wait_for('SELECT fenced_since IS NULL FROM mig.watch WHERE name = ''drift''');
UPDATE drift_drift.t SET price = 1 WHERE id = 10;
SELECT divergent FROM mig_status('drift');
-- so does mig_resume, at once, and mig_set with another reaction
CALL bypass('UPDATE drift.t SET price = 13 WHERE id = 5');
CALL mt.wait_for('SELECT fenced_since IS NOT NULL FROM mig.watch WHERE name = ''drift''');
SELECT mig_resume('drift');
SELECT * FROM mt.try('UPDATE drift_drift.t SET price = 1 WHERE id = 11');
CALL bypass('UPDATE drift.t SET price = 13 WHERE id = 6');
CALL mt.wait_for('SELECT fenced_since IS NOT NULL FROM mig.watch WHERE name = ''drift''');
SELECT * FROM mt.try('UPDATE drift_drift.t SET price = 1 WHERE id = 12');
SELECT mig_set('drift', '{"drift": {"reaction": "alarm"}}');
SELECT * FROM mt.try('UPDATE drift_drift.t SET price = 1 WHERE id = 12');
SELECT kind, detail FROM events WHERE kind ~ 'fence';

-- Turned off
SELECT mig_set('drift', '{"drift": false}');
SELECT watching FROM mig.watch WHERE name = 'drift';
SELECT mig_set('drift', '{"drift": {"duty": 1, "reaction": "fence"}}');

-- A fence ends with its migration
CALL bypass('UPDATE drift.t SET price = 14 WHERE id = 8');
CALL mt.wait_for('SELECT fenced_since IS NOT NULL FROM mig.watch WHERE name = ''drift''');
SELECT mig_rollback('drift', force => true);
SELECT count(*) FROM mig.fence f JOIN mig.migration m ON m.id = f.migration_id WHERE m.name = 'drift';
SELECT jsonb_array_length(report -> 'drift') > 0 AS reported FROM mig_report('drift') report;
DROP ROLE regress_drift;
RESET search_path;
