/*
 * signal_replication.c
 *		Signals about standbys and replication slots.
 *
 * How far a standby is behind in time is what the server itself cannot tell of one that stands still: its replay_lag is as old as the standby's last step. So
 * this keeps samples of (WAL position, when it was reached). A standby that has not replayed a position is behind by at least that position's age; one
 * that has replayed it by at most the time since it was the newest. In between replay_lag is right.
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "base/sql.h"
#include "pace/signal.h"
#include "pace/signal_readers.h"

#define SAMPLES 512

/* A WAL position, and between which moments it was the newest one, as far as we looked */
typedef struct Sample
{
	XLogRecPtr	position;
	TimestampTz first;
	TimestampTz last;
} Sample;

static Sample samples[SAMPLES];
static int	nsamples = 0;

/* Make room by forgetting every second sample but the newest: what is long ago need not be known precisely. */
static void
thin_out(void)
{
	int			n = 0;

	for (int i = 0; i < nsamples; i++)
		if (i % 2 == 0 || i == nsamples - 1)
			samples[n++] = samples[i];
	nsamples = n;
}

/* Remember where WAL is now. */
static void
take_sample(XLogRecPtr position, TimestampTz now)
{
	Sample	   *newest = nsamples > 0 ? &samples[nsamples - 1] : NULL;

	if (newest && (now < newest->last || position < newest->position))
		newest = NULL, nsamples = 0;	/* the clock was set back, or this is another server's WAL */
	if (newest && position == newest->position)
	{
		newest->last = now;
		return;
	}
	if (nsamples == SAMPLES)
		thin_out();
	samples[nsamples++] = (Sample) {position, now, now};
}

/* The first look of a process: others may have sampled for this migration just before. */
static void
take_others_samples(const Migration *mig)
{
	SqlRows    *rows = admin_queryp("SELECT s.value ->> 0, (s.value ->> 2)::int8 FROM mig.pace p, jsonb_array_elements(p.samples) WITH ORDINALITY s (value, n)"
									" WHERE p.migration_id = $1 AND s.value ->> 2 IS NOT NULL ORDER BY s.n", P_int8(mig->id));

	for (uint64 i = 0; i < rows->n; i++)
	{
		double		epoch = float8in_internal(rows->v[i][0], NULL, "double precision", rows->v[i][0]);

		take_sample(strtou64(rows->v[i][1], NULL, 10), time_t_to_timestamptz(0) + (TimestampTz) (epoch * USECS_PER_SEC));
	}
}

/* How long ago, in ms, the state that a standby has replayed was the primary's. replay_lag is what the server says; negative: nothing. */
static double
lag_of(XLogRecPtr replayed, double replay_lag, TimestampTz now)
{
	double		lag = Max(replay_lag, 0);

	for (int i = 0; i < nsamples; i++)
	{
		if (samples[i].position <= replayed)
			continue;
		lag = Max(lag, (now - samples[i].first) / 1000.0);
		if (i > 0)
			lag = Min(lag, (now - samples[i - 1].last) / 1000.0);
		return lag;
	}
	return 0;					/* it has all that there is */
}

/* A standby, or another one who takes WAL, that is connected */
typedef struct Standby
{
	char	   *name;
	bool		ours_by_default;	/* a physical standby that replays */
	XLogRecPtr	replayed;		/* or flushed or written, by one that does not replay */
	double		replay_lag;		/* ms; negative: the server does not say */
} Standby;

typedef struct Standbys
{
	TimestampTz now;			/* of which look */
	int			n;
	Standby    *standbys;
} Standbys;

static const char standbys_sql[] =
"SELECT a.application_name, coalesce(w.replay_lsn, w.flush_lsn, w.write_lsn, w.sent_lsn), extract(epoch FROM w.replay_lag) * 1000, w.replay_lsn IS NOT NULL"
" AND NOT EXISTS (SELECT FROM pg_get_replication_slots() s WHERE s.active_pid = w.pid AND s.slot_type = 'logical')"
" FROM pg_stat_get_wal_senders() w, pg_stat_get_activity(w.pid) a WHERE w.state <> 'backup' AND $1";

/* Who takes WAL now. */
static Standbys
standbys_now(void)
{
	SqlRows    *rows = admin_queryp(standbys_sql, P_bool(true));
	Standbys	all = {.n = rows->n,.standbys = palloc0(sizeof(Standby) * Max(rows->n, 1))};

	for (int i = 0; i < all.n; i++)
	{
		Standby    *s = &all.standbys[i];
		char	  **v = rows->v[i];

		s->name = v[0] ? v[0] : "";
		s->replayed = v[1] ? DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(v[1]))) : InvalidXLogRecPtr;
		s->replay_lag = v[2] ? float8in_internal(v[2], NULL, "double precision", v[2]) : -1;
		s->ours_by_default = v[3] && v[3][0] == 't';
	}
	return all;
}

/* The names that options.throttle, or else the setting, gives; NIL: none. */
static List *
wanted_names(const SignalContext *context)
{
	int			n;
	char	  **names = throttle_standbys(context->throttle, &n);
	List	   *list = NIL;

	if (names == NULL)
	{
		(void) SplitGUCList(pstrdup(mig_throttle_standbys), ',', &list);
		return list;
	}
	for (int i = 0; i < n; i++)
		list = lappend(list, names[i]);
	return list;
}

/* Is a name in a list? With `left_out`, as one that is left out. */
static bool
is_named(List *names, const char *name, bool left_out)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		const char *n = lfirst(lc);

		if ((n[0] == '-') == left_out && strcmp(left_out ? n + 1 : n, name) == 0)
			return true;
	}
	return false;
}

/* Does anybody stand in the list who is wanted, not only who is left out? */
static bool
names_some(List *names)
{
	ListCell   *lc;

	foreach(lc, names)
		if (((char *) lfirst(lc))[0] != '-')
			return true;
	return false;
}

/* Does this standby count? */
static bool
counts(const Standby *s, List *names)
{
	return names_some(names) ? is_named(names, s->name, false) : s->ours_by_default && !is_named(names, s->name, true);
}

/* One that is wanted by name and is not there; NULL: none. */
static char *
missing_standby(const Standbys *all, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		char	   *name = lfirst(lc);
		bool		found = name[0] == '-';

		for (int i = 0; i < all->n && !found; i++)
			found = strcmp(all->standbys[i].name, name) == 0;
		if (!found)
			return name;
	}
	return NULL;
}

/* What both signals of standbys have to say; they differ in their measure of one. */
static Reading
worst_standby(const SignalContext *context, double (*measure) (const Standby *s, XLogRecPtr here, TimestampTz now))
{
	XLogRecPtr	here = GetFlushRecPtr(NULL);
	TimestampTz now = GetCurrentTimestamp();
	List	   *names = wanted_names(context);
	Standbys	all = standbys_now();
	char	   *missing = missing_standby(&all, names);
	Reading		r = {.known = missing == NULL};

	if (nsamples == 0)
		take_others_samples(context->mig);
	take_sample(here, now);
	if (missing)
		r.who = psprintf("standby %s is not connected", missing);
	for (int i = 0; i < all.n && r.known; i++)
	{
		const Standby *s = &all.standbys[i];
		double		value;

		if (!counts(s, names))
			continue;
		value = measure(s, here, now);
		if (r.who && value <= r.value)
			continue;
		r.value = value;
		r.who = psprintf("standby %s", s->name);
	}
	return r;
}

/* WAL that a standby has still to replay. */
static double
measure_bytes(const Standby *s, XLogRecPtr here, TimestampTz now)
{
	return here > s->replayed ? (double) (here - s->replayed) : 0;
}

/* How old what it has replayed is. */
static double
measure_ms(const Standby *s, XLogRecPtr here, TimestampTz now)
{
	return lag_of(s->replayed, s->replay_lag, now);
}

Reading
read_replica_lag_bytes(const SignalContext *context)
{
	return worst_standby(context, measure_bytes);
}

Reading
read_replica_lag(const SignalContext *context)
{
	return worst_standby(context, measure_ms);
}

/* A slot that is lost, or has not reserved WAL yet, keeps none. */
Reading
read_slot_wal(const SignalContext *context)
{
	SqlRows    *rows = admin_queryp("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8, slot_name FROM pg_get_replication_slots()"
									" WHERE restart_lsn IS NOT NULL AND wal_status <> 'lost' AND $1 ORDER BY restart_lsn LIMIT 1", P_bool(true));
	Reading		r = {.known = true};

	if (rows->n == 0)
		return r;
	r.value = Max(float8in_internal(rows->v[0][0], NULL, "double precision", rows->v[0][0]), 0);
	r.who = psprintf("slot %s", rows->v[0][1]);
	return r;
}
