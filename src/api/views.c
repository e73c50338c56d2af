/*
 * views.c
 *		mig.make_views, mig.drop_views, mig.make_current and mig.drop_version: what steps of a migration call.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "api/arguments.h"
#include "control/versions.h"

PG_FUNCTION_INFO_V1(mig_make_views);
PG_FUNCTION_INFO_V1(mig_drop_views);
PG_FUNCTION_INFO_V1(mig_make_current);
PG_FUNCTION_INFO_V1(mig_drop_version);

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

/* mig.drop_views(version): its views go, but the closed ones, and those of a version that was open. */
PGDLLEXPORT Datum
mig_drop_views(PG_FUNCTION_ARGS)
{
	versions_drop_views(arg_text_required(fcinfo, 0, "version"));
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
