/*
 * clients.h
 *		The clients of a migration: on which relations their statements are measured (pace/latency.h) and noted (pace/consumers.h).
 */
#ifndef MIG_CLIENTS_H
#define MIG_CLIENTS_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "store/state.h"

/* Begin or go on to measure and note them; again: partitions may have come since. Nothing without preload. */
extern void clients_watch(const Migration *mig, bool again);

extern List *clients_tables(int64 migration_id);	/* the tables that it changes, then their partitions and children */
extern List *clients_views(int64 migration_id); /* the new version's views of these tables */

/* Is a row a of pg_stat_get_activity() another session's, a client's, and not one that drives or waits for migrations? */
#define CLIENTS_A "(a.backend_type = 'client backend' OR (a.backend_type = 'parallel worker'" \
	" AND (SELECT l.backend_type = 'client backend' FROM pg_stat_get_activity(a.leader_pid) l))) AND a.pid <> pg_backend_pid()" \
	" AND a.query !~* '^\\s*CALL\\s+(pg_catalog\\s*\\.\\s*)?mig_(run|tick|wait)\\M'"

#endif
