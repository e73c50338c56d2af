# What pg_dump sees: the same as after the plain ALTER TABLE when a migration is completed, the same as before when it is rolled back, in whichever phase;
# and a dump from the middle makes a database in which nothing goes on and nothing is broken.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', conf => "mig_control.batch_pages = 16\n");
my $tables = <<'SQL';
CREATE TABLE kind (code text PRIMARY KEY);
INSERT INTO kind VALUES ('a'), ('b');
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2) NOT NULL DEFAULT 1.5 CHECK (a >= 0), b text COLLATE "C", c text REFERENCES kind, d int, e date DEFAULT now());
COMMENT ON TABLE t IS 'the table'; COMMENT ON COLUMN t.a IS 'an amount'; COMMENT ON COLUMN t.b IS 'some text';
CREATE INDEX t_a ON t (a DESC NULLS LAST) INCLUDE (d) WITH (fillfactor = 80);
CREATE UNIQUE INDEX t_ab ON t (a, id) WHERE d > 3;
CREATE INDEX t_expr ON t ((a + 1)) WHERE b IS NOT NULL;
ALTER TABLE t ADD CONSTRAINT t_uq UNIQUE (id, a), ADD CONSTRAINT t_ck CHECK (a < 1000000 AND d < 100);
CREATE STATISTICS t_stat ON d, id FROM t;
ALTER TABLE t ALTER d SET STATISTICS 50;
INSERT INTO t SELECT i, i / 7.0, CASE WHEN i % 3 = 0 THEN 'b' || i END, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, i % 10 FROM generate_series(1, 10000) i;
CREATE TABLE child (t_id bigint REFERENCES t ON DELETE CASCADE);
GRANT SELECT ON t TO PUBLIC;
GRANT UPDATE (a, d) ON t TO pg_monitor;
CREATE TABLE "T 2" (id int GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 3 CYCLE) PRIMARY KEY, n serial, d int, "camelCase" varchar(10) COLLATE "C", "select" int[], r int4range, ts tsvector) WITH (fillfactor = 70, toast.autovacuum_enabled = false);
CREATE INDEX "B" ON "T 2" ("camelCase" text_pattern_ops DESC NULLS LAST, id) INCLUDE (n) WITH (fillfactor = 60); ALTER TABLE "T 2" CLUSTER ON "B";
CREATE UNIQUE INDEX ident ON "T 2" (n); ALTER TABLE "T 2" REPLICA IDENTITY USING INDEX ident;
CREATE INDEX h ON "T 2" USING hash ("camelCase"); CREATE INDEX g ON "T 2" USING gin ("select") WITH (fastupdate = off); CREATE INDEX s ON "T 2" USING spgist (r);
CREATE INDEX br ON "T 2" USING brin (n, "camelCase" text_bloom_ops (false_positive_rate = 0.05)) WITH (pages_per_range = 4); CREATE INDEX gs ON "T 2" USING gist (ts tsvector_ops (siglen = 100), r);
CREATE INDEX ex ON "T 2" (lower("camelCase"), (n + id)) WHERE n > 3 AND "camelCase" IS NOT NULL; ALTER INDEX ex ALTER COLUMN 2 SET STATISTICS 300; COMMENT ON INDEX ex IS 'expressions';
ALTER TABLE "T 2" ADD CONSTRAINT "Uq" UNIQUE (n, d) INCLUDE ("camelCase") DEFERRABLE, ADD CONSTRAINT ckn CHECK (n < 100000) NOT VALID, ENABLE ROW LEVEL SECURITY; COMMENT ON CONSTRAINT "Uq" ON "T 2" IS 'a key';
ALTER TABLE "T 2" ALTER "camelCase" SET STATISTICS 17, ALTER n SET (n_distinct = -0.5); COMMENT ON COLUMN "T 2"."camelCase" IS 'it''s'; COMMENT ON SEQUENCE "T 2_id_seq" IS 'numbers'; GRANT USAGE ON SEQUENCE "T 2_id_seq" TO pg_monitor;
INSERT INTO "T 2" (d, "camelCase") VALUES (1, 'one'), (2, 'two');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
SQL

# What uses columns that change: the plain way has to drop it first
my $users = <<'SQL';
CREATE VIEW v1 WITH (security_barrier) AS SELECT id, upper("camelCase") AS up, n FROM "T 2" WHERE n <> 7 WITH LOCAL CHECK OPTION;
CREATE VIEW "V 2" (one, two) AS SELECT v1.n, count(*) FROM v1 JOIN "T 2" USING (id) GROUP BY v1.n;
ALTER VIEW v1 ALTER n SET DEFAULT 9; COMMENT ON VIEW v1 IS 'a view'; GRANT SELECT ON v1 TO PUBLIC; GRANT UPDATE (two) ON "V 2" TO pg_monitor;
CREATE POLICY p ON "T 2" AS RESTRICTIVE FOR UPDATE TO pg_monitor USING (n > 0) WITH CHECK ("camelCase" <> 'x'); COMMENT ON POLICY p ON "T 2" IS 'a policy';
CREATE STATISTICS st (mcv) ON id, n FROM "T 2"; ALTER STATISTICS st SET STATISTICS 77;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF d, n ON "T 2" FOR EACH ROW EXECUTE FUNCTION touch(); ALTER TABLE "T 2" ENABLE ALWAYS TRIGGER touch;
CREATE CONSTRAINT TRIGGER later AFTER UPDATE OF "camelCase" ON "T 2" DEFERRABLE FOR EACH ROW WHEN (NEW.n > 3) EXECUTE FUNCTION touch();
CREATE PUBLICATION pub FOR TABLE "T 2" (id, n) WHERE (n > 3);
CREATE FUNCTION f(x int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT sum(n) FROM "T 2" WHERE "camelCase" = x::text; END;
GRANT EXECUTE ON FUNCTION f TO pg_monitor;
SQL
my $drop_users = 'DROP FUNCTION f; DROP PUBLICATION pub; DROP TRIGGER later ON "T 2"; DROP TRIGGER touch ON "T 2"; DROP STATISTICS st; DROP POLICY p ON "T 2"; DROP VIEW "V 2", v1';
my $ddl = "ALTER TABLE t ALTER COLUMN a TYPE numeric(20,4); ALTER TABLE t ALTER COLUMN b SET NOT NULL; ALTER TABLE t RENAME COLUMN c TO kind; ALTER TABLE t DROP COLUMN e; "
  . "ALTER TABLE t ADD COLUMN f int NOT NULL DEFAULT 7; ALTER TABLE t ADD CONSTRAINT t_d CHECK (d >= 0); ALTER TABLE t ALTER COLUMN d SET DEFAULT 3; "
  . 'ALTER TABLE "T 2" ALTER id TYPE bigint, ALTER n TYPE bigint, ALTER "camelCase" TYPE varchar(30) COLLATE "C", ALTER "select" TYPE bigint[], ALTER r TYPE int4range USING r, ALTER ts TYPE tsvector USING ts';
my $options = q({"up": {"t.b": "coalesce(b, 'none')"}, "down": {"t.a": "a::numeric(12,2)", "t.e": "'2020-01-01'"}});

sub database { my ($db) = @_; one($node, "CREATE DATABASE $db"); one($node, "CREATE EXTENSION mig_control; $tables $users", $db); return }

# The plain way
database('plain');
my $before = schema_dump($node, 'plain');
one($node, "UPDATE t SET b = 'none' WHERE b IS NULL", 'plain');
one($node, "$drop_users; $ddl; ALTER SEQUENCE \"T 2_n_seq\" AS bigint; $users", 'plain');
my $after = schema_dump($node, 'plain');

# Completed
database('forth');
same_schema_ok(schema_dump($node, 'forth'), $before, 'two databases made alike dump alike');
start_ok($node, 'v', $ddl, $options, 'forth');
wait_for($node, 'v', 'ready', 'forth');
one($node, "SELECT mig_complete('v')", 'forth');
wait_for($node, 'v', 'completed', 'forth');
same_schema_ok(schema_dump($node, 'forth'), $after, 'completed: as the plain ALTER TABLE makes it');
same_ok($node, 'SELECT id, a, b, kind, d, f FROM t', "SELECT id, (i / 7.0)::numeric(12,2)::numeric(20,4), coalesce(CASE WHEN i % 3 = 0 THEN 'b' || i END, 'none'), CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, i % 10, 7 FROM generate_series(1, 10000) i, LATERAL (SELECT i::bigint AS id) x", 'so are its rows', 'forth');

# Rolled back, from each step
my @steps = split(/\n/, one($node, "SELECT min(no) FROM mig.step WHERE phase <> 'expand' GROUP BY grp ORDER BY 1", 'forth'));
@steps = @steps[ 0, int(@steps / 3), int(@steps * 2 / 3), $#steps ] unless test_all();
database('back');
my $contract = one($node, "SELECT min(no) FROM mig.step WHERE phase = 'contract'", 'forth');
my $run = 0;
for my $step (@steps, 0)
{
	my $name = 'v' . ++$run;
	my $at = $step ? "before step $step" : 'when ready, after use';
	stop_before($node, $step || undef);
	start_ok($node, $name, $ddl, $options, 'back');
	if ($step == 0 || $step >= $contract)
	{
		wait_for($node, $name, 'ready', 'back');
		one($node, "UPDATE public_$name.t SET a = a + 0.0001, b = b || '+' WHERE id % 100 = 0; INSERT INTO public_$name.t (id, a, b, kind, f) VALUES (100000 + $run, 3, 'x', 'a', 1)", 'back');
	}
	one($node, "SELECT mig_complete('$name')", 'back') if $step >= $contract;
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM mig.step s JOIN mig.migration m ON m.id = s.migration_id WHERE m.name = '$name' AND s.no < $step AND s.done_at IS NULL)", "$at: stopped there", 'back') if $step;
	one($node, "SELECT mig_rollback('$name')", 'back');
	same_schema_ok(schema_dump($node, 'back'), $before, "$at: rolled back, as it was before");
}
stop_before($node, undef);
is(one($node, "SELECT array_agg(DISTINCT e::text) FROM t WHERE id > 100000", 'back'), '{2020-01-01}', 'rows of new clients stay, converted by down');

# A dump from the middle, restored beside it
my $dump = $node->basedir . '/middle.sql';
database('middle');
my $hold = start_held($node, 'v', $ddl, $options, 'middle', 'SELECT FROM t WHERE id = 77 FOR UPDATE');
$node->command_ok([ 'pg_dump', '--no-sync', '-f', $dump, '-d', $node->connstr('middle') ], 'pg_dump in the middle');
one($node, 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('copy'), '-f', $dump ], 'and restored');
is(one($node, 'SELECT count(*) FROM mig_status()', 'copy'), '0', 'the copy shows no migration');
cmp_ok(one($node, 'SELECT count(*) FROM mig.migration', 'copy'), '==', 1, 'though its rows are there');
same_ok($node, 'SELECT id, a, b, c, d FROM t', "SELECT id, (i / 7.0)::numeric(12,2), CASE WHEN i % 3 = 0 THEN 'b' || i END, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, i % 10 FROM generate_series(1, 10000) i, LATERAL (SELECT i::bigint AS id) x", 'the copy has all rows', 'copy');
is($node->psql('copy', "INSERT INTO t (id, a, c) VALUES (20000, 1, 'a'); UPDATE t SET a = a + 1 WHERE id <= 10; DELETE FROM t WHERE id = 11; CALL mig_tick('100 ms')"), 0, 'its table can be written to');
$hold->quit;
wait_for($node, 'v', 'ready', 'middle');
is(one($node, 'SELECT phase FROM mig.migration', 'copy'), 'backfilling', 'nobody went on in the copy');
cmp_ok(one($node, 'SELECT count(*) FROM t WHERE _mig_state IS NULL', 'copy'), '>', 0, 'nor filled its rows');
is($node->psql('copy', 'ALTER TABLE t ADD COLUMN extra int; DROP EXTENSION mig_control CASCADE'), 0, 'its table can be altered, and the extension dropped');
is($node->psql('copy', "INSERT INTO t (id, a, c) VALUES (20001, 1, 'a'); UPDATE t SET a = a + 1 WHERE id <= 20"), 0, 'without the extension the table can be written to');

# Restored in the place of the dumped one, under its name: still a copy
one($node, 'DROP DATABASE middle');	# its migration is ready, and watched: the worker makes room
one($node, 'CREATE DATABASE middle');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('middle'), '-f', $dump ], 'restored under the old name');
is(one($node, 'SELECT count(*) FROM mig_status()', 'middle'), '0', 'it shows no migration');
one($node, "CALL mig_tick('100 ms')", 'middle');
is(one($node, 'SELECT phase FROM mig.migration', 'middle'), 'backfilling', 'nobody goes on with it');

# A database that is renamed stays the one it was
one($node, "SELECT mig_start('w', 'ALTER TABLE kind ADD COLUMN g int', '{\"hold\": [\"ready\"]}')", 'plain');
wait_until($node, "SELECT paused FROM mig_status('w')", 'held before ready', 'plain');
one($node, 'ALTER DATABASE plain RENAME TO simple');
one($node, "SELECT mig_resume('w')", 'simple');
wait_for($node, 'w', 'ready', 'simple');

no_crash_ok($node);
$node->stop;
done_testing();
