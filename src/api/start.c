/*
 * start.c
 *		mig_plan and mig_start.
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "utils/builtins.h"

#include "api/arguments.h"
#include "base/lock.h"
#include "base/shmem.h"
#include "base/sql.h"
#include "compile/plan.h"
#include "control/lifecycle.h"
#include "control/restore_point.h"
#include "control/steps.h"
#include "pace/signal.h"
#include "store/chain.h"
#include "verify/business.h"
#include "verify/lint.h"

PG_FUNCTION_INFO_V1(mig_plan);
PG_FUNCTION_INFO_V1(mig_start);

/* mig_plan(definition) and mig_start(definition) bring one argument, the others name, definition, options. */
static void
unpack_arguments(FunctionCallInfo fcinfo, char **name, char **definition, char **options)
{
	bool		only = PG_NARGS() == 1;

	*name = only ? NULL : arg_text_required(fcinfo, 0, "name");
	*definition = arg_text_required(fcinfo, only ? 0 : 1, "definition");
	*options = only ? "{}" : arg_jsonb(fcinfo, 2);
}

/* One row of mig_plan. */
static void
put_step(ReturnSetInfo *rsinfo, const Step *s)
{
	Datum		values[7];
	bool		nulls[7] = {false};
	const char *lock = step_lock_name(s->lock);

	values[0] = Int32GetDatum(s->no);
	values[1] = CStringGetTextDatum(step_phase_name(s->phase));
	nulls[2] = s->relation == NULL;
	values[2] = s->relation ? CStringGetTextDatum(s->relation) : (Datum) 0;
	nulls[3] = lock == NULL;
	values[3] = lock ? CStringGetTextDatum(lock) : (Datum) 0;
	values[4] = BoolGetDatum(s->rewrites);
	values[5] = CStringGetTextDatum(s->sql);
	nulls[6] = s->note == NULL;
	values[6] = s->note ? CStringGetTextDatum(s->note) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* mig_plan([name,] definition [, options]): the steps that mig_start would store and run. */
PGDLLEXPORT Datum
mig_plan(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *definition;
	char	   *options;
	MigPlan    *plan;
	ListCell   *lc;

	unpack_arguments(fcinfo, &name, &definition, &options);
	plan = plan_compile(name, definition, options, AccessShareLock);
	lint_plan(plan);
	(void) settle_options(plan->options, NULL);
	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, plan->steps)
		put_step((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
	return (Datum) 0;
}

/* Do two definitions say the same, like a manifest and what mig_export makes of it? The second one, a caller's, must be readable. */
static bool
same_definition(const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return true;
	(void) definition_read(b, NULL);
	return sql_textp("SELECT 1 WHERE mig.manifest('', '', $1, '{}') - 'options' = mig.manifest('', '', $2, '{}') - 'options'",
					 P_text(a), P_text(b)) != NULL;
}

/* The former run of that name if it is the same migration, live or completed; raises when the name stands for another one. */
static Migration *
same_migration(const char *name, const char *definition)
{
	Migration  *former = migration_by_name(name);

	if (former == NULL || former->phase == PHASE_ROLLED_BACK)
		return NULL;
	if (!same_definition(former->definition, definition))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("migration \"%s\" exists with another definition", name),
				 errdetail("It is %s.", phase_name(former->phase)),
				 errhint("Choose another name; a rolled back migration's name is free again.")));
	check_may_steer(former, false);
	ereport(NOTICE,
			(errmsg("migration \"%s\" is %s already", name, phase_name(former->phase))));
	return former;
}

/* Say so when nobody will do the rest in the background. */
static void
notice_missing_worker(const char *name)
{
	if (!shmem_available())
		ereport(NOTICE,
				(errmsg("mig_control is not in shared_preload_libraries, so no background worker will go on"),
				 errhint("CALL mig_run('%s') drives the migration in this session; pg_cron can CALL mig_tick().", name)));
}

/* A migration held before it expands is compiled again then, by a worker that reads string literals in the standard way. */
static void
check_readable_again(void)
{
	if (!standard_conforming_strings)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a migration cannot be held before expanding with standard_conforming_strings off"),
				 errdetail("Its definition is read again when it goes on, and backslashes would mean something else."),
				 errhint("SET standard_conforming_strings = on, and call mig_start again.")));
}

/* Store a plan and run its expand steps. */
static void
start_plan(MigPlan *plan, const char *definition)
{
	Migration	mig = {0};
	double		ms;

	mig.name = plan->name;
	mig.schema = plan->schema;
	mig.version_schema = plan->version_schema;
	mig.definition = (char *) definition;
	mig.options = settle_options(plan->options, NULL);
	mig.owner = GetUserId();
	mig.settings = plan->settings;
	migration_forget_former(plan->version_schema);
	mig.id = migration_insert(&mig, plan->steps);
	migrated_tables_insert(mig.id, plan->migrated);
	(void) advisory_lock(MIG_LOCK_MIGRATION, mig.id, ExclusiveLock, false, false);
	event_write(mig.id, "started", NULL);
	if (lifecycle_held(&mig, PHASE_EXPANDING))
		check_readable_again();
	else
	{
		restore_point(&mig, "start");
		lifecycle_enter(&mig, PHASE_EXPANDING, NULL);
		ms = steps_run(&mig, steps_of_group(mig.id, 1), lock_attempts());
		business_checks_given(&mig);
		signals_prepare(&mig);
		event_write(mig.id, "expanded", psprintf("{\"locked_ms\": %.1f}", ms));
	}
	shmem_wake_at_commit();
	notice_missing_worker(plan->name);
}

/* One start at a time in a database: the next sees the first's tables, or waits for its end. */
#define START_LOCK_ID 0

/* The version will stand on those of the migrations that are active: none of them may be rolled back or completed until it is there. */
static void
hold_chain(const char *schema)
{
	ListCell   *lc;

	foreach(lc, chain_migrations(schema, NULL))
		(void) advisory_lock(MIG_LOCK_MIGRATION, ((Migration *) lfirst(lc))->id, ShareLock, false, false);
}

/* mig_start([name,] definition [, options]) → version schema */
PGDLLEXPORT Datum
mig_start(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *definition;
	char	   *options;
	MigPlan    *plan;
	Migration  *former;

	PreventCommandDuringRecovery("mig_start()");
	require_read_committed("mig_start");
	unpack_arguments(fcinfo, &name, &definition, &options);
	if (name == NULL)
		name = plan_name(definition);
	(void) advisory_lock(MIG_LOCK_MIGRATION, START_LOCK_ID, ExclusiveLock, false, false);
	former = same_migration(name, definition);
	if (former)
		PG_RETURN_TEXT_P(cstring_to_text(former->version_schema));
	if (mig_database_aclcheck(MyDatabaseId, GetUserId(), ACL_CREATE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_DATABASE, get_database_name(MyDatabaseId));
	plan = plan_compile(name, definition, options, ShareUpdateExclusiveLock);
	check_may_version(plan->schema);
	hold_chain(plan->schema);
	start_plan(plan, definition);
	PG_RETURN_TEXT_P(cstring_to_text(plan->version_schema));
}
