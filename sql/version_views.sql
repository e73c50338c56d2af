-- What clients do with a table, done with its version views: the old version, the new one, a table left alone, and after completion.
\getenv abs_srcdir PG_ABS_SRCDIR
\getenv abs_builddir PG_ABS_BUILDDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\set file :abs_builddir '/results/version_views.data'
\i :helper
\pset format unaligned
\pset null NULL
\set VERBOSITY default
CREATE ROLE regress_loader;
CREATE ROLE regress_reader;
CREATE SCHEMA depot;
SET search_path = depot;
CREATE TABLE item (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Sku" text CONSTRAINT item_sku UNIQUE, price numeric(10,2) DEFAULT 1.5, n int NOT NULL DEFAULT 5,
	name text, size int GENERATED ALWAYS AS (length(name)) STORED);
CREATE TABLE line (id serial PRIMARY KEY, item int REFERENCES item, note text DEFAULT 'none', twice int GENERATED ALWAYS AS (item * 2) STORED);
CREATE TABLE part (k int, v text) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part DEFAULT;
CREATE TABLE said (what text);
CREATE TABLE rented (id int, tenant name DEFAULT current_user);
ALTER TABLE rented ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON rented USING (tenant = current_user);
CREATE VIEW cheap AS SELECT what FROM said;
CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s', TG_RELID::regclass) INTO n;
	INSERT INTO depot.said VALUES (format('%s %s %s: %s', TG_WHEN, TG_OP, TG_LEVEL, n));
	IF TG_LEVEL = 'ROW' AND NEW.name = 'skip' THEN RETURN NULL; END IF;
	RETURN NEW;
END$$;
CREATE TRIGGER row BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION say();
CREATE TRIGGER all_rows AFTER INSERT ON item EXECUTE FUNCTION say();
GRANT USAGE ON SCHEMA depot TO regress_loader, regress_reader;
GRANT INSERT ON item, line TO regress_loader;
GRANT INSERT, SELECT ON rented TO regress_loader;
GRANT SELECT ON item TO regress_reader;
INSERT INTO item ("Sku", price, name) SELECT 'k' || i, i, 'n' || i FROM generate_series(1, 4) i;
SELECT mig_start('pass', 'ALTER TABLE item ALTER price TYPE int USING (price * 100)::int; ALTER TABLE item RENAME price TO cents; ALTER TABLE item ALTER cents SET DEFAULT 42,'
	' ADD CHECK (cents >= 0), ALTER name SET NOT NULL; ALTER TABLE item RENAME "Sku" TO "Code"; ALTER TABLE item ADD extra text DEFAULT ''e''; ALTER TABLE item RENAME TO thing',
	'{"down": {"item.price": "price / 100.0"}, "hold": ["backfilling"], "baseline": true}');

CALL mt.wait_for('SELECT paused FROM mig_status(''pass'')');
-- Closed, before it is ready
SELECT * FROM mt.try('TRUNCATE depot_pass.thing');
SELECT * FROM mt.try('COPY depot_pass.thing TO %L', :'file');
SELECT * FROM mt.try('COPY depot_pass.thing FROM %L', '/nowhere');
SELECT mig_resume('pass');
CALL mig_wait('pass');

-- COPY FROM through the new version: its columns in its order, generated ones left out; rows are its own, so the old values come from them
COPY depot_pass.thing FROM stdin;
10	k10	1000	1	ten	ten
11	k11	\N	2	eleven	\N
\.
COPY depot_pass.thing ("Code", name) FROM stdin (FORMAT csv, HEADER match);
Code,name
k12,"a, b"
\.
COPY depot_pass.thing (name, cents) FROM stdin WHERE cents > 100 AND name <> 'b';
a	50
b	150
c	250
\.
COPY depot_pass.thing (name, cents) FROM PROGRAM 'printf "p;1\nq;\n"' (DELIMITER ';', NULL '');
SELECT id, "Sku", price, n, name, size, _mig_c1, _mig_c2, _mig_state FROM item WHERE id > 4 OR name > 'o' ORDER BY id, name;
SELECT * FROM depot_pass.thing WHERE id > 4 OR name > 'o' ORDER BY id, name;
SELECT count(*) FROM depot_pass.thing t JOIN item USING (id) WHERE t.cents IS DISTINCT FROM (item.price * 100)::int;

-- Its rules hold, and an error says which line; nothing of the file is there then
COPY depot_pass.thing (id, cents, name) FROM stdin;
20	1	good
21	-1	bad
\.
COPY depot_pass.thing (id, cents, name) FROM stdin;
20	1	good
21	2	\N
\.
COPY depot_pass.thing (id, cents, name) FROM stdin;
20	1	good
21	x	bad
\.
COPY depot_pass.thing (id, nothing) FROM stdin;
\.
COPY depot_pass.thing (name) FROM stdin WHERE cents > 1;
\.
COPY depot_pass.thing (name) FROM stdin WHERE (SELECT true);
\.
COPY depot_pass.thing (size) FROM stdin;
1
\.
COPY depot_pass.thing FROM stdin (FREEZE);
\.
BEGIN;
SAVEPOINT s;
COPY depot_pass.thing (id, cents, name) FROM stdin;
1	1	twice
\.
ROLLBACK TO s;
COPY depot_pass.thing (id, cents, name) FROM stdin;
22	22	after an error
\.
INSERT INTO item ("Sku", price, name) VALUES ('old', 2.22, 'old');
COMMIT;
BEGIN READ ONLY;
SELECT * FROM mt.try('COPY depot_pass.thing FROM %L', '/nowhere');
ROLLBACK;
SELECT id, price, _mig_c1, name, _mig_state FROM item WHERE id >= 20 OR "Sku" = 'old' ORDER BY id;

-- Triggers: rows one by one, the statement once; one that writes is no part of the COPY
TRUNCATE depot_pass.said;
COPY depot_pass.thing (id, cents, name) FROM stdin;
30	30	first
31	31	skip
32	32	last
\.
SELECT * FROM said;
TRUNCATE depot_pass.said;

-- … through the old version, and tables left alone
COPY depot_base.item (id, "Sku", price, name) FROM stdin (DELIMITER ' ');
40 k40 40.5 forty
\.
SELECT price, _mig_c1, _mig_state FROM item WHERE "Sku" = 'k40';
COPY depot_pass.line FROM stdin;
100	10	ten
\.
COPY depot_pass.line (item) FROM stdin;
11
\.
COPY depot_pass.line (item) FROM stdin;
12345
\.
SELECT * FROM depot_pass.line ORDER BY id;
COPY depot_pass.part FROM stdin;
1	one
2	two
\.
SELECT tableoid::regclass, * FROM part ORDER BY k;

-- COPY TO, and back
COPY depot_pass.thing TO :'file' (FORMAT binary);
CREATE TEMP TABLE was AS SELECT * FROM depot_pass.thing;
TRUNCATE depot_pass.thing, depot_pass.line;
COPY depot_pass.thing FROM :'file' (FORMAT binary);
SELECT mt.unequal('TABLE was', 'SELECT * FROM depot_pass.thing');
COPY depot_pass.thing (cents, "Code") TO stdout (FORMAT csv, HEADER, FORCE_QUOTE ("Code"));
COPY depot_base.item TO stdout;
COPY (SELECT "Sku" FROM depot_base.item WHERE id = 1) TO stdout;
SELECT * FROM mt.try('COPY depot_pass.thing (nothing) TO %L', :'file');
SELECT * FROM mt.try('COPY depot_pass.thing FROM %L', '/nowhere');
SELECT * FROM mt.try('COPY depot.cheap FROM %L', :'file');
SELECT * FROM mt.try('COPY depot.cheap TO %L', :'file');
SELECT * FROM mt.try('TRUNCATE depot.cheap');

-- TRUNCATE
SELECT * FROM mt.try('TRUNCATE depot_pass.thing');
COPY depot_pass.line (item) FROM stdin;
10
\.
BEGIN;
TRUNCATE depot_pass.thing RESTART IDENTITY CASCADE;
SELECT (SELECT count(*) FROM item), (SELECT count(*) FROM line);
INSERT INTO depot_pass.thing (name) VALUES ('the first') RETURNING *;
ROLLBACK;
SELECT count(*) > 9 FROM item;
TRUNCATE ONLY depot_pass.said, depot.part;
DO $$BEGIN TRUNCATE depot_pass.part, depot_pass.line; END$$;
SELECT count(*) FROM depot_pass.line;

-- Rights: those of the table, of the user
SET ROLE regress_loader;
COPY depot_pass.thing (id, name) FROM stdin;
50	loaded
\.
COPY depot_pass.rented FROM stdin;
1	regress_loader
\.
COPY depot_pass.rented FROM stdin;
2	other
\.
SELECT * FROM depot_pass.rented;
SELECT * FROM mt.try('COPY depot_pass.thing TO %L', '/nowhere');
SELECT * FROM mt.try('COPY depot_pass.line FROM %L', '/nowhere');
SELECT * FROM mt.try('COPY depot_pass.line FROM PROGRAM %L', 'true');
SELECT * FROM mt.try('TRUNCATE depot_pass.thing');
SET ROLE regress_reader;
COPY depot_pass.thing (name) FROM stdin;
\.
COPY depot_pass.line TO stdout;
COPY (SELECT 1) TO stdout;
RESET ROLE;
GRANT TRUNCATE ON said TO regress_reader;
REVOKE TRUNCATE ON depot_pass.said FROM regress_reader;
SET ROLE regress_reader;
SELECT * FROM mt.try('TRUNCATE depot_pass.said');
RESET ROLE;
CREATE RULE more AS ON INSERT TO line DO ALSO INSERT INTO said VALUES (NEW.note);
COPY depot_pass.line (item) FROM stdin;
\.

-- Completed: the old version is closed, the new one a plain view of the table
SELECT divergent FROM mig_validate('pass');
SELECT mig_complete('pass');
CALL mig_wait('pass', until => 'completed');
SELECT * FROM mt.try('TRUNCATE depot_base.item');
COPY depot_base.item FROM stdin;
\.
COPY depot_base.item TO stdout;
COPY depot_pass.thing (id, name, extra) FROM stdin;
60	plain	\N
\.
COPY depot_pass.thing ("Code", cents, n, name, size, extra) TO stdout;
TRUNCATE depot_pass.thing CASCADE;
COPY depot.thing TO stdout;

RESET search_path;
SELECT mt.clean('depot');
DROP OWNED BY regress_loader, regress_reader;
DROP ROLE regress_loader, regress_reader;
