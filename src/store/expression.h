/*
 * expression.h
 *		Compiled expressions over one row of a table. transform.c keeps them; transform_eval and transform_try (transform.h) run them.
 */
#ifndef MIG_EXPRESSION_H
#define MIG_EXPRESSION_H

#include "postgres.h"
#include "store/transform.h"
#include "utils/array.h"

/*
 * Compile SQL over the table's columns, coerced by assignment to the target column. Allocates in the current memory context, which must live as
 * long as the expression; the caller is the table's owner and has the pinned settings in force.
 */
extern Expression *expression_compile(Relation rel, const char *sql, AttrNumber target, ArrayType *settings,
									  Bitmapset **inputs, bool *verifiable);

/* The same of a parsed condition that is to be a CHECK. It runs under the caller's settings, as a constraint does. */
extern Expression *expression_compile_condition(Relation rel, Node *raw);

/* Must it be compiled again after a change to any type or constraint? (After a change to any function, all are.) */
extern bool expression_depends_on_types(const Expression *expr);

/* OIDs of the functions of users that it calls; NIL for a NULL expression. */
extern List *expression_functions(const Expression *expr);

/* Release what does not lie in the memory context. */
extern void expression_free(Expression *expr);

#endif
