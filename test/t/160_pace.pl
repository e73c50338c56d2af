# A backfill stops when a signal says so, and goes on when it may, soon, whatever the naptime; workers come and go; hibernation.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;
use Time::HiRes qw(time sleep);

# Only what a test asks for paces: the machine may be busy with others
my $off = join "\n", map { "mig_control.throttle_$_ = -1" } qw(active_clients cpu client_latency commit_latency io_waits dead_rows waiters disk_free wal_disk_free);
my $node = mig_node('main', conf => "$off\nmig_control.max_workers = 3\nmig_control.range_pages = 64\nmig_control.batch_pages = 4\nmig_control.naptime = '60s'\n");
my $workers = "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mig_control worker')";
my $pace = "FROM mig.pace JOIN mig.migration m ON m.id = migration_id WHERE name";

# Each row takes its time, so that a backfill takes a minute or more of work
one($node, <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT i, i, repeat('b', 100) FROM generate_series(1, 100000) i;
CREATE TABLE u AS TABLE t;
CREATE TABLE flag (stop boolean, us int);
INSERT INTO flag VALUES (false, 1000);
CREATE FUNCTION slow(v int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(us / 1e6) FROM flag WHERE us > 0; RETURN v * 10; END $$;
SQL

sub rows_done { return one($node, "SELECT rows_done FROM mig_status('$_[0]')") }

# Seconds until a query is true, and no more than the limit of any wait
sub seconds_until
{
	my ($sql, $name) = @_;
	my $begin = time;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($node, $sql, $name);
	return time - $begin;
}

# Unloaded: all workers at once
start_ok($node, 'v', 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING slow(a)', '{"down": {"t.a": "a / 10"}, "throttle": {"query": "SELECT stop FROM public.flag"}}');
my $seconds = seconds_until("SELECT phase = 'backfilling' AND rows_done > 0 AND duty = 1 AND workers = 3 AND $workers = 3 FROM mig_status('v')", 'three workers fill');
diag(sprintf 'three workers after %.1f s', $seconds);

# A breach: nobody works any more; helpers go
one($node, 'UPDATE flag SET stop = true');
my $breach = one($node, 'SELECT clock_timestamp()');
wait_until($node, "SELECT stopped_by = 'query' $pace = 'v'", 'it is stopped');
wait_until($node, "SELECT waiting_for LIKE 'query%' FROM mig_status('v')", 'and says by what');
$seconds = seconds_until("SELECT $workers = 1", 'only the leader is left');
my $rows = rows_done('v');
sleep 3;
is(rows_done('v'), $rows, 'it stands still');
$seconds = one($node, "SELECT extract(epoch FROM max(updated_at) - '$breach') FROM mig.task");
cmp_ok($seconds, '<', 5, 'soon after the breach');
diag(sprintf 'still %.2f s after the breach', $seconds);

# All clear: it moves, though the naptime is a minute
one($node, 'UPDATE flag SET stop = false');
$seconds = seconds_until("SELECT rows_done > $rows FROM mig_status('v')", 'all clear: it goes on');
cmp_ok($seconds, '<', 20, 'long before the naptime is over');
diag(sprintf 'moves %.2f s after all clear', $seconds);
cmp_ok(one($node, "SELECT waited ->> 'query' $pace = 'v'"), '>', 3, 'the time that it waited is counted');
wait_until($node, "SELECT $workers = 3", 'helpers come back');

# Over a gradual signal's limit: duty falls to the least, with one worker; and all the way back
my $old = hold($node, 'postgres', 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', 'SELECT 1');
one($node, q(SELECT mig_set('v', '{"throttle": {"xmin_age": 1}}')));
wait_until($node, "SELECT duty < 0.03 AND workers = 1 AND stopped_by IS NULL $pace = 'v'", 'over the limit of a gradual signal: hardly any duty, one worker');
wait_until($node, "SELECT $workers = 1", 'the helpers have gone');
$rows = rows_done('v');
wait_until($node, "SELECT rows_done > $rows FROM mig_status('v')", 'it still moves');
cmp_ok(one($node, "SELECT utilisation ->> 'xmin_age' FROM mig_status('v')"), '>', 1, 'utilisation is shown');
cmp_ok(one($node, "SELECT chunk_pages $pace = 'v'"), '<=', 8, 'chunks are not large then');
$old->quit;
one($node, q(SELECT mig_set('v', '{"throttle": {"xmin_age": "off"}}')));
wait_until($node, "SELECT duty = 1 AND workers = 3 AND $workers = 3 $pace = 'v'", 'no load: full number, full duty');

# Processors that are not left by clients (this test's own sessions) slow it; where they are left, batches stay small beside clients, even at full duty
one($node, q(SELECT mig_set('v', '{"throttle": {"cpu": 0.001}}')));
wait_until($node, "SELECT duty < 0.03 AND workers = 1 AND beside_clients AND readings -> 'cpu' ->> 'utilisation' > '1' $pace = 'v'", 'over its share of the processors: hardly any duty');
one($node, q(SELECT mig_set('v', '{"throttle": {"cpu": 1000}}')));
wait_until($node, "SELECT duty = 1 AND workers = 3 AND beside_clients AND chunk_pages = 1 $pace = 'v'", 'enough of them: full duty, but small batches');
# this server has kept no old segments of WAL; a commit that needs the next one would wait for 16 MB of zeros
cmp_ok(one($node, q{SELECT count(*) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' AND name > pg_walfile_name(pg_current_wal_insert_lsn())}), '>=', 2, 'the next segments of WAL are there');
one($node, q(SELECT mig_set('v', '{"throttle": false}')));
wait_until($node, "SELECT duty = 1 AND beside_clients AND chunk_pages > 1 $pace = 'v'", 'large ones where it is not to care for them');
one($node, q(SELECT mig_set('v', '{"throttle": null}')));

# One worker, by option
one($node, q(SELECT mig_set('v', '{"workers": 1}')));
wait_until($node, "SELECT $workers = 1", 'workers: 1');
one($node, 'UPDATE flag SET us = 0');
one($node, q(SELECT mig_set('v', '{"workers": null}')));
configure($node, 'mig_control.naptime' => '100ms');
wait_for($node, 'v', 'ready');
same_ok($node, 'SELECT id, a FROM public_v.t', 'SELECT id, a * 10 FROM u', 'all rows are there');

# Hibernation, driven by a session: longer each time, then paused
configure($node, 'mig_control.worker' => 'off');
wait_until($node, "SELECT $workers = 0", 'no workers');
one($node, q(SELECT mig_start('w', 'ALTER TABLE u ALTER COLUMN a TYPE bigint', '{"throttle": {"xid_age": {"limit": 0, "critical": 0}}}')));
my $settings = "SET mig_control.hibernate = '300ms'; SET mig_control.hibernations = 3";
$node->psql('postgres', "$settings; CALL mig_tick('60 s')");
is(one($node, "SELECT string_agg(concat_ws(' ', kind, detail ->> 'signal', detail ->> 'seconds'), ', ' ORDER BY id) FROM mig.events WHERE name = 'w' AND kind IN ('hibernating', 'paused')"),
	'hibernating xid_age 0.3, hibernating xid_age 0.6, hibernating xid_age 1.2, paused', 'it sleeps, longer each time, and is paused');
like(one($node, "SELECT waiting_for FROM mig_status('w') WHERE paused AND rows_done = 0"), qr/^hibernated 3 times, and still xid_age/, 'with the reason');
cmp_ok(one($node, "SELECT waited ->> 'hibernation' $pace = 'w'"), '>', 1.5, 'the time is counted');
fails_ok($node, "CALL mig_run('w')", '55000', 'mig_run says that it is paused', qr/is paused in phase "backfilling"/);
one($node, q(SELECT mig_resume('w')));
is(one($node, "SELECT hibernations $pace = 'w'"), 0, 'resumed: they are forgotten');
one($node, q(SELECT mig_set('w', '{"throttle": {"xid_age": null}}')));
$node->psql('postgres', "$settings; CALL mig_run('w')");
is(phase_of($node, 'w'), 'ready', 'nothing critical any more: it is done');

# Unpaced
one($node, 'CREATE TABLE x AS SELECT id, a, b FROM t');
one($node, q(SELECT mig_start('x', 'ALTER TABLE x ALTER COLUMN b TYPE varchar(200)', '{"throttle": false, "down": {"x.b": "b"}, "up": {"x.b": "b"}}')));
configure($node, 'mig_control.throttle_xid_age' => '0', 'mig_control.critical_xid_age' => '0');
$node->psql('postgres', "CALL mig_run('x')");
is(phase_of($node, 'x'), 'ready', 'throttle: false goes by no signal');

no_crash_ok($node);
done_testing();
