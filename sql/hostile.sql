-- What clients of a migrating table do or have around them that must not change its values, nor run with its owner's rights
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
CREATE ROLE regress_hostile_owner;
CREATE ROLE regress_hostile;
DO $$BEGIN EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO regress_hostile_owner, regress_hostile', current_database()); END$$;
CREATE SCHEMA hostile AUTHORIZATION regress_hostile_owner;
GRANT USAGE ON SCHEMA hostile TO regress_hostile;
SET search_path = hostile;
SET ROLE regress_hostile_owner;
CREATE FUNCTION squeeze(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN replace(lower($1), ' ', ''); END$$;
CREATE TABLE t (id int PRIMARY KEY, a varchar(20), b text, n numeric);
INSERT INTO t VALUES (1, 'X', 'A b', 7);
GRANT SELECT, INSERT, UPDATE, DELETE ON t TO regress_hostile;
SELECT mig_start('hostile', $$ALTER TABLE t ALTER a TYPE text USING a::text || '\n', ALTER b TYPE text USING squeeze(b);
	ALTER TABLE t ALTER n TYPE int; ALTER TABLE t ALTER n TYPE numeric(8,1) USING n / 2;
	ALTER TABLE t ADD e int NOT NULL DEFAULT 4; ALTER TABLE t ALTER e DROP DEFAULT, ADD CHECK (a <> '\z')$$,
	$${"down": {"t.a": "replace(a, '\\n', '')", "t.b": "b", "t.n": "n * 2"}}$$);
CALL mig_run('hostile');

-- A type in pg_temp that stands for the server's own, and a search_path with functions before pg_catalog's
\c -
SET ROLE regress_hostile;
CREATE SCHEMA hostile_own;
CREATE FUNCTION hostile_own.caught(pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'as %', current_user; END$$;
CREATE FUNCTION hostile_own.lower(pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql AS $$SELECT hostile_own.caught($1)$$;
CREATE DOMAIN pg_temp.text AS pg_catalog.varchar CHECK (hostile_own.caught(VALUE) IS NULL);
SET search_path = hostile_own, pg_catalog;
INSERT INTO hostile.t VALUES (2, 'Y', 'C d', 8);
INSERT INTO hostile_hostile.t (id, a, b, n, e) VALUES (3, E'z\\n', 'ef', 4, 5);

-- Another reading of backslashes
\c -
SET client_min_messages = warning;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
INSERT INTO hostile.t VALUES (4, 'Y', 'g', 9);
INSERT INTO hostile_hostile.t (id, a, e) VALUES (5, E'z\\n', 5);
RESET standard_conforming_strings;

-- A row put together from an old image and another value; the state column by itself
CREATE TEMPORARY TABLE audit AS SELECT to_jsonb(t) AS image FROM hostile.t WHERE id = 1;
DELETE FROM hostile.t WHERE id = 1;
INSERT INTO hostile.t SELECT r.* FROM audit, jsonb_populate_record(NULL::hostile.t, image || '{"a": "W"}') r;
UPDATE hostile.t SET _mig_state = 0 WHERE id = 2;

SELECT id, a, b, n FROM hostile.t ORDER BY id;
SELECT id, a, b, n, e FROM hostile_hostile.t ORDER BY id;
SELECT checked, divergent FROM mig_validate('hostile');
SELECT mig_complete('hostile') IS NOT NULL;
CALL mig_run('hostile', 'completed');
SELECT id, a, b, n, e FROM hostile.t ORDER BY id;
SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	WHERE attrelid = 'hostile.t'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'hostile.t'::regclass ORDER BY 1;

-- Row-level security that its owner is subject to
SET ROLE regress_hostile_owner;
CREATE TABLE hostile.r (id int PRIMARY KEY, a int);
ALTER TABLE hostile.r ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT mig_start('forced', 'ALTER TABLE hostile.r ALTER a TYPE bigint', '{"schema": "hostile"}');
RESET ROLE;

-- Literals mean something else when a held definition is read again
SET standard_conforming_strings = off;
SELECT mig_start('held', 'ALTER TABLE hostile.t ADD COLUMN z text', '{"schema": "hostile", "hold": ["expanding"]}');
RESET standard_conforming_strings;
SELECT name FROM mig_status('held');

-- Functions in the migrated schema that suit better than the server's own, while a superuser plans there
CREATE TABLE hostile.p (id int PRIMARY KEY, a int);
CREATE VIEW hostile.v AS SELECT id, a FROM hostile.p;
CREATE POLICY p ON hostile.p USING (a > 0);
CREATE FUNCTION hostile.quote_ident(name) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'as %', current_user; END$$;
CREATE FUNCTION hostile.format(text, name, regclass) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'as %', current_user; END$$;
CREATE FUNCTION hostile.format(text, name, regclass, text, text, text, text, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'as %', current_user; END$$;
CREATE FUNCTION hostile.format(text, text, text, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'as %', current_user; END$$;
SET search_path = hostile;
SELECT note FROM mig_plan('planned', 'ALTER TABLE p ALTER a TYPE bigint') WHERE note LIKE 'makes again%';
RESET search_path;

DROP SCHEMA hostile, hostile_hostile, hostile_own CASCADE;
DROP OWNED BY regress_hostile_owner, regress_hostile;
DROP ROLE regress_hostile_owner, regress_hostile;
