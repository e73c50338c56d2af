/*
 * verify.h
 *		The exact divergence check: one scan under one snapshot per block range.
 */
#ifndef MIG_VERIFY_H
#define MIG_VERIFY_H

#include "postgres.h"
#include "backfill/backfill.h"
#include "executor/tuptable.h"
#include "store/pass.h"
#include "utils/relcache.h"

/* Check one range inside the current transaction; counts go to the step's task. */
extern UnitResult verify_unit(const Migration *mig, const Step *step);
extern void verify_restart(const Migration *mig, const Step *step);	/* forget what was seen; the ranges are made when it begins again */

/* The pass of a STEP_VALIDATE that is under way; before it begins, what the table relies on is looked at. */
extern Pass *verify_pass(const Migration *mig, const Step *step);

/* Pages of a table with all its partitions and children. */
extern double verify_table_pages(Oid relid);

/* SQL of a jsonb object with the key of a row of alias t: its primary key, or its ctid. */
extern char *verify_key_sql(Relation rel);

/* JSON array of some keys of rows that violate a CHECK or foreign key; NULL when none does. */
extern char *verify_violations(Oid relid, const char *constraint);

/* Some blocks in a row */
typedef struct BlockRun
{
	int64		first;
	int64		end;			/* exclusive */
} BlockRun;

/*
 * Check blocks of an open relation of a STEP_VALIDATE's table with a sync trigger, all under one snapshot; since: of their rows, the pairs of those that this
 * transaction or a later one has written, without rules and digests (InvalidTransactionId: all). More than WATCH_SAMPLES samples are not kept.
 */
extern Findings verify_blocks(const Step *check, Relation leaf, const BlockRun *runs, int nruns, TransactionId since);

#define VERIFY_SAMPLES 20
#define WATCH_SAMPLES 200

/* Places of rows that are wrong */
typedef struct BadRows
{
	MemoryContext context;		/* that they are kept in */
	int			most;			/* no more are kept */
	bool		missing;		/* those that lack a value, too */
	int			n;
	int			room;
	ItemPointerData *tids;
} BadRows;

/* Check an open relation of the step's table; bad: keep the places of rows that are wrong, or NULL. */
extern Findings verify_leaf(const Step *check, Relation leaf, BadRows *bad);

/* Check a row, in the slot, of an open relation. named: samples tell the relation. */
extern Findings verify_row(Relation leaf, TupleTableSlot *row, bool named);

/*
 * Check blocks as verify_blocks() does, for what would be lost if there were only the old side: values that the new version wrote, of which the old side is not
 * `down`; and any difference in rows that may have been written past the triggers, by transaction `suspect` or a later one (0: none was).
 */
extern Findings verify_old_side(const Step *check, Relation leaf, const BlockRun *runs, int nruns, uint64 suspect);

/* May the version of a row in a slot have been written by this transaction or a later one? 0: no. */
extern bool verify_may_be_bypassed(TupleTableSlot *row, uint64 suspect);

/* Keep samples, comma-separated JSON objects, as bad rows of a relation. A member "left" says why one was not repaired. */
extern void verify_record(const Migration *mig, Oid leaf, const char *samples);

/* Check a table, with all its partitions and children, as a STEP_VALIDATE says, now. The expressions run as the trigger runs them. */
extern Findings verify_table(const Step *check);

#endif
