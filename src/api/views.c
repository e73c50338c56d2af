/*
 * views.c
 *		mig.make_views and mig.drop_views: the version views of tables that a migration leaves alone.
 *
 * They are made when the step is run, not when the plan is made, so that tables which the migration's own statements make are among them.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "api/arguments.h"
#include "base/sql.h"
#include "compile/view.h"

PG_FUNCTION_INFO_V1(mig_make_views);
PG_FUNCTION_INFO_V1(mig_drop_views);
PG_FUNCTION_INFO_V1(mig_free_type);

/* mig.make_views(base, version, except): a view of each table of the base schema but these that the version does not show yet. */
PGDLLEXPORT Datum
mig_make_views(PG_FUNCTION_ARGS)
{
	char	   *base = arg_text_required(fcinfo, 0, "base");
	char	   *version = arg_text_required(fcinfo, 1, "version");
	char	   *except = PG_ARGISNULL(2) ? "{}" : OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(2));
	SqlRows    *rows;

	rows = sql_queryp("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f')"
					  " AND c.relpersistence <> 't' AND c.relname <> ALL ($3::text[])"
					  " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
					  " AND NOT EXISTS (SELECT FROM pg_class v JOIN pg_namespace s ON s.oid = v.relnamespace WHERE s.nspname = $2 AND v.relname = c.relname)"
					  " ORDER BY c.relname", P_text(base), P_text(version), P_text(except));
	for (uint64 r = 0; r < rows->n; r++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) sql_exec(view_plain_sql(version, (Oid) strtoul(rows->v[r][0], NULL, 10)));
	}
	PG_RETURN_VOID();
}

/* mig.drop_views(version): drops its views but the closed ones, which outlive a version that was open. */
PGDLLEXPORT Datum
mig_drop_views(PG_FUNCTION_ARGS)
{
	char	   *version = arg_text_required(fcinfo, 0, "version");
	SqlRows    *rows;

	rows = sql_queryp("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'v'"
					  " AND NOT EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
					  "  WHERE r.ev_class = c.oid AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = 'mig.closed(text, text)'::regprocedure)"
					  " ORDER BY c.relname", P_text(version));
	for (uint64 r = 0; r < rows->n; r++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) sql_exec(psprintf("DROP VIEW %s", sql_qualified(version, rows->v[r][0])));
	}
	PG_RETURN_VOID();
}

/* mig.free_type(type): closed views of versions give a type up, so that it can be dropped. */
PGDLLEXPORT Datum
mig_free_type(PG_FUNCTION_ARGS)
{
	Oid			type = PG_GETARG_OID(0);
	SqlRows    *rows = sql_queryp("SELECT DISTINCT c.oid FROM mig.version_schema s JOIN pg_namespace n ON n.nspname = s.schema_name"
								  " JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'v' JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
								  " JOIN pg_type y ON y.oid = a.atttypid WHERE $1 IN (y.oid, y.typelem) ORDER BY 1", P_oid(type));

	for (uint64 r = 0; r < rows->n; r++)
	{
		char	   *sql = view_free_type_sql((Oid) strtoul(rows->v[r][0], NULL, 10), type);

		if (sql)
			(void) sql_exec(sql);
	}
	PG_RETURN_VOID();
}
