# Who has to take our WAL does not keep up: a standby that is paused, a logical slot that nobody reads, an archive_command that fails. The backfill stands still,
# says why, and goes on when the fault is gone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $primary = mig_node('primary', init => [ allows_streaming => 1, extra => [ '--wal-segsize=1' ] ],
	conf => "wal_level = logical\narchive_mode = on\narchive_command = 'test ! -e $dir/broken && test -e %p'\nmax_slot_wal_keep_size = 32MB\n"
	  . "wal_keep_size = 256MB\nmax_wal_size = 64MB\nmig_control.batch_pages = 8\nmig_control.range_pages = 64\n");
one($primary, 'CREATE DATABASE seed');
one($primary, <<'SQL', 'seed');
CREATE EXTENSION mig_control;
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text);
INSERT INTO t SELECT i, i / 7.0, repeat('b', 100) || i FROM generate_series(1, 20000) i;
CREATE TABLE plain AS SELECT * FROM t;
CREATE TABLE ballast (b text);
SQL
one($primary, "CREATE DATABASE $_ TEMPLATE seed") for 'standby_bytes', 'standby_time', 'slot', 'archive';
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "primary_conninfo = '" . $primary->connstr . " application_name=replica1'\n");
$standby->start;
$primary->wait_for_catchup('replica1');

my $definition = 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint';

sub options { my ($throttle) = @_; return qq({"down": {"t.a": "a / 100.0"}, "throttle": $throttle}) }

sub ready_ok
{
	my ($db) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($primary, 'v', 'ready', $db);
	same_ok($primary, 'SELECT id, a, b FROM public_v.t', 'SELECT id, (a * 100)::bigint, b FROM plain', "$db: all rows are there", $db);
	is(one($primary, "SELECT waiting_for IS NULL FROM mig_status('v')", $db), 't', "$db: and no reason is left");
	empty_ok($primary, "SELECT * FROM mig.events WHERE kind IN ('failed', 'paused')", "$db: nothing failed", $db);
	return;
}

# A standby that is paused: what is written after it is not replayed
for ([ 'standby_bytes', 'replica_lag_bytes', '{"replica_lag_bytes": "200kB", "replica_lag": "off"}' ],
	[ 'standby_time', 'replica_lag', '{"replica_lag_bytes": "off", "replica_lag": "300ms", "standbys": ["replica1"]}' ])
{
	my ($db, $signal, $throttle) = @$_;
	one($standby, 'SELECT pg_wal_replay_pause()');
	wait_until($standby, "SELECT pg_get_wal_replay_pause_state() = 'paused'", "$db: the standby is paused");
	start_ok($primary, 'v', $definition, options($throttle), $db);
	stopped_ok($primary, 'v', $signal, qr/$signal is .*\(standby replica1\).*over its limit/, $db);
	is(phase_of($primary, 'v', $db), 'backfilling', "$db: it stands in its backfill");
	one($standby, 'SELECT pg_wal_replay_resume()');
	ready_ok($db);
}

# A slot that nobody reads: it is stopped before the slot is lost
{
	one($primary, "SELECT pg_create_logical_replication_slot('unread', 'test_decoding')", 'slot');
	one($primary, "INSERT INTO ballast SELECT repeat(md5(i::text), 20) FROM generate_series(1, 30000) i", 'slot');	# some 21 MB
	start_ok($primary, 'v', $definition, options('{"replica_lag": "off"}'), 'slot');
	stopped_ok($primary, 'v', 'slot_wal', qr/slot_wal is .*\(slot unread\).*over its limit of (25|26) MB/, 'slot');
	one($primary, 'CHECKPOINT');
	isnt(one($primary, "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'unread'"), 'lost', 'slot: it is not lost');
	# somebody reads it again
	wait_until($primary, "SELECT count(*) >= 0 FROM pg_logical_slot_get_changes('unread', NULL, NULL)", 'slot: it is read', 'slot');
	one($primary, 'CHECKPOINT');
	one($primary, "SELECT count(*) FROM pg_logical_slot_get_changes('unread', NULL, NULL)", 'slot') for 1, 2;
	wait_until($primary, "SELECT phase = 'ready' FROM mig_status('v'), LATERAL (SELECT count(*) FROM pg_logical_slot_get_changes('unread', NULL, NULL)) c", 'slot: it goes on while it is read', 'slot');
	ready_ok('slot');
	one($primary, "SELECT pg_drop_replication_slot('unread')");
}

# archive_command fails, and then works
{
	append_to_file("$dir/broken", '');
	one($primary, "INSERT INTO ballast SELECT i FROM generate_series(1, 1000) i; SELECT pg_switch_wal()", 'archive') for 1 .. 4;
	start_ok($primary, 'v', $definition, options('{"archive_backlog": 2}'), 'archive');
	stopped_ok($primary, 'v', 'archive_backlog', qr/archive_backlog is \d+.*over its limit of 2/, 'archive');
	unlink("$dir/broken");
	ready_ok('archive');
}

# A standby that is wanted by name and has gone: nothing is known of it, and so it stops after a while
if (test_all())
{
	one($primary, 'CREATE DATABASE gone TEMPLATE seed');
	my $hold = start_held($primary, 'v', $definition, options('{"replica_lag": "300ms", "standbys": ["replica1"]}'), 'gone', 'SELECT FROM t WHERE id = 77 FOR UPDATE');
	$standby->stop;
	stopped_ok($primary, 'v', 'replica_lag_bytes', qr/could not be read/, 'gone');
	$hold->quit;
	is(phase_of($primary, 'v', 'gone'), 'backfilling', 'gone: it waits for it');
	$standby->start;
	ready_ok('gone');
}

no_crash_ok($_) for $primary, $standby;
$standby->stop;
$primary->stop;
done_testing();
