/*
 * operation.h
 *		Operations: one typed change each, as the front ends (definition_ddl.c, definition_json.c) read them.
 *
 * Expressions are raw parse trees (before parse analysis); they are analysed later against a shape (compile/expr.c). Front ends look at no catalog.
 * A raw tree's locations are offsets into `source` of its RawExpr.
 */
#ifndef MIG_OPERATION_H
#define MIG_OPERATION_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

typedef enum OperationKind
{
	OP_ADD_COLUMN,				/* column, type, [expr = default], not_null, [up], [checks], [comment] */
	OP_DROP_COLUMN,				/* column, [down] */
	OP_RENAME_COLUMN,			/* column, new_name */
	OP_RENAME_TABLE,			/* new_name */
	OP_ALTER_TYPE,				/* column, type, [collation in TypeName's ColumnDef], [up], [down]; using_given */
	OP_SET_NOT_NULL,			/* column, [up], [down] */
	OP_DROP_NOT_NULL,			/* column, [up], [down] */
	OP_SET_DEFAULT,				/* column, expr; NULL expr: drop default */
	OP_ADD_CHECK,				/* name (NULL: generate as PostgreSQL does), expr, no_inherit, [column + up + down] */
	OP_DROP_CONSTRAINT,			/* name, [column + up + down] */
	OP_RENAME_CONSTRAINT,		/* name, new_name */
	OP_COMMENT_COLUMN,			/* column, comment (NULL: remove) */
	OP_COMMENT_TABLE			/* comment (NULL: remove) */
} OperationKind;

/* An expression as written */
typedef struct RawExpr
{
	Node	   *node;			/* raw parse tree of an a_expr; a scalar SELECT stands as a SubLink (EXPR_SUBLINK) */
	const char *source;			/* the text its locations point into */
	const char *path;			/* "operations[0].alter_column.up" or "statement 2, USING": for the error context */
} RawExpr;

typedef struct Operation
{
	OperationKind kind;
	const char *path;			/* where in the definition: "operations[0].alter_column" or "statement 1" */
	const char *source;			/* definition text that `location` points into; NULL for JSON */
	int			location;		/* offset in source for error positions; -1 if unknown */
	char	   *schema;			/* as written, NULL if not qualified */
	char	   *table;
	char	   *column;
	char	   *new_name;
	char	   *name;			/* of a constraint */
	TypeName   *type;
	CollateClause *collation;
	bool		not_null;
	bool		no_inherit;
	bool		if_exists;		/* DROP COLUMN IF EXISTS / ADD COLUMN IF NOT EXISTS */
	RawExpr    *expr;
	RawExpr    *up;
	RawExpr    *down;
	char	   *comment;
} Operation;

typedef struct Definition
{
	char	   *name;			/* a manifest's own "name", or NULL */
	char	   *version;		/* a manifest's "version_schema", or NULL */
	char	   *options;		/* a manifest's "options" as jsonb text, or NULL */
	List	   *operations;		/* Operation *, in order */
} Definition;

/*
 * Read a definition. Its first non-space character decides: '{' is a JSON manifest, anything else SQL DDL. `options` (jsonb text) brings the
 * "up" and "down" of DDL definitions: objects "table.column" → expression; an entry that no operation takes is an error.
 * Errors: 42601 with position for a DDL syntax error, 22023 with the JSON path for a malformed manifest, 0A000 with position and a hint for
 * what cannot be done (yet).
 */
extern Definition *definition_read(const char *text, const char *options);
extern Definition *definition_ddl(const char *text, const char *options);
extern Definition *definition_json(const char *text);

/* Parse one expression's text ("SELECT …" stands for a scalar sub-query). 42601 with the path in the context. */
extern RawExpr *raw_expr(const char *text, const char *path);

#endif
