# Workers that are terminated, switched off, shut down, killed while they build an index, or have no slot: the migration goes on, or says why not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

# The server's own launcher and ours leave two slots
my $node = mig_node('main', conf => "max_worker_processes = 4\nmig_control.max_workers = 1\nmig_control.batch_pages = 16\n");
my $definition = 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint';
my $options = '{"down": {"t.a": "a / 100.0"}}';
my $lock = 'SELECT FROM t WHERE id = 77 FOR UPDATE';
my $workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('mig_control worker', 'mig_control utility')";

sub prepare
{
	my ($db, $rows) = @_;
	$rows ||= 10000;
	one($node, "CREATE DATABASE $db");
	one($node, <<SQL, $db);
CREATE EXTENSION mig_control;
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text);
INSERT INTO t SELECT i, i / 7.0, 'b' || i FROM generate_series(1, $rows) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE plain AS SELECT * FROM t;
SQL
	return;
}

sub ready_ok
{
	my ($db) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, 'v', 'ready', $db);
	same_ok($node, 'SELECT id, a, b FROM public_v.t', 'SELECT id, (a * 100)::bigint, b FROM plain', "$db: all rows are there", $db);
	empty_ok($node, "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid", "$db: no invalid index is left", $db);
	return;
}

# Terminated in the middle
{
	prepare('terminated');
	my $hold = start_held($node, 'v', $definition, $options, 'terminated', $lock);
	my $before = one($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mig_control worker' AND datname = 'terminated'");
	one($node, "SELECT pg_terminate_backend($before)");
	wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mig_control worker' AND datname = 'terminated' AND pid <> $before", 'another worker comes');
	$hold->quit;
	ready_ok('terminated');
}

# Fast shutdown in the middle
{
	prepare('shutdown');
	my $hold = start_held($node, 'v', $definition, $options, 'shutdown', $lock);
	$hold->{run}->kill_kill;
	$node->stop('fast');
	$node->start;
	ready_ok('shutdown');
}

# Switched off and on
{
	prepare('off');
	my $hold = start_held($node, 'v', $definition, $options, 'off', $lock);
	configure($node, 'mig_control.worker' => 'off');
	wait_until($node, "SELECT ($workers) = 0", 'off: workers end');
	$hold->quit;
	is(phase_of($node, 'v', 'off'), 'backfilling', 'off: it stays where it is');
	configure($node, 'mig_control.worker' => undef);
	ready_ok('off');
}

# SIGKILL in the middle: the whole server restarts
{
	prepare('killed');
	my $hold = start_held($node, 'v', $definition, $options, 'killed', $lock);
	ok(kill_worker($node, 'mig_control worker', 'killed'), 'a worker was killed');
	$hold->{run}->kill_kill;
	ready_ok('killed');
}

# A step to build an index, held up by a transaction that writes to the table; then killed in several ways
for my $how ('terminate', 'kill', 'crash')
{
	my $db = "index_$how";
	prepare($db);
	my $step = one($node, "SELECT min(step) FROM mig_plan('v', '$definition', '$options') WHERE sql LIKE '%CONCURRENTLY%'", $db);
	stop_before($node, $step);
	start_ok($node, 'v', $definition, $options, $db);
	wait_until($node, "SELECT NOT EXISTS (SELECT FROM mig.step WHERE no < $step AND done_at IS NULL)", "$db: rows are filled", $db);
	my $writer = hold($node, $db, 'UPDATE plain SET b = b WHERE id = 1', 'LOCK TABLE t IN ROW EXCLUSIVE MODE');
	stop_before($node, undef);
	wait_until($node, 'SELECT EXISTS (SELECT FROM pg_index WHERE NOT indisvalid)', "$db: the build has begun", $db);
	if ($how eq 'terminate')
	{
		one($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'mig_control utility'");
		wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mig_control utility'", "$db: it is gone");
		is(one($node, 'SELECT count(*) FROM pg_index WHERE NOT indisvalid', $db), '1', "$db: an invalid index is left");
		$writer->quit;
	}
	elsif ($how eq 'kill')
	{
		ok(kill_worker($node, 'mig_control utility', $db), "$db: killed");
		$writer->{run}->kill_kill;
	}
	else
	{
		restart_after_crash($node);
		$writer->{run}->kill_kill;
	}
	ready_ok($db);
	is(one($node, "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass", $db), '3', "$db: one index more than before");
}

# No slot is free for an index build: said, and done when there is one
{
	prepare($_) for 'hog', 'starved';
	my $hold = start_held($node, 'v', $definition, $options, 'hog', $lock);
	start_ok($node, 'v', $definition, $options, 'starved');    # its leader has the last slot
	wait_until($node, "SELECT waiting_for LIKE '%max_worker_processes%' FROM mig_status('v')", 'starved: the reason is shown', 'starved');
	one($node, "SELECT mig_pause('v')", 'hog');
	$hold->quit;
	ready_ok('starved');
	is(one($node, "SELECT waiting_for IS NULL FROM mig_status('v')", 'starved'), 't', 'starved: and is gone');
	one($node, "SELECT mig_resume('v')", 'hog');
	ready_ok('hog');
}

# No slot is free for a leader
{
	prepare($_) for 'hog1', 'hog2', 'none';
	my @hold = map { start_held($node, 'v', $definition, $options, $_, $lock) } 'hog1', 'hog2';
	my $log = -s $node->logfile;
	start_ok($node, 'v', $definition, $options, 'none');
	$node->wait_for_log(qr/cannot start a worker: all background worker slots are in use/, $log);
	pass('none: the server log says so');
	is(phase_of($node, 'v', 'none'), 'expanding', 'none: it has not moved');
	one($node, "SELECT mig_pause('v')", $_) for 'hog1', 'hog2';
	$_->quit for @hold;
	ready_ok('none');
}

# Idle workers don't stand in the way of DROP DATABASE; a paused migration doesn't either
is($node->psql('postgres', 'DROP DATABASE none'), 0, 'a database that is ready can be dropped');
{
	prepare('paused');
	my $hold = start_held($node, 'v', $definition, $options, 'paused', $lock);
	one($node, "SELECT mig_pause('v')", 'paused');
	$hold->quit;
	is($node->psql('postgres', 'DROP DATABASE paused'), 0, 'one that is paused, too');
}

no_crash_ok($node);
$node->stop;
done_testing();
