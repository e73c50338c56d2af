-- Gates: what has to hold before a version opens, and before the old one goes. They fail closed.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null -
\set VERBOSITY terse
CREATE SCHEMA gt;
SET search_path = gt;
CREATE ROLE gt_boss;
CREATE ROLE gt_colleague IN ROLE gt_boss;
CREATE TABLE t (k int PRIMARY KEY, a int);
INSERT INTO t SELECT i, i FROM generate_series(1, 5) i;
CREATE TABLE knob AS SELECT false AS go;
CREATE FUNCTION gates(n text) RETURNS TABLE (line text) LANGUAGE sql AS $$
	SELECT format('%s before %s: %s%s', gate, before, CASE WHEN open THEN 'open' WHEN gate = 'cooling_period' THEN 'closed' ELSE coalesce(value, '') END, CASE WHEN overridable THEN ' (overridable)' END) FROM mig_gates(n)
$$;
-- Bad input: nothing is started
CREATE PROCEDURE try(options jsonb) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM mig_start('gt0', 'ALTER TABLE t ALTER a TYPE bigint', options);
	RAISE WARNING 'started';
EXCEPTION WHEN OTHERS THEN RAISE WARNING '%: %', SQLSTATE, SQLERRM;
END $$;
CALL try('{"gates": []}');
CALL try('{"gates": {"verified": true}}');
CALL try('{"gates": {"unheard_of": {"overridable": true}}}');
CALL try('{"gates": {"verified": {"sql": "SELECT true"}}}');
CALL try('{"gates": {"min_age": {"limit": "a while"}}}');
CALL try('{"gates": {"min_age": {"limit": "-1 day"}}}');
CALL try('{"gates": {"approval": {"count": 0}}}');
CALL try('{"gates": {"mine": {"sql": "SELECT nothing FROM nowhere"}}}');
CALL try('{"gates": {"mine": {"sql": "DELETE FROM t RETURNING true"}}}');
CALL try('{"gates": {"mine": {"sql": "SELECT true, false"}}}');
CALL try('{"gates": {"mine": {"sql": "SELECT true", "before": "lunch"}}}');
CALL try('{"gates": {"mine": {"sql": "SELECT true", "timeout": "1 hour"}}}');
CALL try('{"gates": {"mine": {"sql": "SELECT true", "colour": "red"}}}');
CALL try('{"gates": {"mine": {"sql": "SELECT true", "overridable": "yes"}}}');
CALL try('{"cooling_period": "soon"}');
CALL try('{"approvers": ["gt_nobody"]}');
-- One before `ready`: the version stays closed until it opens
SELECT mig_start('gt1', 'ALTER TABLE t ALTER a TYPE bigint', '{"drift": false, "cooling_period": "1 hour", "approvers": ["gt_boss"],
  "gates": {"go": {"sql": "SELECT go FROM gt.knob", "before": "ready"}, "backup": {"sql": "SELECT go FROM gt.knob", "overridable": true}, "cooling_period": {"overridable": true}, "min_age": {"limit": "0"}}}');
CREATE PROCEDURE wait_for_gate() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..600 LOOP
		COMMIT;
		EXIT WHEN (SELECT waiting_for FROM mig_status('gt1')) LIKE 'gate%';
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
CALL wait_for_gate();
SELECT phase, waiting_for FROM mig_status('gt1');
SELECT gate, before, open, value, "limit", overridable FROM mig.gates WHERE name = 'gt1';
UPDATE knob SET go = true;
CALL mig_wait('gt1');
-- All of them
UPDATE knob SET go = NULL;
SELECT * FROM gates('gt1');
SELECT mig_complete('gt1');
-- Approval: by an approver, not by who has started it, and not of what was changed since
SELECT mig_approve('gt1', 'I do as I like');
SET ROLE gt_boss;
SELECT mig_approve('gt1');
RESET ROLE;
SET SESSION AUTHORIZATION gt_colleague;
SELECT mig_approve('gt1', 'looked at it');
RESET SESSION AUTHORIZATION;
SELECT value, open FROM mig_gates('gt1') WHERE gate = 'approval';
SELECT mig_set('gt1', '{"workers": 1}');
SELECT value, open FROM mig_gates('gt1') WHERE gate = 'approval';
SET SESSION AUTHORIZATION gt_colleague;
SELECT mig_approve('gt1', 'looked at it again');
RESET SESSION AUTHORIZATION;
-- A query that is false, NULL, raises, takes too long, has no row: closed
UPDATE knob SET go = false;
SELECT value, open FROM mig_gates('gt1') WHERE gate = 'backup';
DELETE FROM knob;
SELECT value, open FROM mig_gates('gt1') WHERE gate = 'backup';
ALTER TABLE knob RENAME go TO gone;
SELECT value, open FROM mig_gates('gt1') WHERE gate = 'backup';
ALTER TABLE knob RENAME gone TO go;
SELECT mig_set('gt1', '{"gates": {"backup": {"sql": "SELECT pg_sleep(10) IS NULL", "timeout": "100 ms", "overridable": true}, "cooling_period": {"overridable": true}}}');
SELECT value, open FROM mig_gates('gt1') WHERE gate = 'backup';
-- Force passes what may be passed, with a reason; the rest stays
SELECT mig_complete('gt1', force => true, reason => 'in a hurry');
SET SESSION AUTHORIZATION gt_colleague;
SELECT mig_approve('gt1', 'yes, yes');
RESET SESSION AUTHORIZATION;
SELECT mig_complete('gt1');
SELECT mig_complete('gt1', force => true);
SELECT mig_complete('gt1', force => true, reason => 'the backup was made by hand');
CALL mig_wait('gt1', until => 'completed');
SELECT kind, detail -> 'reason' AS reason, jsonb_array_length(detail -> 'gates') AS gates FROM mig.events WHERE name = 'gt1' AND kind = 'forced';
SELECT kind, detail FROM mig.events WHERE name = 'gt1' AND kind = 'approved' ORDER BY id;
-- Rows that break a coming constraint, business checks that are red, tables not looked at since something got past the triggers
SELECT mig_start('gt2', 'ALTER TABLE t ALTER a TYPE text USING a::text; ALTER TABLE t ADD CONSTRAINT short CHECK (length(a) < 3)', '{"drift": false}');
CALL mig_wait('gt2');
SELECT mig_check_add('gt2', 'rows', 'SELECT count(*) < 6 FROM gt.t');
INSERT INTO gt.t VALUES (1000, 1000);
ALTER TABLE gt.t DISABLE TRIGGER USER;
SET mig_control.guard = off;
ALTER TABLE gt.t DISABLE TRIGGER USER;
UPDATE gt.t SET a = 7 WHERE k = 2;
ALTER TABLE gt.t ENABLE ALWAYS TRIGGER "~mig_sync";
RESET mig_control.guard;
SELECT mig_resume('gt2');
SELECT * FROM gates('gt2') WHERE line LIKE 'verified%' OR line LIKE 'constraints%' OR line LIKE 'checks%';
SELECT relation, checked, divergent FROM mig_validate('gt2');
SELECT * FROM gates('gt2') WHERE line LIKE 'verified%' OR line LIKE 'constraints%' OR line LIKE 'checks%';
SELECT kind, epoch, clean, checked, divergent, missing, violating FROM mig.checks WHERE name = 'gt2' ORDER BY id;
SELECT epoch, why FROM mig.epochs WHERE name = 'gt2';
UPDATE gt.t SET a = 3 WHERE k = 2;
DELETE FROM gt.t WHERE k = 1000;
SELECT relation, checked, divergent FROM mig_validate('gt2');
SELECT * FROM gates('gt2');
SELECT mig_complete('gt2');
CALL mig_wait('gt2', until => 'completed');
SELECT * FROM mig_gates('gt2');
-- It completes itself when its gates are open
INSERT INTO knob VALUES (false);
SELECT mig_start('gt3', 'ALTER TABLE t ADD b int', '{"auto_complete": true, "gates": {"go": {"sql": "SELECT go FROM gt.knob"}}}');
CALL mig_wait('gt3');
UPDATE knob SET go = true;
CALL mig_wait('gt3', until => 'completed');
SELECT phase FROM mig_status('gt3');
DROP SCHEMA gt CASCADE;
DROP ROLE gt_colleague, gt_boss;
