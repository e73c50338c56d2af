-- Stored generated columns that are computed from columns that a migration replaces: the new version's follow these, and are generated when it is complete.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset tuples_only

-- There and back, then to the end; the twin has the column dropped and added, since plain ALTER TABLE … TYPE refuses
\set setup 'CREATE TABLE t (id int PRIMARY KEY, a int, b text, g int GENERATED ALWAYS AS (a * 2) STORED NOT NULL, h text GENERATED ALWAYS AS (b || id) STORED, CONSTRAINT positive CHECK (g > -5)); CREATE INDEX t_g ON t (g) WHERE g > 0; COMMENT ON COLUMN t.g IS ''twice''; GRANT SELECT (g) ON t TO PUBLIC; INSERT INTO t SELECT i, i, ''b'' FROM generate_series(1, 5) i'
\set plain 'ALTER TABLE t DROP g; ALTER TABLE t ALTER a TYPE bigint USING a * 10; ALTER TABLE t ADD g int GENERATED ALWAYS AS (a * 2) STORED NOT NULL, ADD CONSTRAINT positive CHECK (g > -5); CREATE INDEX t_g ON t (g) WHERE g > 0; COMMENT ON COLUMN t.g IS ''twice''; GRANT SELECT (g) ON t TO PUBLIC'
\set old_writes 'INSERT INTO t (id, a, b) VALUES (11, 11, ''old''); UPDATE t SET a = 20 WHERE id = 1; UPDATE t SET b = ''x'' WHERE id = 2; UPDATE t SET a = 7, id = 12 WHERE id = 5'
\set new_writes 'INSERT INTO t (id, a, b) VALUES (21, 215, ''new''), (22, DEFAULT, ''null'') ON CONFLICT (id) DO NOTHING; INSERT INTO t (id, a, g) VALUES (23, 5, DEFAULT); UPDATE t SET a = 39 WHERE id = 3; UPDATE t SET g = DEFAULT WHERE id = 4; UPDATE t SET a = a + 1, g = DEFAULT WHERE id = 1; INSERT INTO t (id, a) VALUES (4, 99) ON CONFLICT (id) DO UPDATE SET a = excluded.a'
CALL mt.roundtrip(replace(:'setup', ' NOT NULL', ''), 'ALTER TABLE t ALTER a TYPE bigint USING a * 10', :'old_writes', :'new_writes', '{"down": {"t.a": "a / 10"}}', plain => replace(:'plain', ' NOT NULL', ''));
-- NOT NULL as well; then a rename of all of them, and one that reads two replaced columns, whose type does not change
CALL mt.roundtrip(:'setup', 'ALTER TABLE t ALTER a TYPE bigint USING a * 10', :'old_writes', replace(:'new_writes', '(22, DEFAULT, ', '(22, 0, '), '{"down": {"t.a": "a / 10"}}', plain => :'plain');
CALL mt.roundtrip('CREATE TABLE t (id int, a int, b text, g text GENERATED ALWAYS AS (b || '':'' || a::text) STORED); INSERT INTO t VALUES (1, 2, ''x''), (2, NULL, ''y'')',
	'ALTER TABLE t ALTER a TYPE numeric(10,2) USING a / 4.0; ALTER TABLE t RENAME a TO amount; ALTER TABLE t ALTER b TYPE varchar(20) USING upper(b); ALTER TABLE t RENAME g TO label; ALTER TABLE t RENAME b TO name; ALTER TABLE t RENAME TO n',
	'INSERT INTO t VALUES (3, 4, ''z'')', 'INSERT INTO n (id, amount, name) VALUES (4, 2.5, ''W''); UPDATE n SET name = ''V'' WHERE id = 2', '{"down": {"t.a": "a * 4", "t.b": "lower(b)"}}', new_table => 'n',
	plain => 'ALTER TABLE t DROP g; ALTER TABLE t ALTER a TYPE numeric(10,2) USING a / 4.0, ALTER b TYPE varchar(20) USING upper(b); ALTER TABLE t ADD g text GENERATED ALWAYS AS (b || '':'' || a::text) STORED; ALTER TABLE t RENAME a TO amount; ALTER TABLE t RENAME b TO name; ALTER TABLE t RENAME g TO label; ALTER TABLE t RENAME TO n');
-- an added column whose up reads it, after the change and before; a down that reads it
CALL mt.roundtrip('CREATE TABLE t (id int, a int, g int GENERATED ALWAYS AS (a + 1) STORED); INSERT INTO t VALUES (1, 2), (2, 3)',
	'ALTER TABLE t ADD before int; ALTER TABLE t ALTER a TYPE bigint USING a * 100; ALTER TABLE t ADD after int; ALTER TABLE t ADD c int; ALTER TABLE t ALTER c TYPE int USING g', 'INSERT INTO t VALUES (3, 4)', 'INSERT INTO t (id, a, c) VALUES (4, 500, 1)',
	'{"up": {"t.before": "g", "t.after": "g"}, "down": {"t.a": "(g - 1) / 100"}}',
	plain => 'ALTER TABLE t DROP g; ALTER TABLE t ADD before int, ADD after int, ADD c int; ALTER TABLE t ALTER a TYPE bigint USING a * 100; ALTER TABLE t ADD g int GENERATED ALWAYS AS (a + 1) STORED');
-- users' triggers before and after, which see and set values
CALL mt.roundtrip('CREATE TABLE t (id int, a int, g int GENERATED ALWAYS AS (a + 1) STORED); CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.a := NEW.a + 1; RETURN NEW; END $f$; CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch(); INSERT INTO t VALUES (1, 2), (2, 3)',
	'ALTER TABLE t ALTER a TYPE bigint USING a * 100', 'INSERT INTO t VALUES (3, 4); UPDATE t SET a = 1 WHERE id = 1', 'INSERT INTO t (id, a) VALUES (4, 500); UPDATE t SET a = 1000 WHERE id = 2', '{"down": {"t.a": "a / 100"}}',
	plain => 'ALTER TABLE t DROP g; ALTER TABLE t ALTER a TYPE bigint USING a * 100; ALTER TABLE t ADD g int GENERATED ALWAYS AS (a + 1) STORED');

-- Who may give it a value, and what happens when it has none
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
SET search_path = app;
SELECT replace(:'setup', ' NOT NULL', '') \gexec
SELECT note FROM mig_plan('x', 'ALTER TABLE t ALTER a TYPE bigint USING a * 10', '{"down": {"t.a": "a / 10"}}') WHERE note LIKE '%generated%';
SELECT mig_start('x', 'ALTER TABLE t ALTER a TYPE bigint USING a * 10', '{"down": {"t.a": "a / 10"}}');
CALL mig_wait('x');
SELECT * FROM mt.try('INSERT INTO app_x.t (id, a, g) VALUES (31, 1, 2)');
SELECT * FROM mt.try('UPDATE app_x.t SET g = 3');
SELECT * FROM mt.try('INSERT INTO t (id, a, g) VALUES (31, 1, 2)');
SELECT * FROM mt.try('UPDATE app_x.t SET a = 2000000000 WHERE id = 1');
SELECT * FROM mt.try('UPDATE t SET a = 200000000 WHERE id = 1');
SELECT id, a, g FROM t WHERE id = 1;
SELECT id, a, g FROM app_x.t WHERE id = 1;
SELECT sample FROM mig_validate('x');
UPDATE t SET a = 2 WHERE id = 1;
SELECT divergent FROM mig_validate('x');
SELECT id, a, g FROM app_x.t WHERE id = 1;
SELECT mig_rollback('x');
-- what cannot be
SELECT * FROM mt.refused('ALTER TABLE t ALTER g TYPE bigint');
SELECT * FROM mt.refused('ALTER TABLE t DROP a');
SELECT * FROM mt.refused('ALTER TABLE t ALTER a TYPE text');
SELECT * FROM mt.try('SELECT mig.make_generated(%L, %L, %L)', 't', 'g', 'a');
SELECT * FROM mt.try('SELECT mig.make_generated(%L, %L, %L)', 't', 'b', 'random()::text');
RESET search_path;
SELECT mt.clean('app');

-- Partitions, whose columns stand in other places
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int, junk int, a int, b text, g int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (id)) PARTITION BY RANGE (id);
ALTER TABLE t DROP junk;
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
CREATE TABLE t2 (b text, g int GENERATED ALWAYS AS (a * 2) STORED, id int NOT NULL, a int);
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (100) TO (1000);
CREATE INDEX ON t (g);
INSERT INTO t SELECT i, i, 'b' FROM generate_series(1,500) i;
SELECT mig_start('x', 'ALTER TABLE t ALTER a TYPE bigint USING a * 10', '{"down": {"t.a": "a / 10"}}');
CALL mig_wait('x');
INSERT INTO app_x.t (id, a) VALUES (600, 5), (0, 7);
INSERT INTO t (id, a) VALUES (601, 5);
UPDATE app_x.t SET id = 700, a = 55 WHERE id = 1;
UPDATE t SET id = 701 WHERE id = 2;
SELECT * FROM app_x.t WHERE id in (0,3,400) OR id >= 600 ORDER BY 1;
SELECT count(*) FROM app_x.t WHERE g <> a * 2;
SELECT mig_complete('x');
CALL mig_wait('x', until => 'completed');
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attgenerated, pg_get_expr(adbin, adrelid) FROM pg_attribute JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid IN ('t'::regclass, 't1'::regclass, 't2'::regclass) ORDER BY 1, 2;
INSERT INTO t (id, a) VALUES (5000 % 1000 + 800, 4);
SELECT count(*), count(*) FILTER (WHERE g IS DISTINCT FROM a * 2) FROM t;
RESET search_path;
SELECT mt.clean('app');
