# Backfill and verification go over all leaves of a table, whatever comes and goes meanwhile: partitions on several levels that are attached, detached, dropped,
# emptied, rewritten or locked; children by inheritance; a hundred small partitions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', conf => "mig_control.max_workers = 2\nmig_control.batch_pages = 4\nmig_control.range_pages = 32\nautovacuum = off\n");
my $definition = 'ALTER TABLE t ALTER v TYPE bigint USING 100 / (v + 1)';
my @partitions = (
	'CREATE TABLE t (id bigint, r int, v int, pad text) PARTITION BY RANGE (id)',
	'CREATE TABLE t0 PARTITION OF t FOR VALUES FROM (0) TO (1000)',
	'CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1000) TO (4000) PARTITION BY LIST (r)',
	'CREATE TABLE t1a (pad text, gone int, v int, r int, id bigint)',
	'ALTER TABLE t1a DROP COLUMN gone',
	'ALTER TABLE t1 ATTACH PARTITION t1a FOR VALUES IN (0)',
	'CREATE TABLE t1b PARTITION OF t1 FOR VALUES IN (1) PARTITION BY RANGE (id)',
	'CREATE TABLE t1bx PARTITION OF t1b FOR VALUES FROM (1000) TO (2000)',
	'CREATE TABLE t1by PARTITION OF t1b DEFAULT',
	'CREATE TABLE t1c PARTITION OF t1 DEFAULT',
	q(INSERT INTO t SELECT i, i % 3, i % 50, repeat('x', 100) FROM generate_series(0, 3999) i));

sub options
{
	my ($more) = @_;
	return '{"down": {"t.v": "v::int"}' . ($more // '') . '}';
}

sub database
{
	my ($db, @sql) = @_;
	one($node, "CREATE DATABASE $db");
	$node->safe_psql($db, join(";\n", 'CREATE EXTENSION mig_control', @sql, 'CREATE TABLE plain AS SELECT id, r, v, pad FROM t'));
	return;
}

# Both versions show what `plain` has, before and after complete
sub ready_ok
{
	my ($db) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $n = one($node, 'SELECT count(*) FROM plain', $db);
	wait_for($node, 'v', 'ready', $db);
	same_ok($node, 'SELECT id, r, v, pad FROM public_v.t', 'SELECT id, r, 100 / (v + 1), pad FROM plain', "$db: the new version's rows", $db);
	same_ok($node, 'SELECT id, r, v, pad FROM t', 'SELECT * FROM plain', "$db: the old version's rows", $db);
	is(one($node, "SELECT relation, checked, divergent FROM mig_validate('v')", $db), "public.t|$n|0", "$db: mig_validate sums over the leaves");
	is(one($node, "SELECT count(*), max(percent) FROM mig.progress WHERE phase = 'validate'", $db), '1|100.0', "$db: progress too");
	one($node, "SELECT mig_complete('v')", $db);
	wait_for($node, 'v', 'completed', $db);
	same_ok($node, 'SELECT id, r, v, pad FROM t', 'SELECT id, r, 100 / (v + 1), pad FROM plain', "$db: and in the table", $db);
	return;
}

# The leaves of a step's tasks and how many rows each has done
sub leaves
{
	my ($db, $phase) = @_;
	return one($node, "SELECT string_agg(leaf || ' ' || rows_done, ', ' ORDER BY leaf) FROM mig.leaves WHERE phase = '$phase'", $db);
}

# A partition that comes with rows that are not filled, as one does whose ATTACH nobody has seen (where the library is not loaded)
sub newcomer
{
	my ($db, $name, $from, $to) = @_;
	$node->safe_psql($db, <<SQL);
SET mig_control.own_statements = 2;
CREATE TABLE $name (LIKE t);
INSERT INTO $name (id, r, v) SELECT i, 0, 3 FROM generate_series($from, $to - 1) i;
INSERT INTO plain SELECT id, r, v, pad FROM $name;
ALTER TABLE t ATTACH PARTITION $name FOR VALUES FROM ($from) TO ($to);
SQL
	return;
}

# Three levels, columns at other places; one is attached after the fill: the check finds it, and it is filled
{
	database('levels', @partitions);
	start_ok($node, 'v', $definition, options(', "hold": ["validating"]'), 'levels');
	wait_until($node, "SELECT waiting_for = 'held before validating' FROM mig_status('v')", 'levels: filled, and held', 'levels');
	is(leaves('levels', 'backfill'), 'public.t0 1000, public.t1a 1000, public.t1bx 334, public.t1by 666, public.t1c 1000', 'levels: each leaf was filled');
	newcomer('levels', 't9', 9000, 9100);
	one($node, "SELECT mig_resume('v')", 'levels');
	ready_ok('levels');
	is(leaves('levels', 'validate'), 'public.t0 1000, public.t1a 1000, public.t1bx 334, public.t1by 666, public.t1c 1000, public.t9 100',
		'levels: the one that came was checked');
	cmp_ok(one($node, "SELECT count(*) FROM mig.events WHERE kind = 'validated'", 'levels'), '>=', 2, 'levels: not before the second pass');
}

# Partitions that come and go while others are filled
{
	database('moving', @partitions);
	my $hold = start_held($node, 'v', $definition, options(), 'moving', 'SELECT FROM t0 WHERE id = 7 FOR UPDATE');
	wait_until($node, 'SELECT count(*) = 1 FROM t WHERE _mig_state IS NULL', 'moving: all but one row are filled', 'moving');
	newcomer('moving', 't9', 9000, 9100);
	wait_until($node, 'SELECT count(*) = 1 FROM t WHERE _mig_state IS NULL', 'moving: a partition that was attached is filled', 'moving');
	is(leaves('moving', 'backfill'), 'public.t0 999, public.t1a 1000, public.t1bx 334, public.t1by 666, public.t1c 1000, public.t9 100', 'moving: it has a task');

	# a locked one does not hold up the others
	newcomer('moving', 't8', 8000, 8100);
	my $locked = hold($node, 'moving', 'LOCK TABLE t8 IN ACCESS EXCLUSIVE MODE');
	newcomer('moving', 't7', 7000, 7100);
	wait_until($node, 'SELECT count(*) = 0 FROM t7 WHERE _mig_state IS NULL', 'moving: another one is filled while one is locked', 'moving');
	is(one($node, 'SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0'), '0', 'moving: nobody waits for a lock');
	$locked->quit;
	wait_until($node, 'SELECT count(*) = 0 FROM t8 WHERE _mig_state IS NULL', 'moving: then it is filled, too', 'moving');

	# gone: with them their tasks
	one($node, $_, 'moving')
	  for 'ALTER TABLE t DETACH PARTITION t8', 'DROP TABLE t1a', 'ALTER TABLE t1 DETACH PARTITION t1b', 'DELETE FROM plain WHERE id BETWEEN 8000 AND 8099 OR id BETWEEN 1000 AND 3999 AND r IN (0, 1)',
	  'TRUNCATE t1c', 'DELETE FROM plain WHERE id BETWEEN 1000 AND 3999';
	$node->safe_psql('moving', 'VACUUM FULL t7');
	one($node, q(INSERT INTO t VALUES (2000, 2, 4)), 'moving');
	one($node, q(INSERT INTO plain VALUES (2000, 2, 4)), 'moving');
	wait_until($node, "SELECT count(*) = 4 FROM mig.leaves WHERE phase = 'backfill'", 'moving: tasks of those that went are dropped', 'moving');
	$hold->quit;
	ready_ok('moving');
	is(one($node, "SELECT string_agg(leaf, ' ') FROM mig.leaves WHERE phase = 'validate'", 'moving'), 'public.t0 public.t1c public.t7 public.t9', 'moving: those left were checked');
	empty_ok($node, "SELECT * FROM mig.events WHERE kind = 'failed'", 'moving: nothing failed', 'moving');
}

# Rows that fail are named with their partition; those of one that is dropped are forgotten
{
	database('failing', @partitions, 'UPDATE t SET v = -1 WHERE id IN (5, 1500)');
	start_ok($node, 'v', $definition, options(), 'failing');
	wait_until($node, "SELECT paused AND error LIKE '%up fails for 2 rows of public.t;%' FROM mig_status('v')", 'failing: two rows fail', 'failing');
	is(one($node, "SELECT string_agg(relation || ' ' || error, ', ' ORDER BY relation) FROM mig.bad_rows WHERE kind = 'up'", 'failing'),
		'public.t0 division by zero, public.t1a division by zero', 'failing: in these partitions');
	is(one($node, "SELECT divergent, sample #>> '{0,relation}', sample #>> '{1,relation}' FROM mig_validate('v')", 'failing'), '2|public.t0|public.t1a',
		'failing: mig_validate names them, too');
	one($node, $_, 'failing') for 'DROP TABLE t1a', 'DELETE FROM plain WHERE id BETWEEN 1000 AND 3999 AND r = 0', 'UPDATE t SET v = 1 WHERE id = 5', 'UPDATE plain SET v = 1 WHERE id = 5';
	one($node, "SELECT mig_resume('v')", 'failing');
	ready_ok('failing');
	is(one($node, 'SELECT count(*) FROM mig.bad_row', 'failing'), '0', 'failing: and none is left');
}

# Children by inheritance: the parent's own rows and theirs; one of them goes
{
	database('tree', 'CREATE TABLE t (id bigint, r int, v int, pad text)', 'CREATE TABLE tc (x int) INHERITS (t)', 'CREATE TABLE tcc (y int) INHERITS (tc)', 'CREATE TABLE td () INHERITS (t)',
		map { "INSERT INTO $_->[0] (id, r, v) SELECT i, 0, i % 50 FROM generate_series($_->[1], $_->[1] + 999) i" } ['t', 0], ['tc', 1000], ['tcc', 2000], ['td', 3000]);
	my $hold = start_held($node, 'v', $definition, options(), 'tree', 'SELECT FROM ONLY t WHERE id = 7 FOR UPDATE');
	wait_until($node, 'SELECT count(*) = 1 FROM t WHERE _mig_state IS NULL', 'tree: all but one row are filled', 'tree');
	is(leaves('tree', 'backfill'), 'public.t 999, public.tc 1000, public.tcc 1000, public.td 1000', 'tree: a task for each');
	$node->safe_psql('tree', 'SET mig_control.own_statements = 2; DROP TABLE td; DELETE FROM plain WHERE id >= 3000');
	wait_until($node, "SELECT count(*) = 3 FROM mig.leaves WHERE phase = 'backfill'", 'tree: the one that went has no task', 'tree');
	$hold->quit;
	ready_ok('tree');
}

# Many small ones: lanes keep their gain, as the stages of one do not follow each other at once
{
	database('many', $partitions[0],
		q(DO $$ BEGIN FOR i IN 0..99 LOOP EXECUTE format('CREATE TABLE t%s PARTITION OF t FOR VALUES FROM (%s) TO (%s)', i, i * 1000, (i + 1) * 1000); END LOOP; END $$),
		q(INSERT INTO t SELECT i, i % 3, i % 50, repeat('x', 100) FROM generate_series(0, 99999) i));
	my $size = "SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 't'::regclass";
	my $before = one($node, $size, 'many');
	start_ok($node, 'v', $definition, options(), 'many');
	wait_for($node, 'v', 'ready', 'many');
	cmp_ok(one($node, $size, 'many'), '<', 1.4 * $before, 'many: little growth');
	is(one($node, "SELECT count(*), sum(rows_done) FROM mig.leaves WHERE phase = 'backfill'", 'many'), '100|100000', 'many: a task for each');
	ready_ok('many');
}

no_crash_ok($node);
$node->stop;
done_testing();
