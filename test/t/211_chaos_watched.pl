# The same while the drift watch looks: what gets past the triggers is found, named and stops the gate by itself, and a clean pass opens it again. Workers die in mid pass, and clients of both versions do
# all they can while everything is compared all the time: no row is counted twice, and nothing is reported that is not so.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', conf => "autovacuum = off\nlog_statement = none\nmax_connections = 50\nfsync = off\n");
my $rows = 40000;

one($node, <<SQL);
CREATE FUNCTION tenfold(int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS 'SELECT \$1::bigint * 10';
CREATE TABLE t (id int PRIMARY KEY, v int, n text);
INSERT INTO t SELECT i, i, 'n' FROM generate_series(1, $rows) i;
CREATE TABLE u (id int PRIMARY KEY, v int);
INSERT INTO u SELECT i, i FROM generate_series(1, 1000) i;
CREATE SCHEMA other;
CREATE TABLE other.q (id int PRIMARY KEY, v int, n text) WITH (fillfactor = 50);
INSERT INTO other.q SELECT i, i, 'n' FROM generate_series(1, $rows) i;
VACUUM ANALYZE;
SQL
start_ok($node, 'v', 'ALTER TABLE t ALTER v TYPE bigint USING tenfold(v); ALTER TABLE u ALTER v TYPE bigint USING v * 10', '{"down": {"t.v": "v / 10", "u.v": "v / 10"}, "drift": {"duty": 0.5}}');
start_ok($node, 'w', 'ALTER TABLE q ALTER v TYPE bigint USING v * 10', '{"down": {"q.v": "v / 10"}, "drift": {"duty": 0.5}, "schema": "other"}');
wait_for($node, $_, 'ready') for qw(v w);

sub gate { my ($name) = @_; return one($node, "SELECT open || ': ' || value FROM mig_gates('$name') WHERE gate = 'verified'") }
sub epoch { my ($name) = @_; return one($node, "SELECT epoch FROM mig.migration WHERE name = '$name'") }

# Passes of all tables that begin from now on have ended twice
sub cycle_ok
{
	my ($name, $what) = @_;
	my $last = one($node, 'SELECT max(id) FROM mig.pass');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_until($node, "SELECT count(*) = 0 FROM (SELECT relid FROM mig.step s JOIN mig.migration m ON m.id = s.migration_id WHERE m.name = '$name' AND s.kind = 'validate') s"
		  . " WHERE (SELECT count(*) FROM mig.pass p WHERE p.relid = s.relid AND p.kind = 'watch' AND p.step_no = 0 AND p.id > $last AND p.ended_at IS NOT NULL) < 2", $what);
}

# The watch has named exactly these rows of t, the gate is closed for them; cured, it opens again, without anybody's doing
sub found_ok
{
	my ($what, $why, $before, $keys, $cure) = @_;
	my $list = join(', ', map { "{\"id\": $_}" } @$keys);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($node, "SELECT string_agg(DISTINCT name || ' ' || relation || ' ' || key, ', ' ORDER BY name || ' ' || relation || ' ' || key) = '" . join(', ', map { "v public.t {\"id\": $_}" } sort @$keys) . "' FROM mig.drift WHERE gone_at IS NULL",
		"$what: the watch finds exactly $list") if @$keys;
	wait_until($node, "SELECT epoch > $before FROM mig.migration WHERE name = 'v'", "$what: a new epoch has begun");
	like(one($node, "SELECT string_agg(detail::text, '; ') FROM mig.epochs WHERE name = 'v' AND epoch > $before"), $why, "$what: it says why");
	if (@$keys)
	{
		fails_ok($node, "SELECT mig_complete('v')", '55000', "$what: mig_complete is refused", qr/gate "verified" of migration "v" is closed/);
		is(one($node, "SELECT divergent FROM mig_status('v')"), scalar(@$keys), "$what: mig_status counts them");
		one($node, $cure);
	}
	wait_until($node, "SELECT open FROM mig_gates('v') WHERE gate = 'verified'", "$what: a clean pass opens the gate again");
	is(one($node, "SELECT count(*) FROM mig.drift WHERE gone_at IS NULL") . ' ' . gate('w') . ' ' . epoch('w'), '0 true: 1 table clean 1', "$what: nothing is left, nothing is reported of the other migration");
	return;
}

# ---- DDL by hand, with the guard off, stops the migration; resumed, the watch says what it has done
my $off = 'ALTER TABLE t DISABLE TRIGGER "~mig_sync"';
my $on = 'ALTER TABLE t ENABLE ALWAYS TRIGGER "~mig_sync"';
sub unguarded { my ($sql) = @_; return "SET mig_control.guard = off; $sql; RESET mig_control.guard; SELECT mig_resume('v')" }
my $changed = qr/public\.t: trigger \\"~mig_sync\\" has changed/;
my $epoch = epoch('v');
fails_ok($node, $off, '55006', 'the guard refuses to disable the trigger');
is(epoch('v'), $epoch, 'nothing has happened');
one($node, "SET mig_control.guard = off; BEGIN; $off; UPDATE t SET v = -1 WHERE id IN (7, $rows); $on; COMMIT");
is(one($node, "SELECT phase || ', ' || error FROM mig_status('v')"), 'ready, public.t was changed by hand', 'without the guard the migration stops, and says why');
fails_ok($node, "SELECT mig_complete('v')", '55000', 'and does not complete');
one($node, "SELECT mig_resume('v')");
found_ok('disabled in a transaction', $changed, $epoch, [ 7, $rows ], 'UPDATE t SET v = id WHERE v = -1');

$epoch = epoch('v');
one($node, unguarded("BEGIN; SAVEPOINT a; $off; UPDATE t SET v = 1 WHERE id = 11; INSERT INTO t VALUES (0, 0, 'n'); SAVEPOINT b; UPDATE t SET v = 1 WHERE id = 12; ROLLBACK TO b; RELEASE a; $on; COMMIT"));
found_ok('in a subtransaction', $changed, $epoch, [ 0, 11 ], 'UPDATE t SET v = id WHERE id IN (0, 11)');

$epoch = epoch('v');
one($node, unguarded('ALTER TABLE t ENABLE REPLICA TRIGGER "~mig_sync"'));
wait_until($node, "SELECT count(*) = 1 FROM mig.drift WHERE gone_at IS NULL AND kind = 'no trigger' AND relation = 'public.t'", 'a trigger that does not always fire is reported, whatever the rows say');
like(gate('v'), qr/^false: the sync triggers of public\.t do not always fire/, 'and closes the gate');
one($node, 'UPDATE t SET v = v + 1 WHERE id = 13');
one($node, unguarded($on));
found_ok('enabled for replicas only', $changed, $epoch, [13], 'UPDATE t SET v = id WHERE id = 13');

$epoch = epoch('v');
one($node, 'CREATE OR REPLACE FUNCTION tenfold(int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$SELECT $1::bigint * 10 + ($1 IN (17, 19))::int$$');
found_ok('up lies', qr/public\.t: function (?:public\.)?tenfold\(integer\) has changed/, $epoch, [ 17, 19 ], 'CREATE OR REPLACE FUNCTION tenfold(int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$SELECT $1::bigint * 10$$');

$epoch = epoch('v');
one($node, 'VACUUM FULL t');
found_ok('VACUUM FULL', qr/public\.t: the data file has changed/, $epoch, []);
$epoch = epoch('v');
one($node, 'TRUNCATE u');
found_ok('TRUNCATE', qr/public\.u: the data file has changed/, $epoch, []);

# ---- no bypass
$epoch = epoch('v');
one($node, 'SET session_replication_role = replica; UPDATE t SET v = v + 1 WHERE id % 7 = 0; UPDATE public_v.t SET v = v + 10 WHERE id % 7 = 1; DELETE FROM t WHERE id = 100');
cycle_ok('v', 'session_replication_role = replica: all is looked at');
is(gate('v') . ' ' . epoch('v'), "true: 2 tables clean $epoch", 'session_replication_role = replica: it is no bypass');

# ---- clients of both versions as fast as they can, on the table of the other migration, while all is compared all the time and workers die
sub alarms { return one($node, "SELECT count(*) FROM mig.drift WHERE name = 'w'") . ' ' . one($node, "SELECT count(*) FROM mig.pass p JOIN mig.migration m ON m.id = p.migration_id AND m.name = 'w' WHERE p.divergent + p.missing > 0") }
is(alarms(), '0 0', 'there was no alarm yet');
my %writes = (
	old => <<"SQL",
\\set i random(1, $rows)
\\set j random(1, $rows)
UPDATE other.q SET v = v + 1 WHERE id = :i;
BEGIN;
SAVEPOINT a;
DELETE FROM other.q WHERE id = :j;
SAVEPOINT b;
INSERT INTO other.q VALUES (:j, :i, 'old') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
ROLLBACK TO a;
INSERT INTO other.q VALUES (:j, :i) ON CONFLICT (id) DO UPDATE SET v = -excluded.v;
RELEASE a;
END;
UPDATE other.q SET id = id + 1000000 * (1 + :client_id) WHERE id = :i AND NOT EXISTS (SELECT FROM other.q WHERE id = :i + 1000000 * (1 + :client_id));
SQL
	new => <<"SQL");
\\set i random(1, $rows)
\\set j random(1, $rows)
UPDATE other_w.q SET v = v + 10 WHERE id = :i;
BEGIN;
UPDATE other_w.q SET n = 'new' WHERE id = :j;
SAVEPOINT a;
UPDATE other_w.q SET v = 10 * :i WHERE id = :j;
RELEASE a;
DELETE FROM other_w.q WHERE id = :j;
END;
INSERT INTO other_w.q VALUES (:i, 10 * :j) ON CONFLICT (id) DO NOTHING;
INSERT INTO other_w.q VALUES (:j, 10 * :i) ON CONFLICT (id) DO UPDATE SET v = excluded.v, n = 'both';
SQL
my @clients = map { clients_begin($node, $_, $writes{$_}, clients => 3) } sort keys %writes;
my $end = time + 12;
my $validated = 0;
while (time < $end)
{
	is(one($node, "SELECT sum(divergent) FROM mig_validate('w')"), '0', 'mig_validate, meanwhile') if $validated++ < 5 || one($node, "SELECT sum(divergent) FROM mig_validate('w')") ne '0';
}
cycle_ok('w', 'the watch has been over all rows, too');
is(alarms(), '0 0', 'no false alarm');
SKIP:
{
	kill_worker($node, 'mig_control worker') or skip 'there was no worker', 1;
	cycle_ok('w', 'after a SIGKILL of its worker the watch goes on');
}
one($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'mig_control worker'");
cycle_ok('w', 'and after one is told to end');
clients_end($_) for @clients;
cycle_ok('w', 'clients have ended');
is(alarms(), '0 0', 'no false alarm, whatever came');
is(gate('w') . ' ' . epoch('w'), 'true: 1 table clean 1', 'the gate is open, in the first epoch');
is(one($node, "SELECT failure FROM mig.watch WHERE name = 'w'"), '', 'and nothing has failed');

# ---- passes that are interrupted go on where they were. They are held in the middle: the second partition is locked
sub end_worker
{
	my ($way) = @_;
	return kill_worker($node, 'mig_control worker') if $way eq 'killed';
	return one($node, "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity WHERE backend_type = 'mig_control worker'") eq 't';
}

one($node, <<'SQL');
CREATE SCHEMA parts;
CREATE TABLE parts.p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE parts.p1 PARTITION OF parts.p FOR VALUES FROM (0) TO (3000);
CREATE TABLE parts.p2 PARTITION OF parts.p FOR VALUES FROM (3000) TO (5000);
INSERT INTO parts.p SELECT i, i FROM generate_series(0, 4999) i;
SQL
my @parts = ('ALTER TABLE p ALTER v TYPE bigint USING v * 10', '{"down": {"p.v": "v / 10"}, "drift": {"duty": 0.5}, "schema": "parts"}');
my $passes = "FROM mig.pass p JOIN mig.migration m ON m.id = p.migration_id AND m.name = 'x' WHERE p.step_no = coalesce((SELECT min(no) FROM mig.step s WHERE s.migration_id = m.id AND s.kind = 'validate' AND p.kind = 'validate'), 0)";
sub interrupted_ok
{
	my ($kind, $way, $release) = @_;
	my $open = "$passes AND p.kind = '$kind' AND p.ended_at IS NULL AND p.checked = 3000";
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($node, "SELECT count(*) = 1 $open", "$kind, $way: half of a pass is done");
	my $id = one($node, "SELECT p.id $open");
	one($node, 'CHECKPOINT');    # progress is committed without waiting for the disk
	ok(end_worker($way), "$kind, $way: its worker ends");
	$release->($kind, $way);
	wait_until($node, "SELECT count(*) = 1 FROM mig.pass WHERE id = $id AND ended_at IS NOT NULL", "$kind, $way: the pass comes to its end");
	is(one($node, "SELECT checked, ranges, clean FROM mig.pass WHERE id = $id"), '5000|2|t', "$kind, $way: it has counted each row once");
	return;
}
stop_before($node, one($node, 'SELECT min(step) FROM mig_plan(' . join(', ', map { "\$\$$_\$\$" } 'x', @parts) . ") WHERE phase = 'validate'"));
start_ok($node, 'x', @parts);
wait_until($node, "SELECT count(*) = 1 FROM mig.events WHERE name = 'x' AND kind = 'vacuumed'", 'x is filled');
my $locker = hold($node, undef, 'LOCK TABLE parts.p2 IN ACCESS EXCLUSIVE MODE');
stop_before($node, undef);
my $release = sub { $locker->quit if $_[1] eq 'terminated' };    # a server that restarts has released it
interrupted_ok('validate', 'killed', $release);
wait_for($node, 'x', 'ready');
for my $way ('terminated', 'killed')
{
	$locker = hold($node, undef, 'LOCK TABLE parts.p2 IN ACCESS EXCLUSIVE MODE');
	interrupted_ok('watch', $way, $release);
}

# ---- in the end
one($node, "SELECT mig_complete('$_')") for qw(v w x);
wait_for($node, $_, 'completed') for qw(v w x);
no_crash_ok($node);
done_testing();
