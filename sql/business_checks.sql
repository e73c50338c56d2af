-- Business checks: the versions compared in the user's own terms, as a whole and by segment.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

CREATE SCHEMA shop;
SET search_path = shop;
CREATE TABLE tenant (id int PRIMARY KEY);
INSERT INTO tenant SELECT generate_series(1, 3);
CREATE TABLE acc (id int PRIMARY KEY, tenant_id int, balance numeric(12,2), src text);
INSERT INTO acc SELECT g, g % 3 + 1, g * 1.05, CASE WHEN g % 5 > 0 THEN 's' || g % 4 END FROM generate_series(1, 300) g;
SELECT mig_start('cents', 'ALTER TABLE acc ALTER balance TYPE bigint USING (balance * 100)::bigint; ALTER TABLE acc RENAME src TO channel', '{"schema": "shop", "down": {"acc.balance": "balance / 100.0"}}');
CALL mig_wait('cents');
-- Every kind
SELECT mig_check_add('cents', 'rows', options => '{"kind": "count", "table": "acc", "by": "tenant_id"}');
SELECT mig_check_add('cents', 'money', options => '{"kind": "sum", "table": "acc", "column": "balance", "old": "balance * 100", "by": ["tenant_id"], "tolerance": "0.01%"}');
SELECT mig_check_add('cents', 'nulls', options => '{"kind": "nulls", "table": "acc", "column": "channel", "old": "src"}');
SELECT mig_check_add('cents', 'top', options => '{"kind": "top", "table": "acc", "column": "channel", "old": "src", "top": 3}');
SELECT mig_check_add('cents', 'sums', options => '{"kind": "checksum", "table": "acc", "column": "balance", "old": "(balance * 100)::bigint", "where": "id < 100"}');
SELECT mig_check_add('cents', 'orphans', options => '{"kind": "orphans", "table": "acc", "columns": ["tenant_id"], "references": "tenant", "referenced_columns": ["id"], "by": "tenant_id"}');
SELECT mig_check_add('cents', 'unique', options => '{"kind": "unique", "table": "acc", "columns": ["id", "tenant_id"]}');
SELECT mig_check_add('cents', 'assert', 'SELECT count(*) = 300 FROM shop_cents.acc');
SELECT mig_check_add('cents', 'assert by', 'SELECT tenant_id, bool_and(balance > 0) AS ok FROM shop_cents.acc GROUP BY 1');
SELECT mig_check_add('cents', 'compare', 'SELECT tenant_id, max(balance) * 100 AS value FROM shop.acc GROUP BY 1', '{"new": "SELECT tenant_id, max(balance) AS value FROM shop_cents.acc GROUP BY 1", "tolerance": 0}');
SELECT * FROM mig_check('cents');
-- Totals that agree hide segments that don't
UPDATE shop.acc SET tenant_id = CASE tenant_id WHEN 1 THEN 2 ELSE 1 END WHERE id IN (3, 4);
SELECT mig_check_add('cents', 'shifted', 'SELECT tenant_id, count(*) AS value FROM shop.acc GROUP BY 1', '{"new": "SELECT CASE id WHEN 4 THEN 3 WHEN 5 THEN 2 ELSE tenant_id END AS tenant_id, count(*) AS value FROM shop_cents.acc GROUP BY 1"}');
SELECT mig_check_add('cents', 'whole', 'SELECT count(*) FROM shop.acc', '{"new": "SELECT count(*) FROM shop_cents.acc"}');
SELECT mig_check_add('cents', 'missing', 'SELECT tenant_id, count(*) AS value FROM shop.acc GROUP BY 1', '{"new": "SELECT tenant_id, count(*) AS value FROM shop_cents.acc WHERE tenant_id < 3 GROUP BY 1"}');
SELECT * FROM mig_check('cents', 'shifted');
SELECT * FROM mig_check('cents', 'whole');
SELECT * FROM mig_check('cents', 'missing') WHERE NOT ok;
-- Tolerances
SELECT mig_check_add('cents', 'near', 'SELECT 1000', '{"new": "SELECT 1001", "tolerance": "0.1%"}');
SELECT mig_check_add('cents', 'far', 'SELECT 1000', '{"new": "SELECT 1002", "tolerance": "0.1%"}');
SELECT mig_check_add('cents', 'abs', 'SELECT 1000', '{"new": "SELECT 1002", "tolerance": 2}');
SELECT check_name, ok FROM (VALUES (1, 'near'), (2, 'far'), (3, 'abs')) x(n, c), mig_check('cents', c) ORDER BY n;
-- What has no answer is not green
CREATE TABLE shop.log (n int);
CREATE FUNCTION shop.writes() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.log VALUES (1); RETURN true; END $$;
SELECT mig_check_add('cents', 'null', 'SELECT NULL::boolean');
SELECT mig_check_add('cents', 'none', 'SELECT true WHERE false');
SELECT mig_check_add('cents', 'fails', 'SELECT 1 / (count(*) - count(*)) = 1 FROM shop.acc');
SELECT mig_check_add('cents', 'slow', 'SELECT pg_sleep(60) IS NULL', '{"timeout": "50 ms"}');
SELECT mig_check_add('cents', 'writes', 'SELECT shop.writes()');
SELECT check_name, ok, failure FROM (VALUES (1, 'null'), (2, 'none'), (3, 'fails'), (4, 'slow'), (5, 'writes')) x(n, c), mig_check('cents', c) ORDER BY n;
SELECT count(*) FROM shop.log;
SELECT DISTINCT check_name, green, failure FROM mig.check_results WHERE check_name IN ('null', 'none', 'fails', 'slow', 'writes', 'rows', 'shifted', 'whole') ORDER BY 1;
-- Bad input
SELECT c, s, o, t FROM (VALUES (1, 'x', NULL, '{}'), (2, 'x', 'SELEC 1', '{}'), (3, 'x', 'SELECT nothing', '{}'), (4, 'x', 'DELETE FROM shop.acc', '{}'), (5, 'x', 'SELECT 1; SELECT 2', '{}'),
	(6, 'x', 'SELECT 1 AS a, true AS b', '{}'), (7, 'x', 'SELECT 1', '{"kind": "sum"}'), (8, 'x', NULL, '{"kind": "what", "table": "acc"}'), (9, 'x', NULL, '{"kind": "sum", "table": "acc"}'),
	(10, 'x', NULL, '{"kind": "sum", "table": "nothing", "column": "a"}'), (11, 'x', NULL, '{"kind": "sum", "table": "acc", "column": "nothing"}'), (12, 'x', NULL, '{"kind": "count", "table": "acc", "tolerance": -1}'),
	(13, 'x', NULL, '{"kind": "count", "table": "acc", "colour": 1}'), (14, 'x', NULL, '[]'), (15, 'x', NULL, '{"kind": "top", "table": "acc", "column": "id", "top": 0}'), (16, 'x', 'SELECT true', '{"timeout": "never"}'),
	(17, 'x', NULL, '{"kind": "orphans", "table": "acc", "columns": "id", "references": "tenant", "referenced_columns": ["a", "b"]}'), (18, 'x', NULL, '{"kind": "count", "table": "acc", "by": 1}')) x(n, c, s, o),
	mt.try('SELECT mig_check_add(''cents'', %L, %L, %L)', c, s, o) t ORDER BY n;
SELECT mt.try('SELECT mig_check_add(''nothing'', ''x'', ''SELECT true'')') UNION ALL SELECT mt.try('SELECT mig_check_drop(''cents'', ''nothing'')') UNION ALL SELECT mt.try('SELECT * FROM mig_check(''cents'', ''nothing'')');
-- Taken away; rights
SELECT mig_check_drop('cents', 'null');
CREATE ROLE regress_stranger;
SET ROLE regress_stranger;
SELECT mt.try('SELECT * FROM mig_check(''cents'')');
SELECT count(segment), count(old_value) FROM mig.check_results;
RESET ROLE;
DROP ROLE regress_stranger;
SELECT mig_rollback('cents');
SELECT mt.try('SELECT mig_check_add(''cents'', ''x'', ''SELECT true'')');
SELECT kind, count(*) FROM mig.events WHERE name = 'cents' AND kind LIKE 'check %' GROUP BY 1 ORDER BY 1;
SELECT mig_retire('cents', '0');
RESET search_path;
SELECT mt.clean('shop');
