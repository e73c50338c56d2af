/*
 * lookout.h
 *		The look at a migration's clients, wherever a driver passes: once a second where options.abort_if is given, else every few seconds.
 */
#ifndef MIG_LOOKOUT_H
#define MIG_LOOKOUT_H

#include "postgres.h"
#include "store/state.h"

/*
 * Look, if it is time and nobody else does: take to mig.consumer who uses which version, and act by options.abort_if. True when it has: then the caller
 * commits, and reads the migration again. now: whether or not it is time.
 */
extern bool lookout(const Migration *mig, bool now);
extern bool lookout_is_due(const Migration *mig);	/* is it time, as far as this process knows? */

/* Is a driver to stay with a migration that has nothing to do, because a limit of abort_if may be passed at any time? */
extern bool lookout_is_needed(const Migration *mig);

#endif
