/*
 * definition.c
 *		Reading a definition: choice of the front end, and what both of them need: expressions, positions, operations.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "parser/scansup.h"

#include "compile/definition.h"

/* Reads a definition, JSON or DDL. */
Definition *
definition_read(const char *text, const char *options)
{
	const char *start = text;

	while (scanner_isspace(*start))
		start++;
	if (*start == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("definition is empty"),
				 errhint("Pass DDL statements or a JSON manifest.")));
	return *start == '{' ? definition_json(text, options) : definition_ddl(text, options);
}

/* Appends an operation to a definition. */
Operation *
definition_add(Definition *definition, OperationKind kind, const char *path)
{
	Operation  *op = palloc0(sizeof(Operation));

	op->kind = kind;
	op->path = path;
	op->location = -1;
	definition->operations = lappend(definition->operations, op);
	return op;
}

/* Is a name in a list of them? */
bool
name_in(const List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	return false;
}

/* Is an expression just the operation's own column? */
static bool
is_own_column(const Operation *op, const RawExpr *expr)
{
	ColumnRef  *ref;
	Node	   *last;

	if (expr == NULL || op->column == NULL || !IsA(expr->node, ColumnRef))
		return false;
	ref = (ColumnRef *) expr->node;
	last = llast(ref->fields);
	if (!IsA(last, String) || strcmp(strVal(last), op->column) != 0)
		return false;
	return list_length(ref->fields) == 1 ||
		(list_length(ref->fields) == 2 && strcmp(strVal(linitial(ref->fields)), op->table) == 0);
}

/* Leaves out an up or down that changes nothing. In a change of type it is a cast; for an added or dropped column it is a mistake to report. */
void
operation_normalize(Operation *op)
{
	if (op->kind == OP_ALTER_TYPE || op->kind == OP_ADD_COLUMN || op->kind == OP_DROP_COLUMN)
		return;
	if (is_own_column(op, op->up))
		op->up = NULL;
	if (is_own_column(op, op->down))
		op->down = NULL;
}

/* Error context callback: moves an error's position into the source and names the path. */
static void
source_error(void *arg)
{
	SourceContext *context = arg;
	int			position = geterrposition();

	if (context->source != NULL && position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(context->source);
	}
	if (context->path != NULL)
		errcontext("%s", context->path);
}

/* Starts a stretch of code whose errors' positions point into `source`. */
void
source_begin(SourceContext *context, const char *source, const char *path)
{
	context->source = source;
	context->path = path;
	context->callback.callback = source_error;
	context->callback.arg = context;
	context->callback.previous = error_context_stack;
	error_context_stack = &context->callback;
}

/* Ends it. */
void
source_end(SourceContext *context)
{
	error_context_stack = context->callback.previous;
}

/* Within ereport: gives the error a position in `source`. */
int
source_position(const char *source, int location)
{
	if (source == NULL || location < 0)
		return 0;
	internalerrquery(source);
	return internalerrposition(pg_mbstrlen_with_len(source, location) + 1);
}

/* Returns the offset behind a comment that nests, as SQL's do. */
static int
skip_comment(const char *source, int offset)
{
	int			depth = 0;

	do
	{
		if (source[offset] == '/' && source[offset + 1] == '*')
		{
			depth++;
			offset += 2;
		}
		else if (source[offset] == '*' && source[offset + 1] == '/')
		{
			depth--;
			offset += 2;
		}
		else
			offset++;
	} while (depth > 0 && source[offset] != '\0');
	return offset;
}

/* Returns the offset of the first token at or after `offset`. */
int
source_skip(const char *source, int offset)
{
	for (;;)
	{
		if (scanner_isspace(source[offset]))
			offset++;
		else if (source[offset] == '-' && source[offset + 1] == '-')
			offset += strcspn(source + offset, "\r\n");
		else if (source[offset] == '/' && source[offset + 1] == '*')
			offset = skip_comment(source, offset);
		else
			return offset;
	}
}

/* Wraps a parsed expression. */
RawExpr *
raw_expr_make(Node *node, const char *source, const char *path)
{
	RawExpr    *expr = palloc0(sizeof(RawExpr));

	expr->node = node;
	expr->source = source;
	expr->path = path;
	return expr;
}

/* Walker: does a raw expression name a column? */
static bool
names_column(Node *node, void *column)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		Node	   *last = llast(((ColumnRef *) node)->fields);

		return IsA(last, String) && strcmp(strVal(last), column) == 0;
	}
	return raw_expression_tree_walker(node, names_column, column);
}

/* Does an expression name a column? */
bool
raw_expr_names(const RawExpr *expr, const char *column)
{
	return expr != NULL && names_column(expr->node, unconstify(char *, column));
}

/* Raises the error for a text that is not one expression. */
static void
not_one_expression(const char *text, int location, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("exactly one SQL expression is expected"),
			 errdetail_internal("%s", detail),
			 source_position(text, location)));
}

/* Does a text begin with a keyword? */
static bool
begins_with(const char *text, const char *keyword)
{
	size_t		len = strlen(keyword);
	unsigned char after;

	if (pg_strncasecmp(text, keyword, len) != 0)
		return false;
	after = text[len];
	return !(isalnum(after) || after == '_' || after == '$' || IS_HIGHBIT_SET(after));
}

/* Parses a query that stands for its only value. */
static Node *
parse_query(const char *text, int start)
{
	List	   *statements = raw_parser(text, RAW_PARSE_DEFAULT);
	RawStmt    *raw = linitial_node(RawStmt, statements);
	SubLink    *link;

	if (list_length(statements) != 1 || raw->stmt_len != 0)
		not_one_expression(text, raw->stmt_location + raw->stmt_len, "A query here is one SELECT without a semicolon.");
	if (!IsA(raw->stmt, SelectStmt))
		not_one_expression(text, start, "Only a SELECT can stand for a value.");
	if (((SelectStmt *) raw->stmt)->intoClause != NULL)
		not_one_expression(text, start, "SELECT INTO cannot stand for a value.");

	link = makeNode(SubLink);
	link->subLinkType = EXPR_SUBLINK;
	link->subselect = raw->stmt;
	link->location = start;
	return (Node *) link;
}

/* Does a SELECT have anything but a target list? */
static bool
has_other_clauses(const SelectStmt *select)
{
	return select->distinctClause != NIL || select->fromClause != NIL || select->whereClause != NULL ||
		select->groupClause != NIL || select->havingClause != NULL || select->windowClause != NIL ||
		select->sortClause != NIL || select->limitOffset != NULL || select->limitCount != NULL ||
		select->lockingClause != NIL;
}

/* Does a node stand for all columns of something? */
static bool
is_star(Node *node)
{
	List	   *parts = NIL;

	if (IsA(node, ColumnRef))
		parts = ((ColumnRef *) node)->fields;
	else if (IsA(node, A_Indirection))
		parts = ((A_Indirection *) node)->indirection;
	return parts != NIL && IsA(llast(parts), A_Star);
}

/* Parses an expression. The parser's mode for PL/pgSQL takes one as it stands, so positions need no correction. */
static Node *
parse_expression(const char *text)
{
	List	   *statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = castNode(SelectStmt, linitial_node(RawStmt, statements)->stmt);
	ResTarget  *target;

	if (select->targetList == NIL)
		not_one_expression(text, -1, "There is none.");
	if (has_other_clauses(select))
		not_one_expression(text, -1, "FROM, WHERE and other clauses need a SELECT before them.");
	if (list_length(select->targetList) > 1)
		not_one_expression(text, lsecond_node(ResTarget, select->targetList)->location, "There are several, separated by commas.");
	target = linitial_node(ResTarget, select->targetList);
	if (target->name != NULL)
		not_one_expression(text, target->location, "An expression here has no alias.");
	if (is_star(target->val))
		not_one_expression(text, target->location, "\"*\" stands for several columns.");
	return target->val;
}

/* Parses one expression's text. */
RawExpr *
raw_expr(const char *text, const char *path)
{
	SourceContext context;
	int			start = source_skip(text, 0);
	Node	   *node;

	source_begin(&context, text, path);
	if (begins_with(text + start, "select") || begins_with(text + start, "with"))
		node = parse_query(text, start);
	else
		node = parse_expression(text);
	source_end(&context);
	return raw_expr_make(node, text, path);
}

/* Parses an expression that the server has printed. */
RawExpr *
raw_expr_printed(const char *text, const char *path)
{
	RawExpr    *expr = raw_expr(text, path);

	expr->printed = true;
	return expr;
}
