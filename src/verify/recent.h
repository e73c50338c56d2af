/*
 * recent.h
 *		Which blocks of a relation were written lately?
 */
#ifndef MIG_RECENT_H
#define MIG_RECENT_H

#include "postgres.h"
#include "access/xlogdefs.h"
#include "utils/relcache.h"
#include "verify/verify.h"

/*
 * Collect blocks from *next to end (exclusive) that were written since a place in the log, until `most` blocks are found or so many were looked at that it is
 * time to look at the clock. Those that the visibility map calls all-visible are passed over, and need no look. *next becomes where to go on; returns the
 * number of runs, at most `most`.
 */
extern int	recent_blocks(Relation rel, int64 *next, int64 end, XLogRecPtr since, BlockRun *runs, int most);

/* The same of a relation that is logged, and none is missed: those that are all-visible are passed over only if they were so at that place in the log, too. */
extern int	changed_blocks(Relation rel, int64 *next, int64 end, XLogRecPtr since, BlockRun *runs, int most);

#endif
