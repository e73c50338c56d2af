/*
 * contract.h
 *		SQL that ends a migration: the fence and the swap; and what the hidden columns take over from the old.
 */
#ifndef MIG_CONTRACT_H
#define MIG_CONTRACT_H

#include "compile/plan.h"

/* ADD CONSTRAINT … NOT VALID of a rule. */
extern char *fence_sql(const Table *table, const Rule *rule);

/* Everything the swap does to one table, in one transaction. */
extern char *swap_sql(const MigPlan *plan, const Table *table, bool has_inner, List *indexes);

/* " ALTER COLUMN …," for what a replaced column's hidden column keeps: statistics target, storage, compression, options. */
extern char *column_options_sql(const Table *table, const Column *column);

#endif
