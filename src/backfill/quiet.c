/*
 * quiet.c
 *		Keeps the user's triggers from firing on writes of the backfill and of repairs.
 *
 * Not by session_replication_role = replica: under that, the foreign keys and triggers of every table would be silent to whatever the
 * table owner's own functions (up, CHECKs, index expressions) write meanwhile. Instead the one result relation of the one statement gets a list of triggers
 * that holds the sync triggers only. Nothing that the backfill changes is part of a key, so the foreign keys' triggers have nothing to say; a repair may change an
 * old column, and has them fire.
 */
#include "base/compat.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/execdesc.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "backfill/quiet.h"
#include "base/settings.h"
#include "base/yield.h"
#include "store/transform.h"

static ExecutorStart_hook_type next_executor_start = NULL;
static Oid	quiet_relid = InvalidOid;	/* set while quiet_exec() starts its statement */
static QuietTriggers quiet_keep = QUIET_NONE;

/* Is this one of the triggers by which the server holds a foreign key? */
static bool
is_key_trigger(const Trigger *trigger)
{
	return trigger->tgisinternal && RI_FKey_trigger_type(trigger->tgfoid) != RI_TRIGGER_NONE;
}

/* A copy of a table's triggers with those that fire alone, in the executor's memory. */
static TriggerDesc *
quiet_triggers(const TriggerDesc *triggers)
{
	TriggerDesc *all = CopyTriggerDesc((TriggerDesc *) triggers);	/* telling what one is looks into catalogs */
	TriggerDesc *some = palloc0(sizeof(TriggerDesc));

	some->triggers = palloc(sizeof(Trigger) * Max(all->numtriggers, 1));
	for (int i = 0; i < all->numtriggers; i++)
	{
		Trigger    *trigger = &all->triggers[i];

		if (is_sync_trigger(trigger))
		{
			trigger->tgenabled = TRIGGER_FIRES_ALWAYS;
			some->trig_update_before_row = true;
		}
		else if (quiet_keep == QUIET_SYNC_AND_KEYS && is_key_trigger(trigger))
			some->trig_update_after_row = true;
		else
			continue;
		some->triggers[some->numtriggers++] = *trigger;
	}
	return some;
}

static ExecProcNodeMtd next_row_of_tids = NULL;
static ExecProcNodeMtd next_row_of_range = NULL;

/* The next row of a scan: between two of them this process holds nothing that others could wait for, but the rows themselves. */
static TupleTableSlot *
next_row(PlanState *scan)
{
	yield_processor();
	return (IsA(scan, TidScanState) ? next_row_of_tids : next_row_of_range) (scan);
}

/* Have a plan's scans let others run between rows. */
static bool
have_scans_yield(PlanState *state, void *unused)
{
	ExecProcNodeMtd *kept = IsA(state, TidScanState) ? &next_row_of_tids : IsA(state, TidRangeScanState) ? &next_row_of_range : NULL;

	if (kept)
	{
		*kept = state->ExecProcNodeReal;
		ExecSetExecProcNode(state, next_row);
	}
	return planstate_tree_walker(state, have_scans_yield, unused);
}

/* ExecutorStart hook: after the server's own start, take the other triggers from our statement's table. */
static void
quiet_executor_start(QueryDesc *query, int eflags)
{
	Oid			relid = quiet_relid;
	ListCell   *lc;

	quiet_relid = InvalidOid;	/* statements inside ours are not ours */
	if (next_executor_start)
		next_executor_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
	if (!OidIsValid(relid))
		return;
	(void) have_scans_yield(query->planstate, NULL);
	foreach(lc, query->estate->es_opened_result_relations)
	{
		ResultRelInfo *rel = lfirst(lc);

		if (RelationGetRelid(rel->ri_RelationDesc) == relid && rel->ri_TrigDesc)
		{
			MemoryContext old = MemoryContextSwitchTo(query->estate->es_query_cxt);

			rel->ri_TrigDesc = quiet_keep == QUIET_NONE ? NULL : quiet_triggers(rel->ri_TrigDesc);
			MemoryContextSwitchTo(old);
		}
	}
}

uint64
quiet_exec(Oid relid, QuietTriggers keep, const char *sql, int nparams, const SqlParam *params)
{
	uint64		n;

	quiet_relid = relid;
	quiet_keep = keep;
	PG_TRY();
	{
		n = sql_exec_unpinned(sql, nparams, params);
	}
	PG_FINALLY();
	{
		quiet_relid = InvalidOid;
	}
	PG_END_TRY();
	return n;
}

/*
 * Become the table's owner, restricted: expression indexes, CHECK constraints and generated columns run the owner's code. They run under the settings of
 * the migration's start, as a client's update would. Row-level security hides no rows, not even where it is forced (base/txn.c sets the rest).
 */
void
quiet_begin(Identity *saved, const Migration *mig, Relation rel)
{
	owner_begin(saved, rel->rd_rel->relowner, true);
	SetUserIdAndSecContext(rel->rd_rel->relowner, saved->sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	settings_apply(mig->settings);
	setting_set("enable_seqscan", "off");
	setting_set("enable_tidscan", "on");
	setting_set("jit", "off");
}

void
quiet_install(void)
{
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = quiet_executor_start;
}
