/*
 * signal.c
 *		The table of signals, and their limits.
 */
#include "base/compat.h"

#include "utils/guc.h"

#include "base/sql.h"
#include "pace/signal.h"

/* Active client backends per core. */
static Reading
read_active_clients(const SignalContext *context)
{
	Reading		r = {.known = true};

	r.value = strtod(sql_text("SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type OPERATOR(pg_catalog.=) 'client backend'"
							  " AND state OPERATOR(pg_catalog.=) 'active' AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()"), NULL);
	return r;
}

/* The user's query: true stops. */
static Reading
read_query(const SignalContext *context)
{
	Reading		r = {.known = true};
	char	   *query = sql_textp("SELECT $1 ->> 'query'", P_jsonb(context->throttle ? context->throttle : "{}"));
	char	   *answer = query ? sql_text(query) : "f";

	r.value = answer == NULL || answer[0] == 't';
	return r;
}

const Signal signals[] = {
	{"active_clients", SIGNAL_GRADUAL, SIGNAL_COUNT, false, false, -1, -1, "active clients", read_active_clients},
	{"query", SIGNAL_HARD, SIGNAL_COUNT, false, false, 0, -1, "the query of options.throttle is true", read_query},
};
const int	nsignals = lengthof(signals);

/* A signal's limit in options.throttle; or else its default. */
static double
option_limit(int n, const SignalContext *context, const char *which, double value)
{
	char	   *text = sql_textp("SELECT CASE jsonb_typeof($1 -> $2) WHEN 'number' THEN CASE $3 WHEN 'limit' THEN $1 ->> $2 END WHEN 'object' THEN $1 -> $2 ->> $3 END",
								 P_jsonb(context->throttle ? context->throttle : "{}"), P_text(signals[n].name), P_text(which));

	return text ? strtod(text, NULL) : value;
}

double
signal_limit(int n, const SignalContext *context)
{
	return option_limit(n, context, "limit", signals[n].limit);
}

double
signal_critical(int n, const SignalContext *context)
{
	return option_limit(n, context, "critical", signals[n].critical);
}

void
signals_define_settings(void)
{
}

void
signals_check_options(const char *throttle, Oid owner)
{
}
