/*
 * steps.h
 *		Executing and undoing groups of SQL steps.
 */
#ifndef MIG_STEPS_H
#define MIG_STEPS_H

#include "postgres.h"
#include "store/state.h"

/*
 * Execute the steps of a group as the migration's owner and mark them done, in a subtransaction of the caller's transaction: locks first, all
 * within one budget of mig_control.lock_timeout; again, up to `attempts` times, when a lock could not be had. Raises the last error. Returns for how
 * long the strongest locks have been held, in ms.
 */
extern double steps_run(const Migration *mig, List *steps, int attempts);

/* Undo all done steps in reverse order, likewise. keep_version: leave what an opened version needs to stay closed. */
extern double steps_undo(const Migration *mig, List *steps, bool keep_version, int attempts);

#endif
