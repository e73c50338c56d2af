/*
 * lint.h
 *		What mig_plan says of the rows that are there.
 */
#ifndef MIG_LINT_H
#define MIG_LINT_H

#include "compile/plan.h"

/*
 * Note on the plan's steps which rules present rows would break, with their keys. Reads the tables (a sample of large ones) as their owners; volatile
 * expressions are not asked, and one that raises is told of.
 */
extern void lint_plan(MigPlan *plan);

#endif
