# Who uses which version: sessions that come and go, a restart, a crash; limits of abort_if that need time; and a server without preload.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $definition = 'ALTER TABLE t ALTER COLUMN a TYPE int USING a::int';
my $setup = 'CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i';

# A client with an application's name.
sub client
{
	my ($node, $name, @sql) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);
	$session->query_safe($_) for "SET application_name = '$name'", @sql;
	return $session;
}

# What is shown of an application at a version: sessions|reads|writes
sub uses
{
	my ($node, $application, $version) = @_;
	return one($node, "SELECT sessions, reads, writes FROM mig.consumers WHERE application = '$application' AND version = '$version'");
}

my $node = mig_node('main', conf => "max_connections = 30\n");
one($node, $setup);
start_ok($node, 'v', $definition);
wait_for($node, 'v', 'ready');

my $old = client($node, 'billing 1', 'SELECT count(*) FROM t', 'UPDATE t SET a = a WHERE id = 1');
my $new = client($node, 'billing 2', 'SELECT count(*) FROM public_v.t');
is(uses($node, 'billing 1', 'old'), '1|1|1', 'the old version is used');
is(uses($node, 'billing 2', 'new'), '1|1|0', 'the new one is');
like(one($node, "SELECT sessions, who FROM mig.old_version_use('v')"), qr/^1\|\S+ billing 1 \(pid \d+\)$/, 'who uses the old version is named');
is(one($node, "SELECT sessions FROM mig.old_version_use('v', '0 s')"), '0', 'nobody at this moment');

# A statement that runs is a use for as long as it does
$old->query_until(qr/started/, "\\echo started\nSELECT count(pg_sleep(300)) FROM t WHERE id = 1;\n");
wait_until($node, "SELECT sessions = 1 FROM mig.old_version_use('v', '0 s')", 'a statement under way counts');
one($node, "SELECT pg_cancel_backend(pids[1]) FROM mig.consumers WHERE application = 'billing 1'");
wait_until($node, "SELECT sessions = 0 FROM mig.old_version_use('v', '0 s')", 'until it ends');
eval { $old->quit };
$new->quit;
wait_until($node, "SELECT sessions = 0 FROM mig.old_version_use('v')", 'who has gone does not count');
wait_until($node, "SELECT sessions = 0 FROM mig.consumers WHERE application = 'billing 2'", 'nor is shown as connected');
is(uses($node, 'billing 2', 'new'), '0|1|0', 'but what it did is');

# Drivers write it down
wait_until($node, "SELECT count(*) = 1 FROM mig.consumer WHERE application = 'billing 1'", 'drivers write it down');

# More names than a session has places for, then more than there are entries for
one($node, join('; ', map { ("SET application_name = 'many $_'", 'SELECT count(*) FROM t') } 1 .. 20));
is(one($node, "SELECT count(*), sum(reads) FROM mig.consumers WHERE application LIKE 'many %'"), '20|20', 'a session with many names');
one($node, join('; ', map { ("SET application_name = 'crowd $_'", 'SELECT count(*) FROM t') } 1 .. 700));
wait_until($node, "SELECT sessions = 0 FROM mig.old_version_use('v')", 'and that leaves');
is(one($node, "SELECT sessions FROM mig.old_version_use('v')"), '0', 'entries without a session give way, and nothing is unknown');

# A shutdown and a crash: what was written down stays, and the watch begins anew
my $write = one($node, "SELECT last_write FROM mig.consumers WHERE application = 'billing 1'");
restart_after_crash($node);
wait_until($node, "SELECT sessions = 0 AND last_write > '$write' FROM mig.old_version_use('v')", 'after a crash the old version may have been written until the watch went on');
is(one($node, "SELECT last_write = '$write' FROM mig.consumers WHERE application = 'billing 1'"), 't', 'what it did is still known');
my $again = client($node, 'billing 1', 'SELECT count(*) FROM t');
is(uses($node, 'billing 1', 'old'), '1|3|1', 'and goes on');
$again->quit;

# The worker leaves a migration that is ready, and the watch goes on without it
configure($node, 'mig_control.worker' => 'off');
wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mig_control worker'", 'no worker is there');
my $alone = client($node, 'alone', 'SELECT count(*) FROM t');
is(uses($node, 'alone', 'old'), '1|1|0', 'statements are noted without a driver');
$alone->quit;
configure($node, 'mig_control.worker' => undef);
one($node, "SELECT mig_rollback('v')");

# Clients that become slower than abort_if allows, while rows are filled
my $row = start_held($node, 'slow', $definition, '{"abort_if": {"latency": 20}}', undef, 'SELECT FROM t WHERE id = 500 FOR UPDATE');
my $loop = 'DO $$ BEGIN FOR i IN 1 .. %d LOOP PERFORM %s FROM t WHERE id = 1; END LOOP; END $$';
# in several goes: those beside which a driver works don't count
one($node, 'DO $$ BEGIN FOR k IN 1 .. 20 LOOP FOR i IN 1 .. 100 LOOP PERFORM 1 FROM t WHERE id = 1; END LOOP; PERFORM pg_sleep(0.1); END LOOP; END $$');
wait_until($node, "SELECT l.baseline_ms IS NOT NULL FROM mig.lookout l JOIN mig.migration m ON m.id = l.migration_id AND m.name = 'slow'", "a baseline is found");
is(one($node, "SELECT paused FROM mig_status('slow')"), 'f', 'fast clients are no reason');
my $slow = client($node, 'slow', 'SELECT 1');
my $listener = client($node, 'listener', 'LISTEN mig_control');
$slow->query_until(qr/started/, "\\echo started\n" . sprintf($loop, 2000, 'pg_sleep(0.05)') . ";\n");
wait_until($node, "SELECT paused FROM mig_status('slow')", 'slow ones are');
like(one($node, "SELECT waiting_for, error FROM mig_status('slow')"), qr/^aborted\|19 of 20 statements of clients take up to \d+\.\d ms, \d+\.\d times the \d+\.\d+ ms .*; abort_if\.latency is 20$/, 'it says so');
is(one($node, "SELECT count(*), min(detail ->> 'by') FROM mig.events WHERE name = 'slow' AND kind = 'aborted'"), '1|latency', 'once, in the audit');
like($listener->query_safe('SELECT 1'), qr/notification "mig_control" with payload "\{.*"aborted": "latency".*\}"/, 'and listeners hear of it');
$listener->quit;
one($node, "SELECT mig_resume('slow')");
one($node, "SELECT pg_cancel_backend(pids[1]) FROM mig.consumers WHERE application = 'slow'");
eval { $slow->quit };
$row->quit;
wait_for($node, 'slow', 'ready');

# A leader stays with a migration that is ready while a limit may be passed: nobody else would look
one($node, "SELECT mig_set('slow', '{\"abort_if\": {\"error_rate\": 0.1, \"action\": \"rollback\"}}')");
one($node, "SELECT pg_sleep(3)");
one($node, 'DO $$ BEGIN FOR i IN 1 .. 100 LOOP BEGIN UPDATE public_slow.t SET a = a / (id - id) WHERE id = i; EXCEPTION WHEN division_by_zero THEN END; END LOOP; END $$');
wait_for($node, 'slow', 'rolled_back');
is(one($node, 'SELECT count(*) FROM t WHERE a::int = id'), '1000', 'the old version is as it was');
no_crash_ok($node);
$node->stop;

# Without preload: the locks of open transactions
my $plain = mig_node('plain', preload => 0);
one($plain, $setup);
my ($rc, $out, $err) = $plain->psql('postgres', "SELECT mig_start('v', '$definition', '{\"abort_if\": {\"latency\": 2, \"deadline\": \"1 hour\"}}')");
is($rc, 0, 'mig_start works');
like($err, qr/WARNING:.*abort_if\.latency never acts/, 'and warns of a limit that cannot be measured');
unlike($err, qr/abort_if\.deadline/, 'of that only');
one($plain, "CALL mig_run('v')");
is(uses($plain, 'billing 1', 'old'), '', 'nothing is known of past transactions');
$old = client($plain, 'billing 1', 'BEGIN', 'UPDATE t SET a = a WHERE id = 1');
$new = client($plain, 'billing 2', 'BEGIN', 'SELECT count(*) FROM public_v.t');
is(uses($plain, 'billing 1', 'old'), '1|0|0', 'an open transaction is seen by its locks');
is(uses($plain, 'billing 2', 'new'), '1|0|0', 'also that of the new version');
like(one($plain, "SELECT sessions, who FROM mig.old_version_use('v', '0 s')"), qr/^1\|\S+ billing 1 \(pid \d+\)$/, 'and counts');
one($plain, "CALL mig_tick('7 s')");
is(one($plain, "SELECT count(*) FROM mig.consumer WHERE application = 'billing 1' AND last_write IS NOT NULL"), '1', 'a driver that looks writes it down');
$old->query_safe('COMMIT');
$new->query_safe('COMMIT');
like(one($plain, "SELECT sessions, who FROM mig.old_version_use('v')"), qr/^1\|/, 'sessions of that name count for a while');
is(one($plain, "SELECT sessions FROM mig.old_version_use('v', '0 s')"), '0', 'but not for ever');
is(one($plain, "SELECT last_write IS NOT NULL FROM mig.old_version_use('v')"), 't', 'the last write that was seen');
$_->quit for $old, $new;
no_crash_ok($plain);
$plain->stop;
done_testing();
