-- What a version shows, to whom, and when.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper
\pset format unaligned
\pset null NULL
CREATE ROLE regress_owner;
CREATE ROLE regress_app;
CREATE ROLE regress_narrow;
CREATE ROLE regress_tenant_a;
CREATE ROLE regress_tenant_b;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_owner', current_database()); END$$;
CREATE SCHEMA shop AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA shop TO regress_app, regress_narrow, regress_tenant_a, regress_tenant_b;
SET ROLE regress_owner;
SET search_path = shop;
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL DEFAULT 'new', price numeric(10,2), secret text, made date DEFAULT '2024-01-01');
CREATE TABLE plain (a int, b text);
CREATE TABLE rented (id int PRIMARY KEY, tenant name DEFAULT current_user, n int);
CREATE SEQUENCE counted;
CREATE VIEW cheap AS SELECT id FROM item;
COMMENT ON TABLE item IS 'the items';
COMMENT ON COLUMN item.price IS 'in euros';
COMMENT ON TABLE plain IS 'left alone';
GRANT SELECT, INSERT, UPDATE ON item TO regress_app;
GRANT SELECT ON plain TO PUBLIC;
GRANT SELECT (id, price), UPDATE (price) ON item TO regress_narrow;
GRANT SELECT, INSERT, UPDATE, DELETE ON rented TO regress_tenant_a, regress_tenant_b WITH GRANT OPTION;
ALTER TABLE rented ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON rented USING (tenant = current_user);
INSERT INTO item (id, price, secret) VALUES (1, 1.25, 's'), (2, 2.50, 't');
INSERT INTO plain VALUES (1, 'x');
INSERT INTO rented VALUES (1, 'regress_tenant_a', 10), (2, 'regress_tenant_b', 20);

-- Closed before it is ready: reads and writes are told what to use; tables left alone are open
SELECT mig_start('v2', 'ALTER TABLE item ALTER price TYPE bigint USING (price * 100)::bigint, ALTER secret SET NOT NULL, ADD CHECK (price >= 0); ALTER TABLE item RENAME price TO cents; '
	'COMMENT ON COLUMN item.cents IS ''in cents''; ALTER TABLE rented ALTER n TYPE bigint; ALTER TABLE rented RENAME TO lease',
	'{"down": {"item.price": "price / 100.0"}, "hold": ["backfilling"], "baseline": true}');
CALL mt.wait_for('SELECT paused FROM mig_status(''v2'')');
SELECT phase, paused, waiting_for FROM mig_status('v2');
SELECT * FROM mt.try('SELECT * FROM shop_v2.item');
SELECT * FROM mt.try('SELECT count(*) FROM shop_v2.lease');
SELECT * FROM mt.try('INSERT INTO shop_v2.item (id) VALUES (9)');
SELECT * FROM mt.try('UPDATE shop_v2.item SET cents = 1');
SELECT * FROM mt.try('DELETE FROM shop_v2.item');
SELECT * FROM mt.try('SELECT mig_use(%L)', 'v2');
SELECT * FROM mt.try('SELECT mig_use()');
SELECT * FROM shop_v2.plain;
SELECT * FROM shop_base.item ORDER BY id;
SELECT mig_resume('v2');
CALL mig_wait('v2');

-- The views: one per table; columns in order, defaults, comments, grants, owner, options
RESET ROLE;
SELECT n.nspname, c.relname, c.relkind, c.relowner::regrole, c.reloptions, mt.acl(c.relacl) AS acl, obj_description(c.oid, 'pg_class') AS comment
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('shop_v2', 'shop_base') ORDER BY 1, 2;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid) AS default, mt.acl(a.attacl) AS acl, col_description(c.oid, a.attnum) AS comment
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
	WHERE c.relnamespace = 'shop_v2'::regnamespace ORDER BY 1, a.attnum;
SELECT nspname, mt.acl(nspacl) AS acl, obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname ~ '^(_mig_)?shop_' ORDER BY 1;
SELECT schema_name, base_schema, phase FROM mig.version_schema WHERE base_schema = 'shop' ORDER BY schema_name;

-- Each role does through the version what it may do with the table, and no more
SET search_path = shop_v2;
SET ROLE regress_app;
SELECT * FROM item ORDER BY id;
INSERT INTO item (id, cents, secret) VALUES (3, 375, 'u') RETURNING *;
UPDATE item SET cents = cents + 1 WHERE id = 1 RETURNING id, cents;
SELECT id, price FROM shop.item ORDER BY id;
SELECT * FROM mt.try('DELETE FROM item');
SELECT * FROM mt.try('CREATE VIEW shop_v2.mine AS SELECT 1');
SELECT * FROM plain;
SET ROLE regress_narrow;
SELECT id, cents FROM item ORDER BY id;
UPDATE item SET cents = 500 WHERE id = 2 RETURNING id, cents;
SELECT * FROM mt.try('SELECT secret FROM item');
SELECT * FROM mt.try('UPDATE item SET name = NULL');
SELECT * FROM mt.try('INSERT INTO item (id) VALUES (8)');
SELECT id, price FROM shop.item ORDER BY id;
SET ROLE regress_tenant_a;
SELECT * FROM lease;
INSERT INTO lease VALUES (3, DEFAULT, 30), (4, 'regress_tenant_a', 40) RETURNING *;
SELECT * FROM mt.try('INSERT INTO lease VALUES (5, ''regress_tenant_b'', 50)');
UPDATE lease SET n = n + 1;
SELECT * FROM shop.rented;
SET ROLE regress_tenant_b;
SELECT id, tenant, n FROM lease ORDER BY id;
SELECT id, tenant, n FROM shop.rented ORDER BY id;
DELETE FROM lease;
RESET ROLE;
SELECT id, tenant, n FROM shop.rented ORDER BY id;

-- Rules of the new version hold its writes only
SELECT * FROM mt.try('INSERT INTO shop_v2.item (id, cents) VALUES (10, 1)');
SELECT * FROM mt.try('INSERT INTO shop_v2.item (id, cents, secret) VALUES (10, -1, ''x'')');
SELECT * FROM mt.try('UPDATE shop_v2.item SET secret = NULL WHERE id = 1');
SELECT * FROM mt.try('INSERT INTO shop_v2.item (id, cents, secret) VALUES (1, 1, ''x'') ON CONFLICT (id) DO UPDATE SET cents = -1');
SELECT * FROM mt.try('INSERT INTO shop_v2.item (id, name, cents, secret) VALUES (10, NULL, 1, ''x'')');
INSERT INTO shop.item (id, price, secret) VALUES (11, -1, 'old'), (12, 1, NULL);
SELECT id, cents, secret FROM shop_v2.item WHERE id > 10 ORDER BY id;
SELECT * FROM mt.try('UPDATE shop_v2.item SET name = ''y'' WHERE id = 11');
UPDATE shop_v2.item SET cents = 1 WHERE id = 11;

-- A rule that old rows break: not completed, ready again, with the reason; nothing is left of the attempt
SET ROLE regress_owner;
SELECT mig_validate('v2') IS NOT NULL AS looked;
SELECT mig_complete('v2');
SELECT mig_set('v2', '{"gates": {"constraints": {"overridable": true}}}');
SELECT mt.remember('shop');
SELECT mig_complete('v2', force => true, reason => 'to see what comes');
\set VERBOSITY terse
CALL mig_wait('v2', until => 'completed');
\set VERBOSITY default
SELECT phase, error FROM mig_status('v2');
SELECT * FROM mt.changes('shop');
UPDATE shop.item SET secret = 'now' WHERE id = 12;
SELECT relation, divergent FROM mig_validate('v2');

-- mig_use
RESET search_path;
SELECT mig_use('v2');
SHOW search_path;
SELECT count(*) FROM lease;
SET search_path = shop;
SELECT mig_use();
BEGIN;
SET LOCAL search_path = public;
SELECT mig_use('v2', true);
SHOW search_path;
COMMIT;
SHOW search_path;
SELECT * FROM mt.try('SELECT mig_use(%L)', 'nothing');

-- Completed: the former version and the baseline are closed, the new one is the table's plain view
SELECT mig_complete(reason => 'all are there');
CALL mig_wait('v2', until => 'completed');
SELECT * FROM mt.try('SELECT * FROM shop_base.item');
SELECT * FROM mt.try('UPDATE shop_base.item SET price = 1');
SELECT * FROM mt.try('INSERT INTO shop_base.item (id) VALUES (20)');
SELECT * FROM mt.try('DELETE FROM shop_base.item');
SELECT count(*) FROM shop_base.plain;
SELECT id, cents, secret FROM shop_v2.item ORDER BY id;
SELECT id, cents, secret FROM shop.item ORDER BY id;
SELECT line FROM mt.catalog('shop') AS c(line) WHERE line ~ '^(column|r) item|^r (lease|item)' ORDER BY 1;
SET ROLE regress_narrow;
SELECT * FROM mt.try('SELECT secret FROM shop_v2.item');
UPDATE shop_v2.item SET cents = 501 WHERE id = 2 RETURNING id, cents;
SET ROLE regress_tenant_a;
SELECT * FROM shop_v2.lease ORDER BY id;
SET ROLE regress_owner;

-- The next version: started from a version's search_path, it stands on the base schema; completing it closes v2
SELECT mig_use('v2');
SELECT mig_start('v3', 'ALTER TABLE item RENAME cents TO amount; ALTER TABLE plain ADD c int DEFAULT 7');
CALL mig_wait('v3');
SELECT amount FROM shop_v3.item ORDER BY id;
SELECT cents FROM shop_v2.item ORDER BY id;
SELECT mig_use();
SELECT mig_complete();
SELECT * FROM mt.try('SELECT * FROM shop_v2.item');
SELECT * FROM mt.try('SELECT * FROM shop_v2.plain');
SELECT count(*) FROM shop_v2.lease;
SELECT id, amount FROM shop_v3.item ORDER BY id;
SELECT * FROM mt.try('SELECT mig_retire(%L)', 'v3');
SELECT * FROM mt.try('SELECT mig_retire(%L)', 'v2');
SELECT mig_retire('v2', older_than => '0');
SELECT nspname FROM pg_namespace WHERE nspname ~ '^(_mig_)?shop' ORDER BY 1;
SELECT mig_retire('v2', older_than => '0');

-- Rolled back: closed, and the hint leads to the base schema; retired at will
SELECT mig_start('v4', 'ALTER TABLE item ALTER amount TYPE numeric');
CALL mig_wait('v4');
CREATE VIEW shop.stands_on AS SELECT amount FROM shop_v4.item;
SELECT mig_rollback('v4');
SELECT * FROM mt.try('SELECT * FROM shop.stands_on');
DROP VIEW shop.stands_on;
SELECT * FROM mt.try('SELECT * FROM shop_v4.item');
SELECT * FROM mt.try('SELECT mig_use(%L)', 'v4');
SELECT mig_retire('v4', older_than => '0');
SELECT nspname FROM pg_namespace WHERE nspname ~ '^(_mig_)?shop' ORDER BY 1;

RESET ROLE;
RESET search_path;
SELECT mt.clean('shop');
DROP OWNED BY regress_owner, regress_app, regress_narrow, regress_tenant_a, regress_tenant_b;
DROP ROLE regress_owner, regress_app, regress_narrow, regress_tenant_a, regress_tenant_b;
