/*
 * quiet.h
 *		Statements of the backfill, in which no trigger of the user's fires.
 */
#ifndef MIG_QUIET_H
#define MIG_QUIET_H

#include "base/sql.h"

/*
 * As sql_exec_unpinned(), for an UPDATE of that table: of its triggers only the sync triggers fire, at whatever replication role; without keep_sync
 * not even those.
 */
extern uint64 quiet_exec(Oid relid, bool keep_sync, const char *sql, int nparams, const SqlParam *params);

extern void quiet_install(void);	/* from _PG_init: chains ExecutorStart_hook */

#endif
