/*
 * operations_table.c
 *		What operations on a table as a whole do to a shape.
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
	ListCell   *lc;

	t->dropped = true;
	/* what the definition did to it before has no effect */
	t->edits = t->rules = t->new_indexes = t->foreign_keys = NIL;
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		c->second = false;
		c->dropped = c->att == 0;
		if (c->dropped)
			t->columns = foreach_delete_current(t->columns, lc);
	}
}
