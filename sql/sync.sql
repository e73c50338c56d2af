-- The sync trigger on a table set up by hand: hidden columns, a view per version, the trigger's arguments.
SET client_min_messages = warning;
SET mig_control.guard = off;
CREATE ROLE regress_sync_owner;
GRANT EXECUTE ON FUNCTION mig.sync() TO regress_sync_owner;
CREATE SCHEMA sync;
CREATE SCHEMA sync_hidden;
CREATE SCHEMA sync_v2;
GRANT ALL ON SCHEMA sync, sync_hidden, sync_v2 TO regress_sync_owner;
SET ROLE regress_sync_owner;
SET search_path = sync;

-- pair 0: balance (euros) and _mig_c1 (cents); pair 1: code (text) and _mig_c2 (int), whose up can fail
CREATE TABLE acct (id int PRIMARY KEY, balance numeric(14,2), code text, note text);
INSERT INTO acct VALUES (1, 1.50, '10', 'before'), (2, 2.50, 'bad', 'before'), (3, NULL, NULL, 'before');
ALTER TABLE acct ADD _mig_state smallint, ADD _mig_c1 bigint, ADD _mig_c2 int;
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON acct FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{search_path=pg_catalog}',
             'balance', '_mig_c1', '((balance * (100)::numeric))::bigint', '((_mig_c1)::numeric / (100)::numeric)',
             'code', '_mig_c2', 'code::int', '_mig_c2::text');
ALTER TABLE acct ENABLE ALWAYS TRIGGER "~mig_sync";

CREATE VIEW sync_hidden.v2_acct AS SELECT id, _mig_c1, _mig_c2, note, _mig_state FROM acct;
ALTER VIEW sync_hidden.v2_acct ALTER _mig_state SET DEFAULT -1;
CREATE VIEW sync_v2.acct AS SELECT id, _mig_c1 AS cents, _mig_c2 AS code, note FROM sync_hidden.v2_acct;

-- Rows with their state, as u(ntouched), b(ackfilled), o(ld), n(ew) per pair
CREATE VIEW look AS
    SELECT id, balance, _mig_c1 AS cents, code, _mig_c2 AS icode, note,
           substr('ubon', (coalesce(_mig_state, 0) & 3) + 1, 1) || substr('ubon', ((coalesce(_mig_state, 0) >> 2) & 3) + 1, 1) AS state
    FROM acct ORDER BY id;

-- INSERT through each version
INSERT INTO acct (id, balance, code) VALUES (10, 10.01, '7');
INSERT INTO sync_v2.acct (id, cents, code) VALUES (11, 1102, 8);
INSERT INTO acct (id, balance, code) VALUES (12, NULL, '9'), (13, 13, NULL);
INSERT INTO sync_v2.acct (id, cents, code) VALUES (14, NULL, 14), (15, 1500, NULL);
INSERT INTO sync_v2.acct (id, cents, code) SELECT id + 10, cents, code FROM sync_v2.acct WHERE id IN (11, 14);
INSERT INTO sync_v2.acct (id) VALUES (16);
PREPARE old_insert AS INSERT INTO acct (id, balance, code) VALUES ($1, $2, $3);
PREPARE new_insert AS INSERT INTO sync_v2.acct (id, cents, code) VALUES ($1, $2, $3) RETURNING *;
EXECUTE old_insert(30, 3.00, '30');
EXECUTE new_insert(31, 310, 31);
CREATE FUNCTION insert_new(int, bigint) RETURNS void LANGUAGE plpgsql SET search_path = sync_v2
    AS $$BEGIN INSERT INTO acct (id, cents) VALUES ($1, $2); END$$;
SELECT insert_new(32, 320);
COPY acct (id, balance, code) FROM stdin;
40	4.04	40
\.
WITH old AS (INSERT INTO acct (id, balance) VALUES (41, 4.1) RETURNING id)
    INSERT INTO sync_v2.acct (id, cents) SELECT id + 1, 420 FROM old;
SELECT * FROM look WHERE id >= 10;

-- ON CONFLICT, both ways
INSERT INTO acct (id, balance, code) VALUES (10, 5, '5') ON CONFLICT (id) DO UPDATE SET balance = excluded.balance;
INSERT INTO sync_v2.acct (id, cents, code) VALUES (11, 500, 5), (1, 175, 5)
    ON CONFLICT (id) DO UPDATE SET cents = excluded.cents RETURNING *;
SELECT * FROM look WHERE id IN (1, 10, 11);

-- An update that touches no pair fills what is untouched; an up that fails leaves its pair so
UPDATE acct SET note = 'touched' WHERE id <= 3;
SELECT * FROM look WHERE id <= 3;

-- UPDATE: old side, new side, both, the same value, NULL
UPDATE acct SET balance = 6 WHERE id = 10;
UPDATE sync_v2.acct SET cents = 700 WHERE id = 11;
UPDATE acct SET balance = 8.00 WHERE id = 12;
UPDATE sync_v2.acct SET cents = 1300 WHERE id = 13;
UPDATE acct SET balance = NULL WHERE id = 15;
UPDATE sync_v2.acct SET code = NULL WHERE id = 14;
UPDATE acct SET balance = 9, _mig_c1 = 901 WHERE id = 30;
UPDATE acct SET balance = 9, _mig_c1 = _mig_c1 WHERE id = 31;
UPDATE acct SET code = 'worse' WHERE id = 40;
SELECT * FROM look WHERE id >= 10;
UPDATE acct SET code = '41' WHERE id = 40;
SELECT * FROM look WHERE id = 40;

-- Composed in one transaction, with a savepoint
BEGIN;
UPDATE acct SET balance = 1 WHERE id = 10;
SAVEPOINT s;
UPDATE sync_v2.acct SET cents = 999 WHERE id = 10;
ROLLBACK TO s;
UPDATE sync_v2.acct SET cents = cents + 1 WHERE id = 10;
COMMIT;
SELECT * FROM look WHERE id = 10;

-- A down that fails fails the write, and names the column
CREATE TABLE narrow (id int PRIMARY KEY, a smallint, s varchar(3), _mig_state smallint, _mig_c1 bigint, _mig_c2 text);
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON narrow FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{}', 'a', '_mig_c1', 'a', '_mig_c1', 's', '_mig_c2', 's', '_mig_c2');
INSERT INTO narrow (id, a, s) VALUES (1, 5, 'abc');
UPDATE narrow SET _mig_c1 = 70000 WHERE id = 1;
UPDATE narrow SET _mig_c2 = 'abcd' WHERE id = 1;
UPDATE narrow SET _mig_c2 = 'x   ' WHERE id = 1;
INSERT INTO narrow (id, _mig_c1, _mig_state) VALUES (2, 70000, -1);
SELECT * FROM narrow ORDER BY id;
SELECT count(*) FROM narrow WHERE _mig_state < 0;

-- Rules that read each other: pair 1's up reads pair 0's old column, which pair 0's down writes
CREATE TABLE chain (id int PRIMARY KEY, a int, b int, _mig_state smallint, _mig_c1 int, _mig_c2 int);
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON chain FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{}', 'a', '_mig_c1', 'a + 1', '_mig_c1 - 1', 'b', '_mig_c2', 'a + b', '_mig_c2 - a');
INSERT INTO chain (id, a, b) VALUES (1, 1, 1);
UPDATE chain SET _mig_c1 = 10 WHERE id = 1 RETURNING a, b, _mig_c1, _mig_c2, _mig_state;
UPDATE chain SET a = 20 WHERE id = 1 RETURNING a, b, _mig_c1, _mig_c2, _mig_state;
UPDATE chain SET _mig_c2 = 100 WHERE id = 1 RETURNING a, b, _mig_c1, _mig_c2, _mig_state;
UPDATE chain SET a = 30 WHERE id = 1 RETURNING a, b, _mig_c1, _mig_c2, _mig_state;
-- columns swapped
UPDATE chain SET a = b, b = a WHERE id = 1 RETURNING a, b, _mig_c1, _mig_c2, _mig_state;

-- An added column (no old one) and a dropped one (no new one)
CREATE TABLE lone (id int PRIMARY KEY, a int, gone text, _mig_state smallint, _mig_c1 int);
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON lone FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{}', '', '_mig_c1', 'a * 2', '', 'gone', '', '', '''made up''');
INSERT INTO lone (id, a, gone) VALUES (1, 1, 'given');
INSERT INTO lone (id, a, _mig_c1, _mig_state) VALUES (2, 2, 222, -1);
UPDATE lone SET a = 3;
SELECT * FROM lone ORDER BY id;
UPDATE lone SET gone = 'new' WHERE id = 2;
UPDATE lone SET _mig_c1 = 7 WHERE id = 1;
SELECT * FROM lone ORDER BY id;

-- Domains, sub-selects, volatile and PL/pgSQL expressions
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE rate (currency text PRIMARY KEY, factor int);
INSERT INTO rate VALUES ('EUR', 100), ('JPY', 1);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN IF $1 = 13 THEN RAISE 'unlucky'; END IF; RETURN $1 * 2; END$$;
CREATE TABLE rich (id int PRIMARY KEY, a int, currency text, _mig_state bigint, _mig_c1 positive, _mig_c2 int, _mig_c3 int, _mig_c4 text);
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON rich FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{search_path=pg_catalog,TimeZone=UTC}',
             'a', '_mig_c1', 'a', '_mig_c1', '', '_mig_c2', '(SELECT a * r.factor FROM sync.rate r WHERE r.currency = t.currency)', '',
             '', '_mig_c3', 'sync.twice(a)', '', '', '_mig_c4', 'current_setting(''TimeZone'') || current_user || current_schema', '');
RESET ROLE;
SET TimeZone = 'Asia/Tokyo';
INSERT INTO sync.rich (id, a, currency) VALUES (1, 5, 'EUR'), (2, -5, 'JPY'), (3, 13, 'XXX');
SHOW TimeZone;
SELECT current_user = session_user AS myself;
SET ROLE regress_sync_owner;
SELECT * FROM rich ORDER BY id;
UPDATE rich SET a = 7, currency = 'EUR' WHERE id > 1;
SELECT * FROM rich ORDER BY id;
-- the function and the domain change under the cached transform, between two rows
CREATE OR REPLACE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN $1 * 3; END$$;
ALTER DOMAIN positive ADD CHECK (VALUE <> 9) NOT VALID;
UPDATE rich SET a = 8 + id WHERE id < 3;
SELECT * FROM rich ORDER BY id;

-- An up that does not compile any more keeps only its own pair from being filled, until it does again
ALTER FUNCTION twice(int) RENAME TO thrice;
UPDATE rich SET a = 11 WHERE id = 1 RETURNING *;
ALTER FUNCTION thrice(int) RENAME TO twice;
UPDATE rich SET id = id WHERE id = 1 RETURNING *;

-- An up whose function writes to the same table
CREATE TABLE self (id int PRIMARY KEY, a int, _mig_state smallint, _mig_c1 int);
CREATE FUNCTION add_child(int) RETURNS int LANGUAGE plpgsql SET search_path = sync AS
    $$BEGIN IF $1 > 0 THEN INSERT INTO self (id, a) VALUES ($1 - 1, $1 - 1); EXECUTE 'COMMENT ON TABLE self IS ' || quote_literal($1); END IF; RETURN $1; END$$;
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON self FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{}', 'a', '_mig_c1', 'a * 10 + sync.add_child(a)', '_mig_c1 / 11');
INSERT INTO self (id, a) VALUES (3, 3);
SELECT * FROM self ORDER BY id;

-- Users' BEFORE triggers between the two sync triggers
CREATE TABLE mid (id int PRIMARY KEY, a int, note text, _mig_state smallint, _mig_c1 int);
CREATE FUNCTION mid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.note := concat_ws(' ', NEW.note, format('saw %s/%s;', NEW.a, NEW._mig_c1));
    IF NEW.a = 100 THEN NEW.a := 101; END IF;
    IF NEW._mig_c1 = 2000 THEN NEW._mig_c1 := 2010; END IF;
    IF NEW.a = 300 THEN NEW.a := 301; NEW._mig_c1 := 3020; END IF;
    IF NEW.a = 400 THEN RETURN NULL; END IF;
    RETURN NEW;
END$$;
CREATE TRIGGER " mig_sync" BEFORE INSERT OR UPDATE ON mid FOR EACH ROW EXECUTE FUNCTION
    mig.sync('first', '_mig_state', '{}', 'a', '_mig_c1', 'a * 10', '_mig_c1 / 10');
CREATE TRIGGER change BEFORE INSERT OR UPDATE ON mid FOR EACH ROW EXECUTE FUNCTION mid_change();
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON mid FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{}', 'a', '_mig_c1', 'a * 10', '_mig_c1 / 10');
INSERT INTO mid (id, a) VALUES (1, 1), (2, 100), (3, 400), (4, 200), (5, 300);
INSERT INTO mid (id, _mig_c1, _mig_state) VALUES (11, 10, -1), (12, 1000, -1), (13, 4000, -1), (14, 2000, -1), (15, 3000, -1);
SELECT * FROM mid ORDER BY id;
UPDATE mid SET a = CASE id WHEN 1 THEN 100 WHEN 2 THEN 400 WHEN 4 THEN 300 ELSE 5 END, note = NULL WHERE id < 10;
UPDATE mid SET _mig_c1 = CASE id WHEN 11 THEN 1000 WHEN 12 THEN 4000 WHEN 14 THEN 50 ELSE 2000 END, note = NULL WHERE id > 10;
INSERT INTO mid (id, a) VALUES (1, 6) ON CONFLICT (id) DO UPDATE SET a = excluded.a, note = NULL;
SELECT * FROM mid ORDER BY id;

-- TOAST: an untouched value is not read, a copy is a value of its own
CREATE TABLE wide (id int PRIMARY KEY, a text, n int, _mig_state smallint, _mig_c1 text);
ALTER TABLE wide ALTER a SET STORAGE EXTERNAL, ALTER _mig_c1 SET STORAGE EXTERNAL;
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON wide FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{}', 'a', '_mig_c1', 'a', '_mig_c1');
INSERT INTO wide (id, a) VALUES (1, repeat('x', 10000));
UPDATE wide SET n = 1;
UPDATE wide SET a = repeat('x', 10000), n = 2;
UPDATE wide SET _mig_c1 = repeat('y', 10001);
UPDATE wide SET n = 3;
SELECT id, length(a), length(_mig_c1), a = _mig_c1 AS equal, n, _mig_state FROM wide;

-- MERGE, generated columns
CREATE TABLE gen (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a + 1) STORED, _mig_state smallint, _mig_c1 int,
    g1 int GENERATED ALWAYS AS (_mig_c1 + 1) STORED);
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON gen FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{}', 'a', '_mig_c1', 'a * 10', '_mig_c1 / 10');
MERGE INTO gen USING (VALUES (1, 1), (2, 2)) AS v(id, a) ON gen.id = v.id
    WHEN MATCHED THEN UPDATE SET a = v.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (v.id, v.a);
MERGE INTO gen USING (VALUES (1, 5), (3, 3)) AS v(id, a) ON gen.id = v.id
    WHEN MATCHED THEN UPDATE SET _mig_c1 = 10 * v.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (v.id, v.a);
SELECT * FROM gen ORDER BY id;

-- Image, not equality: numeric scale counts
CREATE TABLE scale (id int PRIMARY KEY, a numeric, _mig_state smallint, _mig_c1 text);
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON scale FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{}', 'a', '_mig_c1', 'a::text', '_mig_c1::numeric');
INSERT INTO scale (id, a) VALUES (1, 1.0);
UPDATE scale SET a = 1.00;
SELECT * FROM scale;

-- Rows that move between partitions, whose columns have other numbers
CREATE TABLE part (id int, region text, a int, _mig_state smallint, _mig_c1 int) PARTITION BY LIST (region);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a');
CREATE TABLE part_b (_mig_c1 int, gone int, a int, region text, id int, _mig_state smallint);
ALTER TABLE part_b DROP gone;
ALTER TABLE part ATTACH PARTITION part_b FOR VALUES IN ('b');
CREATE TRIGGER "~mig_sync" BEFORE INSERT OR UPDATE ON part FOR EACH ROW EXECUTE FUNCTION
    mig.sync('last', '_mig_state', '{}', 'a', '_mig_c1', 'a * 10', '_mig_c1 / 10');
INSERT INTO part (id, region, a) VALUES (1, 'a', 1), (2, 'b', 2);
UPDATE part SET region = 'b', a = 5 WHERE id = 1;
UPDATE part SET region = 'a', _mig_c1 = 79 WHERE id = 2;
SELECT tableoid::regclass, * FROM part ORDER BY id;

-- Rules of the new version that are not constraints yet
CREATE VIEW sync_hidden.v2_held AS
    SELECT id, _mig_c1, note, _mig_state FROM acct
    WHERE mig.holds(xmin, cmin, 'sync.acct'::regclass, 'n', NULL, 'cents', _mig_c1 IS NOT NULL)
      AND mig.holds(xmin, cmin, 'sync.acct'::regclass, 'c', 'cents_check', NULL, _mig_c1 >= 0)
    WITH LOCAL CHECK OPTION;
ALTER VIEW sync_hidden.v2_held ALTER _mig_state SET DEFAULT -1;
CREATE VIEW sync_v2.held AS SELECT id, _mig_c1 AS cents, note FROM sync_hidden.v2_held;
\set VERBOSITY verbose
\set SHOW_CONTEXT never
BEGIN;
INSERT INTO acct (id, balance) VALUES (50, NULL), (51, -1), (52, 52);
SELECT count(*) FROM sync_v2.held WHERE id >= 50;
UPDATE sync_v2.held SET note = 'x' WHERE id = 52;
SELECT count(*) FROM sync_v2.held WHERE id >= 50;
COMMIT;
\set VERBOSITY sqlstate
INSERT INTO sync_v2.held (id) VALUES (53);
INSERT INTO sync_v2.held (id, cents) VALUES (53, -5);
UPDATE sync_v2.held SET cents = NULL WHERE id = 52;
UPDATE sync_v2.held SET cents = -1 WHERE id = 52;
UPDATE sync_v2.held SET note = 'y' WHERE id = 51;
\set VERBOSITY default
INSERT INTO sync_v2.held (id) VALUES (53);
INSERT INTO sync_v2.held (id, cents) VALUES (53, -5);
INSERT INTO sync_v2.held (id, cents) VALUES (53, 5) RETURNING *;
CREATE FUNCTION estimate(query text) RETURNS jsonb LANGUAGE plpgsql AS
    $$DECLARE plan json; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan; RETURN plan #> '{0,Plan,Plan Rows}'; END$$;
SELECT estimate('SELECT * FROM sync_v2.held') = estimate('SELECT * FROM sync.acct') AS same_estimate;

-- A closed version
CREATE VIEW sync_v2.shut AS SELECT NULL::int AS a FROM mig.closed('version "sync_v2" is closed', 'Use "sync".') AS c;
CREATE TRIGGER closed INSTEAD OF INSERT ON sync_v2.shut FOR EACH ROW EXECUTE FUNCTION mig.closed_write('version "sync_v2" is closed', 'Use "sync".');
SELECT * FROM sync_v2.shut;
INSERT INTO sync_v2.shut VALUES (1);

-- Called wrongly
SELECT mig.sync();
\set VERBOSITY sqlstate
CREATE TABLE wrong (a int);
CREATE TRIGGER w AFTER INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION mig.sync('last', 'a', '{}');
INSERT INTO wrong VALUES (1);
DROP TRIGGER w ON wrong;
CREATE TRIGGER w BEFORE INSERT ON wrong EXECUTE FUNCTION mig.sync('last', 'a', '{}');
INSERT INTO wrong VALUES (1);
DROP TRIGGER w ON wrong;
CREATE TRIGGER w BEFORE DELETE ON wrong FOR EACH ROW EXECUTE FUNCTION mig.sync('last', 'a', '{}');
INSERT INTO wrong VALUES (1);
DELETE FROM wrong;
DROP TRIGGER w ON wrong;
CREATE TRIGGER w BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION mig.sync('last', 'a');
INSERT INTO wrong VALUES (1);
DROP TRIGGER w ON wrong;
CREATE TRIGGER w BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION mig.sync('last', 'b', '{}');
INSERT INTO wrong VALUES (1);
DROP TRIGGER w ON wrong;
CREATE TRIGGER w BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION mig.sync();
INSERT INTO wrong VALUES (1);

\set VERBOSITY default
RESET ROLE;
RESET TimeZone;
SET client_min_messages = error;
DROP SCHEMA sync, sync_hidden, sync_v2 CASCADE;
REVOKE EXECUTE ON FUNCTION mig.sync() FROM regress_sync_owner;
DROP ROLE regress_sync_owner;
