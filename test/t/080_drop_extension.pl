# DROP EXTENSION: refused while a migration is active, whatever one adds to it; afterwards tables and version schemas stay, as plain tables and views.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main');
one($node, <<'SQL');
CREATE TABLE t (id bigint PRIMARY KEY, a numeric(12,2));
INSERT INTO t SELECT i, i / 7.0 FROM generate_series(1, 1000) i;
SQL
start_ok($node, 'v', 'ALTER TABLE t ALTER COLUMN a TYPE bigint USING (a * 100)::bigint', '{"down": {"t.a": "a / 100.0"}}');
wait_for($node, 'v', 'ready');
for my $sql ('DROP EXTENSION mig_control', 'DROP EXTENSION mig_control CASCADE')
{
	fails_ok($node, $sql, '55006', "$sql is refused while a migration is active", qr/mig_(complete|rollback)/);
}
is(one($node, 'UPDATE t SET a = 1.5 WHERE id = 1; SELECT a FROM public_v.t WHERE id = 1'), '150', 'both versions are in sync');
one($node, "SELECT mig_complete('v')");
wait_for($node, 'v', 'completed');
is($node->psql('postgres', 'DROP EXTENSION mig_control'), 0, 'it can be dropped when all migrations have ended');
is(one($node, 'SELECT a FROM public_v.t WHERE id = 1'), '150', 'the version schema stays, as plain views');
is(one($node, 'UPDATE public_v.t SET a = 2 WHERE id = 1; SELECT a FROM t WHERE id = 1'), '2', 'that can be written to');
no_crash_ok($node);
$node->stop;
done_testing();
