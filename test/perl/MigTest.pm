# MigTest: what the TAP tests share. A server with mig_control, waiting, crashing, clients in the background, and oracles.
#
#     use FindBin; use lib "$FindBin::Bin/../perl"; use MigTest; use Test::More;
#     my $node = mig_node('main');                       # preloaded, extension created in database postgres
#     start_ok($node, '02', 'ALTER TABLE …', '{"down": …}');
#     wait_for($node, '02', 'ready');
#     same_ok($node, 'query A', 'query B', 'the same rows');
#
package MigTest;
use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use IPC::Run ();
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(mig_node one configure stop_before start_ok start_held wait_for wait_until phase_of hold crash restart_after_crash kill_worker same_ok
  empty_ok fails_ok stopped_ok schema_dump same_schema_ok load_file shared_file clients_begin clients_end client_errors no_crash_ok test_all);

our $limit = $ENV{MIG_TEST_WAIT} || 120;    # seconds that any one wait may take

# Is this a run with --all?
sub test_all { return $ENV{MIG_TEST_ALL} ? 1 : 0 }

# A started server with the extension. Options: preload => 0, conf => "lines", extension => 0, and what init() takes as init => [...]
sub mig_node
{
	my ($name, %o) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(@{ $o{init} || [] });
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'mig_control'") if $o{preload} // 1;
	$node->append_conf('postgresql.conf', "max_worker_processes = 16\nmax_prepared_transactions = 4\nrestart_after_crash = on\nmig_control.naptime = '100ms'\n");
	# tests hold rows of a migrating table, and so dead rows; those about that say so
	$node->append_conf('postgresql.conf', "mig_control.on_held_horizon = 0\n");
	# nor is a backfill to wait for a busy machine, where pacing is not the matter
	$node->append_conf('postgresql.conf', "mig_control.throttle_$_ = -1") for qw(active_clients cpu client_latency commit_latency io_waits);
	$node->append_conf('postgresql.conf', $o{conf}) if $o{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION mig_control') if $o{extension} // 1;
	return $node;
}

# One query's answer.
sub one
{
	my ($node, $sql, $db) = @_;
	return $node->safe_psql($db || 'postgres', $sql);
}

# Change settings of a running server; undef takes one back to its default.
sub configure
{
	my ($node, %settings) = @_;
	one($node, "ALTER SYSTEM " . (defined $settings{$_} ? "SET $_ = '$settings{$_}'" : "RESET $_")) for sort keys %settings;
	one($node, 'SELECT pg_reload_conf()');
	return;
}

# Let workers stop before this step; undef: let them go on.
sub stop_before { my ($node, $step) = @_; return configure($node, 'mig_control.stop_before' => $step) }

# A literal, dollar-quoted.
sub lit { my ($s) = @_; return "\$mig\$$s\$mig\$" }

# Start a migration; a test of its own.
sub start_ok
{
	my ($node, $name, $definition, $options, $db) = @_;
	my ($rc, $out, $err) =
	  $node->psql($db || 'postgres', 'SELECT mig_start(' . join(', ', map { lit($_) } ($name, $definition, $options || '{}')) . ')');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($rc == 0, "start $name") || BAIL_OUT($err);
}

sub phase_of { my ($node, $name, $db) = @_; return one($node, 'SELECT phase FROM mig_status(' . lit($name) . ')', $db) }

# Wait until the migration is in a phase, whatever the server does meanwhile (a crash, a promotion); a test of its own.
sub wait_for
{
	my ($node, $name, $phase, $db) = @_;
	my ($end, $now, $err) = (time + $limit, '');
	while (time < $end)
	{
		my $rc = $node->psql($db || 'postgres', 'SELECT phase FROM mig_status(' . lit($name) . ')', stdout => \$now, stderr => \$err);
		last if $rc == 0 && $now eq $phase;
		sleep 0.05;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($now, $phase, "$name is $phase")
	  || diag($err, $node->psql($db || 'postgres', 'SELECT * FROM mig_status(); SELECT * FROM mig.events', on_error_stop => 0));
}

# Wait until a query says t, whatever the server does meanwhile; a test of its own.
sub wait_until
{
	my ($node, $sql, $name, $db) = @_;
	my ($end, $now, $err) = (time + $limit, '', '');
	while (time < $end)
	{
		# a psql that cannot connect may be gone before it was sent its input: a broken pipe
		my $rc = eval { $node->psql($db || 'postgres', $sql, stdout => \$now, stderr => \$err) } // 2;
		last if $rc == 0 && $now eq 't';
		sleep 0.05;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($now eq 't', $name) || diag($now, $err, $node->psql($db || 'postgres', 'SELECT * FROM mig_status(); SELECT * FROM mig.events', on_error_stop => 0));
}

# A session in a transaction that has run these statements. Ends with ->quit.
sub hold
{
	my ($node, $db, @sql) = @_;
	my $session = $node->background_psql($db || 'postgres', on_error_stop => 1);
	$session->query_safe($_) for 'BEGIN', @sql;
	return $session;
}

# Start a migration and keep it in the middle of its backfill: a row that is locked (by this statement) is gone round, and waited for at the end.
# Returns the session that holds the row; the backfill may end after ->quit.
sub start_held
{
	my ($node, $name, $definition, $options, $db, $sql) = @_;
	my $step = one($node, 'SELECT min(step) FROM mig_plan(' . join(', ', map { lit($_) } ($name, $definition, $options || '{}')) . ") WHERE phase = 'backfill'", $db);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	stop_before($node, $step);
	start_ok($node, $name, $definition, $options, $db);
	my $session = hold($node, $db, $sql);
	stop_before($node, undef);
	wait_until($node, "SELECT phase = 'backfilling' AND rows_done > 0 FROM mig_status(" . lit($name) . ')', "$name is in its backfill", $db);
	return $session;
}

# The server dies at once, and comes back.
sub crash { my ($node) = @_; $node->stop('immediate'); return }
sub restart_after_crash { my ($node) = @_; crash($node); $node->start; return }

# SIGKILL of a worker, upon which the server restarts by itself; returns when it takes connections again. False when there is no worker.
sub kill_worker
{
	my ($node, $type, $db) = @_;
	my $pid = one($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' AND datname = '" . ($db || 'postgres') . "' LIMIT 1");
	return 0 if $pid eq '';
	my $log = -s $node->logfile;
	kill('KILL', $pid) or return 0;
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $log);
	wait_until($node, 'SELECT true', "the server is back after a SIGKILL of its $type");
	return 1;
}

# Two queries give the same rows, duplicates counted: the standing oracle is a difference query, not a look.
sub same_ok
{
	my ($node, $a, $b, $name, $db) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return empty_ok($node, "((SELECT 'only left' AS side, a.* FROM ($a) a) EXCEPT ALL (SELECT 'only left', b.* FROM ($b) b))"
		. " UNION ALL ((SELECT 'only right', b.* FROM ($b) b) EXCEPT ALL (SELECT 'only right', a.* FROM ($a) a))", $name, $db);
}

# A query that must not return a row; shows the first ones otherwise.
sub empty_ok
{
	my ($node, $sql, $name, $db) = @_;
	my ($rc, $out, $err) = $node->psql($db || 'postgres', "SELECT * FROM ($sql) q LIMIT 10");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($rc == 0 && $out eq '', $name) || diag($err, $out);
}

# A statement that must fail with an SQLSTATE (and a message, if given as a pattern).
sub fails_ok
{
	my ($node, $sql, $state, $name, $like, $db) = @_;
	my ($rc, $out, $err) = $node->psql($db || 'postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 1);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($got) = $err =~ /(?:ERROR|FATAL):\s+(\w{5}):/;
	return ok($rc != 0 && ($got // '') eq $state && (!$like || $err =~ $like), $name) || diag("wanted $state, got ", $got // 'success', ": $err");
}

# The migration is stopped by a signal (or window, hibernation, horizon), its reason is like a pattern, and it stands still: looks go on, and no row more is done.
sub stopped_ok
{
	my ($node, $name, $signal, $like, $db) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $pace = 'mig.pace p JOIN mig.migration m ON m.id = p.migration_id AND m.name = ' . lit($name);
	wait_until($node, "SELECT stopped_by IS NOT DISTINCT FROM '$signal' FROM $pace", "$name is stopped by $signal", $db) or return 0;
	my $done = 'SELECT rows_done FROM mig_status(' . lit($name) . ')';
	my $looked = one($node, "SELECT looked_at FROM $pace", $db);
	wait_until($node, "SELECT looked_at > '$looked'::timestamptz + interval '1 s' AND stopped_by = '$signal' FROM $pace", "$name: it keeps looking at $signal", $db);
	# a batch may have been under way at the first look
	my $after = one($node, $done, $db);
	wait_until($node, "SELECT looked_at > '$looked'::timestamptz + interval '2 s' AND stopped_by = '$signal' FROM $pace", "$name: and still does", $db);
	is(one($node, $done, $db), $after, "$name stands still");
	return like(one($node, 'SELECT waiting_for FROM mig_status(' . lit($name) . ')', $db), $like, "$name: the reason is shown");
}

# pg_dump --schema-only of some schemas (default: public) as a sorted list of statements, columns of a table sorted too: what two databases must
# have in common whatever the order things were made in. Comments, settings and \restrict lines are left out.
sub schema_dump
{
	my ($node, $db, @schemas) = @_;
	my $out = '';
	my @cmd = ('pg_dump', '--schema-only', '--no-sync', (map { "--schema=$_" } @schemas ? @schemas : ('public')), '-d', $node->connstr($db || 'postgres'));
	IPC::Run::run(\@cmd, '>', \$out) or die "pg_dump failed";
	$out = join("\n", grep { !/^(--|\\restrict|\\unrestrict|SET |SELECT pg_catalog\.set_config|$)/ } split(/\n/, $out));
	my @statements;
	for my $s (split(/;\n/, "$out\n"))
	{
		if ($s =~ /^(CREATE (?:UNLOGGED )?TABLE .*? \()\n(.*)\n(\).*)$/s)
		{
			my ($head, $body, $tail) = ($1, $2, $3);
			$s = join("\n", $head, (sort map { s/,$//r } split(/\n/, $body)), $tail);
		}
		push @statements, $s;
	}
	return join("\n", sort @statements) . "\n";
}

# Two dumps are equal; shows the lines that are in one of them only.
sub same_schema_ok
{
	my ($a, $b, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return pass($name) if $a eq $b;
	my %n;
	$n{$_}++ for split(/\n/, $a);
	$n{$_}-- for split(/\n/, $b);
	fail($name);
	diag(map { ($n{$_} > 0 ? '< ' : '> ') . "$_\n" } grep { $n{$_} } sort keys %n);
	return 0;
}

# A file of the shared data (northwind.sql …); undef when it is not there.
sub shared_file
{
	my ($name) = @_;
	my $file = ($ENV{SHARED} || "$FindBin::Bin/../../../shared") . "/data/$name";
	return -r $file ? $file : undef;
}

sub load_file
{
	my ($node, $db, $file) = @_;
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', $file ], "load $file");
	return;
}

# pgbench clients in the background, until clients_end(). Options: path => search_path, clients, rate, vars => {name => value}. They run in short spells and
# so reconnect after a crash.
sub clients_begin
{
	my ($node, $name, $script, %o) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir("clients_$name");
	PostgreSQL::Test::Utils::append_to_file("$dir/script.sql", $script);
	my @cmd = ('pgbench', '-n', '--verbose-errors', '-M', $o{protocol} || 'simple', '-c', $o{clients} || 2, '-T', 1, '-f', "$dir/script.sql");
	push @cmd, '-R', $o{rate} if $o{rate};
	push @cmd, map { ('-D', "$_=$o{vars}{$_}") } sort keys %{ $o{vars} || {} };
	my $parent = $$;
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		my $run = 0;
		$ENV{PGHOST} = $node->host; $ENV{PGPORT} = $node->port; $ENV{PGDATABASE} = $o{db} || 'postgres';
		$ENV{PGOPTIONS} = "-c search_path=$o{path}" if $o{path};
		open(STDOUT, '>>', "$dir/out"); open(STDERR, '>>', "$dir/err");
		while (!-e "$dir/stop" && getppid() == $parent) { system(@cmd) == 0 or sleep 0.1 }
		require POSIX;
		POSIX::_exit(0);    # not the parent's END blocks
	}
	return { pid => $pid, dir => $dir, name => $name };
}

# Stop them; a test that no error reached them but the connections a crash cut. Returns the number of transactions done.
sub clients_end
{
	my ($clients) = @_;
	PostgreSQL::Test::Utils::append_to_file("$clients->{dir}/stop", '');
	waitpid($clients->{pid}, 0);
	my @errors = client_errors($clients);
	my $done = 0;
	$done += $_ for PostgreSQL::Test::Utils::slurp_file("$clients->{dir}/out") =~ /number of transactions actually processed: (\d+)/g;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(scalar(@errors), 0, "$clients->{name}: no client error in $done transactions") || diag(@errors[ 0 .. ($#errors < 9 ? $#errors : 9) ]);
	return $done;
}

# What the clients were told that a crash does not explain.
sub client_errors
{
	my ($clients) = @_;
	my $cut = qr/server closed the connection|terminating connection|connection to server|the database system is|no connection to the server|Run was aborted|the backend died|could not (?:create|receive|send|connect)/;
	return grep { /error|ERROR:|FATAL:|PANIC:/ && !/$cut/ } split(/^/, PostgreSQL::Test::Utils::slurp_file("$clients->{dir}/err"));
}

# The server did not crash by itself (clients_end() cannot tell such a cut from one that the test made); SIGKILL is ours.
sub no_crash_ok
{
	my ($node) = @_;
	my @lines = grep { /terminated by signal (?!9:)|PANIC:|TRAP:/ } split(/^/, PostgreSQL::Test::Utils::slurp_file($node->logfile));
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(scalar(@lines), 0, $node->name . ' did not crash by itself') || diag(@lines);
}

1;
