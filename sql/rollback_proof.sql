-- mig_rollback of a version that was ready shows first that the old one holds every write; digests of both sides; restore points.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE SCHEMA prf;
SET search_path = prf;
CREATE TABLE t (id int PRIMARY KEY, price numeric(12,2), note text);
INSERT INTO t SELECT i, i, repeat(md5(i::text), 100) FROM generate_series(1, 2000) i;
CREATE PROCEDURE bypass(statements text) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL mig_control.own_statements = 1;
	ALTER TABLE t DISABLE TRIGGER USER;
	EXECUTE statements;
	ALTER TABLE t ENABLE ALWAYS TRIGGER "~mig_sync";
END$$;
-- The last digests of a kind of pass, as they were or have become
CREATE FUNCTION digests(kind text) RETURNS TABLE (old text, new text) LANGUAGE sql AS $$
	SELECT format('%s %s', c.old_digest, c.old_sum), format('%s %s', c.new_digest, c.new_sum) FROM mig.checks c WHERE c.name ~ '^prf' AND c.kind = $1 ORDER BY c.id DESC LIMIT 1
$$;
CREATE VIEW proofs AS SELECT e.id, e.name, t.* FROM mig.events e, jsonb_to_recordset(e.detail -> 'tables') AS t (relation text, checked bigint, pages bigint, whole boolean) WHERE e.kind = 'proved' AND e.name ~ '^prf' ORDER BY e.id;
-- Waits until a look at the catalog sees that all who have written a table so far have ended
CREATE PROCEDURE settled(tab text) LANGUAGE plpgsql AS $$
BEGIN
	CALL mt.wait_for(format('SELECT (SELECT max(xmin::text::bigint) FROM %s) < pg_snapshot_xmin(pg_current_snapshot())::text::bigint', tab));
END$$;
CREATE FUNCTION cents(x numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT (x * 100)::bigint';
CREATE FUNCTION rate(x bigint) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT x / 100.0';

-- Nobody has used a version that was never ready: nothing is to be shown
SELECT mig_start('prf1', 'ALTER TABLE t ALTER price TYPE bigint USING (price * 100)::bigint', '{"down": {"t.price": "price / 100.0"}, "hold": ["validating"]}');
CALL mt.wait_for($$SELECT paused FROM mig_status('prf1')$$);
SELECT mig_rollback('prf1');
SELECT count(*) FROM proofs;

-- Digests: of what the versions show, not of where it lies
SELECT mig_start('prf2', 'ALTER TABLE t ALTER price TYPE bigint USING cents(price)', '{"down": {"t.price": "rate(price)"}, "drift": false}');
CALL mig_wait('prf2');
SELECT divergent FROM mig_validate('prf2');
SELECT old = (SELECT old FROM digests('validate')) AS as_before_ready, new = (SELECT new FROM digests('validate')) AS new_too, old <> new AS sides_differ FROM digests('call');
SELECT old AS old_before, new AS new_before FROM digests('call') \gset
UPDATE t SET note = note WHERE id % 3 = 0;
BEGIN;
SET LOCAL mig_control.own_statements = 1;
CREATE INDEX t_note ON t (md5(note));
CLUSTER t USING t_note;
COMMIT;
SELECT divergent FROM mig_validate('prf2');
SELECT old = :'old_before' AS old_same, new = :'new_before' AS new_same FROM digests('call');
-- One bit on one side
CALL bypass('UPDATE t SET price = price + 0.01 WHERE id = 1234');
SELECT divergent FROM mig_validate('prf2');
SELECT old = :'old_before' AS old_same, new = :'new_before' AS new_same FROM digests('call');
CALL bypass('UPDATE t SET price = price - 0.01 WHERE id = 1234; UPDATE prf_prf2.t SET price = price # 1 WHERE id = 77');
SELECT divergent FROM mig_validate('prf2');
SELECT old = :'old_before' AS old_same, new = :'new_before' AS new_same FROM digests('call');
-- Two rows that change places are not the same rows
CALL bypass('UPDATE prf_prf2.t SET price = price # 1 WHERE id = 77; UPDATE t SET price = 1501 - price WHERE id IN (700, 801)');
SELECT divergent FROM mig_validate('prf2');
SELECT old = :'old_before' AS old_same, new = :'new_before' AS new_same FROM digests('call');
CALL bypass('UPDATE t SET price = 1501 - price WHERE id IN (700, 801)');
SELECT divergent FROM mig_validate('prf2');
SELECT old = :'old_before' AS old_same, new = :'new_before' AS new_same FROM digests('call');

-- Written since a clean pass: these pages are read again, also when they were vacuumed meanwhile
UPDATE prf_prf2.t SET price = 50000 WHERE id = 100;
VACUUM t;
BEGIN;
SELECT mig_rollback('prf2');
SELECT relation, checked > 0 AS any FROM proofs ORDER BY id DESC LIMIT 1;
ROLLBACK;
-- A function that lies: down() of what the new version wrote is no longer what is there. What the old one wrote is what it is
CREATE OR REPLACE FUNCTION rate(x bigint) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT x / 99.0';
SELECT mig_rollback('prf2');
BEGIN;
SELECT relation, repaired FROM mig_repair('prf2', 'new');
SELECT mig_rollback('prf2');
SELECT price FROM t WHERE id IN (99, 100);
SELECT relation, checked, whole FROM proofs ORDER BY id DESC LIMIT 1;
SELECT kind, checked, divergent, clean FROM mig.checks WHERE name = 'prf2' ORDER BY id DESC LIMIT 1;
ROLLBACK;
CREATE OR REPLACE FUNCTION rate(x bigint) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT x / 100.0';
CALL settled('prf.t');
SELECT divergent FROM mig_validate('prf2');
-- An up that lies does not matter: what it reads is what is there
CREATE OR REPLACE FUNCTION cents(x numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT (x * 1000)::bigint';
BEGIN;
SELECT divergent FROM mig_validate('prf2');
SELECT mig_rollback('prf2');
SELECT relation, checked, whole FROM proofs ORDER BY id DESC LIMIT 1;
ROLLBACK;
CREATE OR REPLACE FUNCTION cents(x numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT (x * 100)::bigint';
SELECT divergent FROM mig_validate('prf2');
-- A write past the triggers may be lost, whatever the state says
CALL bypass('UPDATE prf_prf2.t SET price = 4242 WHERE id = 42; UPDATE t SET price = 43.5 WHERE id = 43');
SELECT mig_rollback('prf2');
SELECT phase, (SELECT count(*) FROM t WHERE price = 42.42) AS held FROM mig_status('prf2');
-- An operator may roll back, but not read what is lost
CREATE ROLE mig_prf_oncall;
SELECT mig_set('prf2', '{"operators": ["mig_prf_oncall"]}');
SET ROLE mig_prf_oncall;
SELECT mig_rollback('prf2');
RESET ROLE;
DROP ROLE mig_prf_oncall;
-- Settled, or given up
BEGIN;
SELECT relation, repaired FROM mig_repair('prf2', 'new');
SELECT mig_rollback('prf2', 'settled');
SELECT id, price FROM t WHERE id IN (42, 43) ORDER BY id;
ROLLBACK;
BEGIN;
SELECT mig_rollback('prf2', 'in a hurry', true);
SELECT id, price FROM t WHERE id IN (42, 43) ORDER BY id;
SELECT kind, detail FROM mig.events WHERE name = 'prf2' AND kind = 'forced';
SELECT phase FROM mig_status('prf2');
ROLLBACK;
-- A trigger that is gone: it cannot be told
BEGIN;
SET LOCAL mig_control.own_statements = 1;
DROP TRIGGER "~mig_sync" ON t;
SAVEPOINT s;
SELECT mig_rollback('prf2');
ROLLBACK TO s;
SELECT mig_rollback('prf2', force => true);
ROLLBACK;
SELECT relation, repaired FROM mig_repair('prf2', 'old');
SELECT mig_rollback('prf2');

-- Restore points: before anything is changed, and before the swap
CREATE TABLE r (id int);
SELECT mig_start('prf3', 'ALTER TABLE r ADD x int', '{"hold": ["expanding"]}');
SELECT count(*) FROM mig.events WHERE name = 'prf3' AND kind = 'restore point';
SELECT mig_resume('prf3');
CALL mig_wait('prf3');
SELECT mig_complete('prf3');
CALL mig_wait('prf3', until => 'completed');
SELECT mig_start('prf4', 'ALTER TABLE t ADD CHECK (price > -5), ALTER note SET NOT NULL, ALTER price TYPE bigint USING (price * 100)::bigint', '{"down": {"t.price": "price / 100.0"}}');
CALL mig_wait('prf4');
SELECT mig_complete('prf4');
CALL mig_wait('prf4', until => 'completed');
SELECT m.name, r ->> 'before' AS before, r ->> 'name' ~ format('^mig:%s:\d{8}T\d{6}\.\d{6}Z:%s$', r ->> 'before', m.name) AS named, (r ->> 'lsn')::pg_lsn <= pg_current_wal_lsn() AS lsn
  FROM (VALUES ('prf3'), ('prf4')) m (name), jsonb_array_elements(mig_report(m.name) -> 'restore_points') WITH ORDINALITY p (r, n) ORDER BY 1, n;
DROP VIEW proofs;
SELECT mt.clean('prf');
