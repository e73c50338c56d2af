/*
 * check.c
 *		mig_check_add, mig_check_drop and mig_check: business checks.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/arguments.h"
#include "base/sql.h"
#include "control/lifecycle.h"
#include "verify/business.h"

PG_FUNCTION_INFO_V1(mig_check_add);
PG_FUNCTION_INFO_V1(mig_check_drop);
PG_FUNCTION_INFO_V1(mig_check);

/* {"check": …} */
static char *
check_detail(const char *name)
{
	return sql_textp("SELECT jsonb_build_object('check', $1)::text", P_text(name));
}

/* mig_check_add(name, check_name, sql, options): adds a check, or puts it in the place of that name's. */
PGDLLEXPORT Datum
mig_check_add(PG_FUNCTION_ARGS)
{
	Migration  *mig = find_migration(arg_text_required(fcinfo, 0, "name"));
	char	   *name = arg_text_required(fcinfo, 1, "check_name");

	check_may_steer(mig, false);
	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_check_add");
	business_check_put(mig->id, business_check_read(mig, name, arg_text(fcinfo, 2), arg_jsonb(fcinfo, 3)));
	event_write(mig->id, "check added", check_detail(name));
	PG_RETURN_VOID();
}

/* mig_check_drop(name, check_name) */
PGDLLEXPORT Datum
mig_check_drop(PG_FUNCTION_ARGS)
{
	Migration  *mig = find_migration(arg_text_required(fcinfo, 0, "name"));
	char	   *name = arg_text_required(fcinfo, 1, "check_name");

	check_may_steer(mig, false);
	if (!business_check_drop(mig->id, name))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("migration \"%s\" has no check \"%s\"", mig->name, name),
				 errhint("mig.check_results lists them.")));
	event_write(mig->id, "check dropped", check_detail(name));
	PG_RETURN_VOID();
}

/* One row of mig_check. */
static void
put_result(ReturnSetInfo *rsinfo, const char *name, const CheckResult *result, const char *failure)
{
	Datum		values[6] = {CStringGetTextDatum(name)};
	bool		nulls[6] = {false, true, true, true, false, true};

	values[4] = BoolGetDatum(result && result->ok);
	if (result)
	{
		values[1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(result->segment));
		nulls[1] = false;
		nulls[2] = result->old_value == NULL;
		values[2] = result->old_value ? CStringGetTextDatum(result->old_value) : (Datum) 0;
		nulls[3] = result->new_value == NULL;
		values[3] = result->new_value ? CStringGetTextDatum(result->new_value) : (Datum) 0;
	}
	if (failure)
	{
		values[5] = CStringGetTextDatum(failure);
		nulls[5] = false;
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* mig_check(name, check_name) → check_name, segment, old_value, new_value, ok, failure */
PGDLLEXPORT Datum
mig_check(PG_FUNCTION_ARGS)
{
	Migration  *mig = find_migration(arg_text_required(fcinfo, 0, "name"));
	char	   *name = arg_text(fcinfo, 1);
	List	   *checks;
	ListCell   *lc;
	ListCell   *rc;

	require_read_committed("mig_check");
	check_may_steer(mig, false);
	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_check");
	checks = business_checks(mig->id, name);
	if (name && checks == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("migration \"%s\" has no check \"%s\"", mig->name, name),
				 errhint("mig_check_add('%s', '%s', …) adds it.", mig->name, name)));
	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, checks)
	{
		BusinessCheck *check = lfirst(lc);
		char	   *failure;
		List	   *results = business_check_run(mig, check, &failure);

		if (failure)
			put_result((ReturnSetInfo *) fcinfo->resultinfo, check->name, NULL, failure);
		foreach(rc, results)
			put_result((ReturnSetInfo *) fcinfo->resultinfo, check->name, lfirst(rc), NULL);
	}
	return (Datum) 0;
}
