-- Limits at which a migration pauses or rolls back by itself.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE SCHEMA abt;
SET search_path = abt;
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
\set definition 'ALTER TABLE abt.t ALTER a TYPE int USING a::int; ALTER TABLE abt.t ADD CHECK (a < 1000000)'

-- What is refused, with its place
CREATE FUNCTION pg_temp.refused(VARIADIC abort_if text[]) RETURNS TABLE (outcome text)
LANGUAGE sql AS $$
	SELECT r.outcome FROM unnest(abort_if) a, mt.refused('ALTER TABLE abt.t ALTER a TYPE int USING a::int', jsonb_build_object('schema', 'abt', 'abort_if', a::jsonb)) r
$$;
SELECT * FROM pg_temp.refused('5', '[]', '{"speed": 1}', '{"divergence": -1}', '{"divergence": 1.5}', '{"divergence": "1"}', '{"error_rate": 1.01}', '{"error_rate": -0.1}',
	'{"error_rate": true}', '{"latency": 0.9}', '{"latency": {"limit": 0.9}}', '{"latency": {"action": "pause"}}', '{"latency": {"limit": 2, "when": "now"}}', '{"latency": []}',
	'{"deadline": 5}', '{"deadline": "soon"}', '{"deadline": "0"}', '{"deadline": "-1 hour"}', '{"deadline": "11 years"}', '{"deadline": "infinity"}',
	'{"action": "stop"}', '{"action": 1}', '{"divergence": {"limit": 1, "action": "drop"}}');
SELECT * FROM pg_temp.refused('{}', 'null', '{"divergence": null, "error_rate": 0, "latency": 1, "deadline": "1 year 2 days", "action": "rollback"}', '{"deadline": {"limit": "1 ms", "action": "rollback"}}');

CREATE FUNCTION pg_temp.masked(t text) RETURNS text LANGUAGE sql AS $$ SELECT regexp_replace(regexp_replace(t, '\d+\.\d+ s', 'N s'), '\d+ of \d+', 'N of N') $$;
CREATE FUNCTION pg_temp.aborted(name text) RETURNS TABLE (by text, action text, "limit" text, value boolean, reason text)
LANGUAGE sql AS $$
	SELECT e.detail ->> 'by', e.detail ->> 'action', e.detail ->> 'limit', (e.detail ->> 'value')::numeric > 0, pg_temp.masked(e.detail ->> 'reason')
	  FROM mig.events e WHERE e.name = $1 AND e.kind = 'aborted' ORDER BY e.id
$$;
-- A deadline, while nothing may be done: pauses, once
SELECT jsonb_build_object('window', jsonb_build_object('from', to_char(now() + interval '3 hours', 'HH24:MI'), 'to', to_char(now() + interval '4 hours', 'HH24:MI')),
						  'abort_if', '{"deadline": "10 ms", "divergence": 0}'::jsonb) AS options \gset
SELECT mig_start('abt1', :'definition', :'options');
CALL mt.wait_for('SELECT paused FROM mig_status(''abt1'')');
SELECT phase, paused, waiting_for, pg_temp.masked(error) AS error FROM mig_status('abt1');
SELECT * FROM pg_temp.aborted('abt1');
-- it does not act again when the migration goes on
SELECT mig_resume('abt1');
SELECT looked_at AS looked FROM mig.lookout l JOIN mig.migration m ON m.id = l.migration_id AND m.name = 'abt1' \gset
CALL mt.wait_for(format('SELECT looked_at > %L::timestamptz + interval ''1 s'' FROM mig.lookout l JOIN mig.migration m ON m.id = l.migration_id AND m.name = ''abt1''', :'looked'));
SELECT paused, error FROM mig_status('abt1');
-- unless it is another deadline; now it rolls back
SELECT mt.try('SELECT mig_set(''abt1'', ''{"abort_if": {"deadline": "0 s"}}'')');
SELECT mig_set('abt1', '{"abort_if": {"deadline": {"limit": "20 ms", "action": "rollback"}}}');
CALL mt.wait_for('SELECT phase = ''rolled_back'' FROM mig_status(''abt1'')');
SELECT phase, paused, pg_temp.masked(error) AS error FROM mig_status('abt1');
SELECT * FROM pg_temp.aborted('abt1');
SELECT detail ->> 'to' AS "to", detail -> 'detail' ->> 'reason' ~ 'deadline is 20 ms' AS with_reason FROM mig.events WHERE name = 'abt1' AND kind = 'phase' AND detail ->> 'to' = 'rolling_back';

-- Rows that differ: found by the check, rolled back by the same driver
SELECT mig_start('abt2', :'definition', '{"hold": ["validating"], "abort_if": {"divergence": {"limit": 1, "action": "rollback"}}}');
CALL mt.wait_for('SELECT paused AND waiting_for = ''held before validating'' FROM mig_status(''abt2'')');
SET mig_control.own_statements = 1;
ALTER TABLE t DISABLE TRIGGER USER;
UPDATE t SET a = '-5' WHERE id <= 2;
RESET mig_control.own_statements;
SELECT mig_resume('abt2');
CALL mt.wait_for('SELECT phase = ''rolled_back'' FROM mig_status(''abt2'')');
SELECT * FROM pg_temp.aborted('abt2');
SELECT phase, error FROM mig_status('abt2');
UPDATE t SET a = id WHERE id <= 2;

-- A version that was ready is not rolled back where that would lose writes: it pauses instead
SELECT mig_start('abt5', :'definition', '{"abort_if": {"divergence": 0, "action": "rollback"}, "drift": {"duty": 1}}');
CALL mig_wait('abt5');
UPDATE abt_abt5.t SET a = 70 WHERE id = 7;
BEGIN;
SET LOCAL mig_control.own_statements = 1;
ALTER TABLE t DISABLE TRIGGER USER;
UPDATE t SET a = '71' WHERE id = 7;
ALTER TABLE t ENABLE ALWAYS TRIGGER "~mig_sync";
COMMIT;
CALL mt.wait_for('SELECT count(*) = 1 FROM mig.events WHERE name = ''abt5'' AND kind = ''aborted''');
SELECT phase, paused, waiting_for FROM mig_status('abt5');
SELECT detail - 'reason' AS detail FROM mig.events WHERE name = 'abt5' AND kind = 'aborted';
SELECT mig_rollback('abt5', force => true);
UPDATE t SET a = 7 WHERE id = 7;

-- The new version's writes fail: too few say nothing, then it pauses
SELECT mig_start('abt3', :'definition', '{"abort_if": {"error_rate": 0.5, "latency": 1000}}');
CALL mig_wait('abt3');
CREATE FUNCTION pg_temp.write(good int, bad int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. good LOOP
		UPDATE abt_abt3.t SET a = a WHERE id = i;
	END LOOP;
	FOR i IN 1 .. bad LOOP
		BEGIN
			UPDATE abt_abt3.t SET a = 1000000 WHERE id = i;
		EXCEPTION WHEN check_violation THEN
		END;
	END LOOP;
END$$;
SELECT pg_temp.write(0, 40);
SELECT looked_at AS looked FROM mig.lookout l JOIN mig.migration m ON m.id = l.migration_id AND m.name = 'abt3' \gset
CALL mt.wait_for(format('SELECT looked_at > %L::timestamptz + interval ''1 s'' FROM mig.lookout l JOIN mig.migration m ON m.id = l.migration_id AND m.name = ''abt3''', :'looked'));
SELECT phase, paused FROM mig_status('abt3');
SELECT pg_temp.write(0, 20);
CALL mt.wait_for('SELECT paused FROM mig_status(''abt3'')');
SELECT phase, paused, waiting_for, pg_temp.masked(error) AS error FROM mig_status('abt3');
SELECT * FROM pg_temp.aborted('abt3');
SELECT pg_temp.masked(mt.try('SELECT mig_complete(''abt3'')')) AS outcome;
-- What others stand on cannot be rolled back: it pauses instead
SELECT mig_resume('abt3');
SELECT mig_start('abt4', 'CREATE TABLE abt.u (id int PRIMARY KEY)', '{"schema": "abt"}');
SELECT mig_set('abt3', '{"abort_if": {"error_rate": 0.4, "action": "rollback"}}');
CALL mt.wait_for('SELECT paused FROM mig_status(''abt3'')');
SELECT phase, pg_temp.masked(error) AS error FROM mig_status('abt3');
SELECT detail - '{value,reason}'::text[] AS detail FROM mig.events WHERE name = 'abt3' AND kind = 'aborted' ORDER BY id;
SELECT mig_rollback('abt4'), mig_rollback('abt3');
RESET search_path;
SELECT mt.clean('abt');
