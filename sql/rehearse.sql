-- mig_rehearse: up, down and rules on rows that are there, with nothing changed.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE acc (id int PRIMARY KEY, balance numeric(12,3) NOT NULL, src text, qty text, "Odd name" text DEFAULT 'x');
INSERT INTO acc SELECT g, g * 1.005, CASE WHEN g % 3 <> 0 THEN 's' || g END, CASE WHEN g IN (77, 1234) THEN 'many' ELSE g::text END FROM generate_series(1, 3000) g;
ANALYZE acc;
CREATE FUNCTION rehearsed(definition text, up jsonb DEFAULT '{}', down jsonb DEFAULT '{}', rows int DEFAULT 10000)
	RETURNS TABLE (column_name text, finding text, rows bigint, found bigint, sample text, note text) LANGUAGE sql AS $$
	SELECT column_name, finding, rows, CASE WHEN finding = 'time' THEN (found > 0)::int ELSE found END, left(sample::text, 90), note
	  FROM mig_rehearse(definition, rows, jsonb_build_object('up', up, 'down', down))
$$;
SELECT mt.remember('app');

-- What fails, what does not come back, what breaks the rules; size and time
SELECT * FROM rehearsed('ALTER TABLE acc ALTER balance TYPE bigint; ALTER TABLE acc ALTER qty TYPE int; ALTER TABLE acc ALTER src SET NOT NULL; ALTER TABLE acc ADD CONSTRAINT few CHECK (balance < 300000)',
	'{"acc.balance": "(balance * 100)::bigint", "acc.qty": "qty::int"}', '{"acc.balance": "balance / 100.0"}');
-- The same repaired
SELECT * FROM rehearsed('ALTER TABLE acc ALTER balance TYPE bigint; ALTER TABLE acc ALTER qty TYPE int; ALTER TABLE acc ALTER src SET NOT NULL',
	'{"acc.balance": "(balance * 1000)::bigint", "acc.qty": "CASE WHEN qty ~ ''^\\d+$'' THEN qty::int END", "acc.src": "coalesce(src, ''none'')"}', '{"acc.balance": "balance / 1000.0"}');
-- A down that fails; a column that goes; an added one; quoted names; a chain of operations
SELECT * FROM rehearsed('ALTER TABLE acc ALTER balance TYPE bigint', '{"acc.balance": "balance::bigint"}', '{"acc.balance": "1 / (balance % 2)"}');
SELECT * FROM rehearsed('ALTER TABLE acc DROP src', '{}', '{"acc.src": "''was '' || id"}');
SELECT * FROM rehearsed('ALTER TABLE acc ADD total bigint; ALTER TABLE acc RENAME "Odd name" TO "Odder name"; ALTER TABLE acc ALTER "Odder name" TYPE varchar(20)',
	'{"acc.total": "balance * 2", "acc.Odder name": "upper(\"Odder name\")"}', '{"acc.Odder name": "lower(\"Odder name\")"}');
-- A manifest with a name and one without; a definition that changes no values
SELECT finding, rows FROM mig_rehearse('{"name": "n", "operations": [{"rename_column": {"table": "acc", "from": "src", "to": "source"}}]}');
SELECT finding, rows, found FROM mig_rehearse('{"operations": [{"alter_column": {"table": "acc", "column": "qty", "type": "varchar(3)", "up": "qty", "down": "qty"}}]}') WHERE finding <> 'time';
-- Fewer rows
SELECT finding, rows FROM rehearsed('ALTER TABLE acc ALTER qty TYPE varchar(9)', rows => 100) WHERE finding = 'up fails';
-- Functions of the user's run as the table's owner, restricted, and what they write does not stay
CREATE TABLE written (n int);
CREATE FUNCTION writes(n numeric) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.written VALUES (1); RETURN n; END $$;
SELECT finding, found FROM rehearsed('ALTER TABLE acc ALTER balance TYPE bigint', '{"acc.balance": "app.writes(balance)"}', rows => 10) WHERE finding <> 'time';
SELECT count(*) FROM written;
DROP TABLE written;
DROP FUNCTION writes;
-- Partitions
CREATE TABLE parted (id int, a text) PARTITION BY RANGE (id);
CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted2 PARTITION OF parted FOR VALUES FROM (100) TO (1000);
INSERT INTO parted SELECT g, CASE WHEN g IN (5, 105) THEN 'bad' ELSE g::text END FROM generate_series(1, 500) g;
SELECT finding, rows, CASE WHEN finding <> 'time' THEN found END AS found FROM rehearsed('ALTER TABLE parted ALTER a TYPE int', '{"parted.a": "a::int"}');
DROP TABLE parted;
-- Bad input
SELECT d, r, o FROM (VALUES (1, 'ALTER TABLE acc ALTER nothing TYPE int', 10), (2, 'ALTER TABLE acc ALTER qty TYPE int', 0), (3, 'ALTER TABLE acc ALTER qty TYPE int', 1000001), (4, '{"operations": 1}', 10)) x(n, d, r),
	mt.try('SELECT count(*) FROM mig_rehearse(%L, %L)', d, r::text) o ORDER BY n;
SELECT mt.try('SELECT count(*) FROM mig_rehearse(NULL)') UNION ALL SELECT mt.try('SELECT count(*) FROM mig_rehearse(''ALTER TABLE acc DROP src'', NULL)');
-- Nothing is left
SELECT * FROM mt.changes('app');
SELECT relname FROM pg_class WHERE relname LIKE '\_mig%';
SELECT count(*) FROM mig.migration WHERE name LIKE 'rehears%';
RESET search_path;
SELECT mt.clean('app');
