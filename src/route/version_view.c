/*
 * version_view.c
 *		A version's view, and what of its table it shows.
 *
 * A version view stands on its table, or on other views that do, and every column of it is a column of the table (compile/view.c). That is read
 * back from the views' own definitions here, so it holds for any of them, whatever their migration is doing. Who holds a lock on the view
 * is safe from its replacement: the steps that replace it take ACCESS EXCLUSIVE.
 */
#include "base/compat.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "route/version_view.h"
#include "store/state.h"
#include "sync/rule.h"

/* The one relation in a view's FROM; NULL when it has another form. */
static RangeTblEntry *
source_of(const Query *query)
{
	RangeTblRef *ref = query->jointree && list_length(query->jointree->fromlist) == 1 ? linitial(query->jointree->fromlist) : NULL;
	RangeTblEntry *entry = ref && IsA(ref, RangeTblRef) ? rt_fetch(ref->rtindex, query->rtable) : NULL;

	return entry && entry->rtekind == RTE_RELATION ? entry : NULL;
}

/* The column of the relation below that a view's column shows; 0: none. */
static AttrNumber
source_column(const Query *query, AttrNumber column)
{
	TargetEntry *entry = get_tle_by_resno(query->targetList, column);

	return entry && IsA(entry->expr, Var) ? ((Var *) entry->expr)->varattno : InvalidAttrNumber;
}

/* Go down from a view to its table; column (unless NULL) becomes the table's. InvalidOid when it is no view of a table's columns. */
static Oid
descend(Relation view, AttrNumber *column)
{
	Query	   *query = get_view_query(view);
	RangeTblEntry *source = source_of(query);
	Relation	below;
	Oid			table;

	if (source == NULL)
		return InvalidOid;
	if (column && (*column = source_column(query, *column)) <= 0)
		return InvalidOid;
	if (source->relkind != RELKIND_VIEW)
		return source->relid;
	below = relation_open(source->relid, AccessShareLock);
	table = descend(below, column);
	relation_close(below, NoLock);
	return table;
}

/* Could it be a version view? Told without a look at our tables, as the statement may be about anybody's view. */
static bool
is_candidate(Relation view)
{
	if (view->rd_rel->relkind != RELKIND_VIEW || view->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		return false;
	return view->trigdesc == NULL || sync_closed_trigger(view) != NULL;
}

Relation
version_view_open(const RangeVar *name, LOCKMODE lock)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);
	Relation	view;

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_VIEW)
		return NULL;
	view = relation_openrv_extended(name, lock, true);
	if (view == NULL)
		return NULL;
	if (is_candidate(view) && version_schema_exists(get_namespace_name(RelationGetNamespace(view))))
	{
		sync_check_open(view);
		if (OidIsValid(descend(view, NULL)))
			return view;
	}
	relation_close(view, lock);
	return NULL;
}

Oid
version_view_table(Relation view)
{
	return descend(view, NULL);
}

/* Is a column of a version view one that the table computes? */
static bool
is_generated(Relation view, AttrNumber column)
{
	Oid			table = descend(view, &column);

	return OidIsValid(table) && get_attgenerated(table, column) != '\0';
}

List *
version_view_columns(Relation view)
{
	TupleDesc	desc = RelationGetDescr(view);
	List	   *names = NIL;

	for (AttrNumber i = 1; i <= desc->natts; i++)
		if (!is_generated(view, i))
			names = lappend(names, makeString(pstrdup(NameStr(TupleDescAttr(desc, i - 1)->attname))));
	return names;
}

RangeVar *
version_view_range_var(Relation view)
{
	return makeRangeVar(get_namespace_name(RelationGetNamespace(view)), pstrdup(RelationGetRelationName(view)), -1);
}
