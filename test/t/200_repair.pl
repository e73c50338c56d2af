# mig_repair and the proof before a rollback across sessions: rows that others have locked or write meanwhile, clients at full speed, a transaction that was under way when the last
# clean pass began, vacuum in between, frozen rows, a crash, restore points that a backup can be restored to, and a role without rights on the tables of mig.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = mig_node('main', init => [ has_archiving => 1, allows_streaming => 1 ], conf => "autovacuum = off\n");
my $definition = 'ALTER TABLE t ALTER v TYPE bigint USING v * 10';
my $options = '{"down": {"t.v": "v / 10"}, "drift": false}';

# Statements that the sync triggers of a table do not see
sub bypass
{
	my ($sql) = @_;
	return "BEGIN; SET LOCAL mig_control.own_statements = 1; ALTER TABLE t DISABLE TRIGGER USER; $sql; ALTER TABLE t ENABLE ALWAYS TRIGGER \"~mig_sync\"; COMMIT";
}

sub repaired { my ($keep) = @_; return one($node, "SET client_min_messages = error; SELECT divergent, repaired FROM mig_repair('v', '$keep')") }

# What rolling back would read, or say; nothing is done
sub proof
{
	my ($rc, $out, $err) = $node->psql('postgres', "BEGIN; SELECT FROM mig_rollback('v'); SELECT t ->> 'whole', t ->> 'checked' FROM mig.events e, jsonb_array_elements(detail -> 'tables') t WHERE name = 'v' AND kind = 'proved' ORDER BY e.id DESC LIMIT 1; ROLLBACK",
		on_error_stop => 1);
	return $rc ? $err : $out;
}

one($node, 'CREATE TABLE t (id int PRIMARY KEY, v int, pad text); INSERT INTO t SELECT i, i, repeat(\'x\', 100) FROM generate_series(1, 20000) i; VACUUM ANALYZE t');
$node->backup('before');
start_ok($node, 'v', $definition, $options);
wait_for($node, 'v', 'ready');

# Locked rows are left after a while, the others are not
one($node, bypass('UPDATE t SET v = -1 WHERE id IN (5, 6, 7)'));
my $holder = hold($node, undef, 'SELECT FROM t WHERE id = 6 FOR UPDATE');
my ($rc, $out, $err) = $node->psql('postgres', "SELECT divergent, repaired FROM mig_repair('v', 'old')");
is($out, '3|2', 'a row that is locked is left');
like($err, qr/WARNING:  1 row of public\.t could not be repaired\n.*1 others have locked/, 'with a warning');
is(one($node, "SELECT detail ->> 'locked' FROM mig.events WHERE name = 'v' AND kind = 'repaired' ORDER BY id DESC LIMIT 1"), '1', 'and in the event');
$holder->quit;
is(repaired('old'), '1|1', 'later it is repaired');
# A row that is written while the repair waits for it is looked at again
one($node, bypass('UPDATE t SET v = -2 WHERE id = 6'));
$holder = hold($node, undef, 'UPDATE t SET v = 66 WHERE id = 6');
my $repair = $node->background_psql('postgres', on_error_stop => 1);
$repair->query_until(qr/begun/, "SET client_min_messages = error;\n\\echo begun\nSELECT divergent, repaired FROM mig_repair('v', 'new');\n");
wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'mig_repair' AND state = 'active' AND pid <> pg_backend_pid()", 'a repair waits');
$holder->query_safe('COMMIT');
$holder->quit;
$out = $repair->query('SELECT 1');
$repair->quit;
is(one($node, 'SELECT v FROM t WHERE id = 6'), '66', 'what a client has written since stays');
is(one($node, 'SELECT v FROM public_v.t WHERE id = 6'), '660', 'on both sides');
is(one($node, "SELECT divergent FROM mig_validate('v')"), '0', 'nothing differs');

# Clients of both versions write while many rows are repaired, again and again: no error, no deadlock, and in the end all is in sync
my $update = "\\set id random(1, 20000)\n\\set v random(1, 1000)\nUPDATE t SET v = :v * 10 WHERE id = :id;\n";
my $two = "\\set a random(1, 20000)\n\\set b random(1, 20000)\nBEGIN;\nUPDATE t SET v = v + 10 WHERE id = :a;\nUPDATE t SET v = v + 10 WHERE id = :b;\nEND;\n";
my @clients = (clients_begin($node, 'old', $update), clients_begin($node, 'new', $update, path => 'public_v'), clients_begin($node, 'pairs', $two, clients => 1));
my $n = 0;
for my $i (1 .. 5)
{
	# rows that no client has just locked: a lock on the table is had in between
	one($node, bypass("UPDATE t SET v = v + 1 WHERE id % 100 = $i"));
	my ($found, $done) = split(/\|/, repaired($i % 2 ? 'old' : 'new'));
	cmp_ok($found, '<=', 200 * $i, "round $i: no more rows differ than were written past the triggers");
	$n += $done;
}
cmp_ok($n, '>', 500, "$n rows were repaired");
clients_end($_) for @clients;
one($node, q(SET client_min_messages = error; SELECT FROM mig_repair('v', 'old')));
is(one($node, "SELECT divergent FROM mig_validate('v')"), '0', 'all rows are in sync');

# A transaction that was under way when the last clean pass began, and whose page was vacuumed since, is not missed
one($node, 'VACUUM t');
my $writer = hold($node, undef, 'UPDATE public_v.t SET v = 12340 WHERE id = 9999');
is(one($node, "SELECT clean FROM mig_validate('v'), LATERAL (SELECT clean FROM mig.checks WHERE name = 'v' ORDER BY id DESC LIMIT 1) c"), 't', 'a clean pass');
$writer->query_safe('COMMIT');
$writer->quit;
my ($whole, $checked) = split(/\|/, proof());
cmp_ok($checked, '>=', 1, 'the row of a transaction that was under way is read again') || diag($whole);
one($node, "SELECT divergent FROM mig_validate('v')");
is(proof() =~ s/\|.*//sr, 'false', 'after a pass at rest only what was written since is read');
one($node, 'UPDATE public_v.t SET v = 4560 WHERE id IN (1, 20000)');
one($node, 'VACUUM t');
($whole, $checked) = split(/\|/, proof());
ok($whole eq 'false' && $checked >= 2 , 'pages that were vacuumed since are read');
# the proof finds a lost write there: state and trigger are as they should be, the value is not
one($node, 'SET mig_control.own_statements = 1; ALTER TABLE t DISABLE TRIGGER USER; UPDATE t SET v = 1 WHERE id = 20000; ALTER TABLE t ENABLE ALWAYS TRIGGER "~mig_sync"; VACUUM (FREEZE) t');
like(proof(), qr/would lose writes of its version.*v of \{"id": 20000\}/s, 'a write past the triggers is found, frozen or not');
is(repaired('origin'), '1|0', 'a frozen row is in doubt, too');
crash($node);
$node->start;
is(repaired('new'), '1|1', 'after a crash it is repaired');
unlike(proof(), qr/would lose/, 'nothing would be lost');

# A fence is lifted by a clean pass after a repair; nothing is left in the drift's list
one($node, q(SELECT mig_set('v', '{"drift": {"duty": 1, "reaction": "fence"}}')));
one($node, bypass('UPDATE t SET v = -5 WHERE id = 42'));
wait_until($node, "SELECT fenced_since IS NOT NULL FROM mig.watch WHERE name = 'v'", 'the watch refuses writes');
fails_ok($node, 'UPDATE public_v.t SET v = 10 WHERE id = 43', '55000', 'of the new version');
is(repaired('new'), '1|1', 'a repair may write them');
wait_until($node, "SELECT fenced_since IS NULL FROM mig.watch WHERE name = 'v'", 'a clean pass lets them in again');
is(one($node, "SELECT count(*) FROM mig.drift WHERE name = 'v' AND gone_at IS NULL"), '0', 'no drift is left');
is(one($node, "SELECT divergent FROM mig_status('v')"), '0', 'mig_status says so');
one($node, q(SELECT mig_set('v', '{"drift": false}')));

# Nobody who cannot steer may repair
one($node, 'CREATE ROLE plain; GRANT ALL ON t TO plain; CREATE ROLE oncall');
one($node, q(SELECT mig_set('v', '{"operators": ["oncall"]}')));
fails_ok($node, "SET ROLE plain; SELECT mig_repair('v')", '42501', 'a role that may write the table may not repair');
fails_ok($node, "SET ROLE oncall; SELECT mig_repair('v')", '42501', 'nor may an operator');

one($node, "SELECT FROM mig_validate('v')");
# A backup can be restored to the place before the swap, and to that before the start
one($node, "SELECT mig_complete('v')");
wait_for($node, 'v', 'completed');
my %point = map { split(/\|/) } split(/\n/, one($node, "SELECT r ->> 'before', r ->> 'name' FROM jsonb_array_elements(mig_report('v') -> 'restore_points') r"));
is(join(' ', sort keys %point), 'start swap', 'two restore points');
one($node, 'SELECT pg_switch_wal()');
wait_until($node, 'SELECT last_archived_wal IS NOT NULL AND failed_count = 0 FROM pg_stat_archiver', 'the log is archived');
for my $before (qw(start swap))
{
	my $restored = PostgreSQL::Test::Cluster->new("before_$before");
	$restored->init_from_backup($node, 'before', has_restoring => 1);
	$restored->append_conf('postgresql.conf', "recovery_target_name = '$point{$before}'\nrecovery_target_action = 'promote'\nmig_control.worker = off\narchive_mode = off\n");
	$restored->start;
	wait_until($restored, 'SELECT NOT pg_is_in_recovery()', "restored to $point{$before}");
	my $type = one($restored, "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'");
	is($type, 'integer', "before $before the column is what it was");
	is(one($restored, "SELECT count(*) FROM mig.migration WHERE name = 'v' AND phase IN ('ready', 'completing')"), $before eq 'swap' ? '1' : '0', 'and the migration where it was');
	$restored->stop;
}
no_crash_ok($node);
done_testing();
