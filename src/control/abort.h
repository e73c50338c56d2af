/*
 * abort.h
 *		options.abort_if: limits at which a migration pauses or rolls back by itself.
 *
 * {"divergence": n, "error_rate": 0 .. 1, "latency": multiple, "deadline": interval, "action": "pause" | "rollback"}; each limit may be {"limit": …, "action": …} instead.
 * Each acts once; when its own text in the options is another one, it is armed again.
 */
#ifndef MIG_ABORT_H
#define MIG_ABORT_H

#include "postgres.h"
#include "store/consumer.h"
#include "store/state.h"

/* Raise 22023, with the path, for an abort_if (JSON text; NULL: none) that has unknown keys, wrong types or values out of range. Warns of what this server cannot measure. */
extern void abort_check_options(const char *abort_if);

/* Is there a limit that may still act? */
extern bool abort_is_armed(const Migration *mig, const Lookout *lookout);

/* See whether a limit is passed, and act if it is. The caller has claimed the lookout, and puts it back. */
extern void abort_look(const Migration *mig, Lookout *lookout);

#endif
