/*
 * chain.h
 *		The active migrations of a schema, which form a chain from the oldest to the newest, and the tables of each.
 */
#ifndef MIG_CHAIN_H
#define MIG_CHAIN_H

#include "postgres.h"
#include "store/state.h"

typedef enum MigratedKind
{
	TABLE_CHANGED,				/* or dropped, or renamed */
	TABLE_CREATED,
	TABLE_PARKED,				/* created, in the hidden schema until its name is free */
	TABLE_REFERENCED			/* by a foreign key that the migration makes */
} MigratedKind;

typedef struct MigratedTable
{
	const Migration *mig;		/* not stored */
	MigratedKind kind;
	Oid			relid;			/* InvalidOid: did not exist when it was planned */
	char	   *name;			/* NULL likewise */
	char	   *new_name;		/* NULL: dropped */
} MigratedTable;

extern void migrated_tables_insert(int64 migration_id, List *tables);	/* MigratedTable * */

/* The active migrations of a schema, oldest first, but for the one of this name (NULL: none). */
extern List *chain_migrations(const char *schema, const char *except);

/* Their tables, as MigratedTable *. */
extern List *chain_tables(List *migrations);

/* The next older and the next newer active one of the same schema; NULL: none. */
extern Migration *chain_predecessor(const Migration *mig);
extern Migration *chain_successor(const Migration *mig);

/* The migration that changes this table now; NULL: none. */
extern Migration *chain_changing(Oid relid);

#endif
