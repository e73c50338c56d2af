-- DDL of all kinds: what makes something, what goes on with it, what drops it; there, back, and there again.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset tuples_only on

-- A table, and statements on it: names with and without schema, quoted ones, comments between
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1)',
	$$CREATE TABLE app."newOne" (id int PRIMARY KEY, tid int CONSTRAINT fk REFERENCES t ON DELETE CASCADE DEFERRABLE, note text DEFAULT 'x;y' -- c
	 , EXCLUDE (note WITH =)) WITH (fillfactor = 70); -- and
	 ALTER TABLE app."newOne" ADD b int CHECK (b > 0), ALTER note SET NOT NULL; CREATE INDEX CONCURRENTLY nix ON "newOne" (b) /* ; */; COMMENT ON COLUMN "newOne".b IS 'bb';
	 COMMENT ON CONSTRAINT fk ON "newOne" IS 'fk'; INSERT INTO "newOne" VALUES (1, 1); GRANT SELECT ON "newOne" TO PUBLIC; CREATE UNLOGGED TABLE IF NOT EXISTS u (LIKE "newOne" INCLUDING ALL);
	 CREATE TABLE part (i int) PARTITION BY LIST (i); CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1); CREATE TABLE child () INHERITS (u); CREATE POLICY p ON "newOne" USING (id > 0);
	 ALTER TABLE "newOne" RENAME TO "Renamed"; ALTER TABLE t ADD c int DEFAULT 5 -- end$$,
	'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, 3, 3); INSERT INTO "Renamed" VALUES (2, 2, ''y'', 1)',
	plain => $$CREATE TABLE "newOne" (id int PRIMARY KEY, tid int CONSTRAINT fk REFERENCES t ON DELETE CASCADE DEFERRABLE, note text DEFAULT 'x;y', EXCLUDE (note WITH =)) WITH (fillfactor = 70);
	 ALTER TABLE "newOne" ADD b int CHECK (b > 0), ALTER note SET NOT NULL; CREATE INDEX nix ON "newOne" (b); COMMENT ON COLUMN "newOne".b IS 'bb';
	 COMMENT ON CONSTRAINT fk ON "newOne" IS 'fk'; INSERT INTO "newOne" VALUES (1, 1); GRANT SELECT ON "newOne" TO PUBLIC; CREATE UNLOGGED TABLE IF NOT EXISTS u (LIKE "newOne" INCLUDING ALL);
	 CREATE TABLE part (i int) PARTITION BY LIST (i); CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1); CREATE TABLE child () INHERITS (u); CREATE POLICY p ON "newOne" USING (id > 0);
	 ALTER TABLE "newOne" RENAME TO "Renamed"; ALTER TABLE t ADD c int DEFAULT 5$$);

-- A table in place of one that goes: made under another name, or under its own
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO t VALUES (1, 1)',
	'CREATE TABLE t2 (id int, a int); DROP TABLE t; ALTER TABLE t2 RENAME TO t; ALTER TABLE t ADD x int', 'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, 3, 3)');
CALL mt.roundtrip('CREATE TABLE t (id int, a int); CREATE TABLE u (id int); INSERT INTO t VALUES (1, 1)',
	'DROP TABLE IF EXISTS nothing, app.t, u RESTRICT; CREATE TABLE app.t (id int, b int, c int); CREATE TABLE v (i int); DROP TABLE v; COMMENT ON COLUMN app.t.c IS ''x''',
	'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, 3, 3)', plain => 'DROP TABLE t, u; CREATE TABLE t (id int, b int, c int); COMMENT ON COLUMN t.c IS ''x''');
CALL mt.roundtrip('CREATE TABLE t (id int, a int); INSERT INTO t VALUES (1, 1)',
	'ALTER TABLE t RENAME TO "old t"; CREATE TABLE app.t (id int, b text)', 'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, ''x'')',
	plain => 'ALTER TABLE t RENAME TO "old t"; CREATE TABLE t (id int, b text)');

-- Types, domains, sequences, functions; used at once
CALL mt.roundtrip('CREATE TYPE there AS ENUM (''a''); CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1)',
	$$CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN pos AS int CHECK (VALUE > 0); CREATE SEQUENCE seq; COMMENT ON TYPE mood IS 'x'; CREATE TYPE comp AS (i int, m mood);
	 CREATE TYPE r AS RANGE (subtype = float8); CREATE FUNCTION f(m mood, n int[] DEFAULT '{}', OUT x text) LANGUAGE sql AS 'SELECT $1::text';
	 CREATE PROCEDURE pr(i int, INOUT j text) LANGUAGE plpgsql AS 'BEGIN END'; CREATE TYPE gone AS (i int); DROP TYPE gone; GRANT USAGE ON TYPE mood TO CURRENT_USER;
	 ALTER SEQUENCE seq INCREMENT 2; ALTER TYPE mood ADD VALUE 'c'; ALTER TABLE t ADD m mood DEFAULT 'a', ADD p pos, ADD n bigint DEFAULT nextval('seq')$$,
	'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, 3, ''b'', 5)');
SELECT note, sql FROM mig_plan('x', 'ALTER TYPE there ADD VALUE ''b'' BEFORE ''a''', '{"schema": "app"}') WHERE note ~ 'undone';

-- What old clients use goes, or changes, in the end; and by the names of the end
CALL mt.roundtrip($$CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE old AS ENUM ('x', 'y'); CREATE FUNCTION of(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW ov AS SELECT 1 AS x; CREATE SEQUENCE os;
	 CREATE TABLE t (id int PRIMARY KEY, a text, m mood, o old, b int NOT NULL); INSERT INTO t VALUES (1, '1', 'a', 'x', 1); CREATE TABLE r (id int PRIMARY KEY);
	 ALTER TABLE t ADD CONSTRAINT k CHECK (id > 0) NOT VALID, ADD CONSTRAINT k2 CHECK (b > 0) NOT VALID; CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	 CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION trg()$$,
	$$ALTER TABLE IF EXISTS ONLY t SET (fillfactor = 60), ALTER COLUMN a SET STATISTICS 10, /* a, b */ ALTER b SET (n_distinct = -1), ALTER a SET STORAGE EXTERNAL, ENABLE ROW LEVEL SECURITY,
	  DISABLE TRIGGER tr, CLUSTER ON t_pkey, VALIDATE CONSTRAINT k, VALIDATE CONSTRAINT k2;
	 ALTER TABLE IF EXISTS nothing ADD x int; ALTER TABLE t ALTER o TYPE text, ALTER b TYPE bigint; DROP TYPE old; DROP FUNCTION of(int); DROP VIEW IF EXISTS ov, nothing; DROP SEQUENCE os;
	 CREATE POLICY pol ON t USING (id > 0); CREATE TRIGGER tr2 BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION trg(); COMMENT ON CONSTRAINT k ON t IS 'kk'; ALTER TABLE t RENAME a TO aa;
	 CREATE STATISTICS st ON aa, b FROM t; ALTER TABLE t RENAME TO tt; ALTER TYPE mood RENAME VALUE 'b' TO 'bb'; CREATE VIEW nv AS SELECT aa FROM tt; COMMENT ON FUNCTION trg() IS 'trg'$$,
	'INSERT INTO t VALUES (2, ''2'', ''b'', ''y'', 7)', 'INSERT INTO tt VALUES (3, ''3'', ''b'', ''z'', 9)', '{"down": {"t.o": "''x''::old"}}', new_table => 'tt');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int GENERATED ALWAYS AS IDENTITY, c int GENERATED ALWAYS AS (a) STORED); INSERT INTO t VALUES (1, 1)',
	'ALTER TABLE t ALTER a ADD GENERATED BY DEFAULT AS IDENTITY (START 100), ALTER b SET GENERATED BY DEFAULT, ALTER c DROP EXPRESSION', 'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, 3)');

-- A replaced function: each version has its own until the end, with the same rights
CALL mt.roundtrip($$CREATE TABLE t (id int PRIMARY KEY, a int); CREATE FUNCTION f(x int) RETURNS text LANGUAGE sql AS 'SELECT x::text || '' old'''; CREATE PROCEDURE p(INOUT x int) LANGUAGE plpgsql AS 'BEGIN x := 1; END';
	 REVOKE EXECUTE ON FUNCTION f FROM PUBLIC; CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT sum(a) FROM t'; INSERT INTO t VALUES (1, 1)$$,
	$$CREATE OR REPLACE FUNCTION app.f(x int) RETURNS text LANGUAGE sql AS 'SELECT x::text || '' newer''' -- c
	 ; CREATE OR REPLACE PROCEDURE p(INOUT x int) LANGUAGE plpgsql AS 'BEGIN x := 2; END'; CREATE OR REPLACE FUNCTION newf() RETURNS int LANGUAGE sql AS 'SELECT max(b) FROM t';
	 CREATE OR REPLACE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT sum(b) FROM t'; ALTER TABLE t RENAME a TO b$$,
	'INSERT INTO t VALUES (length(f(12)), total())', 'INSERT INTO t SELECT 100 + length(f(12)), 10 * total() + newf()',
	plain => $$CREATE OR REPLACE FUNCTION f(x int) RETURNS text LANGUAGE sql AS 'SELECT x::text || '' newer'''; CREATE OR REPLACE PROCEDURE p(INOUT x int) LANGUAGE plpgsql AS 'BEGIN x := 2; END';
	 ALTER TABLE t RENAME a TO b; CREATE OR REPLACE FUNCTION newf() RETURNS int LANGUAGE sql AS 'SELECT max(b) FROM t'; CREATE OR REPLACE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT sum(b) FROM t'$$);
SELECT proname, prosrc, mt.acl(proacl) FROM pg_proc WHERE pronamespace = 'app'::regnamespace ORDER BY 1;
SELECT nspname, proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname ~ '^app_';

-- Keys of an added column
CALL mt.roundtrip('CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)', 'ALTER TABLE t ADD id int PRIMARY KEY, ADD u int CONSTRAINT uu UNIQUE DEFERRABLE INITIALLY DEFERRED NULL',
	'', 'INSERT INTO t VALUES (3, 30, 30)', '{"up": {"t.id": "a"}}', 'ALTER TABLE t ADD id int; UPDATE t SET id = a; ALTER TABLE t ADD PRIMARY KEY (id), ADD u int CONSTRAINT uu UNIQUE DEFERRABLE INITIALLY DEFERRED NULL');

-- A table under the name that another gives up: what it brings has the names that plain DDL chooses
CALL mt.roundtrip('CREATE TABLE t (id serial PRIMARY KEY, mail text UNIQUE); INSERT INTO t (mail) VALUES (''a'')',
	'ALTER TABLE t RENAME TO people; CREATE TABLE t (id serial PRIMARY KEY, mail text UNIQUE)', 'INSERT INTO t (mail) VALUES (''b'')', 'INSERT INTO people (mail) VALUES (''c'')');

-- Refused, with the position; nothing is left
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
GRANT SELECT (a) ON t TO PUBLIC;
CREATE TYPE mood AS ENUM ('a');
SELECT mt.remember('app');
SELECT d, outcome FROM unnest(ARRAY['CREATE TEMP TABLE x (a int)', 'CREATE TABLE public.x (a int)', 'CREATE TABLE t (a int)', 'CREATE TABLE IF NOT EXISTS t (a int)', 'CREATE TABLE IF NOT EXISTS t (a int); ALTER TABLE t ADD x int', 'CREATE TABLE x (a nothing)', 'CREATE TABLE x AS SELECT 1', 'SELECT 1 INTO x',
	'CREATE TABLE x (a int); ALTER TABLE x ADD a int', 'CREATE TABLE x (a int); ALTER TABLE y ADD a int', 'CREATE TABLE x (a int); ALTER TABLE x SET SCHEMA public', 'DROP TABLE t CASCADE', 'DROP TABLE t, nothing', 'DROP TABLE t; ALTER TABLE t ADD x int',
	'DROP TYPE nothing', 'DROP TYPE mood CASCADE', 'DROP FUNCTION nothing(int)', 'DROP VIEW t', 'DROP SCHEMA app', 'DROP EXTENSION mig_control', 'CREATE EXTENSION hstore', 'CREATE TYPE mood AS (i int)', 'CREATE TYPE public.x AS (i int)',
	'CREATE TYPE x AS (i int); DROP TYPE x, mood', 'CREATE TYPE x AS (i int); ALTER TYPE x RENAME TO y', 'ALTER TYPE mood ADD VALUE ''b''; ALTER TABLE t ADD m mood DEFAULT ''b''', 'ALTER TYPE nothing ADD VALUE ''b''',
	'ALTER DOMAIN x ADD CHECK (VALUE > 0)', 'ALTER VIEW t RENAME TO x', 'ALTER SEQUENCE nothing RESTART', 'COMMENT ON TYPE nothing IS ''x''', 'ALTER FUNCTION nothing() OWNER TO CURRENT_USER',
	'ALTER TABLE t ALTER nothing SET STATISTICS 1', 'ALTER TABLE t VALIDATE CONSTRAINT nothing', 'ALTER TABLE t ENABLE ROW LEVEL SECURITY', 'ALTER TABLE t SET UNLOGGED, ADD x int', 'ALTER TABLE t ADD x int, SET TABLESPACE pg_default',
	'CREATE TRIGGER g AFTER UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION x(); ALTER TABLE t RENAME a TO z', 'CREATE OR REPLACE FUNCTION f() RETURNS nothing LANGUAGE sql AS ''''', 'CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS ''BEGIN nonsense''',
	'ALTER TABLE t ADD x int DEFERRABLE', 'ALTER TABLE t ADD x int UNIQUE DEFERRABLE NOT DEFERRABLE', 'ALTER TABLE t ADD x int UNIQUE NOT DEFERRABLE INITIALLY DEFERRED', 'ALTER TABLE t ADD IF NOT EXISTS x int UNIQUE', 'CREATE SEQUENCE IF NOT EXISTS s'])
	WITH ORDINALITY u(d, n), mt.refused(d) ORDER BY n;
SELECT * FROM mt.changes('app');
RESET search_path;
SELECT mt.clean('app', 'twin');
