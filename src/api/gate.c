/*
 * gate.c
 *		mig_gates and mig_approve.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "api/arguments.h"
#include "base/lock.h"
#include "control/gate.h"
#include "control/lifecycle.h"

PG_FUNCTION_INFO_V1(mig_gates);
PG_FUNCTION_INFO_V1(mig_approve);

/* A text, or NULL. */
static Datum
text_or_null(const char *s, bool *isnull)
{
	*isnull = s == NULL;
	return s ? CStringGetTextDatum(s) : (Datum) 0;
}

/* One row of mig_gates. */
static void
put_gate(ReturnSetInfo *rsinfo, const Gate *gate)
{
	Datum		values[6];
	bool		nulls[6] = {false};

	values[0] = CStringGetTextDatum(gate->name);
	values[1] = CStringGetTextDatum(phase_name(gate->before));
	values[2] = BoolGetDatum(gate->open);
	values[3] = text_or_null(gate->failure ? gate->failure : gate->value, &nulls[3]);
	values[4] = text_or_null(gate->limit, &nulls[4]);
	values[5] = BoolGetDatum(gate->overridable);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* Ask the gates that guard a phase, if that is still to come, and return what they say. */
static void
put_gates(ReturnSetInfo *rsinfo, const Migration *mig, MigPhase before)
{
	ListCell   *lc;

	if (mig->phase >= before)
		return;
	foreach(lc, gates_ask(mig, before, GATES_ALL_OVER))
		put_gate(rsinfo, lfirst(lc));
}

/* mig_gates(name) → gate, before, open, value, limit, overridable: asks them all, now */
PGDLLEXPORT Datum
mig_gates(PG_FUNCTION_ARGS)
{
	Migration  *mig = find_migration(arg_text_required(fcinfo, 0, "name"));

	require_read_committed("mig_gates");
	check_may_steer(mig, true);
	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_gates");
	InitMaterializedSRF(fcinfo, 0);
	put_gates((ReturnSetInfo *) fcinfo->resultinfo, mig, PHASE_READY);
	put_gates((ReturnSetInfo *) fcinfo->resultinfo, mig, PHASE_COMPLETING);
	return (Datum) 0;
}

/* mig_approve(name, comment): by a role that options.approvers names, and not by whoever has started the migration. */
PGDLLEXPORT Datum
mig_approve(PG_FUNCTION_ARGS)
{
	Migration  *mig = find_migration(arg_text_required(fcinfo, 0, "name"));
	char	   *starter;

	require_read_committed("mig_approve");
	(void) advisory_lock(MIG_LOCK_MIGRATION, mig->id, ExclusiveLock, false, false);
	mig = migration_by_id(mig->id);
	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_approve");
	if (!gate_is_approver(mig))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" is no approver of migration \"%s\"", GetUserNameFromId(GetUserId(), false), mig->name),
				 errhint("options.approvers names them; mig_set changes it.")));
	starter = migration_started_by(mig->id);
	if (strcmp(starter, GetUserNameFromId(GetSessionUserId(), false)) == 0 || strcmp(starter, GetUserNameFromId(GetUserId(), false)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("migration \"%s\" cannot be approved by who has started it", mig->name),
				 errdetail("It was started by \"%s\".", starter)));
	approval_put(mig->id, arg_text(fcinfo, 1));
	PG_RETURN_VOID();
}
