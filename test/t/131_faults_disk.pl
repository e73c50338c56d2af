# A disk that fills up: the floor of free space stops the backfill before it is full; a disk that is full fails nobody but itself, and it goes on when there is room.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', conf => "mig_control.batch_pages = 8\nmig_control.range_pages = 64\nmig_control.max_workers = 1\n");
my $definition = 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint';
my $rows = 20000;

sub prepare
{
	my ($db, $tablespace) = @_;
	one($node, "CREATE DATABASE $db");
	one($node, <<SQL, $db);
CREATE EXTENSION mig_control;
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text) WITH (autovacuum_enabled = off)${\($tablespace ? " TABLESPACE $tablespace" : '')};
INSERT INTO t SELECT i, i / 7.0, repeat('b', 100) || i FROM generate_series(1, $rows) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE plain AS SELECT * FROM t;
SQL
	return;
}

sub options { my ($throttle) = @_; return qq({"down": {"t.a": "a / 100.0"}, "throttle": $throttle}) }

sub ready_ok
{
	my ($db) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, 'v', 'ready', $db);
	same_ok($node, 'SELECT id, a, b FROM public_v.t', 'SELECT id, (a * 100)::bigint, b FROM plain', "$db: all rows are there", $db);
	is(one($node, "SELECT waiting_for IS NULL AND error IS NULL FROM mig_status('v')", $db), 't', "$db: no reason is left");
	empty_ok($node, 'SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid', "$db: no invalid index is left", $db);
	return;
}

# Where nothing can be mounted: a floor above what is free; then one below
for my $signal ('disk_free', 'wal_disk_free')
{
	prepare($signal);
	start_ok($node, 'v', $definition, options(qq({"$signal": "1000TB"})), $signal);
	stopped_ok($node, 'v', $signal, qr/$signal is .* below its limit of 1000 TB/, $signal);
	is(phase_of($node, 'v', $signal), 'backfilling', "$signal: it stands in its backfill");
	one($node, qq(SELECT mig_set('v', '{"throttle": {"$signal": "1kB"}}')), $signal);
	ready_ok($signal);
}

SKIP:
{
	my $disk = $ENV{MIG_TEST_DISK};
	skip 'no small file system: MIG_TEST_DISK is not set (script/test mounts one when it runs as root)', 1 unless $disk && -d $disk;
	mkdir "$disk/space" or die "$disk/space: $!";
	one($node, "CREATE TABLESPACE small LOCATION '$disk/space'");

	# Fill the tablespace up, but for so many bytes; something else than tables does it
	my $fill = sub {
		my ($leave) = @_;
		my ($avail) = (`df -B1 --output=avail "$disk"`)[1] =~ /(\d+)/;
		open(my $f, '>>', "$disk/ballast") or die $!;
		for (my $n = $avail - $leave; $n > 0; $n -= 65536) { syswrite($f, 'x' x ($n < 65536 ? $n : 65536)) or last }
		close $f;
	};

	# Under the floor from the beginning, and again in the middle
	prepare('floor', 'small');
	$fill->(4_000_000);
	start_ok($node, 'v', $definition, options('{"disk_free": "5MB"}'), 'floor');
	stopped_ok($node, 'v', 'disk_free', qr/disk_free is .*\(tablespace small\).*below its limit of 5120 kB/, 'floor');
	unlink "$disk/ballast";
	ready_ok('floor');
	empty_ok($node, "SELECT * FROM mig.events WHERE kind IN ('failed', 'paused')", 'floor: nothing failed', 'floor');
	one($node, "SELECT mig_complete('v')", 'floor');
	wait_for($node, 'v', 'completed', 'floor');

	# Full: the fill, or the index build after it, gets an error; clients are not stopped by us, and it goes on by itself
	prepare('nospace', 'small');
	$fill->(300_000);
	start_ok($node, 'v', $definition, options('{"disk_free": "off"}'), 'nospace');
	wait_until($node, "SELECT waiting_for ~ 'could not (extend|write|create)|No space left' FROM mig_status('v')", 'nospace: the reason is shown', 'nospace');
	is(one($node, "SELECT phase || ' ' || paused FROM mig_status('v')", 'nospace'), 'backfilling false', 'nospace: it tries again by itself');
	same_ok($node, 'SELECT id, a, b FROM t', 'SELECT * FROM plain', 'nospace: the old version can be read', 'nospace');
	unlink "$disk/ballast";
	ready_ok('nospace');
	is(one($node, "SELECT count(*) > 0 FROM mig.events WHERE kind = 'retry' AND detail ->> 'sqlstate' = '53100'", 'nospace'), 't', 'nospace: the event tells the code');
	one($node, 'DROP DATABASE ' . $_) for 'floor', 'nospace';
	one($node, 'DROP TABLESPACE small');
}

no_crash_ok($node);
$node->stop;
done_testing();
