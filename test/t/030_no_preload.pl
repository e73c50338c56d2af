# Without shared_preload_libraries nothing goes on by itself, and everything works by CALL: mig_run and mig_tick, an index build included.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', preload => 0);
one($node, <<'SQL');
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2), b text);
INSERT INTO t SELECT i, i / 7.0, CASE WHEN i % 3 = 0 THEN 'b' || i END FROM generate_series(1, 20000) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE plain AS SELECT * FROM t;
SQL
my $definition = "ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint; ALTER TABLE t ALTER COLUMN b SET NOT NULL";
my $options = '{"up": {"t.b": "coalesce(b, \'none\')"}, "down": {"t.a": "a / 100.0"}}';
my $f = "SELECT id, (a * 100)::bigint, coalesce(b, 'none') FROM plain";

my ($rc, $out, $err) = $node->psql('postgres', "SELECT mig_start('v', \$\$$definition\$\$, \$\$$options\$\$)");
is($rc, 0, 'mig_start works');
like($err, qr/NOTICE:.*shared_preload_libraries/, 'its NOTICE says what is missing');
like($err, qr/HINT:.*mig_run\('v'\).*mig_tick/, 'and what to call instead');
is(phase_of($node, 'v'), 'expanding', 'nobody goes on with it');
is(one($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'mig_control%'"), '0', 'there is no worker');
fails_ok($node, "BEGIN;\nCALL mig_run('v')", '2D000', 'not in a transaction block', qr/outside a transaction block/);
fails_ok($node, "DO \$\$ BEGIN PERFORM 1; CALL mig_tick(); EXCEPTION WHEN division_by_zero THEN NULL; END \$\$", '2D000', 'nor in a block with a handler');

one($node, "CALL mig_run('v')");
is(phase_of($node, 'v'), 'ready', 'mig_run drives it to ready');
same_ok($node, 'SELECT * FROM public_v.t', $f, 'all rows are there');
is(one($node, "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid"), '0', 'the index was built');
($rc, $out, $err) = $node->psql('postgres', "SELECT mig_complete('v')");
is($rc, 0, 'mig_complete works');
if ($out eq 'completing')
{
	like($err, qr/mig_run\('v', until => 'completed'\)/, 'it says how to go on');
	one($node, "CALL mig_run('v', until => 'completed')");
}
is(phase_of($node, 'v'), 'completed', 'completed');
same_ok($node, 'SELECT id, a, b FROM t', $f, 'the table is what it should be');

# The same by ticks, as pg_cron would do it; two sessions at a time don't disturb each other
one($node, "SELECT mig_start('w', 'ALTER TABLE t ALTER COLUMN a TYPE numeric(14,2) USING a / 100.0', '{\"down\": {\"t.a\": \"(a * 100)::bigint\"}}')");
my $second = $node->background_psql('postgres', on_error_stop => 1);
my $ticks = 0;
while (phase_of($node, 'w') ne 'ready' && $ticks++ < 200)
{
	$second->query_until(qr/started/, "\\echo started\nCALL mig_tick('200 ms');\n");
	one($node, "CALL mig_tick('200 ms')");
}
$second->quit;
is(phase_of($node, 'w'), 'ready', 'mig_tick drives it to ready');
same_ok($node, 'SELECT id, a, b FROM public_w.t', "SELECT id, (a * 100)::bigint / 100.0::numeric(14,2) AS a, coalesce(b, 'none') FROM plain", 'all rows are there');
one($node, "SELECT mig_rollback('w')");
is(phase_of($node, 'w'), 'rolled_back', 'and rolled back');
same_ok($node, 'SELECT * FROM t', $f, 'the table is what it was');

no_crash_ok($node);
$node->stop;
done_testing();
