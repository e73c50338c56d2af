/*
 * drive.h
 *		The one code path for progress: a worker's loop, CALL mig_run and CALL mig_tick all call drive().
 */
#ifndef MIG_DRIVE_H
#define MIG_DRIVE_H

#include "postgres.h"
#include "store/state.h"

typedef enum DriveResult
{
	DRIVE_PROGRESS,				/* something was done; call again */
	DRIVE_WAIT,					/* nothing can be done now: another driver works, rows are locked, paused, … */
	DRIVE_WATCH,				/* ready: nothing to do but to watch the versions, in pace_nap_ms() */
	DRIVE_REST					/* nothing to do until somebody calls mig_complete etc.: ready, ended */
} DriveResult;

/*
 * Do one unit of work for a migration, in transactions of its own: the caller is inside txn_begin()/txn_end() and has nothing open that must
 * not be committed. Never raises for a failing step: it pauses the migration with the reason.
 */
extern DriveResult drive(int64 migration_id);

/* Is it too early for drive() to be of any use: a ready migration whose watch rests? */
extern bool drive_rests(const Migration *mig);

#endif
