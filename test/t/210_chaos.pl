# Writes that get past the sync triggers, in sessions that do not know of the library, on a server that is watched by nobody: each is found, named, and stops mig_complete, and
# nothing is reported of anything else. What is no bypass is not reported at all.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', preload => 0, conf => "autovacuum = off\n");
my $trigger = '"~mig_sync"';

one($node, <<'SQL');
CREATE FUNCTION tenfold(int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1::bigint * 10';
CREATE TABLE t (id int, v int, n text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000);
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (1000) TO (5000);
INSERT INTO t SELECT i, i, 'n' FROM generate_series(0, 4999) i;
CREATE TABLE u (id int PRIMARY KEY, v int);
INSERT INTO u SELECT i, i FROM generate_series(0, 999) i;
CREATE SCHEMA other;
CREATE TABLE other.q (id int PRIMARY KEY, v int);
INSERT INTO other.q SELECT i, i FROM generate_series(0, 999) i;
VACUUM ANALYZE;
SQL
start_ok($node, 'v', 'ALTER TABLE t ALTER v TYPE bigint USING tenfold(v); ALTER TABLE u ALTER v TYPE bigint USING v * 10', '{"down": {"t.v": "v / 10", "u.v": "v / 10"}, "drift": false}');
start_ok($node, 'w', 'ALTER TABLE q ALTER v TYPE bigint USING v * 10', '{"down": {"q.v": "v / 10"}, "drift": false, "schema": "other"}');
one($node, "CALL mig_run('$_')") for qw(v w);
one($node, "SELECT mig_validate('$_')") for qw(v w);

# What a migration's gate says
sub gate { my ($name) = @_; return one($node, "SELECT open || ': ' || value FROM mig_gates('$name') WHERE gate = 'verified'") }
sub epoch { my ($name) = @_; return one($node, "SELECT epoch FROM mig.migration WHERE name = '$name'") }

# mig_validate finds so many rows of t, and none elsewhere
sub validate_ok
{
	my ($divergent, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(one($node, "SELECT string_agg(relation || ' ' || divergent, ', ' ORDER BY relation) FROM mig_validate('v')"), "public.t $divergent, public.u 0", "$what: mig_validate finds what there is");
	is(one($node, "SELECT string_agg(relation || ' ' || divergent + missing || ' ' || clean, ', ' ORDER BY relation) FROM (SELECT * FROM mig.checks WHERE name = 'v' ORDER BY id DESC LIMIT 2) c"),
		"public.t $divergent " . ($divergent ? 'false' : 'true') . ', public.u 0 true', "$what: the evidence is kept");
	return;
}

# The other migration has not heard of anything
sub bystander_ok
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(gate('w') . ', epoch ' . epoch('w'), 'true: 1 table clean, epoch 1', "$what: the other migration's gate stays open");
	return;
}

# After something that got past the triggers: mig_complete is refused, a new epoch says why
sub noticed_ok
{
	my ($what, $why, $before, $says) = @_;
	$says //= qr/writes may have got past the triggers of public\.t/;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	fails_ok($node, "SELECT mig_complete('v')", '55000', "$what: mig_complete is refused", qr/gate "verified" of migration "v" is closed.*$says/s);
	like(gate('v'), qr/^false: $says/, "$what: its gate is closed");
	cmp_ok(epoch('v'), '>', $before, "$what: a new epoch has begun");
	like(one($node, "SELECT string_agg(why || coalesce(detail::text, ''), '; ') FROM mig.epochs WHERE name = 'v' AND epoch > $before"), $why, "$what: it says why");
	is(one($node, "SELECT count(*) > 0 FROM mig.events WHERE name = 'v' AND kind = 'bypass' AND (detail ->> 'epoch')::int > $before"), 't', "$what: there is an event");
	return;
}

# One kind of bypass: the statements (a session of their own each), why an epoch begins, the keys of the rows of t it leaves, what puts them in order
sub bypass_ok
{
	my ($what, $sqls, $why, $keys, $cure) = @_;
	my $before = epoch('v');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	one($node, $_) for @$sqls;
	noticed_ok($what, $why, $before) if $why;
	validate_ok(scalar(@$keys), $what);
	if (@$keys)
	{
		is(one($node, "SELECT string_agg((s ->> 'key'), ', ' ORDER BY (s -> 'key' ->> 'id')::int) FROM mig_validate('v'), jsonb_array_elements(sample) s"), join(', ', map { "{\"id\": $_}" } @$keys), "$what: by key");
		fails_ok($node, "SELECT mig_complete('v')", '55000', "$what: mig_complete is refused for them", qr/gate "verified" .* rows? of public\.t (?:differs?|ha(?:s|ve) no new value)/s);
		one($node, $cure);
		validate_ok(0, "$what, put in order");
	}
	is(gate('v'), 'true: 2 tables clean', "$what: a clean pass opens the gate again");
	bystander_ok($what);
	return;
}

is(gate('v'), 'true: 2 tables clean', 'to begin with, the gate is open');

# ---- triggers that do not fire
my $off = "ALTER TABLE t2 DISABLE TRIGGER $trigger";
my $on = "ALTER TABLE t2 ENABLE ALWAYS TRIGGER $trigger";
my $changed = qr/public\.t2: trigger \\?"~mig_sync\\?" has changed/;
bypass_ok('disabled in a transaction', ["BEGIN; $off; UPDATE t SET v = -1 WHERE id IN (1500, 4999); $on; COMMIT"], $changed, [ 1500, 4999 ], 'UPDATE t SET v = id WHERE id IN (1500, 4999)');
bypass_ok('disabled in a subtransaction', ["BEGIN; SAVEPOINT s; $off; UPDATE t SET v = -1 WHERE id = 1501; $on; RELEASE s; SAVEPOINT s; UPDATE t SET v = -2 WHERE id = 1502; ROLLBACK TO s; COMMIT"],
	$changed, [1501], 'UPDATE t SET v = id WHERE id = 1501');
bypass_ok('disabled for a while', [ $off, 'UPDATE t SET v = 5 WHERE id = 1503', 'DELETE FROM t WHERE id = 1504', $on ], $changed, [1503], 'UPDATE t SET v = id WHERE id = 1503');
bypass_ok('rows inserted meanwhile', ["BEGIN; $off; INSERT INTO t VALUES (1504, 7, 'n'); $on; COMMIT"], $changed, [1504], 'UPDATE t SET v = id WHERE id = 1504');
bypass_ok('the new value written', ["BEGIN; $off; UPDATE t2 SET _mig_c1 = NULL WHERE id = 1505; UPDATE t2 SET _mig_c1 = 1 WHERE id = 1506; $on; COMMIT"], $changed, [ 1505, 1506 ],
	'UPDATE t SET v = -1 WHERE id IN (1505, 1506); UPDATE t SET v = id WHERE id IN (1505, 1506)');
bypass_ok('enabled for replicas only', [ "ALTER TABLE t2 ENABLE REPLICA TRIGGER $trigger", 'UPDATE t SET v = 5 WHERE id = 1507', $on ], $changed, [1507], 'UPDATE t SET v = id WHERE id = 1507');
bypass_ok('enabled for others than replicas', [ "ALTER TABLE t2 ENABLE TRIGGER $trigger", 'SET session_replication_role = replica; UPDATE t SET v = 5 WHERE id = 1508', $on ], $changed, [1508],
	'UPDATE t SET v = id WHERE id = 1508');
bypass_ok('nothing written meanwhile', ["BEGIN; $off; $on; COMMIT"], $changed, []);

# As long as they do not fire always, no pass opens the gate: the next write may be past them
for my $mode ('DISABLE', 'ENABLE', 'ENABLE REPLICA')
{
	one($node, "ALTER TABLE t2 $mode TRIGGER $trigger");
	one($node, "SELECT mig_validate('v')");
	like(gate('v'), qr/^false: the sync triggers of public\.t2 do not always fire/, "$mode TRIGGER: the gate says so");
	fails_ok($node, "SELECT mig_complete('v')", '55000', "$mode TRIGGER: mig_complete is refused", qr/do not always fire/);
}
one($node, $on);
one($node, "SELECT mig_validate('v')");
is(gate('v'), 'true: 2 tables clean', 'as soon as they do, one does');

# ---- no bypass: sync triggers fire for replicas, too
my $before = epoch('v');
one($node, 'SET session_replication_role = replica; UPDATE t SET v = v + 1 WHERE id < 2000; UPDATE t1 SET v = v - 1; INSERT INTO t VALUES (1, 2, 3) ON CONFLICT (id) DO UPDATE SET v = excluded.v + 1;'
	  . ' UPDATE public_v.t SET v = v + 10 WHERE id > 4000; DELETE FROM u WHERE id = 5');
validate_ok(0, 'session_replication_role = replica');
is(gate('v') . epoch('v'), "true: 2 tables clean$before", 'it is no bypass');
one($node, $_) for "BEGIN; $off; UPDATE t SET v = -1 WHERE id = 1500; ROLLBACK", "COMMENT ON TRIGGER $trigger ON t IS 'mine'", 'ANALYZE t', 'VACUUM t', 'ALTER TABLE t2 SET (fillfactor = 90)', 'REINDEX TABLE t2',
  'CREATE INDEX CONCURRENTLY t2_n ON t2 (n)', 'DROP INDEX t2_n', 'GRANT SELECT ON t TO PUBLIC', 'CREATE STATISTICS st ON id, v FROM t2';
validate_ok(0, 'statements that leave rows alone');
is(gate('v') . epoch('v'), "true: 2 tables clean$before", 'they are no bypass');

# ---- the data file
bypass_ok('VACUUM FULL', ['VACUUM FULL t2'], qr/public\.t2: the data file has changed/, []);
bypass_ok('CLUSTER', ['CLUSTER t1 USING t1_pkey'], qr/public\.t1: the data file has changed/, []);
bypass_ok('TRUNCATE of a partition', ['TRUNCATE t1'], qr/public\.t1: the data file has changed/, []);
is(one($node, "SELECT checked FROM mig.checks WHERE name = 'v' AND relation = 'public.t' ORDER BY id DESC LIMIT 1"), one($node, 'SELECT count(*) FROM t'), 'the evidence counts what is left');
bypass_ok('TRUNCATE', ["BEGIN; TRUNCATE t; INSERT INTO t SELECT i, i, 'n' FROM generate_series(0, 4999) i; COMMIT"], qr/public\.t1: the data file has changed.*public\.t2: the data file has changed/, []);

# ---- a partition that is attached by a session without the library, with columns made by hand and no values in them
bypass_ok('ATTACH', ["CREATE TABLE t3 (LIKE t INCLUDING ALL); INSERT INTO t3 (id, v) VALUES (5000, 1), (5001, 2); ALTER TABLE t ATTACH PARTITION t3 FOR VALUES FROM (5000) TO (6000)"],
	qr/public\.t3: the data file is new/, [ 5000, 5001 ], 'UPDATE t SET v = v WHERE id >= 5000');
bypass_ok('DETACH', ['ALTER TABLE t DETACH PARTITION t3'], qr/public\.t3: the data file is gone/, []);

# ---- an up that lies
my $truth = 'SELECT $1::bigint * 10';
sub tenfold { my ($body) = @_; return "CREATE OR REPLACE FUNCTION tenfold(int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS '$body'" }
$before = epoch('v');
one($node, tenfold('SELECT CASE WHEN $1 % 1000 = 7 THEN 1 ELSE $1::bigint * 10 END'));
noticed_ok('up lies', qr/function (?:public\.)?tenfold\(integer\) has changed/, $before);
validate_ok(5, 'up lies');
one($node, 'UPDATE t SET v = v + 1 WHERE id IN (6, 1600)');
$before = epoch('v');
one($node, tenfold($truth));
noticed_ok('up lied', qr/function (?:public\.)?tenfold\(integer\) has changed/, $before, qr/5 rows of public\.t differ/);
validate_ok(1, 'up lied');
like(one($node, "SELECT sample FROM mig_validate('v') WHERE relation = 'public.t'"), qr/"key": \{"id": 6\}, "new": "1", "old": "7".*"expected": "70"/, 'up lied: the row that was written meanwhile, with both values');
one($node, 'UPDATE t SET v = id WHERE id = 6');
validate_ok(0, 'up lied, put in order');
is(gate('v'), 'true: 2 tables clean', 'up lied: a clean pass opens the gate again');
bystander_ok('up lied');

# what the function itself calls is no dependency that the catalog knows: rows tell
one($node, 'CREATE FUNCTION inner_one(int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1::bigint * 10; END $$');
bypass_ok('up calls another', [ tenfold('SELECT public.inner_one($1)') ], qr/function (?:public\.)?tenfold\(integer\) has changed/, []);
one($node, 'CREATE OR REPLACE FUNCTION inner_one(int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1::bigint * 10 + ($1 = 4000)::int; END $$');
validate_ok(1, 'what up calls lies');
like(gate('v'), qr/^false: 1 row of public\.t differs/, 'what up calls lies: its gate is closed');
bypass_ok('up is itself again', [ tenfold($truth) ], undef, []);

# ---- the trigger is dropped, of a partition's parent and so of all
$before = epoch('v');
one($node, "DROP TRIGGER $trigger ON t");
fails_ok($node, "SELECT mig_complete('v')", '55000', 'a trigger dropped: mig_complete is refused', qr/gate "verified" of migration "v" is closed/);
like(gate('v'), qr/^false: public\.t[12] has lost its sync triggers/, 'a trigger dropped: its gate is closed');
cmp_ok(epoch('v'), '>', $before, 'a trigger dropped: a new epoch has begun');
like(one($node, "SELECT string_agg(detail::text, '; ') FROM mig.epochs WHERE name = 'v' AND epoch > $before"), qr/public\.t1: trigger \\"~mig_sync\\" is gone.*public\.t2: trigger \\"~mig_sync\\" is gone/, 'a trigger dropped: it says why');
bystander_ok('a trigger dropped');

is(one($node, "SELECT count(*) FROM mig.events WHERE name = 'w' AND kind IN ('bypass', 'drift', 'paused')"), '0', 'no event of the other migration');

# ---- the function of all triggers does nothing for a while
my $sync = one($node, "SELECT pg_get_functiondef('mig.sync'::regproc)");
one($node, $_) for 'CREATE OR REPLACE FUNCTION mig.sync() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$', 'UPDATE other.q SET v = 8 WHERE id = 15', $sync;
fails_ok($node, "SELECT mig_complete('w')", '55000', 'mig.sync replaced: mig_complete is refused', qr/writes may have got past the triggers of other\.q/);
is(one($node, "SELECT divergent FROM mig_validate('w')"), '1', 'mig.sync replaced: mig_validate finds what there is');
one($node, "UPDATE other.q SET v = id WHERE id = 15; SELECT mig_validate('w')");
is(gate('w'), 'true: 1 table clean', 'mig.sync replaced: a clean pass opens the gate again');

# ---- the migration that has no trigger goes, the other one goes on
one($node, "SELECT mig_complete('w'); CALL mig_run('w', until => 'completed')");
is(phase_of($node, 'w'), 'completed', 'it completes');
fails_ok($node, "SELECT mig_rollback('v')", '55000', 'the one without a trigger cannot be proven', qr/it cannot be told whether the old version holds every write/);
one($node, "SELECT mig_rollback('v', 'tried', force => true)");
is(phase_of($node, 'v'), 'rolled_back', 'but it can be rolled back');

no_crash_ok($node);
done_testing();
