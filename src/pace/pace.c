/*
 * pace.c
 *		What a driver knows of the migrations it drives: when it may work, on how much, and how long it rests.
 *
 * Owns that knowledge, one Driver per migration in this process; none of it is worth more than PACE_LOOK_MS. A driver that has worked for t rests
 * for t * (1 / duty - 1), by the duty at the time when it asks: a higher one shortens a rest that has begun.
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "executor/instrument.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/wal.h"
#include "base/yield.h"
#include "pace/chunk.h"
#include "pace/duty.h"
#include "pace/latency.h"
#include "pace/look.h"
#include "pace/pace.h"
#include "pace/signal.h"
#include "store/options.h"
#include "store/pace_state.h"

#define LONG_STOP_MS	5000	/* after such a stop a look in a second does: what has taken long may take longer */
#define LONGEST_NAP_MS	1000	/* of a driver that rests or stands still: then it asks again */
#define SLOWED_MS		5		/* a chunk's target beside clients, or while others slow us down: none of them waits longer for a row */
#define CHUNK_KB		1024.0
#define SLOWED_WAL		(512 * 1024.0)	/* and its bytes of WAL: the next commit of theirs may have to write them out */
#define SLOWED_PAGES	32		/* with which it begins then */
#define UNFLUSHED_WAL	(256 * 1024)	/* bytes that a driver leaves to others to write out */
#define WAL_AHEAD		(32 * 1024 * 1024)	/* bytes for which segments are made */

typedef struct Driver
{
	int64		migration_id;
	TimestampTz known_at;		/* when the row was read; 0: never */
	bool		stopped;
	int			look_ms;		/* between two looks */
	double		duty;
	bool		beside_clients;
	int			workers;
	int			workers_allowed;	/* by option or setting */
	bool		unpaced;		/* by option */
	int			batch;			/* option: most pages of a chunk; 0: by itself */
	int			step_no;		/* of the law */
	ChunkLaw	law;
	int			most;			/* pages that the unit under way may take; 0: it has taken none */
	instr_time	began;			/* the unit under way */
	uint64		wal_began;
	TimestampTz rests_from;		/* when the last unit ended */
	double		worked_ms;		/* how long it took */
	TimestampTz held_from;		/* by pace_hold() */
	TimestampTz held_until;
	const char *waits_for;		/* by pace_waits_for() */
	TimestampTz wake;			/* when it is of use to ask again */
} Driver;

static List *drivers = NIL;		/* Driver *, in TopMemoryContext */
static bool waited_for = false; /* has a client waited for rows of the unit under way? */

/* What this process knows of a migration. */
static Driver *
driver_get(int64 migration_id)
{
	ListCell   *lc;
	Driver	   *d;
	MemoryContext old;

	foreach(lc, drivers)
		if (((Driver *) lfirst(lc))->migration_id == migration_id)
			return lfirst(lc);
	old = MemoryContextSwitchTo(TopMemoryContext);
	d = palloc0(sizeof(Driver));
	d->migration_id = migration_id;
	d->duty = 1;
	d->workers = 1;
	d->look_ms = PACE_LOOK_MS;
	drivers = lappend(drivers, d);
	MemoryContextSwitchTo(old);
	return d;
}

/* Is a migration to go at full speed, whatever others notice? */
static bool
is_unpaced(const Migration *mig)
{
	char	   *throttle = option_text(mig->in_effect, "throttle");

	return throttle && strcmp(throttle, "false") == 0;
}

/* A migration's options as far as they are about pace. */
static void
read_options(Driver *d, const Migration *mig)
{
	char	   *workers = option_text(mig->in_effect, "workers");
	char	   *batch = option_text(mig->in_effect, "batch");

	d->workers_allowed = workers ? Max(atoi(workers), 1) : mig_max_workers;
	d->unpaced = is_unpaced(mig);
	d->batch = batch ? Max(atoi(batch), 1) : 0;
}

/* Go by a row from now on. */
static void
adopt(Driver *d, const PaceState *p, TimestampTz now)
{
	d->known_at = now;
	d->stopped = p->stopped_by != NULL;
	d->look_ms = d->stopped && TimestampDifferenceExceeds(p->stopped_since, now, LONG_STOP_MS) ? LONGEST_NAP_MS : PACE_LOOK_MS;
	d->duty = p->duty;
	d->beside_clients = p->beside_clients;
	d->workers = p->workers;
	if (d->law.pages == 0 && p->chunk_pages > 0)
		chunk_start(&d->law, p->chunk_pages);
}

/* Look at the signals, if it is time and nobody else does; true: it has. */
static bool
take_look(Driver *d, const Migration *mig, const Step *step)
{
	PaceState  *p = pace_state_claim(mig->id, d->look_ms);
	bool		was_stopped;

	if (p == NULL)
		return false;
	was_stopped = p->stopped_by != NULL;
	look(mig, step, d->workers_allowed, d->waits_for, p);
	if (d->law.pages > 0)
		p->chunk_pages = d->law.pages;
	pace_state_put(p);
	adopt(d, p, GetCurrentTimestamp());
	if (was_stopped || p->stopped_by)
		migration_set_waiting(mig->id, p->reason);
	return true;
}

/* Learn how things are now; true when that took a look at the signals. */
static bool
learn(Driver *d, const Migration *mig, const Step *step)
{
	TimestampTz now = GetCurrentTimestamp();
	PaceState  *p;

	if (d->known_at <= now && !TimestampDifferenceExceeds(d->known_at, now, d->look_ms))
		return false;
	read_options(d, mig);
	if (take_look(d, mig, step))
		return true;
	p = pace_state_get(mig->id);
	if (p)
		adopt(d, p, now);
	/* whoever is about to look may hang in it */
	if (p == NULL || TimestampDifferenceExceeds(p->looked_at, now, PACE_STALE_MS))
		d->stopped = true;
	return false;
}

/* When this driver may work again. Moments from before the clock was set back don't count. */
static TimestampTz
rests_until(const Driver *d, TimestampTz now)
{
	TimestampTz rested = d->rests_from > now ? 0 : d->rests_from + (int64) (d->worked_ms * 1000 * (1 / d->duty - 1));

	return d->held_from > now ? rested : Max(rested, d->held_until);
}

/* Is this driver to see to it that others notice little? */
static bool
is_considerate(const Driver *d)
{
	return !d->unpaced && (d->duty < 1 || d->beside_clients);
}

/* Begin with the first size: a small one where others would notice. */
static void
begin_law(Driver *d)
{
	chunk_start(&d->law, is_considerate(d) ? Min(mig_batch_pages, SLOWED_PAGES) : mig_batch_pages);
}

PaceAnswer
pace_ask(const Migration *mig, const Step *step)
{
	Driver	   *d = driver_get(mig->id);
	bool		looked = learn(d, mig, step);
	TimestampTz now = GetCurrentTimestamp();

	latency_work_end();			/* a unit may have ended by an error that is nobody's to retry */
	if (d->law.pages == 0 || (d->step_no != 0 && d->step_no != step->no))
		begin_law(d);
	if (d->step_no != step->no)
		d->waits_for = NULL;
	d->step_no = step->no;
	d->wake = d->stopped ? TimestampTzPlusMilliseconds(now, d->look_ms) : rests_until(d, now);
	if (d->stopped || d->wake > now)
		return PACE_WAIT;
	return looked ? PACE_LOOKED : PACE_GO;
}

int
pace_pages(const Migration *mig, int64 most)
{
	Driver	   *d = driver_get(mig->id);

	if (d->law.pages == 0)
		begin_law(d);
	d->most = d->batch ? d->batch : Max((int) most, mig_batch_pages);
	if (d->law.pages > d->most)
		chunk_start(&d->law, d->most);
	return d->law.pages;
}

/*
 * Wait until what this driver has committed is on disk, but for a little. Its commits wait for nothing; without this the next client's commit would write it
 * all out, while we go on with more. Nobody waits for us here: the rows are free.
 */
static void
flush_own_wal(void)
{
	if (XactLastCommitEnd > GetFlushRecPtr(NULL) + UNFLUSHED_WAL)
		XLogFlush(XactLastCommitEnd);
}

void
pace_begin(const Migration *mig)
{
	Driver	   *d = driver_get(mig->id);

	/* alone, we leave both to the WAL writer, which works beside us */
	if (is_considerate(d))
		wal_make_ahead(WAL_AHEAD);
	if (d->beside_clients)
		flush_own_wal();
	d->most = 0;
	waited_for = false;
	latency_work_begin(mig->id);
	d->wal_began = pgWalUsage.wal_bytes;
	yield_wanted(is_considerate(d));
	INSTR_TIME_SET_CURRENT(d->began);
}

void
pace_note_waiters(void)
{
	waited_for = signal_note_waiters() || waited_for;
}

/* The unit under way ends, and the driver rests from now on. How long it took; negative if none was under way. */
static double
end_work(Driver *d)
{
	instr_time	now;

	latency_work_end();
	yield_wanted(true);
	if (INSTR_TIME_IS_ZERO(d->began))
		return -1;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, d->began);
	INSTR_TIME_SET_ZERO(d->began);
	d->worked_ms = INSTR_TIME_GET_MILLISEC(now);
	d->rests_from = GetCurrentTimestamp();
	return d->worked_ms;
}

void
pace_end(const Migration *mig, const Step *step)
{
	Driver	   *d = driver_get(mig->id);
	double		ms;
	ChunkLimits limits = {.target_ms = mig_chunk_target,.wal_budget = mig_chunk_wal * CHUNK_KB};

	pace_note_waiters();
	ms = end_work(d);
	if (d->most == 0)
		return;
	pace_note_waiters();
	if (waited_for)
	{
		chunk_waited_for(&d->law);
		return;
	}
	limits.most = d->most;
	if (is_considerate(d))
	{
		limits.target_ms = Min(limits.target_ms, SLOWED_MS);
		limits.wal_budget = Min(limits.wal_budget, SLOWED_WAL);
	}
	chunk_took(&d->law, &limits, ms, (double) (pgWalUsage.wal_bytes - d->wal_began));
}

ChunkFailure
pace_failed(const Migration *mig)
{
	Driver	   *d = driver_get(mig->id);

	return end_work(d) < 0 ? CHUNK_AGAIN : chunk_failed(&d->law);
}

void
pace_hold(int64 migration_id, long ms)
{
	Driver	   *d = driver_get(migration_id);

	d->held_from = GetCurrentTimestamp();
	d->held_until = TimestampTzPlusMilliseconds(d->held_from, ms);
	d->wake = d->held_until;
}

void
pace_waits_for(int64 migration_id, const char *what)
{
	driver_get(migration_id)->waits_for = what;
}

void
pace_wake(int64 migration_id, double ms)
{
	driver_get(migration_id)->wake = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), Max(Min(ms, LONGEST_NAP_MS), 1));
}

bool
pace_asleep(int64 migration_id)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz wake = driver_get(migration_id)->wake;

	return clock_to_come(now, wake, LONGEST_NAP_MS);
}

bool
pace_is_considerate(const Migration *mig)
{
	PaceState  *p = pace_state_get(mig->id);

	return p && !is_unpaced(mig) && (p->stopped_by || p->duty < 1 || p->beside_clients);
}

int
pace_workers(const Migration *mig)
{
	Driver	   *d = driver_get(mig->id);

	if (d->known_at == 0)
		return mig_max_workers;
	return d->stopped ? 1 : Min(d->workers, d->workers_allowed);
}

long
pace_nap_ms(long ms)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz first = 0;
	ListCell   *lc;

	foreach(lc, drivers)
	{
		Driver	   *d = lfirst(lc);

		if (d->wake > now && (first == 0 || d->wake < first))
			first = d->wake;
	}
	return first ? Min(TimestampDifferenceMilliseconds(now, first), LONGEST_NAP_MS) : ms;
}
