/*
 * dependent.h
 *		Objects that use columns which are replaced: views, policies, triggers, statistics, publications, functions.
 */
#ifndef MIG_DEPENDENT_H
#define MIG_DEPENDENT_H

#include "compile/shape.h"

typedef struct Dependent
{
	char	   *what;			/* "view app.v" */
	char	   *drop;			/* takes its hands off the columns */
	char	   *create;			/* makes it as it was, over the columns that bear the same names then */
	char	   *rest;			/* its owner, grants, comments, …; NULL: nothing */
	bool		trial;			/* its text does not name its schema, so that it can be tried in another */
} Dependent;

/*
 * What uses these columns (an int2[] literal of attribute numbers) and can follow to others of their names, as it is now: to be dropped in this order and
 * created in the reverse one. Raises 0A000, naming them, when there are objects that can't follow.
 */
extern List *dependents_of(Oid relid, const char *columns);

/* Raise 0A000, naming them, when objects depend on changed or dropped columns that cannot follow; going: OIDs of foreign keys that go before. */
extern void check_dependents(const Table *table, List *going);

/* "view a, policy b": what follows in the swap; NULL: nothing. */
extern char *dependents_note(const Table *table);

/*
 * Triggers FOR UPDATE OF changed columns, as they have to be during the migration: a write of the new version's column counts, too.
 * Dependents *: `create` makes it so, `drop` as it was.
 */
extern List *update_of_triggers(const Table *table);

#endif
