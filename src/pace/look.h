/*
 * look.h
 *		One look at all signals: what they say, whether something stops the migration, and how much its drivers may do.
 */
#ifndef MIG_LOOK_H
#define MIG_LOOK_H

#include "postgres.h"
#include "store/pace_state.h"
#include "store/state.h"

/*
 * Read the signals that count for a step, and bring state up to date with them. May pause the migration, when it had to hibernate too often. `most`: workers
 * that are allowed at all; waits_for: what the driver that looks waits for, other than for a signal; NULL: nothing.
 */
extern void look(const Migration *mig, const Step *step, int most, const char *waits_for, PaceState *state);

#endif
