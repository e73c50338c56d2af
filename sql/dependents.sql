-- What uses a changed column follows it: views, policies, triggers, statistics, publications, functions.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
CREATE ROLE dependents_reader;
CREATE ROLE dependents_owner;

-- Views, and views on these, with all that they have; the column and the table are renamed, too
CALL mt.roundtrip($$CREATE TABLE t (id int PRIMARY KEY, a varchar(10), b int);
	CREATE VIEW v WITH (security_barrier) AS SELECT id, upper(a) AS "Upper", a FROM t WHERE a <> 'x' WITH LOCAL CHECK OPTION;
	CREATE VIEW "V on V" (one, two) AS SELECT v.a, count(*) FROM v JOIN t USING (id) GROUP BY v.a HAVING max(t.a) IS NOT NULL;
	CREATE VIEW all_v AS SELECT * FROM "V on V" UNION ALL SELECT a, 1 FROM t;
	CREATE OR REPLACE VIEW v WITH (security_barrier) AS SELECT id, upper(a) AS "Upper", a, 1 AS more FROM t WHERE a <> 'x' WITH LOCAL CHECK OPTION;
	CREATE VIEW plain AS SELECT id, b FROM t;
	ALTER VIEW v ALTER a SET DEFAULT 'none';
	COMMENT ON VIEW v IS 'a view'; COMMENT ON COLUMN v."Upper" IS 'upper case';
	GRANT SELECT ON v TO PUBLIC; GRANT ALL ON v TO dependents_reader WITH GRANT OPTION; REVOKE DELETE ON v FROM CURRENT_USER; GRANT UPDATE (one) ON all_v TO dependents_reader;
	ALTER VIEW all_v OWNER TO dependents_owner; INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2)$$,
	'ALTER TABLE t ALTER a TYPE varchar(20); ALTER TABLE t RENAME a TO "select"; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME TO "T 2"',
	$$INSERT INTO v (id) VALUES (3)$$, $$INSERT INTO "T 2" VALUES (4, 'new')$$, '{}',
	$$DROP VIEW all_v, "V on V", v; ALTER TABLE t ALTER a TYPE varchar(20);
	CREATE VIEW v WITH (security_barrier) AS SELECT id, upper(a) AS "Upper", a, 1 AS more FROM t WHERE a <> 'x' WITH LOCAL CHECK OPTION;
	CREATE VIEW "V on V" (one, two) AS SELECT v.a, count(*) FROM v JOIN t USING (id) GROUP BY v.a HAVING max(t.a) IS NOT NULL;
	CREATE VIEW all_v AS SELECT * FROM "V on V" UNION ALL SELECT a, 1 FROM t;
	ALTER VIEW v ALTER a SET DEFAULT 'none';
	COMMENT ON VIEW v IS 'a view'; COMMENT ON COLUMN v."Upper" IS 'upper case';
	GRANT SELECT ON v TO PUBLIC; GRANT ALL ON v TO dependents_reader WITH GRANT OPTION; REVOKE DELETE ON v FROM CURRENT_USER; GRANT UPDATE (one) ON all_v TO dependents_reader;
	ALTER VIEW all_v OWNER TO dependents_owner;
	ALTER TABLE t RENAME a TO "select"; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME TO "T 2"$$, 't', 'T 2');
SELECT * FROM app."V on V" ORDER BY 1, 2;
SELECT pg_get_viewdef('app.v'::regclass);

-- Policies, statistics, publications, functions
CALL mt.roundtrip($$CREATE TABLE t (id int PRIMARY KEY, a int, b int); CREATE TABLE u (n int);
	CREATE STATISTICS st (dependencies) ON a, b FROM t; CREATE STATISTICS "St 2" ON (a + 1), (b * 2) FROM t; ALTER STATISTICS st SET STATISTICS 77; COMMENT ON STATISTICS st IS 'st';
	ALTER STATISTICS "St 2" OWNER TO dependents_owner;
	ALTER TABLE t ENABLE ROW LEVEL SECURITY;
	CREATE POLICY p ON t USING (a > 0) WITH CHECK (a > 1 AND EXISTS (SELECT FROM u WHERE u.n = t.a)); CREATE POLICY "P 2" ON t AS RESTRICTIVE FOR UPDATE TO dependents_reader, dependents_owner USING (a + b <> 0);
	CREATE POLICY other ON t FOR INSERT WITH CHECK (b > 0); COMMENT ON POLICY p ON t IS 'p';
	CREATE FUNCTION f(x int DEFAULT 3) RETURNS SETOF int LANGUAGE sql STABLE SECURITY DEFINER BEGIN ATOMIC SELECT t.id FROM t WHERE t.a = x; END;
	CREATE PROCEDURE pr() BEGIN ATOMIC UPDATE t SET a = a + 1 WHERE id = 1; INSERT INTO t VALUES (100, 100, 100) ON CONFLICT (id) DO UPDATE SET a = excluded.a + t.a; END;
	GRANT EXECUTE ON FUNCTION f TO dependents_reader; CREATE VIEW fv AS SELECT f(1) AS f, t.a FROM t; INSERT INTO t VALUES (1, 1, 1)$$,
	'ALTER TABLE t ALTER a TYPE bigint; ALTER TABLE t RENAME a TO "A"', 'CALL pr()', '', '{}',
	$$DROP VIEW fv; DROP POLICY p ON t; DROP POLICY "P 2" ON t; DROP FUNCTION f; DROP PROCEDURE pr; DROP STATISTICS st, "St 2"; ALTER TABLE t ALTER a TYPE bigint; ALTER TABLE t RENAME a TO "A";
	CREATE POLICY p ON t USING ("A" > 0) WITH CHECK ("A" > 1 AND EXISTS (SELECT FROM u WHERE u.n = t."A")); CREATE POLICY "P 2" ON t AS RESTRICTIVE FOR UPDATE TO dependents_reader, dependents_owner USING ("A" + b <> 0);
	CREATE FUNCTION f(x int DEFAULT 3) RETURNS SETOF int LANGUAGE sql STABLE SECURITY DEFINER BEGIN ATOMIC SELECT t.id FROM t WHERE t."A" = x; END;
	CREATE STATISTICS st (dependencies) ON "A", b FROM t; CREATE STATISTICS "St 2" ON ("A" + 1), (b * 2) FROM t; ALTER STATISTICS st SET STATISTICS 77; COMMENT ON STATISTICS st IS 'st';
	CREATE VIEW fv AS SELECT f(1) AS f, t."A" AS a FROM t$$);
SELECT stxname, stxowner::regrole, obj_description(oid, 'pg_statistic_ext') FROM pg_statistic_ext WHERE stxnamespace = 'app'::regnamespace ORDER BY 1;
SELECT polname, obj_description(oid, 'pg_policy') FROM pg_policy WHERE polrelid = 'app.t'::regclass ORDER BY 1;
SELECT pg_get_functiondef('app.f(int)'::regprocedure), pg_get_functiondef('app.pr()'::regprocedure), (SELECT mt.acl(proacl) FROM pg_proc WHERE oid = 'app.f(int)'::regprocedure);
CALL app.pr();
SELECT * FROM app.t ORDER BY 1;

-- Publications: lists of columns and conditions
SELECT mt.clean('app', 'twin');
CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE t (id int PRIMARY KEY, a int, b int);
CREATE PUBLICATION dependents_list FOR TABLE t (id, a) WITH (publish = 'insert');
CREATE PUBLICATION dependents_where FOR TABLE t WHERE (a > 3) WITH (publish = 'insert');
CREATE PUBLICATION dependents_other FOR TABLE t (id, b) WHERE (b > 0) WITH (publish = 'insert');
SELECT mig_start('publications', 'ALTER TABLE t ALTER a TYPE bigint; ALTER TABLE t RENAME a TO c');
CALL mig_wait('publications');
SELECT mig_complete('publications');
CALL mig_wait('publications', until => 'completed');
SELECT pubname, attnames, rowfilter FROM pg_publication_tables WHERE pubname ~ '^dependents' ORDER BY 1;
DROP PUBLICATION dependents_list, dependents_where, dependents_other;

-- Triggers for some columns, and with conditions: they fire once for each version's writes, before and after
SELECT mt.clean('app');
CREATE SCHEMA app;
CREATE TABLE t (id int PRIMARY KEY, a int, b int);
CREATE TABLE fired (n int GENERATED ALWAYS AS IDENTITY, name text, op text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.fired (name, op) VALUES (TG_NAME, TG_ARGV[0]); RETURN NEW; END $$;
CREATE TRIGGER of_a BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION note('x');
CREATE TRIGGER "Of A, b" AFTER INSERT OR UPDATE OF b, a OR DELETE ON t FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION note(' UPDATE OF b, a ON ');
CREATE TRIGGER of_b AFTER UPDATE OF b ON t FOR EACH STATEMENT EXECUTE FUNCTION note('z');
CREATE TRIGGER "when" AFTER UPDATE ON t FOR EACH ROW WHEN (OLD.a IS DISTINCT FROM NEW.a AND NEW.a > 5) EXECUTE FUNCTION note();
CREATE TRIGGER "when before" BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.a > 5) EXECUTE FUNCTION note();
CREATE CONSTRAINT TRIGGER later AFTER UPDATE OF a ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER off BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER replica BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE t DISABLE TRIGGER off, ENABLE REPLICA TRIGGER replica, ENABLE ALWAYS TRIGGER of_a;
COMMENT ON TRIGGER of_a ON t IS 'of a';
COMMENT ON TRIGGER later ON t IS 'later';
INSERT INTO t VALUES (1, 1, 1);
CREATE FUNCTION fired() RETURNS text LANGUAGE sql AS $$ WITH f AS (DELETE FROM app.fired RETURNING n, name) SELECT string_agg(name, ', ' ORDER BY n) FROM f $$;
CREATE FUNCTION triggers() RETURNS SETOF text LANGUAGE sql AS $$ SELECT pg_get_triggerdef(oid) || ' ' || tgenabled::text || coalesce(' ' || obj_description(oid, 'pg_trigger'), '')
	FROM pg_trigger WHERE tgrelid = 'app.t'::regclass AND NOT tgisinternal AND tgname !~ 'mig_sync' ORDER BY tgname $$;
SELECT fired();
SELECT mt.remember('app');
SELECT mig_start('fire', 'ALTER TABLE t ALTER a TYPE bigint; ALTER TABLE t RENAME a TO c');
CALL mig_wait('fire');
SELECT fired();
UPDATE t SET a = 6 WHERE id = 1;
SELECT fired() AS old;
UPDATE t SET b = 6 WHERE id = 1;
SELECT fired() AS old_other;
UPDATE app_fire.t SET c = 7 WHERE id = 1;
SELECT fired() AS new;
UPDATE app_fire.t SET c = 8, b = 7 WHERE id = 1;
SELECT fired() AS new_both;
UPDATE app_fire.t SET c = 1, b = 8 WHERE id = 1;
SELECT fired() AS new_small;
SELECT triggers();
SELECT mig_rollback('fire');
SELECT * FROM mt.changes('app', 'app_fire');
SELECT triggers();
SELECT mig_start('again', 'ALTER TABLE t ALTER a TYPE bigint; ALTER TABLE t RENAME a TO c');
CALL mig_wait('again');
SELECT mig_complete('again');
CALL mig_wait('again', until => 'completed');
SELECT triggers();
UPDATE t SET c = 9 WHERE id = 1;
SELECT fired();
UPDATE t SET b = 9 WHERE id = 1;
SELECT fired();

-- As they are when the swap comes
SELECT mt.clean('app');
CREATE SCHEMA app;
CREATE TABLE t (id int PRIMARY KEY, a int);
CREATE VIEW v AS SELECT a FROM t;
SELECT mig_start('meanwhile', 'ALTER TABLE t ALTER a TYPE bigint');
CALL mig_wait('meanwhile');
CREATE OR REPLACE VIEW v AS SELECT a, id FROM t;
CREATE VIEW w AS SELECT a + 1 AS a FROM v;
SELECT mig_complete('meanwhile');
CALL mig_wait('meanwhile', until => 'completed');
SELECT pg_get_viewdef('v'::regclass), pg_get_viewdef('w'::regclass), pg_typeof(a) FROM (SELECT a FROM w UNION ALL SELECT NULL) x;

-- Refused, by name
SELECT mt.clean('app');
CREATE SCHEMA app;
CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int, d int, e int, f int, g int, h int);
CREATE TABLE other (n int);
CREATE MATERIALIZED VIEW mat AS SELECT a FROM t;
CREATE VIEW under AS SELECT a FROM t WHERE b > 0;
CREATE MATERIALIZED VIEW "Mat 2" AS SELECT * FROM under;
CREATE VIEW ruled AS SELECT c FROM t;
CREATE RULE r AS ON INSERT TO ruled DO INSTEAD NOTHING;
CREATE VIEW triggered AS SELECT d FROM t;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER tr INSTEAD OF INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION note();
CREATE VIEW typed AS SELECT e FROM t;
CREATE FUNCTION takes(typed) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
CREATE TABLE has (r typed);
CREATE POLICY far ON other USING (EXISTS (SELECT FROM t WHERE t.f = n));
CREATE RULE tr AS ON UPDATE TO t WHERE NEW.g > 0 DO ALSO NOTHING;
CREATE STATISTICS st ON h, id FROM t;
CREATE VIEW version AS SELECT h FROM t;
SELECT mt.remember('app');
SELECT mt.refused('ALTER TABLE t ALTER a TYPE bigint');
SELECT mt.refused('ALTER TABLE t ALTER b TYPE bigint');
SELECT mt.refused('ALTER TABLE t ALTER c TYPE bigint');
SELECT mt.refused('ALTER TABLE t ALTER d TYPE bigint');
SELECT mt.refused('ALTER TABLE t ALTER e TYPE bigint');
SELECT mt.refused('ALTER TABLE t ALTER f TYPE bigint');
SELECT mt.refused('ALTER TABLE t ALTER g TYPE bigint');
SELECT mt.refused('ALTER TABLE t DROP h');
-- a view and a policy that do not work with the new type
CREATE VIEW halves AS SELECT h / 2 AS half FROM version;
SELECT mt.refused('ALTER TABLE t ALTER h TYPE text');
DROP VIEW halves;
CREATE POLICY positive ON t USING (h > 0);
SELECT mt.refused('ALTER TABLE t ALTER h TYPE text');
DROP POLICY positive ON t;
-- one in another schema, one whose name hides behind the server's own: nothing to be said against
CREATE SCHEMA app_far;
CREATE VIEW app_far.v AS SELECT h FROM t;
CREATE VIEW app.pg_tables AS SELECT h FROM app_far.v;
SELECT mt.refused('ALTER TABLE t ALTER h TYPE text');
DROP VIEW app.pg_tables, app_far.v;
DROP SCHEMA app_far;
SELECT * FROM mt.changes('app');
ALTER TABLE t OWNER TO dependents_owner;
GRANT ALL ON SCHEMA app TO dependents_owner;
SET ROLE dependents_owner;
SELECT mt.refused('ALTER TABLE t ALTER h TYPE bigint', '{"schema": "app"}');
RESET ROLE;
SELECT phase, regexp_replace(replace(sql, E'\n', ' '), '.*(SELECT mig.carry)', '\1') AS sql, note FROM mig_plan('p', 'ALTER TABLE t ALTER h TYPE bigint') WHERE note ~ 'makes again' AND phase = 'contract';
SELECT mt.clean('app');
DROP ROLE dependents_reader, dependents_owner;
