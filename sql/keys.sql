-- Indexes, keys and replica identity: forwards, back, forwards again; in the end the catalogs are as after the plain statements.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

-- CREATE INDEX: names, expressions, predicates, every option
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text, b int, c int[], "Mixed Case" text); INSERT INTO t VALUES (1, ''x'', 1, ''{1}'', ''m'')',
	'CREATE INDEX ON t (a); CREATE INDEX ON t (a); CREATE INDEX ON t (lower(a), upper(a), lower(a), (b + 1), b) INCLUDE (id); CREATE INDEX ON t ("Mixed Case"); '
	'CREATE INDEX i1 ON t (a COLLATE "C" text_pattern_ops DESC NULLS LAST, b ASC NULLS FIRST); CREATE INDEX "I 2" ON t USING hash (a) WITH (fillfactor = 70); '
	'CREATE INDEX i3 ON t USING gin (c) WITH (fastupdate = off); CREATE INDEX i4 ON t USING brin (b int4_minmax_multi_ops (values_per_range = 16), id) WITH (pages_per_range = 8, autosummarize); '
	'CREATE UNIQUE INDEX i5 ON t (b) NULLS NOT DISTINCT WHERE a <> '''' AND b > 0; CREATE INDEX IF NOT EXISTS i1 ON t (id); CREATE INDEX i6 ON t (id) TABLESPACE pg_default',
	'INSERT INTO t VALUES (2, ''y'', 2)', 'INSERT INTO t VALUES (3, ''z'', 3)');

-- … over columns that the same migration changes, adds, renames and drops; a table that it renames
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text, b int, c int); INSERT INTO t VALUES (1, ''x'', 1, 1)',
	'CREATE INDEX i1 ON t (b, lower(a)) INCLUDE (c) WHERE b > 0; ALTER TABLE t ALTER b TYPE bigint; ALTER TABLE t RENAME a TO name; ALTER TABLE t ADD d int DEFAULT 7; '
	'CREATE INDEX i2 ON t (d, b); CREATE INDEX i3 ON t (c); CREATE INDEX i4 ON t (b) WHERE c > 0; CREATE INDEX i5 ON t ((c + 1)); ALTER TABLE t DROP c; ALTER TABLE t RENAME TO "T u"; CREATE INDEX ON "T u" (lower(name))',
	'INSERT INTO t VALUES (2, ''y'', 2, 2)', 'INSERT INTO "T u" VALUES (3, ''z'', 3)',
	plain => 'CREATE INDEX i1 ON t (b, lower(a)) WHERE b > 0; DROP INDEX i1; ALTER TABLE t ALTER b TYPE bigint; ALTER TABLE t RENAME a TO name; ALTER TABLE t ADD d int DEFAULT 7; '
	'CREATE INDEX i2 ON t (d, b); ALTER TABLE t DROP c; ALTER TABLE t RENAME TO "T u"; CREATE INDEX ON "T u" (lower(name))', new_table => 'T u');

-- Keys: unique and primary, named and not, with every option; their columns become NOT NULL
CALL mt.roundtrip('CREATE TABLE t (a int, b int, c text, d int); INSERT INTO t VALUES (1, 1, ''x'', 1)',
	'ALTER TABLE t ADD UNIQUE (a), ADD UNIQUE (a, b) INCLUDE (c, d) WITH (fillfactor = 80), ADD CONSTRAINT "The Key" UNIQUE NULLS NOT DISTINCT (c), '
	'ADD UNIQUE (b) DEFERRABLE INITIALLY DEFERRED, ADD CONSTRAINT pk PRIMARY KEY (a, b) INCLUDE (d), ADD CONSTRAINT late UNIQUE (d) DEFERRABLE, ADD UNIQUE (a)',
	'INSERT INTO t VALUES (2, 2, ''y'', 2)', 'INSERT INTO t VALUES (3, 3, ''z'', 3)');
CALL mt.roundtrip('CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 1)', 'ALTER TABLE t ADD PRIMARY KEY (b) DEFERRABLE', 'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, 3)');

-- A primary key for another, by the same name; unique on a column whose type changes; new keys renamed, dropped, and one for an index that is there
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, b int NOT NULL); CREATE UNIQUE INDEX ux ON t (b); INSERT INTO t VALUES (1, 1, 1)',
	'ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a, id)', 'INSERT INTO t VALUES (2, 2, 2)', 'INSERT INTO t VALUES (3, 3, 3)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, b int NOT NULL); CREATE UNIQUE INDEX ux ON t (b); CREATE UNIQUE INDEX uy ON t (a); INSERT INTO t VALUES (1, 1, 1)',
	'ALTER TABLE t ADD CONSTRAINT u UNIQUE (a), ALTER a TYPE bigint; ALTER TABLE t ADD CONSTRAINT gone UNIQUE (b); ALTER TABLE t DROP CONSTRAINT gone; ALTER TABLE t RENAME CONSTRAINT u TO "U u"; '
	'ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY USING INDEX ux; ALTER TABLE t ADD CONSTRAINT "Y y" UNIQUE USING INDEX uy DEFERRABLE',
	'INSERT INTO t VALUES (2, 2, 2)', 'INSERT INTO t VALUES (3, 3, 3)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1)',
	'CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX i', 'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, 3)');

-- DROP and RENAME INDEX: created and dropped, dropped and created again, two that swap their names
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, b int); CREATE INDEX i1 ON t (a); CREATE INDEX i2 ON t (b); CREATE INDEX i3 ON t (a, b); CREATE INDEX i4 ON t (b, a); INSERT INTO t VALUES (1, 1, 1)',
	'DROP INDEX i1; CREATE INDEX i1 ON t (b DESC); CREATE INDEX gone ON t (a); DROP INDEX gone; DROP INDEX IF EXISTS gone, i2; '
	'ALTER INDEX i3 RENAME TO x; ALTER INDEX i4 RENAME TO i3; ALTER INDEX x RENAME TO i4; CREATE INDEX new ON t (id, b); ALTER INDEX new RENAME TO "New"; ALTER INDEX t_pkey RENAME TO "The Key"; CREATE INDEX i2 ON t (a)',
	'INSERT INTO t VALUES (2, 2, 2)', 'INSERT INTO t VALUES (3, 3, 3)');
-- … of changed columns: the copy has the new name, or there is none
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, b int UNIQUE); CREATE INDEX i1 ON t (a); CREATE INDEX i2 ON t (b); INSERT INTO t VALUES (1, 1, 1)',
	'ALTER TABLE t ALTER a TYPE bigint, ALTER b TYPE bigint; ALTER INDEX i1 RENAME TO j1; DROP INDEX i2; CREATE INDEX i1 ON t (b, a); ALTER INDEX t_b_key RENAME TO uq',
	'INSERT INTO t VALUES (2, 2, 2)', 'INSERT INTO t VALUES (3, 3, 3)');

-- DROP CONSTRAINT of every kind; both versions are held to it until the end
CALL mt.roundtrip('CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1), (2), (3); '
	'CREATE TABLE t (id int CONSTRAINT pk PRIMARY KEY, a int CONSTRAINT uq UNIQUE, b int CONSTRAINT fk REFERENCES p, c int4range, CONSTRAINT ck CHECK (a > 0), CONSTRAINT ex EXCLUDE USING gist (c WITH &&)); INSERT INTO t VALUES (1, 1, 1)',
	'ALTER TABLE t DROP CONSTRAINT pk, DROP CONSTRAINT uq, DROP CONSTRAINT fk, DROP CONSTRAINT ck, DROP CONSTRAINT ex, DROP CONSTRAINT IF EXISTS nothing',
	'INSERT INTO t VALUES (2, 2, 2)', 'INSERT INTO t VALUES (3, 3, 3)');
-- … of columns that change: the new ones come without it at once
CALL mt.roundtrip('CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1), (2), (3); '
	'CREATE TABLE t (id int PRIMARY KEY, a int CONSTRAINT uq UNIQUE, b int CONSTRAINT fk REFERENCES p, c int4range, CONSTRAINT uq2 UNIQUE (a, b), CONSTRAINT ex EXCLUDE USING gist (c WITH &&)); INSERT INTO t VALUES (1, 1, 1, ''[1,2)'')',
	'ALTER TABLE t DROP CONSTRAINT uq, DROP CONSTRAINT fk, DROP CONSTRAINT ex, DROP CONSTRAINT uq2, ALTER a TYPE bigint, ALTER b TYPE bigint, ALTER c TYPE int4range',
	'INSERT INTO t VALUES (2, 2, 2)', 'INSERT INTO t VALUES (3, 3, 3)');
-- A key and the foreign keys that refer to it, in whatever order; a table and a column that refer to it go as well
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, up int CONSTRAINT self REFERENCES t); CREATE TABLE c1 (t int CONSTRAINT fk REFERENCES t); CREATE TABLE c2 (t int REFERENCES t, x int); CREATE TABLE c3 (t int REFERENCES t (a)); INSERT INTO t VALUES (1, 1, 1)',
	'ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t DROP CONSTRAINT t_a_key; ALTER TABLE t DROP CONSTRAINT self; ALTER TABLE c1 DROP CONSTRAINT fk; ALTER TABLE c2 DROP t; ALTER TABLE c3 DROP CONSTRAINT c3_t_fkey',
	'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, 3)',
	plain => 'ALTER TABLE t DROP CONSTRAINT self; ALTER TABLE c1 DROP CONSTRAINT fk; ALTER TABLE c2 DROP t; ALTER TABLE c3 DROP CONSTRAINT c3_t_fkey; ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t DROP CONSTRAINT t_a_key');

-- Replica identity: from every kind to every kind; of an index that is new, that changes, whose columns become NOT NULL
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL); CREATE UNIQUE INDEX i ON t (a)', 'ALTER TABLE t REPLICA IDENTITY FULL');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL); CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX i', 'ALTER TABLE t REPLICA IDENTITY NOTHING; ALTER TABLE t ALTER a TYPE bigint');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL); CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t REPLICA IDENTITY FULL', 'ALTER TABLE t REPLICA IDENTITY DEFAULT');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL); CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t REPLICA IDENTITY NOTHING', 'ALTER TABLE t REPLICA IDENTITY USING INDEX i; ALTER INDEX i RENAME TO j');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL); CREATE UNIQUE INDEX i ON t (a)', 'ALTER TABLE t REPLICA IDENTITY USING INDEX i; ALTER TABLE t ALTER a TYPE bigint; ALTER INDEX i RENAME TO j');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); CREATE UNIQUE INDEX i ON t (a)', 'ALTER TABLE t ALTER a SET NOT NULL; ALTER TABLE t REPLICA IDENTITY USING INDEX i');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL)', 'CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX i; ALTER INDEX i RENAME TO "I i"');

-- Manifests: keys whose up and down change data, a key dropped with a down (the new version may repeat values at once), index, replica identity
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, ''x'', ''x''), (2, ''x'', ''x'')',
	'{"operations": [{"alter_column": {"table": "t", "column": "a", "up": "a || id", "down": "left(a, 1)", "unique": {"name": "once"}}}, '
	'{"create_constraint": {"table": "t", "name": "both", "type": "unique", "columns": ["a", "b"], "up": {"a": "a", "b": "upper(b)"}, "down": {"a": "a", "b": "lower(b)"}}}, '
	'{"create_index": {"table": "t", "name": "Idx", "columns": [{"column": "b", "sort": "DESC", "nulls": "LAST", "opclass": {"name": "text_pattern_ops"}}], "predicate": "a <> '''' -- all"}}]}',
	'INSERT INTO t VALUES (3, ''x'', ''y'')', 'INSERT INTO t VALUES (4, ''z4'', ''Z'')',
	plain => 'UPDATE t SET a = a || id, b = upper(b); ALTER TABLE t ADD CONSTRAINT once UNIQUE (a), ADD CONSTRAINT "both" UNIQUE (a, b); CREATE INDEX "Idx" ON t (b text_pattern_ops DESC NULLS LAST) WHERE a <> ''''');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text CONSTRAINT uq UNIQUE, b text NOT NULL); CREATE UNIQUE INDEX i ON t (b); INSERT INTO t VALUES (1, ''x'', ''y'')',
	'{"operations": [{"drop_constraint": {"table": "t", "name": "uq", "up": "a", "down": "a || id"}}, {"set_replica_identity": {"table": "t", "identity": {"type": "index", "index": "i"}}}]}',
	'INSERT INTO t VALUES (2, ''y'', ''z'')', 'INSERT INTO t VALUES (3, ''x'', ''a''), (4, ''x'', ''b'')', plain => 'ALTER TABLE t DROP CONSTRAINT uq, REPLICA IDENTITY USING INDEX i');

-- A partitioned table, of several levels, with columns in another order: built partition by partition, and attached
CALL mt.roundtrip('CREATE TABLE t (id int, a text, b int) PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); CREATE TABLE t2 (b int, id int NOT NULL, a text); '
	'ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (10) TO (20); CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (20) TO (40) PARTITION BY LIST (b); CREATE TABLE "T 4" PARTITION OF t3 FOR VALUES IN (1); '
	'CREATE INDEX old ON t (b); CREATE INDEX older ON t (a); INSERT INTO t VALUES (1, ''x'', 1), (11, ''y'', 2), (21, ''z'', 1)',
	'CREATE INDEX ON t (lower(a), b) WHERE b > 0; CREATE UNIQUE INDEX u ON t (id, b); CREATE INDEX ON t (b); CREATE INDEX ON t (b); DROP INDEX old; ALTER INDEX older RENAME TO "Older"; '
	'ALTER TABLE t RENAME a TO "A a"; ALTER TABLE t RENAME TO "T u"; ALTER TABLE "T u" ALTER b SET DEFAULT 7; COMMENT ON TABLE "T u" IS ''parts''; CREATE INDEX old ON "T u" ("A a" text_pattern_ops)',
	'INSERT INTO t VALUES (2, ''x'', 1)', 'INSERT INTO "T u" VALUES (3, ''y'', 2)', new_table => 'T u');

-- No data column, no rewrite; what the plan says
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a int, b int CONSTRAINT bu UNIQUE);
INSERT INTO t SELECT g, g / 2, g FROM generate_series(1, 6) g;
SELECT phase, lock_mode, mt.mask(sql) AS sql, note FROM mig_plan('x', 'ALTER TABLE t ADD UNIQUE (a), DROP CONSTRAINT bu; CREATE INDEX i ON t (a); DROP INDEX i; CREATE UNIQUE INDEX bu ON t (b)') WHERE phase = 'backfill';
SELECT note FROM mig_plan('x', 'ALTER TABLE t DROP CONSTRAINT bu; CREATE INDEX ON t (a); DROP INDEX CONCURRENTLY t_a_idx; CREATE UNIQUE INDEX CONCURRENTLY ON t (lower(a::text))') WHERE note IS NOT NULL;

-- Duplicates are told in the migration's own names, and can be corrected
SELECT relfilenode AS before FROM pg_class WHERE oid = 't'::regclass \gset
SELECT mig_start('uq', 'ALTER TABLE t ADD CONSTRAINT once UNIQUE (a); ALTER TABLE t RENAME a TO "A a"; ALTER TABLE t ALTER "A a" TYPE bigint');
\set VERBOSITY terse
CALL mig_wait('uq');
SELECT phase, paused, waiting_for, error FROM mig_status('uq');
UPDATE t SET a = id;
SELECT mig_resume('uq');
CALL mig_wait('uq');
INSERT INTO t VALUES (7, 1);
INSERT INTO app_uq.t VALUES (7, 1);
\set VERBOSITY default
SELECT mig_rollback('uq');
SELECT mig_start('uq', 'ALTER TABLE t ADD CONSTRAINT once UNIQUE (a)');
CALL mig_wait('uq');
SELECT mig_complete('uq');
CALL mig_wait('uq', until => 'completed');
SELECT relfilenode = :before AS not_rewritten FROM pg_class WHERE oid = 't'::regclass;

-- An index that was cut short is dropped by the rollback, and built again by a resume
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
CREATE TABLE t (id int PRIMARY KEY, a int, b int);
INSERT INTO t SELECT g, 1, g FROM generate_series(1, 6) g;
SELECT mt.remember('app');
SELECT mig_start('cut', 'CREATE UNIQUE INDEX i ON t (a)');
\set VERBOSITY terse
CALL mig_wait('cut');
CALL mt.wait_for('SELECT to_regclass(''i'') IS NULL');
\set VERBOSITY default
SET mig_control.guard = off;
CREATE UNIQUE INDEX CONCURRENTLY i ON t (a);
RESET mig_control.guard;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass;
SELECT mig_rollback('cut');
SELECT * FROM mt.changes('app');
-- One that was built, but whose mark a crash has lost, goes with it as well
SELECT mig_start('unmarked', 'CREATE INDEX i ON t (a)');
CALL mig_wait('unmarked');
SELECT mig_pause('unmarked');
UPDATE mig.step SET done_at = NULL WHERE sql ~ ' i ON ';
SELECT mig_rollback('unmarked');
SELECT * FROM mt.changes('app');

-- Refusals
CREATE TABLE r (t int REFERENCES t);
CREATE UNIQUE INDEX u ON t (b);
CREATE TABLE r2 (b int REFERENCES t (b));
CREATE INDEX plain ON t (a);
CREATE TABLE parts (id int, a int) PARTITION BY RANGE (id);
SELECT mt.remember('app');
SELECT d, o FROM unnest(ARRAY['CREATE INDEX plain ON t (b)', 'CREATE INDEX t ON t (b)', 'CREATE INDEX x ON t (nothing)', 'CREATE INDEX x ON t ((nothing + 1))', 'CREATE INDEX x ON nothing (a)',
	'CREATE INDEX x ON t (a) WHERE nothing > 0', 'CREATE INDEX x ON t (a) WHERE a', 'CREATE INDEX x ON t ((now()))', 'CREATE INDEX x ON t (a) WHERE now() > ''2000-01-01''', 'CREATE INDEX x ON t USING nothing (a)',
	'CREATE UNIQUE INDEX x ON t USING hash (a)', 'CREATE INDEX x ON t USING hash (a, b)', 'CREATE INDEX x ON t USING gin (a)', 'CREATE INDEX x ON t (a text_ops)', 'CREATE INDEX x ON t (a) WITH (nothing = 1)',
	'CREATE INDEX x ON t (a) WITH (fillfactor = 1)', 'CREATE INDEX x ON t (a) TABLESPACE nothing', 'CREATE INDEX x ON t (a) INCLUDE ((b + 1))', 'CREATE INDEX x ON t (((SELECT 1) + a))', 'CREATE INDEX x ON t (sum(a))', 'CREATE INDEX x ON t (a COLLATE "C")',
	'CREATE INDEX x ON ONLY t (a)', 'CREATE INDEX ' || repeat('x', 64) || ' ON t (a)', 'CREATE INDEX x ON t (a); CREATE INDEX x ON t (b)', 'ALTER TABLE t DROP a; CREATE INDEX ON t (a)', 'CREATE TABLE n (a int); CREATE INDEX n ON t (a)',
	'DROP INDEX nothing', 'DROP INDEX plain; DROP INDEX plain', 'DROP INDEX t_pkey', 'DROP INDEX u', 'DROP INDEX plain CASCADE', 'DROP INDEX pg_catalog.pg_class_oid_index', 'ALTER TABLE t ADD CONSTRAINT k UNIQUE (a); DROP INDEX k',
	'ALTER INDEX nothing RENAME TO x', 'ALTER INDEX plain RENAME TO u', 'ALTER INDEX plain RENAME TO t', 'ALTER INDEX plain RENAME TO ' || repeat('x', 64),
	'ALTER TABLE t ADD UNIQUE (nothing)', 'ALTER TABLE t ADD UNIQUE (a, a)', 'ALTER TABLE t ADD CONSTRAINT t_pkey UNIQUE (a)', 'ALTER TABLE t ADD CONSTRAINT plain UNIQUE (a)', 'ALTER TABLE t ADD PRIMARY KEY (a)',
	'ALTER TABLE t ADD UNIQUE USING INDEX nothing', 'ALTER TABLE t ADD UNIQUE USING INDEX plain', 'ALTER TABLE t ADD UNIQUE USING INDEX t_pkey', 'ALTER TABLE t ADD x int, ADD PRIMARY KEY (x)', 'ALTER TABLE r ADD x int, ADD PRIMARY KEY (x)', 'ALTER TABLE t DROP CONSTRAINT nothing', 'ALTER TABLE t DROP CONSTRAINT t_pkey',
	'ALTER TABLE t RENAME CONSTRAINT t_pkey TO plain', 'ALTER TABLE t REPLICA IDENTITY USING INDEX nothing', 'ALTER TABLE t REPLICA IDENTITY USING INDEX plain',
	'ALTER TABLE parts ALTER a TYPE bigint', 'ALTER TABLE parts ADD b int', 'ALTER TABLE parts ADD CHECK (a > 0)', 'ALTER TABLE parts ALTER a SET NOT NULL', 'ALTER TABLE parts ADD PRIMARY KEY (id)', 'ALTER TABLE parts DROP id', 'CREATE UNIQUE INDEX ON parts (a)']) WITH ORDINALITY x(d, n), mt.refused(d) o ORDER BY n;
SELECT * FROM mt.changes('app');
RESET search_path;
SELECT mt.clean('app', 'twin');
