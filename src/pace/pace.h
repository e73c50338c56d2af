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
#include "store/state.h"

#define PACE_LOOK_MS	250		/* between two looks at the signals */
#define PACE_STALE_MS	15000	/* a signal that could not be read for so long stops */

/* Ask before a unit of step. True: go. False: migration's waiting_for says why not (a signal, a closed window, hibernation), or it is this driver's time to rest. */
extern bool pace_ask(const Migration *mig, const Step *step);
extern int	pace_pages(const Migration *mig, const Step *step);	/* pages that the next chunk may take */
extern void pace_begin(void);	/* a chunk begins to work */
extern void pace_end(const Migration *mig, const Step *step);	/* it has worked, and is about to commit */
extern bool pace_failed(const Migration *mig, const Step *step);	/* it raised a retryable error: smaller next time; true: put its range aside */
extern int	pace_workers(const Migration *mig);	/* how many workers may fill now */
extern long pace_rest_ms(int64 migration_id);	/* until this driver may work on it again; 0: now */

#endif
