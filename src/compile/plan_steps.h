/*
 * plan_steps.h
 *		From finished shapes to steps (plan.c compiles, plan_steps.c and plan_expand.c derive).
 */
#ifndef MIG_PLAN_STEPS_H
#define MIG_PLAN_STEPS_H

#include "compile/plan.h"

/* Derive all steps from the finished shapes. */
extern void plan_steps(MigPlan *plan);

/* The steps so far, and the group that the next one belongs to */
typedef struct Builder
{
	MigPlan	   *plan;
	int			group;
} Builder;

/* Append a step to the current group. */
extern Step *add_step(Builder *b, StepPhase phase, StepKind kind, const Table *t, LOCKMODE lock, char *sql, char *undo);

/* The steps of expand; those that run statements of the definition as they are. */
extern void plan_expand(Builder *b);
extern void plan_statements(Builder *b, StepPhase phase, List *statements);

/* Present names of the tables that a migration changes, as an SQL array. */
extern char *table_names(const MigPlan *plan);

#endif
