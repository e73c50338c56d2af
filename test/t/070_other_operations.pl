# What others do to the table meanwhile: VACUUM FULL, CLUSTER and TRUNCATE in the middle of a backfill, an autovacuum in the way, a reader that stays.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;
use Time::HiRes qw(time);

my $node = mig_node('main', conf => "mig_control.batch_pages = 8\nmig_control.lock_timeout = '300ms'\nautovacuum_naptime = 1\n");
my $definition = 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint';
my $options = '{"down": {"t.a": "a / 100.0"}}';
my $lock = 'SELECT FROM t WHERE id = 77 FOR UPDATE';

sub prepare
{
	my ($db) = @_;
	one($node, "CREATE DATABASE $db");
	one($node, <<SQL, $db);
CREATE EXTENSION mig_control;
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text) WITH (autovacuum_enabled = off);
INSERT INTO t SELECT i, i / 7.0, 'b' || i FROM generate_series(1, 20000) i;
DELETE FROM t WHERE id % 3 = 0 OR id < 70;
CREATE INDEX t_b ON t (b);
CREATE TABLE plain AS SELECT * FROM t;
SQL
	return;
}

sub ready_ok
{
	my ($db, $plain) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, 'v', 'ready', $db);
	same_ok($node, 'SELECT id, a, b FROM public_v.t', 'SELECT id, (a * 100)::bigint, b FROM plain', "$db: all rows are there", $db);
	return;
}

# Block numbers change under the backfill
for my $what ('VACUUM FULL t', 'CLUSTER t USING t_b', 'TRUNCATE t')
{
	my $db = lc($what =~ s/\W.*//r);
	prepare($db);
	my $hold = start_held($node, 'v', $definition, $options, $db, $lock);
	one($node, "SELECT mig_pause('v')", $db);
	$hold->quit;
	my $unfilled = one($node, 'SELECT count(*) FROM t WHERE _mig_state IS NULL', $db);
	cmp_ok($unfilled, '>', 0, "$db: in the middle of the backfill");
	one($node, $what, $db);
	one($node, 'TRUNCATE plain', $db) if $db eq 'truncate';
	one($node, "INSERT INTO $_ (id, a, b) VALUES (1, 1.5, 'new')", $db) for 't', 'plain';
	one($node, "SELECT mig_resume('v')", $db);
	ready_ok($db);
	one($node, "SELECT mig_complete('v')", $db);
	wait_for($node, 'v', 'completed', $db);
	one($node, $what, $db);
	one($node, 'TRUNCATE plain', $db) if $db eq 'truncate';
	same_ok($node, 'SELECT id, a, b FROM t', 'SELECT id, (a * 100)::bigint, b FROM plain', "$db: and in the end", $db);
}

# An autovacuum is cancelled, not waited for
{
	prepare('av');
	one($node, "ALTER TABLE t SET (autovacuum_enabled = on, autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)", 'av');
	one($node, 'UPDATE t SET b = b', 'av');
	# it has the table, and would have it for minutes
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'autovacuum worker' AND l.granted"
		. " AND l.relation = 't'::regclass AND l.mode = 'ShareUpdateExclusiveLock')", 'an autovacuum is at work', 'av');
	my $log = -s $node->logfile;
	start_ok($node, 'v', $definition, $options, 'av');
	$node->wait_for_log(qr/canceling autovacuum task/, $log);
	pass('it was cancelled');
	one($node, 'SET mig_control.guard = off; ALTER TABLE t RESET (autovacuum_vacuum_cost_delay, autovacuum_vacuum_cost_limit)', 'av');
	ready_ok('av');
}

# A reader that is idle in its transaction: attempts are bounded, so is what others wait for, and the error says who it is
{
	prepare('locked');
	my $reader = hold($node, 'locked', 'SELECT count(*) FROM t');
	my $pid = $reader->query_safe('SELECT pg_backend_pid()');
	$reader->query_safe('SELECT count(*) FROM t -- a long report');
	fails_ok($node, "SET mig_control.lock_retries = 2; SELECT mig_start('v', '$definition', '$options')", '55P03',
		'the error names the blocker', qr/DETAIL:\s+Held by pid $pid \(idle in transaction\).*a long report/, 'locked');
	is(one($node, "SELECT (SELECT count(*) FROM mig_status()) + (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^(public_v|_mig)') + (SELECT count(*) FROM pg_attribute WHERE attname ~ '^_mig')", 'locked'),
		'0', 'nothing is left of it');

	my $start = $node->background_psql('locked', on_error_stop => 0);
	$start->query_until(qr/started/, "\\echo started\nSELECT mig_start('v', '$definition', '$options');\n\\echo done\n");
	my ($slowest, $waits, $writes, $end) = (0, 0, 0, time + 20);
	while ($waits < 3 && time < $end)
	{
		my $since = time;
		one($node, "UPDATE t SET b = 'w' || b WHERE id = 100; UPDATE plain SET b = 'w' || b WHERE id = 100", 'locked');
		my $took = time - $since;
		$slowest = $took if $took > $slowest;
		$waits++ if $took > 0.1;
		$writes++;
	}
	cmp_ok($waits, '>', 1, 'writers had to queue');
	cmp_ok($slowest, '<', 2, "but not for long (of $writes, the slowest took $slowest s)");
	is(phase_of($node, 'v', 'locked'), '', 'it still tries');
	$reader->quit;
	wait_until($node, "SELECT count(*) = 1 FROM mig_status('v')", 'and succeeds when the reader has ended', 'locked');
	ready_ok('locked');

	# The same in completing: the worker goes back to ready, and says why
	configure($node, 'mig_control.lock_retries' => 2);
	$reader = hold($node, 'locked', 'SELECT count(*) FROM t');
	is(one($node, "SELECT mig_complete('v')", 'locked'), 'completing', 'completing begins');
	wait_until($node, "SELECT phase = 'ready' AND error ~ 'Held by pid \\d+ \\(idle in transaction\\)' FROM mig_status('v')", 'it is ready as before, and names the blocker', 'locked');
	configure($node, 'mig_control.lock_retries' => undef);
	fails_ok($node, "SET mig_control.lock_retries = 1; SELECT mig_rollback('v')", '55P03', 'so does mig_rollback', qr/Held by pid \d+ \(idle in transaction\)/, 'locked');
	is(phase_of($node, 'v', 'locked'), 'ready', 'and it is ready as before');
	$reader->quit;
	one($node, "SELECT mig_complete('v')", 'locked');
	wait_for($node, 'v', 'completed', 'locked');
}

# How long the swap locks a larger table
{
	one($node, 'CREATE DATABASE big');
	one($node, <<'SQL', 'big');
CREATE EXTENSION mig_control;
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text);
INSERT INTO t SELECT i, i / 7.0, 'b' || i FROM generate_series(1, 200000) i;
CREATE INDEX t_a ON t (a);
SQL
	configure($node, 'mig_control.batch_pages' => 64);
	start_ok($node, 'v', $definition, $options, 'big');
	wait_for($node, 'v', 'ready', 'big');
	one($node, "SELECT mig_complete('v')", 'big');
	wait_for($node, 'v', 'completed', 'big');
	cmp_ok(one($node, "SELECT (detail ->> 'locked_ms')::numeric FROM mig.events WHERE kind = 'swapped'", 'big'), '<', 100, 'the swap locks for less than 100 ms');
}

no_crash_ok($node);
$node->stop;
done_testing();
