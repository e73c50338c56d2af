-- DDL by hand: version views of tables that are not being migrated follow in the same statement.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE ROLE regress_owner;
CREATE ROLE regress_app;
CREATE ROLE regress_other;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_owner', current_database()); END$$;
-- What every version shows of a table
CREATE FUNCTION mt.shown(relation text) RETURNS TABLE (line text) LANGUAGE sql AS $$
	SELECT format('%s: %s; %s; owner %s; acl %s; %s', n.nspname, (SELECT string_agg(format('%s %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod), ' [' || mt.acl(a.attacl) || ']',
			' "' || col_description(c.oid, a.attnum) || '"'), ', ' ORDER BY a.attnum)
		FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0), c.reloptions, c.relowner::regrole, mt.acl(c.relacl), obj_description(c.oid, 'pg_class'))
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname ~ '^app_' AND c.relname = relation AND c.relkind = 'v' ORDER BY 1 $$;
CREATE SCHEMA app AUTHORIZATION regress_owner;
CREATE SCHEMA side AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA app TO regress_app;
SET ROLE regress_owner;
SET search_path = app;
CREATE TABLE done (id int PRIMARY KEY, a text, b int);
CREATE TABLE busy (id int PRIMARY KEY, a text);
CREATE TABLE "My Table" (id int PRIMARY KEY, "The Column" text, c int, d numeric(10,2));
CREATE TABLE parent (id int, p text);
CREATE TABLE child (c int) INHERITS (parent);
GRANT SELECT ON "My Table" TO regress_app;
COMMENT ON TABLE "My Table" IS 'mine';
INSERT INTO "My Table" VALUES (1, 'x', 2, 3.5);
INSERT INTO done VALUES (1, 'a', 7);
INSERT INTO busy VALUES (1, '1');
-- A completed version, whose columns have another order than the table's, and an active one on top
SELECT mig_start('hand1', 'ALTER TABLE done ALTER a TYPE varchar(20)', '{"baseline": true}');
CALL mig_wait('hand1');
SELECT mig_complete('hand1');
CALL mig_wait('hand1', until => 'completed');
SELECT mig_start('hand2', 'ALTER TABLE busy ALTER a TYPE int USING a::int');
CALL mig_wait('hand2');
SELECT * FROM mt.shown('My Table');
SELECT * FROM mt.shown('done');

-- Columns: added, renamed, dropped, of another type; rights and comments
ALTER TABLE "My Table" ADD e int DEFAULT 5, ADD f text;
ALTER TABLE "My Table" RENAME "The Column" TO the_column;
ALTER TABLE "My Table" RENAME c TO "C";
COMMENT ON COLUMN "My Table".e IS 'five';
COMMENT ON TABLE "My Table" IS NULL;
GRANT UPDATE, INSERT ON "My Table" TO regress_app WITH GRANT OPTION;
REVOKE SELECT ON "My Table" FROM regress_app;
SELECT * FROM mt.shown('My Table');
ALTER TABLE "My Table" DROP d, ALTER e TYPE bigint;
GRANT SELECT ON ALL TABLES IN SCHEMA app TO regress_app;
REVOKE GRANT OPTION FOR UPDATE ON "My Table" FROM regress_app;
SELECT * FROM mt.shown('My Table');
SELECT * FROM app_hand2."My Table";
ALTER TABLE done DROP b, ADD z date;
SELECT * FROM mt.shown('done');
ALTER TABLE parent ADD added int;
ALTER TABLE parent ALTER p TYPE varchar(10);
SELECT * FROM mt.shown('child');
-- Column grants: a view with its owner's rights, and back
GRANT SELECT (id) ON parent TO regress_other;
SELECT * FROM mt.shown('parent');
REVOKE SELECT (id) ON parent FROM regress_other;
SELECT * FROM mt.shown('parent');
GRANT SELECT (id) ON parent TO regress_other;
SELECT * FROM mt.try('ALTER TABLE parent ENABLE ROW LEVEL SECURITY');
REVOKE SELECT (id) ON parent FROM regress_other;
ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
RESET ROLE;
ALTER TABLE parent OWNER TO regress_other;
SELECT * FROM mt.shown('parent');
SET ROLE regress_owner;
SELECT * FROM mt.try('ALTER TABLE parent DROP added');
RESET ROLE;
ALTER TABLE parent OWNER TO regress_owner;
SET ROLE regress_owner;

-- Tables: made, renamed, moved, dropped; new ones only in the versions in use
CREATE TABLE fresh (id int PRIMARY KEY, note text);
CREATE TABLE copied AS SELECT * FROM done;
SELECT * FROM mt.shown('fresh');
SELECT * FROM mt.shown('copied');
CREATE TEMP TABLE passing (a int);
SELECT count(*) FROM mt.shown('passing');
ALTER TABLE fresh RENAME TO older;
SELECT * FROM mt.shown('older');
SELECT count(*) FROM mt.shown('fresh');
ALTER TABLE older SET SCHEMA side;
SELECT count(*) FROM mt.shown('older');
ALTER TABLE side.older SET SCHEMA app;
SELECT * FROM mt.shown('older');
DROP TABLE older, copied;
SELECT count(*) FROM mt.shown('older');

-- A view of the user's on a version view: stays where the view can follow in place, else it is named
CREATE VIEW side.top AS SELECT id FROM app_hand2."My Table";
ALTER TABLE "My Table" ADD g int;
ALTER TABLE "My Table" RENAME g TO h;
SELECT * FROM mt.try('ALTER TABLE "My Table" DROP h');
SELECT * FROM mt.try('DROP TABLE "My Table"');
SELECT * FROM mt.shown('My Table');
DROP VIEW side.top;
ALTER TABLE "My Table" DROP h;
-- In a transaction that is rolled back, and in a function
BEGIN;
ALTER TABLE "My Table" DROP f;
ROLLBACK;
DO $$BEGIN ALTER TABLE "My Table" DROP f; EXCEPTION WHEN division_by_zero THEN NULL; END$$;
SELECT * FROM mt.shown('My Table');

-- On a table that is being migrated: refused, also where it would go with its schema or owner
SELECT * FROM mt.try('ALTER TABLE busy ADD x int');
SELECT * FROM mt.try('DROP SCHEMA app CASCADE');
SELECT * FROM mt.try('DROP SCHEMA app_hand2 CASCADE');
SELECT * FROM mt.try('DROP OWNED BY regress_owner');
-- unless the guard is off: then the migration stops
SET mig_control.guard = off;
ALTER TABLE busy ADD x int DEFAULT 1;
RESET mig_control.guard;
SELECT name, phase, paused, error FROM mig_status('hand2');
SELECT kind, detail FROM mig.events WHERE name = 'hand2' AND kind = 'changed by hand';
SELECT * FROM mt.try('SELECT mig_complete(%L)', 'hand2');
SELECT mig_resume('hand2');
SELECT mig_complete('hand2');
CALL mig_wait('hand2', until => 'completed');
SELECT * FROM mt.rows('app', 'busy');
SELECT * FROM mt.shown('busy');

-- By hand when the views could not follow
RESET ROLE;
SET mig_control.own_statements = 2;
ALTER TABLE "My Table" ADD k int;
ALTER TABLE "My Table" RENAME "C" TO c;
ALTER TABLE "My Table" RENAME TO mine;
ALTER TABLE done DROP z CASCADE;
CREATE TABLE late (id int);
GRANT SELECT ON mine TO regress_other;
RESET mig_control.own_statements;
SELECT * FROM mt.shown('My Table');
SET ROLE regress_other;
SELECT * FROM mt.try('SELECT mig_refresh_views(%L)', 'app');
SET ROLE regress_owner;
SELECT mig_refresh_views() > 3 AS refreshed;
SELECT mig_refresh_views('app_hand2');
SELECT * FROM mt.shown('mine');
SELECT * FROM mt.shown('late');
SELECT * FROM mt.shown('done');
SELECT * FROM mt.try('SELECT mig_refresh_views(%L)', 'nothing');
SELECT mig_refresh_views('side');

-- A view in another schema's version is its owner's, whatever it is called
RESET ROLE;
CREATE SCHEMA elsewhere AUTHORIZATION regress_other;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_other', current_database()); END$$;
GRANT USAGE ON SCHEMA app TO regress_other;
SET ROLE regress_other;
CREATE TABLE elsewhere.e (id int PRIMARY KEY);
SELECT mig_start('new', 'ALTER TABLE e ADD b int', '{"schema": "elsewhere"}');
CREATE VIEW elsewhere_new.late AS SELECT id FROM app.late;
RESET ROLE;
ALTER TABLE late ADD COLUMN secret int;
SELECT relowner::regrole, relnatts FROM pg_class WHERE oid = 'elsewhere_new.late'::regclass;
SELECT relowner::regrole, relnatts FROM pg_class WHERE oid = 'app_hand2.late'::regclass;
DROP VIEW elsewhere_new.late;
CALL mt.run_at('public', 'SELECT mt.clean(''elsewhere'')');
CALL mt.run_at('public', 'SELECT mt.clean(''app'', ''side'')');
DROP OWNED BY regress_owner, regress_app, regress_other;
DROP ROLE regress_owner, regress_app, regress_other;
