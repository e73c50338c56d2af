# users.id becomes bigint while five tables refer to it, most of them migrated along: no client's write fails, nor is one lost, at start, rollback and
# complete; and then a foreign key between two busy tables is added and taken back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use Test::More;

my $node = mig_node('main', conf => "autovacuum_naptime = 1\n");
one($node, <<SQL);
CREATE TABLE users (id int PRIMARY KEY, name text);
CREATE TABLE orders (id bigserial PRIMARY KEY, user_id int NOT NULL REFERENCES users ON DELETE CASCADE, note text);
CREATE TABLE notes (id bigserial PRIMARY KEY, user_id int REFERENCES users ON DELETE SET NULL, author int REFERENCES users DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE friends (a int REFERENCES users ON DELETE CASCADE, b int REFERENCES users ON DELETE CASCADE, PRIMARY KEY (a, b));
CREATE TABLE visits (user_id int REFERENCES users ON DELETE CASCADE, at timestamptz DEFAULT now());
CREATE TABLE logins (user_id bigint REFERENCES users ON DELETE CASCADE);
CREATE INDEX ON orders (user_id); CREATE INDEX ON notes (user_id); CREATE INDEX ON notes (author); CREATE INDEX ON friends (b); CREATE INDEX ON visits (user_id); CREATE INDEX ON logins (user_id);
CREATE SEQUENCE ids START 100000;
INSERT INTO users SELECT i, 'u' || i FROM generate_series(1, 20000) i;
INSERT INTO orders (user_id) SELECT i FROM generate_series(1, 20000) i;
INSERT INTO notes (user_id, author) SELECT i, i FROM generate_series(1, 20000) i;
INSERT INTO friends SELECT i, i % 20000 + 1 FROM generate_series(1, 20000) i;
INSERT INTO visits SELECT i FROM generate_series(1, 20000) i;
INSERT INTO logins SELECT i FROM generate_series(1, 20000) i;
SQL

# each transaction makes a user with rows that refer to it and to others, and removes one that was made long ago, as plain statements that wait for no other client
my $script = <<'SQL';
\set n random(1, 15000)
SELECT nextval('ids') AS id \gset
BEGIN;
INSERT INTO notes (user_id, author) VALUES (:n, :id);
INSERT INTO users (id, name) VALUES (:id, 'new');
INSERT INTO orders (user_id, note) VALUES (:id, 'own'), (:n, 'other');
INSERT INTO friends (a, b) VALUES (:id, :n);
INSERT INTO visits (user_id) VALUES (:n);
INSERT INTO logins (user_id) VALUES (:id);
COMMIT;
UPDATE orders SET note = note || '.' WHERE user_id = :n AND id % 7 = 0;
DELETE FROM notes WHERE author = :id;
DELETE FROM users WHERE id = :id AND id % 2 = 0;
SQL

my $definition = join ';', 'ALTER TABLE users ALTER id TYPE bigint', map { "ALTER TABLE $_->[0] " . join(', ', map { "ALTER $_ TYPE bigint" } @$_[ 1 .. $#$_ ]) }
  (['orders', 'user_id'], ['notes', 'user_id', 'author'], ['friends', 'a', 'b'], ['visits', 'user_id']);

# Nothing refers to a user that is not there, in either version; and the two versions have the same rows.
sub whole_ok
{
	my ($schema, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return empty_ok($node, join(' UNION ALL ', map { my ($t, $c) = @$_; "SELECT '$t.$c' AS place, ${c}::bigint AS orphan FROM $schema.$t r WHERE $c IS NOT NULL AND NOT EXISTS (SELECT FROM $schema.users u WHERE u.id = r.$c)" }
		['orders', 'user_id'], ['notes', 'user_id'], ['notes', 'author'], ['friends', 'a'], ['friends', 'b'], ['visits', 'user_id'], ['logins', 'user_id']), $name);
}

my $old = clients_begin($node, 'old', $script, clients => 3, path => 'public');
sleep 1;
start_ok($node, 'v1', $definition);
wait_for($node, 'v1', 'ready');
my $new = clients_begin($node, 'new', $script, clients => 2, path => 'public_v1,public');
sleep 3;
whole_ok('public', 'every reference holds in the old version');
whole_ok('public_v1', 'and in the new one');
cmp_ok(clients_end($new), '>', 0, 'new clients got through');
one($node, "SELECT mig_rollback('v1')");
sleep 1;
start_ok($node, 'v2', $definition);
wait_for($node, 'v2', 'ready');
$new = clients_begin($node, 'new', $script, clients => 2, path => 'public_v2,public');
sleep 2;
one($node, "SELECT mig_complete('v2')");
wait_for($node, 'v2', 'completed');
sleep 1;
cmp_ok(clients_end($new), '>', 0, 'new clients got through');
cmp_ok(clients_end($old), '>', 0, 'old clients got through');
whole_ok('public', 'every reference holds in the end');
is(one($node, "SELECT string_agg(conrelid::regclass || '.' || conname || CASE WHEN convalidated THEN '' ELSE ' not valid' END, ' ' ORDER BY conrelid::regclass::text, conname) FROM pg_constraint WHERE contype = 'f' AND confrelid = 'users'::regclass"),
	'friends.friends_a_fkey friends.friends_b_fkey logins.logins_user_id_fkey notes.notes_author_fkey notes.notes_user_id_fkey orders.orders_user_id_fkey visits.visits_user_id_fkey', 'the foreign keys have their names');
is(one($node, "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relname IN ('users', 'orders', 'notes', 'friends', 'visits') AND relkind = 'r' AND attname LIKE '\\_mig%' AND NOT attisdropped"), 0, 'nothing hidden is left');
one($node, "INSERT INTO users (id, name) VALUES (5000000000, 'far'); INSERT INTO orders (user_id) VALUES (5000000000)");

# A new foreign key between two tables that clients write all the time
one($node, 'ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey; DELETE FROM orders WHERE NOT EXISTS (SELECT FROM users WHERE users.id = user_id)');
my $light = <<'SQL';
\set n random(1, 15000)
SELECT nextval('ids') AS id \gset
INSERT INTO users (id, name) VALUES (:id, 'new');
INSERT INTO orders (user_id, note) VALUES (:id, 'own'), (:n, 'other');
UPDATE users SET name = name || '.' WHERE id = :n;
UPDATE orders SET note = 'x' WHERE user_id = :n AND id % 7 = 0;
SQL
$old = clients_begin($node, 'old', $light, clients => 4, path => 'public');
for my $name ('a1', 'a2')
{
	start_ok($node, $name, 'ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE');
	wait_for($node, $name, 'ready');
	$new = clients_begin($node, 'new', $light, clients => 2, path => "public_$name,public");
	sleep 2;
	if ($name eq 'a1')
	{
		clients_end($new);
		one($node, "SELECT mig_rollback('$name')");
	}
	else
	{
		one($node, "SELECT mig_complete('$name')");
		wait_for($node, $name, 'completed');
		clients_end($new);
	}
}
clients_end($old);
is(one($node, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'orders_user_id_fkey' AND convalidated"), 'FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE', 'the foreign key is there');
no_crash_ok($node);
done_testing();
