# What clients do to a backfill: 16 of them on 1000 hot rows, a transaction left open, row locks held for long, all worker slots taken. None gets an error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', conf => "max_worker_processes = 6\nmax_connections = 60\nmig_control.lock_retries = 3\nfsync = off\nmig_control.batch_pages = 8\nmig_control.range_pages = 64\n");
my $definition = 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint';

sub prepare
{
	my ($db, $rows) = @_;
	one($node, "CREATE DATABASE $db");
	one($node, <<SQL, $db);
CREATE EXTENSION mig_control;
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text, n bigint NOT NULL DEFAULT 0);
INSERT INTO t SELECT i, i / 7.0, 'b' || i FROM generate_series(1, $rows) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE plain AS SELECT * FROM t;
ALTER TABLE plain ADD PRIMARY KEY (id);
SQL
	return;
}

sub options { my ($more) = @_; return '{"down": {"t.a": "a / 100.0"}' . ($more ? ", $more" : '') . '}' }

sub ready_ok
{
	my ($db) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, 'v', 'ready', $db);
	same_ok($node, 'SELECT id, a, b, n FROM public_v.t', 'SELECT id, (a * 100)::bigint, b, n FROM plain', "$db: all rows are there", $db);
	empty_ok($node, "SELECT * FROM mig.events WHERE kind IN ('failed', 'paused')", "$db: nothing failed", $db);
	return;
}

# 16 clients on 1000 hot rows of 5000, paced and not: the same write to the table and to its twin, by old clients and then by both
for my $db ('hot_paced', 'hot')
{
	prepare($db, 5000);
	my $old = clients_begin($node, "$db old", <<'SQL', clients => 16, db => $db);
\set id random(1, 1000)
\set v random(1, 1000000)
BEGIN;
UPDATE t SET a = :v / 100.0, n = n + 1 WHERE id = :id;
UPDATE plain SET a = :v / 100.0, n = n + 1 WHERE id = :id;
COMMIT;
SQL
	wait_until($node, 'SELECT sum(n) > 100 FROM plain', "$db: clients write", $db);
	start_ok($node, 'v', $definition, options($db eq 'hot' ? '"throttle": false' : ''), $db);
	wait_for($node, 'v', 'ready', $db);
	my $new = clients_begin($node, "$db new", <<'SQL', clients => 4, db => $db);
\set id random(1, 1000)
\set v random(1, 1000000)
BEGIN;
UPDATE public_v.t SET a = :v, n = n + 1 WHERE id = :id;
UPDATE plain SET a = :v / 100.0, n = n + 1 WHERE id = :id;
COMMIT;
SQL
	my $before = one($node, 'SELECT sum(n) FROM plain', $db);
	wait_until($node, "SELECT sum(n) > $before + 500 FROM plain", "$db: both versions are written", $db);
	# an old client that goes on after the swap would write the old meaning into the new column
	clients_end($old);
	one($node, "SELECT mig_complete('v')", $db);
	wait_for($node, 'v', 'completed', $db);
	clients_end($new);
	same_ok($node, 'SELECT id, a, b, n FROM t', 'SELECT id, (a * 100)::bigint, b, n FROM plain', "$db: the twin is equal", $db);
	is(one($node, "SELECT deadlocks FROM pg_stat_database WHERE datname = '$db'"), '0', "$db: no deadlock");
}

# A session that has read something and then stays in its transaction, idle. The rows are filled; who keeps the index from being built, and where there is
# none the version from being opened (it might not see that they are filled), is named
for my $db ('idle_index', 'idle_open')
{
	prepare($db, 2000);
	one($node, 'DROP INDEX t_a', $db) if $db eq 'idle_open';
	my $idle = hold($node, $db, 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM plain');
	my ($pid) = $idle->query_safe('SELECT pg_backend_pid()') =~ /(\d+)/;
	start_ok($node, 'v', $definition, options('"on_held_horizon": 0'), $db);
	my $reason = $db eq 'idle_open' ? 'a transaction from before the rows were filled' : 'an index is being built, which waits for';
	wait_until($node, "SELECT rows_done >= 2000 AND waiting_for LIKE '%$reason%pid $pid (idle in transaction)%' FROM mig_status('v')", "$db: the reason is shown, with its pid", $db);
	is(phase_of($node, 'v', $db), $db eq 'idle_open' ? 'validating' : 'backfilling', "$db: it waits");
	$idle->quit;
	ready_ok($db);
	is(one($node, "SELECT waiting_for IS NULL FROM mig_status('v')", $db), 't', "$db: no reason is left");
}
# It also keeps dead rows from being removed, without which lanes are of no use: by default that is waited for
{
	prepare('idle_horizon', 20000);
	my $idle = hold($node, 'idle_horizon', 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM plain');
	my ($pid) = $idle->query_safe('SELECT pg_backend_pid()') =~ /(\d+)/;
	# one that is younger than a second is not worth a wait
	wait_until($node, "SELECT clock_timestamp() - xact_start > interval '1500 ms' FROM pg_stat_activity WHERE pid = $pid", 'idle_horizon: the transaction is old enough to matter', 'idle_horizon');
	start_ok($node, 'v', $definition, options('"on_held_horizon": "wait"'), 'idle_horizon');
	wait_until($node, "SELECT waiting_for LIKE '%pid $pid%idle in transaction%' FROM mig_status('v')", 'idle_horizon: the reason is shown, with its pid', 'idle_horizon');
	is(one($node, "SELECT phase || ' ' || (rows_done < 20000) FROM mig_status('v')", 'idle_horizon'), 'backfilling true', 'idle_horizon: it waits between two lanes');
	$idle->quit;
	ready_ok('idle_horizon');
}
# It stands in the way of the locks that expand and complete need: both try again, and nobody queues behind them for longer than one attempt
{
	prepare('locks', 2000);
	my $idle = hold($node, 'locks', 'SELECT FROM t WHERE id = 1');
	fails_ok($node, "SELECT mig_start('v', '$definition', '" . options() . "')", '55P03', 'locks: mig_start tells that it has no lock', qr/lock/, 'locks');
	is(one($node, "SELECT count(*) FROM mig_status()", 'locks'), '0', 'locks: and has left nothing');
	$idle->quit;
	start_ok($node, 'v', $definition, options(), 'locks');
	ready_ok('locks');
	$idle = hold($node, 'locks', 'SELECT FROM t WHERE id = 1');
	$node->psql('locks', "SELECT mig_complete('v')");
	wait_until($node, "SELECT phase = 'ready' AND error ~ 'lock' OR waiting_for ~ 'lock' FROM mig_status('v')", 'locks: complete says what it waits for', 'locks');
	is(one($node, 'SELECT count(*) FROM t', 'locks'), '2000', 'locks: others read meanwhile');
	$idle->quit;
	wait_until($node, "SELECT CASE WHEN phase = 'ready' THEN mig_complete('v') = 'x' ELSE phase = 'completed' END FROM mig_status('v')", 'locks: it completes afterwards', 'locks');
}

# Row locks that are held for long, while clients write other rows
{
	prepare('rows', 5000);
	my $hold = start_held($node, 'v', $definition, options(), 'rows', 'SELECT FROM t WHERE id % 50 = 0 FOR UPDATE');
	my $clients = clients_begin($node, 'rows', <<'SQL', clients => 4, db => 'rows');
\set id 50 * random(0, 99) + 1
BEGIN;
UPDATE t SET n = n + 1 WHERE id = :id;
UPDATE plain SET n = n + 1 WHERE id = :id;
COMMIT;
SQL
	wait_until($node, "SELECT waiting_for LIKE '%locked by other sessions%' FROM mig_status('v')", 'rows: the reason is shown', 'rows');
	is(one($node, 'SELECT count(*) FROM t WHERE _mig_state IS NULL', 'rows'), '100', 'rows: all others are filled');
	$hold->quit;
	wait_for($node, 'v', 'ready', 'rows');
	clients_end($clients);
	ready_ok('rows');
	is(one($node, "SELECT deadlocks FROM pg_stat_database WHERE datname = 'rows'"), '0', 'rows: no deadlock');
}

# All worker slots are taken by others: no index can be built, said; done when there is one
{
	prepare('slots', 2000);
	my @hog;
	for (1 .. 3)
	{
		one($node, "CREATE DATABASE hog$_");
		one($node, "CREATE EXTENSION mig_control; CREATE TABLE t (id bigint PRIMARY KEY, a numeric, b text); INSERT INTO t SELECT i, i FROM generate_series(1, 100) i", "hog$_");
	}
	# two slots are the server's launcher's and ours, so three of these have a leader each, and the table's own the last
	push @hog, start_held($node, 'v', $definition, options(), "hog$_", 'SELECT FROM t WHERE id = 77 FOR UPDATE') for 1 .. 3;
	start_ok($node, 'v', $definition, options(), 'slots');
	wait_until($node, "SELECT waiting_for LIKE '%max_worker_processes%' FROM mig_status('v')", 'slots: the reason is shown', 'slots');
	is(phase_of($node, 'v', 'slots'), 'backfilling', 'slots: it waits');
	$_->quit for @hog;
	ready_ok('slots');
}

no_crash_ok($node);
$node->stop;
done_testing();
