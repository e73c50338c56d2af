-- up, down, defaults and checks mean what they meant where the definition was written: types, functions, operators and casts of the user's schemas, for
-- writers with none of these in their search_path, or with others of the same names before them.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
CREATE SCHEMA names;
CREATE SCHEMA lib_names;
CREATE SCHEMA evil_names;
SET search_path = names, lib_names;
CREATE TYPE lib_names.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN names.percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE FUNCTION lib_names.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION names.halve(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 2';
CREATE FUNCTION names.calls(int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN double($1); END';
CREATE OPERATOR lib_names.### (FUNCTION = lib_names.double, RIGHTARG = int);
CREATE FUNCTION lib_names.mood_of(int) RETURNS lib_names.mood LANGUAGE sql IMMUTABLE AS $$SELECT CASE WHEN $1 < 10 THEN 'sad' ELSE 'happy' END::lib_names.mood$$;
CREATE CAST (int AS lib_names.mood) WITH FUNCTION lib_names.mood_of(int);
CREATE COLLATION names.backwards FROM "C";
CREATE SEQUENCE names.drawn START 100;
CREATE TABLE t (id int PRIMARY KEY DEFAULT nextval('drawn'), a int, b int, c int, d int);
CREATE TABLE plain (id int DEFAULT nextval('drawn'), m mood DEFAULT 'ok', p percent DEFAULT double(20));
INSERT INTO t VALUES (1, 1, 20, 3, 4);
-- Others of the same names, and of the server's
CREATE FUNCTION evil_names.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -1';
CREATE FUNCTION evil_names.halve(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -2';
CREATE OPERATOR evil_names.### (FUNCTION = evil_names.double, RIGHTARG = int);
CREATE FUNCTION evil_names.plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -3';
CREATE OPERATOR evil_names.+ (FUNCTION = evil_names.plus, LEFTARG = int, RIGHTARG = int);
CREATE TYPE evil_names.mood AS ENUM ('none');
CREATE DOMAIN evil_names.percent AS int CHECK (VALUE < 0);
CREATE SEQUENCE evil_names.drawn START -100 MINVALUE -200;
SELECT mig_start('own', 'ALTER TABLE t ALTER a TYPE int USING ### a + 1, ALTER b TYPE mood USING b::mood, ALTER c TYPE percent USING calls(c), ALTER d TYPE text COLLATE backwards USING halve(d)::text;'
	'ALTER TABLE t ADD e mood DEFAULT ''happy'', ADD f int DEFAULT ### 5, ADD CHECK (### c < 150)',
	'{"down": {"t.a": "halve(a - 1)", "t.b": "CASE b WHEN ''sad'' THEN 1 ELSE 20 END", "t.c": "halve(c::int)", "t.d": "double(d::int)"}, "up": {"t.f": "### id"}}');
CALL mig_wait('own');
SET search_path = evil_names, pg_catalog;
INSERT INTO names.t (id, a, b, c, d) VALUES (2, 2, 5, 5, 6);
INSERT INTO names_own.t (id, a, b, c, d) VALUES (3, 7, 'sad', 12, '3');
INSERT INTO names_own.t (a, c) VALUES (9, 14);
SET search_path = '';
INSERT INTO names.t (id, a, b, c, d) VALUES (5, 2, 5, 5, 6);
INSERT INTO names_own.t (id, a, b, c, d) VALUES (6, 7, 'sad', 12, '3');
UPDATE names_own.t SET a = a + 2, f = DEFAULT WHERE id = 6;
SELECT * FROM mt.try('INSERT INTO names_own.t (id, c) VALUES (7, 99)');
SELECT * FROM mt.try('UPDATE names_own.t SET c = 101 WHERE id = 6');
INSERT INTO names_own.plain DEFAULT VALUES;
UPDATE names_own.plain SET m = DEFAULT, p = DEFAULT;
SELECT id, a, b, c, d FROM names.t ORDER BY id;
SELECT * FROM names_own.t ORDER BY id;
SELECT * FROM names_own.plain;
SELECT checked, divergent FROM mig_validate('own');
-- What mig_use sets has the base schema behind, so that its types, functions and sequences are there for the version's clients
SELECT mig_use('own');
INSERT INTO t (a, b, c) VALUES (halve(18), 'happy'::lib_names.mood, 4::percent) RETURNING id > 1, a, b, c, currval('drawn') > 1;
SET search_path = evil_names, pg_catalog;
SELECT mig_complete('own');
CALL mig_wait('own', until => 'completed');
INSERT INTO names_own.t (a, c) VALUES (1, 1) RETURNING a, b, c, e, f;
SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = 'names.t'::regclass ORDER BY 1;
RESET search_path;
SELECT mt.clean('names');
DROP SCHEMA lib_names, evil_names CASCADE;
