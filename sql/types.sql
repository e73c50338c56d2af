-- Kinds of columns and values that a migration meets.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

-- Generated and identity columns beside the change; a generated one that reads a renamed column
CALL mt.roundtrip('CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int, twice int GENERATED ALWAYS AS (b * 2) STORED); INSERT INTO t (a, b) VALUES (1, 1)',
	'ALTER TABLE t ALTER a TYPE text; ALTER TABLE t RENAME b TO c', 'INSERT INTO t (a, b) VALUES (2, 2)', 'INSERT INTO t (a, c) VALUES (''3'', 3); UPDATE t SET c = 10 WHERE id = 1; INSERT INTO t (id, a, c) OVERRIDING SYSTEM VALUE VALUES (100, ''100'', 5)');
-- up and down may read a generated column
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, b int, twice int GENERATED ALWAYS AS (b * 2) STORED); INSERT INTO t VALUES (1, 1)',
	'ALTER TABLE t ADD c int', 'INSERT INTO t VALUES (2, 2); UPDATE t SET b = 7 WHERE id = 1', 'INSERT INTO t (id, b) VALUES (3, 3); INSERT INTO t (id, b, c) VALUES (4, 4, 44)', '{"up": {"t.c": "twice + 1"}}');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, b int, twice int GENERATED ALWAYS AS (b * 2) STORED, d int NOT NULL); INSERT INTO t (id, b, d) VALUES (1, 1, 1)',
	'ALTER TABLE t DROP d', 'INSERT INTO t (id, b, d) VALUES (2, 2, 2)', 'INSERT INTO t (id, b) VALUES (3, 3); UPDATE t SET b = 9 WHERE id = 3; UPDATE t SET b = 9 WHERE id = 2', '{"down": {"t.d": "twice * 100"}}');

-- Collations that call different texts equal: a change of case only is a change
CREATE COLLATION mt.ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text COLLATE mt.ignore_case UNIQUE, b varchar(10) COLLATE mt.ignore_case); INSERT INTO t VALUES (1, ''Ab'', ''x''), (2, ''Cd'', ''y'')',
	'ALTER TABLE t ALTER a TYPE varchar(20) COLLATE mt.ignore_case, ADD CHECK (a <> ''q'')', 'UPDATE t SET a = ''AB'' WHERE id = 1', 'UPDATE t SET a = ''cD'' WHERE id = 2; INSERT INTO t VALUES (3, ''z'', ''Z'')');

-- Values that are equal but not the same
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, n numeric, f float8, c char(5), j jsonb, x interval); INSERT INTO t VALUES (1, 1.0, ''-0'', ''a'', ''{"a": 1, "a": 2}'', ''1 day''), (2, ''NaN'', ''Infinity'', NULL, ''null'', ''24 hours'')',
	'ALTER TABLE t ALTER n TYPE text, ALTER f TYPE float4, ALTER c TYPE varchar(5), ALTER j TYPE json USING j::json, ALTER x TYPE text',
	'UPDATE t SET n = 1.000, x = ''24 hours'', f = 0 WHERE id = 1', 'INSERT INTO t VALUES (3, ''3.50'', ''NaN'', ''  b'', ''[]'', ''1 mon'')');

-- Composite types, arrays of domains, ranges, enums, bytea, uuid; a domain's own rule
CALL mt.roundtrip('CREATE TYPE pair AS (x int, y text); CREATE DOMAIN short AS varchar(3) NOT NULL DEFAULT ''d'' CHECK (value <> ''bad''); CREATE TABLE t (id int PRIMARY KEY, p pair, s text, r int4range, u text); '
	'INSERT INTO t VALUES (1, ''(1,one)'', ''abc'', ''[1,3)'', ''00000000-0000-0000-0000-000000000001'')',
	'ALTER TABLE t ALTER p TYPE text USING (p).y, ALTER s TYPE short, ALTER r TYPE int8range USING int8range(lower(r), upper(r)), ALTER u TYPE uuid USING u::uuid',
	'INSERT INTO t VALUES (2, ''(2,two)'', ''x'', ''empty'', NULL)', 'INSERT INTO t VALUES (3, ''three'', ''y'', ''[5,6)'', ''00000000-0000-0000-0000-000000000003'')',
	'{"down": {"t.p": "ROW(length(p), p)::pair", "t.r": "int4range(lower(r)::int, upper(r)::int)"}}');

-- Wide values kept out of line are not touched by a change beside them
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY, wide text, a int);
ALTER TABLE app.t ALTER wide SET STORAGE EXTERNAL;
INSERT INTO app.t SELECT i, repeat('x', 10000), i FROM generate_series(1, 50) i;
SELECT pg_relation_size(reltoastrelid) AS toast FROM pg_class WHERE oid = 'app.t'::regclass \gset
SELECT mig_start('wide', 'ALTER TABLE t ALTER a TYPE bigint', '{"schema": "app"}');
CALL mig_wait('wide');
SELECT pg_relation_size(reltoastrelid) = :toast AS same FROM pg_class WHERE oid = 'app.t'::regclass;
SELECT count(*), sum(length(wide)), sum(a) FROM app_wide.t;
SELECT mig_rollback('wide');

-- Triggers of the user: not fired by the backfill; BEFORE ones see and may change both sides
SELECT mt.clean('app');
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text, touched int DEFAULT 0);
CREATE TABLE audit (n int GENERATED ALWAYS AS IDENTITY, op text, id int, a text);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := NEW.touched + 1; NEW.a := trim(NEW.a); RETURN NEW; END $$;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.audit (op, id, a) VALUES (TG_OP, coalesce(NEW.id, OLD.id), NEW.a); RETURN NULL; END $$;
INSERT INTO t VALUES (1, '1'), (2, '2');
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
SELECT mig_start('triggers', 'ALTER TABLE t ALTER a TYPE int USING a::int * 10', '{"down": {"t.a": "(a / 10)::text"}}');
CALL mig_wait('triggers');
SELECT id, a, touched FROM t ORDER BY id;
SELECT id, a, touched FROM app_triggers.t ORDER BY id;
SELECT count(*) FROM audit;
INSERT INTO t VALUES (3, ' 3 ');
INSERT INTO app_triggers.t VALUES (4, 40);
UPDATE t SET a = '11 ' WHERE id = 1;
UPDATE app_triggers.t SET a = 220 WHERE id = 2;
DELETE FROM app_triggers.t WHERE id = 3;
SELECT id, a, touched FROM t ORDER BY id;
SELECT id, a, touched FROM app_triggers.t ORDER BY id;
SELECT op, id, a FROM audit ORDER BY n;
SELECT mig_complete('triggers');
CALL mig_wait('triggers', until => 'completed');
SELECT * FROM t ORDER BY id;

-- Published with a live subscriber's slot: refused by name, unless the subscribers are ready
CREATE PUBLICATION regress_pub FOR TABLE t;
SELECT count(*) FROM mig_plan('x', 'ALTER TABLE t ADD x int');
SELECT 1 FROM pg_create_logical_replication_slot('regress_slot', 'pgoutput');
SELECT * FROM mt.refused('ALTER TABLE t ADD x int');
SELECT * FROM mt.refused('ALTER TABLE t ADD x int', '{"subscribers": "ready"}');
SELECT pg_drop_replication_slot('regress_slot');
DROP PUBLICATION regress_pub;

-- Both versions in one statement; functions, prepared statements and cursors
CREATE TABLE w (id int PRIMARY KEY, a text);
INSERT INTO w VALUES (1, '1'), (2, '2');
PREPARE old_read AS SELECT id, a FROM w ORDER BY id;
PREPARE old_write(int, text) AS INSERT INTO w (id, a) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET a = excluded.a;
EXECUTE old_read;
SELECT mig_start('both', 'ALTER TABLE w ALTER a TYPE int USING a::int');
CALL mig_wait('both');
PREPARE new_write(int, int) AS INSERT INTO app_both.w VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET a = app_both.w.a + excluded.a RETURNING *;
EXECUTE old_write(3, '3');
EXECUTE new_write(3, 30);
EXECUTE new_write(4, 4);
WITH o AS (UPDATE w SET a = '100' WHERE id = 1 RETURNING id, a), n AS (UPDATE app_both.w SET a = 200 WHERE id = 2 RETURNING id, a)
	INSERT INTO app_both.w SELECT n.id + 10, n.a + o.a::int FROM o, n RETURNING *;
COPY w (id, a) FROM stdin;
20	20
\.
EXECUTE old_read;
SELECT * FROM app_both.w ORDER BY id;
TRUNCATE w;
INSERT INTO app_both.w VALUES (1, 1);
-- emptied, it has to be looked at again
SELECT divergent FROM mig_validate('both');
SELECT mig_complete('both');
CALL mig_wait('both', until => 'completed');
EXECUTE new_write(1, 1);
EXECUTE old_write(2, '2');
SELECT * FROM app.w ORDER BY id;

-- Elements of arrays: cut to fit by nobody, padded and rounded as an assignment does
CREATE TABLE elements (id int PRIMARY KEY, v text[], w varchar(10)[], c text[], n numeric[]);
INSERT INTO elements VALUES (1, '{abc}', '{abc}', '{a}', '{1.25}'), (2, '{abcd}', '{x}', '{a}', '{1}'), (3, '{x}', '{abcd}', '{abcde}', '{1}');
SELECT mig_start('elements', 'ALTER TABLE elements ALTER v TYPE varchar(3)[], ALTER w TYPE varchar(3)[], ALTER c TYPE char(3)[], ALTER n TYPE numeric(5,1)[]');
\set VERBOSITY terse
CALL mig_wait('elements');
\set VERBOSITY default
SELECT DISTINCT column_name, key ->> 'id' AS id, error FROM mig.bad_rows WHERE name = 'elements' AND kind = 'up' ORDER BY 1, 2;
UPDATE elements SET v = '{x}', w = '{y}', c = '{z}' WHERE id > 1;
SELECT mig_resume('elements');
CALL mig_wait('elements');
SELECT * FROM app_elements.elements ORDER BY id;
INSERT INTO app_elements.elements VALUES (4, '{abcd}', '{x}', '{a}', '{1}');
SELECT mig_rollback('elements');
RESET search_path;
SELECT mt.clean('app', 'twin');
DROP COLLATION mt.ignore_case;
