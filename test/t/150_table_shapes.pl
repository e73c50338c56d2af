# Tables that something happens to in the middle of a backfill: rewritten (VACUUM FULL, CLUSTER), emptied, cut short, unlogged and emptied by a crash, their
# rows locked for long.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', conf => "mig_control.max_workers = 2\nmig_control.batch_pages = 4\nmig_control.range_pages = 32\n");
my $definition = 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint';
my $options = '{"down": {"t.a": "a / 100.0"}}';
my $rows = 20000;

# A database with the table, and its migration held in the middle of the fill by a locked row
sub begin
{
	my ($db, $kind, $lock) = @_;
	one($node, "CREATE DATABASE $db");
	one($node, <<SQL, $db);
CREATE EXTENSION mig_control;
CREATE $kind TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text) WITH (autovacuum_enabled = off);
INSERT INTO t SELECT i, i / 7.0, 'b' || i FROM generate_series(1, $rows) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE plain AS SELECT * FROM t;
SQL
	return start_held($node, 'v', $definition, $options, $db, $lock || 'SELECT FROM t WHERE id = 77 FOR UPDATE');
}

sub ready_ok
{
	my ($db, $n) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, 'v', 'ready', $db);
	same_ok($node, 'SELECT id, a, b FROM public_v.t', 'SELECT id, (a * 100)::bigint, b FROM plain', "$db: the new version's rows", $db);
	same_ok($node, 'SELECT id, a, b FROM t', 'SELECT * FROM plain', "$db: the old version's rows", $db);
	is(one($node, 'SELECT count(*) FROM t', $db), $n // $rows, "$db: all rows are there");
	one($node, "SELECT mig_complete('v')", $db);
	wait_for($node, 'v', 'completed', $db);
	same_ok($node, 'SELECT id, a, b FROM t', 'SELECT id, (a * 100)::bigint, b FROM plain', "$db: and in the table", $db);
	return;
}

# What is done while some rows have their values and others have not: the filled ones move; block numbers mean something else afterwards.
my %rewrites = (
	vacuum_full => 'DELETE FROM t WHERE id % 2 = 0; DELETE FROM plain WHERE id % 2 = 0; VACUUM FULL t',
	cluster => 'DELETE FROM t WHERE id % 3 = 0; DELETE FROM plain WHERE id % 3 = 0; CLUSTER t USING t_a',
	cut_short => 'DELETE FROM t WHERE id > 5000; DELETE FROM plain WHERE id > 5000; VACUUM (FREEZE, TRUNCATE) t',
	emptied => 'TRUNCATE t; TRUNCATE plain; INSERT INTO t VALUES (1, 1, 1); INSERT INTO plain VALUES (1, 1, 1)',
	reloaded => 'BEGIN; TRUNCATE t; INSERT INTO t SELECT * FROM plain; COMMIT');
for my $db (sort keys %rewrites)
{
	my $hold = begin($db);
	my $before = one($node, "SELECT relfilenode FROM pg_class WHERE oid = 't'::regclass", $db);
	my $unfilled = one($node, "SELECT count(*) FROM t WHERE _mig_state IS NULL", $db);
	cmp_ok($unfilled, '>', 0, "$db: rows are left to be filled");
	$hold->quit;
	one($node, "SELECT mig_pause('v', '$db')", $db);
	# one statement at a time: VACUUM takes no transaction block
	$node->safe_psql($db, "SET lock_timeout = '60s'; SET mig_control.guard = off;\n" . join(";\n", split(/;\s*/, $rewrites{$db})) . ';');
	isnt(one($node, "SELECT relfilenode FROM pg_class WHERE oid = 't'::regclass", $db), $before, "$db: the table has another file") if $db ne 'cut_short';
	one($node, "SELECT mig_resume('v')", $db);
	ready_ok($db, one($node, 'SELECT count(*) FROM plain', $db));
}

# Rewrites that nobody paused the migration for, again and again while rows are filled (slowly)
{
	one($node, 'CREATE DATABASE running');
	one($node, <<'SQL', 'running');
CREATE EXTENSION mig_control;
CREATE FUNCTION slow(numeric) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(0.0005); RETURN $1 * 100; END $$;
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text) WITH (autovacuum_enabled = off);
INSERT INTO t SELECT i, i / 7.0, 'b' || i FROM generate_series(1, 1500) i;
CREATE TABLE plain AS SELECT * FROM t;
SQL
	start_ok($node, 'v', 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING slow(a)', $options, 'running');
	wait_until($node, "SELECT rows_done > 0 FROM mig_status('v')", 'running: it is in its backfill', 'running');
	my $midway = 0;
	for (1 .. 5)
	{
		one($node, $_ % 2 ? 'VACUUM FULL t' : 'CLUSTER t USING t_pkey', 'running');
		$midway++ if one($node, 'SELECT count(*) BETWEEN 1 AND 1499 FROM t WHERE _mig_state IS NULL', 'running') eq 't';
	}
	cmp_ok($midway, '>', 0, 'running: rewritten between two batches');
	ready_ok('running', 1500);
	empty_ok($node, "SELECT * FROM mig.events WHERE kind IN ('failed', 'paused')", 'running: nothing failed', 'running');
}

# Rows that are locked for long, many of them: the others are filled, the reason is shown, and these follow
{
	my $hold = begin('locked', '', 'SELECT FROM t WHERE id % 5 = 0 FOR UPDATE');
	wait_until($node, "SELECT count(*) = $rows / 5 FROM t WHERE _mig_state IS NULL", 'locked: all others are filled', 'locked');
	wait_until($node, "SELECT waiting_for LIKE '%locked by other sessions%' FROM mig_status('v')", 'locked: the reason is shown', 'locked');
	is(one($node, "SELECT phase FROM mig_status('v')", 'locked'), 'backfilling', 'locked: it waits');
	is(one($node, 'SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0'), '0', 'locked: nobody waits for a lock');
	$hold->query_safe('UPDATE t SET a = a + 1 WHERE id % 5 = 0');
	one($node, 'UPDATE plain SET a = a + 1 WHERE id % 5 = 0', 'locked');
	$hold->query_safe('COMMIT');
	ready_ok('locked');
	$hold->quit;
}

# Unlogged: after a crash it is empty, and the migration goes on
{
	my $hold = begin('unlogged', 'UNLOGGED');
	$hold->{run}->kill_kill;
	restart_after_crash($node);
	is(one($node, "SELECT count(*) FROM t", 'unlogged'), '0', 'unlogged: emptied by the crash');
	one($node, 'TRUNCATE plain', 'unlogged');
	one($node, "INSERT INTO $_ SELECT i, i / 7.0, 'c' || i FROM generate_series(1, 100) i", 'unlogged') for 't', 'plain';
	ready_ok('unlogged', 100);
	is(one($node, "SELECT relpersistence FROM pg_class WHERE oid = 't'::regclass", 'unlogged'), 'u', 'unlogged: and so it stays');
}
# a crash once it is ready, and while it completes
{
	my $hold = begin('unlogged2', 'UNLOGGED');
	$hold->quit;
	wait_for($node, 'v', 'ready', 'unlogged2');
	restart_after_crash($node);
	one($node, "INSERT INTO t SELECT i, i / 7.0, 'c' || i FROM generate_series(1, 100) i", 'unlogged2');
	one($node, "INSERT INTO public_v.t SELECT i, i, 'd' FROM generate_series(101, 200) i", 'unlogged2');
	one($node, 'TRUNCATE plain', 'unlogged2');
	one($node, 'INSERT INTO plain SELECT id, a, b FROM t', 'unlogged2');
	ready_ok('unlogged2', 200);
}

no_crash_ok($node);
$node->stop;
done_testing();
