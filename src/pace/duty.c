/*
 * duty.c
 *		The zones of the duty cycle: pure arithmetic.
 */
#include "base/compat.h"

#include <math.h>

#include "pace/duty.h"

#define LOW				0.4		/* below: up */
#define HIGH			0.7		/* above: down */
#define TOO_MUCH		1.0		/* above: halve */
#define FASTEST_UP		1.5		/* a second, without any load */
#define SMALLEST_UP		0.02	/* a second, so that it leaves the bottom soon */
#define KEEP_WORKER		0.8		/* a worker goes when the others could do that much more */
#define ROUNDING		1e-9

/* The fewest workers that can do an effort. */
static int
fewest(double effort)
{
	return (int) ceil(effort - ROUNDING);
}

/* Share out an effort over workers, of whom there were so many. */
static Duty
share_out(double effort, int workers, int most)
{
	Duty		d;

	effort = Max(Min(effort, (double) most), DUTY_LEAST);
	d.workers = fewest(effort);
	if (workers > d.workers)
		d.workers = Min(workers, fewest(effort / KEEP_WORKER));
	d.workers = Max(Min(d.workers, most), 1);
	d.duty = Max(Min(effort / d.workers, 1.0), DUTY_LEAST);
	return d;
}

Duty
duty_start(int most, double utilisation)
{
	double		room = Max((TOO_MUCH - utilisation) / (TOO_MUCH - LOW), 0.0);

	most = Max(most, 1);
	return share_out(room >= 1.0 ? most : room, 1, most);
}

Duty
duty_move(Duty now, int most, double utilisation, bool cool, bool *too_much)
{
	double		effort = now.duty * now.workers;

	*too_much = utilisation > TOO_MUCH;
	if (*too_much)
		effort /= 2;
	else if (utilisation > HIGH)
		effort *= 1.0 - 0.5 * (utilisation - HIGH) / (TOO_MUCH - HIGH);
	else if (utilisation < LOW && !cool)
		effort = effort * (1.0 + (FASTEST_UP - 1.0) * (LOW - utilisation) / LOW) + SMALLEST_UP;
	return share_out(effort, now.workers, Max(most, 1));
}
