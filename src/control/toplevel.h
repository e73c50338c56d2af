/*
 * toplevel.h
 *		Statements that must run at top level: they are no part of a transaction, but make their own.
 */
#ifndef MIG_TOPLEVEL_H
#define MIG_TOPLEVEL_H

#include "postgres.h"

/* Run SQL text outside a transaction, as a role. It may commit as often as it likes. */
extern void toplevel_run(const char *sql, Oid role, MemoryContext context);

/*
 * Maintenance commands of this session take, from now on, one process and the pauses that autovacuum takes, if they are to be considerate of clients (pace/pace.h),
 * or else what the server allows; then WAL is made ahead, too.
 */
extern void toplevel_pace(int64 migration_id);

/* Call fn(arg) outside a transaction, and catch what it raises: that is logged, and the transaction is gone. NULL when it went well; context: where the error goes. */
extern ErrorData *toplevel_try(void (*fn) (void *arg), void *arg, MemoryContext context);

#endif
