/*
 * lock.h
 *		Relation locks with a budget and retries; advisory locks of our own class.
 *
 * Advisory locks (field4 tells the class; the server's own use 1 and 2, Citus 4 to 16):
 *	 MIGRATION	by migration id. A step, a phase change, rollback: ExclusiveLock, to the end of the transaction. A unit of
 *				backfill or verification: ShareLock likewise. So a phase never changes under a running unit.
 *	 RANGE		by range id, session level: the one driver that works on this range.
 *	 UTILITY	by migration id, session level: the one-shot worker that runs a CONCURRENTLY statement. Rollback cancels its holder.
 */
#ifndef MIG_LOCK_H
#define MIG_LOCK_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "datatype/timestamp.h"
#include "storage/lock.h"

typedef enum MigLockClass
{
	MIG_LOCK_MIGRATION = 71,
	MIG_LOCK_RANGE = 72,
	MIG_LOCK_UTILITY = 73
} MigLockClass;

/* Take an advisory lock; with nowait, false when somebody else has it. */
extern bool advisory_lock(MigLockClass class, int64 id, LOCKMODE mode, bool session, bool nowait);
extern void advisory_unlock(MigLockClass class, int64 id, LOCKMODE mode);	/* session level */

/* One relation to lock */
typedef struct LockWant
{
	Oid			relid;
	LOCKMODE	mode;
} LockWant;

extern LockWant *lock_want(Oid relid, LOCKMODE mode);	/* palloc'd */

/*
 * Take all the locks of the list (LockWant *), in the order given, within one budget of mig_control.lock_timeout, trying
 * `attempts` times with a jittered pause between. All are released between two attempts. Raises 55P03 naming the blockers' pids and
 * queries after the last. Runs each attempt in a subtransaction; the locks belong to the caller's transaction afterwards. Returns the time
 * the (successful) attempt asked for its first exclusive lock.
 */
extern TimestampTz lock_relations(List *wants, int attempts);

/* How many attempts a call may make: one inside a transaction block, where locks taken stay until its end. */
extern int	lock_attempts(void);

/* Does this error say no more than that a lock could not be had (in time, or without a deadlock)? */
extern bool lock_is_missed(int sqlerrcode);

/* Sleep between two attempts: at least one budget, at most two, so that those queued behind us get through. */
extern void lock_pause(void);

#endif
