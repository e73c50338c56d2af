/*
 * operation.h
 *		Operations: one typed change each, as the front ends (definition_ddl.c, definition_json.c) read them.
 *
 * Expressions are raw parse trees (before parse analysis); they are analysed later against a shape (compile/expr.c). Front ends look at no catalog.
 * A raw tree's locations are offsets into `source` of its RawExpr.
 * up and down stand on the first operation of a group that changes a column's values, so that they apply once. One that is just the
 * column's own name is left out (NULL), except on OP_ALTER_TYPE, OP_ADD_COLUMN and OP_DROP_COLUMN.
 */
#ifndef MIG_OPERATION_H
#define MIG_OPERATION_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

typedef enum OperationKind
{
	OP_ADD_COLUMN,				/* column, type (serial ones too), [collation], [expr = default], not_null, [identity + sequence], [up]; its CHECKs and comment follow;
								 * name: of its sequence, which plan.c has made */
	OP_DROP_COLUMN,				/* column, [down] */
	OP_RENAME_COLUMN,			/* column, new_name */
	OP_RENAME_TABLE,			/* new_name */
	OP_ALTER_TYPE,				/* column, type, [collation], [up = USING], [down] */
	OP_SET_NOT_NULL,			/* column, [up], [down] */
	OP_DROP_NOT_NULL,			/* column, [up], [down] */
	OP_SET_DEFAULT,				/* column, expr; NULL expr: drop default */
	OP_ADD_CHECK,				/* name (NULL: generate as PostgreSQL does), expr, no_inherit, [columns], [column + up + down] */
	OP_DROP_CONSTRAINT,			/* name, if_exists, [columns], [column + up + down]; up/down without column: the constraint's only column */
	OP_RENAME_CONSTRAINT,		/* name, new_name */
	OP_COMMENT_COLUMN,			/* column, comment (NULL: remove) */
	OP_COMMENT_TABLE,			/* comment (NULL: remove) */
	OP_CHANGE_DATA,				/* column, [up], [down]: its values change, its definition does not */
	OP_ADD_KEY,					/* constraint (UNIQUE or PRIMARY KEY), name (NULL: generate), [column + up + down] */
	OP_ADD_FOREIGN_KEY,			/* constraint, name (NULL: generate), [column + up + down] */
	OP_CREATE_INDEX,			/* index */
	OP_DROP_INDEX,				/* name, if_exists; table NULL: the index's */
	OP_RENAME_INDEX,			/* name, new_name; table NULL: the index's */
	OP_DROP_TABLE,				/* if_exists */
	OP_REPLICA_IDENTITY,		/* identity, [name = of the index] */

	/* what is not about the shape of a table that exists */
	OP_CREATE_TABLE,			/* sql, table; [columns = tables its foreign keys refer to] */
	OP_PLAIN,					/* sql, undo: a statement for something that no client uses yet; run in expand, and on trial while compiling */
	OP_SQL,						/* sql, undo: the user's own statements, alone in their definition; run in expand */
	OP_AT_END,					/* sql: run in the swap, last; [table + tail, column: the names of the end go between sql and tail] */
	OP_VALIDATE_CONSTRAINT,		/* name: of one that is NOT VALID */
	OP_REPLACE_FUNCTION			/* sql: CREATE OR REPLACE FUNCTION or PROCEDURE; undo: DROP of it; name_offset, name_length: its name in sql */
} OperationKind;

/* An expression as written */
typedef struct RawExpr
{
	Node	   *node;			/* raw parse tree of an a_expr; a scalar SELECT stands as a SubLink (EXPR_SUBLINK) */
	const char *source;			/* the text its locations point into */
	const char *path;			/* "operations[0].alter_column.up" or "statement 2, USING": for the error context */
	bool		printed;		/* the server printed it, so that names without a schema are pg_catalog's */
} RawExpr;

typedef struct Operation
{
	OperationKind kind;
	const char *path;			/* where in the definition: "operations[0].alter_column" or "statement 1" */
	const char *source;			/* definition text that `location` points into; NULL for a manifest's */
	int			location;		/* offset in source for error positions; -1 if unknown */
	char	   *schema;			/* as written, NULL if not qualified */
	char	   *table;
	char	   *column;
	char	   *new_name;
	char	   *name;			/* of a constraint */
	List	   *columns;		/* char *: the constraint's columns as a manifest lists them, all must be; NIL if it lists none */
	TypeName   *type;
	CollateClause *collation;
	bool		not_null;
	bool		no_inherit;
	bool		if_exists;		/* DROP COLUMN/CONSTRAINT IF EXISTS / ADD COLUMN IF NOT EXISTS */
	bool		only;			/* ONLY table: it must have no children */
	bool		missing_ok;		/* ALTER TABLE IF EXISTS */
	RawExpr    *expr;
	RawExpr    *up;
	RawExpr    *down;
	char	   *comment;
	Constraint *constraint;		/* raw; of a key or foreign key */
	IndexStmt  *index;			/* raw */
	char		identity;		/* of OP_REPLICA_IDENTITY: REPLICA_IDENTITY_…; of OP_ADD_COLUMN: ATTRIBUTE_IDENTITY_…, '\0' if it is none */
	List	   *sequence;		/* raw DefElem *: options of the identity's sequence */
	char	   *sql;			/* one statement or several, as written: names are looked up with the definition's search_path, the base schema first */
	char	   *tail;			/* what follows a table's name in sql, NULL if sql is whole */
	char	   *undo;			/* the same as sql; NULL: nothing to undo */
	const char *note;			/* what the user should know of the statement */
	int			name_offset;	/* of a function's name in sql, */
	int			name_length;	/* with its schema */
} Operation;

/*
 * A table that the definition creates has no clients yet, so what it does to that table afterwards is plain DDL (OP_PLAIN): `created` tells the front ends
 * which tables these are, by their present names.
 */
typedef struct Definition
{
	char	   *name;			/* a manifest's own "name", or NULL */
	char	   *version;		/* a manifest's "version_schema", or NULL */
	char	   *options;		/* a manifest's "options" as jsonb text, or NULL */
	List	   *operations;		/* Operation *, in order */
	List	   *created;		/* char *: names of the tables created so far */
	List	   *made;			/* of the DDL front end: other objects made so far */
} Definition;

/*
 * Read a definition. Its first non-space character decides: '{' is a JSON manifest, anything else SQL DDL. `options` (jsonb text) brings the
 * "up" and "down" of DDL definitions: objects "table.column" → expression; an entry that no operation takes is an error.
 * Errors: 42601 with position for a DDL syntax error, 22023 with the JSON path for a malformed manifest, 0A000 with position and a hint for
 * what cannot be done (yet).
 */
extern Definition *definition_read(const char *text, const char *options);
extern Definition *definition_ddl(const char *text, const char *options);
extern Definition *definition_json(const char *text, const char *options);

/*
 * Positions. Between source_begin() and source_end(), an error's position points into `source` (not into the caller's statement), and its context
 * names `path`; either may be NULL. source_position() is for ereport: it gives an error a position (offset in bytes) of its own.
 */
typedef struct SourceContext
{
	ErrorContextCallback callback;
	const char *source;
	const char *path;
} SourceContext;

extern void source_begin(SourceContext *context, const char *source, const char *path);
extern void source_end(SourceContext *context);
extern int	source_position(const char *source, int location);

/* Is a name in a list of them (char *)? */
extern bool name_in(const List *names, const char *name);

/*
 * Leave out an up or down that is just the operation's own column. The front ends call it; call it again when a dropped constraint's column
 * becomes known.
 */
extern void operation_normalize(Operation *op);

/* Parse one expression's text ("SELECT …" or "WITH …" stands for a scalar sub-query). 42601 with the path in the context. */
extern RawExpr *raw_expr(const char *text, const char *path);

/* The same for a text that the server has printed (a default, a CHECK, an index's expression) with only pg_catalog in search_path. */
extern RawExpr *raw_expr_printed(const char *text, const char *path);

#endif
