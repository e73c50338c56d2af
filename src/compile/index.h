/*
 * index.h
 *		What hangs on a changed column and is made again on its replacement: indexes, unique and primary keys, foreign keys.
 */
#ifndef MIG_INDEX_H
#define MIG_INDEX_H

#include "compile/shape.h"

typedef struct IndexCopy
{
	char	   *name;			/* in the end */
	char	   *hidden;			/* until then: _mig_i1 */
	char	   *create_sql;		/* CREATE INDEX CONCURRENTLY … */
	char	   *constraint_sql; /* makes it a deferrable constraint as soon as it is built; NULL if it is none */
	char	   *finish_sql;		/* in the swap, after the old column is gone */
	bool		unique;
} IndexCopy;

typedef struct ForeignKeyCopy
{
	char	   *name;
	char	   *hidden;
	char	   *definition;		/* FOREIGN KEY (…) REFERENCES …, without NOT VALID */
	char	   *referenced;		/* qualified name of the referenced table */
	Oid			referenced_relid;
	bool		valid;
	char	   *comment;
} ForeignKeyCopy;

extern List *index_copies(const Table *table);		/* IndexCopy * */
extern List *foreign_key_copies(const Table *table, int first_number);	/* ForeignKeyCopy * */

/* Raise 2BP01, naming them, when objects depend on a table that is dropped; those that are dropped with it do not matter. */
extern void check_dropped(const Table *table, List *tables);

#endif
