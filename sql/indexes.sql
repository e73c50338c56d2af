-- What hangs on a changed column is rebuilt on its replacement: the same definitions, names and properties as after a plain ALTER TABLE.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

-- Partial, expression, INCLUDE, opclass, order, fillfactor, other access methods, comment, statistics target of an expression
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a varchar(20), b int, c int[]); '
	'CREATE INDEX i1 ON t (a) WHERE b > 0; CREATE INDEX i2 ON t (lower(a), b); CREATE INDEX i3 ON t (b) INCLUDE (a); CREATE INDEX i4 ON t (a varchar_pattern_ops DESC, b NULLS FIRST); '
	'CREATE INDEX i5 ON t (b DESC NULLS LAST, a ASC NULLS LAST) WITH (fillfactor = 70); CREATE INDEX i6 ON t USING hash (a); CREATE INDEX i7 ON t USING gin (c) WITH (fastupdate = off); CREATE INDEX i8 ON t USING brin (b, id) WITH (pages_per_range = 8); '
	'CREATE INDEX "i 9" ON t (id) WHERE a IS NOT NULL AND a <> ''x''; CREATE INDEX i10 ON t (a COLLATE "C"); CREATE INDEX untouched ON t (id, b); '
	'COMMENT ON INDEX i1 IS ''partial''; INSERT INTO t VALUES (1, ''x'', 1, ''{1,2}'')',
	'ALTER TABLE t ALTER a TYPE varchar(30), ALTER c TYPE bigint[]', 'INSERT INTO t VALUES (2, ''y'', 2)', 'INSERT INTO t VALUES (3, ''z'', 3)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, b int); CREATE INDEX i1 ON t ((a + b), a) WHERE a > 10; CREATE INDEX i2 ON t ((b * 2)) WHERE b > 0; CREATE STATISTICS st ON id, b FROM t; INSERT INTO t VALUES (1, 11, 1)',
	'ALTER TABLE t ALTER a TYPE bigint', 'INSERT INTO t VALUES (2, 12, 2)', 'INSERT INTO t VALUES (3, 13, 3)');

-- Unique: plain, NULLS NOT DISTINCT, constraint, deferrable, of several columns; primary key; cluster; replica identity
CALL mt.roundtrip('CREATE TABLE t (id int CONSTRAINT "the key" PRIMARY KEY, a int UNIQUE DEFERRABLE INITIALLY DEFERRED, b int, c int NOT NULL, UNIQUE (a, b), UNIQUE (b, c) INCLUDE (a)); '
	'CREATE UNIQUE INDEX u1 ON t (b) NULLS NOT DISTINCT; CREATE UNIQUE INDEX u2 ON t (c); ALTER TABLE t CLUSTER ON u1; ALTER TABLE t REPLICA IDENTITY USING INDEX u2; '
	'COMMENT ON CONSTRAINT t_a_b_key ON t IS ''both''; COMMENT ON INDEX "the key" IS ''key''; COMMENT ON CONSTRAINT "the key" ON t IS ''constraint''; INSERT INTO t VALUES (1, 1, 1, 1)',
	'ALTER TABLE t ALTER id TYPE bigint, ALTER a TYPE bigint, ALTER b TYPE bigint, ALTER c TYPE bigint',
	'INSERT INTO t VALUES (2, 2, 2, 2)', 'INSERT INTO t VALUES (3, 3, 3, 3)', plain => 'ALTER TABLE t ALTER id TYPE bigint, ALTER a TYPE bigint, ALTER b TYPE bigint, ALTER c TYPE bigint');

-- Foreign keys out: plain, composite, NOT VALID, with actions, deferrable, to itself by another column
CALL mt.roundtrip('CREATE TABLE p (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE q (id bigint PRIMARY KEY); INSERT INTO p VALUES (1, 1); INSERT INTO q VALUES (1), (2), (3); '
	'CREATE TABLE t (id bigint PRIMARY KEY, a int, b int, q1 int REFERENCES q ON DELETE SET NULL ON UPDATE CASCADE, q2 int CONSTRAINT "Q 2" REFERENCES q DEFERRABLE INITIALLY DEFERRED, parent int REFERENCES t, '
	' FOREIGN KEY (a, b) REFERENCES p MATCH FULL); ALTER TABLE t ADD CONSTRAINT loose FOREIGN KEY (q1) REFERENCES q NOT VALID; COMMENT ON CONSTRAINT loose ON t IS ''not yet''; INSERT INTO t VALUES (1, 1, 1, 1, 1, 1)',
	'ALTER TABLE t ALTER a TYPE bigint, ALTER q1 TYPE bigint, ALTER q2 TYPE bigint, ALTER parent TYPE bigint',
	'INSERT INTO t VALUES (2, NULL, NULL, 2, 2, 1)', 'INSERT INTO t VALUES (3, NULL, NULL, 3, 3, 2)');

-- A dropped column takes its indexes and constraints along
CALL mt.roundtrip('CREATE TABLE q (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE REFERENCES q, b int, CHECK (a > b)); CREATE INDEX i1 ON t (b, a); CREATE INDEX i2 ON t (b) WHERE a > 0; CREATE INDEX i3 ON t (b)',
	'ALTER TABLE t DROP a', 'INSERT INTO t VALUES (1, NULL, 1)', 'INSERT INTO t VALUES (2, 2)');

-- Column properties: storage, compression, statistics, n_distinct, comment, grants; serial sequences follow
CREATE ROLE regress_reader;
CREATE ROLE "regress Writer";
CALL mt.roundtrip('CREATE TABLE t (id serial PRIMARY KEY, a varchar(10), b text); ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER a SET STATISTICS 77, ALTER a SET (n_distinct = -0.5), ALTER b SET COMPRESSION pglz; COMMENT ON COLUMN t.a IS ''kept''; '
	'GRANT SELECT (a, id), UPDATE (a) ON t TO regress_reader; GRANT INSERT (a) ON t TO "regress Writer" WITH GRANT OPTION; GRANT DELETE ON t TO PUBLIC; INSERT INTO t (a) VALUES (''x'')',
	'ALTER TABLE t ALTER a TYPE varchar(20), ALTER id TYPE bigint; ALTER TABLE t RENAME a TO name', 'INSERT INTO t (a) VALUES (''old'')', 'INSERT INTO t (name) VALUES (''new'')');

-- Row security, triggers and policies that do not name the column stay
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, owner name DEFAULT current_user, a int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = current_user); '
	'CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN NEW.owner := upper(NEW.owner); RETURN NEW; END''; CREATE TRIGGER touch BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch()',
	'ALTER TABLE t ALTER a TYPE text', 'INSERT INTO t VALUES (1, ''old'', 1)', 'INSERT INTO t VALUES (2, ''new'', ''2'')');

-- The unique index holds both versions once it is built; a collision of new values is told before anything opens
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a text UNIQUE);
INSERT INTO t VALUES (1, 'a'), (2, 'b');
SELECT mig_start('unique', 'ALTER TABLE t ALTER a TYPE varchar(10) USING upper(a)');
CALL mig_wait('unique');
INSERT INTO t VALUES (3, 'c');
SELECT * FROM mt.try('INSERT INTO app.t VALUES (4, ''C'')');
SELECT * FROM mt.try('INSERT INTO app_unique.t VALUES (4, ''C'')');
SELECT mig_rollback('unique');
INSERT INTO t VALUES (4, 'C');
SELECT mt.remember('app');
SELECT mig_start('unique', 'ALTER TABLE t ALTER a TYPE varchar(10) USING upper(a)');
\set VERBOSITY terse
CALL mig_wait('unique');
\set VERBOSITY default
SELECT phase, paused, waiting_for, mt.mask(error) AS error FROM mig_status('unique');
SELECT mig_rollback('unique');
SELECT * FROM mt.changes('app');

-- A partitioned table's indexes go with the column that it drops
CREATE TABLE parts (a int, b int, c int) PARTITION BY LIST (a);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
CREATE INDEX ON parts (b);
CREATE INDEX ON parts (c);
INSERT INTO parts VALUES (1, 2, 3);
SELECT mig_start('parts', 'ALTER TABLE parts DROP b');
CALL mig_wait('parts');
SELECT * FROM app_parts.parts;
SELECT mig_complete('parts');
SELECT * FROM parts;
SELECT indexname FROM pg_indexes WHERE tablename LIKE 'parts%' ORDER BY 1;
RESET search_path;
SELECT mt.clean('app', 'twin');
DROP ROLE regress_reader, "regress Writer";
