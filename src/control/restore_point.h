/*
 * restore_point.h
 *		Names places in the log to which a backup can be restored: before a migration changes anything, and before its swap.
 */
#ifndef MIG_RESTORE_POINT_H
#define MIG_RESTORE_POINT_H

#include "postgres.h"
#include "store/state.h"

/* Set one, with an event that has its name and LSN; where wal_level is minimal there is none. before: "start", "swap" */
extern void restore_point(const Migration *mig, const char *before);

#endif
