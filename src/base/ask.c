/*
 * ask.c
 *		Runs a user's query read-only and within a time.
 *
 * Owns one time-out of this process. Its handler asks for a cancel, as a statement time-out does; a flag tells it from a cancel by somebody else. A time-out of
 * our own, because workers have no statement time-out, and a CALL's belongs to its session.
 */
#include "base/compat.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timeout.h"

#include "base/ask.h"
#include "base/settings.h"
#include "base/txn.h"

static TimeoutId timeout = MAX_TIMEOUTS;
static volatile sig_atomic_t timed_out = false;

/* A question under way */
typedef struct Question
{
	Oid			role;
	const char *settings;
	const char *sql;
	bool		prepare_only;
	SqlRows    *rows;
	int			columns;		/* of the result, when it is only prepared */
} Question;

/* Time-out handler: cancel what runs. */
static void
time_is_up(void)
{
	timed_out = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* Prepare the query, and note how many columns it has. */
static void
prepare(Question *q)
{
	SPIPlanPtr	plan;
	List	   *sources;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare(q->sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	sources = SPI_plan_get_plan_sources(plan);
	if (list_length(sources) == 1 && ((CachedPlanSource *) linitial(sources))->resultDesc)
		q->columns = ((CachedPlanSource *) linitial(sources))->resultDesc->natts;
	SPI_finish();
}

/* Prepare or run the query. */
static void
run(void *arg)
{
	Question   *q = arg;
	Identity	saved;

	owner_begin(&saved, q->role, true);
	settings_apply(q->settings);
	setting_set("transaction_read_only", "on");
	if (q->prepare_only)
		prepare(q);
	else
		q->rows = sql_query(q->sql);
	identity_end(&saved);
}

/* Run it within a time; what it raised, or NULL. */
static ErrorData *
run_in_time(Question *q, int timeout_ms)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	if (timeout == MAX_TIMEOUTS)
		timeout = RegisterTimeout(USER_TIMEOUT, time_is_up);
	timed_out = false;
	enable_timeout_after(timeout, timeout_ms);
	PG_TRY();
	{
		error = txn_trial(run, q);
		disable_timeout(timeout, false);
	}
	PG_CATCH();
	{
		disable_timeout(timeout, false);
		if (!timed_out || geterrcode() != ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		/* the subtransaction has ended, and nothing was done since */
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (timed_out)
		QueryCancelPending = false;	/* it came too late to cancel anything */
	return error;
}

SqlRows *
ask_query(Oid role, const char *settings, const char *sql, int timeout_ms, char **failure)
{
	Question	q = {.role = role,.settings = settings,.sql = sql};
	ErrorData  *error = run_in_time(&q, timeout_ms);

	*failure = NULL;
	if (timed_out)
		*failure = psprintf("it took longer than %d ms", timeout_ms);
	else if (error)
		*failure = error->message;
	return *failure ? NULL : q.rows;
}

char *
ask_value(Oid role, const char *settings, const char *sql, int timeout_ms, char **failure)
{
	SqlRows    *rows = ask_query(role, settings, sql, timeout_ms, failure);

	if (rows == NULL)
		return NULL;
	if (rows->n == 0)
		*failure = pstrdup("it returned no row");
	else if (rows->v[0][0] == NULL)
		*failure = pstrdup("it returned NULL");
	return *failure ? NULL : rows->v[0][0];
}

int
ask_check(Oid role, const char *settings, const char *sql, int columns, const char *path)
{
	Question	q = {.role = role,.settings = settings,.sql = sql,.prepare_only = true};
	List	   *parsed = raw_parser(sql, RAW_PARSE_DEFAULT);
	ErrorData  *error;

	if (list_length(parsed) != 1 || !IsA(linitial_node(RawStmt, parsed)->stmt, SelectStmt) || castNode(SelectStmt, linitial_node(RawStmt, parsed)->stmt)->intoClause)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be one SELECT", path)));
	error = txn_trial(run, &q);
	if (error)
	{
		error->message = psprintf("%s: %s", path, error->message);
		ReThrowError(error);
	}
	if (columns > 0 && q.columns != columns)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must return %d column%s, not %d", path, columns, columns == 1 ? "" : "s", q.columns)));
	return q.columns;
}
