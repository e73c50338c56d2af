/*
 * worker.c
 *		The leader worker of a database, and the helpers it starts while rows are filled.
 *
 * The leader drives all migrations of its database in turn, a slice of time each. When nothing is left to do it lingers for a moment and exits, so that
 * it does not stand in the way of DROP DATABASE; a request wakes it or, later, the launcher. A helper drives one migration, and exits when there
 * is nothing to fill. Neither keeps state of its own: what is to be done is in the tables, so either may die at any point.
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "backfill/backfill.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "base/txn.h"
#include "control/background.h"
#include "control/drive.h"
#include "control/lookout.h"
#include "control/utility.h"
#include "control/worker.h"
#include "pace/pace.h"
#include "store/state.h"

#define SLICE_MS		100		/* before another migration has its turn */
#define SHORTEST_NAP_MS	10
#define LINGER_MS		1000	/* how long a leader with nothing to do stays */
#define GIVE_WAY_MS		2000	/* how long a leader that only watches stays away when somebody else wants a worker slot */
#define LOOK_AGAIN_MS	60000	/* and when the next one looks at migrations that have not ended */
#define HELPER_PATIENCE_MS 2000 /* how long a helper waits for rows or ranges to become free */
#define CREW_LOOK_MS	200		/* between two looks whether a helper would be of use */

#define MOST_HELPERS	63		/* mig_control.max_workers is at most one more */

/* The helpers of a migration; in TopMemoryContext */
typedef struct Crew
{
	int64		migration_id;
	BackgroundWorkerHandle *helpers[MOST_HELPERS];	/* number n in place n - 1; NULL: none */
	TimestampTz next_look;
} Crew;

static List *crews = NIL;

/* What a leader knows about its present state */
typedef struct Leader
{
	MemoryContext context;		/* reset every round */
	int			active;			/* migrations that have not ended */
	bool		worked;			/* has there been anything to do since it started? */
	long		nap;			/* next pause while waiting */
	TimestampTz resting_since;	/* 0: not resting */
} Leader;

/* The crew of a migration. */
static Crew *
crew_get(int64 migration_id)
{
	ListCell   *lc;
	Crew	   *crew;
	MemoryContext old;

	foreach(lc, crews)
		if (((Crew *) lfirst(lc))->migration_id == migration_id)
			return lfirst(lc);
	old = MemoryContextSwitchTo(TopMemoryContext);
	crew = palloc0(sizeof(Crew));
	crew->migration_id = migration_id;
	crews = lappend(crews, crew);
	MemoryContextSwitchTo(old);
	return crew;
}

/* Forget helpers that have ended; the next are not started at once, in case they failed. */
static void
crew_reap(Crew *crew, TimestampTz now)
{
	for (int i = 0; i < MOST_HELPERS; i++)
	{
		if (crew->helpers[i] == NULL || background_alive(crew->helpers[i]))
			continue;
		pfree(crew->helpers[i]);
		crew->helpers[i] = NULL;
		crew->next_look = TimestampTzPlusMilliseconds(now, 5 * CREW_LOOK_MS);
	}
}

/* Start helper number n; false when there is no worker slot, which is no harm: the leader does its work. */
static bool
crew_add(Crew *crew, int n)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	BackgroundTask task = {.migration_id = crew->migration_id,.helper = n};
	bool		started;

	started = background_start("mig_control worker", "mig_worker_main", MyDatabaseId, &task, &crew->helpers[n - 1]);
	if (!started)
		crew->helpers[n - 1] = NULL;
	MemoryContextSwitchTo(old);
	return started;
}

/* Start helpers for a migration that has rows to fill, as far as its pace allows and there are ranges for them. Those that are too many go by themselves. */
static void
crew_tend(const Migration *mig)
{
	Crew	   *crew;
	Step	   *step;
	TimestampTz now = GetCurrentTimestamp();
	int			most = Min(pace_workers(mig) - 1, MOST_HELPERS);
	int			claimable = -1;	/* not known yet */

	if (mig->phase != PHASE_BACKFILLING)
		return;
	crew = crew_get(mig->id);
	if (crew->next_look > now)
		return;
	crew->next_look = TimestampTzPlusMilliseconds(now, CREW_LOOK_MS);
	crew_reap(crew, now);
	if (crew->next_look > TimestampTzPlusMilliseconds(now, CREW_LOOK_MS))
		return;
	step = step_next(mig->id);
	if (step == NULL || step->kind != STEP_BACKFILL)
		return;
	for (int n = 1; n <= most && claimable != 0; n++)
	{
		if (crew->helpers[n - 1])
			continue;
		if (claimable < 0)
			claimable = backfill_claimable(mig, step);
		if (claimable-- <= 0 || !crew_add(crew, n))
			return;
	}
}

/* Drive a migration for a slice of time; with a crew, see to its helpers between units. */
static DriveResult
drive_slice(const Migration *mig, bool crew)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SLICE_MS);
	DriveResult result;

	pgstat_report_activity(STATE_RUNNING, psprintf("migration %s: %s", mig->name, phase_name(mig->phase)));
	do
	{
		background_check();
		if (!mig_worker)
			return DRIVE_PROGRESS;	/* the main loop knows what to do */
		result = drive(mig->id);
		if (crew && result == DRIVE_PROGRESS)
			crew_tend(mig);
	} while (result == DRIVE_PROGRESS && GetCurrentTimestamp() < end);
	return result;
}

/* Give every migration its slice; returns what the most active one said. */
static DriveResult
leader_round(Leader *leader)
{
	DriveResult result = DRIVE_REST;

	MemoryContextReset(leader->context);
	MemoryContextSwitchTo(leader->context);
	leader->active = 0;
	txn_begin(true);
	if (background_installed())
	{
		List	   *migrations = migrations_active();
		ListCell   *lc;

		leader->active = list_length(migrations);
		foreach(lc, migrations)
		{
			Migration  *mig = lfirst(lc);

			DriveResult r;

			if (mig->paused && !lookout_is_due(mig))	/* whoever resumes it wakes us */
				continue;
			r = drive_rests(mig) ? DRIVE_WATCH : drive_slice(mig, true);
			if (r == DRIVE_REST && (!mig->paused || mig->error) && lookout_is_needed(mig))
				r = DRIVE_WAIT;
			result = Min(result, r);
		}
	}
	txn_end();
	return result;
}

/* Nothing is to be done: may the leader go? It lingers for a moment if there was something, since more may come. */
static bool
leader_rests(Leader *leader)
{
	TimestampTz now = GetCurrentTimestamp();
	long		rested = 0;

	if (leader->resting_since == 0)
		leader->resting_since = now;
	else
		rested = TimestampDifferenceMilliseconds(leader->resting_since, now);
	if (!leader->worked || rested >= LINGER_MS)
		return shmem_worker_idle(leader->active > 0 ? LOOK_AGAIN_MS : 0);
	(void) background_sleep(LINGER_MS - rested);
	return false;
}

/* The leader's life. */
static void
leader_loop(void)
{
	Leader		leader = {.nap = SHORTEST_NAP_MS};

	leader.context = AllocSetContextCreate(TopMemoryContext, "mig_control worker", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		DriveResult result;

		background_check();
		if (!mig_worker)
		{
			shmem_worker_stopped();
			return;
		}
		shmem_worker_look();
		result = leader_round(&leader);
		if (result == DRIVE_REST)
		{
			if (leader_rests(&leader))
				return;
			continue;
		}
		if (result == DRIVE_WATCH && shmem_worker_gives_way(GIVE_WAY_MS))
			return;
		leader.worked = true;
		leader.resting_since = 0;
		if (result == DRIVE_PROGRESS || utility_run_here() || background_sleep(pace_nap_ms(leader.nap)))
			leader.nap = SHORTEST_NAP_MS;
		else
			leader.nap = Min(leader.nap * 2, mig_naptime);
	}
}

/* Drive the migration if it still fills rows and there is work for so many; DRIVE_REST when a helper of that number is of no more use. */
static DriveResult
helper_round(int64 migration_id, int number)
{
	DriveResult result = DRIVE_REST;

	txn_begin(true);
	if (background_installed())
	{
		Migration  *mig = migration_by_id(migration_id);
		Step	   *step = mig ? step_next(migration_id) : NULL;

		if (step && step->kind == STEP_BACKFILL && mig->phase == PHASE_BACKFILLING && !mig->paused && number < pace_workers(mig))
			result = drive_slice(mig, false);
	}
	txn_end();
	return result;
}

/* A helper's life. */
static void
helper_loop(int64 migration_id, int number)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "mig_control helper", ALLOCSET_DEFAULT_SIZES);
	long		waited = 0;

	while (waited < HELPER_PATIENCE_MS)
	{
		DriveResult result;

		background_check();
		if (!mig_worker)
			return;
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		result = helper_round(migration_id, number);
		if (result == DRIVE_REST)
			return;
		if (result == DRIVE_PROGRESS)
			waited = 0;
		else
		{
			long		nap = pace_nap_ms(Max(waited, SHORTEST_NAP_MS));

			(void) background_sleep(nap);
			waited += nap;
		}
	}
}

/* Entry point of leaders (no migration given) and helpers. */
void
mig_worker_main(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);
	BackgroundTask task = background_enter();

	if (task.migration_id == 0 && !shmem_worker_attach(database))
		proc_exit(0);			/* another one is there already */
	background_connect(database);
	background_lower_priority();
	if (task.migration_id == 0)
		leader_loop();
	else
		helper_loop(task.migration_id, task.helper);
	proc_exit(0);
}
