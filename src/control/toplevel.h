/*
 * toplevel.h
 *		Statements that must run at top level: they are no part of a transaction, but make their own.
 */
#ifndef MIG_TOPLEVEL_H
#define MIG_TOPLEVEL_H

#include "postgres.h"

/* Run SQL text outside a transaction, as a role. It may commit as often as it likes. */
extern void toplevel_run(const char *sql, Oid role, MemoryContext context);

/* Call fn(arg) outside a transaction, and catch what it raises: that is logged, and the transaction is gone. NULL when it went well; context: where the error goes. */
extern ErrorData *toplevel_try(void (*fn) (void *arg), void *arg, MemoryContext context);

#endif
