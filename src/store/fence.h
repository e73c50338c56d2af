/*
 * fence.h
 *		Tables whose new version's writes are refused: rows of mig.fence.
 *
 * A fence is put up and taken down in a transaction like any other; sessions learn of it by the invalidation of the table's relation cache entry, and compile
 * the sync trigger's transform anew. It ends with its migration.
 */
#ifndef MIG_FENCE_H
#define MIG_FENCE_H

#include "postgres.h"
#include "nodes/pg_list.h"

extern bool fence_put(int64 migration_id, const char *name, List *relids);	/* tables; false: they were fenced already */
extern bool fence_take(int64 migration_id);	/* false: there was none */
extern bool fence_has_served(int64 migration_id);	/* there is one, and clean passes over all its tables began since; no drift is known */

/* The name of the migration that refuses writes through the new version of a relation: its own fence, or that of a table above it. NULL: none. */
extern char *fence_of(Oid relid);

#endif
