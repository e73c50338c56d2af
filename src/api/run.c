/*
 * run.c
 *		The procedures mig_run, mig_wait and mig_tick.
 *
 * They commit between two units of work, so they must be called outside a transaction block; while they sleep they hold neither locks nor
 * a snapshot.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "backfill/backfill.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "base/sql.h"
#include "base/txn.h"
#include "control/drive.h"
#include "pace/pace.h"
#include "store/task.h"

#define SHORTEST_NAP_MS	5
#define LONGEST_NAP_MS	200
#define NOTICE_GAP_MS	1000
#define SAME_NOTICE_MS	60000	/* one that says what the last one said */
#define BAR_WIDTH		20

PG_FUNCTION_INFO_V1(mig_run);
PG_FUNCTION_INFO_V1(mig_wait);
PG_FUNCTION_INFO_V1(mig_tick);

/* What a procedure works with; a copy lies on its stack */
typedef struct Call
{
	const char *name;
	MigPhase	until;
	TimestampTz started;
	TimestampTz deadline;
	const char *budget;			/* the interval as given */
	MemoryContext scratch;		/* reset at each turn */
	TimestampTz noticed;		/* when the last notice was sent, */
	TimestampTz looked;			/* and when it was last thought of; */
	uint32		notice;			/* hash of what it said */
} Call;

/* Raise 2D000 when the procedure cannot commit here. */
static void
require_non_atomic(FunctionCallInfo fcinfo, const char *procedure)
{
	bool		atomic = !(fcinfo->context && IsA(fcinfo->context, CallContext)) ||
		castNode(CallContext, fcinfo->context)->atomic;

	if (!atomic && !IsSubTransaction())
	{
		require_read_committed(procedure);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
			 errmsg("%s must be called outside a transaction block", procedure),
			 errdetail("It commits after each unit of work."),
			 errhint("Use CALL %s(...) as a statement of its own, without BEGIN and not from a function.", procedure)));
}

/* An interval argument as a moment from now on, and as text. */
static void
set_deadline(FunctionCallInfo fcinfo, int n, const char *name, Call *call)
{
	Datum		interval;

	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name)));
	interval = PointerGetDatum(PG_GETARG_INTERVAL_P(n));
	call->budget = DatumGetCString(DirectFunctionCall1(interval_out, interval));
	call->deadline = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
															 TimestampTzGetDatum(GetCurrentTimestamp()), interval));
}

/* Fill in what all three procedures need. */
static void
call_init(Call *call)
{
	memset(call, 0, sizeof(Call));
	call->started = GetCurrentTimestamp();
	call->looked = call->started;
	call->scratch = AllocSetContextCreate(CurrentMemoryContext, "mig_control procedure", ALLOCSET_DEFAULT_SIZES);
}

/* Forget the last turn's memory. */
static void
next_turn(Call *call)
{
	MemoryContextReset(call->scratch);
	MemoryContextSwitchTo(call->scratch);
}

/* Sleep for a while that grows with each call until something is done. */
static void
nap(long *ms, long most)
{
	txn_nap(Max(Min(pace_nap_ms(*ms), most), 1));
	*ms = Min(*ms + *ms / 2, LONGEST_NAP_MS);
}

/* Read the migration again; 42704 when its row is gone. */
static Migration *
reread(const Call *call, int64 id)
{
	Migration  *mig = migration_by_id(id);

	if (mig == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("migration \"%s\" does not exist any more", call->name)));
	hide_texts(mig);
	return mig;
}

/* Has the migration reached the phase, or a later one on the same way (forth or back)? */
static bool
has_reached(const Migration *mig, MigPhase until)
{
	if (until >= PHASE_ROLLING_BACK)
		return mig->phase >= until;
	return mig->phase >= until && mig->phase <= PHASE_COMPLETED;
}

/* Why it does not move, as a detail of an error. */
static int
detail_of(const Migration *mig)
{
	if (mig->error && mig->reason && strcmp(mig->reason, "failed") != 0)
		return errdetail("%s (%s)", mig->error, mig->reason);
	if (mig->error || mig->reason)
		return errdetail("%s", mig->error ? mig->error : mig->reason);
	return 0;
}

/* Raise when the migration will not reach the phase by itself; pauses: also when it is merely paused. */
static void
check_hopeful(const Migration *mig, MigPhase until, bool pauses)
{
	bool		ended = mig->phase >= PHASE_COMPLETED;

	if (ended && !(mig->phase == PHASE_ROLLING_BACK && until >= PHASE_ROLLING_BACK))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" does not reach \"%s\": it is %s", mig->name, phase_name(until),
						mig->phase == PHASE_COMPLETED ? "completed" :
						mig->phase == PHASE_ROLLED_BACK ? "rolled back" : "being rolled back"),
				 detail_of(mig)));
	if (mig->phase == PHASE_READY && until > PHASE_READY && mig->error)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" could not be completed and is ready again", mig->name),
				 detail_of(mig),
				 errhint("Correct that, then call mig_complete('%s') again.", mig->name)));
	if (mig->paused && (pauses || mig->error))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 mig->error ? errmsg("migration \"%s\" has failed in phase \"%s\"", mig->name, phase_name(mig->phase)) :
				 errmsg("migration \"%s\" is paused in phase \"%s\"", mig->name, phase_name(mig->phase)),
				 detail_of(mig),
				 errhint("Call mig_resume('%s') to go on, or mig_rollback('%s').", mig->name, mig->name)));
}

/* A bar and the number of rows that a step has got through. */
static char *
describe_rows(const Step *step, const Task *task)
{
	int64		total = Max(Max(task->rows_total, task->rows_done), 1);
	int			filled = (int) (task->rows_done * BAR_WIDTH / total);
	char		bar[BAR_WIDTH + 1];

	memset(bar, '-', BAR_WIDTH);
	memset(bar, '#', filled);
	bar[BAR_WIDTH] = '\0';
	return psprintf("[%s] %3d %%  %s  " INT64_FORMAT " rows", bar, (int) (task->rows_done * 100 / total), step->relation ? step->relation : "", task->rows_done);
}

/* Where a migration stands, in one line. */
static char *
describe_progress(const Migration *mig, char *const *pace)
{
	Step	   *step = step_next(mig->id);
	Task	   *task = step ? task_total(mig->id, step->no) : NULL;
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s  %s", phase_name(mig->phase), task ? describe_rows(step, task) : step && step->relation ? step->relation : "");
	if (task && pace[0])
		appendStringInfo(&text, "  %s/s", pace[0]);
	if (pace[1])
		appendStringInfo(&text, "  duty %s %%", pace[1]);
	if (task && pace[2])
		appendStringInfo(&text, "  eta %s", pace[2]);
	return text.data;
}

/* Send a progress notice, at most one a second; one that says nothing new, at most one a minute. */
static void
notice_progress(Call *call, const Migration *mig)
{
	TimestampTz now = GetCurrentTimestamp();
	char	  **pace;
	char	   *text;
	char	   *news;
	uint32		hash;

	if (!TimestampDifferenceExceeds(call->looked, now, NOTICE_GAP_MS))
		return;
	call->looked = now;
	pace = sql_queryp("SELECT rows_per_second, CASE WHEN duty < 1 THEN round((100 * duty)::numeric) END, eta, waiting_for FROM mig.state WHERE id = $1",
					  P_int8(mig->id))->v[0];
	text = describe_progress(mig, pace);
	news = pace[3] ? pace[3] : text;
	hash = string_hash(news, strlen(news) + 1);
	if (hash == call->notice && !TimestampDifferenceExceeds(call->noticed, now, SAME_NOTICE_MS))
		return;
	ereport(NOTICE,
			(errmsg("%s", text),
			 pace[3] ? errdetail("It waits: %s.", pace[3]) : 0));
	call->notice = hash;
	call->noticed = now;
}

/* Nothing was to be done, and the phase is not reached: say what it takes. */
static void
report_rest(const Call *call, const Migration *mig)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration \"%s\" is %s and does not reach \"%s\" by itself", mig->name, phase_name(mig->phase),
					phase_name(call->until)),
			 mig->phase == PHASE_READY ?
			 errhint("Call mig_complete('%s') or mig_rollback('%s').", mig->name, mig->name) : 0));
}

/* Drive a migration until it has reached the phase. */
static void
run_until(Call *call)
{
	long		ms = SHORTEST_NAP_MS;
	Migration  *mig;
	int64		id;

	txn_begin(false);
	mig = find_migration(call->name);
	check_may_steer(mig, false);
	id = mig->id;
	for (;;)
	{
		DriveResult result;

		next_turn(call);
		mig = reread(call, id);
		if (has_reached(mig, call->until))
			break;
		check_hopeful(mig, call->until, true);
		notice_progress(call, mig);
		result = drive(id);
		if (result >= DRIVE_WATCH)
		{
			Migration  *now = reread(call, id);

			if (now->phase == mig->phase && !now->paused && !has_reached(now, call->until))
				report_rest(call, now);
		}
		if (result == DRIVE_PROGRESS)
			ms = SHORTEST_NAP_MS;
		else
			nap(&ms, LONGEST_NAP_MS);
	}
	ereport(NOTICE, (errmsg("migration \"%s\" is %s after %.1f s", mig->name, phase_name(mig->phase),
							(GetCurrentTimestamp() - call->started) / 1000000.0)));
	txn_end();
}

/* The time is over. */
static void
report_timeout(const Call *call, const Migration *mig)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration \"%s\" did not reach \"%s\" within %s", mig->name, phase_name(call->until), call->budget),
			 errdetail("It is %s in phase \"%s\"%s%s.", mig->paused ? "paused" : "waiting", phase_name(mig->phase),
					   mig->reason ? ": " : "", mig->reason ? mig->reason : ""),
			 mig->paused ? errhint("Call mig_resume('%s').", mig->name) :
			 mig->phase == PHASE_READY ? errhint("Call %s('%s').", call->until >= PHASE_ROLLING_BACK ? "mig_rollback" : "mig_complete", mig->name) :
			 !shmem_available() || !mig_worker ? errhint("No background workers are at work here: use CALL mig_run('%s').", mig->name) :
			 errhint("mig_status('%s') shows how far it is.", mig->name)));
}

/* Poll until the migration has reached the phase. */
static void
wait_until(Call *call)
{
	long		ms = SHORTEST_NAP_MS;
	Migration  *mig;
	int64		id;

	txn_begin(false);
	mig = find_migration(call->name);
	id = mig->id;
	if ((!shmem_available() || !mig_worker) && !has_reached(mig, call->until))
		ereport(NOTICE,
				(errmsg("no background workers are at work here, so somebody must drive migration \"%s\"", mig->name),
				 errhint("Use CALL mig_run('%s'), or set shared_preload_libraries = 'mig_control'.", mig->name)));
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();

		next_turn(call);
		mig = reread(call, id);
		if (has_reached(mig, call->until))
			break;
		check_hopeful(mig, call->until, false);
		if (now >= call->deadline)
			report_timeout(call, mig);
		nap(&ms, TimestampDifferenceMilliseconds(now, call->deadline));
	}
	txn_end();
}

/* May the caller drive this migration? */
static bool
may_drive(const Migration *mig)
{
	return !mig->paused && (superuser() || (OidIsValid(mig->owner) && has_privs_of_role(GetUserId(), mig->owner)));
}

/* Drive each active migration once; returns what the most active one said. */
static DriveResult
drive_all(const Call *call)
{
	DriveResult result = DRIVE_REST;
	ListCell   *lc;

	foreach(lc, migrations_active())
	{
		Migration  *mig = lfirst(lc);

		if (may_drive(mig))
		{
			DriveResult r = drive(mig->id);

			result = Min(result, r);
		}
		if (GetCurrentTimestamp() >= call->deadline)
			break;
	}
	return result;
}

/* Drive all active migrations until the budget is used up or nothing is left to do. */
static void
tick(Call *call)
{
	long		ms = SHORTEST_NAP_MS;
	TimestampTz now;

	txn_begin(false);
	do
	{
		DriveResult result;

		next_turn(call);
		result = drive_all(call);
		/* where there are workers, it is theirs to watch */
		if (result == DRIVE_REST || (result == DRIVE_WATCH && shmem_available() && mig_worker))
			break;
		now = GetCurrentTimestamp();
		if (result == DRIVE_PROGRESS)
			ms = SHORTEST_NAP_MS;
		else if (now < call->deadline)
			nap(&ms, TimestampDifferenceMilliseconds(now, call->deadline));
	} while (now < call->deadline);
	txn_end();
}

/* Run a loop that drives; the range this session has claimed is given up however it ends. */
static void
driving(void (*loop) (Call *call), Call *call)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		loop(call);
	}
	PG_CATCH();
	{
		backfill_release();
		PG_RE_THROW();
	}
	PG_END_TRY();
	backfill_release();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(call->scratch);
}

/* mig_run(name, until): drive a migration in this session. */
Datum
mig_run(PG_FUNCTION_ARGS)
{
	Call		call;

	require_non_atomic(fcinfo, "mig_run");
	PreventCommandDuringRecovery("mig_run()");
	call_init(&call);
	call.name = arg_text_required(fcinfo, 0, "name");
	call.until = phase_from_name(arg_text_required(fcinfo, 1, "until"));
	driving(run_until, &call);
	PG_RETURN_VOID();
}

/* mig_wait(name, until, timeout): wait for a migration that others drive. */
Datum
mig_wait(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	Call		call;

	require_non_atomic(fcinfo, "mig_wait");
	call_init(&call);
	call.name = arg_text_required(fcinfo, 0, "name");
	call.until = phase_from_name(arg_text_required(fcinfo, 1, "until"));
	set_deadline(fcinfo, 2, "timeout", &call);
	if (!shmem_available())
		ereport(NOTICE,
				(errmsg("mig_control is not in shared_preload_libraries, so this waits for what other sessions drive"),
				 errhint("CALL mig_run('%s') drives the migration itself.", call.name)));
	wait_until(&call);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(call.scratch);
	PG_RETURN_VOID();
}

/* mig_tick(budget): drive everything for a while. */
Datum
mig_tick(PG_FUNCTION_ARGS)
{
	Call		call;

	require_non_atomic(fcinfo, "mig_tick");
	PreventCommandDuringRecovery("mig_tick()");
	call_init(&call);
	set_deadline(fcinfo, 0, "budget", &call);
	driving(tick, &call);
	PG_RETURN_VOID();
}
