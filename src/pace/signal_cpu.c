/*
 * signal_cpu.c
 *		The signal cpu: how much of the processors' time that clients leave the drivers of migrations take.
 *
 * Near 1 nothing is left: then clients wait for processors, long before the 95th percentile of their statements tells it. Without clients nobody would.
 */
#include "base/compat.h"

#include <sched.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/timestamp.h"

#include "pace/signal.h"
#include "pace/signal_readers.h"

#define FADE_MS		2000
#define LEAST_MS	100			/* between two readings: the kernel counts in hundredths of a second */

int
signal_cores(void)
{
	static int	counted = 0;

	if (mig_cores > 0)
		return mig_cores;
	if (counted == 0)
	{
#ifdef CPU_COUNT
		cpu_set_t	set;

		if (sched_getaffinity(0, sizeof(set), &set) == 0)
			counted = CPU_COUNT(&set);
#endif
		if (counted <= 0)
			counted = (int) sysconf(_SC_NPROCESSORS_ONLN);
		if (counted <= 0)
			counted = 1;
	}
	return counted;
}

/* What the machine's processors have done since it was started, in hundredths of a second; false: the system does not tell (it is not Linux). */
static bool
read_times(double *idle, double *all)
{
	FILE	   *file = AllocateFile("/proc/stat", "r");
	double		t[8];
	int			n;

	if (file == NULL)
		return false;
	/* user, nice, system, idle, waiting for disks, interrupts (2), stolen by other machines */
	n = fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]);
	(void) FreeFile(file);
	if (n != lengthof(t))
		return false;
	*idle = t[3] + t[4];
	*all = 0;
	for (int i = 0; i < n; i++)
		*all += t[i];
	return true;
}

/* The share of their time that processors were idle of late; negative: not known yet. */
static double
idle_share(double idle, double all)
{
	static Mean mean;
	static double last_idle = 0;
	static double last_all = -1;
	static TimestampTz at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (last_all >= 0 && at <= now && !TimestampDifferenceExceeds(at, now, LEAST_MS))
		return mean.at ? mean.value : -1;
	if (last_all >= 0 && all > last_all)
		mean_see(&mean, Max(idle - last_idle, 0) / (all - last_all), FADE_MS);
	last_idle = idle;
	last_all = all;
	at = now;
	return mean.at ? mean.value : -1;
}

Reading
read_cpu(const SignalContext *context)
{
	double		idle;
	double		all;
	double		share;

	if (!read_times(&idle, &all))
		return (Reading) {.who = "the system does not tell what its processors do"};
	share = idle_share(idle, all);
	if (!clients_are_there(context))
		return (Reading) {.who = "no client is there who would need the processors"};
	if (share < 0)
		return (Reading) {.who = "measured from the next look on"};
	return (Reading) {.known = true,.value = context->effort > 0 ? context->effort / (context->effort + share * signal_cores()) : 0};
}
