/*
 * generated.c
 *		mig.make_generated: a column that has its values already becomes a stored generated one.
 *
 * PostgreSQL makes a generated column only by rewriting the table. Here the second column of one that has followed replaced columns (compile/shape.h) gets the two
 * catalog entries that make the difference: the column says so, and its expression stands where defaults do.
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_inherits.h"
#include "fmgr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compile/operation.h"

PG_FUNCTION_INFO_V1(mig_make_generated);

/* Mark a column as generated; raises unless it is an ordinary one without a default. Returns its number. */
static AttrNumber
set_generated(Relation rel, const char *column)
{
	Relation	attributes = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopyAttName(RelationGetRelid(rel), column);
	Form_pg_attribute form = HeapTupleIsValid(tuple) ? (Form_pg_attribute) GETSTRUCT(tuple) : NULL;

	if (form == NULL || form->attnum <= 0 || form->atthasdef || form->attidentity || form->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("column \"%s\" of table \"%s\" cannot become a generated one", column, RelationGetRelationName(rel)),
				 errdetail("It has to be a column without a default.")));
	form->attgenerated = ATTRIBUTE_GENERATED_STORED;
	CatalogTupleUpdate(attributes, &tuple->t_self, tuple);
	table_close(attributes, RowExclusiveLock);
	CommandCounterIncrement();
	return form->attnum;
}

/* Make a column of one relation generated. */
static void
make_generated(Relation rel, const char *column, const RawExpr *raw)
{
	AttrNumber	attno = set_generated(rel, column);
	ParseState *pstate = make_parsestate(NULL);
	Form_pg_attribute att;
	Node	   *expr;

	addNSItemToQuery(pstate, addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, false, true), true, true, true);
	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	expr = cookDefault(pstate, copyObject(raw->node), att->atttypid, att->atttypmod, column, ATTRIBUTE_GENERATED_STORED);
	(void) StoreAttrDefault(rel, attno, expr, true, false);
	free_parsestate(pstate);
}

/* mig.make_generated(relation, column, expression): the caller knows that each row has the expression's value. Its children's, too. */
PGDLLEXPORT Datum
mig_make_generated(PG_FUNCTION_ARGS)
{
	const char *column = NameStr(*PG_GETARG_NAME(1));
	RawExpr    *raw = raw_expr(text_to_cstring(PG_GETARG_TEXT_PP(2)), column);
	ListCell   *lc;

	LockRelationOid(PG_GETARG_OID(0), AccessExclusiveLock);	/* a step has it already */
	foreach(lc, find_all_inheritors(PG_GETARG_OID(0), AccessExclusiveLock, NULL))
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		make_generated(rel, column, raw);
		table_close(rel, NoLock);
	}
	PG_RETURN_VOID();
}
