/*
 * repair.c
 *		mig_repair.
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/arguments.h"
#include "control/lifecycle.h"
#include "verify/repair.h"

PG_FUNCTION_INFO_V1(mig_repair);

/* The argument keep. */
static KeepSide
arg_keep(FunctionCallInfo fcinfo, int n)
{
	char	   *name = arg_text_required(fcinfo, n, "keep");
	KeepSide	keep;

	if (!keep_side_from_name(name, &keep))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep must be \"origin\", \"old\" or \"new\", not \"%s\"", name)));
	return keep;
}

/* Tell that rows are left as they were. */
static void
warn_of_left(const Migration *mig, const TableRepair *t)
{
	if (t->suspect > 0)
		ereport(WARNING,
				(errmsg(INT64_FORMAT " %s of %s may have been written past the sync triggers, and %s left as %s", t->suspect, t->suspect == 1 ? "row" : "rows",
						t->check->relation, t->suspect == 1 ? "is" : "are", t->suspect == 1 ? "it is" : "they are"),
				 errdetail("mig.epochs tells why; nobody knows which version wrote them last."),
				 errhint("mig_repair('%s', keep => 'old') takes the old version's values, keep => 'new' the new one's.", mig->name)));
	if (t->failed + t->locked > 0)
		ereport(WARNING,
				(errmsg(INT64_FORMAT " %s of %s could not be repaired", t->failed + t->locked, t->failed + t->locked == 1 ? "row" : "rows", t->check->relation),
				 errdetail("For " INT64_FORMAT " an expression or a rule of the table does not allow it, " INT64_FORMAT " others have locked.", t->failed, t->locked),
				 errhint("mig.bad_rows tells which and why.")));
}

/* One row of mig_repair. */
static void
put_repair(ReturnSetInfo *rsinfo, const TableRepair *t)
{
	Datum		values[5];
	bool		nulls[5] = {false};

	values[0] = CStringGetTextDatum(t->check->relation);
	values[1] = Int64GetDatum(t->found.checked);
	values[2] = Int64GetDatum(t->wrong);
	values[3] = Int64GetDatum(t->found.repaired);
	nulls[4] = t->found.samples == NULL;
	values[4] = t->found.samples ? DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("[%s]", t->found.samples))) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* mig_repair(name, keep) → relation, checked, divergent, repaired, sample; a row for each migrating table with pairs */
PGDLLEXPORT Datum
mig_repair(PG_FUNCTION_ARGS)
{
	Migration  *mig;
	KeepSide	keep = arg_keep(fcinfo, 1);
	bool		stopped;
	ListCell   *lc;

	PreventCommandIfReadOnly("mig_repair()");
	mig = take_migration(arg_text_required(fcinfo, 0, "name"), "mig_repair", false);
	if (mig->phase < PHASE_BACKFILLING || mig->phase > PHASE_COMPLETING)
		lifecycle_wrong_phase(mig, "mig_repair");
	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, repair_tables(mig, keep, &stopped))
	{
		put_repair((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
		warn_of_left(mig, lfirst(lc));
	}
	if (stopped)
		ereport(WARNING,
				(errmsg("too many rows of migration \"%s\" differ, and none was changed", mig->name),
				 errdetail("%s", migration_by_id(mig->id)->error),
				 errhint("mig_set('%s', '{\"max_repairs\": …}') allows more; mig_resume goes on.", mig->name)));
	return (Datum) 0;
}
