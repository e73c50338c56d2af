/*
 * load.c
 *		COPY … FROM into a version view.
 *
 * The server reads the rows (BeginCopyFrom, NextCopyFrom: files, programs, clients, all formats), and one INSERT into the view writes them, so that
 * defaults, origin, rules, grants and row-level security are those of any INSERT through that version, and statement triggers fire once. Its
 *
 *		INSERT INTO view (columns) OVERRIDING SYSTEM VALUE SELECT columns FROM rows
 *
 * is planned over an empty tuplestore named "rows"; the node that would scan it is made to hand out the copied rows instead. Thus
 * they stream: nothing is collected, and an error has the line that it belongs to as its context.
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_progress.h"
#include "utils/queryenvironment.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "route/load.h"
#include "route/version_view.h"

#define ROWS_NAME		"copied rows"

/* A COPY under way */
typedef struct Load
{
	EphemeralNamedRelationData rows;	/* first: the executor finds the load by it */
	Relation	view;
	const CopyStmt *stmt;
	List	   *columns;		/* String nodes: those that the data have */
	Bitmapset  *copied;			/* their numbers */
	ParseState *pstate;
	List	   *where;			/* implicitly ANDed; NIL: all rows */
	CopyFromState source;
	ExprState  *filter;
	ExprContext *econtext;		/* for one row */
	Datum	   *values;
	bool	   *nulls;
	uint64		passed;			/* rows handed out */
	uint64		excluded;		/* rows that WHERE has left out */
} Load;

/* Raise unless the user may read the file or run the program: the server's own check. */
static void
check_source(const CopyStmt *stmt)
{
	if (stmt->filename == NULL ||
		has_privs_of_role(GetUserId(), stmt->is_program ? ROLE_PG_EXECUTE_SERVER_PROGRAM : ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 stmt->is_program ? errmsg("permission denied to COPY to or from an external program") : errmsg("permission denied to COPY from a file"),
			 errdetail("It takes the privileges of the role %s.", stmt->is_program ? "pg_execute_server_program" : "pg_read_server_files"),
			 errhint("Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.")));
}

/* Raise for FREEZE: it is for rows that no INSERT writes. */
static void
check_options(const CopyStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "freeze") == 0 && defGetBoolean(option))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot perform COPY FREEZE on a version view"),
					 errhint("Leave FREEZE out, or COPY into the table.")));
	}
}

/* Set which columns the data have; raises for one that the view has not. */
static void
set_columns(Load *load)
{
	ListCell   *lc;

	load->columns = load->stmt->attlist ? load->stmt->attlist : version_view_columns(load->view);
	foreach(lc, CopyGetAttnums(RelationGetDescr(load->view), load->view, load->columns))
		load->copied = bms_add_member(load->copied, lfirst_int(lc));
}

/* Compile the WHERE. It may only use what the data have: the other columns get their values later, from the table's own defaults. */
static void
set_where(Load *load, ParseNamespaceItem *view)
{
	Node	   *where;
	Bitmapset  *used = NULL;
	int			i = -1;

	if (load->stmt->whereClause == NULL)
		return;
	addNSItemToQuery(load->pstate, view, false, true, true);
	where = transformExpr(load->pstate, copyObject(load->stmt->whereClause), EXPR_KIND_COPY_WHERE);
	where = coerce_to_boolean(load->pstate, where, "WHERE");
	assign_expr_collations(load->pstate, where);
	pull_varattnos(where, 1, &used);
	while ((i = bms_next_member(used, i)) >= 0)
	{
		AttrNumber	column = i + FirstLowInvalidHeapAttributeNumber;

		if (column <= 0 || !bms_is_member(column, load->copied))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("WHERE of a COPY into a version view can only use columns that are copied"),
					 column > 0 ? errdetail("Column \"%s\" is not copied.", NameStr(TupleDescAttr(RelationGetDescr(load->view), column - 1)->attname)) : 0));
	}
	load->where = make_ands_implicit((Expr *) canonicalize_qual((Expr *) eval_const_expressions(NULL, where), false));
}

/* The rows as the parser and the executor know them: a tuplestore, and an empty one. */
static QueryEnvironment *
make_rows(Load *load)
{
	QueryEnvironment *environment = create_queryEnv();

	load->rows.md.name = ROWS_NAME;
	load->rows.md.reliddesc = InvalidOid;
	load->rows.md.tupdesc = CreateTupleDescCopy(RelationGetDescr(load->view));
	load->rows.md.enrtype = ENR_NAMED_TUPLESTORE;
	load->rows.md.enrtuples = 1000;
	load->rows.reldata = tuplestore_begin_heap(false, false, work_mem);
	register_ENR(environment, &load->rows);
	return environment;
}

/* INSERT INTO view (columns) OVERRIDING SYSTEM VALUE SELECT columns FROM rows. Columns that are not copied but have a default of the view's
 * own are among them: the server's reader has evaluated it. */
static RawStmt *
make_insert(Load *load)
{
	TupleDesc	desc = RelationGetDescr(load->view);
	InsertStmt *insert = makeNode(InsertStmt);
	SelectStmt *select = makeNode(SelectStmt);
	RawStmt    *raw = makeNode(RawStmt);

	for (AttrNumber i = 1; i <= desc->natts; i++)
	{
		char	   *name = pstrdup(NameStr(TupleDescAttr(desc, i - 1)->attname));
		ResTarget  *target = makeNode(ResTarget);
		ColumnRef  *column = makeNode(ColumnRef);

		if (!bms_is_member(i, load->copied) && !TupleDescAttr(desc, i - 1)->atthasdef)
			continue;
		target->name = name;
		target->location = -1;
		insert->cols = lappend(insert->cols, target);
		target = makeNode(ResTarget);
		column->fields = list_make1(makeString(name));
		column->location = -1;
		target->val = (Node *) column;
		target->location = -1;
		select->targetList = lappend(select->targetList, target);
	}
	select->fromClause = list_make1(makeRangeVar(NULL, ROWS_NAME, -1));
	insert->relation = version_view_range_var(load->view);
	insert->selectStmt = (Node *) select;
	insert->override = OVERRIDING_SYSTEM_VALUE;
	raw->stmt = (Node *) insert;
	return raw;
}

/* Plan it. A rule of the user's on the table would make several statements of it, and the rows come only once. */
static PlannedStmt *
plan_insert(Load *load, QueryEnvironment *environment, const char *text)
{
	List	   *queries = pg_analyze_and_rewrite_fixedparams(make_insert(load), text, NULL, 0, environment);

	if (list_length(queries) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot COPY into view \"%s\", because its table has rules", RelationGetRelationName(load->view)),
				 errhint("Use INSERT, or COPY into the table.")));
	return pg_plan_query(linitial_node(Query, queries), text, CURSOR_OPT_PARALLEL_OK, NULL);
}

/* Read the next row of the source into the load's arrays, past those that WHERE leaves out; false at the end. */
static bool
read_row(Load *load, TupleTableSlot *slot)
{
	for (;;)
	{
		MemoryContext old;
		bool		more;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(load->econtext);
		old = MemoryContextSwitchTo(load->econtext->ecxt_per_tuple_memory);
		more = NextCopyFrom(load->source, load->econtext, load->values, load->nulls);
		if (more)
			ExecStoreMinimalTuple(heap_form_minimal_tuple(slot->tts_tupleDescriptor, load->values, load->nulls), slot, false);
		MemoryContextSwitchTo(old);
		if (!more)
			return false;
		load->econtext->ecxt_scantuple = slot;
		if (ExecQual(load->filter, load->econtext))
			return true;
		pgstat_progress_update_param(PROGRESS_COPY_TUPLES_EXCLUDED, ++load->excluded);
	}
}

/* Access method of the scan of the rows */
static TupleTableSlot *
next_row(ScanState *node)
{
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	Load	   *load = (Load *) get_ENR(node->ps.state->es_queryEnv, ROWS_NAME);

	ExecClearTuple(slot);
	if (read_row(load, slot))
		pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, ++load->passed);
	return slot;
}

/* Recheck method: there is nothing to check again */
static bool
recheck_row(ScanState *node, TupleTableSlot *slot)
{
	return true;
}

/* What the node does instead of scanning its tuplestore */
static TupleTableSlot *
scan_rows(PlanState *node)
{
	return ExecScan((ScanState *) node, next_row, recheck_row);
}

/* Find the scan of the rows in the plan, and make it hand them out. */
static bool
take_over_scan(PlanState *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NamedTuplestoreScanState) && strcmp(((NamedTuplestoreScan *) node->plan)->enrname, ROWS_NAME) == 0)
	{
		ExecSetExecProcNode(node, scan_rows);
		return true;
	}
	return planstate_tree_walker(node, take_over_scan, context);
}

/* Open the source. The client is asked for its data here: the privileges have been checked. */
static void
open_source(Load *load, EState *estate)
{
	int			natts = RelationGetDescr(load->view)->natts;

	load->source = BeginCopyFrom(load->pstate, load->view, (Node *) load->where, load->stmt->filename, load->stmt->is_program, NULL,
								 load->columns, load->stmt->options);
	load->filter = ExecInitQual(load->where, NULL);
	load->econtext = CreateExprContext(estate);
	load->values = palloc0(natts * sizeof(Datum));
	load->nulls = palloc0(natts * sizeof(bool));
}

/* Run the INSERT over all rows of the source. */
static uint64
run_insert(Load *load, QueryDesc *query)
{
	ErrorContextCallback callback;
	uint64		processed;

	ExecutorStart(query, 0);
	if (!take_over_scan(query->planstate, NULL))
		elog(ERROR, "the plan of a COPY into a view has no scan of its rows");
	open_source(load, query->estate);
	callback.callback = CopyFromErrorCallback;
	callback.arg = load->source;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	ExecutorRun(query, ForwardScanDirection, 0, true);
	error_context_stack = callback.previous;
	ExecutorFinish(query);
	processed = query->estate->es_processed;
	EndCopyFrom(load->source);
	ExecutorEnd(query);
	return processed;
}

uint64
load_view(Relation view, const CopyStmt *stmt, const char *query)
{
	Load		load = {.view = view,.stmt = stmt,.pstate = make_parsestate(NULL)};
	QueryEnvironment *environment;
	QueryDesc  *desc;
	uint64		processed;

	load.pstate->p_sourcetext = query;
	if (XactReadOnly)
		PreventCommandIfReadOnly("COPY FROM");
	check_source(stmt);
	check_options(stmt);
	set_columns(&load);
	set_where(&load, addRangeTableEntryForRelation(load.pstate, view, RowExclusiveLock, NULL, false, false));
	environment = make_rows(&load);
	/* as for any statement: it sees what those before it did */
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	desc = CreateQueryDesc(plan_insert(&load, environment, query), query, GetActiveSnapshot(), InvalidSnapshot, None_Receiver, NULL, environment, 0);
	processed = run_insert(&load, desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	tuplestore_end(load.rows.reldata);
	free_parsestate(load.pstate);
	return processed;
}
