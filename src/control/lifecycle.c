/*
 * lifecycle.c
 *		The transition table of migrations.
 *
 * Owns the phase column of mig.migration. Every writer of a phase holds the advisory lock MIGRATION exclusively, so that no unit of work
 * runs across a change. `paused` is a flag beside the phase; a failure is a reason on a paused migration.
 */
#include "base/compat.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "base/shmem.h"
#include "base/sql.h"
#include "control/lifecycle.h"
#include "pace/latency.h"
#include "store/fence.h"

#define MAY(phase) (1 << (phase))
#define ROLLBACK MAY(PHASE_ROLLING_BACK)

/* successors[from]: the phases that may follow */
static const int successors[] = {
	[PHASE_PLANNED] = MAY(PHASE_EXPANDING) | ROLLBACK,
	[PHASE_EXPANDING] = MAY(PHASE_BACKFILLING) | MAY(PHASE_VALIDATING) | MAY(PHASE_READY) | ROLLBACK,
	[PHASE_BACKFILLING] = MAY(PHASE_VALIDATING) | MAY(PHASE_READY) | ROLLBACK,
	/* back to backfilling: rows were found that have no value yet */
	[PHASE_VALIDATING] = MAY(PHASE_BACKFILLING) | MAY(PHASE_READY) | ROLLBACK,
	[PHASE_READY] = MAY(PHASE_COMPLETING) | ROLLBACK,
	/* back to ready: a rule does not hold, the fence came down */
	[PHASE_COMPLETING] = MAY(PHASE_COMPLETED) | MAY(PHASE_READY) | ROLLBACK,
	[PHASE_COMPLETED] = 0,
	[PHASE_ROLLING_BACK] = MAY(PHASE_ROLLED_BACK),
	[PHASE_ROLLED_BACK] = 0,
};

static const MigPhase phase_of_step[] = {
	[STEP_EXPAND] = PHASE_EXPANDING,
	[STEP_FILL] = PHASE_BACKFILLING,
	[STEP_CHECK] = PHASE_VALIDATING,
	[STEP_OPEN] = PHASE_READY,
	[STEP_CONTRACT] = PHASE_COMPLETING,
};

bool
lifecycle_ended(MigPhase phase)
{
	return successors[phase] == 0;
}

MigPhase
lifecycle_phase_of(StepPhase phase)
{
	return phase_of_step[phase];
}

void
lifecycle_wrong_phase(const Migration *mig, const char *call)
{
	const char *hint;

	if (mig->phase == PHASE_READY)
		hint = "Call mig_complete or mig_rollback.";
	else if (lifecycle_ended(mig->phase))
		hint = "It has ended; mig_status() shows what is active.";
	else if (mig->paused)
		hint = psprintf("Call mig_resume('%s') to go on, or mig_rollback('%s').", mig->name, mig->name);
	else
		hint = psprintf("CALL mig_wait('%s') waits until it is ready; mig_rollback('%s') ends it.", mig->name, mig->name);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration \"%s\" is %s, so %s cannot be called", mig->name, phase_name(mig->phase), call),
			 errhint("%s", hint)));
}

void
lifecycle_enter(Migration *mig, MigPhase to, const char *detail)
{
	StringInfoData json;

	if ((successors[mig->phase] & MAY(to)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" cannot go from %s to %s", mig->name, phase_name(mig->phase), phase_name(to))));
	migration_set_phase(mig->id, to);
	initStringInfo(&json);
	appendStringInfo(&json, "{\"from\": \"%s\", \"to\": \"%s\"%s%s}", phase_name(mig->phase), phase_name(to),
					 detail ? ", \"detail\": " : "", detail ? detail : "");
	event_write(mig->id, "phase", json.data);
	if (lifecycle_ended(to))
		(void) fence_take(mig->id);
	/* the next of the schema may have waited for that */
	if (to == PHASE_READY || to == PHASE_COMPLETED)
		shmem_wake_at_commit();
	/* should that be taken back, the next look at its clients watches them again */
	if (lifecycle_ended(to))
		latency_unwatch(mig->id);
	mig->phase = to;
	mig->was_ready = mig->was_ready || to == PHASE_READY;
}

bool
lifecycle_held(Migration *mig, MigPhase before)
{
	const char *name = phase_name(before);

	if (sql_textp("SELECT 1 WHERE $1 -> 'hold' ? $2 AND NOT coalesce($1 -> 'held', '[]') ? $2", P_jsonb(mig->options), P_text(name)) == NULL)
		return false;
	/* noted in the options, so that mig_resume goes past it */
	mig->options = sql_textp("SELECT jsonb_set($1, '{held}', coalesce($1 -> 'held', '[]') || to_jsonb($2))::text",
							 P_jsonb(mig->options), P_text(name));
	migration_set_options(mig->id, mig->options);
	migration_set_pause(mig->id, true, psprintf("held before %s", name), NULL);
	event_write(mig->id, "held", psprintf("{\"before\": \"%s\"}", name));
	mig->paused = true;
	return true;
}
