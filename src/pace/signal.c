/*
 * signal.c
 *		The table of signals, their settings, and the limits in effect.
 *
 * Owns the settings' values. docs/reference.md (Pacing) has a reason for each default; none of them may stop, or slow for long, a server that is well.
 */
#include "base/compat.h"

#include <math.h>

#include "access/xlog.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "pace/signal.h"
#include "pace/signal_readers.h"

#define OFF			(-1)
#define ANY			0			/* one is too many */
#define GB			(1024.0 * 1024 * 1024)
#define MINUTE		60000.0
#define SLOT_SHARE	0.8			/* of max_slot_wal_keep_size */
#define MOST		1e18		/* no limit is higher */

const Signal signals[] = {
	{"replica_lag_bytes", SIGNAL_HARD, SIGNAL_BYTES, false, true, GB, OFF,
	"WAL that the slowest standby has not replayed", read_replica_lag_bytes},
	{"replica_lag", SIGNAL_HARD, SIGNAL_MS, false, true, 10000, OFF,
	"how long ago the slowest standby's state was the primary's", read_replica_lag},
	{"slot_wal", SIGNAL_HARD, SIGNAL_BYTES, false, true, 10 * GB, OFF,
	"WAL kept for the slot that is farthest behind", read_slot_wal},
	{"archive_backlog", SIGNAL_HARD, SIGNAL_COUNT, false, true, 128, OFF,
	"WAL segments that wait to be archived", read_archive_backlog},
	{"disk_free", SIGNAL_HARD, SIGNAL_BYTES, true, true, GB, OFF,
	"room in the tablespaces of the table and its indexes", read_disk_free},
	{"wal_disk_free", SIGNAL_HARD, SIGNAL_BYTES, true, true, GB, OFF,
	"room for WAL", read_wal_disk_free},
	{"xid_age", SIGNAL_HARD, SIGNAL_COUNT, false, true, 1.5e9, OFF,
	"age of the oldest transaction id, or multixact id, that a database may hold", read_xid_age},
	{"wraparound_vacuum", SIGNAL_HARD, SIGNAL_COUNT, false, true, ANY, OFF,
	"anti-wraparound vacuums on the table", read_wraparound_vacuum},
	{"waiters", SIGNAL_HARD, SIGNAL_COUNT, false, true, ANY, OFF,
	"sessions that waited for rows of the last batch", read_waiters},
	{"query", SIGNAL_HARD, SIGNAL_COUNT, false, false, ANY, OFF,
	"the query of options.throttle", read_query, .yes_or_no = true},
	{"active_clients", SIGNAL_GRADUAL, SIGNAL_COUNT, false, false, 4, OFF,
	"client sessions at work, per core", read_active_clients},
	{"cpu", SIGNAL_GRADUAL, SIGNAL_COUNT, false, false, 0.6, OFF,
	"share that migrations take of the processors' time that clients leave", read_cpu},
	{"wal_rate", SIGNAL_GRADUAL, SIGNAL_BYTES, false, true, OFF, OFF,
	"WAL written per second, by all", read_wal_rate},
	{"io_waits", SIGNAL_GRADUAL, SIGNAL_COUNT, false, false, OFF, OFF,
	"share of the client sessions at work (or of the cores, if there are more) that wait for the disk", read_io_waits},
	{"commit_latency", SIGNAL_GRADUAL, SIGNAL_MS, false, true, 50, OFF,
	"time that a commit takes to be on disk", read_commit_latency},
	{"dead_rows", SIGNAL_GRADUAL, SIGNAL_COUNT, false, true, 10, OFF,
	"dead rows of the table, as a multiple of those at which autovacuum starts", read_dead_rows},
	{"xmin_age", SIGNAL_GRADUAL, SIGNAL_MS, false, true, OFF, OFF,
	"how long the oldest transaction has kept dead rows from being removed", read_xmin_age},
	{"client_latency", SIGNAL_GRADUAL, SIGNAL_MS, false, false, 0, OFF,
	"what 95 of 100 statements of clients on the table take less than", read_client_latency, .automatic = true},
};
const int	nsignals = lengthof(signals);

/* the settings' values */
static double limits[lengthof(signals)];
static double criticals[lengthof(signals)];
int			mig_cores = 0;
int			mig_throttle_query_timeout = 1000;
char	   *mig_throttle_standbys = NULL;

int
signal_unit_flags(const Signal *s)
{
	return s->unit == SIGNAL_MS ? GUC_UNIT_MS : s->unit == SIGNAL_BYTES ? GUC_UNIT_BYTE : 0;
}

/* Define the setting of one limit. The server keeps the pointer to the description. */
static void
define_limit(const Signal *s, const char *which, const char *what, double *variable, double value)
{
	char	   *text = MemoryContextStrdup(TopMemoryContext, psprintf("%s: %s.", what, s->what));

	DefineCustomRealVariable(psprintf("mig_control.%s_%s", which, s->name), text, "-1 switches it off.", variable, value, OFF, MOST, PGC_USERSET,
							 signal_unit_flags(s), NULL, NULL, NULL);
}

void
signals_define_settings(void)
{
	DefineCustomIntVariable("mig_control.cores", "Cores of which the server may make use.", "0 asks the operating system.",
							&mig_cores, 0, 0, 65536, PGC_USERSET, 0, NULL, NULL, NULL);
	for (int n = 0; n < nsignals; n++)
	{
		const Signal *s = &signals[n];

		if (s->yes_or_no)
			continue;
		define_limit(s, "critical", s->floor ? "Below this migrations hibernate" : "Over this migrations hibernate", &criticals[n], s->critical);
		define_limit(s, "throttle", s->class == SIGNAL_GRADUAL ? "At this migrations work least"
					 : s->floor ? "Below this migrations stop" : "Over this migrations stop", &limits[n], s->limit);
	}
	DefineCustomIntVariable("mig_control.throttle_query_timeout", "Time that the query of a migration's options.throttle may take.", NULL,
							&mig_throttle_query_timeout, 1000, 1, 60 * 1000, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable("mig_control.throttle_standbys", "Names of the standbys that migrations wait for.",
							   "Empty: all. A name with a minus sign before it is left out.",
							   &mig_throttle_standbys, "", PGC_USERSET, GUC_LIST_INPUT, NULL, NULL, NULL);
}

/* As much of max_slot_wal_keep_size as a slot may come to keep. */
static double
slot_limit(double limit)
{
	double		most = max_slot_wal_keep_size_mb * 1024.0 * 1024 * SLOT_SHARE;

	return most >= 0 && limit > most ? most : limit;
}

double
signal_limit(int n, const SignalContext *context)
{
	const Signal *s = &signals[n];
	double		limit;

	if (s->yes_or_no)
		return throttle_query(context->throttle) ? ANY : OFF;
	limit = throttle_limit(context->throttle, s, false, limits[n]);
	return s->read == read_slot_wal ? slot_limit(limit) : limit;
}

double
signal_critical(int n, const SignalContext *context)
{
	const Signal *s = &signals[n];

	return s->yes_or_no ? OFF : throttle_limit(context->throttle, s, true, criticals[n]);
}

char *
signal_value_text(int n, double value)
{
	switch (signals[n].unit)
	{
		case SIGNAL_BYTES:
			return text_to_cstring(DatumGetTextPP(DirectFunctionCall1(pg_size_pretty, Int64GetDatum((int64) value))));
		case SIGNAL_MS:
			return value < 1000 ? psprintf("%.3g ms", value) : psprintf("%.1f s", value / 1000);
		case SIGNAL_COUNT:
			break;
	}
	return value == rint(value) ? psprintf("%.0f", value) : psprintf("%.3g", value);
}

double
mean_see(Mean *mean, double value, double fade_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	double		ms = (now - mean->at) / 1000.0;

	if (mean->at == 0 || ms < 0)
		mean->value = value;
	else
		mean->value += (value - mean->value) * (1 - exp(-ms / fade_ms));
	mean->at = now;
	return mean->value;
}
