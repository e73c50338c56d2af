-- Each operation of a manifest, there and back.
\getenv abs_srcdir PG_ABS_SRCDIR
\set helper :abs_srcdir '/test/sql/helper.sql'
\i :helper

-- add_column
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''x'')',
	'{"operations": [{"add_column": {"table": "t", "column": {"name": "b", "type": "varchar(5)", "nullable": true, "comment": "it''s new"}}}]}',
	'INSERT INTO t VALUES (2, ''y'')', 'INSERT INTO t VALUES (3, ''z'', ''own'')', plain => 'ALTER TABLE t ADD b varchar(5); COMMENT ON COLUMN t.b IS ''it''''s new''');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''x''), (2, NULL)',
	'{"operations": [{"add_column": {"table": "t", "up": "length(coalesce(a, ''''))", "column": {"name": "b", "type": "integer", "default": "7", "check": {"name": "b_small", "constraint": "b < 10"}}}}]}',
	'INSERT INTO t VALUES (3, ''old'')', 'INSERT INTO t (id) VALUES (4); INSERT INTO t VALUES (5, ''five'', 5)', plain => 'ALTER TABLE t ADD b int NOT NULL DEFAULT 7 CONSTRAINT b_small CHECK (b < 10)');

-- drop_column
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, b int); INSERT INTO t VALUES (1, ''x'', 1)',
	'{"operations": [{"drop_column": {"table": "t", "column": "a", "down": "''n'' || b"}}]}', 'INSERT INTO t VALUES (2, ''y'', 2)', 'INSERT INTO t VALUES (3, 3)', plain => 'ALTER TABLE t DROP a');

-- rename_column, rename_table, rename_constraint
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text CONSTRAINT c CHECK (a <> ''''))',
	'{"operations": [{"rename_column": {"table": "t", "from": "a", "to": "A b"}}, {"rename_constraint": {"table": "t", "from": "c", "to": "C d"}}, {"rename_table": {"from": "t", "to": "T u"}}]}',
	'INSERT INTO t VALUES (1, ''x'')', 'INSERT INTO "T u" (id, "A b") VALUES (2, ''y'')', new_table => 'T u',
	plain => 'ALTER TABLE t RENAME a TO "A b"; ALTER TABLE t RENAME CONSTRAINT c TO "C d"; ALTER TABLE t RENAME TO "T u"');

-- alter_column: everything at once; each alone
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, ''1''), (2, NULL)',
	'{"operations": [{"alter_column": {"table": "t", "column": "a", "type": "integer", "nullable": false, "default": "9", "comment": "number", "check": {"name": "a_small", "constraint": "a < 100"}, "up": "coalesce(a::int, 0)", "down": "a::text"}}]}',
	'INSERT INTO t VALUES (3, ''3''), (4, NULL)', 'INSERT INTO t (id) VALUES (5); INSERT INTO t VALUES (6, 6)',
	plain => 'UPDATE t SET a = coalesce(a, ''0''); ALTER TABLE t ALTER a TYPE int USING a::int, ALTER a SET NOT NULL, ALTER a SET DEFAULT 9, ADD CONSTRAINT a_small CHECK (a < 100); COMMENT ON COLUMN t.a IS ''number''');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL DEFAULT 1, b int); COMMENT ON COLUMN t.b IS ''gone''; INSERT INTO t VALUES (1, 1, 1)',
	'{"operations": [{"alter_column": {"table": "t", "column": "a", "nullable": true, "down": "coalesce(a, -1)"}}, {"alter_column": {"table": "t", "column": "a", "default": null}}, {"alter_column": {"table": "t", "column": "b", "comment": null}}, {"alter_column": {"table": "t", "column": "b", "nullable": false, "up": "b"}}]}',
	'INSERT INTO t VALUES (2, 2, 2)', 'INSERT INTO t VALUES (3, NULL, 3)', plain => 'ALTER TABLE t ALTER a DROP NOT NULL, ALTER a DROP DEFAULT, ALTER b SET NOT NULL; COMMENT ON COLUMN t.b IS NULL');

-- create_constraint, of two columns of which one changes; drop_constraint; drop_multicolumn_constraint
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 1, 10), (2, -2, 20)',
	'{"operations": [{"create_constraint": {"table": "t", "name": "order", "type": "check", "columns": ["a", "b"], "check": "a >= 0 AND a < b", "up": {"a": "greatest(a, 0)", "b": "b"}, "down": {"a": "a", "b": "b"}}}]}',
	'INSERT INTO t VALUES (3, -3, 30)', 'INSERT INTO t VALUES (4, 4, 40)', plain => 'UPDATE t SET a = 0 WHERE a < 0; ALTER TABLE t ADD CONSTRAINT "order" CHECK (a >= 0 AND a < b)');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int CONSTRAINT k CHECK (a > 0)); INSERT INTO t VALUES (1, 1)',
	'{"operations": [{"drop_constraint": {"table": "t", "name": "k", "up": "a", "down": "greatest(a, 1)"}}]}', 'INSERT INTO t VALUES (2, 2)', 'INSERT INTO t VALUES (3, -3)', plain => 'ALTER TABLE t DROP CONSTRAINT k');
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, a int, b int, CONSTRAINT k CHECK (a < b)); INSERT INTO t VALUES (1, 1, 2)',
	'{"operations": [{"drop_multicolumn_constraint": {"table": "t", "name": "k", "down": {"a": "least(a, -1000)", "b": "greatest(b, 0)"}}}]}', 'INSERT INTO t VALUES (2, 2, 3)', 'INSERT INTO t VALUES (3, 3, 0)', plain => 'ALTER TABLE t DROP CONSTRAINT k');

-- White space and comments before, Unicode escapes, "" as not given
CALL mt.roundtrip('CREATE TABLE t (id int PRIMARY KEY, "\ä" text)',
	'
	{"version_schema": "\u00e4nderung", "operations": [{"rename_column": {"table": "t", "from": "\\\u00e4", "to": "\"\uD83D\uDE00\""}}, {"add_column": {"table": "t", "up": "", "column": {"name": "n", "type": "int", "default": "", "comment": "", "nullable": true, "pk": false, "unique": false}}}]}',
	'INSERT INTO t VALUES (1, ''x'')', 'INSERT INTO t VALUES (2, ''y'', 2)', plain => 'ALTER TABLE t RENAME "\ä" TO """😀"""; ALTER TABLE t ADD n int');
SELECT mt.clean('app', 'twin');
