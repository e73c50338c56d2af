/*
 * drive.c
 *		One unit of work for a migration: looks at its next step and does a piece of it.
 *
 * Locking: a unit of backfill or verification runs under the advisory lock MIGRATION in share mode, everything else under it in exclusive
 * mode, to the end of the transaction; neither is waited for. What is to do is read again after the lock is held. All state is in the tables: whoever
 * calls drive() next, in whatever process, goes on from there.
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"

#include "backfill/backfill.h"
#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "compile/plan.h"
#include "control/drive.h"
#include "control/finish.h"
#include "control/lifecycle.h"
#include "control/steps.h"
#include "control/utility.h"
#include "store/chain.h"
#include "store/options.h"
#include "store/override.h"
#include "store/task.h"
#include "verify/verify.h"

/* What a unit works on, and how it ended */
typedef struct Unit
{
	Migration  *mig;
	Step	   *step;
	DriveResult result;
} Unit;

/* {"step": n, "relation": "…"} with more members appended */
static char *
step_detail(const Step *s, const char *more)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"step\": %d, \"relation\": ", s->no);
	if (s->relation)
		escape_json(&buf, s->relation);
	else
		appendStringInfoString(&buf, "null");
	appendStringInfo(&buf, "%s}", more ? more : "");
	return buf.data;
}

/* Does a ready migration go on without being asked? Not again after its fence has come down. */
static bool
completes_itself(const Migration *mig)
{
	char	   *value = mig->error ? NULL : option_text(mig->options, "auto_complete");

	return value && strcmp(value, "true") == 0;
}

/*
 * Is the version that this one stands on open? Those of a schema open in the order in which they were started, so that nobody gets a version that shows
 * closed views.
 */
static bool
predecessor_is_ready(Unit *u)
{
	Migration  *before = chain_predecessor(u->mig);

	if (before == NULL || before->phase == PHASE_READY || before->phase == PHASE_COMPLETING)
		return true;
	migration_set_waiting(u->mig->id, psprintf("migration \"%s\", on whose version this one stands, is not ready", before->name));
	return false;
}

/* Enter the phase that a step runs in; false when the migration is held before it. */
static bool
enter_phase_of(Migration *mig, const Step *s)
{
	MigPhase	phase = lifecycle_phase_of(s->phase);

	if (mig->phase == phase)
		return true;
	if (lifecycle_held(mig, phase))
		return false;
	if (s->phase != STEP_OPEN)	/* `ready` is entered when the version has been opened */
		lifecycle_enter(mig, phase, NULL);
	return true;
}

/* The fence comes down: everything goes on as in `ready`. */
static void
take_fence_down(Migration *mig)
{
	(void) steps_undo(mig, steps_of_phase(mig->id, STEP_CONTRACT), false, mig_lock_retries);
	lifecycle_enter(mig, PHASE_READY, NULL);
}

/* A check has seen its whole table: go on, go back, or stop with the reason. */
static void
conclude_check(Unit *u)
{
	Migration  *mig = u->mig;
	Step	   *s = u->step;
	Task	   *task = task_total(mig->id, s->no);
	int64		failing = bad_rows_count(mig->id, s->no, "up");
	int64		divergent = task ? task->divergent : 0;
	int64		missing = task ? task->missing : 0;
	char	   *text;

	event_write(mig->id, "validated", step_detail(s, psprintf(", \"checked\": " INT64_FORMAT ", \"divergent\": " INT64_FORMAT ", \"missing\": " INT64_FORMAT,
															 task ? task->rows_done : 0, divergent, missing)));
	migration_set_divergent(mig->id, divergent);
	if (divergent == 0 && missing == 0)
	{
		step_done(mig->id, s->no, true);
		return;
	}
	if (divergent == 0 && failing == 0 && s->phase != STEP_CONTRACT)
	{
		finish_check_again(mig, s);
		return;
	}
	text = divergent > 0 ? psprintf(INT64_FORMAT " rows of %s differ between the versions", divergent, s->relation)
		: psprintf("up fails for " INT64_FORMAT " rows of %s", missing, s->relation);
	text = psprintf("%s; mig.bad_rows names them; correct them, then call %s", text, s->phase == STEP_CONTRACT ? "mig_complete" : "mig_resume");
	if (s->phase == STEP_CONTRACT)
	{
		take_fence_down(mig);
		migration_set_pause(mig->id, false, NULL, text);
	}
	else
		migration_set_pause(mig->id, true, "failed", text);
	event_write(mig->id, "failed", step_detail(s, psprintf(", \"divergent\": " INT64_FORMAT ", \"failing\": " INT64_FORMAT, divergent, missing)));
}

/* Run one batch of a backfill. */
static void
run_backfill(Unit *u)
{
	UnitResult	r = backfill_unit(u->mig, u->step);

	u->result = r == UNIT_WAIT ? DRIVE_WAIT : DRIVE_PROGRESS;
	migration_set_waiting(u->mig->id, r == UNIT_WAIT ? "rows or ranges are locked by other sessions" : NULL);
	if (r != UNIT_END)
		return;
	if (!advisory_lock(MIG_LOCK_MIGRATION, u->mig->id, ExclusiveLock, false, true))
	{
		u->result = DRIVE_WAIT;
		return;
	}
	step_done(u->mig->id, u->step->no, true);
	event_write(u->mig->id, "filled", step_detail(u->step, NULL));
}

/* Check one range; the conclusion needs the migration for itself. */
static void
run_check(Unit *u)
{
	UnitResult	r = verify_unit(u->mig, u->step);

	u->result = r == UNIT_WAIT ? DRIVE_WAIT : DRIVE_PROGRESS;
	if (r != UNIT_END)
		return;
	if (advisory_lock(MIG_LOCK_MIGRATION, u->mig->id, ExclusiveLock, false, true))
		conclude_check(u);
	else
		u->result = DRIVE_WAIT;
}

/* How long a lock was held, as JSON text members. Only what clients' reads or writes wait for counts as locked. */
static char *
lock_members(LOCKMODE lock, double ms)
{
	if (lock == NoLock)
		return psprintf(", \"locked_ms\": %.1f", ms);
	return psprintf(", \"lock\": \"%s\", \"%s\": %.1f", step_lock_name(lock), lock > ShareUpdateExclusiveLock ? "locked_ms" : "ms", ms);
}

/*
 * May the version be opened? A transaction with a snapshot from before the fill would see the new columns empty, as views are looked up at
 * once, whatever the snapshot. So this waits, without a lock, until there is none, as CREATE INDEX CONCURRENTLY does.
 */
static bool
snapshots_are_new(Unit *u)
{
	bool		filled = false;
	char	   *old;
	ListCell   *lc;

	foreach(lc, steps_of(u->mig->id))
		filled = filled || ((Step *) lfirst(lc))->kind == STEP_BACKFILL;
	if (!filled)
		return true;
	old = migration_old_snapshot(u->mig->id);
	migration_set_waiting(u->mig->id, old ? psprintf("a transaction from before the rows were filled: %s", old) : NULL);
	return old == NULL;
}

/* A migration that was held before it expanded: is its plan still what would be made of the tables as they are now? */
static void
check_plan(const Migration *mig)
{
	Identity	saved;
	MigPlan    *plan;

	owner_begin(&saved, mig->owner, true);
	settings_apply(mig->settings);
	plan = plan_compile(mig->name, mig->definition,
						sql_textp("SELECT ($1 - 'held' || jsonb_build_object('schema', $2))::text", P_jsonb(mig->options), P_text(mig->schema)),
						ShareUpdateExclusiveLock);
	identity_end(&saved);
	if (!plan_equals(plan, steps_of(mig->id)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the tables of migration \"%s\" have changed since it was planned", mig->name),
				 errhint("Call mig_rollback('%s'), then mig_start again.", mig->name)));
}

/* The step of a group with the strongest lock: what the group is told by. */
static Step *
strongest_step(List *steps)
{
	Step	   *strongest = linitial(steps);
	ListCell   *lc;

	foreach(lc, steps)
		if (((Step *) lfirst(lc))->lock > strongest->lock)
			strongest = lfirst(lc);
	return strongest;
}

/* Run a group of SQL steps. */
static void
run_group(Unit *u)
{
	Migration  *mig = u->mig;
	List	   *steps = steps_of_group(mig->id, u->step->group);
	Step	   *s = strongest_step(steps);
	double		ms;
	Step	   *next;

	/* what clients are shown must not be taken back by a crash; also, a worker's commits are asynchronous otherwise */
	(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	if (s->phase == STEP_EXPAND)
		check_plan(mig);
	ms = steps_run(mig, steps, mig_lock_retries);
	next = step_next(mig->id);
	if (s->lock >= ShareUpdateExclusiveLock || next == NULL)
		event_write(mig->id, next ? "step" : "swapped", step_detail(s, lock_members(s->lock, ms)));
	if (s->phase == STEP_OPEN)
		lifecycle_enter(mig, PHASE_READY, NULL);
	else if (next == NULL)
		lifecycle_enter(mig, PHASE_COMPLETED, NULL);
}

/* Do a piece of the next step. */
static void
run_unit(void *arg)
{
	Unit	   *u = arg;

	u->result = DRIVE_PROGRESS;
	if (!enter_phase_of(u->mig, u->step))
		return;
	switch (u->step->kind)
	{
		case STEP_BACKFILL:
			run_backfill(u);
			break;
		case STEP_VALIDATE:
			run_check(u);
			break;
		case STEP_SQL:
			if (u->step->phase == STEP_OPEN && (!predecessor_is_ready(u) || !snapshots_are_new(u)))
				u->result = DRIVE_WAIT;
			else
				run_group(u);
			break;
		case STEP_CONCURRENTLY:
			if (utility_run(u->mig, u->step) == UTILITY_WAIT)
				u->result = DRIVE_WAIT;
			break;
	}
}

/* Is it worth trying again without anybody doing anything? */
static bool
is_retryable(const ErrorData *e)
{
	return lock_is_missed(e->sqlerrcode) || e->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

/* An error's message and detail, as JSON text members. */
static char *
error_members(const ErrorData *e)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, ", \"sqlstate\": \"%s\", \"error\": ", unpack_sql_state(e->sqlerrcode));
	escape_json(&buf, e->message);
	if (e->detail)
	{
		appendStringInfoString(&buf, ", \"detail\": ");
		escape_json(&buf, e->detail);
	}
	return buf.data;
}

/* What to tell of an error: for a rule that does not hold, which rule and which rows. */
static char *
failure_text(const Step *s, const ErrorData *e)
{
	char	   *keys = NULL;

	if ((e->sqlerrcode == ERRCODE_CHECK_VIOLATION || e->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION) &&
		s->lock == ShareUpdateExclusiveLock && s->note && e->constraint_name)
		keys = verify_violations(s->relid, e->constraint_name);
	if (keys)
		return psprintf("it is not so that %s; rows that contradict: %s", s->note, keys);
	return e->detail ? psprintf("%s: %s", e->message, e->detail) : e->message;
}

/* A step has raised: wait and try again, go back to ready from completing, or stop with the reason. */
static void
note_failure(Unit *u, const ErrorData *e)
{
	Migration  *mig = migration_by_id(u->mig->id);
	char	   *message = failure_text(u->step, e);

	u->mig = mig;
	u->result = DRIVE_WAIT;
	event_write(mig->id, is_retryable(e) ? "retry" : "failed", step_detail(u->step, error_members(e)));
	if (mig->phase == PHASE_COMPLETING)
	{
		take_fence_down(mig);
		migration_set_pause(mig->id, false, NULL, message);
	}
	else if (is_retryable(e))
		migration_set_waiting(mig->id, message);
	else
		migration_set_pause(mig->id, true, "failed", message);
}

/* Is there something that this step can do now, and nobody else doing it? Takes the lock. */
static bool
claim(Unit *u)
{
	Migration  *mig = u->mig;
	Step	   *s = step_next(mig->id);
	Migration  *before;
	bool		shared;

	if (s == NULL || (s->phase == STEP_CONTRACT && mig->phase != PHASE_COMPLETING && !completes_itself(mig)))
	{
		u->result = DRIVE_REST;
		return false;
	}
	u->step = s;
	u->result = DRIVE_WAIT;
	if (mig_stop_before[0] && atoi(mig_stop_before) == s->no)
		return false;
	shared = (s->kind == STEP_BACKFILL || s->kind == STEP_VALIDATE || s->kind == STEP_CONCURRENTLY) &&
		mig->phase == lifecycle_phase_of(s->phase);
	if (!advisory_lock(MIG_LOCK_MIGRATION, mig->id, shared ? ShareLock : ExclusiveLock, false, true))
		return false;
	u->mig = migration_by_id(mig->id);
	if (u->mig && u->mig->phase == PHASE_READY && (before = chain_predecessor(u->mig)) != NULL)
	{
		/* whoever completes that wakes us */
		migration_set_waiting(mig->id, psprintf("migration \"%s\" has to be completed first", before->name));
		u->result = DRIVE_REST;
		return false;
	}
	s = step_next(mig->id);
	return u->mig && !u->mig->paused && u->mig->phase == mig->phase && s && s->no == u->step->no;
}

DriveResult
drive(int64 migration_id)
{
	Unit		u = {.mig = migration_by_id(migration_id)};
	ErrorData  *error = NULL;

	if (u.mig && u.mig->override_over)
		overrides_end(migration_id, false);
	if (u.mig == NULL || u.mig->paused || lifecycle_ended(u.mig->phase) || (u.mig->phase == PHASE_READY && !completes_itself(u.mig)))
	{
		backfill_release();
		return DRIVE_REST;
	}
	if (claim(&u) && !txn_try(run_unit, &u, &error))
		note_failure(&u, error);
	if (u.step == NULL || u.step->kind != STEP_BACKFILL)
		backfill_release();
	txn_next();
	return u.result;
}
