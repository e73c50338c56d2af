/*
 * clock.h
 *		Moments to wait for, by a clock that may be set back.
 */
#ifndef MIG_CLOCK_H
#define MIG_CLOCK_H

#include "postgres.h"
#include "utils/timestamp.h"

/* Is a moment, which was at most so many ms ahead when it was set, still to come? One that is farther was set before the clock was set back: it is over. */
static inline bool
clock_to_come(TimestampTz now, TimestampTz then, int64 most_ms)
{
	return then > now && then <= TimestampTzPlusMilliseconds(now, most_ms);
}

#endif
