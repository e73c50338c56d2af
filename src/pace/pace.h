/*
 * pace.h
 *		May a driver work on a migration now, how much, and how long does it rest afterwards?
 *
 * Any number of drivers (leader, helpers, mig_run, mig_tick) ask before each unit and tell after it. What they have in common lies in the table mig.pace
 * (store/pace_state.h): whichever driver finds that the signals were last read longer than PACE_LOOK_MS ago reads them and moves duty and workers; the others go by
 * what it wrote. So a driver that dies takes nothing with it, and a cron job's next session goes on at the same pace.
 */
#ifndef MIG_PACE_H
#define MIG_PACE_H

#include "postgres.h"
#include "pace/chunk.h"
#include "store/state.h"

#define PACE_LOOK_MS	250		/* between two looks at the signals */
#define PACE_STALE_MS	15000	/* a signal that could not be read for so long stops */

typedef enum PaceAnswer
{
	PACE_GO,
	PACE_LOOKED,				/* go, but commit first and ask again: the row that all drivers read is locked */
	PACE_WAIT					/* a signal, a closed window, hibernation (waiting_for says which), or it is this driver's time to rest */
} PaceAnswer;

/* Ask before a unit of step. */
extern PaceAnswer pace_ask(const Migration *mig, const Step *step);
extern int	pace_pages(const Migration *mig, int64 most);	/* pages that the next chunk may take, and that it can */
extern void pace_begin(const Migration *mig);	/* a unit begins to work */
extern void pace_note_waiters(void);	/* before a (sub)transaction of the unit commits: does a client wait for rows that it has locked? */
extern void pace_end(const Migration *mig, const Step *step);	/* it has worked, and is about to commit */
extern ChunkFailure pace_failed(const Migration *mig);	/* or it raised an error that should pass; CHUNK_GIVE_UP: put its range aside */
extern void pace_hold(int64 migration_id, long ms);	/* this driver does nothing for the migration for so long */
extern void pace_waits_for(int64 migration_id, const char *what);	/* this driver waits for something of that name (a constant), no signal; NULL: no more */
extern void pace_wake(int64 migration_id, double ms);	/* it is of no use to drive the migration before so long */
extern bool pace_asleep(int64 migration_id);	/* is that moment still to come? */
extern bool pace_is_considerate(const Migration *mig);	/* is what works for it at a stretch (VACUUM, an index build) to see to it that others notice little? */
extern int	pace_workers(const Migration *mig);	/* how many workers may fill now */
extern long pace_nap_ms(long ms);	/* how long a driver naps that would nap for ms, but has migrations that rest or stand still: to the first's turn */

#endif
