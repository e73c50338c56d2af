/*
 * signal_activity.c
 *		Signals that come from what other sessions do at the moment.
 *
 * One look into the server's activity serves all of them. What a moment shows is smoothed over about a second.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "storage/lock.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/sql.h"
#include "pace/clients.h"
#include "pace/signal.h"
#include "pace/signal_readers.h"

#define FADE_MS		1000
#define WAITERS_MS	1000
#define CLIENTS_MS	10000

/* What one look into the server's activity has found */
typedef struct Activity
{
	TimestampTz now;			/* of which look; 0: none */
	Oid			relid;
	double		clients;		/* at work */
	double		io;				/* of these, wait for the disk */
	int			wraparound;		/* anti-wraparound vacuums on the table */
	int			pid;			/* of one of them */
	TimestampTz clients_at;		/* when clients were last seen to have done something just before */
} Activity;

/*
 * Clients at work are those that use, or wait for, the machine: not those that wait for a lock or sleep, nor those that call or watch us, which would slow what they ask for. A vacuum's query text is the autovacuum
 * worker's own.
 */
static const char activity_sql[] =
"SELECT count(*) FILTER (WHERE at_work), count(*) FILTER (WHERE at_work AND (wait_event_type = 'IO' OR wait_event = 'WALWrite')), max(vacuum), count(vacuum),"
" coalesce(bool_or(client AND (active OR state_change > clock_timestamp() - interval '5 s')), false)"
" FROM (SELECT *, client AND active AND coalesce(wait_event_type NOT IN ('Activity', 'Client', 'Extension', 'Lock', 'Timeout'), true) AS at_work"
" FROM (SELECT a.wait_event_type, a.wait_event, a.state_change, a.state IN ('active', 'fastpath function call') AS active,"
" " CLIENTS_A " AND a.query !~* '^\\s*SELECT(\\s+\\*\\s+FROM)?\\s+mig(_\\w+\\s*\\(|\\s*\\.)' AS client,"
" CASE WHEN a.backend_type = 'autovacuum worker' AND a.query LIKE '%(to prevent wraparound)'"
" THEN (SELECT p.pid FROM pg_stat_get_progress_info('VACUUM') p WHERE p.pid = a.pid AND p.datid = a.datid"
" AND p.relid IN (SELECT unnest(ARRAY[c.oid, c.reltoastrelid]) FROM pg_class c WHERE c.oid = $1)) END AS vacuum"
" FROM pg_stat_get_activity(NULL) a) s) s";

/* Look, unless this look has been done already. */
static const Activity *
activity(const SignalContext *context)
{
	static Activity last;
	SqlRows    *rows;

	if (context->now && last.now == context->now && last.relid == context->relid)
		return &last;
	last.now = 0;
	pgstat_clear_backend_activity_snapshot();
	rows = admin_queryp(activity_sql, P_oid(context->relid));
	last.clients = atoi(rows->v[0][0]);
	last.io = atoi(rows->v[0][1]);
	last.pid = rows->v[0][2] ? atoi(rows->v[0][2]) : 0;
	last.wraparound = atoi(rows->v[0][3]);
	if (rows->v[0][4][0] == 't')
		last.clients_at = GetCurrentTimestamp();
	last.relid = context->relid;
	last.now = context->now;
	return &last;
}

bool
clients_are_there(const SignalContext *context)
{
	TimestampTz at = activity(context)->clients_at;

	return at != 0 && !TimestampDifferenceExceeds(at, GetCurrentTimestamp(), CLIENTS_MS);
}

Reading
read_active_clients(const SignalContext *context)
{
	static Mean mean;
	double		clients = activity(context)->clients;

	return (Reading) {.known = true,.value = mean_see(&mean, clients / signal_cores(), FADE_MS)};
}

Reading
read_io_waits(const SignalContext *context)
{
	static Mean mean;
	const Activity *a = activity(context);

	return (Reading) {.known = true,.value = mean_see(&mean, a->io / Max(a->clients, signal_cores()), FADE_MS)};
}

Reading
read_wraparound_vacuum(const SignalContext *context)
{
	const Activity *a = activity(context);

	return (Reading) {.known = true,.value = a->wraparound,.who = a->wraparound ? psprintf("pid %d", a->pid) : NULL};
}

/* The most clients that waited at the end of a batch of late, and one of them; they count for a while only, as another process may look meanwhile */
static int	waiters = 0;
static int	waiter_pid = 0;
static TimestampTz waiters_until = 0;

/* Does anybody wait for the end of a transaction of ours? The lock on its id is held once, by us. */
static bool
is_waited_for(TransactionId xid)
{
	LOCKTAG		tag;

	if (!TransactionIdIsValid(xid))
		return false;
	SET_LOCKTAG_TRANSACTION(tag, xid);
	return LockWaiterCount(&tag) > 1;
}

/* Other drivers may wait for us, too: for a row of ours that tells how far we are. Only clients count, so who it is has to be asked, but seldom. */
bool
signal_note_waiters(void)
{
	TransactionId top = GetTopTransactionIdIfAny();
	TransactionId sub = GetCurrentTransactionIdIfAny();
	SqlRows    *rows;
	int			n;

	if (!is_waited_for(top) && (sub == top || !is_waited_for(sub)))
		return false;
	pgstat_clear_backend_activity_snapshot();
	rows = admin_queryp("SELECT count(*), max(l.pid) FROM pg_lock_status() l, pg_stat_get_activity(l.pid) a WHERE NOT l.granted AND l.locktype = 'transactionid'"
						" AND l.transactionid::text IN ($1, $2) AND " CLIENTS_A, P_text(psprintf("%u", top)), P_text(psprintf("%u", sub)));
	n = atoi(rows->v[0][0]);
	if (n == 0)
		return false;
	if (waiters <= n || waiters_until <= GetCurrentTimestamp())
	{
		waiters = n;
		waiter_pid = atoi(rows->v[0][1]);
		waiters_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), WAITERS_MS);
	}
	return true;
}

Reading
read_waiters(const SignalContext *context)
{
	Reading		r = {.known = true};

	if (waiters > 0 && clock_to_come(GetCurrentTimestamp(), waiters_until, WAITERS_MS))
	{
		r.value = waiters;
		r.who = psprintf("pid %d", waiter_pid);
	}
	waiters = 0;
	return r;
}
