-- Who uses which version: what counts as a use of the old one, of the new one, and of neither.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
SET search_path = pg_catalog, pg_temp;
CREATE SCHEMA cons;
CREATE TABLE cons.t (id int PRIMARY KEY, price numeric(10,2));
INSERT INTO cons.t SELECT i, i FROM generate_series(1, 100) i;
CREATE TABLE cons.child (id int PRIMARY KEY, t_id int REFERENCES cons.t);
CREATE TABLE cons.other (id int);
CREATE MATERIALIZED VIEW cons.sums AS SELECT count(*) AS n FROM cons.t;
CREATE FUNCTION cons.old_count() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM cons.t); END';
CREATE FUNCTION cons.as_owner() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN (SELECT count(*) FROM cons.t); END';
SELECT mig_start('cons', 'ALTER TABLE cons.t ALTER price TYPE bigint USING (price * 100)::bigint; ALTER TABLE cons.t ADD CHECK (price < 100000000)', '{"schema": "cons", "down": {"t.price": "price / 100.0"}}');
CALL mig_wait('cons');
CREATE VIEW cons.on_new AS SELECT * FROM cons_cons.t;

CREATE FUNCTION pg_temp.uses(application text) RETURNS TABLE (version text, reads bigint, writes bigint, errors bigint, read boolean, written boolean, role boolean)
LANGUAGE sql AS $$
	SELECT c.version, c.reads, c.writes, c.errors, c.last_read IS NOT NULL, c.last_write IS NOT NULL, c.role = session_user
	  FROM mig.consumers c WHERE c.name = 'cons' AND c.application = $1 ORDER BY 1
$$;
-- The old version: a table by its own name
SET application_name = 'c old';
SELECT count(*) FROM cons.t;
INSERT INTO cons.t VALUES (101, 1);
UPDATE cons.t SET price = 2 WHERE id = 101;
DELETE FROM cons.t WHERE id = 101;
SELECT 1 AS one FROM cons.t WHERE id = 1 FOR UPDATE;
SELECT * FROM pg_temp.uses('c old');
-- The new one: its view, also below another view
SET application_name = 'c new';
SELECT count(*) FROM cons_cons.t;
INSERT INTO cons_cons.t VALUES (101, 1);
UPDATE cons_cons.t SET price = 2 WHERE id = 101;
DELETE FROM cons_cons.t WHERE id = 101;
SELECT count(*) FROM cons.on_new;
UPDATE cons.on_new SET price = price WHERE id = 1;
SELECT * FROM pg_temp.uses('c new');
-- Both in one statement: the old table written from the new view, and the other way
SET application_name = 'c both';
INSERT INTO cons.t SELECT 102, price / 100.0 FROM cons_cons.t WHERE id = 1;
SELECT * FROM pg_temp.uses('c both');
WITH d AS (DELETE FROM cons_cons.t WHERE id = 102 RETURNING id) SELECT count(*) FROM d;
SELECT * FROM pg_temp.uses('c both');
-- Functions: what they run counts, wherever they are called from
SET application_name = 'c function';
SELECT cons.old_count();
SELECT cons.as_owner();
SELECT * FROM pg_temp.uses('c function');
SELECT cons.old_count() FROM cons_cons.t WHERE id = 1;
SELECT * FROM pg_temp.uses('c function');
-- Prepared, and by COPY
SET application_name = 'c prepared';
PREPARE p AS SELECT count(*) FROM cons.t;
EXECUTE p;
EXECUTE p;
SELECT * FROM pg_temp.uses('c prepared');
SET application_name = 'c copy old';
COPY cons.t (id) TO '/dev/null';
COPY cons.t (id, price) FROM STDIN;
103	7
\.
SELECT * FROM pg_temp.uses('c copy old');
SET application_name = 'c copy new';
COPY cons_cons.t TO '/dev/null';
COPY cons_cons.t (id, price) FROM STDIN;
104	700
\.
SELECT * FROM pg_temp.uses('c copy new');
-- Nobody's use: foreign keys of other tables, ANALYZE, REFRESH, our own checks, other tables
SET application_name = 'c neither';
INSERT INTO cons_cons.child VALUES (1, 1);
DELETE FROM cons_cons.child;
ANALYZE cons.t;
REFRESH MATERIALIZED VIEW cons.sums;
SELECT checked, divergent FROM mig_validate('cons');
SELECT count(*) FROM cons_cons.other;
SELECT * FROM pg_temp.uses('c neither');
-- Errors of writes
SET application_name = 'c errors';
INSERT INTO cons_cons.t VALUES (1, 1);
INSERT INTO cons_cons.t VALUES (105, 100000000);
INSERT INTO cons.t VALUES (1, 1);
DO $$ BEGIN UPDATE cons_cons.t SET price = 1 / (id - 1) WHERE id = 1; EXCEPTION WHEN division_by_zero THEN NULL; END $$;
SELECT 1 / (id - 1) FROM cons_cons.t WHERE id = 1;
SELECT * FROM pg_temp.uses('c errors');
-- What may pass is nobody's fault
SET application_name = 'c passing';
SET statement_timeout = '50ms';
UPDATE cons_cons.t SET price = 1 WHERE id = 1 AND pg_sleep(10) IS NOT NULL;
RESET statement_timeout;
SELECT version, reads, errors FROM pg_temp.uses('c passing');
-- What drivers take to mig.consumer is counted once
CALL mt.wait_for('SELECT count(*) = 1 FROM mig.consumer c JOIN mig.migration m ON m.id = c.migration_id AND m.name = ''cons'' WHERE c.application = ''c new'' AND c.version = ''new'' AND c.reads = 2 AND c.writes = 4');
SELECT * FROM pg_temp.uses('c new');
-- This session is not what an operator waits for; the last write is
SET application_name = 'c last';
SELECT count(*) FROM cons.t;
SELECT sessions, who FROM mig.old_version_use('cons', '1 hour') WHERE who IS NULL OR who ~ 'c last';
SELECT u.last_write AS before FROM mig.old_version_use('cons') u \gset
UPDATE cons.t SET price = 3 WHERE id = 1;
SELECT u.last_write > :'before' AS later FROM mig.old_version_use('cons') u;
SELECT mt.try('SELECT mig.old_version_use(''cons'', ''-1 s'')');
SELECT mt.try('SELECT mig.old_version_use(''cons'', NULL)');
SELECT mt.try('SELECT mig.old_version_use(''nothing'')');
-- Everybody may look
CREATE ROLE cons_nobody;
SET ROLE cons_nobody;
SELECT count(*) > 10 AS shown FROM mig.consumers WHERE name = 'cons';
RESET ROLE;
DROP ROLE cons_nobody;
-- Ended: what was known stays, and nothing is noted
SELECT mig_rollback('cons');
SET application_name = 'c after';
SELECT count(*) FROM cons.t;
SELECT * FROM pg_temp.uses('c after');
SELECT version, reads, writes FROM pg_temp.uses('c new');
RESET application_name;
SELECT mt.clean('cons');
