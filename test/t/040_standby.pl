# A standby that is promoted in the middle of a backfill goes on by itself; until then it does nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = mig_node('primary', init => [ allows_streaming => 1 ], conf => "mig_control.batch_pages = 8\n");
one($primary, <<'SQL');
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text);
INSERT INTO t SELECT i, i / 7.0, 'b' || i FROM generate_series(1, 20000) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE plain AS SELECT * FROM t;
CREATE SCHEMA other;
CREATE TABLE other.t (id int);
SQL
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $definition = 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint';
my $hold = start_held($primary, 'v', $definition, '{"down": {"t.a": "a / 100.0"}}', 'postgres', 'SELECT FROM t WHERE id = 77 FOR UPDATE');
$primary->wait_for_catchup($standby);
is(phase_of($standby, 'v'), 'backfilling', 'the standby shows the phase');
cmp_ok(one($standby, "SELECT count(*) FROM t WHERE _mig_state IS NOT NULL"), '>', 0, 'some rows are filled');
is(one($standby, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'mig_control%'"), '0', 'no worker of ours runs there');
fails_ok($standby, "SELECT mig_start('w', 'ALTER TABLE t ADD COLUMN c int', '{\"schema\": \"other\"}')", '25006', 'mig_start does not work there');
fails_ok($standby, "CALL mig_run('v')", '25006', 'nor does mig_run');
same_ok($standby, 'SELECT id, a, b FROM t', 'SELECT * FROM plain', 'the old version can be read there');

crash($primary);
$hold->{run}->kill_kill;
$standby->promote;
wait_for($standby, 'v', 'ready');
same_ok($standby, 'SELECT id, a, b FROM public_v.t', 'SELECT id, (a * 100)::bigint, b FROM plain', 'all rows are there');
one($standby, "SELECT mig_complete('v')");
wait_for($standby, 'v', 'completed');
same_ok($standby, 'SELECT id, a, b FROM t', 'SELECT id, (a * 100)::bigint, b FROM plain', 'and in the table');

no_crash_ok($_) for $primary, $standby;
$standby->stop;
done_testing();
