/*
 * expr.c
 *		Parse analysis of the user's expressions against a shape, and their SQL over physical columns.
 *
 * Owns no state. Column references are resolved by a parser hook: names a sub-select brings itself win, as in SQL; the others are looked up
 * in the bindings. The SQL comes from the server's own deparser under search_path = pg_catalog, so every other name in it is qualified.
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "base/settings.h"
#include "base/sql.h"
#include "compile/expr.h"
#include "store/transform.h"

typedef struct Scope
{
	List	   *bindings;
	const char *table;
	const char *new_table;
} Scope;

/* How many query levels above this parse state the outermost one is. */
static int
levels_up(ParseState *pstate)
{
	int			n = 0;

	for (; pstate->parentParseState != NULL; pstate = pstate->parentParseState)
		n++;
	return n;
}

/* Parser hook: resolves a column name that SQL's own scoping did not. */
static Node *
resolve_column(ParseState *pstate, ColumnRef *cref, Node *var)
{
	Scope	   *scope = pstate->p_ref_hook_state;
	const char *name;
	ListCell   *lc;

	if (var != NULL || list_length(cref->fields) > 2 || !IsA(llast(cref->fields), String))
		return NULL;
	name = strVal(llast(cref->fields));
	if (list_length(cref->fields) == 2)
	{
		const char *table = strVal(linitial(cref->fields));

		if (!(scope->table && strcmp(table, scope->table) == 0) &&
			!(scope->new_table && strcmp(table, scope->new_table) == 0))
			return NULL;
	}
	foreach(lc, scope->bindings)
	{
		Binding    *binding = lfirst(lc);

		if (strcmp(binding->name, name) == 0)
		{
			Node	   *value = copyObject(binding->value);

			IncrementVarSublevelsUp(value, levels_up(pstate), 0);
			return value;
		}
	}
	return NULL;
}

/*
 * Make a hidden assignment coercion visible where writing it as a cast would mean something else: varchar(n) cuts silently when cast and
 * raises when assigned. Such length coercions are written as the function call they are.
 */
static Node *
show_length_coercion(Node *node, void *unused)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, FuncExpr))
	{
		FuncExpr   *f = (FuncExpr *) node;

		if (f->funcformat == COERCE_IMPLICIT_CAST && list_length(f->args) == 3 && IsA(lthird(f->args), Const))
		{
			f = (FuncExpr *) expression_tree_mutator(node, show_length_coercion, NULL);
			f->funcformat = COERCE_EXPLICIT_CALL;
			return (Node *) f;
		}
	}
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, show_length_coercion, NULL, 0);
	return expression_tree_mutator(node, show_length_coercion, NULL);
}

/*
 * Make the coercions put around an expression visible as casts. A hidden one is not in the text, and what stands around the text, in a composed
 * expression, would then see another type: c / 2 divides a numeric or an integer.
 */
static void
show_casts(Node *node, const Node *inner)
{
	while (node != inner)
	{
		switch (nodeTag(node))
		{
			case T_FuncExpr:
				/* not a length coercion of three arguments: see above */
				if (list_length(((FuncExpr *) node)->args) < 3)
					((FuncExpr *) node)->funcformat = COERCE_EXPLICIT_CAST;
				node = linitial(((FuncExpr *) node)->args);
				break;
			case T_RelabelType:
				((RelabelType *) node)->relabelformat = COERCE_EXPLICIT_CAST;
				node = (Node *) ((RelabelType *) node)->arg;
				break;
			case T_CoerceViaIO:
				((CoerceViaIO *) node)->coerceformat = COERCE_EXPLICIT_CAST;
				node = (Node *) ((CoerceViaIO *) node)->arg;
				break;
			case T_CoerceToDomain:
				((CoerceToDomain *) node)->coercionformat = COERCE_EXPLICIT_CAST;
				node = (Node *) ((CoerceToDomain *) node)->arg;
				break;
			case T_ArrayCoerceExpr:
				/* a length coercion of elements, of three arguments, cannot be written as a call */
				if (!(IsA(((ArrayCoerceExpr *) node)->elemexpr, FuncExpr) &&
					  list_length(((FuncExpr *) ((ArrayCoerceExpr *) node)->elemexpr)->args) == 3))
					((ArrayCoerceExpr *) node)->coerceformat = COERCE_EXPLICIT_CAST;
				node = (Node *) ((ArrayCoerceExpr *) node)->arg;
				break;
			default:
				return;			/* a constant, coerced itself */
		}
	}
}

/*
 * An assignment's length coercion of an array's elements can only be written as an explicit cast, which cuts what an assignment refuses. It is left to the
 * assignment of the text's value to the column, which everybody who uses the text makes.
 */
static Node *
without_element_length(Node *node)
{
	ArrayCoerceExpr *array = (ArrayCoerceExpr *) node;
	FuncExpr   *length = IsA(node, ArrayCoerceExpr) ? (FuncExpr *) array->elemexpr : NULL;

	if (length == NULL || !IsA(length, FuncExpr) || list_length(length->args) != 3)
		return node;
	if (IsA(linitial(length->args), CaseTestExpr))
		return (Node *) array->arg;
	array->elemexpr = linitial(length->args);
	array->resulttypmod = -1;
	return node;
}

Node *
expr_coerce(Node *expr, const ExprTarget *target)
{
	Node	   *result = coerce_to_target_type(NULL, expr, exprType(expr), target->type, target->typmod,
											   target->explicit_cast ? COERCION_EXPLICIT : COERCION_ASSIGNMENT,
											   target->explicit_cast ? COERCE_EXPLICIT_CAST : COERCE_IMPLICIT_CAST, -1);

	if (result == NULL)
		return NULL;
	if (!target->explicit_cast)
		result = without_element_length(result);
	show_casts(result, expr);
	return show_length_coercion(result, NULL);
}

/* Coerce to the target or raise as an assignment would. */
static Node *
coerce_or_raise(ParseState *pstate, Node *expr, const ExprTarget *target)
{
	Node	   *result;

	if (!OidIsValid(target->type))
		return expr;
	result = expr_coerce(expr, target);
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" is of type %s but expression is of type %s", target->column,
						format_type_be(target->type), format_type_be(exprType(expr))),
				 errhint("You will need to rewrite or cast the expression."),
				 parser_errposition(pstate, exprLocation(expr))));
	return result;
}

/* Analyse a raw expression in the given kind of place; no target: it is a condition. */
static Node *
analyze(const RawExpr *raw, ParseExprKind kind, Scope *scope, const ExprTarget *target)
{
	ParseState *pstate = make_parsestate(NULL);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	SourceContext context;
	Node	   *expr;
	ListCell   *lc;
	int			level = NewGUCNestLevel();

	/* else a function of the caller's with a better match would take the place of the one that was printed */
	if (raw->printed)
		setting_set("search_path", "pg_catalog");
	source_begin(&context, raw->source, raw->path);
	pstate->p_sourcetext = raw->source;
	pstate->p_post_columnref_hook = resolve_column;
	pstate->p_ref_hook_state = scope;
	/* what the bound Vars are of: the parser looks there for the origin of a sub-select's columns, and for names that are like a missing one */
	rte->rtekind = RTE_NAMEDTUPLESTORE;
	rte->eref = makeAlias(scope->table ? scope->table : TRANSFORM_ALIAS, NIL);
	foreach(lc, scope->bindings)
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(((Binding *) lfirst(lc))->name)));
	pstate->p_rtable = list_make1(rte);
	expr = transformExpr(pstate, copyObject(raw->node), kind);
	expr = target ? coerce_or_raise(pstate, expr, target)
		: coerce_to_boolean(pstate, expr, kind == EXPR_KIND_CHECK_CONSTRAINT ? "CHECK" : "WHERE");
	assign_expr_collations(pstate, expr);
	source_end(&context);
	free_parsestate(pstate);
	AtEOXact_GUC(false, level);
	return expr;
}

Node *
expr_analyze(const RawExpr *raw, List *bindings, const char *table, const char *new_table, const ExprTarget *target)
{
	Scope		scope = {bindings, table, new_table};

	return analyze(raw, EXPR_KIND_UPDATE_SOURCE, &scope, target);
}

Node *
expr_analyze_check(const RawExpr *raw, List *bindings, const char *table, const char *new_table)
{
	Scope		scope = {bindings, table, new_table};

	return analyze(raw, EXPR_KIND_CHECK_CONSTRAINT, &scope, NULL);
}

Node *
expr_analyze_index(const RawExpr *raw, List *bindings, const char *table, const char *new_table, bool predicate)
{
	Scope		scope = {bindings, table, new_table};

	return analyze(raw, predicate ? EXPR_KIND_INDEX_PREDICATE : EXPR_KIND_INDEX_EXPRESSION, &scope,
				   predicate ? NULL : &(ExprTarget) {InvalidOid});
}

Node *
expr_analyze_default(const RawExpr *raw, const ExprTarget *target)
{
	Scope		scope = {NIL, NULL, NULL};

	return analyze(raw, EXPR_KIND_COLUMN_DEFAULT, &scope, target);
}

/* A query that selects just this expression from one relation with these column names. */
static Query *
wrap_in_query(Node *expr, List *columns)
{
	Query	   *query = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	ListCell   *lc;

	rte->rtekind = RTE_NAMEDTUPLESTORE;
	rte->eref = makeAlias(TRANSFORM_ALIAS, NIL);
	foreach(lc, columns)
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(lfirst(lc)));
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->hasSubLinks = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = list_make1(makeTargetEntry((Expr *) copyObject(expr), 1, NULL, false));
	return query;
}

char *
expr_text(Node *expr, List *columns)
{
	int			level = NewGUCNestLevel();
	char	   *text;

	setting_set("search_path", "pg_catalog");
	sql_portable_texts();
	text = pg_get_querydef(wrap_in_query(expr, columns), false);
	AtEOXact_GUC(false, level);
	while (*text == ' ')
		text++;
	/* a CASE begins on a line of its own */
	Assert(strncmp(text, "SELECT", 6) == 0 && isspace((unsigned char) text[6]));
	return text + 7;
}

bool
expr_is_volatile(Node *expr)
{
	return contain_volatile_functions(expr);
}
