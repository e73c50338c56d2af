/*
 * arguments.h
 *		What every API function does first: unpack arguments, find the migration, check who calls.
 */
#ifndef MIG_ARGUMENTS_H
#define MIG_ARGUMENTS_H

#include "postgres.h"
#include "fmgr.h"
#include "store/state.h"

/* Raise 0A000 in a transaction that goes by one snapshot: what is read after a lock was waited for would be old. */
extern void require_read_committed(const char *function);

/* Text argument n as a C string; NULL when it is NULL. */
extern char *arg_text(FunctionCallInfo fcinfo, int n);
extern char *arg_text_required(FunctionCallInfo fcinfo, int n, const char *name);	/* 22004 when NULL */
extern char *arg_jsonb(FunctionCallInfo fcinfo, int n);	/* jsonb as text; "{}" when NULL */

/*
 * Check those options that rooms above store/ know about (22023), and make them independent of the session. mig: whose they are to be; NULL: the caller's
 * own, which is about to start.
 */
extern char *settle_options(const char *options, const Migration *mig);

/* The migration of that name (42704), or the only active one of the current schema when the name is NULL (42704, or 55000 if several). */
extern Migration *find_migration(const char *name);

/* Make error and reason what mig.state shows the current user, who may not be the owner: before they are told. */
extern void hide_texts(Migration *mig);

/* Raise 42501 unless the current user may act for the migration's owner; operators: or is one of options.operators. */
extern void check_may_steer(const Migration *mig, bool operators);

/* Find a migration, check the caller, and have it for ourselves: waits for a running unit of work to commit. Overrides that are over are noticed. */
extern Migration *take_migration(const char *name, const char *function, bool operators);

/* Raise 42501 unless the current user may show the schema's tables in views that all use: it is the owner of the schema or of all its tables. */
extern void check_may_version(const char *schema);

#endif
