# pg_cron alone drives a whole migration with CALL mig_tick(): without our workers and without our preload; in sessions of its own, and in background workers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'pg_cron is not installed (Debian: postgresql-15-cron)' unless -e slurp_pkglibdir() . '/pg_cron.so';

sub slurp_pkglibdir
{
	my ($dir) = run_command([ 'pg_config', '--pkglibdir' ]);
	chomp $dir;
	return $dir;
}

# Two servers, since a job comes once a minute: both are waited for at the same time.
my %servers = (
	sessions => { preload => 'pg_cron,mig_control', conf => "mig_control.worker = off\n" },
	workers => { preload => 'pg_cron', conf => "cron.use_background_workers = on\n" });

for my $name (sort keys %servers)
{
	my $s = $servers{$name};
	my $node = $s->{node} = mig_node($name, preload => 0,
		conf => "shared_preload_libraries = '$s->{preload}'\ncron.database_name = 'postgres'\nmig_control.batch_pages = 16\n$s->{conf}");
	one($node, "ALTER SYSTEM SET cron.host = '" . $node->host . "'");
	one($node, <<'SQL');
CREATE EXTENSION pg_cron;
CREATE ROLE app LOGIN;
GRANT CREATE ON DATABASE postgres TO app;
GRANT USAGE ON SCHEMA cron TO app;
GRANT ALL ON SCHEMA public TO app;
ALTER SCHEMA public OWNER TO app;
SET ROLE app;
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text);
INSERT INTO t SELECT i, i / 7.0, 'b' || i FROM generate_series(1, 20000) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE plain AS SELECT * FROM t;
SQL
	$node->restart;		# for cron.host
	# the table's owner, not a superuser; two jobs, which come at the same moment
	one($node, "SET ROLE app; SELECT cron.schedule('mig$_', '* * * * *', 'CALL mig_tick(''20 s'')') FROM (SELECT) x") for 1, 2;
	my ($rc, $out, $err) = $node->psql('postgres', q{SET ROLE app; SELECT mig_start('v', 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint, ADD CHECK (a > 0)',
		'{"down": {"t.a": "a / 100.0"}, "auto_complete": true}')});
	is($rc, 0, "$name: it is started") || diag($err);
	like($err, qr/pg_cron can CALL mig_tick/, "$name: and said that nothing drives it") if $s->{preload} !~ /mig_control/;
}
is(one($servers{$_}{node}, "SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('mig_control worker', 'mig_control utility')"), '0', "$_: no worker of ours runs")
  for sort keys %servers;

for my $name (sort keys %servers)
{
	my $node = $servers{$name}{node};
	wait_for($node, 'v', 'completed');
	same_ok($node, 'SELECT id, a, b FROM t', 'SELECT id, (a * 100)::bigint, b FROM plain', "$name: all rows are there");
	empty_ok($node, 'SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid', "$name: no invalid index is left");
	is(one($node, "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND pg_get_indexdef(indexrelid) LIKE '%(a)'"), '1', "$name: the index is there");
	wait_until($node, "SELECT count(*) = 2 AND bool_and(status = 'succeeded') FROM cron.job_run_details", "$name: both jobs have succeeded")
	  || diag(one($node, 'TABLE cron.job_run_details'));
	empty_ok($node, "SELECT * FROM mig.events WHERE kind IN ('failed', 'paused')", "$name: nothing failed");
	is(one($node, "SELECT DISTINCT role_name FROM mig.events WHERE kind = 'filled'"), 'app', "$name: the owner's job has filled the rows");
	no_crash_ok($node);
	$node->stop;
}
done_testing();
