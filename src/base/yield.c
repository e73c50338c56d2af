/*
 * yield.c
 *		Let others have the processor.
 *
 * A kernel lets a process that computes run on for some milliseconds (Linux until its next tick), nice or not, while a client's backend that has been woken on the
 * same processor waits; and one that it takes the processor from in the middle of something may hold a lock for which everybody waits. So those who
 * have time give it away themselves, and often.
 */
#include "postgres.h"

#include <sched.h>

#include "base/yield.h"
#include "portability/instr_time.h"

#define YIELD_US	100
#define OUR_SHARE	8			/* we have the processor for such a part of the time that others had it */

static bool wanted = true;

void
yield_wanted(bool yes)
{
	wanted = yes;
}

/* Microseconds between two moments. */
static uint64
us_between(instr_time from, instr_time to)
{
	INSTR_TIME_SUBTRACT(to, from);
	return INSTR_TIME_GET_MICROSEC(to);
}

/*
 * The longer others have had it, the longer we have it then: where all processors are busy all the time it would come back for a tenth of a millisecond now
 * and then, and what we have locked would stay so.
 */
void
yield_processor(void)
{
	static instr_time last;		/* when we had it back */
	static uint64 ours = YIELD_US;	/* for so long, from then on */
	instr_time	now;

	if (!wanted)
		return;
	INSTR_TIME_SET_CURRENT(now);
	if (us_between(last, now) < ours)
		return;
	(void) sched_yield();
	INSTR_TIME_SET_CURRENT(last);
	ours = Max(us_between(now, last) / OUR_SHARE, YIELD_US);
}
