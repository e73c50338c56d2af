/*
 * carry.c
 *		mig.carry: puts other columns in the place of a table's own, and what uses them follows.
 *
 * It looks at the catalogs when it is run: a view that was replaced since the migration began comes back as it is now.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "base/sql.h"
#include "compile/dependent.h"

PG_FUNCTION_INFO_V1(mig_carry);

/* mig.carry(relation, columns, sql): all with the caller's rights. */
PGDLLEXPORT Datum
mig_carry(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *names = OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(1));
	char	   *columns = sql_textp("SELECT array_agg(attnum)::text FROM pg_attribute WHERE attrelid = $1 AND attname = ANY ($2::name[]) AND attnum > 0",
									P_oid(relid), P_text(names));
	List	   *dependents = dependents_of(relid, columns ? columns : "{}");
	ListCell   *lc;

	foreach(lc, dependents)
		(void) sql_exec(((Dependent *) lfirst(lc))->drop);
	(void) sql_exec(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	for (int i = list_length(dependents) - 1; i >= 0; i--)
	{
		Dependent  *d = list_nth(dependents, i);

		(void) sql_exec(d->create);
		if (d->rest && d->rest[0])
			(void) sql_exec(d->rest);
	}
	PG_RETURN_VOID();
}
