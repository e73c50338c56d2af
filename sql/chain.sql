-- Two migrations of one schema at the same time: versions form a chain.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE ROLE regress_owner;
CREATE ROLE regress_app;
CREATE ROLE regress_narrow;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_owner', current_database()); END$$;
CREATE SCHEMA app AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA app TO regress_app, regress_narrow;
SET ROLE regress_owner;
SET search_path = app;
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL DEFAULT 'new', price numeric(10,2), made date DEFAULT '2024-01-01');
CREATE TABLE "Order" (id int PRIMARY KEY, "Item" int, qty text);
CREATE TABLE narrow (id int PRIMARY KEY, a int, b int);
CREATE TABLE gone (id int);
CREATE TABLE plain (a int, b text);
COMMENT ON TABLE item IS 'the items';
COMMENT ON COLUMN item.price IS 'in euros';
GRANT SELECT, INSERT, UPDATE ON item, "Order" TO regress_app;
GRANT SELECT (id, a), UPDATE (a) ON narrow TO regress_narrow;
INSERT INTO item (id, price) VALUES (1, 1.25), (2, 2.50);
INSERT INTO "Order" VALUES (1, 1, '10');
INSERT INTO narrow VALUES (1, 1, 1);
SELECT mt.remember('app');

-- The first, while it is not ready: the second is started on top of it, and waits to be opened
SELECT mig_start('link1', 'ALTER TABLE item ALTER price TYPE bigint USING (price * 100)::bigint; ALTER TABLE item RENAME price TO cents; ALTER TABLE item ALTER name SET DEFAULT ''first'';'
	' ALTER TABLE narrow ALTER a TYPE bigint; ALTER TABLE narrow RENAME TO thin; DROP TABLE gone; CREATE TABLE gone (id int, x int); CREATE TABLE made (id int PRIMARY KEY)',
	'{"down": {"item.price": "price / 100.0"}, "hold": ["ready"]}');
CALL mt.wait_for('SELECT paused FROM mig_status(''link1'')');
SELECT mig_start('link2', 'ALTER TABLE "Order" ALTER qty TYPE int USING qty::int');
CALL mt.wait_for('SELECT phase = ''validating'' AND waiting_for IS NOT NULL FROM mig_status(''link2'')');
SELECT name, phase, waiting_for FROM mig_status() WHERE name LIKE 'link%';
SELECT c.relname, pg_get_viewdef(c.oid), c.reloptions, mt.acl(c.relacl) AS acl, obj_description(c.oid, 'pg_class') AS comment FROM pg_class c
	WHERE c.relnamespace = 'app_link2'::regnamespace AND relname <> 'Order' ORDER BY 1;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), mt.acl(a.attacl) AS acl, col_description(c.oid, a.attnum) AS comment
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'app_link2'::regnamespace ORDER BY 1, a.attnum;
SELECT * FROM mt.try('SELECT count(*) FROM app_link2.item');
SELECT * FROM mt.try('SELECT count(*) FROM app_link2."Order"');
SELECT mig_resume('link1');
CALL mig_wait('link2');
SELECT name, phase, waiting_for FROM mig_status() WHERE name LIKE 'link%';

-- A client of the second sees and writes the first's shape of the first's tables, and its own of its own
SET search_path = app_link2;
SET ROLE regress_app;
SELECT * FROM item ORDER BY id;
INSERT INTO item (id, cents) VALUES (3, 375) RETURNING *;
UPDATE item SET cents = cents + 1 WHERE id = 1 RETURNING id, cents;
INSERT INTO item VALUES (2, 'x', 1) ON CONFLICT (id) DO UPDATE SET cents = item.cents + excluded.cents RETURNING id, cents;
INSERT INTO "Order" VALUES (2, 3, 20) RETURNING *;
SELECT * FROM mt.try('DELETE FROM item');
SET ROLE regress_narrow;
SELECT id, a FROM thin;
UPDATE thin SET a = 5 RETURNING id, a;
SELECT * FROM mt.try('SELECT b FROM thin');
SET ROLE regress_owner;
SELECT * FROM mt.rows('app', 'item');
SELECT * FROM mt.rows('app', 'Order');
SELECT * FROM mt.rows('app_link1', 'Order');
INSERT INTO gone VALUES (1, 2);
INSERT INTO made VALUES (7);
SELECT * FROM app_link1.gone;
SELECT * FROM app.made;

-- What overlaps is refused, by the other's name
SET search_path = app;
SELECT * FROM mt.refused('ALTER TABLE item ADD x int');
SELECT * FROM mt.refused('ALTER TABLE thin ADD x int');
SELECT * FROM mt.refused('ALTER TABLE plain RENAME TO thin');
SELECT * FROM mt.refused('CREATE TABLE thin (a int)');
SELECT * FROM mt.refused('CREATE TABLE x (a int REFERENCES item)');
SELECT * FROM mt.refused('CREATE TABLE item (a int)');
SELECT * FROM mt.refused('ALTER TABLE made ADD x int');
SELECT * FROM mt.refused('{"operations": [{"drop_table": {"name": "gone"}}]}');
SELECT * FROM mt.refused('ALTER TABLE "Order" DROP qty; ALTER TABLE plain ADD x int');
SELECT count(*) > 3 AS planned FROM mig_plan('link3', 'ALTER TABLE plain ALTER a TYPE bigint');

-- Completed in order, rolled back in reverse
SELECT * FROM mt.try('SELECT mig_complete(%L)', 'link2');
SELECT * FROM mt.try('SELECT mig_rollback(%L)', 'link1');
SELECT * FROM mt.try('SELECT mig_complete()');
SELECT mig_use();
SELECT mig_rollback('link2');
SELECT * FROM mt.try('SELECT * FROM app_link2.item');
SELECT * FROM mt.try('UPDATE app_link2.thin SET a = 1');
SELECT * FROM mt.try('SELECT * FROM app_link2."Order"');
SELECT count(*) FROM app_link2.plain;
SELECT nspname FROM pg_namespace WHERE nspname ~ '^(_mig_)?app' ORDER BY 1;

-- Again, with a third on top; the second completes itself when the first is completed
SET search_path = app;
SELECT mig_start('link2', 'ALTER TABLE "Order" ALTER qty TYPE int USING qty::int', '{"auto_complete": true}');
CALL mig_wait('link2');
SELECT mig_start('link3', 'ALTER TABLE plain ADD c int DEFAULT 7; CREATE TABLE newest (id int)');
CALL mig_wait('link3');
CALL mt.wait_for('SELECT waiting_for IS NOT NULL FROM mig_status(''link2'')');
SELECT name, phase, waiting_for FROM mig_status() WHERE name LIKE 'link%';
SET search_path = app_link3, app;
INSERT INTO item (id, cents) VALUES (4, 4);
INSERT INTO "Order" VALUES (3, 4, 30);
INSERT INTO plain (a) VALUES (1) RETURNING *;
SELECT mig_complete('link1');
CALL mig_wait('link1', until => 'completed');
CALL mig_wait('link2', until => 'completed');
SELECT name, phase, waiting_for FROM mig_status() WHERE name LIKE 'link%';
SELECT * FROM mt.try('SELECT mig_retire(%L, ''0'')', 'link1');
SELECT * FROM mt.try('SELECT count(*) FROM app_link1."Order"');
SELECT * FROM item ORDER BY id;
SELECT * FROM "Order" ORDER BY id;
INSERT INTO item (id, cents) VALUES (5, 5) RETURNING *;
SELECT * FROM mt.rows('app', 'thin');
SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relnamespace = 'app_link2'::regnamespace ORDER BY 1;
-- The table of a completed migration is free again, also while a later one is active
SELECT mig_start('link4', 'ALTER TABLE item ALTER cents TYPE text');
CALL mig_wait('link4');
SELECT * FROM app_link4.item ORDER BY id;
SELECT * FROM app_link3.item ORDER BY id;
SELECT mig_complete('link3');
SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relnamespace = 'app_link3'::regnamespace ORDER BY 1;
SELECT mig_retire('link1', '0'), mig_retire('link2', '0');
SELECT mig_complete('link4');
CALL mig_wait('link4', until => 'completed');
SELECT * FROM app_link4.item ORDER BY id;
SELECT * FROM mt.try('SELECT * FROM app_link3.item');
SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relnamespace = 'app_link4'::regnamespace ORDER BY 1;
SELECT mig_retire('link3', '0');

-- One that is held before it has expanded has no version to stand on
SELECT mig_start('link5', 'ALTER TABLE plain RENAME b TO bb', '{"schema": "app", "hold": ["expanding"]}');
SELECT * FROM mt.try('SELECT mig_start(%L, %L, %L)', 'link6', 'ALTER TABLE item RENAME cents TO c', '{"schema": "app"}');
SELECT mig_rollback('link5');
-- A baseline published while another migration is active shows the present shape
SET search_path = app;
SELECT mig_start('link5', 'ALTER TABLE plain ALTER b TYPE varchar(10)');
SELECT mig_start('link6', 'ALTER TABLE item RENAME cents TO c', '{"baseline": true}');
CALL mig_wait('link6');
SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relnamespace = 'app_base'::regnamespace AND c.relname IN ('plain', 'item') ORDER BY 1;
SELECT mig_complete('link5');
CALL mig_wait('link5', until => 'completed');
SELECT * FROM mt.try('SELECT * FROM app_base.plain');
SELECT mig_complete('link6');
SELECT * FROM mt.try('SELECT * FROM app_base.item');
RESET ROLE;
CALL mt.run_at('public', 'SELECT mt.clean(''app'')');
DROP OWNED BY regress_owner, regress_app, regress_narrow;
DROP ROLE regress_owner, regress_app, regress_narrow;
