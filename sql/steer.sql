-- Steering: pause, resume, set, hold, operators; who may, and when.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE ROLE regress_owner;
CREATE ROLE regress_operator;
CREATE ROLE regress_crew;
CREATE ROLE regress_hand IN ROLE regress_crew;
CREATE ROLE regress_other;
CREATE SCHEMA app AUTHORIZATION regress_owner;
CREATE SCHEMA side AUTHORIZATION regress_owner;
GRANT ALL ON SCHEMA app TO regress_other;
SET ROLE regress_owner;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
CREATE TABLE side.s (id int PRIMARY KEY, a text);
SELECT mt.remember('app');

-- Who may start: the owner of the table, with CREATE on the database
\set start 'SELECT mig_start(''m1'', ''ALTER TABLE t ALTER a TYPE int USING a::int'', ''{"hold": ["expanding", "backfilling", "ready"], "operators": ["regress_operator", "regress_crew"]}'')'
SELECT regexp_replace(outcome, 'database .*', 'database …') FROM mt.try(:'start');
RESET ROLE;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_owner, regress_other', current_database()); END$$;
SET ROLE regress_other;
SELECT * FROM mt.try(:'start');
SELECT * FROM mt.refused('ALTER TABLE t ADD b int');
SET ROLE regress_owner;

-- Unknown everywhere
SELECT call, outcome FROM unnest(ARRAY['mig_pause', 'mig_resume', 'mig_complete', 'mig_rollback', 'mig_use', 'mig_retire']) call, mt.try('SELECT %s(%L)', call, 'nothing') ORDER BY call, outcome;
SELECT * FROM mt.try('SELECT mig_set(%L, ''{}'')', 'nothing');
SELECT * FROM mt.try('SELECT mig_complete()');
SELECT * FROM mt.try('SELECT mig_rollback()');
CALL mig_wait('nothing');
CALL mig_run('nothing');
SELECT * FROM mig_status('nothing');

-- Within a transaction that is rolled back: nothing is left
BEGIN;
SELECT mig_start('m1', 'ALTER TABLE t ALTER a TYPE int USING a::int');
ROLLBACK;
SELECT * FROM mt.changes('app');
SELECT count(*) FROM mig_status('m1');

-- The procedures commit: not in a transaction block, a function or an exception block
BEGIN;
CALL mig_wait('m1');
ROLLBACK;
BEGIN;
CALL mig_run('m1');
ROLLBACK;
BEGIN;
CALL mig_tick();
ROLLBACK;
DO $$ BEGIN CALL mig_wait('m1'); EXCEPTION WHEN division_by_zero THEN NULL; END $$;
CALL mig_wait('m1', until => 'dinner');
CALL mig_wait('m1', timeout => NULL);

-- Held before each phase named, until somebody resumes; operators may, others not
:start;
SELECT name, schema, version_schema, phase, paused, percent, rows_done, rows_total, rows_per_second, eta, waiting_for, divergent, error FROM mig_status('m1');
SELECT * FROM mt.changes('app');
SELECT * FROM mt.try('SELECT count(*) FROM app_m1.t');
SELECT mig_resume('m1');
CALL mt.wait_for('SELECT paused AND waiting_for ~ ''backfilling'' FROM mig_status(''m1'')');
SELECT phase, waiting_for FROM mig_status('m1');
SET ROLE regress_other;
SELECT call, outcome FROM unnest(ARRAY['mig_pause', 'mig_resume', 'mig_complete', 'mig_rollback', 'mig_retire']) call, mt.try('SELECT %s(%L)', call, 'm1') ORDER BY call, outcome;
SELECT * FROM mt.try('SELECT mig_set(%L, ''{}'')', 'm1');
CALL mig_run('m1');
SELECT name, phase FROM mig_status() WHERE name = 'm1';
SELECT count(*) > 5, count(sql), count(undo) FROM mig.steps WHERE name = 'm1';
SET ROLE regress_operator;
SELECT * FROM mt.try('SELECT mig_complete(%L)', 'm1');
SELECT * FROM mt.try('SELECT mig_set(%L, ''{}'')', 'm1');
SELECT * FROM mt.try('SELECT mig_retire(%L)', 'm1');
SELECT mig_resume('m1');
SET ROLE regress_owner;
CALL mt.wait_for('SELECT paused AND waiting_for ~ ''ready'' FROM mig_status(''m1'')');
SELECT phase, percent, rows_done, waiting_for FROM mig_status('m1');
SET ROLE regress_hand;
SELECT mig_resume('m1');
SET ROLE regress_owner;
CALL mig_wait('m1');
SELECT phase, paused, percent, rows_done, waiting_for, divergent, error FROM mig_status('m1');
SELECT mig_rollback('m1', 'start again');
SELECT count(sql) > 5 AS sql, count(undo) > 2 AS undo FROM mig.steps WHERE name = 'm1';

-- Paused: nothing moves, both versions stay in sync, complete is refused; pausing twice keeps the first reason
SELECT mig_start('m2', 'ALTER TABLE t ALTER a TYPE int USING a::int', '{"hold": ["backfilling"], "operators": ["regress_operator"]}');
CALL mt.wait_for('SELECT paused FROM mig_status(''m2'')');
SELECT mig_pause('m2', 'lunch');
SELECT mig_resume('m2');
CALL mig_wait('m2');
SET ROLE regress_operator;
SELECT mig_pause('m2', 'lunch');
SELECT mig_pause('m2', 'another');
SET ROLE regress_owner;
SELECT phase, paused, waiting_for FROM mig_status('m2');
SELECT * FROM mt.try('SELECT mig_complete(%L)', 'm2');
CALL mig_run('m2', until => 'completed');
CALL mig_wait('m2', until => 'completed', timeout => '10 ms');
INSERT INTO t VALUES (1001, '7');
SELECT id, a FROM app_m2.t WHERE id > 1000;
SELECT mig_resume('m2');

-- Options that may change, and those that may not
SELECT mig_set('m2', '{"operators": ["regress_other"], "workers": 2}', 'change of shift');
SELECT * FROM mt.try('SELECT count(*) FROM mig.migration');
SET ROLE regress_operator;
SELECT * FROM mt.try('SELECT mig_pause(%L)', 'm2');
SET ROLE regress_other;
SELECT mig_pause('m2'), mig_resume('m2');
SET ROLE regress_owner;
SELECT mig_set('m2', '{"operators": null}');
SET ROLE regress_other;
SELECT * FROM mt.try('SELECT mig_pause(%L)', 'm2');
SET ROLE regress_owner;
SELECT * FROM mt.try('SELECT mig_set(%L, ''{"schema": "x"}'')', 'm2');
SELECT * FROM mt.try('SELECT mig_set(%L, ''{"colour": "x"}'')', 'm2');
SELECT * FROM mt.try('SELECT mig_set(%L, ''{"operators": "x"}'')', 'm2');
SELECT * FROM mt.try('SELECT mig_set(%L, ''[]'')', 'm2');

-- Another migration of the schema, the same one again, another definition
SELECT * FROM mt.try('SELECT mig_start(%L, %L)', 'm3', 'ALTER TABLE t ADD b int');
SET client_min_messages = notice;
SELECT mig_start('m2', 'ALTER TABLE t ALTER a TYPE int USING a::int');
SET client_min_messages = warning;
SELECT * FROM mt.try('SELECT mig_start(%L, %L)', 'm2', 'ALTER TABLE t ADD b int');
SET ROLE regress_other;
SELECT * FROM mt.try('SELECT mig_start(%L, %L)', 'm2', 'ALTER TABLE t ALTER a TYPE int USING a::int');
SET ROLE regress_owner;

-- Migrations of two schemas at once; a call without a name is about the current schema's only one
SELECT mig_start('s1', 'ALTER TABLE s ALTER a TYPE int USING a::int', '{"schema": "side"}');
CALL mig_wait('s1');
SELECT name, schema, phase FROM mig_status() WHERE phase = 'ready' ORDER BY name;
SET search_path = public;
SELECT * FROM mt.try('SELECT mig_complete()');
SET search_path = side_s1;
SELECT mig_complete();
CALL mig_wait('s1', until => 'completed');
SET search_path = app;
SELECT mig_complete();
CALL mig_wait('m2', until => 'completed');
SET client_min_messages = notice;
SELECT mig_complete('m2');
SELECT mig_start('m2', 'ALTER TABLE t ALTER a TYPE int USING a::int');
SET client_min_messages = warning;
SELECT call, outcome FROM unnest(ARRAY['mig_pause', 'mig_resume', 'mig_rollback']) call, mt.try('SELECT %s(%L)', call, 'm2') ORDER BY call, outcome;
SELECT * FROM mt.try('SELECT mig_set(%L, ''{}'')', 'm2');
CALL mig_wait('m2');
CALL mig_wait('m2', until => 'completed');
CALL mig_wait('m2', until => 'rolled_back');

-- Rolled back: every call but start is told so; start makes a new run, also with another definition; phases reached by mig_tick and mig_run
SELECT mig_start('m4', 'ALTER TABLE t ADD b int', '{"hold": ["ready"]}');
CALL mt.wait_for('SELECT paused FROM mig_status(''m4'')');
SELECT * FROM mt.try('SELECT mig_complete(%L)', 'm4');
SELECT * FROM mt.try('SELECT mig_retire(%L)', 'm4');
SELECT mig_resume('m4');
CALL mig_run('m4');
SELECT mig_rollback();
CALL mig_wait('m4', until => 'rolled_back');
CALL mig_wait('m4');
CALL mig_run('m4');
SELECT call, outcome FROM unnest(ARRAY['mig_pause', 'mig_resume', 'mig_complete', 'mig_rollback', 'mig_use']) call, mt.try('SELECT %s(%L)', call, 'm4') ORDER BY call, outcome;
SELECT mig_start('m4', 'ALTER TABLE t ADD c int DEFAULT 3');
CALL mig_tick('30 s');
CALL mig_wait('m4');
SELECT sum(c) FROM app_m4.t;
SELECT name, phase FROM mig_status('m4');
SELECT mig_complete();

-- A value that up cannot take: named, the rest goes on, no ready; corrected, it goes on
CREATE TABLE side.u (id int, k text, a text, PRIMARY KEY (id, k));
INSERT INTO side.u VALUES (1, 'x', '1'), (2, 'y', 'two'), (3, 'z', '3');
SELECT mig_start('s2', 'ALTER TABLE u ALTER a TYPE int USING a::int', '{"schema": "side"}');
CALL mig_wait('s2');
SELECT relation, kind, column_name, key, error FROM mig.bad_rows WHERE name = 's2' ORDER BY key::text;
SET ROLE regress_other;
SELECT count(*) FROM mig.bad_rows WHERE name = 's2';
SET ROLE regress_owner;
SELECT phase, paused, rows_done, error FROM mig_status('s2');
SELECT * FROM mt.try('SELECT count(*) FROM side_s2.u');
INSERT INTO side.u VALUES (4, 'w', 'four');
UPDATE side.u SET a = '22' WHERE id = 2;
SELECT mig_resume('s2');
CALL mig_wait('s2');
SELECT relation, key, error FROM mig.bad_rows WHERE name = 's2';
DELETE FROM side.u WHERE id = 4;
SELECT mig_resume('s2');
CALL mig_wait('s2');
SELECT * FROM side_s2.u ORDER BY id;
SELECT count(*) FROM mig.bad_rows WHERE name = 's2';
SELECT mig_rollback('s2');

-- The audit log
SELECT name, kind, detail - 'locked_ms' AS detail, role_name = session_user AS by_us FROM mig.events WHERE name IN ('m1', 'm2') AND kind NOT IN ('step', 'filled', 'vacuumed', 'restore point', 'proved') ORDER BY id;

-- The extension cannot be dropped while one is active
SELECT mig_start('m5', 'ALTER TABLE t ADD d int');
CALL mig_wait('m5');
RESET ROLE;
SELECT * FROM mt.try('DROP EXTENSION mig_control');
SELECT mig_rollback('m5');
RESET search_path;
SELECT mt.clean('app', 'side');
DROP OWNED BY regress_owner, regress_operator, regress_crew, regress_hand, regress_other;
DROP ROLE regress_owner, regress_operator, regress_hand, regress_crew, regress_other;
