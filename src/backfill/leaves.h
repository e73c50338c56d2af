/*
 * leaves.h
 *		The relations with rows of their own that a table consists of, and their tasks: a plain table itself, partitions, children by inheritance.
 */
#ifndef MIG_LEAVES_H
#define MIG_LEAVES_H

#include "postgres.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

#include "backfill/backfill.h"
#include "store/state.h"
#include "store/task.h"

typedef enum LeavesChange
{
	LEAVES_SAME,				/* each has its task */
	LEAVES_CHANGED,				/* tasks were made or dropped */
	LEAVES_LOCKED				/* one that has no task is locked by somebody else */
} LeavesChange;

/* Lays a relation's task out: how many blocks, lanes, rows, how its ranges are made. former: its task so far, or NULL */
typedef void (*LayTask) (Task *task, Relation leaf, const Task *former);

extern List *leaves_of(Oid relid);	/* OIDs, sorted; NIL when the table is gone */

/* Open a leaf without queueing behind anybody's lock. NULL: it is locked, or (*gone) it does not exist. To be closed with NoLock. */
extern Relation leaf_open(Oid relid, LOCKMODE lock, bool *gone);

/* What a leaf takes on disk; -1 for a part that is locked by somebody else. */
extern Sizes leaf_sizes(Relation leaf);

/* Make the tasks of leaves that have none, and drop those of relations that are no leaves any more; with anew, make them all. */
extern LeavesChange leaves_align(const Migration *mig, const Step *step, LayTask lay, bool anew);

/*
 * There is no range to work on: make tasks that are missing (UNIT_DONE); UNIT_WAIT when some relation or range is locked or for later,
 * UNIT_ASIDE when all that is left was put aside, else UNIT_END.
 */
extern UnitResult leaves_find_work(const Migration *mig, const Step *step, LayTask lay);

/* A leaf was rewritten, and block numbers mean something else: make its task anew. */
extern void leaf_rewritten(const Task *former, Relation leaf, LayTask lay);

#endif
