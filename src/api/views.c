/*
 * views.c
 *		mig.make_views, mig.drop_views, mig.make_current, mig.drop_version and mig.free_type: what steps of a migration call. mig_refresh_views.
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "api/arguments.h"
#include "base/sql.h"
#include "control/handmade.h"
#include "control/versions.h"

PG_FUNCTION_INFO_V1(mig_make_views);
PG_FUNCTION_INFO_V1(mig_drop_views);
PG_FUNCTION_INFO_V1(mig_free_type);
PG_FUNCTION_INFO_V1(mig_make_current);
PG_FUNCTION_INFO_V1(mig_drop_version);
PG_FUNCTION_INFO_V1(mig_refresh_views);

/* A text[] argument as its literal. */
static char *
arg_names(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? "{}" : OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(n));
}

/* mig.make_views(base, version, except): a view of each table of the base schema but these that the version does not show yet. */
PGDLLEXPORT Datum
mig_make_views(PG_FUNCTION_ARGS)
{
	versions_make_views(arg_text_required(fcinfo, 0, "base"), arg_text_required(fcinfo, 1, "version"), arg_names(fcinfo, 2));
	PG_RETURN_VOID();
}

/* mig.drop_views(version, all): its views go, but the closed ones; of a version that was open, those that cannot stay are closed, or all. */
PGDLLEXPORT Datum
mig_drop_views(PG_FUNCTION_ARGS)
{
	versions_drop_views(arg_text_required(fcinfo, 0, "version"), !PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
	PG_RETURN_VOID();
}

/* mig.make_current(base, version, tables): other versions' views of these tables are closed; its own stand on the tables. */
PGDLLEXPORT Datum
mig_make_current(PG_FUNCTION_ARGS)
{
	versions_make_current(arg_text_required(fcinfo, 0, "base"), arg_text_required(fcinfo, 1, "version"), arg_names(fcinfo, 2));
	PG_RETURN_VOID();
}

/* mig.drop_version(version): all its views and the schema. */
PGDLLEXPORT Datum
mig_drop_version(PG_FUNCTION_ARGS)
{
	versions_drop(arg_text_required(fcinfo, 0, "version"));
	PG_RETURN_VOID();
}

/* mig.free_type(type): closed views of versions give a type up, so that it can be dropped. */
PGDLLEXPORT Datum
mig_free_type(PG_FUNCTION_ARGS)
{
	versions_free_type(PG_GETARG_OID(0));
	PG_RETURN_VOID();
}

/* mig_refresh_views(schema) → how many version views were made or changed */
PGDLLEXPORT Datum
mig_refresh_views(PG_FUNCTION_ARGS)
{
	char	   *schema = arg_text(fcinfo, 0);
	List	   *path = schema ? NIL : fetch_search_path(false);
	char	   *base;

	if (schema)
		(void) get_namespace_oid(schema, false);
	else if (path)
		schema = get_namespace_name(linitial_oid(path));
	if (schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("no schema has been selected"),
				 errhint("Set search_path, or name the schema.")));
	base = sql_textp("SELECT base_schema FROM mig.version_schema WHERE schema_name = $1 LIMIT 1", P_text(schema));
	check_may_version(base ? base : schema);
	PG_RETURN_INT32(handmade_refresh(base ? base : schema));
}
