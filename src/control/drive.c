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
#include "control/gate.h"
#include "control/lifecycle.h"
#include "control/restore_point.h"
#include "control/lookout.h"
#include "control/steps.h"
#include "control/utility.h"
#include "control/vacuum.h"
#include "pace/latency.h"
#include "pace/pace.h"
#include "store/chain.h"
#include "store/options.h"
#include "store/override.h"
#include "store/pass.h"
#include "store/task.h"
#include "verify/business.h"
#include "verify/seal.h"
#include "verify/verify.h"
#include "verify/watch.h"

#define RETRY_MS		200		/* until a batch of one page tries again */
#define DISK_FULL_MS	1000	/* until anything tries again */
#define GATES_MS		2000	/* between two times that closed gates are asked */
#define GATES_SHOWN_MS	30000	/* between two times that they are asked so that mig.gates is not too old */
#define LATER_MS		1000	/* until the watch tries again that could not even say what is wrong */

/* What a unit works on, and how it ended */
typedef struct Unit
{
	Migration  *mig;
	Step	   *step;
	DriveResult result;
	bool		looked;			/* instead of working, it has looked at the signals */
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

/* Are the gates before a phase open? Where not, that is what the migration waits for; they are asked again after a while. */
static bool
gates_are_open(Unit *u, MigPhase before)
{
	char	   *closed = gates_closed_text(gates_ask(u->mig, before, GATES_AT_PRESENT));

	migration_set_waiting(u->mig->id, closed);
	if (closed)
		pace_hold(u->mig->id, GATES_MS);
	return closed == NULL;
}

/* Is a group the swap, the end of the plan? */
static bool
is_swap(const Migration *mig, List *group)
{
	Step	   *last = llast(group);

	return last->phase == STEP_CONTRACT && ((Step *) llast(steps_of(mig->id)))->no == last->no;
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
	if (phase == PHASE_BACKFILLING)
		(void) seal_check(mig);
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
	Pass	   *pass = verify_pass(mig, s);
	char	   *text;

	(void) seal_check(mig);
	pass_close(pass->id);
	event_write(mig->id, "validated", step_detail(s, psprintf(", \"checked\": " INT64_FORMAT ", \"divergent\": " INT64_FORMAT ", \"missing\": " INT64_FORMAT
															 ", \"violating\": " INT64_FORMAT,
															 task ? task->rows_done : 0, divergent, missing, pass->found.violating)));
	migration_set_divergent(mig->id, divergent);
	if (divergent == 0 && missing == 0)
	{
		if (pass_last_clean(mig, s->relid))
			step_done(mig->id, s->no, true);
		else
			verify_restart(mig, s);		/* something has got past the triggers meanwhile: what was seen proves nothing */
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
	(void) lookout(migration_by_id(mig->id), true); /* a limit of abort_if may have been passed by that */
}

/* Nothing but ranges that were put aside is left of a table. */
static void
stop_for_aside(Unit *u)
{
	char	   *error;
	int64		n = task_ranges_aside(u->mig->id, u->step->no, &error);

	error = psprintf(INT64_FORMAT " %s of %s could not be filled and %s put aside: %s; mig_resume tries again", n, n == 1 ? "range" : "ranges",
					 u->step->relation, n == 1 ? "was" : "were", error);
	migration_set_pause(u->mig->id, true, "failed", error);
	event_write(u->mig->id, "failed", step_detail(u->step, psprintf(", \"aside\": " INT64_FORMAT, n)));
}

/* What a table took before it was filled and takes now, as JSON text members. */
static char *
growth_members(const Task *t)
{
	int64		before;

	if (t == NULL)
		return NULL;
	before = t->before.heap + t->before.toast + t->before.indexes;
	return psprintf(", \"rows\": " INT64_FORMAT ", \"bytes_before\": {\"heap\": " INT64_FORMAT ", \"toast\": " INT64_FORMAT ", \"indexes\": " INT64_FORMAT "}"
					", \"bytes\": {\"heap\": " INT64_FORMAT ", \"toast\": " INT64_FORMAT ", \"indexes\": " INT64_FORMAT "}, \"growth\": %.3f",
					t->rows_done, t->before.heap, t->before.toast, t->before.indexes, t->now.heap, t->now.toast, t->now.indexes,
					before > 0 ? (double) (t->now.heap + t->now.toast + t->now.indexes) / before : 1.0);
}

/* Run one batch of a backfill. */
static void
run_backfill(Unit *u)
{
	char	   *why = NULL;
	UnitResult	r = backfill_unit(u->mig, u->step, &why);
	bool		waits = r == UNIT_WAIT || r == UNIT_HELD;

	u->result = waits ? DRIVE_WAIT : DRIVE_PROGRESS;
	migration_set_waiting(u->mig->id, waits ? why : NULL);
	pace_waits_for(u->mig->id, r == UNIT_HELD ? "horizon" : NULL);
	if (r == UNIT_ASIDE)
		stop_for_aside(u);
	if (r != UNIT_END)
		return;
	if (!advisory_lock(MIG_LOCK_MIGRATION, u->mig->id, ExclusiveLock, false, true))
	{
		u->result = DRIVE_WAIT;
		return;
	}
	step_done(u->mig->id, u->step->no, true);
	event_write(u->mig->id, "filled", step_detail(u->step, growth_members(task_total(u->mig->id, u->step->no))));
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

	if (is_swap(mig, steps))
	{
		char	   *closed = gates_closed_after_all(mig);

		if (closed)
		{
			take_fence_down(mig);
			migration_set_pause(mig->id, false, NULL, psprintf("%s; call mig_complete when it is open", closed));
			event_write(mig->id, "failed", step_detail(s, sql_json_member("gate", closed)));
			return;
		}
		restore_point(mig, "swap");
	}
	/* what clients are shown must not be taken back by a crash; also, a worker's commits are asynchronous otherwise */
	(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	if (s->phase == STEP_EXPAND)
	{
		check_plan(mig);
		restore_point(mig, "start");
	}
	ms = steps_run(mig, steps, mig_lock_retries);
	if (s->phase == STEP_EXPAND)
		business_checks_given(mig);
	next = step_next(mig->id);
	if (s->lock >= ShareUpdateExclusiveLock || next == NULL)
		event_write(mig->id, next ? "step" : "swapped", step_detail(s, lock_members(s->lock, ms)));
	if (s->phase == STEP_OPEN)
		lifecycle_enter(mig, PHASE_READY, NULL);
	else if (next == NULL)
		lifecycle_enter(mig, PHASE_COMPLETED, NULL);
}

/* Does a step work beside others, piece by piece, and its phase has begun? Then it takes its time from pace/. */
static bool
is_paced(const Migration *mig, const Step *s)
{
	return (s->kind == STEP_BACKFILL || s->kind == STEP_VALIDATE || s->kind == STEP_CONCURRENTLY || s->kind == STEP_VACUUM) && mig->phase == lifecycle_phase_of(s->phase);
}

/* Run a unit of backfill or check, in the time that it has. */
static void
run_paced(Unit *u)
{
	pace_begin(u->mig);
	if (u->step->kind == STEP_BACKFILL)
		run_backfill(u);
	else
		run_check(u);
	pace_end(u->mig, u->step);
}

/* See to a step that is not part of a transaction. Where no process can be had for it, a table does without VACUUM. */
static void
run_utility(Unit *u)
{
	UtilityState state = utility_run(u->mig, u->step);

	if (state == UTILITY_DONE)
		return;
	u->result = DRIVE_WAIT;
	if (state == UTILITY_WAIT || u->step->kind != STEP_VACUUM ||
		!advisory_lock(MIG_LOCK_MIGRATION, u->mig->id, ExclusiveLock, false, true))
		return;
	event_write(u->mig->id, "vacuumed", step_detail(u->step, vacuum_in_transaction(u->step, "no background worker slot is free")));
	step_done(u->mig->id, u->step->no, true);
	migration_set_waiting(u->mig->id, NULL);
	u->result = DRIVE_PROGRESS;
}

/* Do a piece of the next step. */
static void
run_unit(Unit *u)
{
	bool		paced = is_paced(u->mig, u->step);

	u->result = DRIVE_WAIT;
	if (u->mig->phase == PHASE_READY && !gates_are_open(u, PHASE_COMPLETING))
		return;					/* it completes itself, when it may */
	u->result = DRIVE_PROGRESS;
	if (!enter_phase_of(u->mig, u->step) || paced != is_paced(u->mig, u->step))
		return;					/* a phase may begin at any time, its work may not */
	if (u->step->kind != STEP_BACKFILL && step_is_moot(u->mig->id, u->step))
	{
		step_done(u->mig->id, u->step->no, true);
		return;
	}
	switch (u->step->kind)
	{
		case STEP_BACKFILL:
		case STEP_VALIDATE:
			run_paced(u);
			break;
		case STEP_SQL:
			if (u->step->phase == STEP_OPEN && (!predecessor_is_ready(u) || !snapshots_are_new(u) || !gates_are_open(u, PHASE_READY)))
				u->result = DRIVE_WAIT;
			else
				run_group(u);
			break;
		case STEP_CONCURRENTLY:
		case STEP_VACUUM:
			run_utility(u);
			break;
	}
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

/*
 * A batch of a backfill has met something that should pass: it tries with fewer rows, at once while they can be fewer, then after a while. Where that does
 * not help, the range is left for last.
 */
static void
retry_batch(Unit *u, const ErrorData *e, const char *message)
{
	switch (pace_failed(u->mig))
	{
		case CHUNK_SMALLER:
			u->result = DRIVE_PROGRESS;
			return;
		case CHUNK_GIVE_UP:
			if (backfill_put_aside(message))
				event_write(u->mig->id, "put aside", step_detail(u->step, error_members(e)));
			/* FALLTHROUGH */
		case CHUNK_AGAIN:
			migration_set_waiting(u->mig->id, message);
			pace_hold(u->mig->id, RETRY_MS);
	}
}

/* What a failed unit did, and how */
typedef struct Failure
{
	Unit	   *unit;
	const ErrorData *error;
} Failure;

/* A step has raised: wait and try again, go back to ready from completing, or stop with the reason. */
static void
note_failure(void *arg)
{
	Unit	   *u = ((Failure *) arg)->unit;
	const ErrorData *e = ((Failure *) arg)->error;
	Migration  *mig = migration_by_id(u->mig->id);
	char	   *message = failure_text(u->step, e);
	bool		retryable = txn_is_retryable(e->sqlerrcode);

	u->mig = mig;
	u->result = DRIVE_WAIT;
	if (retryable && e->sqlerrcode != ERRCODE_DISK_FULL && u->step->kind == STEP_BACKFILL)
	{
		retry_batch(u, e, message);
		return;
	}
	if (!retryable || mig->reason == NULL || strcmp(mig->reason, message) != 0)
		event_write(mig->id, retryable ? "retry" : "failed", step_detail(u->step, error_members(e)));
	if (mig->phase == PHASE_COMPLETING)
	{
		take_fence_down(mig);
		migration_set_pause(mig->id, false, NULL, message);
	}
	else if (retryable)
		migration_set_waiting(mig->id, message);
	else
		migration_set_pause(mig->id, true, "failed", message);
}

/* A unit has raised: note it. On a full disk that may fail in turn; then the next attempt says the same. */
static void
unit_failed(Unit *u, const ErrorData *e)
{
	Failure		failure = {u, e};
	ErrorData  *error;

	if (e->sqlerrcode == ERRCODE_DISK_FULL)
		pace_hold(u->mig->id, DISK_FULL_MS);
	if (txn_try(note_failure, &failure, &error))
		return;
	if (error->sqlerrcode != ERRCODE_DISK_FULL)
		ReThrowError(error);
	u->result = DRIVE_WAIT;
}

/* Is there something that this step can do now, and nobody else doing it? Takes the lock. */
static bool
claim(Unit *u)
{
	Migration  *mig = u->mig;
	Step	   *s = step_next(mig->id);
	Migration  *before;

	if (s == NULL || (s->phase == STEP_CONTRACT && mig->phase != PHASE_COMPLETING && !completes_itself(mig)))
	{
		u->result = DRIVE_REST;
		return false;
	}
	u->step = s;
	u->result = DRIVE_WAIT;
	if (mig_stop_before[0] && atoi(mig_stop_before) == s->no)
		return false;
	if (!advisory_lock(MIG_LOCK_MIGRATION, mig->id, is_paced(mig, s) ? ShareLock : ExclusiveLock, false, true))
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

/* Do a piece of the next step, unless its pace forbids. */
static void
run_if_time(void *arg)
{
	Unit	   *u = arg;

	switch (is_paced(u->mig, u->step) ? pace_ask(u->mig, u->step) : PACE_GO)
	{
		case PACE_GO:
			run_unit(u);
			break;
		case PACE_LOOKED:
			u->looked = true;
			break;
		case PACE_WAIT:
			u->result = DRIVE_WAIT;
			break;
	}
}

/* Do one unit of work, or look at the signals first: then another call does the unit, in a transaction that does not hold what the look has written. */
static DriveResult
drive_once(int64 migration_id, bool *looked)
{
	Unit		u = {.mig = migration_by_id(migration_id)};
	ErrorData  *error = NULL;

	if (u.mig && lookout(u.mig, false))
	{
		txn_next();
		u.mig = migration_by_id(migration_id);
	}
	if (u.mig && u.mig->override_over)
		overrides_end(migration_id, false);
	if (u.mig == NULL || u.mig->paused || lifecycle_ended(u.mig->phase) || (u.mig->phase == PHASE_READY && !completes_itself(u.mig)))
	{
		backfill_release();
		return DRIVE_REST;
	}
	if (claim(&u) && !txn_try(run_if_time, &u, &error))
		unit_failed(&u, error);
	if (u.step == NULL || u.step->kind != STEP_BACKFILL)
		backfill_release();
	txn_next();
	*looked = u.looked;
	return u.result;
}

/* A unit of watching, and in how many ms the next is due */
typedef struct WatchUnit
{
	const Migration *mig;
	const ErrorData *error;		/* of the unit, to be noted */
	double		due;
} WatchUnit;

/* Do a unit of watching. */
static void
run_watch(void *arg)
{
	((WatchUnit *) arg)->due = watch_unit(((WatchUnit *) arg)->mig);
}

/* It has raised: note it. */
static void
note_watch_failure(void *arg)
{
	((WatchUnit *) arg)->due = watch_failed(((WatchUnit *) arg)->mig, ((WatchUnit *) arg)->error);
}

/* Ask the gates before `completing`, for people to see. */
static void
show_gates(void *arg)
{
	(void) gates_ask(arg, PHASE_COMPLETING, GATES_AT_PRESENT);
}

/* Nothing is to be done: if both versions are in use, see whether they still hold the same. */
static DriveResult
watch(int64 migration_id)
{
	WatchUnit	unit = {.due = LATER_MS};
	ErrorData  *error;

	if (!advisory_lock(MIG_LOCK_MIGRATION, migration_id, ShareLock, false, true))
		return DRIVE_WAIT;
	unit.mig = migration_by_id(migration_id);
	if (unit.mig == NULL || unit.mig->paused || unit.mig->phase != PHASE_READY)
		unit.due = -1;
	else
	{
		latency_work_begin(migration_id);
		if (!txn_try(run_watch, &unit, &error))
		{
			unit.error = error;
			unit.due = LATER_MS;
			(void) txn_try(note_watch_failure, &unit, &error);	/* on a full disk that may fail, too */
		}
		if (gates_are_stale(migration_id, GATES_SHOWN_MS))
			(void) txn_try(show_gates, (void *) unit.mig, &error);
		latency_work_end();
	}
	txn_next();
	if (unit.due < 0)
		return DRIVE_REST;
	pace_wake(migration_id, unit.due);
	return DRIVE_WATCH;
}

DriveResult
drive(int64 migration_id)
{
	bool		looked = false;
	DriveResult result = drive_once(migration_id, &looked);

	if (looked)
		result = drive_once(migration_id, &looked);
	return result == DRIVE_REST ? watch(migration_id) : result;
}

bool
drive_rests(const Migration *mig)
{
	return mig->phase == PHASE_READY && pace_asleep(mig->id) && !completes_itself(mig);
}
