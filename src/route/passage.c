/*
 * passage.c
 *		Statements that PostgreSQL refuses on views pass through a version's views to its tables: COPY FROM, COPY TO and TRUNCATE.
 *
 * Only for version views; of other views, and without the library loaded, PostgreSQL says what it always does. Costs statements of these
 * kinds a look at the relation's kind, and others nothing.
 */
#include "base/compat.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"

#include "pace/latency.h"
#include "route/load.h"
#include "route/passage.h"
#include "route/version_view.h"

static ProcessUtility_hook_type next_utility = NULL;

/* A copy of a statement around another node: those of cached plans are not ours to change. */
static PlannedStmt *
with_node(const PlannedStmt *pstmt, void *node)
{
	PlannedStmt *copy = makeNode(PlannedStmt);

	*copy = *pstmt;
	copy->utilityStmt = node;
	return copy;
}

/* COPY (SELECT columns FROM view) TO … for a COPY view TO … */
static CopyStmt *
copy_query(const CopyStmt *stmt, Relation view)
{
	CopyStmt   *copy = copyObject(unconstify(CopyStmt *, stmt));
	SelectStmt *select = makeNode(SelectStmt);
	ListCell   *lc;

	foreach(lc, copy->attlist ? copy->attlist : version_view_columns(view))
	{
		ResTarget  *target = makeNode(ResTarget);
		ColumnRef  *column = makeNode(ColumnRef);

		column->fields = list_make1(lfirst(lc));
		column->location = -1;
		target->val = (Node *) column;
		target->location = -1;
		select->targetList = lappend(select->targetList, target);
	}
	select->fromClause = list_make1(version_view_range_var(view));
	copy->query = (Node *) select;
	copy->relation = NULL;
	copy->attlist = NIL;
	return copy;
}

/* The table of a version view, for a TRUNCATE of the view; the view's own privilege is checked here, the table's by the server. */
static RangeVar *
truncate_target(const RangeVar *name, Relation view)
{
	Oid			table = version_view_table(view);
	RangeVar   *target = copyObject(unconstify(RangeVar *, name));

	if (pg_class_aclcheck(RelationGetRelid(view), GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_VIEW, RelationGetRelationName(view));
	target->catalogname = NULL;
	target->schemaname = get_namespace_name(get_rel_namespace(table));
	target->relname = get_rel_name(table);
	return target;
}

/* A TRUNCATE with tables in place of version views; NULL when it names none. */
static TruncateStmt *
truncate_tables(TruncateStmt *stmt)
{
	TruncateStmt *copy = NULL;

	for (int i = 0; i < list_length(stmt->relations); i++)
	{
		RangeVar   *name = list_nth(stmt->relations, i);
		Relation	view = version_view_open(name, AccessShareLock);

		if (view == NULL)
			continue;
		if (copy == NULL)
			copy = copyObject(stmt);
		lfirst(list_nth_cell(copy->relations, i)) = truncate_target(name, view);
		relation_close(view, NoLock);
	}
	return copy;
}

/* The statement to run instead of one that concerns version views: another one, or NULL when it has been run; itself when it is none of those. */
static PlannedStmt *
pass(PlannedStmt *pstmt, const char *query, QueryCompletion *completion)
{
	Node	   *node = pstmt->utilityStmt;

	if (IsA(node, TruncateStmt))
	{
		TruncateStmt *other = truncate_tables((TruncateStmt *) node);

		return other ? with_node(pstmt, other) : pstmt;
	}
	if (IsA(node, CopyStmt) && ((CopyStmt *) node)->relation)
	{
		CopyStmt   *stmt = (CopyStmt *) node;
		Relation	view = version_view_open(stmt->relation, stmt->is_from ? RowExclusiveLock : AccessShareLock);

		if (view && stmt->is_from)
		{
			uint64		processed = load_view(view, stmt, query);

			if (completion)
				SetQueryCompletion(completion, CMDTAG_COPY, processed);
			pstmt = NULL;
		}
		else if (view)
			pstmt = with_node(pstmt, copy_query(stmt, view));
		if (view)
			relation_close(view, NoLock);
		else
			latency_note(RangeVarGetRelid(stmt->relation, NoLock, true), stmt->is_from);
	}
	return pstmt;
}

/* ProcessUtility hook */
static void
passage_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	pstmt = pass(pstmt, query, completion);
	if (pstmt)
		(next_utility ? next_utility : standard_ProcessUtility) (pstmt, query, read_only_tree, context, params, environment, dest, completion);
}

void
passage_install(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = passage_utility;
}
