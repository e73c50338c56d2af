/*
 * arguments.c
 *		Arguments and permissions of API calls.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "api/arguments.h"
#include "base/lock.h"
#include "base/sql.h"
#include "control/abort.h"
#include "control/gate.h"
#include "pace/horizon.h"
#include "pace/signal.h"
#include "pace/window.h"
#include "store/options.h"
#include "store/override.h"

void
require_read_committed(const char *function)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be called in a transaction with isolation level %s", function,
						IsolationIsSerializable() ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("It has to see what others have committed while it waited for a lock."),
				 errhint("Use BEGIN ISOLATION LEVEL READ COMMITTED, or SET default_transaction_isolation = 'read committed'.")));
}

char *
arg_text(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

char *
arg_text_required(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name)));
	return arg_text(fcinfo, n);
}

char *
arg_jsonb(FunctionCallInfo fcinfo, int n)
{
	Jsonb	   *jb;

	if (PG_ARGISNULL(n))
		return "{}";
	jb = PG_GETARG_JSONB_P(n);
	if (!JB_ROOT_IS_OBJECT(jb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object")));
	return JsonbToCString(NULL, &jb->root, VARSIZE(jb));
}

char *
settle_options(const char *options, const Migration *mig)
{
	char	   *windows = windows_settle(option_json(options, "window"));

	signals_check_options(option_json(options, "throttle"), mig ? mig->owner : GetUserId(), mig ? mig->settings : NULL);
	abort_check_options(option_json(options, "abort_if"));
	horizon_check_option(option_text(options, "on_held_horizon"));
	gates_check_options(options, mig ? mig->owner : GetUserId(), mig ? mig->settings : NULL);
	if (windows)
		options = sql_textp("SELECT ($1 || jsonb_build_object('window', $2))::text", P_jsonb(options), P_jsonb(windows));
	return (char *) options;
}

/* The only active migration of the current schema. */
static Migration *
only_active_migration(void)
{
	List	   *path = fetch_search_path(false);
	char	   *schema = path ? get_namespace_name(linitial_oid(path)) : NULL;
	char	   *base = schema ? sql_textp("SELECT base_schema FROM mig.version_schema WHERE schema_name = $1 LIMIT 1", P_text(schema)) : NULL;
	Migration  *found = NULL;
	ListCell   *lc;

	foreach(lc, schema ? migrations_active() : NIL)
	{
		Migration  *mig = lfirst(lc);

		if (strcmp(mig->schema, base ? base : schema) != 0)
			continue;
		if (found)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("schema \"%s\" has several active migrations", schema),
					 errhint("Name one of them; mig_status() lists them.")));
		found = mig;
	}
	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("schema \"%s\" has no active migration", schema ? schema : ""),
				 errhint("mig_status() lists the migrations of all schemas.")));
	return found;
}

Migration *
find_migration(const char *name)
{
	Migration  *mig;

	if (name == NULL)
		return only_active_migration();
	mig = migration_by_name(name);
	if (mig == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("migration \"%s\" does not exist", name),
				 errhint("mig_status() lists the migrations.")));
	return mig;
}

void
hide_texts(Migration *mig)
{
	SqlRows    *rows;

	if (mig->error == NULL && mig->reason == NULL)
		return;
	rows = sql_queryp("SELECT error, waiting_for FROM mig.state WHERE id = $1", P_int8(mig->id));
	if (rows->n > 0)
	{
		mig->error = rows->v[0][0];
		mig->reason = rows->v[0][1];
	}
}

/* Is the current user, or a role it is a member of, named in options.operators? */
static bool
is_operator(const Migration *mig)
{
	SqlRows    *rows = admin_queryp("SELECT r.oid FROM jsonb_array_elements_text(CASE jsonb_typeof($1 -> 'operators') WHEN 'array' THEN $1 -> 'operators'"
								  " ELSE '[]' END) o JOIN pg_catalog.pg_roles r ON r.rolname = o", P_jsonb(mig->options));

	for (uint64 i = 0; i < rows->n; i++)
		if (has_privs_of_role(GetUserId(), sql_oid(rows->v[i][0])))
			return true;
	return false;
}

void
check_may_steer(const Migration *mig, bool operators)
{
	if (superuser() || (OidIsValid(mig->owner) && has_privs_of_role(GetUserId(), mig->owner)))
		return;
	if (operators && is_operator(mig))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of migration \"%s\"", mig->name),
			 operators ? errhint("Its owner can name operators in the migration's options.") : 0));
}

/*
 * The version schema stands for the whole base schema, and who starts the migration owns its views: so the caller must own the schema, or have
 * the roles of all its tables' owners. Otherwise the owner of one table would put views of his own before everybody's.
 */
void
check_may_version(const char *schema)
{
	if (sql_textp("SELECT 1 FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) $1"
				  " AND (pg_catalog.pg_has_role(n.nspowner, 'USAGE') OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c"
				  " WHERE c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relkind IN ('r', 'p', 'f') AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')))",
				  P_text(schema)) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of schema \"%s\" or of all its tables", schema),
				 errdetail("A version shows all tables of the schema, in views that belong to who starts the migration."),
				 errhint("Have the schema's owner do it.")));
}

Migration *
take_migration(const char *name, const char *function, bool operators)
{
	Migration  *mig = find_migration(name);

	require_read_committed(function);
	check_may_steer(mig, operators);
	(void) advisory_lock(MIG_LOCK_MIGRATION, mig->id, ExclusiveLock, false, false);
	mig = migration_by_id(mig->id);
	if (mig->override_over)
		overrides_end(mig->id, false);
	return mig;
}
