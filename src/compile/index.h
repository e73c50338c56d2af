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

/* The index of a partition that goes with one of the partitioned table */
typedef struct IndexPart
{
	Oid			partition;
	Oid			above;			/* the table of which it is a partition */
	char	   *schema;
	char	   *table;
	bool		leaf;
	char	   *name;			/* to build it by */
	bool		dropped_with_top;	/* nothing undoes it: it goes with its hidden columns */
	/* of a copy: what it is a copy of */
	Oid			index;
	char	   *old_name;		/* its name in the end */
	char	   *finish_sql;		/* comment, CLUSTER, replica identity by that name; "" */
} IndexPart;

/* index_partition.c. The partitions of a table, upper ones first, IndexPart * without names; index: with those of its indexes that are part of it. */
extern List *index_parts(Oid relid, Oid index);
/* How it is built: `body` is what follows the table's name in CREATE INDEX. top is the partitioned table's own. */
extern List *index_part_builds(const Table *table, IndexBuild *top, const char *body, List *parts);
/* The same for a PRIMARY KEY or UNIQUE: made of the leaves' indexes in the swap. key: "PRIMARY KEY"; columns: "(a, b)", in the end. */
extern List *index_part_key_builds(const Table *table, IndexBuild *top, const char *body, List *parts, const char *key, const char *columns);

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
