# The standing oracle: clients write the same to a migrating table and to a plain twin, in one transaction each. Whatever the engine does meanwhile, the
# old version must equal the twin, and the new version what the twin's rows become, row by row and bit by bit.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $rows = test_all() ? 60000 : 20000;
my $node = mig_node('main', conf => "mig_control.batch_pages = 16\n");

my $definition = <<'JSON';
{ "operations": [
  { "alter_column": { "table": "item", "column": "price", "type": "bigint", "up": "(price * 100)::bigint", "down": "(price / 100.0)::numeric(12,2)" } },
  { "rename_column": { "table": "item", "from": "price", "to": "cents" } },
  { "alter_column": { "table": "item", "column": "email", "nullable": false, "up": "coalesce(email, 'none-' || id)", "down": "email" } },
  { "drop_column": { "table": "item", "column": "legacy", "down": "'by new'" } },
  { "rename_column": { "table": "item", "from": "source", "to": "channel" } } ] }
JSON

# What the twin's rows are in the new version
my $f = "SELECT id, (price * 100)::bigint AS cents, coalesce(email, 'none-' || id) AS email, source AS channel, n FROM twin.item";
my $old = 'SELECT id, price, email, legacy, source, n FROM public.item';
my $new = 'SELECT id, cents, email, channel, n FROM public_v.item';
my $twin = 'SELECT id, price, email, legacy, source, n FROM twin.item';

sub prepare
{
	my ($db) = @_;
	one($node, "CREATE DATABASE $db");
	one($node, <<SQL, $db);
CREATE EXTENSION mig_control;
CREATE TABLE item (id bigint PRIMARY KEY, price numeric(12,2), email text, legacy text, source text NOT NULL DEFAULT 'web', n int NOT NULL DEFAULT 0);
INSERT INTO item SELECT i * 8 + i % 8, i / 7.0, CASE WHEN i % 5 <> 0 THEN 'a' || i END, 'old' FROM generate_series(1, $rows) i;
INSERT INTO item SELECT i, i, NULL, 'hot' FROM generate_series(-50, -1) i;
CREATE INDEX item_price ON item (price DESC) INCLUDE (n);
CREATE INDEX item_email ON item (lower(email)) WHERE price > 100;
CREATE SCHEMA twin;
CREATE TABLE twin.item (LIKE item INCLUDING ALL);
INSERT INTO twin.item SELECT * FROM item;
SQL
	return;
}

# Hot rows (negative ids) are only updated, by everybody, one at a time. All others belong to one client (id % 8), which does with them whatever it
# likes: a row that another client makes or moves between our two statements would be a difference of the test's own.
my $choose = <<'SQL';
\set what random(1, 12)
\set hot random(-50, -1)
\set id random(1, :rows) * 8 + :base + :client_id
\set cents random(-5000, 5000)
\set mine :base + :client_id
SQL

my $old_script = $choose . <<'SQL';
BEGIN;
\if :what <= 4
UPDATE item SET price = price + :cents / 100.0, n = n + 1 WHERE id = :hot;
UPDATE twin.item SET price = price + :cents / 100.0, n = n + 1 WHERE id = :hot;
\elif :what <= 5
UPDATE item SET email = CASE WHEN :cents > 0 THEN 'old-' || :cents::text END WHERE id = :hot;
UPDATE twin.item SET email = CASE WHEN :cents > 0 THEN 'old-' || :cents::text END WHERE id = :hot;
\elif :what <= 6
DELETE FROM item WHERE id = :id;
DELETE FROM twin.item WHERE id = :id;
\elif :what <= 7
UPDATE item SET price = NULL, source = 'null' WHERE id BETWEEN :id AND :id + 80 AND id % 8 = :mine;
UPDATE twin.item SET price = NULL, source = 'null' WHERE id BETWEEN :id AND :id + 80 AND id % 8 = :mine;
\elif :what <= 8
SAVEPOINT s;
UPDATE item SET price = 0, email = 'never' WHERE id = :id;
ROLLBACK TO SAVEPOINT s;
UPDATE item SET n = n + 1 WHERE id = :id;
UPDATE twin.item SET n = n + 1 WHERE id = :id;
\elif :what <= 9
UPDATE item SET id = id + 8000000 WHERE id = :id AND NOT EXISTS (SELECT FROM item WHERE id = :id + 8000000);
UPDATE twin.item SET id = id + 8000000 WHERE id = :id AND NOT EXISTS (SELECT FROM twin.item WHERE id = :id + 8000000);
\else
INSERT INTO item (id, price, email, legacy) VALUES (:id, :cents / 100.0, NULL, 'ins') ON CONFLICT (id) DO UPDATE SET price = excluded.price + 1;
INSERT INTO twin.item (id, price, email, legacy) VALUES (:id, :cents / 100.0, NULL, 'ins') ON CONFLICT (id) DO UPDATE SET price = excluded.price + 1;
\endif
END;
SQL

my $new_script = $choose . <<'SQL';
BEGIN;
\if :what <= 4
UPDATE item SET cents = cents + :cents, n = n + 1 WHERE id = :hot;
UPDATE twin.item SET price = price + :cents / 100.0, n = n + 1 WHERE id = :hot;
\elif :what <= 5
UPDATE item SET email = email || '+', channel = 'new' WHERE id = :hot AND length(email) < 100;
UPDATE twin.item SET email = coalesce(email, 'none-' || id) || '+', source = 'new' WHERE id = :hot AND length(coalesce(email, 'none-' || id)) < 100;
\elif :what <= 6
DELETE FROM item WHERE id = :id;
DELETE FROM twin.item WHERE id = :id;
\elif :what <= 7
UPDATE item SET cents = NULL WHERE id BETWEEN :id AND :id + 80 AND id % 8 = :mine;
UPDATE twin.item SET price = NULL WHERE id BETWEEN :id AND :id + 80 AND id % 8 = :mine;
\elif :what <= 8
WITH w AS (UPDATE item SET cents = cents * 2 WHERE id = :id RETURNING id, cents) UPDATE twin.item t SET price = w.cents / 100.0 FROM w WHERE t.id = w.id;
\elif :what <= 9
UPDATE item SET id = id + 8000000, email = 'moved' WHERE id = :id AND NOT EXISTS (SELECT FROM item WHERE id = :id + 8000000);
UPDATE twin.item SET id = id + 8000000, email = 'moved' WHERE id = :id AND NOT EXISTS (SELECT FROM twin.item WHERE id = :id + 8000000);
\else
INSERT INTO item (id, cents, email, channel) VALUES (:id, :cents, 'new', 'new') ON CONFLICT (id) DO UPDATE SET cents = excluded.cents + 100;
INSERT INTO twin.item (id, price, email, legacy, source) VALUES (:id, :cents / 100.0, 'new', 'by new', 'new') ON CONFLICT (id) DO UPDATE SET price = excluded.price + 1;
\endif
END;
SQL

sub old_clients { my ($db) = @_; return clients_begin($node, "old_$db", $old_script, db => $db, path => 'public', clients => 4, vars => { rows => $rows, base => 0 }, rate => 400, protocol => 'prepared') }
sub new_clients { my ($db) = @_; return clients_begin($node, "new_$db", $new_script, db => $db, path => 'public_v', clients => 4, vars => { rows => $rows, base => 4 }, rate => 400, protocol => 'extended') }

# Wait until clients have written more, so that a comparison says something
sub let_write
{
	my ($db, $n) = @_;
	$node->poll_query_until($db, 'SELECT xact_commit >= ' . (one($node, "SELECT xact_commit FROM pg_stat_database WHERE datname = '$db'") + ($n || 400)) . " FROM pg_stat_database WHERE datname = '$db'")
	  or die 'clients do not write';
	return;
}

sub to_ready
{
	my ($db) = @_;
	prepare($db);
	my $clients = old_clients($db);
	let_write($db);
	start_ok($node, 'v', $definition, undef, $db);
	same_ok($node, $old, $twin, "$db, after start: the old version equals the twin", $db);
	wait_for($node, 'v', 'ready', $db);
	same_ok($node, $new, $f, "$db, ready: the new version equals what the twin becomes", $db);
	my $more = new_clients($db);
	for my $i (1 .. 3)
	{
		let_write($db);
		same_ok($node, $old, $twin, "$db, both writing: the old version equals the twin ($i)", $db);
		same_ok($node, $new, $f, "$db, both writing: the new version equals what the twin becomes ($i)", $db);
	}
	return ($clients, $more);
}

# To the end
{
	my $db = 'forth';
	my ($oldies, $newbies) = to_ready($db);
	clients_end($oldies);
	one($node, "SELECT mig_complete('v')", $db);
	let_write($db);
	wait_for($node, 'v', 'completed', $db);
	same_ok($node, $new, $f, "$db, completed: the new version equals what the twin becomes", $db);
	let_write($db);
	cmp_ok(clients_end($newbies), '>', 0, 'new clients wrote until after the end');
	same_ok($node, 'SELECT id, cents, email, channel, n FROM public.item', $f, "$db, completed: the table equals what the twin becomes", $db);
	fails_ok($node, 'SELECT legacy FROM public.item', '42703', 'the dropped column is gone', undef, $db);
	is(one($node, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'item'::regclass AND attname ~ '^_mig' AND NOT attisdropped", $db), '0', 'no hidden column is left');
}

# And back, after new clients have written
{
	my $db = 'back';
	my ($oldies, $newbies) = to_ready($db);
	cmp_ok(clients_end($newbies), '>', 0, 'new clients wrote');
	one($node, "SELECT mig_rollback('v')", $db);
	same_ok($node, $old, $twin, "$db, rolled back: the table equals the twin", $db);
	let_write($db);
	cmp_ok(clients_end($oldies), '>', 0, 'old clients wrote until after the end');
	same_ok($node, 'SELECT * FROM public.item', 'SELECT * FROM twin.item', "$db, rolled back, later: the table equals the twin", $db);
	cmp_ok(one($node, "SELECT count(*) FROM item WHERE legacy = 'by new' AND price IS NOT NULL", $db), '>', 0, 'rows of new clients stay, converted by down');
	fails_ok($node, 'SELECT * FROM public_v.item', '55000', 'the version is closed', qr/public/, $db);
}

# Back from the middle of the backfill
{
	my $db = 'early';
	prepare($db);
	my $clients = old_clients($db);
	my $hold = start_held($node, 'v', $definition, undef, $db, 'SELECT FROM item WHERE id = -1 FOR UPDATE');
	$hold->quit;
	one($node, "SELECT mig_pause('v'); SELECT mig_rollback('v')", $db);
	let_write($db);
	clients_end($clients);
	same_ok($node, 'SELECT * FROM public.item', 'SELECT * FROM twin.item', "$db, rolled back: the table equals the twin", $db);
}

no_crash_ok($node);
$node->stop;
done_testing();
