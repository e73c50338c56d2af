/*
 * sql.c
 *		SQL through SPI with parameters and text results, and the identities it runs under.
 *
 * Owns the session's kept plans. Each call has an SPI connection of its own; results are copied out before it ends.
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "base/settings.h"
#include "base/sql.h"

#define KEPT_PLANS 200
#define KEPT_PLAN_TEXT 1024		/* longer statements run once a migration */

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
P_float8(double v)
{
	return make_param(FLOAT8OID, Float8GetDatum(v), false);
}

SqlParam
P_timestamptz(TimestampTz v)
{
	return make_param(TIMESTAMPTZOID, TimestampTzGetDatum(v), v == 0);
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
P_tids(const ItemPointerData *tids, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = PointerGetDatum(&tids[i]);
	return make_param(TIDARRAYOID, PointerGetDatum(construct_array(values, n, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT)), false);
}

Oid
sql_oid(const char *value)
{
	return (Oid) strtoul(value, NULL, 10);
}

/* Statements with parameters are few and constant texts: their plans are kept, by text. */
typedef struct KeptPlan
{
	char		sql[KEPT_PLAN_TEXT];	/* hash key */
	SPIPlanPtr	plan;
} KeptPlan;

static HTAB *kept_plans = NULL;

/* The plan of a statement; kept for the session, when it should be, its text is short enough and there is room. */
static SPIPlanPtr
prepare(const char *sql, int nparams, Oid *types, bool keep)
{
	KeptPlan   *kept;
	SPIPlanPtr	plan;

	if (kept_plans == NULL)
	{
		HASHCTL		ctl = {.keysize = KEPT_PLAN_TEXT,.entrysize = sizeof(KeptPlan)};

		kept_plans = hash_create("mig_control plans", KEPT_PLANS, &ctl, HASH_ELEM | HASH_STRINGS);
	}
	keep = keep && strlen(sql) < KEPT_PLAN_TEXT;
	kept = keep ? hash_search(kept_plans, sql, HASH_FIND, NULL) : NULL;
	if (kept)
		return kept->plan;
	plan = SPI_prepare_cursor(sql, nparams, types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	if (keep && hash_get_num_entries(kept_plans) < KEPT_PLANS && SPI_keepplan(plan) == 0)
	{
		kept = hash_search(kept_plans, sql, HASH_ENTER, NULL);
		kept->plan = plan;
	}
	return plan;
}

/* Let nothing but the server's own be found without a schema, until the GUC nest level ends. */
static void
pin_search_path(void)
{
	setting_set("search_path", "pg_catalog, pg_temp");
}

void
sql_portable_texts(void)
{
	static const char *const settings[][2] = {
		{"standard_conforming_strings", "on"}, {"extra_float_digits", "3"}, {"DateStyle", "ISO"}, {"IntervalStyle", "postgres"}
	};

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Parameters as SPI takes them */
typedef struct Arguments
{
	Oid		   *types;
	Datum	   *values;
	char	   *nulls;
} Arguments;

/* Make them of ours, in the current memory context. */
static Arguments
unpack(int nparams, const SqlParam *params)
{
	Arguments	a = {palloc(sizeof(Oid) * Max(nparams, 1)), palloc(sizeof(Datum) * Max(nparams, 1)), palloc(Max(nparams, 1))};

	for (int i = 0; i < nparams; i++)
	{
		a.types[i] = params[i].type;
		a.values[i] = params[i].value;
		a.nulls[i] = params[i].isnull ? 'n' : ' ';
	}
	return a;
}

/*
 * Run a statement inside an SPI connection; raises what it raises. Those with parameters are our own: a caller's search_path must not make other
 * functions and operators of them.
 */
static void
execute(const char *sql, int nparams, const SqlParam *params, bool pin)
{
	int			rc;

	if (nparams == 0)
		rc = SPI_execute(sql, false, 0);
	else
	{
		Arguments	a = unpack(nparams, params);
		int			level = NewGUCNestLevel();

		if (pin)
			pin_search_path();
		rc = SPI_execute_plan(prepare(sql, nparams, a.types, pin), a.values, a.nulls, false, 0);
		AtEOXact_GUC(false, level);
	}
	if (rc < 0)
		elog(ERROR, "SPI could not run a statement: %s", SPI_result_code_string(rc));
}

/* Run a statement; returns the number of rows it processed. */
uint64
sql_exec_params(const char *sql, int nparams, const SqlParam *params)
{
	uint64		processed;

	SPI_connect();
	execute(sql, nparams, params, true);
	processed = SPI_processed;
	SPI_finish();
	return processed;
}

/* The same under the caller's search_path; a plan is not kept, as there is one for each user's table. */
uint64
sql_exec_unpinned(const char *sql, int nparams, const SqlParam *params)
{
	uint64		processed;

	SPI_connect();
	execute(sql, nparams, params, false);
	processed = SPI_processed;
	SPI_finish();
	return processed;
}

/* The rows of the last statement of an SPI connection as text, in another memory context; none if it has none. */
static SqlRows *
copy_rows(MemoryContext context)
{
	MemoryContext spi = MemoryContextSwitchTo(context);
	SqlRows    *rows = palloc0(sizeof(SqlRows));

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
	return rows;
}

/* Run a query; all its rows as text, in the caller's memory context. */
SqlRows *
sql_query_params(const char *sql, int nparams, const SqlParam *params)
{
	MemoryContext caller = CurrentMemoryContext;
	SqlRows    *rows;

	SPI_connect();
	execute(sql, nparams, params, true);
	rows = copy_rows(caller);
	SPI_finish();
	return rows;
}

/*
 * Run a query that prints SQL for a search_path. Under that path it must not be analysed, since a schema in it may have functions and operators that suit
 * better than the server's: it is opened as a cursor before, and only its rows are fetched then.
 */
SqlRows *
sql_print_params(const char *search_path, const char *sql, int nparams, const SqlParam *params)
{
	MemoryContext caller = CurrentMemoryContext;
	int			level = NewGUCNestLevel();
	Arguments	arguments;
	Portal		cursor;
	SqlRows    *rows;

	SPI_connect();
	pin_search_path();
	arguments = unpack(nparams, params);
	cursor = SPI_cursor_open(NULL, prepare(sql, nparams, arguments.types, true), arguments.values, arguments.nulls, false);
	setting_set("search_path", search_path);
	SPI_cursor_fetch(cursor, true, FETCH_ALL);
	rows = copy_rows(caller);
	SPI_cursor_close(cursor);
	SPI_finish();
	AtEOXact_GUC(false, level);
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
	pin_search_path();
}

/* Run a statement as the superuser. */
void
admin_exec_params(const char *sql, int nparams, const SqlParam *params)
{
	Identity	saved;

	admin_begin(&saved);
	(void) sql_exec_params(sql, nparams, params);
	identity_end(&saved);
}

/* Run a query as the superuser; its rows are in the caller's context. */
SqlRows *
admin_query_params(const char *sql, int nparams, const SqlParam *params)
{
	Identity	saved;
	SqlRows    *rows;

	admin_begin(&saved);
	rows = sql_query_params(sql, nparams, params);
	identity_end(&saved);
	return rows;
}

/* Become `role`; restricted when expressions of the user's are about to run. */
void
owner_begin(Identity *saved, Oid role, bool restricted)
{
	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the role that started the migration does not exist any more")));
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

char *
sql_json_member(const char *key, const char *value)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, ", \"%s\": ", key);
	escape_json(&buf, value);
	return buf.data;
}
