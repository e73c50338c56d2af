-- Each operation through DDL, there and back: both versions written, rolled back, started again, completed, and compared with a plain ALTER TABLE.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

-- ADD COLUMN: nothing, a default, a volatile default, an up, NOT NULL with each
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''x''), (2, NULL)',
	'ALTER TABLE t ADD COLUMN b int',
	'INSERT INTO t (id, a) VALUES (3, ''old'')', 'INSERT INTO t VALUES (4, ''new'', 44); UPDATE t SET b = 11 WHERE id = 1');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''x''), (2, NULL)',
	'ALTER TABLE t ADD b numeric(8,3) NOT NULL DEFAULT 1.5, ADD COLUMN c varchar(10) DEFAULT ''two'' COLLATE "C"',
	'INSERT INTO t (id, a) VALUES (3, ''old'')', 'INSERT INTO t VALUES (4, ''new'', 44); UPDATE t SET b = 11 WHERE id = 1');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''x''), (2, NULL)',
	'ALTER TABLE t ADD b int DEFAULT (random() * 0)::int + 7',
	'INSERT INTO t (id, a) VALUES (3, ''old'')', 'INSERT INTO t (id, a) VALUES (4, ''new''); UPDATE t SET b = 11 WHERE id = 1');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''x''), (2, NULL)',
	'ALTER TABLE t ADD b text NOT NULL',
	'INSERT INTO t (id, a) VALUES (3, ''old'')', 'INSERT INTO t VALUES (4, ''new'', ''own''); UPDATE t SET a = ''z'' WHERE id = 1',
	'{"up": {"t.b": "coalesce(upper(a), ''NONE'')"}}', 'ALTER TABLE t ADD b text; UPDATE t SET b = ''''; ALTER TABLE t ALTER b SET NOT NULL');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 10), (2, NULL)',
	'ALTER TABLE t ADD b int CHECK (b > 0) DEFAULT 5; COMMENT ON COLUMN t.b IS ''added''',
	'INSERT INTO t VALUES (3, 30)', 'INSERT INTO t VALUES (4, 40, 4)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 10)',
	'ALTER TABLE t ADD IF NOT EXISTS a text, ADD COLUMN IF NOT EXISTS b date', '', 'INSERT INTO t VALUES (2, 20, ''2024-02-29'')');

-- DROP COLUMN: plain, with a default, NOT NULL with down, with its index and constraint
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, ''x'', 1), (2, NULL, 2)',
	'ALTER TABLE t DROP COLUMN a',
	'INSERT INTO t VALUES (3, ''old'', 3)', 'INSERT INTO t VALUES (4, 4); UPDATE t SET b = 11 WHERE id = 1');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL DEFAULT ''d'', b int); INSERT INTO t VALUES (1, ''x'', 1), (2, ''y'', 2)',
	'ALTER TABLE t DROP a, DROP COLUMN IF EXISTS nothing',
	'INSERT INTO t VALUES (3, ''old'', 3)', 'INSERT INTO t VALUES (4, 4); UPDATE t SET b = 11 WHERE id = 1');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, b int CHECK (b < 1000)); CREATE INDEX t_a ON t (a); INSERT INTO t VALUES (1, ''1'', 1), (2, ''2'', 2)',
	'ALTER TABLE t DROP a',
	'INSERT INTO t VALUES (3, ''old'', 3); UPDATE t SET a = ''kept'' WHERE id = 2', 'INSERT INTO t VALUES (4, 4); UPDATE t SET b = 11 WHERE id = 1; UPDATE t SET b = 22 WHERE id = 2',
	'{"down": {"t.a": "b::text"}}');

-- RENAME COLUMN, TABLE, CONSTRAINT
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text UNIQUE, CHECK (a <> '''')); INSERT INTO t VALUES (1, ''x'')',
	'ALTER TABLE t RENAME a TO b',
	'INSERT INTO t VALUES (2, ''old'')', 'INSERT INTO t (id, b) VALUES (3, ''new''); UPDATE t SET b = b || ''!''');
CALL mt.roundtrip('CREATE TABLE t (id serial PRIMARY KEY, a text); INSERT INTO t (a) VALUES (''x''); COMMENT ON TABLE t IS ''the table''',
	'ALTER TABLE t RENAME TO u',
	'INSERT INTO t VALUES (2, ''old'')', 'INSERT INTO u (id, a) VALUES (3, ''new'')', new_table => 'u');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text CONSTRAINT c CHECK (a <> ''''))',
	'ALTER TABLE t RENAME CONSTRAINT c TO d; ALTER TABLE t RENAME CONSTRAINT t_pkey TO "Primary"', '', 'INSERT INTO t VALUES (1, ''x'')');

-- ALTER TYPE: by cast, USING, options up and down, typmod, collation, to a domain, an enum, an array
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1), (2, NULL)',
	'ALTER TABLE t ALTER a TYPE bigint',
	'INSERT INTO t VALUES (3, 3)', 'INSERT INTO t VALUES (4, 4); UPDATE t SET a = 22 WHERE id = 2');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a numeric(14,2) NOT NULL DEFAULT 0.5); INSERT INTO t VALUES (1, 1.25), (2, 2.5)',
	'ALTER TABLE t ALTER COLUMN a SET DATA TYPE bigint USING (a * 100)::bigint',
	'INSERT INTO t VALUES (3, 3.33)', 'INSERT INTO t VALUES (4, 444); UPDATE t SET a = a + 1 WHERE id = 2',
	'{"down": {"t.a": "a / 100.0"}}');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''1''), (2, NULL)',
	'ALTER TABLE t ALTER a TYPE int USING a::int + 0',
	'INSERT INTO t VALUES (3, ''3'')', 'INSERT INTO t VALUES (4, 4); UPDATE t SET a = 22 WHERE id = 2',
	'{"down": {"t.a": "(SELECT ''0'' || a)"}}');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text COLLATE "C" DEFAULT ''x''); CREATE INDEX ON t (a); INSERT INTO t VALUES (1, ''one''), (2, NULL)',
	'ALTER TABLE t ALTER a TYPE varchar(5) COLLATE "POSIX" USING substr(a, 1, 5)',
	'INSERT INTO t VALUES (3, ''longer than five'')', 'INSERT INTO t VALUES (4, ''four''); UPDATE t SET a = ''two'' WHERE id = 2');
CALL mt.roundtrip('CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TYPE mood AS ENUM (''sad'', ''ok''); '
	'CREATE TABLE t (id int PRIMARY KEY, a text, b text, c text); INSERT INTO t VALUES (1, ''1'', ''ok'', ''a,b''), (2, NULL, NULL, NULL)',
	'ALTER TABLE t ALTER a TYPE positive USING a::int, ALTER b TYPE mood USING b::mood, ALTER c TYPE text[] USING string_to_array(c, '','')',
	'INSERT INTO t VALUES (3, ''3'', ''sad'', ''c'')', 'INSERT INTO t VALUES (4, 4, ''ok'', ''{d,e}''); UPDATE t SET c = c || ''f''::text WHERE id = 1',
	'{"down": {"t.c": "array_to_string(c, '','')"}}');

-- NOT NULL: set with and without up, dropped with and without down
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, ''x'', 1), (2, ''y'', 2)',
	'ALTER TABLE t ALTER a SET NOT NULL', 'INSERT INTO t VALUES (3, ''old'', 3)', 'INSERT INTO t VALUES (4, ''new'', 4)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, ''x'', 1), (2, NULL, 2)',
	'ALTER TABLE t ALTER a SET NOT NULL', 'INSERT INTO t VALUES (3, NULL, 3)', 'INSERT INTO t VALUES (4, ''new'', 4)',
	'{"up": {"t.a": "coalesce(a, ''none '' || b)"}}', 'UPDATE t SET a = '''' WHERE a IS NULL; ALTER TABLE t ALTER a SET NOT NULL');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, b int); INSERT INTO t VALUES (1, ''x'', 1), (2, ''y'', 2)',
	'ALTER TABLE t ALTER a DROP NOT NULL', 'INSERT INTO t VALUES (3, ''old'', 3)', 'INSERT INTO t VALUES (4, ''new'', 4)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, b int); INSERT INTO t VALUES (1, ''x'', 1), (2, ''y'', 2)',
	'ALTER TABLE t ALTER a DROP NOT NULL', 'INSERT INTO t VALUES (3, ''old'', 3)', 'INSERT INTO t VALUES (4, NULL, 4); UPDATE t SET a = NULL WHERE id = 2',
	'{"down": {"t.a": "coalesce(a, ''gone'')"}}');

-- Defaults
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text, b int DEFAULT 7); INSERT INTO t VALUES (1, ''x'')',
	'ALTER TABLE t ALTER a SET DEFAULT ''none''::text, ALTER b DROP DEFAULT', 'INSERT INTO t (id) VALUES (2)', 'INSERT INTO t (id) VALUES (3); INSERT INTO t VALUES (4, DEFAULT, DEFAULT)');

-- CHECK: named, unnamed, NO INHERIT, with up; dropped, with down
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 1, 10)',
	'ALTER TABLE t ADD CHECK (a > 0), ADD CHECK (a < b), ADD CONSTRAINT "Named" CHECK (b <> 13) NO INHERIT', 'INSERT INTO t VALUES (2, 2, 20)', 'INSERT INTO t VALUES (3, 3, 30)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1), (2, -2)',
	'ALTER TABLE t ADD CHECK (a > 0)', 'INSERT INTO t VALUES (3, -3)', 'INSERT INTO t VALUES (4, 4)',
	'{"up": {"t.a": "abs(a)"}}', 'UPDATE t SET a = abs(a); ALTER TABLE t ADD CHECK (a > 0)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int CHECK (a > 0)); INSERT INTO t VALUES (1, 1)',
	'ALTER TABLE t DROP CONSTRAINT t_a_check, DROP CONSTRAINT IF EXISTS nothing', 'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, 3)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int CHECK (a > 0)); INSERT INTO t VALUES (1, 1)',
	'ALTER TABLE t DROP CONSTRAINT t_a_check', 'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, -3)',
	'{"down": {"t.a": "greatest(a, 1)"}}');

-- Comments
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); COMMENT ON COLUMN t.id IS ''old''; INSERT INTO t VALUES (1, 1)',
	'COMMENT ON COLUMN t.a IS ''it''''s new''; COMMENT ON COLUMN t.id IS NULL; COMMENT ON TABLE t IS ''table''', '', 'INSERT INTO t VALUES (2, 2)');

-- Names: quoted, of 63 bytes, keywords
CALL mt.roundtrip('CREATE TABLE "Select" ("Id" int PRIMARY KEY, "user" int, "a""b''c" text, "ä.b" int); CREATE INDEX "In dex" ON "Select" ("user"); INSERT INTO "Select" VALUES (1, 1, ''x'', 5)',
	'ALTER TABLE "Select" ALTER "user" TYPE bigint USING "user" * 10, ALTER "a""b''c" SET NOT NULL; ALTER TABLE "Select" RENAME "ä.b" TO "order"',
	'INSERT INTO "Select" VALUES (2, 2, ''y'', 6)', 'INSERT INTO "Select" ("Id", "user", "a""b''c", "order") VALUES (3, 30, ''z'', 7)',
	'{"down": {"Select.user": "\"user\" / 10"}}', old_table => 'Select', new_table => 'Select');
SELECT repeat('t', 63) AS t, repeat('ö', 31) || 'c' AS c, repeat('n', 63) AS n \gset
SELECT format('CREATE TABLE %I (%I int PRIMARY KEY, %I int CHECK (%2$I > 0)); INSERT INTO %1$I VALUES (1, 2)', :'t', :'c', :'n') AS setup,
	format('ALTER TABLE %I ALTER %I TYPE bigint, ALTER %I TYPE bigint, ADD CHECK (%3$I > 0)', :'t', :'c', :'n') AS ddl,
	format('INSERT INTO %I VALUES (3, 4)', :'t') AS old, format('INSERT INTO %I VALUES (5, 6)', :'t') AS new \gset
CALL mt.roundtrip(:'setup', :'ddl', :'old', :'new', old_table => :'t', new_table => :'t');

-- An empty table, one without any key, unlogged ones, one with dropped columns
CALL mt.roundtrip('CREATE TABLE t (a int)', 'ALTER TABLE t ALTER a TYPE text', '', '');
CALL mt.roundtrip('CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1), (NULL)', 'ALTER TABLE t ALTER a TYPE text, ALTER a SET DEFAULT ''x''',
	'INSERT INTO t VALUES (2)', 'INSERT INTO t DEFAULT VALUES; INSERT INTO t VALUES (''3'')', '{"down": {"t.a": "nullif(a, ''x'')::int"}}');
CALL mt.roundtrip('CREATE UNLOGGED TABLE t (x int, a int, y int) WITH (fillfactor = 70); ALTER TABLE t DROP x, DROP y; INSERT INTO t VALUES (1)', 'ALTER TABLE t ALTER a TYPE numeric(5,1)',
	'INSERT INTO t VALUES (2)', 'INSERT INTO t VALUES (3.0)');
SELECT mt.clean('app', 'twin');
