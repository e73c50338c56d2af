# A type change, a rename and a repaired NOT NULL while pgbench writes through the old version, with an immediate stop before every step (a
# sample of them without --all). Each write is booked by the statement that makes it, so a lost or doubled one shows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $rows = test_all() ? 50000 : 20000;
my $node = mig_node('main');

sub prepare
{
	my ($db) = @_;
	one($node, "CREATE DATABASE $db");
	one($node, <<SQL, $db);
CREATE EXTENSION mig_control;
CREATE TABLE account (id bigint PRIMARY KEY, email text, balance numeric(14,2) NOT NULL, source text);
INSERT INTO account SELECT i, CASE WHEN i % 7 <> 0 THEN 'a' || i || '\@example.com' END, i / 7.0, 'web' FROM generate_series(1, $rows) i;
CREATE INDEX account_email ON account (email) WHERE balance > 10;
CREATE UNIQUE INDEX account_balance ON account (balance, id);
ALTER TABLE account ADD CONSTRAINT account_ck CHECK (balance < 1000000000);
CREATE SCHEMA book;
CREATE TABLE book.opening AS SELECT id, balance FROM account;
CREATE TABLE book.ledger (id bigint, cents bigint);
SQL
	return;
}

my $old_script = <<'SQL';
\set id random(1, :rows)
\set cents random(-500, 500)
WITH w AS (UPDATE account SET balance = balance + :cents / 100.0 WHERE id = :id RETURNING id) INSERT INTO book.ledger SELECT id, :cents FROM w;
SQL

my $definition = <<'JSON';
{ "operations": [
  { "alter_column": { "table": "account", "column": "balance", "type": "bigint", "up": "(balance * 100)::bigint", "down": "balance / 100.0" } },
  { "rename_column": { "table": "account", "from": "source", "to": "channel" } },
  { "alter_column": { "table": "account", "column": "email", "nullable": false, "up": "coalesce(email, 'none-' || id)", "down": "email" } } ] }
JSON

# The same seen through both versions, and every balance its opening value plus what was booked
sub oracle
{
	my ($db, $at) = @_;
	same_ok($node, 'SELECT id, coalesce(email, \'none-\' || id) AS email, (balance * 100)::bigint AS balance, source FROM public.account',
		'SELECT id, email, balance, channel FROM public_v.account', "$at: both versions agree", $db);
	empty_ok($node, 'SELECT id FROM book.opening o LEFT JOIN (SELECT id, sum(cents) AS cents FROM book.ledger GROUP BY 1) l USING (id) FULL JOIN public_v.account a USING (id)'
		. ' WHERE a.balance IS DISTINCT FROM (o.balance * 100)::bigint + coalesce(l.cents, 0)', "$at: no write was lost or doubled", $db);
	return;
}

# Crash before each of these steps in turn, unless the migration is past them. The first stop is set already. Returns the number of crashes.
sub crash_before
{
	my ($db, $end, @steps) = @_;
	my $crashes = 0;
	while (defined(my $step = shift @steps))
	{
		my $past = "SELECT phase = '$end' FROM mig_status('v')";
		$node->poll_query_until($db, "SELECT ($past) OR NOT EXISTS (SELECT FROM mig.step WHERE no < $step AND done_at IS NULL)") or die "step $step is not reached";
		last if one($node, $past, $db) eq 't';
		stop_before($node, $steps[0]);
		# by turns a worker is killed, upon which the server restarts, and the server is stopped
		$crashes % 2 == 0 && kill_worker($node, 'mig_control worker', $db) or restart_after_crash($node);
		$crashes++;
	}
	stop_before($node, undef);
	return $crashes;
}

# One migration from start to completed, with a crash before each step of the two lists: up to ready, and in completing
sub migrate
{
	my ($db, $fill, $contract) = @_;
	prepare($db);
	my $old = clients_begin($node, "old_$db", $old_script, db => $db, path => 'public', rate => 200, vars => { rows => $rows });
	stop_before($node, $fill->[0]);
	start_ok($node, 'v', $definition, undef, $db);
	my $crashes = crash_before($db, 'ready', @$fill);
	wait_for($node, 'v', 'ready', $db);
	oracle($db, "$db, ready");
	my $new = clients_begin($node, "new_$db", <<'SQL', db => $db, path => 'public_v', rate => 200, vars => { rows => $rows });
\set id random(1, :rows)
\set cents random(-500, 500)
WITH w AS (UPDATE account SET balance = balance + :cents WHERE id = :id RETURNING id) INSERT INTO book.ledger SELECT id, :cents FROM w;
SQL
	sleep 2;
	oracle($db, "$db, both writing");
	cmp_ok(clients_end($old), '>', 0, 'old clients wrote');
	stop_before($node, $contract->[0]);
	one($node, "SELECT mig_complete('v')", $db);
	$crashes += crash_before($db, 'completed', @$contract);
	wait_for($node, 'v', 'completed', $db);
	note("$db: $crashes crashes");
	sleep 1;
	cmp_ok(clients_end($new), '>', 0, 'new clients wrote');
	empty_ok($node, 'SELECT id FROM book.opening o LEFT JOIN (SELECT id, sum(cents) AS cents FROM book.ledger GROUP BY 1) l USING (id) FULL JOIN public.account a USING (id)'
		. ' WHERE a.balance IS DISTINCT FROM (o.balance * 100)::bigint + coalesce(l.cents, 0)', "$db, completed: no write was lost or doubled", $db);
	is(one($node, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'account'::regclass AND attname ~ '^_mig' AND NOT attisdropped", $db), '0', 'no hidden column is left');
	return $crashes;
}

migrate('calm', [], []);

# The steps that a worker can stop before: the first of each transaction after the expand phase
sub heads { my ($where) = @_; return split(/\n/, one($node, "SELECT min(no) FROM mig.step WHERE $where GROUP BY grp ORDER BY 1", 'calm')) }
my @fill = heads("phase NOT IN ('expand', 'contract')");
my @contract = heads("phase = 'contract'");
cmp_ok(scalar(@fill), '>', 3, 'there are steps to crash before');
cmp_ok(scalar(@contract), '>', 1, 'in completing, too');
@fill = @fill[ 0, int($#fill / 2), $#fill ] unless test_all();
@contract = @contract[ 0, $#contract ] unless test_all();
cmp_ok(migrate('crashes', \@fill, \@contract), '>=', @fill + @contract - 1, 'it crashed');

# In the middle of a batch, wherever that is
{
	my $db = 'middle';
	prepare($db);
	my $old = clients_begin($node, "old_$db", $old_script, db => $db, path => 'public', rate => 200, vars => { rows => $rows });
	configure($node, 'mig_control.batch_pages' => 1);
	start_ok($node, 'v', $definition, undef, $db);
	for my $i (1 .. 2)
	{
		wait_until($node, "SELECT phase <> 'expanding' AND rows_done > $i * $rows / 10 FROM mig_status('v')", "$db: it is on its way", $db);
		kill_worker($node, 'mig_control worker', $db) or restart_after_crash($node);
	}
	configure($node, 'mig_control.batch_pages' => undef);
	wait_for($node, 'v', 'ready', $db);
	oracle($db, "$db, ready");
	is(one($node, 'SELECT count(*) FROM account WHERE _mig_state IS NULL', $db), '0', "$db: no row is left out");
	clients_end($old);
}

# While mig_rollback and mig_complete wait for a lock: nothing has happened yet, and the next call does it
{
	my $db = 'ends';
	prepare($db);
	my $before = schema_dump($node, $db);
	start_ok($node, 'v', $definition, undef, $db);
	wait_for($node, 'v', 'ready', $db);
	my $dump = schema_dump($node, $db, 'public', 'public_v');
	for my $call ('mig_rollback', 'mig_complete')
	{
		my $reader = hold($node, $db, 'SELECT count(*) FROM account');
		my $caller = $node->background_psql($db, on_error_stop => 0);
		$caller->query_until(qr/started/, "SET mig_control.lock_timeout = '60s';\n\\echo started\nSELECT $call('v');\n");
		wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')", "$call waits for its lock", $db) if $call eq 'mig_rollback';
		restart_after_crash($node);
		$_->{run}->kill_kill for $reader, $caller;
		if ($call eq 'mig_rollback')
		{
			is(phase_of($node, 'v', $db), 'ready', 'ready as before');
			same_schema_ok(schema_dump($node, $db, 'public', 'public_v'), $dump, 'the schema is as it was, too');
		}
		oracle($db, "$db, after a crash in $call") if phase_of($node, 'v', $db) eq 'ready';
	}
	wait_until($node, "SELECT phase IN ('ready', 'completed') FROM mig_status('v')", 'completing comes to an end', $db);
	if (phase_of($node, 'v', $db) eq 'ready')
	{
		one($node, "SELECT mig_rollback('v')", $db);
		same_schema_ok(schema_dump($node, $db), $before, 'rolled back, as it was before');
	}
}

no_crash_ok($node);
$node->stop;
done_testing();
