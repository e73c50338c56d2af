/*
 * operations_table.c
 *		What operations on a table as a whole, and on its indexes, do to a shape.
 *
 * Owns no state.
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "utils/lsyscache.h"

#include "base/sql.h"
#include "compile/operations.h"

void
apply_rename_table(Table *t, const Operation *op)
{
	Oid			other = get_relname_relid(op->new_name, get_namespace_oid(t->schema, false));

	if (OidIsValid(other) && other != t->relid)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", op->new_name),
				 op_position(op)));
	t->new_name = op->new_name;
}

void
apply_drop_table(Table *t, const Operation *op)
{
	t->dropped = true;
}

void
apply_create_index(Table *t, const Operation *op)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("an index cannot be created in a migration yet"),
			 op_position(op)));
}

void
apply_drop_index(Table *t, const Operation *op)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("an index cannot be dropped in a migration yet"),
			 op_position(op)));
}

void
apply_rename_index(Table *t, const Operation *op)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("an index cannot be renamed in a migration yet"),
			 op_position(op)));
}

void
apply_replica_identity(Table *t, const Operation *op)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the replica identity cannot be set in a migration yet"),
			 op_position(op)));
}
