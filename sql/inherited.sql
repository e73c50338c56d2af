-- Conversions of a table with children (INHERITS).
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

CREATE SCHEMA kin;
SET search_path = kin;
CREATE TABLE p (id int PRIMARY KEY, amount numeric(10,2) CHECK (amount > -1000), src text);
CREATE TABLE c1 (extra int) INHERITS (p);
CREATE TABLE c2 (junk int) INHERITS (p);
ALTER TABLE c2 DROP junk;
CREATE TABLE c11 () INHERITS (c1);
INSERT INTO p SELECT g, g / 100.0, 'p' FROM generate_series(1, 1000) g;
INSERT INTO c1 SELECT g, g / 100.0, 'c1', g FROM generate_series(1001, 2000) g;
INSERT INTO c2 SELECT g, g / 100.0, 'c2' FROM generate_series(2001, 3000) g;
INSERT INTO c11 SELECT g, g / 100.0, 'c11', g FROM generate_series(3001, 4000) g;
CREATE TABLE twin AS SELECT * FROM p;
\set definition 'ALTER TABLE p ALTER amount TYPE bigint USING (amount * 100)::bigint; ALTER TABLE p ADD tag text NOT NULL DEFAULT ''t''; ALTER TABLE p RENAME src TO origin'
\set options '{"schema": "kin", "down": {"p.amount": "amount / 100.0"}, "up": {"p.tag": "''t'' || id"}}'
SELECT mt.remember('kin');
SELECT mig_start('i', :'definition', :'options');
CALL mig_wait('i');
SELECT count(*), count(*) FILTER (WHERE (v.amount, v.tag) IS DISTINCT FROM ((t.amount * 100)::bigint, 't' || t.id)) AS differ FROM kin_i.p v FULL JOIN twin t USING (id);
UPDATE kin_i.p SET amount = 7 WHERE id IN (1, 1500, 2500, 3500);
UPDATE p SET amount = 8 WHERE id IN (2, 1501, 2501, 3501);
UPDATE c11 SET amount = 9 WHERE id = 3502;
INSERT INTO c2 (id, amount) VALUES (9001, 5);
INSERT INTO kin_i.p VALUES (9002, 600, 'new', 'x');
DELETE FROM kin_i.p WHERE id = 3503;
SELECT p.tableoid::regclass, id, p.amount AS old, v.amount AS new, v.tag FROM p JOIN kin_i.p v USING (id) WHERE id IN (1, 2, 1500, 1501, 2500, 2501, 3500, 3501, 3502, 9001, 9002) ORDER BY id;
SELECT mt.try('UPDATE kin_i.p SET tag = NULL WHERE id = 2500') UNION ALL SELECT mt.try('SELECT * FROM kin_i.c11');
SELECT relation, checked, divergent FROM mig_validate('i');
-- Its family stays as it is meanwhile
SELECT s, o FROM (VALUES (1, 'CREATE TABLE more () INHERITS (p)'), (2, 'ALTER TABLE twin INHERIT p'), (3, 'ALTER TABLE c2 NO INHERIT p'), (4, 'ALTER TABLE c11 ADD x int'), (5, 'DROP TABLE c2')) x (n, s), mt.try(s) o WHERE o ~ '^\d|^no' ORDER BY n;
SELECT mig_rollback('i');
SELECT * FROM mt.changes('kin');
SELECT mig_start('i', :'definition', :'options');
CALL mig_wait('i');
SELECT mig_complete('i');
CALL mig_wait('i', 'completed');
SELECT c.relname, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END, ', ' ORDER BY a.attnum) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	WHERE c.relname IN ('p', 'c1', 'c2', 'c11') AND c.relnamespace = 'kin'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped GROUP BY 1 ORDER BY 1;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid), coninhcount FROM pg_constraint WHERE connamespace = 'kin'::regnamespace ORDER BY 1, 2;
SELECT tableoid::regclass, id, amount, tag FROM p WHERE id IN (1, 2, 1500, 1501, 2500, 2501, 3500, 3501, 3502, 9001, 9002) ORDER BY id;
SELECT count(*) FROM kin_i.c11;
SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'kin'::regnamespace AND NOT tgisinternal;

-- What is refused
CREATE TABLE other (z int);
CREATE TABLE two () INHERITS (p, other);
SELECT mt.refused('ALTER TABLE p ALTER amount TYPE numeric');
DROP TABLE two;
CREATE INDEX own ON c11 (amount);
SELECT mt.refused('ALTER TABLE p ALTER amount TYPE numeric');
DROP INDEX own;
CREATE VIEW sees AS SELECT amount FROM c2;
SELECT mt.refused('ALTER TABLE p ALTER amount TYPE numeric');
DROP VIEW sees;
ALTER TABLE c2 ADD CONSTRAINT own CHECK (amount < 1000000);
SELECT mt.refused('ALTER TABLE p ALTER amount TYPE numeric');
ALTER TABLE c2 DROP CONSTRAINT own;
SELECT mt.refused('ALTER TABLE c1 ALTER extra TYPE bigint');
ALTER TABLE c2 NO INHERIT p;
ALTER TABLE c2 INHERIT p;
SELECT mt.refused('ALTER TABLE p ALTER amount TYPE numeric');
RESET search_path;
SELECT mt.clean('kin');
