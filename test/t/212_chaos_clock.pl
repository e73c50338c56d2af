# The server's clock is set back by a day, which a small library does that is loaded before libc. What waits for a time goes on nevertheless, what was found later counts as later,
# and nothing opens early.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../perl";
use MigTest;
use PostgreSQL::Test::Utils ();
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir('clock');
PostgreSQL::Test::Utils::append_to_file("$dir/clock.c", <<'C');
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile int64_t *ahead;	/* seconds */
static int64_t seconds(void)
{
	if (ahead == NULL)
	{
		int			fd = open(getenv("MIG_TEST_CLOCK"), O_RDONLY);
		void	   *map = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);

		if (fd >= 0)
			close(fd);
		if (map == MAP_FAILED)
			return 0;
		ahead = map;
	}
	return *ahead;
}
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int			rc = syscall(SYS_clock_gettime, id, ts);

	if (rc == 0 && id == CLOCK_REALTIME)
		ts->tv_sec += seconds();
	return rc;
}
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts;
	int			rc = clock_gettime(CLOCK_REALTIME, &ts);

	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return rc;
}
time_t time(time_t *t)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (t)
		*t = ts.tv_sec;
	return ts.tv_sec;
}
C
plan skip_all => 'there is no C compiler' if system("cc -shared -fPIC -O1 -o '$dir/clock.so' '$dir/clock.c' 2>'$dir/cc.out'") != 0;

# Let the server be so many seconds ahead
sub clock
{
	my ($ahead) = @_;
	open(my $f, -e "$dir/ahead" ? '+<' : '>', "$dir/ahead") or die "$dir/ahead: $!";
	syswrite($f, pack('q', $ahead));
	close($f);
	return;
}
clock(86400);
{
	local $ENV{MIG_TEST_CLOCK} = "$dir/ahead";
	local $ENV{LD_PRELOAD} = "$dir/clock.so";
	our $node = mig_node('main', conf => "autovacuum = off\nmig_control.throttle_active_clients = 64\n");
}
our $node;
plan skip_all => 'the clock cannot be set' if one($node, 'SELECT clock_timestamp() - to_timestamp(' . time . ") > interval '23 hours'") ne 't';

my $trigger = '"~mig_sync"';
my $drift = "FROM mig.drift WHERE name = 'v' AND gone_at IS NULL";
sub bypass { my ($sql) = @_; return "SET mig_control.own_statements = 1; BEGIN; ALTER TABLE t DISABLE TRIGGER $trigger; $sql; ALTER TABLE t ENABLE ALWAYS TRIGGER $trigger; COMMIT" }
sub gates { return one($node, "SELECT string_agg(gate, ',' ORDER BY gate) FROM mig_gates('v') WHERE NOT open") }
sub definition { my ($table) = @_; return ("ALTER TABLE $table ALTER v TYPE bigint USING v * 10", "{\"down\": {\"$table.v\": \"v / 10\"}, \"schema\": \"$table\"" . ($_[1] // '') . '}') }

for my $table (qw(t b c))
{
	one($node, "CREATE SCHEMA $table; CREATE TABLE $table.$table (id int PRIMARY KEY, v int); INSERT INTO $table.$table SELECT i, i FROM generate_series(1, 20000) i");
}
one($node, 'ALTER DATABASE postgres SET search_path = t');

# ---- while it is ahead: one is ready, fenced and divergent, one is in mid backfill, waits for a locked row, and is overridden
start_ok($node, 'v', definition('t', ', "drift": {"duty": 1, "reaction": "fence"}, "cooling_period": "1 hour", "gates": {"min_age": {"limit": "1 hour"}}'));
wait_for($node, 'v', 'ready');
one($node, "SELECT mig_validate('v')");
wait_until($node, "SELECT open FROM mig_gates('v') WHERE gate = 'verified'", 'a clean pass');
my $closed = gates();
is($closed, 'cooling_period,min_age', 'what takes an hour is closed');
my $lock = start_held($node, 'b', definition('b'), undef, 'SELECT FROM b.b WHERE id = 77 FOR UPDATE');
one($node, q(SELECT mig_override('b', '{"workers": 2}', '1 hour', 'test')));
one($node, bypass('UPDATE t SET v = -1 WHERE id = 7'));
wait_until($node, "SELECT count(*) = 1 $drift", 'a row is found');
wait_until($node, "SELECT fenced_since IS NOT NULL FROM mig.watch WHERE name = 'v'", 'the new version is fenced');

# ---- it is set back
clock(0);
is(one($node, 'SELECT abs(extract(epoch FROM clock_timestamp()) - ' . time . ') < 60'), 't', 'the clock is set back by a day');
is(gates(), "$closed,verified", 'nothing has opened');
one($node, bypass('UPDATE t SET v = -1 WHERE id = 9'));
wait_until($node, "SELECT count(*) = 2 $drift", 'another row is found');
fails_ok($node, "SELECT mig_complete('v')", '55000', 'and stops it', qr/gate "verified".*2 rows of t\.t differ/s);
one($node, 'UPDATE t SET v = id WHERE id IN (7, 9)');
wait_until($node, "SELECT count(*) = 0 $drift", 'rows that are in order again are gone');
wait_until($node, "SELECT open FROM mig_gates('v') WHERE gate = 'verified'", 'a clean pass opens the gate that is about rows');
wait_until($node, "SELECT fenced_since IS NULL FROM mig.watch WHERE name = 'v'", 'and lifts the fence');
is(gates(), $closed, 'not those about time');
is(one($node, "SELECT divergent FROM mig_status('v')"), '0', 'mig_status knows');

is(phase_of($node, 'b'), 'backfilling', 'the other one is in its backfill');
is(one($node, "SELECT state FROM mig.overrides WHERE name = 'b'"), 'in effect', 'its override has an end by the clock');
one($node, "SELECT mig_override('b', NULL)");
$lock->quit;
wait_for($node, 'b', 'ready');

# ---- a worker that ends is replaced, and a migration from then on gets to its end
one($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'mig_control worker'");
start_ok($node, 'c', definition('c'));
wait_for($node, 'c', 'ready');
one($node, "SELECT mig_complete('c')");
wait_for($node, 'c', 'completed');
one($node, bypass('UPDATE t SET v = -1 WHERE id = 11'));
wait_until($node, "SELECT count(*) = 1 $drift", 'the watch goes on');
is(one($node, "SELECT string_agg(DISTINCT name, ',') FROM mig.drift"), 'v', 'nothing was reported of the others');
is(one($node, "SELECT count(*) FROM mig.events WHERE kind IN ('aborted', 'hibernates', 'paused', 'watch failed')"), '0', 'and nobody was alarmed by the clock');

no_crash_ok($node);
done_testing();
