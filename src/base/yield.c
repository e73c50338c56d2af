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

static bool wanted = true;

void
yield_processor(void)
{
	static instr_time last;
	instr_time	now;
	instr_time	since;

	if (!wanted)
		return;
	INSTR_TIME_SET_CURRENT(now);
	since = now;
	INSTR_TIME_SUBTRACT(since, last);
	if (INSTR_TIME_GET_MICROSEC(since) < YIELD_US)
		return;
	(void) sched_yield();
	INSTR_TIME_SET_CURRENT(last);
}

void
yield_wanted(bool yes)
{
	wanted = yes;
}
