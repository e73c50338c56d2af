/*
 * signal_query.c
 *		The signal "query": SQL of the user's that says true to stop.
 *
 * It runs as the migration's owner, under the settings of the migration's start, in a read-only subtransaction that is rolled back, for at most
 * mig_control.throttle_query_timeout. What is not a plain false stops as well, and says why: an error, NULL, no row, several rows, no answer in time.
 * Owns the timer.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/timeout.h"

#include "base/settings.h"
#include "base/sql.h"
#include "pace/signal.h"
#include "pace/signal_readers.h"

/* A run of the query */
typedef struct Run
{
	const char *query;
	Oid			owner;
	const char *settings;		/* text[] literal; NULL: those of the session */
	bool		check;			/* also its form */
	bool		stop;
	char	   *why;			/* it is no plain answer; NULL */
} Run;

static TimeoutId timer = MAX_TIMEOUTS;
static volatile sig_atomic_t timed_out = false;

/* Signal handler: the query has had its time. */
static void
on_time_out(void)
{
	timed_out = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

/* Let the query's time begin. */
static void
start_timer(void)
{
	if (timer == MAX_TIMEOUTS)
		timer = RegisterTimeout(USER_TIMEOUT, on_time_out);
	timed_out = false;
	enable_timeout_after(timer, mig_throttle_query_timeout);
}

/* The query has ended; a cancel that the timer asked for a moment too late is not meant for what follows. */
static void
stop_timer(void)
{
	disable_timeout(timer, false);
	if (timed_out)
		QueryCancelPending = false;
}

/* Is it one SELECT of one boolean? Raises for what cannot be analysed. */
static bool
has_form(const char *query)
{
	List	   *statements = pg_parse_query(query);
	List	   *queries = NIL;
	Query	   *q;

	if (list_length(statements) != 1 || !IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		return false;
	queries = pg_analyze_and_rewrite_fixedparams(linitial(statements), query, NULL, 0, NULL);
	q = list_length(queries) == 1 ? linitial(queries) : NULL;
	return q && q->commandType == CMD_SELECT && !q->hasModifyingCTE && q->rowMarks == NIL && ExecCleanTargetListLength(q->targetList) == 1 &&
		exprType((Node *) linitial_node(TargetEntry, q->targetList)->expr) == BOOLOID;
}

/* Run the query and look at its answer. */
static void
ask(Run *run)
{
	char	   *value = NULL;

	if (SPI_execute(run->query, true, 2) != SPI_OK_SELECT)
		run->why = "is no SELECT";
	else if (SPI_processed == 0)
		run->why = "returned no row";
	else if (SPI_processed > 1)
		run->why = "returned more than one row";
	else if ((value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1)) == NULL)
		run->why = "returned NULL";
	run->stop = run->why || value[0] != 'f';
}

/* Ask as the owner, and for the owner's rows: the engine's own row_security = off would raise where there are policies. */
static void
ask_as_owner(Run *run)
{
	Identity	saved;

	owner_begin(&saved, run->owner, true);
	settings_apply(run->settings);
	setting_set("row_security", "on");
	XactReadOnly = true;
	SPI_connect();
	if (run->check && !has_form(run->query))
		run->why = "must be one SELECT of one column of type boolean";
	else
		ask(run);
	SPI_finish();
	identity_end(&saved);
}

/* Is this a cancel or shutdown that is not of our timer's making? */
static bool
must_rethrow(int sqlerrcode)
{
	return (sqlerrcode == ERRCODE_QUERY_CANCELED && !timed_out) || sqlerrcode == ERRCODE_ADMIN_SHUTDOWN || sqlerrcode == ERRCODE_CRASH_SHUTDOWN;
}

/* Run the query in a subtransaction of which nothing stays. */
static void
ask_safely(Run *run)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	start_timer();
	PG_TRY();
	{
		ask_as_owner(run);
		stop_timer();
	}
	PG_CATCH();
	{
		stop_timer();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error == NULL)
		return;
	if (must_rethrow(error->sqlerrcode))
		ReThrowError(error);
	run->stop = true;
	run->why = timed_out ? psprintf("gave no answer within %d ms", mig_throttle_query_timeout)
		: psprintf("failed: %s: %s", unpack_sql_state(error->sqlerrcode), error->message);
}

Reading
read_query(const SignalContext *context)
{
	Run			run = {.query = throttle_query(context->throttle),.owner = context->mig->owner,.settings = context->mig->settings};
	Reading		r = {.known = true};

	if (run.query == NULL)
		return r;
	ask_safely(&run);
	r.value = run.stop;
	if (run.stop)
		r.who = psprintf("it %s", run.why ? run.why : "returned true");
	return r;
}

void
query_check(const char *query, Oid owner, const char *settings)
{
	Run			run = {.query = query,.owner = owner,.settings = settings,.check = true};

	ask_safely(&run);
	if (run.why)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options.throttle.query %s", run.why),
				 errdetail("It runs as role \"%s\", read-only.", GetUserNameFromId(owner, false)),
				 errhint("It has to return true, to stop, or false.")));
}
