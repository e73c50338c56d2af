/*
 * vacuum.c
 *		VACUUM and ANALYZE of a filled table, before its indexes are built and clients arrive.
 *
 * One statement per relation: a partition that is locked is left out alone, and between two the pace is looked at again. It never truncates, which would lock
 * readers out, also on standbys. While the migration's drivers are slowed down by what others do, it is, too (control/toplevel.c).
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "backfill/leaves.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "control/lifecycle.h"
#include "control/toplevel.h"
#include "control/vacuum.h"
#include "pace/horizon.h"

#define LOCK_TIMEOUT	"5s"	/* nobody queues behind a lock of this kind; an autovacuum is cancelled at once */

/* One run; the statement under way is in sql and role */
typedef struct Vacuum
{
	int64		migration_id;
	const Step *step;
	MemoryContext context;
	List	   *leaves;			/* OIDs */
	bool		partitioned;
	bool		stopped;		/* the migration is not to go on now */
	Oid			relid;
	char	   *sql;			/* NULL: the relation is gone */
	Oid			role;
	int			failed;
	char	   *error;			/* the first one */
} Vacuum;

/* Learn what the statement for a relation is, and whether it is still to be run. Inside a transaction. */
static void
prepare(Vacuum *v, const char *command)
{
	Migration  *mig = migration_by_id(v->migration_id);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(v->relid));
	MemoryContext old = MemoryContextSwitchTo(v->context);

	v->stopped = mig == NULL || mig->paused || mig->phase != lifecycle_phase_of(v->step->phase);
	v->sql = NULL;
	if (HeapTupleIsValid(tuple))
	{
		/* it runs the owner's code: that of expression indexes */
		v->role = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		v->sql = psprintf("%s %s", command, sql_relation_name(v->relid));
		ReleaseSysCache(tuple);
	}
	MemoryContextSwitchTo(old);
	toplevel_pace(v->migration_id);
}

/* Run the statement that was prepared. */
static void
run_prepared(void *arg)
{
	Vacuum	   *v = arg;

	SetConfigOption("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_SESSION);
	toplevel_run(v->sql, v->role, v->context);
}

/* Run a command on a relation; what it raises is noted. */
static void
run_on(Vacuum *v, Oid relid, const char *command)
{
	ErrorData  *error;

	if (v->stopped)
		return;
	v->relid = relid;
	txn_begin(true);
	prepare(v, command);
	txn_end();
	if (v->stopped || v->sql == NULL)
		return;
	error = toplevel_try(run_prepared, v, v->context);
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_SESSION);
	if (error == NULL)
		return;
	v->failed++;
	if (v->error == NULL)
		v->error = psprintf("%s: %s", v->sql, error->message);
}

/* What it consists of. */
static void
find_leaves(Vacuum *v)
{
	MemoryContext old;

	txn_begin(true);
	old = MemoryContextSwitchTo(v->context);
	v->leaves = leaves_of(v->step->relid);
	v->partitioned = get_rel_relkind(v->step->relid) == RELKIND_PARTITIONED_TABLE;
	MemoryContextSwitchTo(old);
	txn_end();
}

/* Dead rows that are still there, and who holds them. */
static void
tell_dead_rows(const Vacuum *v, StringInfo json)
{
	int64		dead = 0;
	HorizonHolder holder;
	ListCell   *lc;

	txn_begin(true);
	foreach(lc, v->leaves)
		dead += pg_strtoint64(admin_queryp("SELECT pg_stat_get_dead_tuples($1)", P_oid(lfirst_oid(lc)))->v[0][0]);
	appendStringInfo(json, ", \"dead_rows\": " INT64_FORMAT, dead);
	if (dead > 0 && horizon_holder(&holder))
	{
		appendStringInfoString(json, ", \"holder\": ");
		escape_json(json, holder.who);
	}
	txn_end();
}

char *
vacuum_run(int64 migration_id, const Step *step, MemoryContext context)
{
	Vacuum		v = {.migration_id = migration_id,.step = step,.context = context};
	instr_time	since;
	instr_time	now;
	StringInfoData json;
	ListCell   *lc;

	INSTR_TIME_SET_CURRENT(since);
	find_leaves(&v);
	foreach(lc, v.leaves)
		run_on(&v, lfirst_oid(lc), v.partitioned ? "VACUUM (TRUNCATE false)" : "VACUUM (ANALYZE, TRUNCATE false)");
	/* of a partitioned table itself too, and it goes down to the partitions */
	if (v.partitioned)
		run_on(&v, step->relid, "ANALYZE");
	if (v.stopped)
		return NULL;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, since);
	initStringInfo(&json);
	appendStringInfo(&json, ", \"ms\": %.1f", INSTR_TIME_GET_MILLISEC(now));
	tell_dead_rows(&v, &json);
	if (v.failed)
	{
		appendStringInfo(&json, ", \"failed\": %d, \"error\": ", v.failed);
		escape_json(&json, v.error);
	}
	return json.data;
}

/* ANALYZE, as the table's owner. */
static void
analyze(void *arg)
{
	const Step *step = arg;
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(step->relid));
	Identity	saved;

	if (!HeapTupleIsValid(tuple))
		return;
	owner_begin(&saved, ((Form_pg_class) GETSTRUCT(tuple))->relowner, true);
	ReleaseSysCache(tuple);
	setting_set("lock_timeout", LOCK_TIMEOUT);
	(void) sql_exec(psprintf("ANALYZE %s", sql_relation_name(step->relid)));
	identity_end(&saved);
}

char *
vacuum_in_transaction(const Step *step, const char *why)
{
	ErrorData  *error;
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, ", \"analyzed_only\": ");
	escape_json(&json, why);
	if (!txn_try(analyze, unconstify(Step *, step), &error))
	{
		appendStringInfoString(&json, ", \"failed\": 1, \"error\": ");
		escape_json(&json, error->message);
	}
	return json.data;
}
