/*
 * history.c
 *		mig_export and mig_report: migrations as JSON. What these consist of is said by the views mig.history and mig.report.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "api/arguments.h"
#include "base/sql.h"

PG_FUNCTION_INFO_V1(mig_export);
PG_FUNCTION_INFO_V1(mig_report);

/* mig_export(schema) → manifests; all of them or an error, because a schema made of some would be another one */
PGDLLEXPORT Datum
mig_export(PG_FUNCTION_ARGS)
{
	SqlRows    *rows = sql_queryp("SELECT name, manifest FROM mig.history WHERE outcome = 'completed' AND ($1 IS NULL OR schema = $1) ORDER BY ended_at, id",
								  P_text(arg_text(fcinfo, 0)));

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (uint64 r = 0; r < rows->n; r++)
	{
		ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
		Datum		manifest;
		bool		isnull = false;

		if (rows->v[r][1] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for the definition of migration \"%s\"", rows->v[r][0]),
					 errhint("Name a schema whose migrations are yours, or have a member of pg_monitor export them.")));
		manifest = DirectFunctionCall1(jsonb_in, CStringGetDatum(rows->v[r][1]));
		tuplestore_putvalues(result->setResult, result->setDesc, &manifest, &isnull);
	}
	return (Datum) 0;
}

/* mig_report(name) → all that is known of the newest migration of that name */
PGDLLEXPORT Datum
mig_report(PG_FUNCTION_ARGS)
{
	Migration  *mig = find_migration(arg_text_required(fcinfo, 0, "name"));
	char	   *report = sql_textp("SELECT report FROM mig.report WHERE id = $1", P_int8(mig->id));

	if (report == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the definition of migration \"%s\"", mig->name),
				 errhint("Its owner's role, its operators and members of pg_monitor may report it.")));
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(report)));
}
