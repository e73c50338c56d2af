-- Northwind again: tables, indexes and constraints of every kind, by statements and by a manifest: forwards, back, forwards again, and back by a migration.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\set data :abs_srcdir '/test/data/northwind.sql'
\i :helper
CREATE SCHEMA nw;
CREATE SCHEMA twin;
CREATE SCHEMA orig;
\set ECHO none
SET search_path = nw;
\i :data
SET search_path = twin;
\i :data
SET search_path = orig;
\i :data
RESET search_path;
\set ECHO all

-- Forwards, back, and forwards again to the end. The catalogs must be as before after the rollback, and as after plain statements in the end; no row of the
-- tables that both have may differ from the twin's at any time.
CREATE FUNCTION mt.unlike_rows(a text, b text) RETURNS TABLE (relation text) LANGUAGE sql AS $$
	WITH both_have AS MATERIALIZED (SELECT x.relname::text AS r FROM pg_class x JOIN pg_class y ON y.relname = x.relname
		WHERE x.relnamespace = a::regnamespace AND y.relnamespace = b::regnamespace AND x.relkind IN ('r', 'v') AND y.relkind IN ('r', 'v'))
	SELECT r FROM both_have WHERE mt.unequal(format('SELECT r FROM mt.rows(%L, %L) r', a, r), format('SELECT r FROM mt.rows(%L, %L) r', b, r)) > 0
$$;
CREATE PROCEDURE mt.there_and_back(name text, definition text, new_writes text, plain text DEFAULT NULL)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM mt.remember('nw');
	PERFORM mig_start(name, definition, '{"schema": "nw"}');
	COMMIT;
	CALL mig_wait(name);
	CALL mt.say('old rows', 'SELECT * FROM mt.unlike_rows(''nw'', ''twin'')');
	CALL mt.run_at('nw_' || name || ', nw, public', new_writes);
	CALL mt.run_at('public', '');
	COMMIT;
	PERFORM mig_rollback(name);
	COMMIT;
	CALL mt.say('after rollback', format('SELECT side || '' '' || line FROM mt.changes(''nw'', %L)', 'nw_' || name));
	CALL mt.say('rows after rollback', 'SELECT * FROM mt.unlike_rows(''nw'', ''twin'')');
	PERFORM mig_start(name, definition, '{"schema": "nw"}');
	COMMIT;
	CALL mig_run(name);
	CALL mt.run_at('twin', coalesce(plain, definition));
	CALL mt.run_at('public', '');
	CALL mt.say('new rows', format('SELECT * FROM mt.unlike_rows(%L, ''twin'')', 'nw_' || name));
	PERFORM mig_complete(name);
	COMMIT;
	CALL mig_run(name, until => 'completed');
	CALL mt.say('after completion', 'SELECT side || '' '' || line FROM mt.differences(''nw'', ''twin'')');
	CALL mt.say('rows after completion', 'SELECT * FROM mt.unlike_rows(''nw'', ''twin'')');
	CALL mt.say('rows of the version', format('SELECT * FROM mt.unlike_rows(''nw'', %L)', 'nw_' || name));
END$$;

-- Statements
CALL mt.there_and_back('ddl', $$
	CREATE TABLE countries (name varchar(15) PRIMARY KEY, rank serial CONSTRAINT ranked CHECK (rank > 0), no bigint GENERATED ALWAYS AS IDENTITY);
	CREATE INDEX ON countries (rank DESC);
	INSERT INTO countries (name) SELECT DISTINCT country FROM customers ORDER BY 1;
	DROP TABLE customer_customer_demo; DROP TABLE customer_demographics;
	CREATE INDEX orders_recent ON orders (order_date DESC NULLS LAST, ship_country) WHERE shipped_date IS NOT NULL;
	CREATE UNIQUE INDEX state_names ON us_states (lower(state_name)) INCLUDE (state_region);
	ALTER TABLE us_states ADD CONSTRAINT abbreviations UNIQUE (state_abbr);
	ALTER TABLE us_states DROP CONSTRAINT pk_usstates; ALTER TABLE us_states ADD CONSTRAINT pk_states PRIMARY KEY (state_abbr, state_id);
	ALTER TABLE employees ADD CONSTRAINT lives_in FOREIGN KEY (region) REFERENCES us_states (state_abbr) ON UPDATE CASCADE;
	ALTER TABLE order_details DROP CONSTRAINT fk_order_details_orders; ALTER TABLE order_details ADD CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders ON DELETE CASCADE;
	ALTER TABLE products RENAME CONSTRAINT fk_products_categories TO in_category; ALTER INDEX pk_suppliers RENAME TO suppliers_key;
	ALTER TABLE shippers REPLICA IDENTITY FULL;
	ALTER TABLE region ALTER region_id TYPE int; ALTER TABLE territories ALTER region_id TYPE int, ALTER territory_id TYPE text; ALTER TABLE employee_territories ALTER territory_id TYPE text$$, $$
	INSERT INTO countries (name) VALUES ('Atlantis');
	UPDATE employees SET region = 'OR' WHERE employee_id = 1; UPDATE employees SET region = 'WA' WHERE employee_id = 1;
	INSERT INTO region VALUES (700, 'Far'); DELETE FROM region WHERE region_id = 700$$);

-- A manifest
CALL mt.there_and_back('manifest', $$ {"operations": [
	{"create_table": {"name": "Price list", "comment": "per country", "columns": [
		{"name": "id", "type": "bigint", "generated": {"identity": {"user_specified_values": "ALWAYS"}}, "pk": true},
		{"name": "productId", "type": "smallint", "references": {"name": "of_product", "table": "products", "column": "product_id", "on_delete": "CASCADE"}},
		{"name": "price", "type": "numeric(10,2)", "nullable": true, "check": {"name": "not_negative", "constraint": "price >= 0"}}]}},
	{"drop_table": {"name": "countries"}},
	{"rename_table": {"from": "us_states", "to": "states"}},
	{"add_column": {"table": "customers", "column": {"name": "has_fax", "type": "boolean"}, "up": "fax IS NOT NULL"}},
	{"drop_column": {"table": "customers", "column": "fax", "down": "CASE WHEN has_fax THEN phone END"}},
	{"rename_column": {"table": "states", "from": "state_abbr", "to": "abbr"}},
	{"alter_column": {"table": "customers", "column": "region", "type": "text", "nullable": false, "default": "''", "comment": "a part of the country", "up": "coalesce(region, '')", "down": "nullif(region, '')"}},
	{"alter_column": {"table": "suppliers", "column": "company_name", "unique": {"name": "one_company"}, "up": "company_name", "down": "company_name"}},
	{"create_constraint": {"table": "products", "name": "named_once", "type": "unique", "columns": ["supplier_id", "product_name"], "up": {"supplier_id": "supplier_id", "product_name": "product_name"},
		"down": {"supplier_id": "supplier_id", "product_name": "product_name"}}},
	{"create_constraint": {"table": "products", "name": "in_stock", "type": "check", "check": "units_in_stock >= 0", "columns": ["units_in_stock"], "up": {"units_in_stock": "units_in_stock"}, "down": {"units_in_stock": "units_in_stock"}}},
	{"drop_constraint": {"table": "orders", "name": "fk_orders_shippers", "up": "ship_via", "down": "ship_via"}},
	{"drop_multicolumn_constraint": {"table": "states", "name": "pk_states", "up": {"abbr": "abbr", "state_id": "state_id"}, "down": {"abbr": "abbr", "state_id": "state_id"}}},
	{"create_constraint": {"table": "states", "name": "pk_us", "type": "primary_key", "columns": ["state_id"], "up": {"state_id": "state_id"}, "down": {"state_id": "state_id"}}},
	{"rename_constraint": {"table": "order_details", "from": "of_order", "to": "details_of"}},
	{"create_index": {"name": "orders_city", "table": "orders", "method": "hash", "columns": [{"column": "ship_city"}]}},
	{"drop_index": {"name": "orders_recent"}},
	{"set_replica_identity": {"table": "suppliers", "identity": {"type": "index", "index": "suppliers_key"}}}]} $$,
	$$ INSERT INTO "Price list" ("productId", price) VALUES (1, 2.5);
	INSERT INTO customers (customer_id, company_name, has_fax) VALUES ('NEWER', 'New', false); DELETE FROM customers WHERE customer_id = 'NEWER';
	INSERT INTO states VALUES (99, 'New', 'NN', 'no'); DELETE FROM states WHERE state_id = 99 $$,
	$$ CREATE TABLE "Price list" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "productId" smallint NOT NULL CONSTRAINT of_product REFERENCES products ON DELETE CASCADE, price numeric(10,2) CONSTRAINT not_negative CHECK (price >= 0));
	COMMENT ON TABLE "Price list" IS 'per country';
	DROP TABLE countries; ALTER TABLE us_states RENAME TO states; ALTER TABLE customers ADD has_fax boolean; UPDATE customers SET has_fax = fax IS NOT NULL; ALTER TABLE customers ALTER has_fax SET NOT NULL, DROP fax;
	ALTER TABLE states RENAME state_abbr TO abbr; ALTER TABLE customers ALTER region TYPE text USING coalesce(region, ''), ALTER region SET NOT NULL, ALTER region SET DEFAULT ''; COMMENT ON COLUMN customers.region IS 'a part of the country';
	ALTER TABLE suppliers ADD CONSTRAINT one_company UNIQUE (company_name); ALTER TABLE products ADD CONSTRAINT named_once UNIQUE (supplier_id, product_name), ADD CONSTRAINT in_stock CHECK (units_in_stock >= 0);
	ALTER TABLE orders DROP CONSTRAINT fk_orders_shippers; ALTER TABLE states DROP CONSTRAINT pk_states, ADD CONSTRAINT pk_us PRIMARY KEY (state_id);
	ALTER TABLE order_details RENAME CONSTRAINT of_order TO details_of; CREATE INDEX orders_city ON orders USING hash (ship_city); DROP INDEX orders_recent; ALTER TABLE suppliers REPLICA IDENTITY USING INDEX suppliers_key $$);

-- SQL as it is, at once and in the end
CALL mt.there_and_back('raw', $$ {"operations": [{"sql": {"up": "CREATE VIEW order_totals AS SELECT order_id, sum(unit_price * quantity) AS total FROM order_details GROUP BY 1", "down": "DROP VIEW order_totals"}}]} $$,
	'SELECT FROM order_totals', 'CREATE VIEW order_totals AS SELECT order_id, sum(unit_price * quantity) AS total FROM order_details GROUP BY 1');
CALL mt.there_and_back('late', $$ {"operations": [{"sql": {"up": "ALTER TABLE shippers SET (fillfactor = 90); ALTER VIEW order_totals RENAME TO totals", "onComplete": true}}]} $$,
	'SELECT FROM order_totals', 'ALTER TABLE shippers SET (fillfactor = 90); ALTER VIEW order_totals RENAME TO totals');

-- And back by a migration: columns that were dropped are filled again, and all is called as it was
CREATE TABLE mt.fax AS SELECT customer_id, fax FROM orig.customers;
GRANT SELECT ON mt.fax TO PUBLIC;
SELECT mig_start('back', $$
	DROP TABLE "Price list"; DROP VIEW totals; ALTER TABLE shippers RESET (fillfactor);
	CREATE TABLE customer_demographics (customer_type_id varchar(5) CONSTRAINT pk_customer_demographics PRIMARY KEY, customer_desc text);
	CREATE TABLE customer_customer_demo (customer_id varchar(5) CONSTRAINT fk_customer_customer_demo_customers REFERENCES customers,
		customer_type_id varchar(5) CONSTRAINT fk_customer_customer_demo_customer_demographics REFERENCES customer_demographics, CONSTRAINT pk_customer_customer_demo PRIMARY KEY (customer_id, customer_type_id));
	ALTER TABLE states RENAME TO us_states; ALTER TABLE us_states RENAME abbr TO state_abbr; ALTER TABLE us_states RENAME CONSTRAINT pk_us TO pk_usstates;
	ALTER TABLE employees DROP CONSTRAINT lives_in; ALTER TABLE us_states DROP CONSTRAINT abbreviations, ALTER state_abbr DROP NOT NULL; DROP INDEX state_names;
	ALTER TABLE customers ADD fax varchar(24), DROP has_fax, ALTER region TYPE varchar(15) USING nullif(region, ''), ALTER region DROP NOT NULL, ALTER region DROP DEFAULT; COMMENT ON COLUMN customers.region IS NULL;
	ALTER TABLE suppliers DROP CONSTRAINT one_company, REPLICA IDENTITY DEFAULT; ALTER TABLE products DROP CONSTRAINT named_once, DROP CONSTRAINT in_stock; ALTER TABLE shippers REPLICA IDENTITY DEFAULT;
	ALTER TABLE orders ADD CONSTRAINT fk_orders_shippers FOREIGN KEY (ship_via) REFERENCES shippers; DROP INDEX orders_city;
	ALTER TABLE order_details DROP CONSTRAINT details_of; ALTER TABLE order_details ADD CONSTRAINT fk_order_details_orders FOREIGN KEY (order_id) REFERENCES orders;
	ALTER TABLE products RENAME CONSTRAINT in_category TO fk_products_categories; ALTER INDEX suppliers_key RENAME TO pk_suppliers;
	ALTER TABLE region ALTER region_id TYPE smallint; ALTER TABLE territories ALTER region_id TYPE smallint, ALTER territory_id TYPE varchar(20); ALTER TABLE employee_territories ALTER territory_id TYPE varchar(20)$$,
	'{"schema": "nw", "up": {"customers.fax": "(SELECT f.fax FROM mt.fax f WHERE f.customer_id = customers.customer_id)"}, "down": {"customers.has_fax": "fax IS NOT NULL", "customers.region": "coalesce(region, '''')"}}');
CALL mig_run('back');
SELECT mig_complete('back');
CALL mig_run('back', until => 'completed');
SELECT * FROM mt.differences('nw', 'orig');
SELECT * FROM mt.unlike_rows('nw', 'orig');
SELECT * FROM mt.unlike_rows('nw_back', 'orig');
SELECT mt.clean('nw', 'twin', 'orig');
DROP TABLE mt.fax;
