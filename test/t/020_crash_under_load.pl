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
CREATE SCHEMA book;
CREATE TABLE book.opening AS SELECT id, balance FROM account;
CREATE TABLE book.ledger (id bigint, cents bigint);
SQL
	return;
}

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

# Set the step that the worker stops before; '' for none
sub stop_before
{
	my ($step) = @_;
	one($node, "ALTER SYSTEM SET mig_control.stop_before = '" . ($step // '') . "'");
	one($node, 'SELECT pg_reload_conf()');
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
		stop_before($steps[0]);
		restart_after_crash($node);
		$crashes++;
	}
	stop_before('');
	return $crashes;
}

# One migration from start to completed, with a crash before each step of the two lists: up to ready, and in completing
sub migrate
{
	my ($db, $fill, $contract) = @_;
	prepare($db);
	my $old = clients_begin($node, "old_$db", <<'SQL', db => $db, path => 'public', rate => 200, vars => { rows => $rows });
\set id random(1, :rows)
\set cents random(-500, 500)
WITH w AS (UPDATE account SET balance = balance + :cents / 100.0 WHERE id = :id RETURNING id) INSERT INTO book.ledger SELECT id, :cents FROM w;
SQL
	stop_before($fill->[0]);
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
	stop_before($contract->[0]);
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

# The steps that a worker runs: those after the expand phase
my @fill = split(/\n/, one($node, "SELECT no FROM mig.step WHERE phase NOT IN ('expand', 'contract') ORDER BY no", 'calm'));
my @contract = split(/\n/, one($node, "SELECT no FROM mig.step WHERE phase = 'contract' ORDER BY no", 'calm'));
cmp_ok(scalar(@fill), '>', 1, 'there are steps to crash before');
@fill = map { $fill[ int($_ * $#fill / 2) ] } 0 .. 2 unless test_all();
cmp_ok(migrate('crashes', \@fill, \@contract), '>', 1, 'it crashed');

no_crash_ok($node);
$node->stop;
done_testing();
