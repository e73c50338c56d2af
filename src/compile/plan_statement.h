/*
 * plan_statement.h
 *		The definition's own statements in a plan (plan.c applies operations, plan_statement.c takes those that are statements).
 */
#ifndef MIG_PLAN_STATEMENT_H
#define MIG_PLAN_STATEMENT_H

#include "compile/plan.h"

/* plan.c: the table of a name in the shape so far, loaded once. */
extern Table *plan_table(MigPlan *plan, const Operation *op, const char *name);

/* A table of the plan by its OID, NULL if the plan has it not yet. */
extern Table *plan_known_table(const MigPlan *plan, Oid relid);

/* The search_path of the definition's own statements: the session's, behind the base schema, where new things are made. */
extern char *statement_search_path(const char *schema);

/* A statement's text with the search_path that it was written for around it. */
extern char *statement_sql(const MigPlan *plan, const Statement *statement, const char *sql);

/* Is a table one that the definition has created, and that is there now? */
extern bool plan_has_created(const MigPlan *plan, const char *name);

/* OP_CREATE_TABLE, OP_PLAIN, OP_SQL, OP_AT_END, OP_REPLACE_FUNCTION */
extern void plan_create_table(MigPlan *plan, const Operation *op);
extern void plan_plain_statement(MigPlan *plan, const Operation *op);
extern void plan_sql_statement(MigPlan *plan, const Operation *op);
extern void plan_late_statement(MigPlan *plan, const Operation *op);
extern void plan_replace_function(MigPlan *plan, const Operation *op);

/* After the last operation: how all that was created is undone. */
extern void plan_finish_statements(MigPlan *plan);

#endif
