/*
 * sql.c
 *		SQL through SPI with parameters and text results, and the identities it runs under.
 *
 * Owns the plans of statements that are run again and again: those with parameters that are run as the bootstrap superuser, whose texts are
 * constants of ours, and those given to sql_exec_kept(). Parsing and planning them each time would cost a driver more than running them does.
 *
 * Each call has an SPI connection of its own; results are copied out before it ends.
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/sql.h"

#define KEPT_PLANS		128		/* of a session; one more takes the place of another */

/* A kept plan, found by its statement's text; the types of its parameters follow from that */
typedef struct KeptPlan
{
	uint32		hash;
	int			users;			/* executions under way */
	char	   *sql;			/* NULL: free */
	SPIPlanPtr	plan;
} KeptPlan;

static KeptPlan kept_plans[KEPT_PLANS];
static int	kept_next = 0;		/* where the search for a victim begins */

/* Make a parameter; the value of a NULL is never looked at. */
static SqlParam
make_param(Oid type, Datum value, bool isnull)
{
	SqlParam	p = {type, value, isnull};

	return p;
}

SqlParam
P_text(const char *s)
{
	return make_param(TEXTOID, s ? CStringGetTextDatum(s) : (Datum) 0, s == NULL);
}

SqlParam
P_jsonb(const char *json)
{
	return make_param(JSONBOID,
					  json ? DirectFunctionCall1(jsonb_in, CStringGetDatum(json)) : (Datum) 0,
					  json == NULL);
}

SqlParam
P_int8(int64 v)
{
	return make_param(INT8OID, Int64GetDatum(v), false);
}

SqlParam
P_int4(int32 v)
{
	return make_param(INT4OID, Int32GetDatum(v), false);
}

SqlParam
P_bool(bool v)
{
	return make_param(BOOLOID, BoolGetDatum(v), false);
}

SqlParam
P_oid(Oid v)
{
	return make_param(OIDOID, ObjectIdGetDatum(v), false);
}

SqlParam
P_time(int64 timestamptz)
{
	return make_param(TIMESTAMPTZOID, TimestampTzGetDatum(timestamptz), false);
}

/* Finds a place for another plan, freeing one that nobody runs; NULL if there is none. */
static KeptPlan *
kept_plan_place(void)
{
	for (int i = 0; i < KEPT_PLANS; i++)
	{
		KeptPlan   *kept = &kept_plans[kept_next];

		kept_next = (kept_next + 1) % KEPT_PLANS;
		if (kept->users > 0)
			continue;
		if (kept->sql)
		{
			pfree(kept->sql);
			kept->sql = NULL;
			SPI_freeplan(kept->plan);
		}
		return kept;
	}
	return NULL;
}

/* The kept plan of a statement, made if there is none yet; NULL if it cannot be kept. */
static KeptPlan *
kept_plan_get(const char *sql, int nparams, Oid *types)
{
	uint32		hash = hash_bytes((const unsigned char *) sql, strlen(sql));
	SPIPlanPtr	plan;
	KeptPlan   *kept;

	for (int i = 0; i < KEPT_PLANS; i++)
		if (kept_plans[i].hash == hash && kept_plans[i].sql && strcmp(kept_plans[i].sql, sql) == 0)
			return &kept_plans[i];
	plan = SPI_prepare(sql, nparams, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	kept = kept_plan_place();
	if (kept == NULL)
		return NULL;
	kept->sql = MemoryContextStrdup(TopMemoryContext, sql);
	kept->plan = plan;
	kept->hash = hash;
	SPI_keepplan(plan);
	return kept;
}

/* Runs a statement by its kept plan; false if that cannot be had. */
static bool
execute_kept(const char *sql, int nparams, Oid *types, Datum *values, const char *nulls)
{
	KeptPlan   *volatile kept = kept_plan_get(sql, nparams, types);
	volatile int rc = 0;

	if (kept == NULL)
		return false;
	kept->users++;
	PG_TRY();
	{
		rc = SPI_execute_plan(kept->plan, values, nulls, false, 0);
	}
	PG_FINALLY();
	{
		kept->users--;
	}
	PG_END_TRY();
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	return true;
}

/* Run a statement with parameters inside an SPI connection; raises what it raises. */
static void
execute(const char *sql, int nparams, const SqlParam *params, bool keep)
{
	Oid		   *types = palloc(sizeof(Oid) * Max(nparams, 1));
	Datum	   *values = palloc(sizeof(Datum) * Max(nparams, 1));
	char	   *nulls = palloc(Max(nparams, 1));
	int			rc;

	for (int i = 0; i < nparams; i++)
	{
		types[i] = params[i].type;
		values[i] = params[i].value;
		nulls[i] = params[i].isnull ? 'n' : ' ';
	}
	keep = keep || (nparams > 0 && GetUserId() == BOOTSTRAP_SUPERUSERID);
	if (keep && execute_kept(sql, nparams, types, values, nulls))
		return;
	rc = SPI_execute_with_args(sql, nparams, types, values, nulls, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(rc));
}

/* Run a statement in an SPI connection; returns the number of rows it processed. */
static uint64
exec(const char *sql, int nparams, const SqlParam *params, bool keep)
{
	uint64		processed;

	SPI_connect();
	execute(sql, nparams, params, keep);
	processed = SPI_processed;
	SPI_finish();
	return processed;
}

/* Run a statement; returns the number of rows it processed. */
uint64
sql_exec_params(const char *sql, int nparams, const SqlParam *params)
{
	return exec(sql, nparams, params, false);
}

/* The same, by a plan that is kept for the next time. */
uint64
sql_exec_kept(const char *sql, int nparams, const SqlParam *params)
{
	return exec(sql, nparams, params, true);
}

/* Run a query; all its rows as text, in the caller's memory context. */
SqlRows *
sql_query_params(const char *sql, int nparams, const SqlParam *params)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext spi;
	SqlRows    *rows;

	SPI_connect();
	execute(sql, nparams, params, false);
	spi = MemoryContextSwitchTo(caller);
	rows = palloc0(sizeof(SqlRows));
	if (SPI_tuptable != NULL)
	{
		int			natts = SPI_tuptable->tupdesc->natts;

		rows->n = SPI_processed;
		rows->v = palloc(sizeof(char **) * Max(rows->n, 1));
		for (uint64 r = 0; r < rows->n; r++)
		{
			rows->v[r] = palloc(sizeof(char *) * Max(natts, 1));
			for (int c = 0; c < natts; c++)
				rows->v[r][c] = SPI_getvalue(SPI_tuptable->vals[r], SPI_tuptable->tupdesc, c + 1);
		}
	}
	MemoryContextSwitchTo(spi);
	SPI_finish();
	return rows;
}

/* The first column of the first row as text, or NULL. */
char *
sql_text_params(const char *sql, int nparams, const SqlParam *params)
{
	SqlRows    *rows = sql_query_params(sql, nparams, params);

	return rows->n > 0 ? rows->v[0][0] : NULL;
}

/* Remember who we are, and open a GUC level for what the new identity sets. */
static void
identity_save(Identity *saved)
{
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	saved->guc_level = NewGUCNestLevel();
}

/*
 * Become the bootstrap superuser, with a search_path nobody can put objects into: a caller's own could shadow pg_catalog.
 */
void
admin_begin(Identity *saved)
{
	identity_save(saved);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, saved->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Become `role`; restricted when expressions of the user's are about to run. */
void
owner_begin(Identity *saved, Oid role, bool restricted)
{
	identity_save(saved);
	SetUserIdAndSecContext(role, saved->sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   (restricted ? SECURITY_RESTRICTED_OPERATION : 0));
}

/* Be again who we were before the matching begin. */
void
identity_end(const Identity *saved)
{
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
}

/* "schema"."name", quoted where needed. */
char *
sql_qualified(const char *schema, const char *name)
{
	return quote_qualified_identifier(schema, name);
}

/* Qualified name of a relation, NULL when it is gone. */
char *
sql_relation_name(Oid relid)
{
	char	   *name = get_rel_name(relid);
	char	   *schema = name ? get_namespace_name(get_rel_namespace(relid)) : NULL;

	return schema ? quote_qualified_identifier(schema, name) : NULL;
}
