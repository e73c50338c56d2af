-- Several operations on one column or table: the second sees the first's result, and the way back composes too.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

-- Type, then NOT NULL, then a new name; the way back from the last to the first
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text, b int DEFAULT 1); CREATE INDEX t_a ON t (a); INSERT INTO t VALUES (1, ''1''), (2, ''2'')',
	'ALTER TABLE t ALTER a TYPE int USING a::int * 10, ALTER a SET NOT NULL, ALTER a SET DEFAULT 5; ALTER TABLE t RENAME a TO amount',
	'INSERT INTO t VALUES (3, ''3'')', 'INSERT INTO t (id, amount) VALUES (4, 40); INSERT INTO t (id) VALUES (5); UPDATE t SET amount = 20 + amount WHERE id = 2',
	'{"down": {"t.a": "(a / 10)::text"}}');
-- A new name first: the type change sees it, options name the column by the old or the new one
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''1''), (2, ''2'')',
	'ALTER TABLE t RENAME a TO n; ALTER TABLE t ALTER n TYPE int USING n::int + 1, ADD CHECK (n > 0)',
	'INSERT INTO t VALUES (3, ''3'')', 'INSERT INTO t (id, n) VALUES (4, 40)', '{"down": {"t.a": "(n - 1)::text"}}');
-- Two type changes of one column
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''1''), (2, NULL)',
	'ALTER TABLE t ALTER a TYPE int USING a::int; ALTER TABLE t ALTER a TYPE numeric(6,2) USING a / 4.0',
	'INSERT INTO t VALUES (3, ''3'')', 'INSERT INTO t VALUES (4, 1.25)', '{"down": {"t.a": "(a * 4)::int"}}');
-- A column added, then changed, commented, renamed; and one added from a changed one
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''11''), (2, ''22'')',
	'ALTER TABLE t ADD b int DEFAULT 3; ALTER TABLE t ALTER b TYPE text USING ''b'' || b, ALTER b SET NOT NULL; COMMENT ON COLUMN t.b IS ''late''; ALTER TABLE t RENAME b TO c',
	'INSERT INTO t VALUES (3, ''33'')', 'INSERT INTO t (id, a, c) VALUES (4, ''44'', ''own'')');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''11''), (2, ''22'')',
	'ALTER TABLE t ALTER a TYPE int USING a::int; ALTER TABLE t ADD twice int',
	'INSERT INTO t VALUES (3, ''33''); UPDATE t SET a = ''111'' WHERE id = 1', 'INSERT INTO t (id, a) VALUES (4, 44); UPDATE t SET a = 222 WHERE id = 2',
	'{"up": {"t.twice": "a * 2"}}');
-- Added and dropped again; dropped and added anew under the same name
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text)', 'ALTER TABLE t ADD b int; ALTER TABLE t DROP b', 'INSERT INTO t VALUES (1, ''x'')', 'INSERT INTO t VALUES (2, ''y'')');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''x'')', 'ALTER TABLE t DROP a; ALTER TABLE t ADD a int DEFAULT 5',
	'INSERT INTO t VALUES (2, ''y'')', 'INSERT INTO t VALUES (3, 3)');
-- A key's and a foreign key's constraint renamed, their columns changed; an expression that qualifies its columns, one of them named like the table
CALL mt.roundtrip('CREATE TABLE q (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, b int REFERENCES q, CHECK (a > 0)); COMMENT ON CONSTRAINT t_b_fkey ON t IS ''kept''; ALTER TABLE t CLUSTER ON t_a_key',
	'ALTER TABLE t RENAME CONSTRAINT t_pkey TO pk; ALTER TABLE t RENAME CONSTRAINT t_a_key TO uq; ALTER TABLE t RENAME CONSTRAINT t_b_fkey TO fk; ALTER TABLE t RENAME CONSTRAINT t_a_check TO ck; '
	'ALTER TABLE t ALTER id TYPE bigint, ALTER a TYPE bigint, ALTER b TYPE bigint', 'INSERT INTO t VALUES (1, 1)', 'INSERT INTO t VALUES (2, 2)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, "table" int, t int); INSERT INTO t VALUES (1, 1, 2)', 'ALTER TABLE t ALTER "table" TYPE bigint USING t."table" + t.t',
	'INSERT INTO t VALUES (2, 2, 3)', 'INSERT INTO t (id, "table", t) VALUES (3, 3, 4)');
-- Renamed in a chain, two that swap names, three in a circle
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1)', 'ALTER TABLE t RENAME a TO b; ALTER TABLE t RENAME b TO c; ALTER TABLE t RENAME c TO d',
	'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t (id, d) VALUES (3, 3)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int CHECK (a < 100), b int DEFAULT 200); CREATE INDEX t_b ON t (b, a); INSERT INTO t VALUES (1, 1, 100)',
	'ALTER TABLE t RENAME a TO tmp; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME tmp TO b',
	'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t (id, b) VALUES (3, 3)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int); INSERT INTO t VALUES (1, 1, 10, 100)',
	'ALTER TABLE t RENAME a TO tmp; ALTER TABLE t RENAME c TO a; ALTER TABLE t RENAME b TO c; ALTER TABLE t RENAME tmp TO b; ALTER TABLE t ALTER a TYPE text',
	'INSERT INTO t VALUES (2, 2, 20, 200)', 'INSERT INTO t (id, a, b, c) VALUES (3, ''300'', 3, 30)');
-- CHECKs over changed columns: the old version's own, carried to the new type; a new one over two changed columns
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, lo int, hi int, CONSTRAINT ordered CHECK (lo < hi)); ALTER TABLE t ADD CONSTRAINT late CHECK (hi < 1000) NOT VALID; '
	'COMMENT ON CONSTRAINT ordered ON t IS ''lo first''; INSERT INTO t VALUES (1, 1, 10)',
	'ALTER TABLE t ALTER lo TYPE bigint USING lo * 100, ALTER hi TYPE bigint USING hi * 100, ADD CONSTRAINT span CHECK (hi - lo < 100000)',
	'INSERT INTO t VALUES (2, 2, 9)', 'INSERT INTO t VALUES (3, 300, 900)', '{"down": {"t.lo": "lo / 100", "t.hi": "hi / 100"}}');
-- Expressions that read other columns, changed ones too
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, ''x'', ''1''), (2, ''y'', ''2'')',
	'ALTER TABLE t ALTER b TYPE int USING b::int; ALTER TABLE t ALTER a TYPE varchar(20) USING a || b + 1',
	'INSERT INTO t VALUES (3, ''z'', ''3''); UPDATE t SET b = ''9'' WHERE id = 1', 'INSERT INTO t VALUES (4, ''own'', 4); UPDATE t SET b = 8 WHERE id = 2');
-- A table renamed, then altered by its new name; several tables, one that takes another's name
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''1'')',
	'ALTER TABLE t RENAME TO u; ALTER TABLE u ALTER a TYPE int USING a::int, ADD b int', 'INSERT INTO t VALUES (2, ''2'')', 'INSERT INTO u VALUES (3, 3, 3)', new_table => 'u');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE s (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1); INSERT INTO s VALUES (100, 100)',
	'ALTER TABLE t RENAME TO t_old; ALTER TABLE s ALTER a TYPE text; ALTER TABLE s RENAME TO t', 'INSERT INTO t VALUES (2, 2); INSERT INTO s VALUES (200, 200)',
	'INSERT INTO t VALUES (300, ''300''); INSERT INTO t_old VALUES (3, 3)');
-- Eight pairs: a state of bigint
CALL mt.roundtrip('CREATE TABLE t (a int, b int, c int, d int, e int, f int, g int, h int, i int); INSERT INTO t VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9)',
	'ALTER TABLE t ALTER a TYPE bigint, ALTER b TYPE bigint, ALTER c TYPE bigint, ALTER d TYPE bigint, ALTER e TYPE text, ALTER f TYPE text, ALTER g TYPE text, ALTER h TYPE text, ALTER i TYPE text',
	'INSERT INTO t VALUES (11, 12, 13, 14, 15, 16, 17, 18, 19)', 'INSERT INTO t VALUES (21, 22, 23, 24, ''25'', ''26'', ''27'', ''28'', ''29''); UPDATE t SET i = ''99'' WHERE a = 1; UPDATE t SET h = NULL WHERE a = 11');
SELECT mt.clean('app', 'twin');
