/*
 * signal_server.c
 *		Signals about the server's own state: transaction ids, horizons, WAL, commits, dead rows.
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "portability/instr_time.h"
#include "utils/float.h"
#include "utils/timestamp.h"

#include "base/sql.h"
#include "pace/signal.h"
#include "pace/signal_readers.h"

#define WAL_FADE_MS		1000
#define PROBE_EVERY_MS	1000
#define PROBE_FADE_MS	5000

/* A text that the server printed for a float8. */
static double
number(char *text)
{
	return float8in_internal(text, NULL, "double precision", text);
}

Reading
read_xid_age(const SignalContext *context)
{
	SqlRows    *rows = admin_queryp("SELECT greatest(age(datfrozenxid), mxid_age(datminmxid)) AS age, datname FROM pg_database WHERE $1 ORDER BY age DESC LIMIT 1",
									P_bool(true));

	return (Reading) {.known = true,.value = number(rows->v[0][0]),.who = psprintf("database %s", rows->v[0][1])};
}

/* How long the oldest session with a snapshot or a transaction id has been in its transaction; drivers of migrations commit every other moment. */
Reading
read_xmin_age(const SignalContext *context)
{
	SqlRows    *rows = admin_queryp("SELECT extract(epoch FROM clock_timestamp() - since) * 1000, who FROM ("
									" SELECT xact_start AS since, format('pid %s', pid) AS who FROM pg_stat_get_activity(NULL)"
									" WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()"
									" AND backend_type <> 'walsender' AND (backend_type <> 'autovacuum worker' OR $1)"
									" UNION ALL SELECT prepared, format('prepared transaction %s', gid) FROM pg_prepared_xact()) s"
									" WHERE since IS NOT NULL ORDER BY since LIMIT 1", P_bool(false));

	if (rows->n == 0)
		return (Reading) {.known = true};
	return (Reading) {.known = true,.value = Max(number(rows->v[0][0]), 0),.who = rows->v[0][1]};
}

/* Between two looks of this process; the first one does not know. */
Reading
read_wal_rate(const SignalContext *context)
{
	static Mean mean;
	static XLogRecPtr last = 0;
	static TimestampTz at = 0;
	XLogRecPtr	here = GetXLogInsertRecPtr();
	TimestampTz now = GetCurrentTimestamp();
	double		seconds = (now - at) / 1000000.0;
	Reading		r = {.who = "measured from the next look on"};

	if (at != 0 && seconds <= 0)
		return (Reading) {.known = true,.value = mean.value};
	if (at != 0)
	{
		r.value = mean_see(&mean, (here - last) / seconds, WAL_FADE_MS);
		r.known = true;
		r.who = NULL;
	}
	last = here;
	at = now;
	return r;
}

/* What a client's commit waits for: a record that says nothing, until it is on disk. Standbys are not waited for, as it could be for ever. */
static double
probe(void)
{
	instr_time	begin;
	instr_time	end;
	char		nothing = 0;

	INSTR_TIME_SET_CURRENT(begin);
	XLogBeginInsert();
	XLogRegisterData(&nothing, sizeof(nothing));
	XLogFlush(XLogInsert(RM_XLOG_ID, XLOG_NOOP));
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, begin);
	return INSTR_TIME_GET_MILLISEC(end);
}

Reading
read_commit_latency(const SignalContext *context)
{
	static Mean mean;

	if (!clients_are_there(context))
		return (Reading) {.who = "no client is there who would commit"};
	if (mean.at == 0 || TimestampDifferenceExceeds(mean.at, GetCurrentTimestamp(), PROBE_EVERY_MS))
		mean_see(&mean, probe(), PROBE_FADE_MS);
	return (Reading) {.known = true,.value = mean.value};
}

/* None where autovacuum will not come: it would never get better. A table that was never analysed has as many rows as it had writes. */
Reading
read_dead_rows(const SignalContext *context)
{
	SqlRows    *rows = admin_queryp("SELECT CASE WHEN current_setting('autovacuum')::bool AND current_setting('track_counts')::bool AND coalesce(o.enabled, true)"
									" THEN pg_stat_get_dead_tuples(c.oid) / greatest(coalesce(o.base, current_setting('autovacuum_vacuum_threshold')::float8)"
									" + coalesce(o.scale, current_setting('autovacuum_vacuum_scale_factor')::float8) * greatest(c.reltuples, pg_stat_get_live_tuples(c.oid) + pg_stat_get_dead_tuples(c.oid)), 1) ELSE 0 END"
									" FROM pg_class c, LATERAL (SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_enabled')::bool AS enabled,"
									" max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold')::float8 AS base,"
									" max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor')::float8 AS scale"
									" FROM pg_options_to_table(c.reloptions)) o WHERE c.oid = $1", P_oid(context->relid));

	return (Reading) {.known = true,.value = rows->n > 0 ? number(rows->v[0][0]) : 0};
}
