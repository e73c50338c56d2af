/*
 * signal_latency.c
 *		The signal client_latency: what the clients' statements on the migrating tables take, beside what they take while nobody works.
 *
 * Limit 0, the default, is automatic: LIMIT_RATIO times the time of the baseline, and at least LEAST_LIMIT_MS above it, as less is nobody's concern. Where the
 * baseline is not known and clients are there, drivers stand still for a second or two.
 */
#include "base/compat.h"

#include "pace/clients.h"
#include "pace/latency.h"
#include "pace/signal_readers.h"

#define FEW				20		/* statements say nothing about one in twenty */
#define LIMIT_RATIO		1.4		/* the 99th percentile grows faster than this one */
#define LEAST_LIMIT_MS	0.5

void
signals_prepare(const Migration *mig)
{
	clients_watch(mig, false);
}

Reading
read_client_latency(const SignalContext *context)
{
	int64		id = context->mig->id;
	Latency		lately;
	Latency		resting;
	bool		calm;
	Reading		r = {0};

	if (!latency_available())
	{
		r.who = "mig_control is not in shared_preload_libraries";
		return r;
	}
	signals_prepare(context->mig);
	if (!latency_read(id, &lately, &resting, &calm))
	{
		r.who = "too many migrations are measured";
		return r;
	}
	if (calm)
		r.calm = "learning what clients' statements take without the backfill";
	if (lately.n < FEW || resting.n < FEW)
	{
		r.who = "clients have run too few statements";
		return r;
	}
	r.known = true;
	r.value = lately.p95_ms;
	r.base = resting.p95_ms;
	r.limit = Max(r.base * LIMIT_RATIO, r.base + LEAST_LIMIT_MS);
	return r;
}
