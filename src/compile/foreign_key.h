/*
 * foreign_key.h
 *		The foreign keys that a migration makes: new ones, and those made again because columns of them are replaced.
 */
#ifndef MIG_FOREIGN_KEY_H
#define MIG_FOREIGN_KEY_H

#include "compile/plan.h"

/* Apply OP_ADD_FOREIGN_KEY: find what it refers to, in the shapes as they are at this operation. */
extern void foreign_key_add(MigPlan *plan, Table *table, const Operation *op);

/* After the last operation: list all that are to be made in plan->foreign_keys. */
extern void foreign_keys_finish(MigPlan *plan);

/* Lock the tables that are not the plan's own but get another foreign key. */
extern void foreign_keys_lock(const MigPlan *plan);

/* OIDs (List) of present foreign keys that go in the swap, alone, with a column or with a table. */
extern List *foreign_keys_going(const MigPlan *plan);

/* A present foreign key: its name and tables. */
extern ForeignKey *foreign_key_present(const MigPlan *plan, Oid constraint);

/* ADD CONSTRAINT … NOT VALID over the physical columns, under the hidden name, with these defaults. */
extern char *foreign_key_sql(const ForeignKey *f);

/* " ALTER COLUMN …," for hidden columns that it sets to their default, which is the view's alone otherwise; "": none */
extern char *foreign_key_defaults(const ForeignKey *f);

/*
 * "x.a = $1 AND x.b = $2" for a row x of the referenced table, the operators chosen as the server chooses them; the other side's values are called by a prefix
 * ("$" here) and their number. Raises 42804 when a pair of columns cannot be compared.
 */
extern char *foreign_key_condition(const ForeignKey *f, const char *prefix);

/* The constraint trigger that holds the new version's writes to it. */
extern char *foreign_key_trigger_sql(const ForeignKey *f);

/* After the swap of its table: it takes its name; NULL: it has it. */
extern char *foreign_key_finish_sql(const ForeignKey *f);

#endif
