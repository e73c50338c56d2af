# The drift watch across sessions: who is told, sweeps (what was written lately is found without a pass, also what was under way when the last one looked), fences that
# every session learns of, triggers that are dropped, rewrites, crashes, and no false alarm while clients write.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', conf => "autovacuum = off\n");
my $definition = 'ALTER TABLE t ALTER v TYPE bigint USING v * 10';
my $drift = "FROM mig.drift WHERE name = 'v'";

sub options { return '{"down": {"t.v": "v / 10"}, "drift": ' . $_[0] . '}' }

# Statements that the sync triggers of a table do not see
sub bypass
{
	my ($table, $sql) = @_;
	return "SET mig_control.own_statements = 1; ALTER TABLE $table DISABLE TRIGGER USER; $sql; ALTER TABLE $table ENABLE ALWAYS TRIGGER \"~mig_sync\"";
}

# Cycles that begin from now on have ended twice: the first may have begun while it was being looked at
sub cycle_ok
{
	my ($name, $db, $migration) = @_;
	my $now = one($node, 'SELECT clock_timestamp()', $db);
	$migration //= 'v';
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_until($node, "SELECT count(*) >= 2 FROM mig.pass p JOIN mig.migration m ON m.id = migration_id WHERE m.name = '$migration' AND p.kind = 'watch' AND p.step_no = 0 AND p.started_at > '$now' AND p.ended_at IS NOT NULL", $name, $db);
}

# Partitions of which the first is locked, so that passes cannot get past it: what is found in the second is found by sweeps
one($node, <<'SQL');
CREATE TABLE t (id int, v int, pad text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000);
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (1000) TO (20000);
INSERT INTO t SELECT i, i, repeat('x', 50) FROM generate_series(0, 19999) i;
VACUUM ANALYZE t;
SQL
start_ok($node, 'v', $definition, options('{"duty": 1}'));
wait_for($node, 'v', 'ready');
cycle_ok('passes follow each other');
is(one($node, "SELECT count(*) $drift"), '0', 'nothing is found where nothing is wrong');
my $listener = $node->background_psql('postgres', on_error_stop => 1);
$listener->query_safe('LISTEN mig_control');
my $locker = hold($node, undef, 'LOCK TABLE t1 IN ACCESS EXCLUSIVE MODE');
one($node, 'BEGIN; ' . bypass('t2', 'UPDATE t2 SET v = -1 WHERE id IN (1500, 19999)') . '; COMMIT');
wait_until($node, "SELECT count(*) = 2 $drift AND found_by = 'sweep' AND key IN ('{\"id\": 1500}', '{\"id\": 19999}')", 'a sweep finds what was written lately');
my ($out) = $listener->query('SELECT 1');
like($out, qr/"mig_control".*"relation": "public\.t2"/s, 'whoever listens is told');
like($out, qr/"samples": \[\{"id": 1500\}, \{"id": 19999\}\]/, 'the keys');
unlike($out, qr/-1/, 'and no values');
$listener->quit;
is(one($node, "SELECT string_agg(detail ->> 'found_by', ',') FROM mig.events WHERE name = 'v' AND kind = 'drift'"), 'sweep', 'there is an event');
is(one($node, "SELECT divergent FROM mig_status('v')"), '2', 'mig_status counts them');

# A transaction that is under way while sweeps pass by, and commits later
my $writer = hold($node, undef, 'SET mig_control.own_statements = 1', 'ALTER TABLE t2 DISABLE TRIGGER USER', 'UPDATE t2 SET v = -2 WHERE id = 7777', 'ALTER TABLE t2 ENABLE ALWAYS TRIGGER "~mig_sync"');
my $sweep = one($node, "SELECT last_sweep FROM mig.watch WHERE name = 'v'");
wait_until($node, "SELECT last_sweep > '$sweep'::timestamptz + interval '1 s' FROM mig.watch WHERE name = 'v'", 'sweeps pass by');
is(one($node, "SELECT count(*) $drift AND key = '{\"id\": 7777}'"), '0', 'what has not committed is not found');
$writer->query_safe('COMMIT');
$writer->quit;
wait_until($node, "SELECT count(*) = 1 $drift AND found_by = 'sweep' AND key = '{\"id\": 7777}'", 'what has committed since is');

# A fence reaches sessions that have compiled the trigger, those with an old snapshot, and partitions attached later
one($node, q(SELECT mig_set('v', '{"drift": {"reaction": "fence"}}')));
my $old = $node->background_psql('postgres', on_error_stop => 0);
$old->query_safe('UPDATE public_v.t SET v = v + 10 WHERE id = 2000');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$old->query_safe('SELECT 1 FROM pg_class LIMIT 1');
one($node, 'BEGIN; ' . bypass('t2', 'UPDATE t2 SET v = -3 WHERE id = 8888') . '; COMMIT');
wait_until($node, "SELECT fenced_since IS NOT NULL FROM mig.watch WHERE name = 'v'", 'the new version is fenced');
fails_ok($node, 'UPDATE public_v.t SET v = v + 10 WHERE id = 2001', '55000', 'a new session is refused', qr/writes through the new version of table "t2" are refused.*mig_repair\('v'\)/s);
$old->query('UPDATE public_v.t SET v = v + 10 WHERE id = 2000');
like($old->{stderr}, qr/are refused/, 'and one with a snapshot from before');
$old->quit;
is($node->psql('postgres', 'UPDATE t SET v = v + 1 WHERE id = 2001'), 0, 'old clients are not');
$locker->quit;
one($node, 'UPDATE t SET v = id WHERE id IN (1500, 19999, 7777, 8888)');
wait_until($node, "SELECT count(*) = 0 $drift AND gone_at IS NULL", 'corrected, they are gone');
wait_until($node, "SELECT fenced_since IS NULL FROM mig.watch WHERE name = 'v'", 'and clean passes lift the fence');
is($node->psql('postgres', 'UPDATE public_v.t SET v = v + 10 WHERE id = 2001'), 0, 'new clients write again');

# Clients of both versions write while rows are deleted, vacuumed and rewritten, and the server crashes: nothing is found
my $alarms = "SELECT count(*) FROM mig.events WHERE name = 'v' AND kind = 'drift'";
my $before = one($node, $alarms);
my @clients = map { clients_begin($node, $_->[0], $_->[1], clients => 2) }
  ([ old => "\\set i random(0, 19990)\nUPDATE public.t SET v = v + 1 WHERE id = :i;\nDELETE FROM public.t WHERE id = :i + 1;\nINSERT INTO public.t VALUES (:i + 1, :i) ON CONFLICT DO NOTHING;\n" ],
	[ new => "\\set i random(0, 19990)\nUPDATE public_v.t SET v = v + 10 WHERE id = :i;\nINSERT INTO public_v.t VALUES (:i + 2, 10 * :i) ON CONFLICT (id) DO UPDATE SET v = excluded.v;\n" ]);
cycle_ok('clients write');
one($node, 'VACUUM t2');
one($node, 'VACUUM FULL t1');
cycle_ok('a table is rewritten');
restart_after_crash($node);
cycle_ok('the watch goes on by itself after a crash');
SKIP:
{
	kill_worker($node, 'mig_control worker') or skip 'there was no worker', 1;
	cycle_ok('and after a SIGKILL of its worker');
}
clients_end($_) for @clients;
cycle_ok('clients have ended');
is(one($node, $alarms), $before, 'no false alarm');
is(one($node, "SELECT failure FROM mig.watch WHERE name = 'v'"), '', 'and no failure');

# Paused: nothing is watched
one($node, "SELECT mig_pause('v')");
one($node, 'BEGIN; ' . bypass('t2', 'UPDATE t2 SET v = -4 WHERE id = 9000') . '; COMMIT');
$sweep = one($node, "SELECT last_sweep, watching FROM mig.watch WHERE name = 'v'");
sleep 2;
is(one($node, "SELECT last_sweep, watching FROM mig.watch WHERE name = 'v'"), $sweep, 'a paused migration is not watched');
one($node, "SELECT mig_resume('v')");
wait_until($node, "SELECT count(*) = 1 $drift AND key = '{\"id\": 9000}'", 'resumed, it is, and finds what happened meanwhile');
one($node, 'UPDATE t SET v = id WHERE id = 9000');
one($node, q(SELECT mig_set('v', '{"drift": {"reaction": "alarm"}}')));
wait_until($node, "SELECT count(*) = 0 $drift AND gone_at IS NULL", 'it is in order again');

# A table that has lost its trigger
one($node, 'SET mig_control.own_statements = 1; DROP TRIGGER "~mig_sync" ON t');
wait_until($node, "SELECT count(*) > 0 $drift AND kind = 'no trigger' AND gone_at IS NULL", 'a trigger that was dropped is found');
empty_ok($node, "SELECT FROM mig.pass p JOIN mig.migration m ON m.id = p.migration_id WHERE m.name = 'v' AND p.clean AND p.epoch = m.epoch", 'and no pass is clean');
is(one($node, "SELECT watching FROM mig.watch WHERE name = 'v'"), 't', 'it is watched nevertheless');
one($node, "SELECT mig_rollback('v', force => true)");

# A table that is gone
one($node, 'CREATE TABLE u (id int PRIMARY KEY, v int); INSERT INTO u VALUES (1, 1)');
start_ok($node, 'u', 'ALTER TABLE u ALTER v TYPE bigint USING v * 10', '{"down": {"u.v": "v / 10"}, "drift": {"duty": 1}}');
wait_for($node, 'u', 'ready');
one($node, 'SET mig_control.own_statements = 1; DROP TABLE u CASCADE');
wait_until($node, "SELECT failure LIKE 'table public.u of this migration is gone%' AND NOT watching FROM mig.watch WHERE name = 'u'", 'the watch says that it has failed, and why');
is(one($node, "SELECT count(*) FROM mig.events WHERE name = 'u' AND kind = 'watch failed'"), '1', 'once');
$node->psql('postgres', "SELECT mig_rollback('u', force => true)");

# Without workers, mig_tick watches, for as long as it may
configure($node, 'mig_control.worker' => 'off');
wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mig_control worker'", 'there is no worker');
one($node, 'CREATE TABLE w (id int PRIMARY KEY, v int); INSERT INTO w SELECT i, i FROM generate_series(1, 100) i');
start_ok($node, 'w', 'ALTER TABLE w ALTER v TYPE bigint USING v * 10', '{"down": {"w.v": "v / 10"}, "drift": {"duty": 1}}');
one($node, "CALL mig_run('w')");
one($node, 'BEGIN; ' . bypass('w', 'UPDATE w SET v = -1 WHERE id = 5') . '; COMMIT');
one($node, "CALL mig_tick('3 s')");
is(one($node, "SELECT key FROM mig.drift WHERE name = 'w'"), '{"id": 5}', 'mig_tick has found a row');
fails_ok($node, "CALL mig_run('w', until => 'completed')", '55000', 'mig_run does not wait for what does not come', qr/is ready and does not reach "completed" by itself/);
one($node, q(SELECT mig_set('w', '{"drift": false}')));
my $since = time;
one($node, "CALL mig_tick('1 hour')");
cmp_ok(time - $since, '<', 60, 'a tick ends when nothing is to be watched');

no_crash_ok($node);
done_testing();
