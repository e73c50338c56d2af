# A series of migrations of every sort, exported and done again: on an empty database, and on a copy of what there was before the first of them. The dumps
# are the same, to the order of columns.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use IPC::Run ();
use Test::More;

my $node = mig_node('main');

# What pg_dump says of the whole database
sub dump_of
{
	my ($db) = @_;
	my $out = '';
	IPC::Run::run([ 'pg_dump', '--schema-only', '--no-sync', '-d', $node->connstr($db) ], '>', \$out) or die "pg_dump failed";
	return join("\n", grep { !/^\\(un)?restrict / } split(/\n/, $out)) . "\n";
}

sub run_all
{
	my ($db, $what, @calls) = @_;
	for (@calls)
	{
		my ($name, $start) = @$_;
		my ($rc, $out, $err) = $node->psql($db, "SELECT mig_start($start); CALL mig_wait('$name'); SELECT mig_complete('$name'); CALL mig_wait('$name', until => 'completed');", on_error_stop => 1);
		ok($rc == 0, "$what: $name") or diag($err);
	}
	return;
}

my @migrations = (
	[ '01', q({"operations": [
		{"create_table": {"name": "users", "comment": "people", "columns": [
			{"name": "id", "type": "serial", "pk": true}, {"name": "mail", "type": "varchar(80)", "unique": true}, {"name": "age", "type": "text", "nullable": true, "comment": "in years"},
			{"name": "city", "type": "text", "nullable": true, "default": "'Bonn'", "check": {"name": "city_len", "constraint": "length(city) > 1"}}]}},
		{"create_table": {"name": "Orders", "columns": [{"name": "id", "type": "bigint", "generated": {"identity": {"user_specified_values": "BY DEFAULT"}}}, {"name": "userId", "type": "int"},
			{"name": "cents", "type": "numeric(12,2)", "default": "0"}, {"name": "note", "type": "text", "nullable": true}],
			"constraints": [{"name": "Orders_pk", "type": "primary_key", "columns": ["id"]},
				{"name": "by", "type": "foreign_key", "columns": ["userId"], "references": {"table": "users", "columns": ["id"], "on_delete": "CASCADE"}, "deferrable": true}]}}]}) ],
	[ '02', q(-- a change of type, there and back
		ALTER TABLE users ALTER age TYPE int USING nullif(age, '')::int, ADD born int, ADD CONSTRAINT old CHECK (age < 200);
		ALTER TABLE "Orders" ALTER cents TYPE bigint USING (cents * 100)::bigint),
		q({"up": {"users.born": "2020 - age"}, "down": {"users.age": "coalesce(age::text, '')", "Orders.cents": "cents / 100.0"}, "workers": 1, "operators": ["postgres"]}) ],
	[ '03', q({"version_schema": "with_indexes", "operations": [
		{"create_index": {"name": "z_a", "table": "Orders", "columns": {"userId": {"sort": "DESC", "nulls": "LAST"}, "cents": {}}, "predicate": "cents > 100"}},
		{"create_index": {"name": "users_city", "table": "users", "method": "hash", "columns": {"city": {}}}},
		{"create_constraint": {"table": "users", "name": "mail_city", "type": "unique", "columns": ["mail", "city"], "up": {"mail": "mail", "city": "city"}, "down": {"mail": "mail", "city": "city"}}}]}) ],
	[ '04', q(ALTER TABLE "Orders" RENAME "userId" TO "user"; ALTER TABLE "Orders" RENAME TO orders; ALTER TABLE orders RENAME CONSTRAINT by TO buyer; COMMENT ON TABLE orders IS 'what''s sold';
		COMMENT ON COLUMN orders."user" IS 'who'; ALTER INDEX z_a RENAME TO "a z") ],
	[ '05', q(CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE SEQUENCE numbers INCREMENT 5; CREATE TABLE item (no int DEFAULT nextval('numbers') PRIMARY KEY, "order" bigint REFERENCES orders, mood mood NOT NULL,
		total numeric GENERATED ALWAYS AS (no * 2) STORED) WITH (fillfactor = 70); CREATE INDEX ON item (mood, no DESC) INCLUDE (total); ALTER TABLE users ADD mood mood DEFAULT 'glad') ],
	[ '06', q({"operations": [{"alter_column": {"table": "users", "column": "city", "type": "varchar(40)", "nullable": false, "default": "'Köln'", "comment": "where", "up": "coalesce(city, 'none')",
			"down": "nullif(city, 'none')", "check": {"name": "no_x", "constraint": "city <> 'x'"}}},
		{"add_column": {"table": "orders", "column": {"name": "kind", "type": "char(1)", "check": {"name": "kinds", "constraint": "kind IN ('a', 'b')"}}, "up": "CASE WHEN cents > 5 THEN 'a' ELSE 'b' END"}},
		{"rename_column": {"table": "orders", "from": "note", "to": "select"}}]}) ],
	[ '07', q({"operations": [{"sql": {"up": "CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql AS 'SELECT i * 2'", "down": "DROP FUNCTION twice"}}]}) ],
	[ '08', q(ALTER TABLE users ADD n int GENERATED ALWAYS AS IDENTITY, ALTER born SET NOT NULL, ALTER born SET DEFAULT 1999, DROP CONSTRAINT old; CREATE UNIQUE INDEX one ON users (n, mail); DROP INDEX users_city;
		ALTER TABLE orders ADD twice int DEFAULT twice(4)), q({"up": {"users.born": "coalesce(born, 0)"}, "version_schema": "8"}) ],
	[ '09', q({"operations": [{"set_replica_identity": {"table": "users", "identity": {"type": "index", "index": "one"}}}, {"rename_constraint": {"table": "users", "from": "no_x", "to": "Not x"}},
		{"drop_multicolumn_constraint": {"table": "users", "name": "mail_city", "up": {"city": "city", "mail": "mail"}, "down": {"mail": "mail", "city": "city"}}},
		{"create_constraint": {"table": "item", "name": "it", "type": "foreign_key", "columns": ["no"], "references": {"table": "users", "columns": ["id"]}, "up": {"no": "no"}, "down": {"no": "no"}}}]}) ],
	[ '10', q(ALTER TABLE users DROP age; DROP TABLE item; ALTER TABLE orders DROP "select", ALTER "user" TYPE bigint, ALTER cents TYPE numeric(14,2) USING cents / 100.0),
		q({"down": {"orders.select": "'none'", "orders.cents": "cents * 100", "users.age": "0"}}) ],
	[ '11', q({"ddl": "ALTER TABLE users RENAME TO people; CREATE TABLE users (mail text CONSTRAINT unique_mail UNIQUE, number serial)", "options": {"schema": "public"}}) ]);

sub calls { return map { [ $_->[0], join(', ', map { MigTest::lit($_) } @$_) ] } @_ }

# The source: rows come and go meanwhile, one migration is rolled back, another is not ended
one($node, 'CREATE DATABASE source');
one($node, 'CREATE EXTENSION mig_control', 'source');
my @calls = calls(@migrations);
run_all('source', 'source', @calls[ 0 .. 1 ]);
one($node, q(INSERT INTO users (mail, age) SELECT i, i FROM generate_series(1, 100) i; INSERT INTO "Orders" ("userId", cents) SELECT id, id FROM users), 'source');
start_ok($node, 'no', 'ALTER TABLE users DROP city', undef, 'source');
wait_for($node, 'no', 'ready', 'source');
one($node, "SELECT mig_rollback('no'); SELECT mig_retire('no', '0')", 'source');
run_all('source', 'source', @calls[ 2 .. 5 ]);
one($node, q(INSERT INTO users (mail, born) SELECT 'm' || i, 3 FROM generate_series(1, 100) i), 'source');
run_all('source', 'source', @calls[ 6 .. $#calls ]);
is(one($node, 'SELECT count(*) FROM mig_history()', 'source'), 1 + @migrations, 'all have ended');
is(one($node, "SELECT string_agg(m ->> 'name', ' ') FROM mig_export() m", 'source'), join(' ', map { $_->[0] } @migrations), 'the completed ones are exported in order');

# Each manifest is all that is needed
sub replay
{
	my ($from, $to) = @_;
	run_all($to, $to, map { [ /"name": "(.*?)"/, MigTest::lit($_) ] } split(/\n/, one($node, 'SELECT mig_export()', $from)));
	same_schema_ok(dump_of($from), dump_of($to), "$to has the same dump as $from");
	return;
}
one($node, 'CREATE DATABASE again');
one($node, 'CREATE EXTENSION mig_control', 'again');
replay('source', 'again');
is(one($node, 'SELECT md5(string_agg(m::text, chr(10))) FROM mig_export() m', 'again'), one($node, 'SELECT md5(string_agg(m::text, chr(10))) FROM mig_export() m', 'source'), 'and the same export');

# What there was before the first migration is the baseline: a copy of it, and the manifests
my $baseline = 'CREATE EXTENSION mig_control; CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY, "camelCase" text DEFAULT \'x\'); CREATE TABLE app.u (t int REFERENCES app.t, b int)';
for my $db ('base', 'copy')
{
	one($node, "CREATE DATABASE $db");
	one($node, $baseline, $db);
}
one($node, 'INSERT INTO app.t SELECT i, i FROM generate_series(1, 1000) i', 'base');
run_all('base', 'base', calls(
	[ 'one', 'ALTER TABLE t ALTER id TYPE bigint; ALTER TABLE u ALTER t TYPE bigint', '{"schema": "app"}' ],
	[ 'two', '{"options": {"schema": "app"}, "operations": [{"alter_column": {"table": "t", "column": "camelCase", "type": "int", "up": "\"camelCase\"::int", "down": "\"camelCase\"::text"}}]}', '{"version_schema": "second"}' ]));
replay('base', 'copy');

done_testing();
