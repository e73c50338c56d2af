/*
 * plan_steps.h
 *		From finished shapes to steps (plan.c compiles, plan_steps.c derives).
 */
#ifndef MIG_PLAN_STEPS_H
#define MIG_PLAN_STEPS_H

#include "compile/plan.h"

extern void plan_steps(MigPlan *plan);

/* A statement's text with the search_path that it was written for around it. */
extern char *statement_sql(const MigPlan *plan, const Statement *statement, const char *sql);

#endif
