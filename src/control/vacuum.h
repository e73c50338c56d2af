/*
 * vacuum.h
 *		Vacuuming and analysing a table that has been filled.
 */
#ifndef MIG_VACUUM_H
#define MIG_VACUUM_H

#include "postgres.h"
#include "store/state.h"

/*
 * Vacuum a step's table, its partitions and children, one after the other, outside a transaction. What cannot be had or goes wrong is left out: the
 * migration does not depend on it. Returns what there is to tell of it, as JSON text members; NULL when the migration is not to go on now.
 */
extern char *vacuum_run(int64 migration_id, const Step *step, MemoryContext context);

/* The same as far as it can be done in a transaction, where there is no process that may do it: statistics only. */
extern char *vacuum_in_transaction(const Step *step, const char *why);

#endif
