/*
 * toplevel.c
 *		Runs statements at top level, as the server runs those that a client sends. Only in a background worker.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "pgstat.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "base/wal.h"
#include "control/toplevel.h"
#include "pace/pace.h"

/* Run one statement. */
static void
run_statement(RawStmt *raw, const char *sql, Oid role, MemoryContext context)
{
	PlannedStmt *planned = makeNode(PlannedStmt);

	planned->commandType = CMD_UTILITY;
	planned->canSetTag = true;
	planned->utilityStmt = raw->stmt;
	planned->stmt_location = raw->stmt_location;
	planned->stmt_len = raw->stmt_len;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SetUserIdAndSecContext(role, 0);
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(context);
	ProcessUtility(planned, sql, false, PROCESS_UTILITY_TOPLEVEL, NULL, NULL, None_Receiver, NULL);
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, 0);
}

void
toplevel_run(const char *sql, Oid role, MemoryContext context)
{
	MemoryContext scratch = AllocSetContextCreate(context, "mig_control statement", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	ListCell   *lc;

	/* some commands keep what must survive their own commits there */
	PortalContext = scratch;
	debug_query_string = sql;
	pgstat_report_activity(STATE_RUNNING, sql);
	foreach(lc, raw_parser(sql, RAW_PARSE_DEFAULT))
		run_statement(lfirst_node(RawStmt, lc), sql, role, scratch);
	pgstat_report_activity(STATE_IDLE, NULL);
	(void) pgstat_report_stat(false);
	debug_query_string = NULL;
	PortalContext = NULL;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

#define WAL_AHEAD	(256 * 1024 * 1024)	/* bytes, for a statement that stops for nothing */

/* Set a setting for the session, or with NULL set it back. */
static void
set(const char *name, const char *value)
{
	SetConfigOption(name, value && value[0] != '-' ? value : NULL, PGC_SUSET, PGC_S_SESSION);
}

void
toplevel_pace(int64 migration_id)
{
	Migration  *mig = migration_by_id(migration_id);
	bool		slow = mig && pace_is_considerate(mig);

	set("vacuum_cost_delay", slow ? GetConfigOption("autovacuum_vacuum_cost_delay", true, false) : NULL);
	set("vacuum_cost_limit", slow ? GetConfigOption("autovacuum_vacuum_cost_limit", true, false) : NULL);
	set("max_parallel_maintenance_workers", slow ? "0" : NULL);
	if (slow)
		wal_make_ahead(WAL_AHEAD);
}

ErrorData *
toplevel_try(void (*fn) (void *arg), void *arg, MemoryContext context)
{
	ErrorData  *volatile error = NULL;

	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		fn(arg);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, 0);
		PortalContext = NULL;
		debug_query_string = NULL;
		MemoryContextSwitchTo(context);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return error;
}
