/*
 * index.h
 *		Indexes that are built: what hangs on a changed column and is made again on its replacement, and new ones.
 */
#ifndef MIG_INDEX_H
#define MIG_INDEX_H

#include "compile/shape.h"

/* An index that the migration builds: a copy of one on changed columns, or a new one */
typedef struct IndexBuild
{
	char	   *name;			/* in the end */
	char	   *hidden;			/* until then: _mig_1234_i1; a new one has its own name at once where that is free */
	char	   *create_sql;		/* CREATE INDEX CONCURRENTLY …; NULL: it is there, and becomes a key */
	Oid			partition;		/* that it is on; InvalidOid: the table itself */
	LOCKMODE	lock;			/* NoLock: built CONCURRENTLY; else create_sql is an ordinary statement */
	char	   *undo;			/* NULL: goes with its hidden columns */
	char	   *constraint_sql; /* makes it a deferrable constraint as soon as it is built; NULL if it is none */
	char	   *constraint_undo;
	char	   *finish_sql;		/* in the swap, after the old column is gone */
	char	   *note;
	bool		unique;
} IndexBuild;

extern List *index_copies(const Table *table);	/* IndexBuild * */
extern List *new_index_builds(const Table *table);	/* IndexBuild * */
extern char *identity_sql(const Table *table);	/* ALTER TABLE … REPLICA IDENTITY, as soon as it can be; NULL: none, or only in the swap */
extern char *identity_undo(const Table *table);	/* back to what it is now */
extern char *identity_swap_sql(const Table *table);	/* … with an index that is made or changed by this migration; NULL: none */
extern void new_indexes_finish(Table *table);	/* write their SQL, with the definition's search_path */

/* Raise 2BP01, naming them, when objects depend on a table that is dropped; those that are dropped with it do not matter; going: OIDs of foreign keys that go before. */
extern void check_dropped(const Table *table, List *tables, List *going);

/* Raise 2BP01 when a foreign key needs a key that is dropped, unless it is dropped as well. */
extern void check_referenced(const Table *table, List *going);


#endif
