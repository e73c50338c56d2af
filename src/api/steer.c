/*
 * steer.c
 *		mig_pause, mig_resume, mig_set, mig_override, mig_complete, mig_rollback, mig_use and mig_retire.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "base/shmem.h"
#include "base/sql.h"
#include "compile/plan.h"
#include "control/finish.h"
#include "control/gate.h"
#include "control/lifecycle.h"
#include "store/options.h"
#include "store/pace_state.h"
#include "store/override.h"
#include "verify/watch.h"

PG_FUNCTION_INFO_V1(mig_pause);
PG_FUNCTION_INFO_V1(mig_resume);
PG_FUNCTION_INFO_V1(mig_set);
PG_FUNCTION_INFO_V1(mig_override);
PG_FUNCTION_INFO_V1(mig_complete);
PG_FUNCTION_INFO_V1(mig_rollback);
PG_FUNCTION_INFO_V1(mig_use);
PG_FUNCTION_INFO_V1(mig_retire);

/* {"reason": …} or NULL */
static char *
reason_detail(const char *reason)
{
	StringInfoData buf;

	if (reason == NULL)
		return NULL;
	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"reason\": ");
	escape_json(&buf, reason);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

/* mig_pause(name, reason): nothing moves after the unit of work that runs now. */
PGDLLEXPORT Datum
mig_pause(PG_FUNCTION_ARGS)
{
	Migration  *mig = take_migration(arg_text_required(fcinfo, 0, "name"), "mig_pause", true);
	char	   *reason = arg_text(fcinfo, 1);

	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_pause");
	if (!mig->paused)
	{
		migration_set_pause(mig->id, true, reason ? reason : "paused", mig->error);
		event_write(mig->id, "paused", reason_detail(reason));
	}
	PG_RETURN_VOID();
}

/* mig_resume(name): goes on, and tries again what had failed. */
PGDLLEXPORT Datum
mig_resume(PG_FUNCTION_ARGS)
{
	Migration  *mig = take_migration(arg_text_required(fcinfo, 0, "name"), "mig_resume", true);

	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_resume");
	pace_state_wake(mig->id);
	watch_lift_fence(mig->id, "mig_resume");
	if (mig->paused)
	{
		finish_retry(mig);
		migration_set_pause(mig->id, false, NULL, NULL);
		event_write(mig->id, "resumed", NULL);
	}
	shmem_wake_at_commit();
	PG_RETURN_VOID();
}

/* mig_set(name, options, reason): changes options; a null takes one back to its default. */
PGDLLEXPORT Datum
mig_set(PG_FUNCTION_ARGS)
{
	Migration  *mig = take_migration(arg_text_required(fcinfo, 0, "name"), "mig_set", false);
	char	   *changes = arg_jsonb(fcinfo, 1);
	char	   *reason = arg_text(fcinfo, 2);

	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_set");
	options_check(changes, OPTIONS_SET);
	changes = settle_options(changes, mig);
	migration_set_options(mig->id, options_merge(mig->options, changes));
	watch_options_changed(mig->id);
	event_write(mig->id, "set", sql_textp("SELECT (jsonb_build_object('options', $1) || jsonb_strip_nulls(jsonb_build_object('reason', $2)))::text",
										  P_jsonb(changes), P_text(reason)));
	shmem_wake_at_commit();
	PG_RETURN_VOID();
}

/* A moment from now, 22023 if the interval is none for an override; 0 if it is no time at all. */
static TimestampTz
override_end(Interval *ttl)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), IntervalPGetDatum(ttl)));

	if (until == now)
		return 0;
	if (until < now + USECS_PER_SEC || until > now + 30 * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl must be between 1 second and 30 days, not %s", DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(ttl)))),
				 errhint("A ttl of 0 ends the overrides that run; mig_set changes options for good.")));
	return until;
}

/* mig_override(name, options, ttl, reason): options that hold for a while, over mig_set's; returns the moment of their end. */
PGDLLEXPORT Datum
mig_override(PG_FUNCTION_ARGS)
{
	Migration  *mig = take_migration(arg_text_required(fcinfo, 0, "name"), "mig_override", false);
	char	   *options = arg_jsonb(fcinfo, 1);
	TimestampTz until = 0;

	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_override");
	if (!PG_ARGISNULL(1) && PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("ttl must not be NULL")));
	if (!PG_ARGISNULL(1) && strcmp(options, "{}") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no options are to be overridden"),
				 errhint("NULL ends the overrides that run.")));
	options_check(options, OPTIONS_OVERRIDE);
	options = settle_options(options, mig);
	if (!PG_ARGISNULL(1))
		until = override_end(PG_GETARG_INTERVAL_P(2));
	if (until == 0)
		overrides_end(mig->id, true);
	else
		override_add(mig->id, options, until, arg_text(fcinfo, 3));
	shmem_wake_at_commit();
	PG_RETURN_TIMESTAMPTZ(until ? until : GetCurrentTimestamp());
}

/* mig_complete(name, force, reason) → 'completed' or 'completing' */
PGDLLEXPORT Datum
mig_complete(PG_FUNCTION_ARGS)
{
	Migration  *mig = take_migration(arg_text(fcinfo, 0), "mig_complete", false);
	char	   *reason = arg_text(fcinfo, 2);
	char	   *gates = NULL;

	if (mig->phase == PHASE_COMPLETED)
	{
		ereport(NOTICE,
				(errmsg("migration \"%s\" is completed already", mig->name)));
		PG_RETURN_TEXT_P(cstring_to_text("completed"));
	}
	if (mig->phase != PHASE_READY && mig->phase != PHASE_COMPLETING)
		lifecycle_wrong_phase(mig, "mig_complete");
	if (mig->paused)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" is paused", mig->name),
				 mig->error || mig->reason ? errdetail("Reason: %s.", mig->error ? mig->error : mig->reason) : 0,
				 errhint("Call mig_resume('%s') first.", mig->name)));
	if (mig->phase == PHASE_READY)
	{
		finish_check_turn(mig);
		gates = gates_require(mig, PHASE_COMPLETING, !PG_ARGISNULL(1) && PG_GETARG_BOOL(1), reason);
	}
	if (finish_complete(mig, sql_textp("SELECT (coalesce($1, '{}') || jsonb_build_object('gates', $2))::text", P_jsonb(reason_detail(reason)), P_jsonb(gates))))
		PG_RETURN_TEXT_P(cstring_to_text("completed"));
	shmem_wake_at_commit();
	if (!shmem_available())
		ereport(NOTICE,
				(errmsg("a last check of the rows is left, and there is no background worker"),
				 errhint("CALL mig_run('%s', until => 'completed').", mig->name)));
	PG_RETURN_TEXT_P(cstring_to_text("completing"));
}

/* mig_rollback(name, reason, force): the schema as it was; what new clients wrote stays, converted by down, which is shown first. */
PGDLLEXPORT Datum
mig_rollback(PG_FUNCTION_ARGS)
{
	Migration  *mig = take_migration(arg_text(fcinfo, 0), "mig_rollback", true);

	if (lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_rollback");
	if (PG_ARGISNULL(2) || !PG_GETARG_BOOL(2))
		finish_prove(mig);
	else if (mig->was_ready)
		event_write(mig->id, "forced", "{\"rollback\": \"without proof that the old version holds every write\"}");
	finish_rollback(mig, reason_detail(arg_text(fcinfo, 1)));
	PG_RETURN_VOID();
}

/* The newest version of the current schema that clients may use. */
static Migration *
newest_ready(void)
{
	List	   *path = fetch_search_path(false);
	char	   *schema = path ? get_namespace_name(linitial_oid(path)) : NULL;
	char	   *name;

	name = sql_textp("SELECT m.name FROM mig.version_schema s JOIN mig.state m ON m.id = s.migration_id"
					 " WHERE s.phase IN ('ready', 'completing', 'completed') AND s.schema_name = m.version_schema"
					 " AND s.base_schema = coalesce((SELECT base_schema FROM mig.version_schema WHERE schema_name = $1 LIMIT 1), $1)"
					 " ORDER BY m.id DESC LIMIT 1", P_text(schema));
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schema \"%s\" has no version that is ready", schema ? schema : ""),
				 errhint("mig_status() shows how far migrations are.")));
	return find_migration(name);
}

/*
 * Raise when a later version has taken the place of this one: its schema is closed or gone, and a schema of search_path that is gone is passed over
 * silently, so that its clients would write to the tables behind it.
 */
static void
check_not_superseded(const Migration *mig)
{
	char	   *successor;

	successor = sql_textp("SELECT n.version_schema FROM mig.state m JOIN mig.state n ON n.schema = m.schema AND n.id > m.id"
						  " WHERE m.id = $1 AND n.phase = 'completed' ORDER BY n.id DESC LIMIT 1", P_int8(mig->id));
	if (successor)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version \"%s\" has ended", mig->version_schema),
				 errhint("Use schema \"%s\".", successor)));
}

/* mig_use(name, local) → the search_path it has set */
PGDLLEXPORT Datum
mig_use(PG_FUNCTION_ARGS)
{
	char	   *name = arg_text(fcinfo, 0);
	bool		local = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	Migration  *mig = name ? find_migration(name) : newest_ready();
	char	   *path;

	if (mig->phase != PHASE_READY && mig->phase != PHASE_COMPLETING && mig->phase != PHASE_COMPLETED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version \"%s\" is %s", mig->version_schema, mig->phase == PHASE_ROLLED_BACK ? "rolled back" : "not ready"),
				 errhint("Use schema \"%s\"%s.", mig->schema,
						 mig->phase == PHASE_ROLLED_BACK ? "" : psprintf(", or CALL mig_wait('%s')", mig->name))));
	check_not_superseded(mig);
	path = psprintf("%s, %s", quote_identifier(mig->version_schema), quote_identifier(mig->schema));
	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, local ? GUC_ACTION_LOCAL : GUC_ACTION_SET, true, 0, false);
	PG_RETURN_TEXT_P(cstring_to_text(path));
}

/* mig_retire(name, older_than): removes the closed schema of an ended version. */
PGDLLEXPORT Datum
mig_retire(PG_FUNCTION_ARGS)
{
	Migration  *mig = take_migration(arg_text_required(fcinfo, 0, "name"), "mig_retire", false);

	if (!lifecycle_ended(mig->phase))
		lifecycle_wrong_phase(mig, "mig_retire");
	finish_retire(mig, PG_ARGISNULL(1) ? "0" : DatumGetCString(DirectFunctionCall1(interval_out, PG_GETARG_DATUM(1))));
	PG_RETURN_VOID();
}
