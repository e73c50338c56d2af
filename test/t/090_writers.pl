# No write of the version that stays fails while a migration starts, is rolled back and is completed, although two sessions read its tables for 0.9 s at a time;
# the same with a second migration of the schema on top, in a schema of many tables.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main');
my $tables = test_all() ? 1000 : 200;
one($node, "DO \$\$BEGIN FOR i IN 1 .. $tables LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a int, b text)', i); END LOOP; END\$\$");
one($node, 'INSERT INTO t1 (id, a) SELECT i, i FROM generate_series(1, 2000) i');
one($node, 'INSERT INTO t2 (id, a) SELECT i, i FROM generate_series(1, 2000) i');

my $write = "\\set id random(1, 2000)\nUPDATE t1 SET a = a + 1 WHERE id = :id;\nUPDATE t2 SET a = a + 1 WHERE id = :id;\n";
my $read = "BEGIN;\nSELECT count(a) FROM t1 WHERE id < 100;\nSELECT count(a) FROM t2 WHERE id < 100;\n\\sleep 900 ms\nCOMMIT;\n";

# Do something while clients of a version write and read.
sub under_load
{
	my ($name, $path, $do) = @_;
	my $writers = clients_begin($node, "writers during $name", $write, clients => 8, rate => 200, path => $path);
	my $readers = clients_begin($node, "readers during $name", $read, clients => 2, path => $path);
	wait_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query ~ 'count.a.' AND state = 'idle in transaction'", "$name: readers are there");
	$do->();
	clients_end($readers);
	cmp_ok(clients_end($writers), '>', 10, "$name: clients wrote");
	return;
}

under_load('start', 'public', sub { start_ok($node, '01', 'ALTER TABLE t1 ALTER a TYPE bigint'); wait_for($node, '01', 'ready') });
under_load('start on top', 'public', sub { start_ok($node, '02', 'ALTER TABLE t2 ALTER a TYPE bigint; ALTER TABLE t2 RENAME b TO c'); wait_for($node, '02', 'ready') });
under_load('rollback', 'public', sub { one($node, "SELECT mig_rollback('02')"); is(phase_of($node, '02'), 'rolled_back', 'rolled back') });
under_load('rollback of the first', 'public', sub { one($node, "SELECT mig_rollback('01')"); is(phase_of($node, '01'), 'rolled_back', 'rolled back') });
start_ok($node, '11', 'ALTER TABLE t1 ALTER a TYPE bigint');
start_ok($node, '12', 'ALTER TABLE t2 ALTER a TYPE bigint; ALTER TABLE t2 RENAME b TO c');
wait_for($node, '12', 'ready');
under_load('complete', 'public_12', sub { one($node, "SELECT mig_complete('11')"); wait_for($node, '11', 'completed') });
under_load('complete on top', 'public_12', sub { one($node, "SELECT mig_complete('12')"); wait_for($node, '12', 'completed') });
is(one($node, "SELECT count(*) FROM pg_attribute WHERE attrelid IN ('t1'::regclass, 't2'::regclass) AND attname ~ '^_mig' AND NOT attisdropped"), 0, 'nothing hidden is left');
is(one($node, "SELECT count(*) FROM information_schema.views WHERE table_schema = 'public_12'"), $tables, 'the version shows all tables');
no_crash_ok($node);
done_testing;
