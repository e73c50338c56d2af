/*
 * utility.h
 *		Statements that must run at top level (CREATE INDEX CONCURRENTLY, VACUUM), in a one-shot worker or in the leader.
 */
#ifndef MIG_UTILITY_H
#define MIG_UTILITY_H

#include "postgres.h"
#include "store/state.h"

typedef enum UtilityState
{
	UTILITY_WAIT,				/* it runs, or will be tried again: look again later */
	UTILITY_NO_SLOT,			/* likewise, and this session cannot run it itself */
	UTILITY_DONE				/* the step is done */
} UtilityState;

/*
 * See to it that a worker runs this step; never waits for it. The worker marks the step done, or pauses the migration with the error. Called
 * inside a driver's transaction, in a worker as well as in a procedure.
 */
extern UtilityState utility_run(const Migration *mig, const Step *step);

/*
 * A leader that has nothing else to do runs the statement that it found no slot for, if there is one, outside a transaction; that may take long. False:
 * there is none.
 */
extern bool utility_run_here(void);

extern void utility_cancel(int64 migration_id); /* cancel the running statement, if any; it cleans up after itself */

extern PGDLLEXPORT void mig_utility_main(Datum arg);

/* Has a step that is not marked done left its index: invalid, cut short, or built but for the mark? Inside a transaction. */
extern bool utility_left_index(int64 migration_id, const Step *step);

#endif
