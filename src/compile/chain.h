/*
 * chain.h
 *		What a migration has to do with those of its schema that are active before it (store/chain.h).
 */
#ifndef MIG_COMPILE_CHAIN_H
#define MIG_COMPILE_CHAIN_H

#include "compile/plan.h"

/*
 * Find the version that the plan's stands on (plan->before); raise 55006 when the definition names a table, or gives a name to one, that another active
 * migration of the schema is about.
 */
extern void chain_begin(MigPlan *plan, const Definition *definition);

/* The same for the tables of the finished plan and those that its foreign keys refer to; fills plan->migrated. */
extern void chain_finish(MigPlan *plan);

#endif
