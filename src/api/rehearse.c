/*
 * rehearse.c
 *		mig_rehearse: up, down and rules on sampled rows, without changing anything.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/arguments.h"
#include "verify/rehearse.h"

#define MOST_ROWS 1000000

PG_FUNCTION_INFO_V1(mig_rehearse);

/* One row of mig_rehearse. */
static void
put_rehearsal(ReturnSetInfo *rsinfo, const Rehearsal *r)
{
	Datum		values[7];
	bool		nulls[7] = {false};

	values[0] = CStringGetTextDatum(r->relation);
	nulls[1] = r->column == NULL;
	values[1] = r->column ? CStringGetTextDatum(r->column) : (Datum) 0;
	values[2] = CStringGetTextDatum(r->finding);
	values[3] = Int64GetDatum(r->rows);
	values[4] = Int64GetDatum(r->found);
	nulls[5] = r->sample == NULL;
	values[5] = r->sample ? DirectFunctionCall1(jsonb_in, CStringGetDatum(r->sample)) : (Datum) 0;
	nulls[6] = r->note == NULL;
	values[6] = r->note ? CStringGetTextDatum(r->note) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* mig_rehearse(definition, rows, options) → relation, column_name, finding, rows, found, sample, note */
PGDLLEXPORT Datum
mig_rehearse(PG_FUNCTION_ARGS)
{
	char	   *definition = arg_text_required(fcinfo, 0, "definition");
	int			rows = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	char	   *options = arg_jsonb(fcinfo, 2);
	char	   *name;
	ListCell   *lc;

	require_read_committed("mig_rehearse");
	if (rows < 1 || rows > MOST_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rows must be between 1 and %d", MOST_ROWS)));
	InitMaterializedSRF(fcinfo, 0);
	name = definition_read(definition, options)->name;
	if (name == NULL)
		name = psprintf("rehearsal_%d", MyProcPid);
	foreach(lc, rehearse_plan(plan_compile(name, definition, options, AccessShareLock), rows))
		put_rehearsal((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
	return (Datum) 0;
}
