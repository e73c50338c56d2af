-- A real schema that nobody here wrote, migrated forwards, back and forwards again; every view's contents are compared.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\set data :abs_srcdir '/test/data/northwind.sql'
\i :helper
CREATE SCHEMA nw;
CREATE SCHEMA twin;
\set ECHO none
SET search_path = nw;
\i :data
SET search_path = twin;
\i :data
SET search_path = public;
\set ECHO all
SELECT count(*) AS tables FROM pg_tables WHERE schemaname = 'nw';
SELECT side, count(*) FROM mt.differences('nw', 'twin') GROUP BY side;

-- What there was, and what the new version has to show
CREATE SCHEMA orig;
CREATE SCHEMA want;
SELECT format('CREATE TABLE orig.%1$I AS TABLE nw.%1$I; CREATE VIEW want.%1$I AS TABLE orig.%1$I', tablename) FROM pg_tables WHERE schemaname = 'nw' ORDER BY 1
\set ECHO none
\gexec
\set ECHO all
DROP VIEW want.orders, want.order_details, want.customers, want.products, want.us_states, want.employees;
CREATE VIEW want.orders AS SELECT order_id, customer_id, employee_id::int AS clerk_id, order_date, required_date, shipped_date, ship_via, round(freight::numeric * 100)::bigint AS freight_cents,
	ship_name AS recipient, ship_address, ship_city, ship_region, ship_postal_code, ship_country FROM orig.orders;
CREATE VIEW want.order_details AS SELECT order_id, product_id, unit_price::numeric(10,2) AS unit_price, quantity::int AS quantity, discount FROM orig.order_details;
CREATE VIEW want.customers AS SELECT customer_id, company_name, contact_name, address, city, coalesce(region, 'none in ' || country)::varchar(40) AS region, postal_code, country, phone, fax FROM orig.customers;
CREATE VIEW want.products AS SELECT *, (units_in_stock * unit_price)::numeric(12,2) AS stock_value FROM orig.products;
CREATE VIEW want.states AS SELECT * FROM orig.us_states;
CREATE VIEW want.employees AS SELECT employee_id, last_name AS first_name, first_name AS last_name, title, title_of_courtesy, birth_date, hire_date, address, city, region, postal_code, country,
	home_phone, extension, photo, notes, reports_to::int AS reports_to, photo_path FROM orig.employees;

-- Tables and views whose columns or rows are not alike
CREATE FUNCTION mt.unlike(a text, b text) RETURNS TABLE (relation name, columns boolean, rows bigint) LANGUAGE sql AS $$
	SELECT coalesce(x.r, y.r), x.c IS NOT DISTINCT FROM y.c, CASE WHEN x.c = y.c THEN mt.unequal(format('SELECT %s FROM %I.%I', x.c, a, x.r), format('SELECT %s FROM %I.%I', x.c, b, y.r)) END
	FROM (SELECT c.relname AS r, string_agg(quote_ident(attname), ', ' ORDER BY attname) AS c FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attname !~ '^_mig_'
		WHERE relnamespace = a::regnamespace AND relkind IN ('r', 'v') GROUP BY 1) x
	FULL JOIN (SELECT c.relname AS r, string_agg(quote_ident(attname), ', ' ORDER BY attname) AS c FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attname !~ '^_mig_'
		WHERE relnamespace = b::regnamespace AND relkind IN ('r', 'v') GROUP BY 1) y ON x.r = y.r
	WHERE x.c IS DISTINCT FROM y.c OR mt.unequal(format('SELECT %s FROM %I.%I', x.c, a, x.r), format('SELECT %s FROM %I.%I', x.c, b, y.r)) > 0
$$;
SELECT * FROM mt.unlike('nw', 'orig');
SELECT relation, columns FROM mt.unlike('orig', 'want') ORDER BY 1;

-- Type, name, NOT NULL, drop, add, in one migration over six tables
CREATE TABLE mt.nw (definition text, options jsonb);
INSERT INTO mt.nw VALUES ($$
	ALTER TABLE orders ALTER freight TYPE bigint USING round(freight::numeric * 100)::bigint;
	ALTER TABLE orders RENAME freight TO freight_cents;
	ALTER TABLE orders RENAME ship_name TO recipient;
	ALTER TABLE orders ALTER employee_id TYPE int;
	ALTER TABLE orders RENAME employee_id TO clerk_id;
	ALTER TABLE order_details ALTER unit_price TYPE numeric(10,2), ALTER quantity TYPE int;
	ALTER TABLE order_details ADD CONSTRAINT positive CHECK (quantity > 0);
	ALTER TABLE customers ALTER region TYPE varchar(40) USING coalesce(region, 'none in ' || country), ALTER region SET NOT NULL, DROP contact_title;
	ALTER TABLE products ADD stock_value numeric(12,2);
	ALTER TABLE us_states RENAME TO states;
	ALTER TABLE employees RENAME last_name TO x;
	ALTER TABLE employees RENAME first_name TO last_name;
	ALTER TABLE employees RENAME x TO first_name;
	ALTER TABLE employees ALTER reports_to TYPE int;
	COMMENT ON COLUMN orders.recipient IS 'who gets it'$$,
	'{"down": {"orders.freight": "freight / 100.0", "customers.region": "CASE WHEN region NOT LIKE ''none in %'' THEN region END", "customers.contact_title": "''Owner''"},
	  "up": {"products.stock_value": "units_in_stock * unit_price"}, "schema": "nw"}');
SELECT mt.remember('nw');
SELECT mig_start('first', definition, options) FROM mt.nw;
CALL mig_wait('first');
SELECT * FROM mt.unlike('nw', 'orig');
SELECT * FROM mt.unlike('nw_first', 'want');

-- Back: as before, and what both versions' clients wrote is there
UPDATE nw_first.orders SET freight_cents = freight_cents + 1, recipient = recipient || ' & Co' WHERE order_id % 7 = 0;
UPDATE nw.orders SET freight = (freight::numeric + 1)::real WHERE order_id % 7 = 1;
INSERT INTO nw_first.customers (customer_id, company_name, region) VALUES ('NEWER', 'New', 'BC');
SELECT customer_id, contact_title, region FROM nw.customers WHERE customer_id = 'NEWER';
DELETE FROM nw_first.customers WHERE customer_id = 'NEWER';
UPDATE orig.orders o SET freight = n.freight, ship_name = n.ship_name FROM nw.orders n WHERE n.order_id = o.order_id AND o.order_id % 7 <= 1;
SELECT count(*) FROM orig.orders o JOIN twin.orders n USING (order_id) WHERE o.freight <> n.freight OR o.ship_name <> n.ship_name;
SELECT * FROM mt.unlike('nw', 'orig');
SELECT * FROM mt.unlike('nw_first', 'want');
SELECT mig_rollback('first');
SELECT * FROM mt.changes('nw', 'nw_first');
SELECT * FROM mt.unlike('nw', 'orig');

-- Forwards again, to the end: the views, the tables, and the catalogs as after plain statements
SELECT mig_start('second', definition, options) FROM mt.nw;
CALL mig_run('second');
SELECT * FROM mt.unlike('nw', 'orig');
SELECT * FROM mt.unlike('nw_second', 'want');
SELECT mig_complete('second');
CALL mig_wait('second', until => 'completed');
SELECT * FROM mt.unlike('nw_second', 'want');
SELECT * FROM mt.unlike('nw', 'want');
SET search_path = twin;
SELECT definition FROM mt.nw \gset
\set ECHO none
:definition;
\set ECHO all
RESET search_path;
SELECT * FROM mt.differences('nw', 'twin');

-- And back by a migration: each column as it was
SELECT mig_start('third', $$
	ALTER TABLE orders RENAME freight_cents TO freight;
	ALTER TABLE orders ALTER freight TYPE real USING freight / 100.0;
	ALTER TABLE orders RENAME recipient TO ship_name;
	ALTER TABLE orders ALTER clerk_id TYPE smallint;
	ALTER TABLE orders RENAME clerk_id TO employee_id;
	ALTER TABLE order_details ALTER unit_price TYPE real, ALTER quantity TYPE smallint, DROP CONSTRAINT positive;
	ALTER TABLE customers ALTER region TYPE varchar(15) USING CASE WHEN region NOT LIKE 'none in %' THEN region END, ALTER region DROP NOT NULL, ADD contact_title varchar(30);
	ALTER TABLE products DROP stock_value;
	ALTER TABLE states RENAME TO us_states;
	ALTER TABLE employees RENAME last_name TO x;
	ALTER TABLE employees RENAME first_name TO last_name;
	ALTER TABLE employees RENAME x TO first_name;
	ALTER TABLE employees ALTER reports_to TYPE smallint;
	COMMENT ON COLUMN orders.ship_name IS NULL$$,
	'{"schema": "nw", "down": {"orders.freight": "round(freight::numeric * 100)", "customers.region": "coalesce(region, ''none in '' || country)"}}');
CALL mig_wait('third');
SELECT mig_complete('third');
CALL mig_wait('third', until => 'completed');
ALTER TABLE orig.customers DROP contact_title, ADD contact_title varchar(30);
SELECT * FROM mt.unlike('nw', 'orig');
SELECT * FROM mt.unlike('nw_third', 'orig');
SELECT * FROM mt.changes('nw', 'nw_third') WHERE line !~ '^schema';
SELECT mt.clean('nw', 'twin', 'orig', 'want');
DROP TABLE mt.nw;
