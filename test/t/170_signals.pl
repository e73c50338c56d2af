# Readers that need more than one session: how far a standby is behind, to a session that has only just come, and standbys by name; clients that wait for rows of a batch.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Only what a test asks for paces
my $off = join "\n", map { "mig_control.throttle_$_ = -1" } qw(active_clients cpu client_latency commit_latency io_waits dead_rows waiters disk_free wal_disk_free replica_lag_bytes slot_wal);
my $node = mig_node('primary', init => [ allows_streaming => 1 ], conf => "$off\nmig_control.worker = off\n");
my $pace = "FROM mig.pace JOIN mig.migration m ON m.id = migration_id WHERE name";

one($node, <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT i, i, repeat('b', 100) FROM generate_series(1, 300) i;
CREATE TABLE u AS TABLE t;
CREATE TABLE ballast (i int);
CREATE FUNCTION slow(v int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN v * 10; END $$;
SQL
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "primary_conninfo = '" . $node->connstr . " application_name=replica1'\n");
$standby->start;
$node->wait_for_catchup('replica1');

# Nothing is written to one that has it all, whether it is asked by name or not
wait_until($node, "SELECT value = 0 AND who = 'standby replica1' FROM mig.read_signals() WHERE signal = 'replica_lag'", 'a standby that is connected counts; it is not behind');
is(one($node, qq(SELECT value, who FROM mig.read_signals('{"standbys": ["-replica1"]}') WHERE signal = 'replica_lag')), '0|', 'but not one that is left out');
is(one($node, qq(SELECT value, who FROM mig.read_signals('{"standbys": ["replica1", "replica2"]}') WHERE signal = 'replica_lag')), '|standby replica2 is not connected',
	'one that is named has to be there');

# A standby stands still. A session that has just come cannot know since when, but others have seen
one($standby, 'SELECT pg_wal_replay_pause()');
wait_until($standby, "SELECT pg_get_wal_replay_pause_state() = 'paused'", 'the standby is paused');
one($node, 'INSERT INTO ballast SELECT generate_series(1, 1000)');
cmp_ok(one($node, "SELECT value FROM mig.read_signals() WHERE signal = 'replica_lag'"), '<', 20000, 'the first look of a session does not know');
start_ok($node, 'v', 'ALTER TABLE t ALTER COLUMN a TYPE bigint', '{"throttle": {"replica_lag": "20s"}}');
one($node, q(INSERT INTO mig.pace (migration_id, samples) SELECT id, jsonb_build_array(jsonb_build_array(extract(epoch FROM now()) - 30, 0, pg_current_wal_flush_lsn() - '0/0'))
	FROM mig.migration));
$node->psql('postgres', "CALL mig_tick('2 s')");
like(one($node, "SELECT waiting_for FROM mig_status('v')"), qr/^replica_lag is [34]\d\.\d s \(standby replica1\), over its limit of 20.0 s/, 'what another session has seen counts');
is(one($node, "SELECT rows_done FROM mig_status('v')"), 0, 'and nothing was done');
one($node, q(SELECT mig_set('v', '{"throttle": {"standbys": ["-replica1"]}}')));
$node->psql('postgres', "CALL mig_run('v')");
is(phase_of($node, 'v'), 'ready', 'it is not asked: it goes on');
$standby->stop;

# A client waits for rows that a batch has locked: the batch is long, and the client wants all rows again and again
configure($node, 'mig_control.worker' => 'on', 'mig_control.throttle_waiters' => '0');
start_ok($node, 'w', 'ALTER TABLE u ALTER COLUMN a TYPE bigint USING slow(a)', '{"down": {"u.a": "a / 10"}}');
wait_until($node, "WITH locked AS MATERIALIZED (SELECT FROM u FOR UPDATE) SELECT coalesce((SELECT waited ? 'waiters' $pace = 'w'), false) FROM (SELECT count(*) FROM locked) x",
	'it rests when a client has waited');
wait_for($node, 'w', 'ready');
same_ok($node, 'SELECT id, a FROM public_w.u', 'SELECT id, a::bigint * 10 FROM public.u', 'all rows are there');

no_crash_ok($node);
done_testing();
