-- What nobody may: get at others' migrations or rights by way of the engine's functions.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE ROLE regress_owner;
CREATE ROLE regress_mallory;
CREATE SCHEMA app AUTHORIZATION regress_owner;
CREATE SCHEMA evil AUTHORIZATION regress_mallory;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_owner', current_database()); END$$;
SET ROLE regress_owner;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text, b text, CONSTRAINT ab CHECK (concat(a, b) <> 'xx'));
INSERT INTO t VALUES (1, '1', 'x');
GRANT ALL ON t TO regress_mallory;
GRANT USAGE ON SCHEMA app TO regress_mallory;

-- A plan that was held is made again: the table may have changed
SELECT mig_start('held', 'ALTER TABLE t ALTER a TYPE varchar(5)', '{"hold": ["expanding"]}');
ALTER TABLE t ADD c int;
SELECT mig_resume('held');
CALL mig_wait('held');
SELECT mig_rollback('held');
ALTER TABLE t DROP c;
SELECT mig_start('held', 'ALTER TABLE t ALTER a TYPE varchar(5)', '{"hold": ["expanding"]}');
SELECT mig_resume('held');
CALL mig_wait('held');

-- Not an operator by functions that go before pg_catalog's
SET ROLE regress_mallory;
CREATE FUNCTION evil.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS $$SELECT 'array'$$;
CREATE FUNCTION evil.jsonb_array_elements_text(jsonb) RETURNS SETOF text LANGUAGE sql AS $$SELECT 'regress_mallory'$$;
SET search_path = evil, pg_catalog;
SELECT * FROM mt.try('SELECT mig_pause(''held'')');
SELECT * FROM mt.try('SELECT mig_rollback(''held'')');
-- Nothing as the table's owner by a sync trigger of one's own
SET mig_control.guard = off;
SELECT * FROM mt.try('CREATE TRIGGER x BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION mig.sync(''last'', ''b'', ''{}'', ''a'', ''b'', ''evil.f(a)'', '''')');
-- No crash by names that do not exist
SELECT * FROM mt.try('SELECT mig.holds(pg_current_xact_id()::xid, ''1000'', 0, ''n'', ''a'', ''b'', false)');
SELECT * FROM mt.try('SELECT mig.holds(pg_current_xact_id()::xid, ''1000'', ''app.t''::regclass, ''c'', NULL, NULL, false)');
RESET search_path;

-- One snapshot for the whole transaction would be older than what a lock was waited for
SET ROLE regress_owner;
SET search_path = app;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM mt.try('SELECT mig_complete(''held'')');
COMMIT;
SELECT mig_rollback('held');

-- Carried texts keep their functions, also when there is a better match by now
CREATE FUNCTION concat(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'captured'$$;
SELECT count(*) FROM mig_plan('carry', 'ALTER TABLE t ALTER a TYPE varchar(5)') WHERE sql ~ 'app\.concat';
SELECT count(*) > 0 FROM mig_plan('carry', 'ALTER TABLE t ALTER a TYPE varchar(5)') WHERE sql ~ 'concat';

RESET ROLE;
RESET search_path;
SELECT mt.clean('app', 'evil');
DROP OWNED BY regress_owner, regress_mallory;
DROP ROLE regress_owner, regress_mallory;
