/*
 * txn.c
 *		Transactions of a worker or of a procedure, behind one interface.
 *
 * Owns which of the two we are in. A procedure's settings are local to each transaction, so that neither an error nor statements that
 * follow the CALL in a DO block ever run under them; this is why txn_end() commits there too.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/lock.h"
#include "base/txn.h"

typedef struct Setting
{
	const char *name;
	const char *value;
	bool		procedure;		/* also in a procedure? */
} Setting;

static const Setting settings[] = {
	{"synchronous_commit", "off", true},	/* progress commits with its rows, so losing both is harmless */
	{"enable_tidscan", "on", true},
	{"row_security", "off", true},	/* an error rather than rows silently left out */
	{"search_path", "pg_catalog, pg_temp", false},
	{"lock_timeout", "0", false},
	{"statement_timeout", "0", false},
	{"idle_in_transaction_session_timeout", "0", false},
	{"idle_session_timeout", "0", false},
	{"default_transaction_read_only", "off", false},
	{"default_transaction_isolation", "read committed", false},
};

static bool txn_in_worker = false;

/* Set the settings, for good or for the current transaction. */
static void
apply_settings(GucAction action)
{
	for (int i = 0; i < lengthof(settings); i++)
		if (action == GUC_ACTION_SET || settings[i].procedure)
			(void) set_config_option(settings[i].name, settings[i].value, PGC_SUSET, PGC_S_SESSION, action, true, 0, false);
}

/* Settings of a whole worker session; call it outside a transaction. */
void
txn_settings(void)
{
	apply_settings(GUC_ACTION_SET);
}

/* Start a transaction of a worker. */
static void
worker_begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* Commit the transaction of a worker, and publish its statistics: autovacuum goes by them. */
static void
worker_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
}

/* Set up a transaction of a procedure. */
static void
procedure_begin(void)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	apply_settings(GUC_ACTION_LOCAL);
}

/* Commit the transaction of a procedure; SPI starts another one, in which no snapshot is held yet. */
static void
procedure_commit(void)
{
	PopActiveSnapshot();
	SPI_commit();
}

void
txn_begin(bool in_worker)
{
	MemoryContext context = CurrentMemoryContext;

	txn_in_worker = in_worker;
	if (in_worker)
		worker_begin();
	else
	{
		if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect_ext failed");
		procedure_begin();
	}
	MemoryContextSwitchTo(context);
}

bool
txn_in_procedure(void)
{
	return !txn_in_worker;
}

void
txn_next(void)
{
	MemoryContext context = CurrentMemoryContext;

	CHECK_FOR_INTERRUPTS();
	if (txn_in_worker)
	{
		worker_commit();
		worker_begin();
	}
	else
	{
		procedure_commit();
		procedure_begin();
	}
	MemoryContextSwitchTo(context);
}

void
txn_nap(long ms)
{
	MemoryContext context = CurrentMemoryContext;

	if (txn_in_worker)
		worker_commit();
	else
		procedure_commit();
	CHECK_FOR_INTERRUPTS();
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (txn_in_worker)
		worker_begin();
	else
		procedure_begin();
	MemoryContextSwitchTo(context);
}

void
txn_end(void)
{
	MemoryContext context = CurrentMemoryContext;

	if (txn_in_worker)
		worker_commit();
	else
	{
		procedure_commit();
		SPI_finish();
	}
	MemoryContextSwitchTo(context);
}

/* Is this an error that no driver may take for a failed step: cancel, shutdown, lack of resources? */
static bool
must_propagate(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_OPERATOR_INTERVENTION || (category == ERRCODE_INSUFFICIENT_RESOURCES && sqlerrcode != ERRCODE_DISK_FULL);
}

bool
txn_is_retryable(int sqlerrcode)
{
	return lock_is_missed(sqlerrcode) || sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE || sqlerrcode == ERRCODE_DISK_FULL;
}

/*
 * Run fn(arg) in a subtransaction, and end it: keep says whether what it did stays. On an error nothing does, and the error is returned, in the caller's
 * memory context.
 */
static ErrorData *
run_in_subtransaction(void (*fn) (void *arg), void *arg, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		fn(arg);
		if (keep)
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (error || !keep)
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error && must_propagate(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

bool
txn_try(void (*fn) (void *arg), void *arg, ErrorData **error)
{
	*error = run_in_subtransaction(fn, arg, true);
	return *error == NULL;
}

ErrorData *
txn_trial(void (*fn) (void *arg), void *arg)
{
	return run_in_subtransaction(fn, arg, false);
}
