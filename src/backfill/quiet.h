/*
 * quiet.h
 *		Statements of the backfill and of repairs, in which no trigger of the user's fires.
 */
#ifndef MIG_QUIET_H
#define MIG_QUIET_H

#include "base/sql.h"
#include "store/state.h"
#include "utils/relcache.h"

/* Which triggers fire */
typedef enum QuietTriggers
{
	QUIET_NONE,
	QUIET_SYNC,					/* the sync triggers, at whatever replication role, even where they are disabled */
	QUIET_SYNC_AND_KEYS			/* and those by which the server holds foreign keys */
} QuietTriggers;

/* As sql_exec_unpinned(), for an UPDATE of that table. */
extern uint64 quiet_exec(Oid relid, QuietTriggers keep, const char *sql, int nparams, const SqlParam *params);

/* The identity and settings that such statements run under, until identity_end(). */
extern void quiet_begin(Identity *saved, const Migration *mig, Relation rel);

extern void quiet_install(void);	/* from _PG_init: chains ExecutorStart_hook */

#endif
