/*
 * lock.c
 *		Relation locks with a budget and retries; advisory locks.
 *
 * Why our own loop and not just lock_timeout: one attempt has one budget over all its locks, so that whoever queues behind us waits no
 * longer than that, and between two attempts everything is released for at least as long, so that the queue drains.
 * While attempting, deadlock_timeout is a fifth of the budget: an autovacuum in the way is cancelled by the deadlock check (which runs
 * only after deadlock_timeout), and we are the victim of a deadlock with a client, not the client.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"

/* The lock tag of one of our advisory locks. */
static LOCKTAG
advisory_tag(MigLockClass class, int64 id)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (id >> 32), (uint32) id, class);
	return tag;
}

/* Take an advisory lock; with nowait, false when somebody else has it. */
bool
advisory_lock(MigLockClass class, int64 id, LOCKMODE mode, bool session, bool nowait)
{
	LOCKTAG		tag = advisory_tag(class, id);

	return LockAcquire(&tag, mode, session, nowait) != LOCKACQUIRE_NOT_AVAIL;
}

/* Release a session-level advisory lock. */
void
advisory_unlock(MigLockClass class, int64 id, LOCKMODE mode)
{
	LOCKTAG		tag = advisory_tag(class, id);

	LockRelease(&tag, mode, true);
}

/* Set a time GUC for the current GUC nest level. */
static void
set_time(const char *name, int ms)
{
	char		value[32];

	snprintf(value, sizeof(value), "%dms", Max(ms, 1));
	setting_set(name, value);
}

/* One attempt at some locks */
typedef struct Attempt
{
	List	   *wants;
	LockWant   *at;				/* the one it is waiting for */
	TimestampTz since;			/* when it asked for its first strong lock */
} Attempt;

/* Take the locks in order within the budget. Raises 55P03 (or 40P01) when that does not work out. */
static void
attempt_locks(void *arg)
{
	Attempt    *a = arg;
	TimestampTz start = GetCurrentTimestamp();
	TimestampTz first = 0;
	int			level = NewGUCNestLevel();
	ListCell   *lc;

	set_time("deadlock_timeout", mig_lock_timeout / 5);
	foreach(lc, a->wants)
	{
		LockWant   *want = lfirst(lc);
		long		spent = TimestampDifferenceMilliseconds(start, GetCurrentTimestamp());

		a->at = want;
		if (spent >= mig_lock_timeout)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("canceling statement due to lock timeout")));
		set_time("lock_timeout", mig_lock_timeout - (int) spent);
		LockRelationOid(want->relid, want->mode);
		if (first == 0 && want->mode >= ShareUpdateExclusiveLock)
			first = GetCurrentTimestamp();
	}
	AtEOXact_GUC(false, level);
	a->since = first ? first : start;
}

int
lock_attempts(void)
{
	return IsTransactionBlock() ? 1 : mig_lock_retries;
}

bool
lock_is_missed(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/* Try once in a subtransaction; false when a lock could not be had, anything else is raised. */
static bool
try_locks(Attempt *a)
{
	ErrorData  *error;

	if (txn_try(attempt_locks, a, &error))
		return true;
	if (!lock_is_missed(error->sqlerrcode))
		ReThrowError(error);
	return false;
}

/*
 * Who holds locks on a relation, as "pid 123 (idle in transaction): query"; NULL if nobody by now. What it tells of others' sessions is what
 * the current user may see of them.
 */
static char *
describe_blockers(Oid relid)
{
	return sql_textp("SELECT string_agg(format('pid %s (%s): %s', a.pid, coalesce(a.state, a.backend_type, 'unknown'),"
					 " left(regexp_replace(a.query, '\\s+', ' ', 'g'), 120)), '; ' ORDER BY a.pid)"
					 " FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid() AND a.pid IN"
					 " (SELECT pid FROM pg_locks WHERE granted AND locktype = 'relation' AND relation = $1"
					 " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))", P_oid(relid));
}

void
lock_pause(void)
{
	long		ms = mig_lock_timeout + (long) (pg_prng_double(&pg_global_prng_state) * mig_lock_timeout);
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);

	/* whatever sets the latch, those that queue behind us get their time */
	for (; ms > 0; ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

LockWant *
lock_want(Oid relid, LOCKMODE mode)
{
	LockWant   *want = palloc(sizeof(LockWant));

	want->relid = relid;
	want->mode = mode;
	return want;
}

TimestampTz
lock_relations(List *wants, int attempts)
{
	Attempt		a = {.wants = wants};
	char	   *blockers = NULL;

	if (wants == NIL)
		return GetCurrentTimestamp();
	for (int i = 0; i < attempts; i++)
	{
		if (i > 0)
			lock_pause();
		if (try_locks(&a))
			return a.since;
		blockers = describe_blockers(a.at->relid);
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("could not lock %s within %d ms", sql_relation_name(a.at->relid), mig_lock_timeout),
			 blockers ? errdetail("Held by %s.", blockers) :
			 errdetail("Whoever held it has released it by now."),
			 errhint("Nothing has changed. Call again when these have ended, or raise mig_control.lock_retries.")));
	return 0;					/* keep compiler quiet */
}
