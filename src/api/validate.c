/*
 * validate.c
 *		mig_validate: the divergence check, now and in this session.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/arguments.h"
#include "control/lifecycle.h"
#include "verify/seal.h"
#include "verify/verify.h"

PG_FUNCTION_INFO_V1(mig_validate);

/* One row of mig_validate. */
static void
put_findings(ReturnSetInfo *rsinfo, const Step *step, const Findings *found)
{
	Datum		values[5];
	bool		nulls[5] = {false};

	values[0] = CStringGetTextDatum(step->relation);
	values[1] = Int64GetDatum(found->checked);
	values[2] = Int64GetDatum(found->divergent + found->missing);
	values[3] = Int64GetDatum(0);
	nulls[4] = found->samples == NULL;
	values[4] = found->samples ? DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("[%s]", found->samples))) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* mig_validate(name) → relation, checked, divergent, repaired, sample; a row for each migrating table with pairs */
PGDLLEXPORT Datum
mig_validate(PG_FUNCTION_ARGS)
{
	Migration  *mig = find_migration(arg_text_required(fcinfo, 0, "name"));
	ListCell   *lc;

	check_may_steer(mig, false);
	if (mig->phase < PHASE_BACKFILLING || mig->phase > PHASE_COMPLETING)
		lifecycle_wrong_phase(mig, "mig_validate");
	InitMaterializedSRF(fcinfo, 0);
	(void) seal_check(mig);
	foreach(lc, steps_of(mig->id))
	{
		Step	   *step = lfirst(lc);
		Pass	   *pass;
		Findings	found;

		if (step->kind != STEP_VALIDATE || step->phase != STEP_CHECK)
			continue;
		pass = pass_open(mig, step->relid, step->relation, PASS_CALL, 0);
		found = verify_table(step);
		pass_add(pass, &found, 1);
		(void) seal_check(mig);
		pass_close(pass->id);
		put_findings((ReturnSetInfo *) fcinfo->resultinfo, step, &found);
	}
	return (Datum) 0;
}
