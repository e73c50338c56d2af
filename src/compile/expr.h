/*
 * expr.h
 *		User expressions: parse analysis against a shape, and back to SQL over physical columns.
 *
 * A shape is given as bindings: virtual column name → analysed expression over the table's physical columns (Vars of range table entry 1). Where one operation's
 * expression reads a column that an earlier operation changed, the earlier expression is put in its place in the parse tree:
 * operations compose without any text being replaced.
 */
#ifndef MIG_EXPR_H
#define MIG_EXPR_H

#include "compile/operation.h"

typedef struct Binding
{
	const char *name;			/* as a client of that version writes it */
	Node	   *value;			/* analysed expression */
} Binding;

typedef struct ExprTarget
{
	Oid			type;			/* InvalidOid: leave it as it is */
	int32		typmod;
	Oid			collation;
	const char *column;			/* for messages */
	bool		explicit_cast;	/* as with CAST, instead of by assignment */
} ExprTarget;

/*
 * Analyse an expression; table names (up to two) may qualify its columns. Raises the parser's own errors with the position in the definition and the
 * operation's path as context; 42804 when it can't be coerced.
 */
extern Node *expr_analyze(const RawExpr *raw, List *bindings, const char *table, const char *new_table, const ExprTarget *target);

/* Analyse a CHECK's condition, as the server would: no sub-selects, sets or aggregates; a boolean. */
extern Node *expr_analyze_check(const RawExpr *raw, List *bindings, const char *table, const char *new_table);

/* Analyse an index's expression, or its predicate. */
extern Node *expr_analyze_index(const RawExpr *raw, List *bindings, const char *table, const char *new_table, bool predicate);

/* Analyse a default: no columns, sub-selects, sets or aggregates. */
extern Node *expr_analyze_default(const RawExpr *raw, const ExprTarget *target);

/* Coerce an analysed expression; NULL when there is no such cast. */
extern Node *expr_coerce(Node *expr, const ExprTarget *target);

/* SQL of an analysed expression; columns is the list of physical column names (C strings, "" for dropped ones) that Vars count in. */
extern char *expr_text(Node *expr, List *columns);

extern bool expr_is_volatile(Node *expr);

#endif
