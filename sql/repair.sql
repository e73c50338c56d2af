-- mig_repair: rows whose versions have come apart are put right, from who wrote them last or from the side that is kept; what it leaves, and when it stops.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE SCHEMA rep;
SET search_path = rep;
CREATE TABLE t (id int PRIMARY KEY, price numeric(12,2), name text, changed text DEFAULT 'never');
CREATE TABLE audit (what text);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.changed = 'stamped'; RETURN NEW; END$$;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO rep.audit VALUES (TG_OP); RETURN NULL; END$$;
CREATE TRIGGER stamp BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER note AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO t SELECT i, i, 'n' || i FROM generate_series(1, 20) i;
CREATE FUNCTION cents(x numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT (x * 100)::bigint';
-- Statements that the sync triggers do not see
CREATE PROCEDURE bypass(tab text, statements text) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL mig_control.own_statements = 1;
	EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', tab);
	EXECUTE statements;
	EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', tab);
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER "~mig_sync"', tab);
	IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = tab::regclass AND tgname = '!mig_sync') THEN
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER "!mig_sync"', tab);
	END IF;
END$$;
-- Waits until a look at the catalog sees that all who have written a table so far have ended
CREATE PROCEDURE settled(tab text) LANGUAGE plpgsql AS $$
BEGIN
	CALL mt.wait_for(format('SELECT (SELECT max(xmin::text::bigint) FROM %s) < pg_snapshot_xmin(pg_current_snapshot())::text::bigint', tab));
END$$;
CREATE VIEW events AS SELECT e.id, e.name, e.kind, e.detail FROM mig.events e WHERE e.name ~ '^rep' AND e.kind IN ('repaired', 'repair stopped', 'bypass', 'resumed') ORDER BY e.id;

-- Bad input
\pset tuples_only on
SELECT * FROM mt.try('SELECT mig_repair(%L)', 'nothing');
SELECT * FROM mt.try('SELECT mig_repair(NULL)');
SELECT * FROM mt.try('SELECT mig_repair(%L, NULL)', 'rep1');
SELECT o.outcome FROM (VALUES (1, '-1'), (2, '1.5'), (3, '1000001'), (4, '"many"')) v (n, most), mt.try('SELECT mig_start(%L, %L, %L)', 'rep1', 'ALTER TABLE t ADD x int', format('{"max_repairs": %s}', most)) o ORDER BY n;
SELECT mig_start('rep1', 'ALTER TABLE t ALTER price TYPE bigint USING cents(price), ALTER name TYPE varchar(9) USING upper(name)',
	'{"down": {"t.price": "price / 100.0", "t.name": "lower(name)"}, "drift": false, "hold": ["expanding"]}');
SELECT * FROM mt.try('SELECT mig_repair(%L)', 'rep1');
SELECT mig_resume('rep1');
CALL mig_wait('rep1');
SELECT * FROM mt.try('SELECT mig_repair(%L, %L)', 'rep1', 'both');
SELECT * FROM mt.try('SELECT mig_set(%L, %L)', 'rep1', '{"max_repairs": -5}');
SELECT * FROM mt.try('SELECT mig_override(%L, %L)', 'rep1', '{"max_repairs": 5}');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT mig_repair('rep1');
ROLLBACK;
BEGIN READ ONLY;
SELECT mig_repair('rep1');
ROLLBACK;
CREATE ROLE mig_rep_other;
GRANT USAGE ON SCHEMA rep TO mig_rep_other;
SET ROLE mig_rep_other;
SELECT mig_repair('rep1');
RESET ROLE;
DROP OWNED BY mig_rep_other;
DROP ROLE mig_rep_other;
\pset tuples_only off

-- Nothing is wrong: evidence of a clean pass, no event
UPDATE rep_rep1.t SET price = 250, name = 'X' WHERE id = 2;
UPDATE t SET price = 3.5 WHERE id = 3;
SELECT * FROM mig_repair('rep1');
SELECT kind, checked, divergent, repaired, clean FROM mig.checks WHERE name = 'rep1' AND kind = 'repair';
SELECT name, kind FROM events;

-- A function that was wrong is mended. What was written before is certain to be what its state says: it is computed again, and nothing of the user's fires
CALL settled('rep.t');
SELECT divergent FROM mig_validate('rep1');
DELETE FROM audit;
CREATE OR REPLACE FUNCTION cents(x numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN x IN (5, 6) THEN -1 ELSE (x * 100)::bigint END';
SELECT relation, checked, divergent, repaired FROM mig_validate('rep1');
SELECT relation, checked, divergent, repaired, sample FROM mig_repair('rep1');
SELECT id, price, changed FROM rep_rep1.t WHERE id IN (2, 3, 5, 6) ORDER BY id;
SELECT count(*) AS audited FROM audit;
SELECT kind, checked, divergent, repaired, clean FROM mig.checks WHERE name = 'rep1' ORDER BY id DESC LIMIT 1;
-- Only a pass without a repair is clean
SELECT relation, divergent FROM mig_validate('rep1');
SELECT kind, clean FROM mig.checks WHERE name = 'rep1' ORDER BY id DESC LIMIT 1;
SELECT divergent FROM mig_status('rep1');

-- Past the triggers: nobody knows who wrote last. Left as it is, and told
CALL bypass('t', $$UPDATE t SET price = 70 WHERE id = 7; UPDATE rep_rep1.t SET price = 80 WHERE id = 8; INSERT INTO t VALUES (21, 21, 'n21'); INSERT INTO rep_rep1.t VALUES (22, 2200, 'N22')$$);
SELECT relation, checked, divergent, repaired, jsonb_path_query_array(sample, '$[*].left') AS "left" FROM mig_repair('rep1');
SELECT column_name, key, kind, error FROM mig.bad_rows WHERE name = 'rep1' ORDER BY key, column_name;
SELECT divergent FROM mig_status('rep1');
-- One side is kept: all pairs of these rows, and only of these
BEGIN;
SELECT relation, divergent, repaired FROM mig_repair('rep1', keep => 'old');
SELECT id, t.price AS old, n.price AS new, t.name AS old_name, n.name AS new_name, changed, _mig_state FROM t JOIN (SELECT id, price, name FROM rep_rep1.t) n USING (id) WHERE id IN (2, 3, 7, 8, 21, 22) ORDER BY id;
SELECT divergent FROM mig_validate('rep1');
ROLLBACK;
SELECT relation, divergent, repaired FROM mig_repair('rep1', keep => 'new');
SELECT id, t.price AS old, n.price AS new, t.name AS old_name, n.name AS new_name, changed, _mig_state FROM t JOIN (SELECT id, price, name FROM rep_rep1.t) n USING (id) WHERE id IN (2, 3, 7, 8, 21, 22) ORDER BY id;
SELECT count(*) FROM mig.bad_rows WHERE name = 'rep1';
CALL settled('rep.t');
SELECT divergent FROM mig_validate('rep1');
SELECT divergent FROM mig_status('rep1');
-- After a clean pass the past is forgotten: a later write through the triggers is certain
CREATE OR REPLACE FUNCTION cents(x numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT (x * 100)::bigint';
SELECT relation, divergent, repaired FROM mig_repair('rep1');
SELECT name, kind, detail - 'changes' AS detail FROM events ORDER BY id;

-- Also while the triggers are disabled; without them it cannot
BEGIN;
SET LOCAL mig_control.own_statements = 1;
ALTER TABLE t DISABLE TRIGGER USER;
UPDATE t SET price = 9.5 WHERE id = 9;
SELECT relation, divergent, repaired FROM mig_repair('rep1', 'old');
SELECT price FROM rep_rep1.t WHERE id = 9;
DROP TRIGGER "~mig_sync" ON t;
SELECT relation, divergent, repaired FROM mig_repair('rep1', 'old');
ROLLBACK;
-- Too many: none is changed, and the migration stops
SELECT divergent FROM mig_validate('rep1');
CALL bypass('t', 'UPDATE t SET price = 1000 WHERE id BETWEEN 10 AND 14');
SELECT mig_set('rep1', '{"max_repairs": 4}');
SELECT relation, divergent, repaired FROM mig_repair('rep1', 'old');
SELECT phase, paused, error FROM mig_status('rep1');
SELECT id, price FROM rep_rep1.t WHERE id BETWEEN 10 AND 14 ORDER BY id;
SELECT mig_set('rep1', '{"max_repairs": 5}');
SELECT relation, divergent, repaired FROM mig_repair('rep1', 'old');
SELECT mig_set('rep1', '{"max_repairs": 0}');
SELECT relation, divergent, repaired FROM mig_repair('rep1', 'old');
SELECT mig_resume('rep1');
SELECT phase, paused, error FROM mig_status('rep1');
SELECT id, price FROM rep_rep1.t WHERE id BETWEEN 10 AND 14 ORDER BY id;
SELECT name, kind, detail FROM events ORDER BY id DESC LIMIT 3;
SELECT mig_rollback('rep1');
\pset tuples_only on
SELECT * FROM mt.try('SELECT mig_repair(%L)', 'rep1');
\pset tuples_only off

-- What cannot be: an expression that raises, a foreign key, a CHECK. Others are put right
CREATE TABLE p (id int PRIMARY KEY);
INSERT INTO p VALUES (1), (2);
CREATE TABLE c (id int PRIMARY KEY, ref int REFERENCES p, v int, w text CHECK (w <> 'bad'));
INSERT INTO c SELECT i, 1, i, 'w' || i FROM generate_series(1, 6) i;
SELECT mig_start('rep2', 'ALTER TABLE c ALTER ref TYPE bigint USING ref, ALTER v TYPE text USING (100 / v)::text, ALTER w TYPE varchar(9) USING upper(w)', '{"down": {"c.ref": "ref::int", "c.v": "100 / v::int", "c.w": "lower(w)"}, "drift": false}');
CALL mig_wait('rep2');
CALL bypass('c', $$SET LOCAL session_replication_role = replica; UPDATE c SET v = 0 WHERE id = 1; UPDATE rep_rep2.c SET ref = 9 WHERE id = 2; UPDATE rep_rep2.c SET ref = 2 WHERE id = 3; UPDATE rep_rep2.c SET w = 'BAD' WHERE id = 4; SET LOCAL session_replication_role = origin$$);
SELECT relation, divergent, repaired FROM mig_repair('rep2', keep => 'new');
SELECT column_name, key, kind, error FROM mig.bad_rows WHERE name = 'rep2' ORDER BY key;
SELECT id, ref, v, w FROM c ORDER BY id;
CALL bypass('c', $$UPDATE c SET v = 0 WHERE id = 1$$);
SELECT relation, divergent, repaired FROM mig_repair('rep2', keep => 'old');
SELECT column_name, key, kind, error FROM mig.bad_rows WHERE name = 'rep2' ORDER BY key;
SELECT id, ref, v, w FROM rep_rep2.c ORDER BY id;
SELECT mig_rollback('rep2', force => true);

-- Partitions, and a generated column of the new version that follows; a table without a key
CREATE TABLE m (id int, a int, b int GENERATED ALWAYS AS (a + 1) STORED) PARTITION BY RANGE (id);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
CREATE TABLE m2 (b int GENERATED ALWAYS AS (a + 1) STORED, a int, id int);
ALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM (10) TO (20);
INSERT INTO m (id, a) SELECT i, i FROM generate_series(1, 19) i;
SELECT mig_start('rep3', 'ALTER TABLE m ALTER a TYPE bigint USING a * 10', '{"down": {"m.a": "a / 10"}, "drift": false}');
CALL mig_wait('rep3');
CALL bypass('m1', 'UPDATE m1 SET a = -1 WHERE id = 1');
CALL bypass('m2', 'UPDATE m2 SET a = -2 WHERE id = 12');
SELECT relation, checked, divergent, repaired, jsonb_path_query_array(sample, '$[*].relation') AS leaf FROM mig_repair('rep3', 'old');
SELECT * FROM rep_rep3.m WHERE id IN (1, 12) ORDER BY id;
SELECT divergent FROM mig_validate('rep3');
SELECT mig_rollback('rep3');

-- While it validates: what has stopped it is put right, and it goes on
CREATE TABLE v (id int PRIMARY KEY, a int);
INSERT INTO v SELECT i, i FROM generate_series(1, 5) i;
SELECT mig_start('rep4', 'ALTER TABLE v ALTER a TYPE bigint USING a * 10', '{"down": {"v.a": "a / 10"}, "drift": false, "hold": ["validating"]}');
CALL mt.wait_for($$SELECT paused FROM mig_status('rep4')$$);
-- what is not filled yet is not its business, and no clean pass
CALL bypass('v', 'INSERT INTO v VALUES (6, 6)');
SELECT relation, divergent, repaired FROM mig_repair('rep4', 'old');
SELECT kind, missing, clean FROM mig.checks WHERE name = 'rep4' ORDER BY id DESC LIMIT 1;
CALL bypass('v', 'UPDATE v SET a = 7 WHERE id = 3');
SELECT mig_resume('rep4');
CALL mt.wait_for($$SELECT paused AND phase = 'validating' FROM mig_status('rep4')$$);
SELECT phase, divergent, error FROM mig_status('rep4');
SELECT relation, divergent, repaired FROM mig_repair('rep4');
SELECT relation, divergent, repaired FROM mig_repair('rep4', 'old');
SELECT mig_resume('rep4');
CALL mig_wait('rep4');
SELECT phase, divergent FROM mig_status('rep4');
SELECT mig_rollback('rep4');
DROP VIEW events;
SELECT mt.clean('rep');
