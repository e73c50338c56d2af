/*
 * consumers.c
 *		mig.consumers_now() and mig.old_version_use().
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "control/lifecycle.h"
#include "pace/consumers.h"

PG_FUNCTION_INFO_V1(mig_consumers_now);
PG_FUNCTION_INFO_V1(mig_old_version_use);

/* A list of integers as int[]. */
static Datum
int_array(List *list)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(list), 1));
	ListCell   *lc;

	foreach(lc, list)
		values[foreach_current_index(lc)] = Int32GetDatum(lfirst_int(lc));
	return PointerGetDatum(construct_array(values, list_length(list), INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* One row. */
static void
put_consumer(ReturnSetInfo *rsinfo, const Consumer *c)
{
	Datum		values[10];
	bool		nulls[10] = {false};

	values[0] = Int64GetDatum(c->migration_id);
	values[1] = CStringGetTextDatum(c->old ? "old" : "new");
	values[2] = CStringGetTextDatum(c->role);
	values[3] = CStringGetTextDatum(c->application);
	values[4] = int_array(c->pids);
	values[5] = TimestampTzGetDatum(c->last_read);
	nulls[5] = c->last_read == 0;
	values[6] = TimestampTzGetDatum(c->last_write);
	nulls[6] = c->last_write == 0;
	values[7] = Int64GetDatum(c->reads);
	values[8] = Int64GetDatum(c->writes);
	values[9] = Int64GetDatum(c->errors);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* mig.consumers_now(): who uses a version of an active migration. */
PGDLLEXPORT Datum
mig_consumers_now(PG_FUNCTION_ARGS)
{
	ListCell   *lc;
	ListCell   *consumer;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, migrations_active())
		foreach(consumer, consumers_now(((Migration *) lfirst(lc))->id))
			put_consumer((ReturnSetInfo *) fcinfo->resultinfo, lfirst(consumer));
	return (Datum) 0;
}

/* An interval argument in ms; 22023 when it is negative. */
static int64
interval_ms(FunctionCallInfo fcinfo, int n)
{
	double		ms;

	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("idle must not be NULL")));
	ms = DatumGetFloat8(DirectFunctionCall2(interval_part, CStringGetTextDatum("epoch"), PG_GETARG_DATUM(n))) * 1000;
	if (!(ms >= 0 && ms <= 1e13))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("idle must not be negative, nor longer than 300 years")));
	return (int64) ms;
}

/* mig.old_version_use(name, idle) → sessions, who, last_write */
PGDLLEXPORT Datum
mig_old_version_use(PG_FUNCTION_ARGS)
{
	Migration  *mig = find_migration(arg_text_required(fcinfo, 0, "name"));
	char	   *who;
	int			sessions;
	TimestampTz last_write;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig.old_version_use");
	sessions = consumers_using_old(mig, interval_ms(fcinfo, 1), &who);
	last_write = consumers_last_old_write(mig);
	InitMaterializedSRF(fcinfo, 0);
	values[0] = Int32GetDatum(sessions);
	nulls[0] = sessions < 0;
	values[1] = who ? CStringGetTextDatum(who) : (Datum) 0;
	nulls[1] = who == NULL;
	values[2] = TimestampTzGetDatum(last_write);
	nulls[2] = last_write == 0;
	tuplestore_putvalues(((ReturnSetInfo *) fcinfo->resultinfo)->setResult, ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, values, nulls);
	return (Datum) 0;
}
