/*
 * identity.c
 *		mig.next_identity and mig.make_identity: sequences of identity columns that migrations replace or add.
 *
 * PostgreSQL makes an identity only together with a new sequence. Here an existing one becomes a column's identity (two catalog entries: the column says so,
 * and the sequence depends on it), so that whoever knows the sequence, by name or by OID, finds it unchanged.
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(mig_next_identity);
PG_FUNCTION_INFO_V1(mig_make_identity);

/* The table that owns a sequence, and the column's number; InvalidOid if none does. */
static Oid
sequence_owner(Oid sequence, int32 *column)
{
	Oid			relid = InvalidOid;

	if (!sequenceIsOwned(sequence, DEPENDENCY_INTERNAL, &relid, column))
		(void) sequenceIsOwned(sequence, DEPENDENCY_AUTO, &relid, column);
	return relid;
}

/* mig.next_identity(sequence): like an identity's own default it needs no right on the sequence, only one to write to its table. */
PGDLLEXPORT Datum
mig_next_identity(PG_FUNCTION_ARGS)
{
	Oid			sequence = PG_GETARG_OID(0);
	int32		column;
	Oid			relid = sequence_owner(sequence, &column);
	bool		may_write = OidIsValid(relid) &&
		(pg_class_aclmask(relid, GetUserId(), ACL_INSERT | ACL_UPDATE, ACLMASK_ANY) != 0 ||
		 pg_attribute_aclcheck_all(relid, GetUserId(), ACL_INSERT, ACLMASK_ANY) == ACLCHECK_OK ||
		 pg_attribute_aclcheck_all(relid, GetUserId(), ACL_UPDATE, ACLMASK_ANY) == ACLCHECK_OK);

	PG_RETURN_INT64(nextval_internal(sequence, !may_write));
}

/* Set a column's identity. */
static void
set_identity(Relation attributes, HeapTuple tuple, char kind)
{
	((Form_pg_attribute) GETSTRUCT(tuple))->attidentity = kind;
	CatalogTupleUpdate(attributes, &tuple->t_self, tuple);
}

/* mig.make_identity(relation, column, sequence, kind): the caller holds the table's lock and has dropped nothing yet. */
PGDLLEXPORT Datum
mig_make_identity(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Name		column = PG_GETARG_NAME(1);
	Oid			sequence = PG_GETARG_OID(2);
	Relation	attributes = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopyAttName(relid, NameStr(*column));
	Form_pg_attribute form = HeapTupleIsValid(tuple) ? (Form_pg_attribute) GETSTRUCT(tuple) : NULL;
	ObjectAddress sequence_address;
	ObjectAddress column_address;
	int32		former;

	if (sequence_owner(sequence, &former) != relid || form == NULL || !form->attnotnull || form->atthasdef)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sequence \"%s\" cannot become the identity of column \"%s\"", get_rel_name(sequence), NameStr(*column)),
				 errdetail("The table has to own it, and the column to be NOT NULL without a default.")));
	if (former != form->attnum)
		set_identity(attributes, SearchSysCacheCopyAttNum(relid, former), '\0');
	set_identity(attributes, tuple, PG_GETARG_CHAR(3));
	deleteDependencyRecordsForClass(RelationRelationId, sequence, RelationRelationId, DEPENDENCY_AUTO);
	deleteDependencyRecordsForClass(RelationRelationId, sequence, RelationRelationId, DEPENDENCY_INTERNAL);
	ObjectAddressSet(sequence_address, RelationRelationId, sequence);
	ObjectAddressSubSet(column_address, RelationRelationId, relid, form->attnum);
	recordDependencyOn(&sequence_address, &column_address, DEPENDENCY_INTERNAL);
	table_close(attributes, RowExclusiveLock);
	PG_RETURN_VOID();
}
