/*
 * utility.c
 *		Runs steps that cannot be part of a transaction: in a one-shot worker or, when there is no slot for one, in the leader itself.
 *
 * Whoever runs one holds the session-level advisory lock UTILITY of the migration from before it reads the step until it exits. So there is one per
 * migration, and a rollback that has written its phase either is seen by the worker or sees the worker, and cancels it. The worker reads the step
 * under MIGRATION in share mode and marks it done under the same in exclusive mode, in transactions of their own; if it dies in between, the next
 * one finds the finished index valid, or drops the invalid one and builds it again.
 *
 * Leaders that each hold one of the last slots would wait for another one for ever; so a leader runs the statement when it has nothing else to drive. A
 * session that calls mig_run or mig_tick cannot: it is inside a CALL.
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/shmem.h"
#include "base/sql.h"
#include "base/txn.h"
#include "control/background.h"
#include "control/lifecycle.h"
#include "control/toplevel.h"
#include "control/utility.h"
#include "control/vacuum.h"

#define NO_SLOT			"no background worker slot is free (max_worker_processes)"
#define NO_SLOT_IN_CALL	NO_SLOT ", and this statement cannot be run by CALL mig_run or mig_tick itself"
#define RETRY_MS		1000	/* before this process tries the same step again */
#define CLAIM_ATTEMPTS	10
#define CLAIM_PAUSE_MS	20

/* What the worker is to do; strings live as long as it does */
typedef struct Work
{
	BackgroundTask task;
	MemoryContext context;
	Oid			owner;
	Step	   *step;
	char	   *sql;
	char	   *relation;
	char	   *unique;			/* what it makes unique, in the user's words; NULL: nothing */
	char	   *drop;			/* removes what an attempt that did not end has left; NULL: nothing to remove */
	bool		built;			/* the index is there and valid: only the mark is missing */
} Work;

/* The last worker this process started, so that it is not started twice before it holds its lock; or what it ran itself */
static struct
{
	BackgroundTask task;
	TimestampTz at;
	BackgroundWorkerHandle *handle; /* NULL: itself */
}			last;

/* The last one that there was no slot for; migration_id 0: none */
static BackgroundTask refused;
static TimestampTz refused_since;

/* Pid of the holder of the migration's UTILITY lock; 0 if there is none. */
static int
utility_holder(int64 migration_id)
{
	SqlRows    *rows = admin_queryp("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1 AND objid = $2 AND objsubid = $3"
									" AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()",
									P_oid((Oid) (migration_id >> 32)), P_oid((Oid) migration_id), P_int4(MIG_LOCK_UTILITY));

	return rows->n ? pg_strtoint32(rows->v[0][0]) : 0;
}

/* Whom that one waits for, in words; NULL: nobody. */
static char *
blocker_of(int pid, const Step *step)
{
	SqlRows    *rows = admin_queryp("SELECT format('%s, which waits for pid %s (%s): %s', $2, a.pid, coalesce(a.state, a.backend_type),"
									" left(regexp_replace(a.query, '\\s+', ' ', 'g'), 120)) FROM pg_stat_activity a"
									" WHERE a.pid = ANY (pg_blocking_pids($1)) ORDER BY a.xact_start LIMIT 1", P_int4(pid),
									P_text(step->kind == STEP_VACUUM ? "the table is being vacuumed" : "an index is being built"));

	return rows->n ? rows->v[0][0] : NULL;
}

void
utility_cancel(int64 migration_id)
{
	int			pid = utility_holder(migration_id);

	if (pid != 0)
		(void) admin_queryp("SELECT pg_cancel_backend($1)", P_int4(pid));
}

/* Has this process started a worker for the step that is about to run, or that ended so recently that it should wait? */
static bool
recently_started(const BackgroundTask *task, TimestampTz now)
{
	if (last.task.migration_id != task->migration_id || last.task.step_no != task->step_no)
		return false;
	return (last.handle && background_alive(last.handle)) || clock_to_come(now, TimestampTzPlusMilliseconds(last.at, RETRY_MS), RETRY_MS);
}

/* Remember what was begun. */
static void
remember(const BackgroundTask *task, TimestampTz now, BackgroundWorkerHandle *handle)
{
	if (last.handle)
		pfree(last.handle);
	last.handle = handle;
	last.task = *task;
	last.at = now;
}

/* Start the worker; false when there is no slot for it. */
static bool
start(const BackgroundTask *task, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	BackgroundWorkerHandle *handle;
	bool		started = background_start("mig_control utility", "mig_utility_main", MyDatabaseId, task, &handle);

	if (started)
	{
		remember(task, now, handle);
		refused.migration_id = 0;
	}
	MemoryContextSwitchTo(old);
	return started;
}

/* There is no slot: the leader may run it itself (utility_run_here), a procedure cannot. */
static UtilityState
no_slot(const Migration *mig, const BackgroundTask *task)
{
	bool		in_call = txn_in_procedure();

	migration_set_waiting(mig->id, in_call ? NO_SLOT_IN_CALL : NO_SLOT);
	if (in_call)
		return UTILITY_NO_SLOT;
	if (refused.migration_id != task->migration_id || refused.step_no != task->step_no)
		refused_since = GetCurrentTimestamp();
	refused = *task;
	return UTILITY_WAIT;
}

UtilityState
utility_run(const Migration *mig, const Step *step)
{
	BackgroundTask task = {.migration_id = mig->id,.step_no = step->no};
	TimestampTz now = GetCurrentTimestamp();
	int			holder = utility_holder(mig->id);
	Step	   *next;

	if (holder != 0)
	{
		migration_set_waiting(mig->id, blocker_of(holder, step));
		return UTILITY_WAIT;
	}
	next = step_next(mig->id);	/* it may have ended just now */
	if (next == NULL || next->no != step->no)
		return UTILITY_DONE;
	if (recently_started(&task, now))
		return UTILITY_WAIT;
	if (!start(&task, now))
		return no_slot(mig, &task);
	if (mig->reason && strncmp(mig->reason, NO_SLOT, strlen(NO_SLOT)) == 0)
		migration_set_waiting(mig->id, NULL);
	return UTILITY_WAIT;
}

/* The statement, if it is a CREATE INDEX; else NULL. */
static IndexStmt *
index_statement(const char *sql)
{
	List	   *list = raw_parser(sql, RAW_PARSE_DEFAULT);
	Node	   *stmt = list ? linitial_node(RawStmt, list)->stmt : NULL;

	return stmt && IsA(stmt, IndexStmt) ? (IndexStmt *) stmt : NULL;
}

/* The index that a CREATE INDEX makes, by its name, as it is there now; InvalidOid: none, or another one. Inside a transaction. */
static Oid
index_of_statement(const char *sql)
{
	IndexStmt  *stmt = index_statement(sql);
	Oid			table = stmt ? RangeVarGetRelid(stmt->relation, NoLock, true) : InvalidOid;
	Oid			index = InvalidOid;
	HeapTuple	tuple;
	bool		same;

	if (OidIsValid(table) && stmt->idxname)
		index = get_relname_relid(stmt->idxname, get_rel_namespace(table));
	tuple = OidIsValid(index) ? SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index)) : NULL;
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	same = ((Form_pg_index) GETSTRUCT(tuple))->indrelid == table && ((Form_pg_index) GETSTRUCT(tuple))->indisunique == stmt->unique;
	ReleaseSysCache(tuple);
	return same ? index : InvalidOid;
}

/* Look for the index that the step makes: finished but for the mark, or left invalid. Inside a transaction. */
static void
find_leftover(Work *work)
{
	Oid			index = index_of_statement(work->sql);

	work->built = OidIsValid(index) && get_index_isvalid(index);
	work->drop = NULL;
	if (OidIsValid(index) && !work->built)
		work->drop = MemoryContextStrdup(work->context, psprintf("DROP INDEX CONCURRENTLY %s", sql_relation_name(index)));
}

bool
utility_left_index(int64 migration_id, const Step *step)
{
	Oid			index = step->kind == STEP_CONCURRENTLY ? index_of_statement(step->sql) : InvalidOid;
	Step	   *next;

	if (!OidIsValid(index) || !get_index_isvalid(index))
		return OidIsValid(index);
	/* a crash may also come between the end of the build and its mark */
	next = step_next(migration_id);
	return next != NULL && next->no == step->no;
}

/* Set the settings that the migration's expressions run under, for the whole session. */
static void
apply_settings(const char *settings)
{
	SetConfigOption("mig_control.own_statements", "1", PGC_SUSET, PGC_S_SESSION);
	if (settings)
		ProcessGUCArray(DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, pstrdup(settings), TEXTOID, -1)),
						PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SET);
}

/* Read what is to be done. False when it no longer is: done, paused, rolled back. */
static bool
read_work(Work *work)
{
	Migration  *mig;
	Step	   *step;

	if (!background_installed())
		return false;
	(void) advisory_lock(MIG_LOCK_MIGRATION, work->task.migration_id, ShareLock, false, false);
	mig = migration_by_id(work->task.migration_id);
	step = mig ? step_next(mig->id) : NULL;
	if (step == NULL || step->no != work->task.step_no || (step->kind != STEP_CONCURRENTLY && step->kind != STEP_VACUUM) || mig->paused ||
		mig->phase != lifecycle_phase_of(step->phase))
		return false;
	if (!OidIsValid(mig->owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the owner of migration \"%s\" does not exist any more", mig->name)));
	work->owner = mig->owner;
	work->step = step;
	work->sql = MemoryContextStrdup(work->context, step->sql);
	work->relation = step->relation ? MemoryContextStrdup(work->context, step->relation) : NULL;
	/* up to the first semicolon a unique index's note says that */
	if (step->note && strstr(step->note, " unique in "))
		work->unique = MemoryContextStrdup(work->context, pnstrdup(step->note, strcspn(step->note, ";")));
	apply_settings(mig->settings);
	if (step->kind == STEP_CONCURRENTLY)
		find_leftover(work);
	return true;
}

/* {"step": n, "relation": …} with more members */
static char *
work_detail(const Work *work, const char *more)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"step\": %d, \"relation\": ", work->task.step_no);
	if (work->relation)
		escape_json(&buf, work->relation);
	else
		appendStringInfoString(&buf, "null");
	appendStringInfo(&buf, "%s}", more);
	return buf.data;
}

/* Mark the step done. */
static void
mark_done(Work *work, const char *event, const char *more)
{
	txn_begin(true);
	(void) advisory_lock(MIG_LOCK_MIGRATION, work->task.migration_id, ExclusiveLock, false, false);
	step_done(work->task.migration_id, work->task.step_no, true);
	event_write(work->task.migration_id, event, work_detail(work, more));
	shmem_wake_at_commit();
	txn_end();
}

/* Do the work, and mark the step done. */
static void
execute(void *arg)
{
	Work	   *work = arg;
	bool		wanted;

	txn_begin(true);
	wanted = read_work(work);
	toplevel_pace(work->task.migration_id);
	txn_end();
	if (!wanted)
		return;
	if (work->step->kind == STEP_VACUUM)
	{
		char	   *told = vacuum_run(work->task.migration_id, work->step, work->context);

		if (told)
			mark_done(work, "vacuumed", told);
		return;
	}
	if (work->drop)
		toplevel_run(work->drop, work->owner, work->context);
	if (!work->built)
		toplevel_run(work->sql, work->owner, work->context);
	mark_done(work, "step", sql_json_member("sql", work->sql));
}

/* Remove an index that was left invalid: a unique one would go on refusing rows. */
static void
clean_up(void *arg)
{
	Work	   *work = arg;

	if (work->sql == NULL || work->step->kind != STEP_CONCURRENTLY)
		return;
	txn_begin(true);
	find_leftover(work);
	txn_end();
	if (work->drop)
		toplevel_run(work->drop, work->owner, work->context);
}

/* The values in "Key (a, b)=(1, 2) is duplicated."; NULL if that is not what the detail is like */
static char *
duplicated_values(const char *detail)
{
	const char *values = detail ? strstr(detail, ")=(") : NULL;
	const char *end = values ? strrchr(values, ')') : NULL;

	return values ? pnstrdup(values + 2, end - values - 1) : NULL;
}

/* What to tell of an error. The server's words for duplicates name hidden columns; the step's note says in the user's what was to be unique. */
static char *
failure_text(const Work *work, const ErrorData *error)
{
	char	   *values = error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && work->unique ? duplicated_values(error->detail) : NULL;

	if (values)
		return psprintf("it is not so that %s; duplicated: %s", work->unique, values);
	return error->detail ? psprintf("%s: %s", error->message, error->detail) : error->message;
}

/* Write the failure down, unless the migration is on its way back: then we were cancelled on purpose. */
static void
store_failure(Work *work, const ErrorData *error)
{
	int64		id = work->task.migration_id;
	bool		retry = lock_is_missed(error->sqlerrcode);
	char	   *message = failure_text(work, error);
	Migration  *mig;

	txn_begin(true);
	/* a rollback that is under way has the lock; what it wrote is seen after it */
	(void) advisory_lock(MIG_LOCK_MIGRATION, id, ExclusiveLock, false, false);
	mig = migration_by_id(id);
	if (mig && mig->phase < PHASE_COMPLETED)
	{
		if (retry)
			migration_set_waiting(id, message);
		else if (!mig->paused)
			migration_set_pause(id, true, "failed", message);
		event_write(id, retry ? "retry" : "failed", work_detail(work, sql_json_member("error", message)));
		shmem_wake_at_commit();
	}
	txn_end();
}

/* Become the one that runs the migration's utility statement. */
static bool
claim(int64 migration_id)
{
	for (int i = 0; i < CLAIM_ATTEMPTS; i++)
	{
		bool		got;

		StartTransactionCommand();
		got = advisory_lock(MIG_LOCK_UTILITY, migration_id, ExclusiveLock, true, true);
		CommitTransactionCommand();
		if (got)
			return true;
		(void) background_sleep(CLAIM_PAUSE_MS);
	}
	return false;
}

/* Give up what claim() took. A cancel that was meant for the statement must not meet what comes next. */
static void
release(int64 migration_id)
{
	StartTransactionCommand();
	advisory_unlock(MIG_LOCK_UTILITY, migration_id, ExclusiveLock);
	CommitTransactionCommand();
	QueryCancelPending = false;
}

/* Run a task in this process, outside a transaction, unless another one does. */
static void
run_task(const BackgroundTask *task)
{
	Work		work = {.task = *task};
	ErrorData  *error;

	/* of a deadlock with a client, we are the victim */
	SetConfigOption("deadlock_timeout", "50ms", PGC_SUSET, PGC_S_SESSION);
	if (!claim(task->migration_id))
		return;
	work.context = AllocSetContextCreate(TopMemoryContext, "mig_control utility", ALLOCSET_DEFAULT_SIZES);
	error = toplevel_try(execute, &work, work.context);
	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
	{
		/* a rollback waits for the table */
		(void) toplevel_try(clean_up, &work, work.context);
		store_failure(&work, error);
	}
	else if (error)
	{
		store_failure(&work, error);
		(void) toplevel_try(clean_up, &work, work.context);
	}
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextDelete(work.context);
	release(task->migration_id);
}

bool
utility_run_here(void)
{
	BackgroundTask task = refused;

	/* one may be free in a moment */
	if (task.migration_id == 0 || !TimestampDifferenceExceeds(refused_since, GetCurrentTimestamp(), RETRY_MS))
		return false;
	refused.migration_id = 0;
	run_task(&task);
	remember(&task, GetCurrentTimestamp(), NULL);
	/* what was set for the migration and for the statement */
	ResetAllOptions();
	background_settings();
	return true;
}

/* Entry point of the worker. */
void
mig_utility_main(Datum arg)
{
	BackgroundTask task = background_enter();

	background_connect(DatumGetObjectId(arg));
	run_task(&task);
	proc_exit(0);
}
