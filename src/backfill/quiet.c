/*
 * quiet.c
 *		Keeps the user's triggers from firing on the backfill's writes.
 *
 * Not by session_replication_role = replica: under that, the foreign keys and triggers of every table would be silent to whatever the
 * table owner's own functions (up, CHECKs, index expressions) write meanwhile. Instead the one result relation of the one statement gets a list of triggers
 * that holds the sync triggers only. Nothing that a touch changes is part of a key, so the foreign keys' triggers have nothing to say.
 */
#include "base/compat.h"

#include "executor/executor.h"
#include "executor/execdesc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "backfill/quiet.h"
#include "store/transform.h"

static ExecutorStart_hook_type next_executor_start = NULL;
static Oid	quiet_relid = InvalidOid;	/* set while quiet_exec() starts its statement */
static bool quiet_keep_sync = false;

/* A copy of a table's triggers with the sync triggers alone, in the executor's memory. */
static TriggerDesc *
sync_triggers(const TriggerDesc *all)
{
	TriggerDesc *some = palloc0(sizeof(TriggerDesc));

	some->triggers = palloc(sizeof(Trigger) * Max(all->numtriggers, 1));
	for (int i = 0; i < all->numtriggers; i++)
		if (is_sync_trigger(&all->triggers[i]))
			some->triggers[some->numtriggers++] = all->triggers[i];
	some->trig_update_before_row = some->numtriggers > 0;
	return some;
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
	foreach(lc, query->estate->es_opened_result_relations)
	{
		ResultRelInfo *rel = lfirst(lc);

		if (RelationGetRelid(rel->ri_RelationDesc) == relid && rel->ri_TrigDesc)
		{
			MemoryContext old = MemoryContextSwitchTo(query->estate->es_query_cxt);

			rel->ri_TrigDesc = quiet_keep_sync ? sync_triggers(rel->ri_TrigDesc) : NULL;
			MemoryContextSwitchTo(old);
		}
	}
}

uint64
quiet_exec(Oid relid, bool keep_sync, const char *sql, int nparams, const SqlParam *params)
{
	uint64		n;

	quiet_relid = relid;
	quiet_keep_sync = keep_sync;
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

void
quiet_install(void)
{
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = quiet_executor_start;
}
