-- Shapes of tables, with many rows: each is filled by a migration and compared, row by row, with what its expressions say.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset tuples_only

-- Makes ready by mig_run, looks, completes: the rows beside those of app.plain, a copy from before, as `expected` says; then how much heap and TOAST have grown.
CREATE PROCEDURE mt.shape(label text, setup text, definition text, options jsonb, expected text, columns text DEFAULT 'id, a, b', growth float DEFAULT 2)
LANGUAGE plpgsql AS $$
DECLARE
	name text := 'shape_' || nextval('mt.run');
	all_columns text; heap bigint; toast bigint; chunks text; was record;
BEGIN
	PERFORM mt.clean('app');
	CREATE SCHEMA app;
	CALL mt.run_at('app', setup || '; CREATE TABLE plain AS SELECT * FROM t');
	SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO all_columns FROM pg_attribute WHERE attrelid = 'app.plain'::regclass AND attnum > 0;
	SELECT pg_relation_size('app.t') AS heap, * INTO was FROM mt.toast('app.t');
	PERFORM mig_start(name, definition, options);
	COMMIT;
	CALL mig_run(name);
	CALL mt.say(label || ': a row differs while ready', format('SELECT mt_row FROM (SELECT %1$s FROM app_%2$s.t EXCEPT ALL SELECT %3$s FROM app.plain) mt_row LIMIT 3', columns, name, expected));
	CALL mt.say(label || ': the old version differs', format('SELECT mt_row FROM (SELECT * FROM app.plain EXCEPT ALL SELECT %s FROM app.t) mt_row LIMIT 3', all_columns));
	SELECT pg_relation_size('app.t') AS heap_now, * FROM mt.toast('app.t') INTO heap, toast, chunks;
	IF heap > greatest(was.heap * growth, was.heap + 32 * 8192) THEN
		RAISE INFO '%: the heap has grown to % of %', label, heap, was.heap;
	END IF;
	IF (toast, chunks) IS DISTINCT FROM (was.bytes, was.chunks) THEN
		RAISE INFO '%: TOAST was written: % bytes, were %', label, toast, was.bytes;
	END IF;
	COMMIT;
	IF mig_complete(name) <> 'completed' THEN
		COMMIT;
		CALL mig_run(name, until => 'completed');
	END IF;
	CALL mt.say(label || ': a row differs at the end', format('SELECT mt_row FROM ((SELECT %1$s FROM app.t EXCEPT ALL SELECT %3$s FROM app.plain) UNION ALL (SELECT %3$s FROM app.plain EXCEPT ALL SELECT %1$s FROM app.t)) mt_row LIMIT 3', columns, name, expected));
	RAISE INFO '%: % rows', label, (SELECT count(*) FROM app.t);
END$$;
-- A table's TOAST: its size, and which values there are (their pointers' numbers).
CREATE FUNCTION mt.toast(relation text, OUT bytes bigint, OUT chunks text)
LANGUAGE plpgsql AS $$
BEGIN
	SELECT pg_relation_size(reltoastrelid) INTO bytes FROM pg_class WHERE oid = relation::regclass AND reltoastrelid <> 0;
	IF bytes IS NOT NULL THEN
		EXECUTE format('SELECT count(*) || '' '' || md5(string_agg(chunk_id || '':'' || chunk_seq, '' '' ORDER BY chunk_id, chunk_seq)) FROM %s',
			(SELECT reltoastrelid::regclass FROM pg_class WHERE oid = relation::regclass)) INTO chunks;
	END IF;
END$$;
\set alter 'ALTER TABLE t ALTER a TYPE bigint USING (a * 100)::bigint'
\set down '{"down": {"t.a": "a / 100.0"}, "schema": "app"}'
\set expected 'id, (a * 100)::bigint, b'

-- Keys: none, and rows that are all alike; several columns
CALL mt.shape('no key', 'CREATE TABLE t AS SELECT i AS id, i / 8.0 AS a, ''b'' || i AS b FROM generate_series(1, 3000) i', :'alter', :'down', :'expected');
CALL mt.shape('all rows alike', 'CREATE TABLE t AS SELECT 1 AS id, 2.5 AS a, ''b'' AS b FROM generate_series(1, 3000) i', :'alter', :'down', :'expected');
CALL mt.shape('key of three columns', 'CREATE TABLE t (id int, a numeric, b text, PRIMARY KEY (b, id, a)); INSERT INTO t SELECT i, i / 8.0, ''b'' || i % 5 FROM generate_series(1, 3000) i', :'alter', :'down', :'expected');

-- Few rows
CALL mt.shape('empty', 'CREATE TABLE t (id int, a numeric, b text)', :'alter', :'down', :'expected');
CALL mt.shape('emptied', 'CREATE TABLE t AS SELECT i AS id, i / 8.0 AS a, ''b'' || i AS b FROM generate_series(1, 3000) i; DELETE FROM t', :'alter', :'down', :'expected');
CALL mt.shape('one row', 'CREATE TABLE t AS SELECT 1 AS id, 1.5 AS a, ''b'' AS b', :'alter', :'down', :'expected');
CALL mt.shape('one row at the end of many empty pages', 'CREATE TABLE t AS SELECT i AS id, i / 8.0 AS a, repeat(''b'', 1000) AS b FROM generate_series(1, 3000) i; DELETE FROM t WHERE id < 3000',
	:'alter', :'down', :'expected');

-- Pages: full, with room, unlogged, one row each
CALL mt.shape('fillfactor 100', 'CREATE TABLE t (id int PRIMARY KEY, a numeric, b text) WITH (fillfactor = 100); INSERT INTO t SELECT i, i / 8.0, repeat(''b'', 60) || i FROM generate_series(1, 20000) i; CREATE INDEX ON t (b)',
	:'alter', :'down', :'expected');
CALL mt.shape('fillfactor 70', 'CREATE TABLE t (id int PRIMARY KEY, a numeric, b text) WITH (fillfactor = 70); INSERT INTO t SELECT i, i / 8.0, repeat(''b'', 60) || i FROM generate_series(1, 20000) i; CREATE INDEX ON t (b)',
	:'alter', :'down', :'expected');
CALL mt.shape('fillfactor 10', 'CREATE TABLE t (id int PRIMARY KEY, a numeric, b text) WITH (fillfactor = 10); INSERT INTO t SELECT i, i / 8.0, ''b'' || i FROM generate_series(1, 3000) i', :'alter', :'down', :'expected');
CALL mt.shape('unlogged', 'CREATE UNLOGGED TABLE t (id int PRIMARY KEY, a numeric, b text); INSERT INTO t SELECT i, i / 8.0, ''b'' || i FROM generate_series(1, 3000) i', :'alter', :'down', :'expected');
CALL mt.shape('a row a page', 'CREATE TABLE t (id int PRIMARY KEY, a numeric, b text); ALTER TABLE t ALTER b SET STORAGE PLAIN; INSERT INTO t SELECT i, i / 8.0, repeat(chr(65 + i % 26), 6000) FROM generate_series(1, 200) i', :'alter', :'down', :'expected', growth => 3);

-- TOAST: values that are not touched keep their pointers, through the fill by one statement and through the one by rows (where an up fails)
\set toasted 'CREATE TABLE t (id int PRIMARY KEY, a numeric, b text, c bytea, d text); ALTER TABLE t ALTER b SET STORAGE EXTERNAL, ALTER d SET COMPRESSION pglz; INSERT INTO t SELECT i, i / 8.0, repeat(chr(65 + i % 26), 5000 + i), CASE WHEN i % 3 = 0 THEN decode(repeat(md5(i::text), 200), ''hex'') END, CASE WHEN i % 5 = 0 THEN (SELECT string_agg(md5((i * j)::text), ''-'') FROM generate_series(1, 300) j) END FROM generate_series(1, 300) i'
CALL mt.shape('TOAST', :'toasted', :'alter', :'down', 'id, (a * 100)::bigint, b, c, d', 'id, a, b, c, d');
DO $$ BEGIN PERFORM mt.clean('app'); END $$;
CREATE SCHEMA app;
SET search_path = app;
SELECT :'toasted' \gexec
CREATE TABLE plain AS SELECT * FROM t;
SELECT bytes AS bytes, chunks AS chunks FROM mt.toast('app.t') \gset
-- when rows are filled one by one, since one of them fails: all but that one are there, with their old pointers
SELECT mig_start('rows', 'ALTER TABLE t ALTER a TYPE bigint USING (a * 100)::bigint / (id - 7)', '{"down": {"t.a": "a"}}');
CALL mig_run('rows');
SELECT chunks = :'chunks', (SELECT count(*) FROM t WHERE _mig_state <> 0) FROM mt.toast('app.t');
SELECT mig_rollback('rows');
-- a changed column that is TOASTed itself: its old values stay where they are, the new ones are added
CREATE TABLE before (chunk_id oid, chunk_seq int);
\set ECHO none
SELECT format('INSERT INTO before SELECT chunk_id, chunk_seq FROM %s', reltoastrelid::regclass) FROM pg_class WHERE oid = 't'::regclass \gexec
\set ECHO all
SELECT mig_start('big', 'ALTER TABLE t ALTER b TYPE text USING lower(b)', '{"down": {"t.b": "upper(b)"}}');
CALL mig_run('big');
SELECT mt.unequal('SELECT id, b, c, d FROM app_big.t', 'SELECT id, lower(b), c, d FROM plain');
\set ECHO none
SELECT format('SELECT (SELECT count(*) FROM before b WHERE NOT EXISTS (SELECT FROM %1$s n WHERE n.chunk_id = b.chunk_id AND n.chunk_seq = b.chunk_seq)), count(DISTINCT chunk_id) FROM %1$s n WHERE chunk_id NOT IN (SELECT chunk_id FROM before)', reltoastrelid::regclass)
  FROM pg_class WHERE oid = 't'::regclass \gexec
\set ECHO all
-- a client's write of another column doesn't write them again either
SELECT bytes AS bytes, chunks AS chunks FROM mt.toast('app.t') \gset
UPDATE app_big.t SET a = a + 1;
UPDATE t SET a = a - 1;
SELECT chunks = :'chunks' FROM mt.toast('app.t');
SELECT mig_complete('big');
CALL mig_run('big', until => 'completed');
SELECT mt.unequal('SELECT id, a, b, c, d FROM t', 'SELECT id, a, lower(b), c, d FROM plain');
RESET search_path;
SELECT mt.clean('app');

-- Generated columns that do not read what changes: computed by the server, read by an up, by old and new clients
CALL mt.shape('generated', 'CREATE TABLE t (id int PRIMARY KEY, a numeric, b text, g text GENERATED ALWAYS AS (b || ''!'') STORED, h int GENERATED ALWAYS AS (id * 2) STORED); CREATE INDEX ON t (g); INSERT INTO t SELECT i, i / 8.0, ''b'' || i FROM generate_series(1, 3000) i',
	'ALTER TABLE t ALTER a TYPE bigint USING (a * 100)::bigint + h; ALTER TABLE t ADD n text', '{"schema": "app", "up": {"t.n": "g || id"}, "down": {"t.a": "(a - h) / 100.0"}}', 'id, (a * 100)::bigint + h, b, g, h, g || id', 'id, a, b, g, h, n');

-- The limit of 1600 columns: what is left, what is needed
SELECT mt.clean('app');
CREATE SCHEMA app;
SET search_path = app;
SELECT format('CREATE TABLE w%s (id int PRIMARY KEY, %s)', n, string_agg('c' || i || ' int', ', ' ORDER BY i)) FROM unnest(ARRAY[1597, 1598, 1599, 1600]) n, generate_series(2, n) i GROUP BY n ORDER BY n \gexec
SELECT format('INSERT INTO w%s (id, c2) SELECT i, i FROM generate_series(1, 20) i', n) FROM unnest(ARRAY[1597, 1598, 1599, 1600]) n \gexec
SELECT * FROM mt.refused('ALTER TABLE w1600 ALTER c2 TYPE text');
SELECT * FROM mt.refused('ALTER TABLE w1600 ADD d text');
SELECT * FROM mt.refused('ALTER TABLE w1600 DROP c2', '{"down": {"w1600.c2": "0"}}');
SELECT * FROM mt.refused('ALTER TABLE w1599 ALTER c2 TYPE text');
SELECT * FROM mt.refused('ALTER TABLE w1598 ALTER c2 TYPE text, ALTER c3 TYPE text');
SELECT * FROM mt.try('SELECT mig_start(%L, %L)', 'none', 'ALTER TABLE w1599 ALTER c2 TYPE text');
SELECT * FROM mt.refused('ALTER TABLE w1600 RENAME c2 TO d');
SELECT mig_start('last', 'ALTER TABLE w1598 ALTER c2 TYPE text; ALTER TABLE w1599 ADD d int DEFAULT 5; ALTER TABLE w1597 ALTER c2 TYPE bigint, ADD d int DEFAULT 4; ALTER TABLE w1600 RENAME c2 TO d');
CALL mig_run('last');
INSERT INTO app_last.w1598 (id, c2) VALUES (21, '21');
INSERT INTO w1597 (id, c2) VALUES (21, 21);
SELECT mig_complete('last');
CALL mig_run('last', until => 'completed');
SELECT count(*), sum(c2::int) FROM w1598;
SELECT count(*), sum(c2), count(d) FROM w1597;
SELECT sum(d) FROM w1599;
SELECT sum(d) FROM w1600;
-- its numbers are used up by now
SELECT * FROM mt.refused('ALTER TABLE w1598 ALTER c2 TYPE int USING c2::int');
RESET search_path;
SELECT mt.clean('app');
