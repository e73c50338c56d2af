/*
 * launcher.c
 *		The launcher: one per server, from the end of recovery on.
 *
 * Sees the shared catalogs only, so it is in nobody's way, and holds a snapshot only while it lists the databases. It starts one leader worker for each
 * database whose slot (base/shmem.c) is wanted. After its own start (server start, promotion) it asks for a look into every database, one after the other.
 *
 * A worker that ends on purpose is started again on request or when its slot says so; one that fails, after a pause that
 * grows from 5 s to 60 s.
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "control/background.h"
#include "control/launcher.h"

#define RESTART_SECONDS		5
#define RETRY_FIRST_MS		5000
#define RETRY_MOST_MS		60000
#define PROBE_GAP_MS		50
#define IDLE_MS				60000
#define LOOK_AGAIN_MOST_MS	60000	/* that a worker asks to be started again in */

/* What we remember of a database's worker; in TopMemoryContext */
typedef struct Launch
{
	Oid			database;
	BackgroundWorkerHandle *handle; /* NULL: none that we started is alive */
	bool		ended;			/* it has ended since the last look */
	int			failures;		/* in a row */
	TimestampTz started;
	TimestampTz not_before;
} Launch;

static List *launches = NIL;	/* Launch * */
static List *probes = NIL;		/* databases still to be looked into once */
static TimestampTz next_probe = 0;
static bool complained = false; /* about missing worker slots */

/* Register the launcher with the postmaster. */
void
launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	strlcpy(worker.bgw_name, "mig_control launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "mig_control launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "mig_control", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "mig_launcher_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* Databases that allow connections, in TopMemoryContext; or just the one, if it exists. */
static List *
list_databases(Oid only)
{
	List	   *list = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	MemoryContext caller = CurrentMemoryContext;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (OidIsValid(only) ? database->oid != only : !database->datallowconn)
			continue;
		old = MemoryContextSwitchTo(TopMemoryContext);
		list = lappend_oid(list, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return list;
}

/* What we remember of a database's worker. */
static Launch *
launch_get(Oid database)
{
	MemoryContext old;
	Launch	   *launch;
	ListCell   *lc;

	foreach(lc, launches)
		if (((Launch *) lfirst(lc))->database == database)
			return lfirst(lc);
	old = MemoryContextSwitchTo(TopMemoryContext);
	launch = palloc0(sizeof(Launch));
	launch->database = database;
	launches = lappend(launches, launch);
	MemoryContextSwitchTo(old);
	return launch;
}

/* Forget a database, here and in shared memory. */
static void
launch_drop(Launch *launch)
{
	launches = list_delete_ptr(launches, launch);
	pfree(launch);
}

/* Note which workers have ended. Comes before reading the slots: a worker says how it ended before it does. */
static void
reap(void)
{
	ListCell   *lc;

	foreach(lc, launches)
	{
		Launch	   *launch = lfirst(lc);

		if (launch->handle == NULL || background_alive(launch->handle))
			continue;
		pfree(launch->handle);
		launch->handle = NULL;
		launch->ended = true;
	}
}

/* Reckon when a database may have its next worker, from how the last one ended. False when the database is gone. */
static bool
judge(Launch *launch, const DatabaseWork *work, TimestampTz now)
{
	List	   *found;
	int			pause;

	launch->ended = false;
	if (work->stopped)
	{
		launch->failures = 0;
		launch->not_before = 0;
		return true;
	}
	found = list_databases(launch->database);
	if (found == NIL)
		return false;
	list_free(found);
	/* one that has lived for long is not the next of a row */
	if (TimestampDifferenceExceeds(launch->started, now, RETRY_MOST_MS))
		launch->failures = 0;
	pause = Min(RETRY_FIRST_MS << Min(launch->failures, 8), RETRY_MOST_MS);
	launch->failures++;
	launch->not_before = TimestampTzPlusMilliseconds(now, pause);
	return true;
}

/* Start a database's leader worker; false when there is no slot for it. */
static bool
launch_worker(Launch *launch)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		started;

	launch->started = GetCurrentTimestamp();
	shmem_launching(launch->database);
	started = background_start("mig_control worker", "mig_worker_main", launch->database, NULL, &launch->handle);
	MemoryContextSwitchTo(old);
	if (!started)
	{
		launch->handle = NULL;
		if (!complained)
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("mig_control cannot start a worker: all background worker slots are in use"),
					 errhint("You might need to increase max_worker_processes.")));
	}
	complained = !started;
	return started;
}

/* Milliseconds from now to then, at least 1. */
static long
ms_until(TimestampTz now, TimestampTz then)
{
	return Max(TimestampDifferenceMilliseconds(now, then), 1);
}

/* Serve one database; returns how long to wait before the next look. */
static long
serve(const DatabaseWork *work, TimestampTz now)
{
	Launch	   *launch = launch_get(work->database);

	if (launch->ended && !judge(launch, work, now))
	{
		shmem_drop(work->database);
		launch_drop(launch);
		return IDLE_MS;
	}
	if (launch->handle != NULL || work->running)
		return IDLE_MS;
	if (!work->wanted && (work->look_again == 0 || clock_to_come(now, work->look_again, LOOK_AGAIN_MOST_MS)))
	{
		if (work->look_again != 0)
			return ms_until(now, work->look_again);
		shmem_forget(work->database);
		launch_drop(launch);
		return IDLE_MS;
	}
	if (clock_to_come(now, launch->not_before, RETRY_MOST_MS))
		return ms_until(now, launch->not_before);
	return launch_worker(launch) ? IDLE_MS : mig_naptime;
}

/* Ask for a look into the next database of the list; returns when to ask for the one after it. */
static long
probe(TimestampTz now)
{
	if (shmem_take_overflow() && probes == NIL)
		probes = list_databases(InvalidOid);
	if (probes == NIL)
		return IDLE_MS;
	if (clock_to_come(now, next_probe, PROBE_GAP_MS))
		return ms_until(now, next_probe);
	if (shmem_request(linitial_oid(probes)))
		probes = list_delete_first(probes);
	next_probe = TimestampTzPlusMilliseconds(now, PROBE_GAP_MS);
	return PROBE_GAP_MS;
}

/* Look at all there is to do once; returns how long nothing will be to do unless something wakes us. */
static long
look(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		wait;
	ListCell   *lc;

	if (!mig_worker)
		return IDLE_MS;
	wait = probe(now);
	reap();
	foreach(lc, shmem_work())
	{
		long		next = serve(lfirst(lc), now);	/* Min() would evaluate the call twice */

		wait = Min(wait, next);
	}
	return wait;
}

/* The launcher. */
void
mig_launcher_main(Datum arg)
{
	MemoryContext context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("mig_control launcher");
	if (!shmem_launcher_attach())
		proc_exit(0);
	context = AllocSetContextCreate(TopMemoryContext, "mig_control launcher", ALLOCSET_DEFAULT_SIZES);
	probes = list_databases(InvalidOid);

	while (!ShutdownRequestPending)
	{
		long		wait;

		background_check();
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		wait = look();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
	proc_exit(1);				/* with 0 the postmaster would not start it again after a mere SIGTERM */
}
