-- Statements of a client's life, through the old version, the new one, and the completed one: what is written is there in both at once.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE SCHEMA clerk;
SET search_path = clerk;
CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sku text CONSTRAINT t_sku UNIQUE, price numeric(10,2) DEFAULT 1.5, n int NOT NULL DEFAULT 5, name text,
	made serial);
CREATE TABLE plain (a int PRIMARY KEY, b text DEFAULT 'bee', c text DEFAULT upper('sea'));
INSERT INTO t (sku, price, name) SELECT 'k' || i, i, 'n' || i FROM generate_series(1, 5) i;
SELECT mig_start('work', 'ALTER TABLE t ALTER price TYPE int USING (price * 100)::int; ALTER TABLE t RENAME price TO cents; ALTER TABLE t ALTER cents SET DEFAULT 42;'
	'ALTER TABLE t RENAME sku TO code; ALTER TABLE t ADD extra text DEFAULT ''e''; ALTER TABLE t ALTER name SET NOT NULL; ALTER TABLE t ALTER n DROP DEFAULT',
	'{"down": {"t.price": "price / 100.0"}, "up": {"t.name": "coalesce(name, ''none'')"}, "baseline": true}');
CALL mig_wait('work');
-- Rows whose two versions disagree: none, ever
CREATE FUNCTION differ() RETURNS TABLE (id bigint) LANGUAGE sql AS $$
	SELECT id FROM clerk_base.t o FULL JOIN clerk_work.t n USING (id)
		WHERE (o.sku, (o.price * 100)::int, o.n, coalesce(o.name, 'none')) IS DISTINCT FROM (n.code, n.cents, n.n, n.name)
$$;
SELECT table_schema, column_name, column_default FROM information_schema.columns WHERE table_schema ~ '^clerk_' AND column_default IS NOT NULL ORDER BY 1, table_name, ordinal_position;
PREPARE read AS SELECT * FROM clerk_work.t WHERE id = $1;
PREPARE write AS INSERT INTO clerk_work.t (code, cents, n, name) VALUES ($1, $2, 1, 'prepared') RETURNING *;
PREPARE write_old AS INSERT INTO clerk_base.t (sku, price, name) VALUES ($1, $2, 'prepared') RETURNING *;
EXECUTE read(1);
EXECUTE write('p1', 101);
EXECUTE write_old('p2', 1.02);

-- ON CONFLICT
INSERT INTO clerk_base.t (sku, price, name) VALUES ('k1', 9, 'x') ON CONFLICT (sku) DO UPDATE SET price = excluded.price + t.price RETURNING *;
INSERT INTO clerk_work.t AS z (code, cents, n, name) VALUES ('k1', 9, 1, 'x'), ('k9', DEFAULT, 2, 'nine') ON CONFLICT (code) DO UPDATE SET cents = excluded.cents + z.cents WHERE z.cents > 0 RETURNING *;
INSERT INTO clerk_work.t (code, n, name) VALUES ('k1', 1, 'x'), ('k9', 1, 'y') ON CONFLICT (code) DO NOTHING RETURNING *;
INSERT INTO clerk_work.t AS z (code, n, name) VALUES ('k1', 1, 'u') ON CONFLICT (code) DO UPDATE SET (cents, name, extra) = ROW (excluded.cents, excluded.name, excluded.extra) RETURNING z.*;
INSERT INTO clerk_work.t (code, n, name) VALUES ('k1', 1, 'u') ON CONFLICT (code) DO UPDATE SET name = NULL;
INSERT INTO clerk_work.plain VALUES (1, 'a') ON CONFLICT (a) DO UPDATE SET b = excluded.b;
INSERT INTO clerk_work.plain VALUES (1, 'b') ON CONFLICT (a) DO UPDATE SET b = plain.b || excluded.b, c = DEFAULT RETURNING *;
INSERT INTO clerk_work.t (code, name) VALUES ('k1', 'x') ON CONFLICT ON CONSTRAINT t_sku DO NOTHING;
SELECT * FROM differ();

-- FROM, USING, FOR UPDATE
UPDATE clerk_work.t x SET cents = x.cents + p.c FROM (VALUES (2, 1000), (3, 2000)) p (i, c) WHERE x.id = p.i RETURNING x.*, p.c;
UPDATE clerk_base.t x SET price = y.cents FROM clerk_work.t y WHERE x.id = y.id AND y.id = 2 RETURNING x.id, x.price, y.cents;
DELETE FROM clerk_work.t x USING clerk_base.t y WHERE x.id = y.id AND y.sku = 'k4' RETURNING x.*, y.*;
SELECT id, cents FROM clerk_work.t WHERE id = 1 FOR UPDATE;
SELECT id, cents FROM clerk_work.t x WHERE id < 4 ORDER BY id FOR SHARE OF x SKIP LOCKED;
SELECT t.id FROM clerk_work.t JOIN clerk_base.t b USING (id) WHERE id < 3 ORDER BY id FOR NO KEY UPDATE OF t NOWAIT;
SELECT * FROM differ();

-- DEFAULT, OVERRIDING
INSERT INTO clerk_work.t (id, code, n, name) OVERRIDING SYSTEM VALUE VALUES (100, 'k100', 1, 'h') RETURNING *;
INSERT INTO clerk_work.t (id, code, n, name) VALUES (101, 'k101', 1, 'h');
INSERT INTO clerk_work.t (id, code, n, name) OVERRIDING USER VALUE VALUES (101, 'k101', 1, 'h') RETURNING id < 100, code;
INSERT INTO clerk_work.t VALUES (DEFAULT, 'k200', DEFAULT, 1, 'aa', DEFAULT, DEFAULT), (DEFAULT, 'k201', 7, 8, 'bb', 99, 'cc') RETURNING code, cents, n, made > 5, extra;
INSERT INTO clerk_base.t VALUES (DEFAULT, 'k300', DEFAULT, DEFAULT, 'aa', DEFAULT), (DEFAULT, 'k301', 7, 8, 'bb', 98) RETURNING sku, price, n, made > 5;
INSERT INTO clerk_work.t (code, name) VALUES ('k400', 'n has no default any more');
INSERT INTO clerk_base.t DEFAULT VALUES RETURNING sku, price, n, name;
UPDATE clerk_work.t SET cents = DEFAULT, made = DEFAULT, extra = DEFAULT WHERE code = 'k201' RETURNING cents, made < 99, extra;
UPDATE clerk_work.t SET n = DEFAULT WHERE code = 'k201';
UPDATE clerk_base.t SET price = DEFAULT, n = DEFAULT WHERE sku = 'k301' RETURNING price, n;
UPDATE clerk_work.plain SET (b, c) = (DEFAULT, DEFAULT) RETURNING *;
SELECT * FROM differ();

-- Both versions in one statement
INSERT INTO clerk_work.t (code, cents, n, name) SELECT sku || 's', price::int, n, name FROM clerk_base.t WHERE id < 3 RETURNING code, cents;
INSERT INTO clerk_base.t (sku, price, name) SELECT code || 'r', cents, name FROM clerk_work.t WHERE id < 3 RETURNING sku, price;
WITH a AS (INSERT INTO clerk_work.t (code, cents, n, name) VALUES ('w1', 111, 1, 'a') RETURNING *),
	b AS (INSERT INTO clerk_base.t (sku, price, name) VALUES ('w2', 2.22, 'a') RETURNING *),
	c AS (UPDATE clerk_work.t SET cents = 5 WHERE id = 1 RETURNING *),
	d AS (UPDATE clerk_base.t SET price = 0.06 WHERE id = 2 RETURNING *)
SELECT 'a', code, cents::numeric FROM a UNION ALL SELECT 'b', sku, price FROM b UNION ALL SELECT 'c', code, cents FROM c UNION ALL SELECT 'd', sku, price FROM d;
SELECT * FROM differ();

-- Cursors, LOCK; what a view cannot do
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, code FROM clerk_work.t WHERE id < 4 ORDER BY id;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
UPDATE clerk_work.t SET cents = 1 WHERE CURRENT OF c;
ROLLBACK;
BEGIN;
LOCK TABLE clerk_work.t IN SHARE MODE;
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'ShareLock' ORDER BY relation::regclass::text;
ROLLBACK;
MERGE INTO clerk_work.t USING (VALUES (1)) v (i) ON t.id = v.i WHEN MATCHED THEN UPDATE SET cents = 1;

-- Completed: the same prepared statements go on; the old version's say where to go
SELECT mig_complete('work');
CALL mig_wait('work', until => 'completed');
EXECUTE read(1);
EXECUTE write('p3', 103);
EXECUTE write_old('p4', 1.04);
INSERT INTO clerk_work.t AS z (code, cents, n, name) VALUES ('k1', 9, 1, 'x'), ('k10', DEFAULT, 2, 'ten') ON CONFLICT (code) DO UPDATE SET cents = excluded.cents + z.cents RETURNING code, cents, extra;
UPDATE clerk_work.t SET cents = DEFAULT, made = DEFAULT, extra = DEFAULT WHERE code = 'k200' RETURNING cents, made > 5, extra;
UPDATE clerk_work.t SET n = DEFAULT WHERE code = 'k200';
SELECT table_schema, column_name, column_default FROM information_schema.columns WHERE table_schema ~ '^clerk' AND column_default IS NOT NULL ORDER BY 1, table_name, ordinal_position;

-- A default changed by hand is the view's, too
ALTER TABLE plain ALTER b SET DEFAULT 'hand', ALTER c DROP DEFAULT;
UPDATE clerk_work.plain SET b = DEFAULT, c = DEFAULT RETURNING *;
-- A rolled back version holds nothing back
SELECT mig_start('more', 'ALTER TABLE t ALTER made TYPE bigint; ALTER TABLE t DROP extra');
CALL mig_wait('more');
INSERT INTO clerk_more.t (code, n, name) VALUES ('m', 1, 'm') RETURNING made > 5;
UPDATE clerk_more.t SET made = DEFAULT WHERE code = 'm' RETURNING made > 5;
SELECT mig_rollback('more');
SELECT attname FROM pg_attribute WHERE attrelid = 'clerk_more.t'::regclass AND atthasdef;
SELECT mig_start('end', 'ALTER TABLE t DROP made, DROP extra');
CALL mig_wait('end');
SELECT mig_complete('end');
SELECT to_regclass('t_made_seq');
RESET search_path;
SELECT mt.clean('clerk');
