/*
 * expression.c
 *		Compiles and runs the up and down expressions of a table.
 *
 * An expression without a sub-select becomes an ExprState over the row's slot; with one, a kept SPI plan whose parameters are the row's
 * columns (made when first used), and an ExprState that coerces the plan's result.
 *
 * Every expression runs as the table's owner in a security-restricted operation. An EXPR_GENERAL one runs under the settings pinned at the start of
 * the migration as well: it may depend on them, or call functions of users, immutable ones too, in which a client's own search_path would
 * put the client's functions.
 *
 * How transform_try keeps an error from the caller's transaction depends on what the expression is made of:
 *	 EXPR_BARE		nothing that can raise (columns, constants, NULL tests, COALESCE, CASE): run as it is.
 *	 EXPR_PLAIN		only immutable functions of the server's own, in C, over base types of its own. These compute: when they raise a data
 *					exception they hold no lock, buffer, cache reference or snapshot that a subtransaction would have to release, and have
 *					written nothing. So the error is caught without one, which is several times cheaper. Anything but a data exception is
 *					raised again: the argument covers no other.
 *	 EXPR_GENERAL	the rest: in a subtransaction.
 *	 EXPR_BROKEN	it did not compile (a function was dropped or altered since the migration was started): fails for every row.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "store/expression.h"

typedef enum ExpressionKind
{
	EXPR_BARE,
	EXPR_PLAIN,
	EXPR_GENERAL,
	EXPR_BROKEN
} ExpressionKind;

struct Expression
{
	ExpressionKind kind;
	ErrorData  *broken;			/* why it did not compile */
	Oid			owner;
	ArrayType  *settings;		/* NULL: run under the caller's */
	List	   *functions;		/* OIDs of those of users that it calls */
	Expr	   *tree;			/* planned; with a sub-select: the coercion of its result, a CaseTestExpr */
	ExprState  *state;
	ExprContext *econtext;
	bool		busy;			/* an evaluation is under way: an ExprState is not re-entrant */
	/* with a sub-select */
	char	   *query;			/* NULL: none */
	bool		read_only;
	TupleDesc	desc;
	Bitmapset  *inputs;
	int16		result_len;
	bool		result_byval;
	SPIPlanPtr	plan;			/* NULL: not prepared yet */
};

/* Who the caller was, to go back to */
typedef struct Caller
{
	Oid			userid;
	int			sec_context;
	int			guc_level;		/* 0: no settings were pinned */
} Caller;

/* Is the type a base type of the server's own? */
static bool
is_builtin_type(Oid type)
{
	return type < FirstUnpinnedObjectId && get_typtype(type) == TYPTYPE_BASE;
}

/* Tells whether a function is other than immutable, written in C and the server's own (for check_functions_in_node). */
static bool
is_foreign_function(Oid funcid, void *context)
{
	HeapTuple	tuple;
	Form_pg_proc proc;
	bool		foreign;

	if (funcid >= FirstUnpinnedObjectId)
		return true;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	if (!HeapTupleIsValid(tuple))
		return true;
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	foreign = proc->prolang != INTERNALlanguageId || proc->provolatile != PROVOLATILE_IMMUTABLE || proc->proretset;
	ReleaseSysCache(tuple);
	return foreign;
}

/* Raises *kind (an ExpressionKind) to what the tree needs; true once that is EXPR_GENERAL. */
static bool
kind_walker(Node *node, void *context)
{
	ExpressionKind *kind = (ExpressionKind *) context;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_CaseWhen:
			break;
		case T_Var:
			if (((Var *) node)->varattno <= 0)
				*kind = EXPR_GENERAL;
			break;
		case T_NullTest:
			if (((NullTest *) node)->argisrow)
				*kind = EXPR_GENERAL;
			break;
		case T_Const:
		case T_RelabelType:
		case T_BoolExpr:
		case T_BooleanTest:
		case T_CoalesceExpr:
		case T_CaseExpr:
		case T_CaseTestExpr:
			break;
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_CoerceViaIO:
			*kind = Max(*kind, EXPR_PLAIN);
			if (check_functions_in_node(node, is_foreign_function, NULL) || !is_builtin_type(exprType(node)))
				*kind = EXPR_GENERAL;
			break;
		default:
			*kind = EXPR_GENERAL;
	}
	if (*kind == EXPR_GENERAL)
		return true;
	return expression_tree_walker(node, kind_walker, context);
}

/* Finds a Var of a type that is not a base type of the server's own. */
static bool
other_type_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if ((IsA(node, Var) || IsA(node, Const)) && !is_builtin_type(exprType(node)))
		return true;
	return expression_tree_walker(node, other_type_walker, context);
}

/* Classifies a planned expression. */
static ExpressionKind
kind_of(Node *tree)
{
	ExpressionKind kind = EXPR_BARE;

	kind_walker(tree, &kind);
	if (kind == EXPR_PLAIN && other_type_walker(tree, NULL))
		kind = EXPR_GENERAL;
	return kind;
}

/* Parses "SELECT (sql)" and returns its one expression, raw. */
static Node *
raw_expression(const char *query)
{
	List	   *stmts = raw_parser(query, RAW_PARSE_DEFAULT);
	SelectStmt *select = castNode(SelectStmt, linitial_node(RawStmt, stmts)->stmt);

	if (list_length(stmts) != 1 || list_length(select->targetList) != 1 || select->fromClause != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("up or down of a sync trigger is not one expression")));
	return linitial_node(ResTarget, select->targetList)->val;
}

/* Coerces an analysed condition to boolean. */
static Node *
coerce_to_condition(ParseState *pstate, Node *node)
{
	node = coerce_to_boolean(pstate, node, "CHECK");
	assign_expr_collations(pstate, node);
	return node;
}

/* Coerces an analysed expression to the column's type, type modifier and domain, as an assignment does. */
static Node *
coerce_to_column(ParseState *pstate, Node *node, Form_pg_attribute att)
{
	Node	   *coerced = coerce_to_target_type(pstate, node, exprType(node), att->atttypid, att->atttypmod,
												COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);

	if (coerced == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" is of type %s but its expression is of type %s", NameStr(att->attname),
						format_type_be(att->atttypid), format_type_be(exprType(node)))));
	assign_expr_collations(pstate, coerced);
	return coerced;
}

/* Collects the numbers of the columns that an analysed expression reads, in sub-selects too. */
static Bitmapset *
columns_read(Node *node, TupleDesc desc)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, pull_vars_of_level(node, 0))
	{
		AttrNumber	attno = lfirst_node(Var, lc)->varattno;

		if (attno > 0)
			columns = bms_add_member(columns, attno);
		else if (attno == 0)
			columns = bms_add_range(columns, 1, desc->natts);
	}
	return columns;
}

/* Notes a function of a user (for check_functions_in_node). */
static bool
note_function(Oid funcid, void *context)
{
	List	  **functions = context;

	if (funcid >= FirstUnpinnedObjectId)
		*functions = list_append_unique_oid(*functions, funcid);
	return false;
}

/* Lists the functions of users in a tree, sub-selects included. */
static bool
functions_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	(void) check_functions_in_node(node, note_function, context);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, functions_walker, context, 0);
	return expression_tree_walker(node, functions_walker, context);
}

List *
expression_functions(const Expression *expr)
{
	return expr ? expr->functions : NIL;
}

/* Fills in what an expression with a sub-select needs; returns the node that stands for its result. */
static Node *
compile_query(Expression *expr, const char *query, Node *node, Relation rel, Bitmapset *inputs)
{
	CaseTestExpr *result = makeNode(CaseTestExpr);

	expr->query = pstrdup(query);
	expr->read_only = !contain_volatile_functions(node);
	expr->desc = CreateTupleDescCopy(RelationGetDescr(rel));
	expr->inputs = inputs;
	get_typlenbyval(exprType(node), &expr->result_len, &expr->result_byval);
	result->typeId = exprType(node);
	result->typeMod = exprTypmod(node);
	result->collation = exprCollation(node);
	return (Node *) result;
}

/*
 * A context to evaluate an expression in. Those that call nobody's functions, and so never come here again meanwhile, share the memory for one evaluation: it
 * is 8 kB, and tables may be many.
 */
static ExprContext *
make_context(ExpressionKind kind)
{
	static MemoryContext shared = NULL;
	ExprContext *econtext;

	if (kind == EXPR_GENERAL)
		return CreateStandaloneExprContext();
	if (shared == NULL)
		shared = AllocSetContextCreate(CacheMemoryContext, "mig_control evaluation", ALLOCSET_DEFAULT_SIZES);
	econtext = makeNode(ExprContext);
	econtext->ecxt_per_query_memory = CurrentMemoryContext;
	econtext->ecxt_per_tuple_memory = shared;
	econtext->caseValue_isNull = true;
	econtext->domainValue_isNull = true;
	return econtext;
}

/* Compiles an expression into *expr. What parsing leaves behind is several times what has to stay. */
static void
compile_into(Expression *expr, Relation rel, const char *sql, Node *raw, AttrNumber target, ArrayType *settings,
			 Bitmapset **inputs, bool *verifiable)
{
	MemoryContext stays = CurrentMemoryContext;
	MemoryContext passes = AllocSetContextCreate(stays, "mig_control parsing", ALLOCSET_DEFAULT_SIZES);
	ParseState *pstate;
	ParseNamespaceItem *item;
	char	   *query;
	Node	   *node;

	MemoryContextSwitchTo(passes);
	pstate = make_parsestate(NULL);
	query = sql ? psprintf("SELECT (%s\n)", sql) : NULL;
	pstate->p_sourcetext = query;
	item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, makeAlias(TRANSFORM_ALIAS, NIL), false, true);
	addNSItemToQuery(pstate, item, true, true, true);
	node = target ? transformExpr(pstate, raw_expression(query), EXPR_KIND_UPDATE_SOURCE) : transformExpr(pstate, raw, EXPR_KIND_CHECK_CONSTRAINT);
	MemoryContextSwitchTo(stays);
	*inputs = columns_read(node, RelationGetDescr(rel));
	MemoryContextSwitchTo(passes);
	*verifiable = !pstate->p_hasSubLinks && !contain_volatile_functions(node);
	MemoryContextSwitchTo(stays);
	functions_walker(node, &expr->functions);
	MemoryContextSwitchTo(passes);

	expr->owner = rel->rd_rel->relowner;
	expr->kind = EXPR_GENERAL;
	if (pstate->p_hasSubLinks)
	{
		assign_expr_collations(pstate, node);
		MemoryContextSwitchTo(stays);
		node = compile_query(expr, query, node, rel, *inputs);
		MemoryContextSwitchTo(passes);
	}
	node = target ? coerce_to_column(pstate, node, TupleDescAttr(RelationGetDescr(rel), target - 1)) : coerce_to_condition(pstate, node);
	node = (Node *) expression_planner((Expr *) node);
	free_parsestate(pstate);
	MemoryContextSwitchTo(stays);
	expr->tree = copyObject((Expr *) node);
	MemoryContextDelete(passes);
	if (expr->query == NULL)
		expr->kind = kind_of((Node *) expr->tree);
	if (expr->kind == EXPR_GENERAL)
		expr->settings = settings;
	expr->state = ExecInitExpr(expr->tree, NULL);
	expr->econtext = make_context(expr->kind);
}

/* Finds a coercion to a domain. */
static bool
domain_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CoerceToDomain))
		return true;
	return expression_tree_walker(node, domain_walker, context);
}

/* Does it have a domain's constraints compiled in, or may it compile once a type has changed? */
bool
expression_depends_on_types(const Expression *expr)
{
	return expr && (expr->kind == EXPR_BROKEN || domain_walker((Node *) expr->tree, NULL));
}

/* Releases an expression's kept plan. */
void
expression_free(Expression *expr)
{
	if (expr && expr->plan)
		SPI_freeplan(expr->plan);
}

/* Becomes the table's owner, restricted, with the pinned settings; an error restores it all at (sub)transaction abort. */
static void
become_owner(Caller *caller, const Expression *expr)
{
	GetUserIdAndSecContext(&caller->userid, &caller->sec_context);
	SetUserIdAndSecContext(expr->owner, caller->sec_context | SECURITY_RESTRICTED_OPERATION);
	caller->guc_level = 0;
	if (expr->settings)
	{
		caller->guc_level = NewGUCNestLevel();
		ProcessGUCArray(expr->settings, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE);
	}
}

/* Goes back to who the caller was. */
static void
become_caller(const Caller *caller)
{
	if (caller->guc_level)
		AtEOXact_GUC(true, caller->guc_level);
	SetUserIdAndSecContext(caller->userid, caller->sec_context);
}

/* Resolves a column that the sub-select itself does not know to a parameter numbered as the table's column. */
static Node *
resolve_column(ParseState *pstate, ColumnRef *ref, Node *found)
{
	Expression *expr = (Expression *) pstate->p_ref_hook_state;
	const char *name;

	if (found || !IsA(llast(ref->fields), String) || list_length(ref->fields) > 2)
		return NULL;
	if (list_length(ref->fields) == 2 && strcmp(strVal(linitial(ref->fields)), TRANSFORM_ALIAS) != 0)
		return NULL;
	name = strVal(llast(ref->fields));
	for (int i = 0; i < expr->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(expr->desc, i);
		Param	   *param;

		if (att->attisdropped || strcmp(NameStr(att->attname), name) != 0)
			continue;
		param = makeNode(Param);
		param->paramkind = PARAM_EXTERN;
		param->paramid = i + 1;
		param->paramtype = att->atttypid;
		param->paramtypmod = att->atttypmod;
		param->paramcollid = att->attcollation;
		param->location = ref->location;
		return (Node *) param;
	}
	return NULL;
}

/* Hooks resolve_column into a parse. */
static void
parser_setup(ParseState *pstate, void *arg)
{
	pstate->p_post_columnref_hook = resolve_column;
	pstate->p_ref_hook_state = arg;
}

/* Makes the row's columns that the query reads its parameters. */
static ParamListInfo
row_params(const Expression *expr, TupleTableSlot *row)
{
	ParamListInfo params = makeParamList(expr->desc->natts);
	int			attno = -1;

	while ((attno = bms_next_member(expr->inputs, attno)) >= 0)
	{
		ParamExternData *param = &params->params[attno - 1];

		param->value = slot_getattr(row, attno, &param->isnull);
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = TupleDescAttr(expr->desc, attno - 1)->atttypid;
	}
	return params;
}

/* Runs the query of an expression with a sub-select. */
static Datum
run_query(Expression *expr, TupleTableSlot *row, bool *isnull)
{
	ParamListInfo params = row_params(expr, row);
	Datum		value = (Datum) 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (expr->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare_params(expr->query, parser_setup, expr, 0);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\"", expr->query);
		expr->plan = plan;
	}
	if (SPI_execute_plan_with_paramlist(expr->plan, params, expr->read_only, 2) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "unexpected result of \"%s\"", expr->query);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, isnull);
	if (!*isnull)
		value = SPI_datumTransfer(value, expr->result_byval, expr->result_len);
	SPI_finish();
	return value;
}

/* Evaluates with the given state. */
static Datum
evaluate_with(Expression *expr, ExprState *state, ExprContext *econtext, TupleTableSlot *row, bool *isnull)
{
	Datum		value;

	ResetExprContext(econtext);
	if (expr->query)
	{
		econtext->caseValue_datum = run_query(expr, row, &econtext->caseValue_isNull);
		econtext->domainValue_isNull = true;
	}
	econtext->ecxt_scantuple = row;
	value = ExecEvalExpr(state, econtext, isnull);
	econtext->ecxt_scantuple = NULL;
	return value;
}

/*
 * Evaluates an expression as who the caller already is. One that calls functions of anybody's may come here again, when such a function
 * writes to the table; the inner evaluation then has a state of its own.
 */
static Datum
evaluate(Expression *expr, TupleTableSlot *row, bool *isnull)
{
	Datum		value;

	if (expr->kind != EXPR_GENERAL)
		return evaluate_with(expr, expr->state, expr->econtext, row, isnull);
	if (expr->busy)
		return evaluate_with(expr, ExecInitExpr(expr->tree, NULL), CreateStandaloneExprContext(), row, isnull);
	expr->busy = true;
	PG_TRY();
	{
		value = evaluate_with(expr, expr->state, expr->econtext, row, isnull);
	}
	PG_FINALLY();
	{
		expr->busy = false;
	}
	PG_END_TRY();
	return value;
}

/* Raises why an expression did not compile, as a new error each time. */
static void
raise_broken(const Expression *expr)
{
	ereport(ERROR,
			(errcode(expr->broken->sqlerrcode),
			 errmsg("%s", expr->broken->message),
			 expr->broken->detail ? errdetail("%s", expr->broken->detail) : 0,
			 expr->broken->hint ? errhint("%s", expr->broken->hint) : 0,
			 expr->broken->context ? errcontext("%s", expr->broken->context) : 0));
}

/* Evaluates an expression over a row; raises what it raises. */
Datum
transform_eval(Expression *expr, TupleTableSlot *row, bool *isnull)
{
	Caller		caller;
	Datum		value;

	if (expr->kind == EXPR_BARE)
		return evaluate(expr, row, isnull);
	if (expr->kind == EXPR_BROKEN)
		raise_broken(expr);
	become_owner(&caller, expr);
	value = evaluate(expr, row, isnull);
	become_caller(&caller);
	return value;
}

/* Takes the pending error off the stack, into the given memory context. */
static ErrorData *
take_error(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	return error;
}

/* transform_try for EXPR_PLAIN; the file header says why no subtransaction is needed. */
static bool
try_plain(Expression *expr, TupleTableSlot *row, Datum *value, bool *isnull, char **message)
{
	MemoryContext context = CurrentMemoryContext;
	Caller		caller;
	volatile bool ok = true;

	become_owner(&caller, expr);
	PG_TRY();
	{
		*value = evaluate(expr, row, isnull);
	}
	PG_CATCH();
	{
		int			category = ERRCODE_TO_CATEGORY(geterrcode());

		if (category != ERRCODE_DATA_EXCEPTION && category != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
			PG_RE_THROW();
		*message = take_error(context)->message;
		ok = false;
	}
	PG_END_TRY();
	become_caller(&caller);
	return ok;
}

/* Must this error end the caller's statement? Cancel, shutdown, lack of resources, a transaction that must be tried again, corruption. */
static bool
must_raise(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return true;
	}
	return sqlerrcode == ERRCODE_STATEMENT_TOO_COMPLEX || sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		sqlerrcode == ERRCODE_INDEX_CORRUPTED;
}

/*
 * Compiles an expression; see the header. One that does not compile is EXPR_BROKEN: its table's other pairs, and old clients' writes, must
 * not fail with it.
 */
static Expression *
compile(Relation rel, const char *sql, Node *raw, AttrNumber target, ArrayType *settings, Bitmapset **inputs, bool *verifiable)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Expression *expr = palloc0(sizeof(Expression));

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		compile_into(expr, rel, sql, raw, target, settings, inputs, verifiable);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		expr->kind = EXPR_BROKEN;
		expr->broken = take_error(context);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (expr->broken)
	{
		if (must_raise(expr->broken->sqlerrcode))
			ReThrowError(expr->broken);
		*inputs = bms_add_range(NULL, 1, RelationGetNumberOfAttributes(rel));	/* unknown: whatever changes */
		*verifiable = false;
	}
	return expr;
}

Expression *
expression_compile(Relation rel, const char *sql, AttrNumber target, ArrayType *settings,
				   Bitmapset **inputs, bool *verifiable)
{
	return compile(rel, sql, NULL, target, settings, inputs, verifiable);
}

Expression *
expression_compile_condition(Relation rel, Node *raw)
{
	Bitmapset  *inputs;
	bool		verifiable;

	return compile(rel, NULL, raw, 0, NULL, &inputs, &verifiable);
}

/* transform_try for EXPR_GENERAL: in a subtransaction. */
static bool
try_subtransaction(Expression *expr, TupleTableSlot *row, Datum *value, bool *isnull, char **message)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		*value = transform_eval(expr, row, isnull);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = take_error(context);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error == NULL)
		return true;
	if (must_raise(error->sqlerrcode))
		ReThrowError(error);
	*message = error->message;
	return false;
}

/* Evaluates an expression over a row; on a data error returns false with the message. */
bool
transform_try(Expression *expr, TupleTableSlot *row, Datum *value, bool *isnull, char **error)
{
	switch (expr->kind)
	{
		case EXPR_BARE:
			*value = evaluate(expr, row, isnull);
			return true;
		case EXPR_PLAIN:
			return try_plain(expr, row, value, isnull, error);
		case EXPR_BROKEN:
			*error = expr->broken->message;
			return false;
		case EXPR_GENERAL:
			break;
	}
	return try_subtransaction(expr, row, value, isnull, error);
}
