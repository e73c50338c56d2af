/*
 * finish.c
 *		Completing, rolling back, retiring.
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "backfill/backfill.h"
#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "control/finish.h"
#include "control/lifecycle.h"
#include "control/restore_point.h"
#include "control/steps.h"
#include "control/utility.h"
#include "control/versions.h"
#include "store/chain.h"
#include "store/task.h"
#include "verify/prove.h"
#include "verify/verify.h"

/* Are all these steps one group: nothing but the swap? */
static bool
is_swap_only(List *contract)
{
	ListCell   *lc;

	foreach(lc, contract)
		if (((Step *) lfirst(lc))->group != ((Step *) linitial(contract))->group)
			return false;
	return contract != NIL;
}

/* Migrations of a schema are completed in the order in which they were started, and rolled back in reverse: raise 55000 when another one's turn is first. */
static void
check_turn(const Migration *mig, const Migration *first, const char *call)
{
	if (first)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" %s migration \"%s\", which is active", mig->name, first->id < mig->id ? "stands on" : "carries", first->name),
				 errdetail("Active migrations of a schema are completed in the order in which they were started, and rolled back in reverse."),
				 errhint("Call %s('%s') first.", call, first->name)));
}

void
finish_check_turn(const Migration *mig)
{
	check_turn(mig, chain_predecessor(mig), "mig_complete");
}

bool
finish_complete(Migration *mig, const char *detail)
{
	List	   *contract = steps_of_phase(mig->id, STEP_CONTRACT);
	double		ms;
	ListCell   *lc;

	finish_check_turn(mig);
	if (mig->phase == PHASE_COMPLETING)
		return false;
	foreach(lc, contract)
		if (((Step *) lfirst(lc))->kind == STEP_VALIDATE)
			verify_restart(mig, lfirst(lc));	/* what a former attempt has seen does not count */
	migration_set_pause(mig->id, false, NULL, NULL);
	lifecycle_enter(mig, PHASE_COMPLETING, detail);
	if (!is_swap_only(contract) || mig_stop_before[0])
		return false;
	restore_point(mig, "swap");
	ms = steps_run(mig, contract, lock_attempts());
	event_write(mig->id, "swapped", psprintf("{\"locked_ms\": %.1f}", ms));
	lifecycle_enter(mig, PHASE_COMPLETED, NULL);
	return true;
}

/* Nobody has used a version that was never open: the views of other tables go first, however many they are, while no lock is held on a migrating table. */
static void
drop_unused_views(const Migration *mig)
{
	Identity	saved;
	List	   *wants = NIL;
	ListCell   *lc;

	if (mig->was_ready || mig->phase == PHASE_PLANNED || !OidIsValid(mig->owner))
		return;
	owner_begin(&saved, mig->owner, true);
	settings_own(OWN_STEPS);
	setting_set("search_path", "pg_catalog, pg_temp");
	foreach(lc, versions_open_views(mig->version_schema))
		wants = lappend(wants, lock_want(lfirst_oid(lc), AccessExclusiveLock));
	(void) lock_relations(wants, lock_attempts());
	versions_drop_views(mig->version_schema, false);
	identity_end(&saved);
}

void
finish_prove(const Migration *mig)
{
	check_turn(mig, chain_successor(mig), "mig_rollback");
	if (mig->was_ready)
		prove_old_side(mig);
}

void
finish_rollback(Migration *mig, const char *detail)
{
	double		ms;

	check_turn(mig, chain_successor(mig), "mig_rollback");
	lifecycle_enter(mig, PHASE_ROLLING_BACK, detail);
	/* it stands in the way of the locks; with MIGRATION held, no other one can begin */
	utility_cancel(mig->id);
	drop_unused_views(mig);
	ms = steps_undo(mig, steps_of(mig->id), mig->was_ready, lock_attempts());
	migration_set_pause(mig->id, false, NULL, NULL);
	event_write(mig->id, "rolled back", psprintf("{\"locked_ms\": %.1f}", ms));
	lifecycle_enter(mig, PHASE_ROLLED_BACK, NULL);
	if (!mig->was_ready)
		migration_forget_former(mig->version_schema);
}

void
finish_check_again(Migration *mig, const Step *check)
{
	ListCell   *lc;

	foreach(lc, steps_of_phase(mig->id, STEP_FILL))
	{
		Step	   *s = lfirst(lc);

		if (s->relid != check->relid || s->kind != STEP_BACKFILL || !s->done)
			continue;
		backfill_restart(mig, s);
		step_done(mig->id, s->no, false);
		if (mig->phase != PHASE_BACKFILLING)
			lifecycle_enter(mig, PHASE_BACKFILLING, NULL);
	}
	verify_restart(mig, check);
}

void
finish_retry(Migration *mig)
{
	Step	   *next = step_next(mig->id);

	if (next != NULL && next->kind == STEP_BACKFILL)
		task_ranges_reopen(mig->id, next->no);
	/* rows may have been corrected */
	if (mig->error != NULL && mig->phase == PHASE_VALIDATING && next != NULL && next->kind == STEP_VALIDATE)
		finish_check_again(mig, next);
}

/* Raise 55000 when a later version shows tables by way of this one. */
static void
check_nothing_stands_on(const Migration *mig)
{
	char	   *other = versions_standing_on(mig->version_schema);

	if (other)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version \"%s\" is still in use", mig->version_schema),
				 errdetail("Version \"%s\", whose migration began before this one ended, stands on it.", other),
				 errhint("It can be retired when the migration of \"%s\" is completed.", other)));
}

void
finish_retire(Migration *mig, const char *older_than)
{
	Identity	saved;
	SqlRows    *rows;

	rows = admin_queryp("SELECT m.phase = 'completed' AND NOT EXISTS (SELECT FROM mig.migration n WHERE n.schema_name = m.schema_name AND n.id > m.id"
					  "  AND n.phase = 'completed' AND n.database_oid = m.database_oid AND n.system_identifier = m.system_identifier),"
					  " m.ended_at > clock_timestamp() - $2::interval, m.retired_at IS NOT NULL, m.options ->> 'baseline'"
					  " FROM mig.migration m WHERE m.id = $1", P_int8(mig->id), P_text(older_than));
	if (rows->v[0][2][0] == 't')
		return;
	if (rows->v[0][0][0] == 't')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version \"%s\" is the current one of schema \"%s\"", mig->version_schema, mig->schema),
				 errhint("It can be retired when a later migration is completed.")));
	if (rows->v[0][1][0] == 't')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version \"%s\" ended less than %s ago", mig->version_schema, older_than),
				 errhint("Clients may still use it; call mig_retire('%s', older_than => '0') to remove it all the same.", mig->name)));
	check_nothing_stands_on(mig);
	owner_begin(&saved, mig->owner, true);
	versions_drop(mig->version_schema);
	if (rows->v[0][3] && strcmp(rows->v[0][3], "true") == 0)
		versions_drop(psprintf("%s_base", mig->schema));
	identity_end(&saved);
	migration_set_retired(mig->id);
	event_write(mig->id, "retired", NULL);
}
