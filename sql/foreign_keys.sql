-- Foreign keys: new ones bind the new version until the fence; those of changed columns are made again, whichever side changes.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

-- A new one: every option ends as the plain ALTER TABLE leaves it; no second column, no row is read in the backfill
CALL mt.roundtrip('CREATE TABLE p (id int PRIMARY KEY, a int, b text, UNIQUE (a, b), UNIQUE (b, a)); CREATE TABLE t (id int PRIMARY KEY, p int, a int, b text, parent bigint); '
	'INSERT INTO p VALUES (1, 1, ''x''), (2, 2, ''y''); INSERT INTO t VALUES (1, 1, 1, ''x'', 1)',
	'ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p, ADD CONSTRAINT "Of Both" FOREIGN KEY (b, a) REFERENCES p (b, a) MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL (a), '
	'ADD FOREIGN KEY (parent) REFERENCES t ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, ADD FOREIGN KEY (p) REFERENCES p ON DELETE RESTRICT ON UPDATE SET DEFAULT NOT VALID',
	'INSERT INTO t VALUES (2, 1, 1, ''x'', 1)', 'INSERT INTO t VALUES (3, 2, NULL, NULL, 4), (4, NULL, 2, ''y'', NULL)');
SELECT step, phase, lock_mode, relation, mt.mask(sql) AS sql, note FROM mig_plan('look', 'ALTER TABLE t ADD CONSTRAINT new FOREIGN KEY (p) REFERENCES p DEFERRABLE', '{"schema": "app"}')
 WHERE phase IN ('backfill', 'ready', 'contract') AND sql !~ 'VIEW';

-- Names as the new version has them: renamed tables and columns, in any order of the operations; a table that the migration makes; other schemas
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.q (id int PRIMARY KEY);
INSERT INTO elsewhere.q VALUES (1), (2);
CALL mt.roundtrip('CREATE TABLE p (id int PRIMARY KEY, k int UNIQUE); CREATE TABLE t (id int PRIMARY KEY, p int, q int); INSERT INTO p VALUES (1, 10), (2, 20); INSERT INTO t VALUES (1, 10, 1)',
	'ALTER TABLE p RENAME TO people; ALTER TABLE people RENAME k TO key; ALTER TABLE t RENAME p TO person; ALTER TABLE t RENAME TO things; '
	'ALTER TABLE things ADD FOREIGN KEY (person) REFERENCES people (key), ADD FOREIGN KEY (q) REFERENCES elsewhere.q; ALTER TABLE people RENAME key TO "the key"; ALTER TABLE things RENAME person TO "the person"',
	'INSERT INTO t VALUES (2, 20, NULL)', 'INSERT INTO things VALUES (3, 20, 2)', old_table => 't', new_table => 'things');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, p int); INSERT INTO t VALUES (1, NULL)',
	'CREATE TABLE p (id int PRIMARY KEY); ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p', 'INSERT INTO t VALUES (2, NULL)', 'INSERT INTO p VALUES (1); INSERT INTO t VALUES (3, 1); UPDATE t SET p = NULL');
-- the table that is made has the name of one that is renamed; a unique key that is added along; a referenced column that changes its type
CALL mt.roundtrip('CREATE TABLE p (id int CONSTRAINT first PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, p int); INSERT INTO t VALUES (1, NULL)',
	'ALTER TABLE p RENAME TO former; CREATE TABLE p (id bigint PRIMARY KEY); ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p', '', 'INSERT INTO p VALUES (7); INSERT INTO t VALUES (3, 7); UPDATE t SET p = NULL');
CALL mt.roundtrip('CREATE TABLE p (id int PRIMARY KEY, k int); CREATE TABLE t (id int PRIMARY KEY, p int, k int); INSERT INTO p VALUES (1, 10); INSERT INTO t VALUES (1, 1, 10)',
	'ALTER TABLE p ADD UNIQUE (k); ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p, ADD FOREIGN KEY (k) REFERENCES p (k); ALTER TABLE p ALTER id TYPE bigint, ALTER k TYPE bigint',
	'INSERT INTO t VALUES (2, 1, 10)', 'INSERT INTO p VALUES (2, 20); INSERT INTO t VALUES (3, 2, 20)');

-- With up and down it stands on the second column, and is there when the version opens
CALL mt.roundtrip('CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (0), (1), (2); CREATE TABLE t (id int PRIMARY KEY, p int); INSERT INTO t VALUES (1, 1), (2, 77)',
	'ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE', 'INSERT INTO t VALUES (3, 78)', 'INSERT INTO t VALUES (4, 2)',
	options => '{"up": {"t.p": "CASE WHEN p IN (1, 2) THEN p ELSE 0 END"}, "down": {"t.p": "p"}}', plain => 'UPDATE t SET p = 0 WHERE p > 2; ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE');

-- Whose writes are held, and when
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE p (id int PRIMARY KEY, a int, b int, UNIQUE (a, b));
INSERT INTO p VALUES (1, 1, 1), (2, 2, 2);
CREATE TABLE t (id int PRIMARY KEY, p int, a int, b int, later int);
INSERT INTO t VALUES (1, 1, 1, 1, 1), (2, NULL, NULL, NULL, NULL);
SELECT mig_start('fk held', 'ALTER TABLE t ADD FOREIGN KEY (p) REFERENCES p, ADD CONSTRAINT "full" FOREIGN KEY (a, b) REFERENCES p (a, b) MATCH FULL, '
	'ADD CONSTRAINT due FOREIGN KEY (later) REFERENCES p DEFERRABLE; ALTER TABLE t RENAME p TO person; ALTER TABLE t RENAME TO things; ALTER TABLE p RENAME TO people');
CALL mig_wait('fk held');
INSERT INTO t VALUES (10, 99, 99, NULL, 99);
UPDATE t SET p = 98 WHERE id = 10;
SELECT * FROM mt.try('INSERT INTO "app_fk held".things VALUES (11, 99)');
DO $$
DECLARE state text; name text; relation text; nsp text;
BEGIN
	INSERT INTO "app_fk held".things VALUES (11, 99);
EXCEPTION WHEN foreign_key_violation THEN
	GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME, relation = TABLE_NAME, nsp = SCHEMA_NAME;
	RAISE INFO '% % %', nsp, relation, name;
END$$;
SELECT * FROM mt.try('INSERT INTO "app_fk held".things VALUES (11, 1, 1, NULL)');
SELECT * FROM mt.try('INSERT INTO "app_fk held".things VALUES (11, 1, 1, 2)');
SELECT * FROM mt.try('UPDATE "app_fk held".things SET person = 5 WHERE id = 1');
SELECT * FROM mt.try('INSERT INTO "app_fk held".things VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET person = 6');
SELECT * FROM mt.try('INSERT INTO "app_fk held".things VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET person = 2');
SELECT * FROM mt.try('WITH x AS (UPDATE "app_fk held".things SET person = 5 WHERE id = 1 RETURNING *) SELECT count(*) FROM x');
SELECT * FROM mt.try('INSERT INTO "app_fk held".things SELECT 100 + i, i FROM generate_series(1, 3) i');
-- what an old client wrote is not looked at until its key changes
SELECT * FROM mt.try('UPDATE "app_fk held".things SET id = 12, person = 98 WHERE id = 10');
SELECT * FROM mt.try('UPDATE "app_fk held".things SET person = 97 WHERE id = 12');
-- the key is there within the statement, or with the end of it; deferrable ones when they are due, by their name
INSERT INTO "app_fk held".things VALUES (20, 2, 2, 2, 2), (21, NULL, NULL, NULL, NULL);
BEGIN;
SET CONSTRAINTS due DEFERRED;
INSERT INTO "app_fk held".things VALUES (22, 1, NULL, NULL, 33);
SAVEPOINT s;
INSERT INTO "app_fk held".things VALUES (23, 1, NULL, NULL, 34);
ROLLBACK TO s;
INSERT INTO t VALUES (23, 1, NULL, NULL, 35);
INSERT INTO p VALUES (33);
COMMIT;
BEGIN;
SET CONSTRAINTS due DEFERRED;
INSERT INTO "app_fk held".things VALUES (24, 1, NULL, NULL, 44);
UPDATE t SET a = 7 WHERE id = 24;
SET CONSTRAINTS due IMMEDIATE;
ROLLBACK;
BEGIN;
SET CONSTRAINTS due DEFERRED;
INSERT INTO "app_fk held".things VALUES (24, 1, NULL, NULL, 44);
UPDATE t SET later = 45 WHERE id = 24;
COMMIT;
DELETE FROM t WHERE id = 24;
SELECT * FROM t ORDER BY id;
-- the fence finds what old clients left, names the rows, and comes down
SELECT mig_complete('fk held');
DO $$ BEGIN FOR i IN 1..500 LOOP PERFORM pg_sleep(0.02); EXIT WHEN (SELECT error IS NOT NULL AND phase = 'ready' FROM mig_status('fk held')); END LOOP; END$$;
SELECT phase, error FROM mig_status('fk held');
INSERT INTO t VALUES (30, 99);
DELETE FROM t WHERE p > 90 OR later = 35 OR a = 99;
SELECT mig_complete('fk held');
CALL mig_wait('fk held', 'completed');
SELECT * FROM mt.try('INSERT INTO app.things VALUES (11, 99)');
SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE conrelid = 'things'::regclass AND contype IN ('f', 't') ORDER BY 1;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'things'::regclass AND NOT tgisinternal;

-- It looks the key up with the rights of the referenced table's owner, and says no more of it than the writer may see
SELECT mt.clean('app', 'twin');
CREATE ROLE regress_owner;
CREATE ROLE regress_clerk;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO regress_owner, regress_clerk;
CREATE TABLE app.secret (id int PRIMARY KEY, who name DEFAULT 'nobody');
ALTER TABLE app.secret OWNER TO regress_owner;
ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.secret FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON app.secret USING (who = current_user);
CREATE TABLE app.t (id int PRIMARY KEY, s int);
GRANT INSERT ON app.t TO regress_clerk;
INSERT INTO app.secret VALUES (1);
SELECT mig_start('rights', 'ALTER TABLE t ADD FOREIGN KEY (s) REFERENCES secret', '{"schema": "app"}');
CALL mig_wait('rights');
SET ROLE regress_clerk;
SELECT * FROM mt.try('INSERT INTO app_rights.t VALUES (1, 1)');
SELECT * FROM mt.try('INSERT INTO app_rights.t VALUES (2, 2)');
CREATE TEMP TABLE own (i int);
SELECT * FROM mt.try('CREATE CONSTRAINT TRIGGER x AFTER INSERT ON own FROM app.secret FOR EACH ROW EXECUTE FUNCTION mig.refers(''1'')');
DROP TABLE own;
RESET ROLE;
SELECT mig_rollback('rights');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'app.t'::regclass;

-- Refused as ALTER TABLE refuses it
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE p (id int PRIMARY KEY, u int UNIQUE DEFERRABLE, k int UNIQUE, w int, part int, d date UNIQUE);
CREATE UNIQUE INDEX ON p (part) WHERE part > 0;
CREATE TABLE nokey (id int);
CREATE TABLE t (id int PRIMARY KEY, a int, b int, g int GENERATED ALWAYS AS (a) STORED, CONSTRAINT taken CHECK (a > 0));
CREATE VIEW v AS SELECT * FROM p;
CREATE UNLOGGED TABLE u (id int PRIMARY KEY);
SELECT s, r.outcome FROM unnest(ARRAY['(a) REFERENCES missing', '(a) REFERENCES nowhere.p', '(x) REFERENCES p', '(a) REFERENCES p (x)', '(a, b) REFERENCES p', '(a) REFERENCES p (w)', '(a) REFERENCES p (u)',
	'(a) REFERENCES p (part)', '(a) REFERENCES p (d)', '(a) REFERENCES nokey', '(a) REFERENCES v', '(a) REFERENCES u', '(a) REFERENCES p ON DELETE SET NULL (b)', '(g) REFERENCES p ON DELETE SET NULL']) s,
	mt.refused('ALTER TABLE t ADD FOREIGN KEY ' || s) r;
SELECT * FROM mt.refused('ALTER TABLE t ADD CONSTRAINT taken FOREIGN KEY (a) REFERENCES p');
SELECT * FROM mt.refused('ALTER TABLE t ADD CONSTRAINT twice FOREIGN KEY (a) REFERENCES p, ADD CONSTRAINT twice FOREIGN KEY (b) REFERENCES p');
SELECT * FROM mt.refused('ALTER TABLE p RENAME TO other; ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p');
SELECT * FROM mt.refused('DROP TABLE p; ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p');
SELECT * FROM mt.refused('ALTER TABLE p DROP CONSTRAINT p_pkey; ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p (id)');
SELECT * FROM mt.refused('ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p (k); ALTER TABLE p DROP k');
SET ROLE regress_clerk;
SELECT * FROM mt.refused('ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p', '{"schema": "app"}');
RESET ROLE;
ALTER TABLE t OWNER TO regress_clerk;
GRANT USAGE, CREATE ON SCHEMA app TO regress_clerk;
SET ROLE regress_clerk;
SELECT * FROM mt.refused('ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p', '{"schema": "app"}');
RESET ROLE;
-- dropped or renamed again in the same migration; a name that is dropped and taken anew
SELECT * FROM mt.refused('ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES p; ALTER TABLE t DROP CONSTRAINT t_b_fkey; ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES p; ALTER TABLE t DROP b');
RESET search_path;
CALL mt.roundtrip('CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1); CREATE TABLE t (id int PRIMARY KEY, a int REFERENCES p, b int); INSERT INTO t VALUES (1, 1, 1)',
	'ALTER TABLE t DROP CONSTRAINT t_a_fkey, ADD FOREIGN KEY (a) REFERENCES p ON DELETE CASCADE, ADD CONSTRAINT x FOREIGN KEY (b) REFERENCES p; ALTER TABLE t RENAME CONSTRAINT x TO y',
	'INSERT INTO t VALUES (2, 1)', 'INSERT INTO t VALUES (3, 1, 1)');

-- The referenced key changes: with the tables that refer to it, without them, and only they; itself; composite keys keep their pairing
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, name text, parent int CONSTRAINT up REFERENCES t ON DELETE CASCADE DEFERRABLE); INSERT INTO t VALUES (1, ''a'', NULL), (2, ''b'', 1); '
	'CREATE TABLE r1 (t int REFERENCES t ON UPDATE CASCADE); CREATE TABLE r2 (id int PRIMARY KEY, t int NOT NULL REFERENCES t ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, other int REFERENCES t (id) ON DELETE SET NULL); '
	'CREATE TABLE "R 3" ("T" int CONSTRAINT "To T" REFERENCES t ON DELETE RESTRICT); COMMENT ON CONSTRAINT "To T" ON "R 3" IS ''to t''; CREATE TABLE r4 (t int); INSERT INTO r4 VALUES (77); ALTER TABLE r4 ADD CONSTRAINT loose FOREIGN KEY (t) REFERENCES t NOT VALID; '
	'INSERT INTO r1 VALUES (1); INSERT INTO r2 VALUES (1, 1, 2); INSERT INTO "R 3" VALUES (1)',
	'ALTER TABLE t ALTER id TYPE bigint, ALTER parent TYPE bigint; ALTER TABLE r1 ALTER t TYPE bigint; ALTER TABLE r2 ALTER t TYPE bigint', 'INSERT INTO t VALUES (3, ''c'', 1); INSERT INTO r1 VALUES (3)', 'INSERT INTO t VALUES (4, ''d'', 3); INSERT INTO r1 VALUES (4)');
CALL mt.roundtrip('CREATE TABLE t (a int, b int, c int, PRIMARY KEY (a, b), UNIQUE (b, c)); CREATE TABLE r (x int, y int, z int, FOREIGN KEY (y, x) REFERENCES t (b, a) ON DELETE SET NULL (x), FOREIGN KEY (z, y) REFERENCES t (c, b)); INSERT INTO t VALUES (1, 2, 3); INSERT INTO r VALUES (1, 2, 3)',
	'ALTER TABLE t ALTER b TYPE bigint; ALTER TABLE t RENAME a TO aa', 'INSERT INTO t VALUES (4, 5, 6)', 'INSERT INTO t VALUES (7, 8, 9)');
CALL mt.roundtrip('CREATE TABLE t (a int, b int, c int, PRIMARY KEY (a, b)); CREATE TABLE r (x int, y int, FOREIGN KEY (y, x) REFERENCES t (b, a) ON DELETE SET NULL (x)); INSERT INTO t VALUES (1, 2, 3); INSERT INTO r VALUES (1, 2)',
	'ALTER TABLE r ALTER x TYPE bigint; ALTER TABLE r RENAME CONSTRAINT r_y_x_fkey TO "re named"; ALTER TABLE r RENAME TO s', 'INSERT INTO r VALUES (1, NULL)', 'INSERT INTO s VALUES (5, NULL)', old_table => 'r', new_table => 's');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE r (t int REFERENCES t); INSERT INTO t VALUES (1); INSERT INTO r VALUES (1)',
	'ALTER TABLE t ALTER id TYPE bigint; ALTER TABLE t RENAME TO u; ALTER TABLE r RENAME CONSTRAINT r_t_fkey TO "re named"', 'INSERT INTO t VALUES (2)', 'INSERT INTO u VALUES (3)', old_table => 't', new_table => 'u');
-- a table of another schema refers to it; its foreign key is dropped along; the types no longer go together
DROP TABLE elsewhere.q;
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY);
CREATE TABLE elsewhere.q (id int REFERENCES t);
CREATE TABLE r (t int REFERENCES t);
INSERT INTO t VALUES (1);
SELECT * FROM mt.refused('ALTER TABLE t ALTER id TYPE text');
SELECT mig_start('far', 'ALTER TABLE t ALTER id TYPE bigint; ALTER TABLE r DROP CONSTRAINT r_t_fkey');
CALL mig_wait('far');
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace IN ('app'::regnamespace, 'elsewhere'::regnamespace) ORDER BY 1, 2;
SELECT * FROM mt.try('INSERT INTO elsewhere.q VALUES (2)');
SELECT mig_complete('far');
CALL mig_wait('far', 'completed');
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace IN ('app'::regnamespace, 'elsewhere'::regnamespace) ORDER BY 1, 2;

-- While both foreign keys are there, their actions act once, through either version
SELECT mt.clean('app', 'twin');
DROP SCHEMA elsewhere CASCADE;
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY);
CREATE TABLE c (n int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE s (n int PRIMARY KEY, t int DEFAULT 1 REFERENCES t ON DELETE SET NULL ON UPDATE SET DEFAULT);
CREATE TABLE k (n int PRIMARY KEY, t int REFERENCES t ON DELETE RESTRICT);
CREATE TABLE log (what text);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.log VALUES (TG_TABLE_NAME || ' ' || TG_OP || ' ' || coalesce(OLD.n::text, '')); RETURN NULL; END$$;
CREATE TRIGGER log AFTER UPDATE OR DELETE ON c FOR EACH ROW EXECUTE FUNCTION log();
CREATE TRIGGER log AFTER UPDATE OR DELETE ON s FOR EACH ROW EXECUTE FUNCTION log();
INSERT INTO t SELECT generate_series(1, 9);
INSERT INTO c SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO s SELECT i, i FROM generate_series(1, 8) i;
INSERT INTO k VALUES (1, 9);
SELECT mig_start('acts', 'ALTER TABLE t ALTER id TYPE bigint USING id * 10; ALTER TABLE c ALTER t TYPE bigint USING t * 10; ALTER TABLE s ALTER t TYPE bigint USING t * 10; ALTER TABLE k ALTER t TYPE bigint USING t * 10',
	'{"down": {"t.id": "id / 10", "c.t": "t / 10", "s.t": "t / 10", "k.t": "t / 10"}}');
CALL mig_wait('acts');
DELETE FROM t WHERE id = 2;
DELETE FROM app_acts.t WHERE id = 30;
UPDATE t SET id = 14 WHERE id = 4;
UPDATE app_acts.t SET id = 150 WHERE id = 50;
SELECT * FROM mt.try('DELETE FROM app.t WHERE id = 9');
SELECT * FROM mt.try('DELETE FROM app_acts.t WHERE id = 90');
SELECT * FROM mt.try('INSERT INTO app.c VALUES (20, 44)');
SELECT * FROM mt.try('INSERT INTO app_acts.c VALUES (20, 440)');
SELECT what, count(*) FROM log GROUP BY 1 ORDER BY 1;
SELECT n, c.t, s.t FROM c FULL JOIN s USING (n) ORDER BY n;
SELECT n, c.t, s.t FROM app_acts.c FULL JOIN app_acts.s USING (n) ORDER BY n;
SELECT relation, checked, divergent FROM mig_validate('acts');
SELECT mig_rollback('acts');
SELECT conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'app'::regnamespace ORDER BY 1;

-- Orphans of a foreign key that is made again stop the migration before it opens
ALTER TABLE c DISABLE TRIGGER ALL;
INSERT INTO c VALUES (30, 55);
ALTER TABLE c ENABLE TRIGGER ALL;
SELECT mig_start('orphan', 'ALTER TABLE c ALTER t TYPE bigint');
\set VERBOSITY terse
CALL mig_wait('orphan');
\set VERBOSITY default
SELECT phase, paused, error FROM mig_status('orphan');
DELETE FROM c WHERE n = 30;
SELECT mig_resume('orphan');
CALL mig_wait('orphan');
SELECT mig_rollback('orphan');

-- Tables that refer to one another are dropped together
RESET search_path;
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a, t int REFERENCES t); ALTER TABLE a ADD b int; CREATE TABLE e (id int, a int REFERENCES a, b int REFERENCES a); INSERT INTO t VALUES (1)',
	'DROP TABLE a; DROP TABLE b; ALTER TABLE e DROP COLUMN a, DROP CONSTRAINT e_b_fkey', 'INSERT INTO t VALUES (2)', 'INSERT INTO t VALUES (3)', plain => 'DROP TABLE a CASCADE; DROP TABLE b; ALTER TABLE e DROP COLUMN a');
SELECT * FROM mt.refused('DROP TABLE t', '{"schema": "twin"}');
SELECT mt.clean('app', 'twin');
DROP ROLE regress_owner, regress_clerk;
