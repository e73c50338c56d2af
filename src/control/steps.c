/*
 * steps.c
 *		Executes stored SQL steps. Dumb on purpose: what they do was decided when the plan was made.
 *
 * What a group does to things that no client sees yet is done first, without a lock that anybody waits for. Locks of one attempt: first the version views
 * on the tables (clients lock a view before its table, so this order does not deadlock with them), then the tables by OID; then the statements, under the
 * same lock_timeout. An attempt that does not get a lock is rolled back whole, and all is released for a pause of at least lock_timeout.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "control/steps.h"
#include "control/utility.h"
#include "control/versions.h"

typedef struct Attempt
{
	const Migration *mig;
	List	   *steps;
	int			first;			/* the steps before it have been run */
	bool		undo;
	bool		keep_version;
	double		held_ms;
} Attempt;

/* Does running (or undoing) a group replace version views of its tables? */
static bool
touches_views(const Attempt *a)
{
	ListCell   *lc;

	foreach(lc, a->steps)
	{
		Step	   *s = lfirst(lc);

		if (s->phase == STEP_OPEN || (s->phase == STEP_CONTRACT && s->undo == NULL && s->lock == AccessExclusiveLock))
			return true;
	}
	return a->undo;
}

/* Append views to be replaced or dropped. */
static List *
append_views(List *wants, List *views)
{
	ListCell   *lc;

	foreach(lc, views)
		wants = lappend(wants, lock_want(lfirst_oid(lc), AccessExclusiveLock));
	return wants;
}

/* Append a table, and before ALTER TABLE goes down to them, its partitions and children: upper ones first, as clients lock them. */
static List *
append_table(List *wants, Oid relid, LOCKMODE mode)
{
	ListCell   *lc;

	if (mode != AccessExclusiveLock || !(has_subclass(relid) || get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE))
		return lappend(wants, lock_want(relid, mode));
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		wants = lappend(wants, lock_want(lfirst_oid(lc), mode));
	return wants;
}

/* Order of table locks: by OID, the stronger mode first. */
static int
compare_steps(const ListCell *a, const ListCell *b)
{
	const Step *x = lfirst(a);
	const Step *y = lfirst(b);

	if (x->relid != y->relid)
		return x->relid < y->relid ? -1 : 1;
	return y->lock - x->lock;
}

/* The lock that running or undoing a step takes: whatever goes with DROP goes under the strongest. */
static LOCKMODE
step_lock(const Attempt *a, const Step *s)
{
	bool		drops = s->undo || s->lock > ShareUpdateExclusiveLock;

	return a->undo && drops && s->lock >= ShareUpdateExclusiveLock ? AccessExclusiveLock : s->lock;
}

/* The locks a group takes, in order. */
static List *
wanted_locks(const Attempt *a)
{
	List	   *tables = NIL;
	List	   *wants = NIL;
	Oid			last = InvalidOid;
	bool		views = touches_views(a);
	ListCell   *lc;

	foreach(lc, a->steps)
	{
		Step	   *s = lfirst(lc);

		if (foreach_current_index(lc) >= a->first && OidIsValid(s->relid) && s->lock != NoLock && (s->done || !a->undo) &&
			get_rel_name(s->relid) != NULL)
			tables = lappend(tables, s);
	}
	list_sort(tables, compare_steps);
	if (views)
	{
		wants = append_views(wants, versions_chained_views(a->mig->version_schema));
		wants = append_views(wants, versions_closed_views(a->mig->version_schema));
	}
	foreach(lc, views ? tables : NIL)
	{
		Step	   *s = lfirst(lc);

		if (s->relid != last && (s->lock == AccessExclusiveLock || s->phase == STEP_OPEN))
			wants = append_views(wants, versions_views_on(s->relid, s->phase == STEP_CONTRACT && s->undo == NULL));
		last = s->relid;
	}
	for (int i = 0; i < list_length(tables);)
	{
		Oid			relid = ((Step *) list_nth(tables, i))->relid;
		LOCKMODE	mode = NoLock;

		for (; i < list_length(tables) && ((Step *) list_nth(tables, i))->relid == relid; i++)
		{
			LOCKMODE	other = step_lock(a, list_nth(tables, i));

			mode = Max(mode, other);
		}
		wants = append_table(wants, relid, mode);
	}
	return wants;
}

/*
 * VALIDATE and ANALYZE read the rows, and evaluate what the table's owner has written about them. It must not be done with the rights of a
 * superuser who happens to run the migration.
 */
static void
exec_as_table_owner(Oid relid, const char *sql)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Identity	saved;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("a table of this migration is gone"),
				 errhint("Call mig_rollback to end the migration.")));
	owner_begin(&saved, ((Form_pg_class) GETSTRUCT(tuple))->relowner, true);
	ReleaseSysCache(tuple);
	(void) sql_exec(sql);
	identity_end(&saved);
}

/* Run or undo one step, and note it. */
static void
run_step(const Attempt *a, const Step *s)
{
	const char *sql = a->undo ? s->undo : s->sql;

	if (sql == NULL || sql[0] == '\0')
		;
	else if (s->superuser && !a->undo)
		admin_exec(sql);
	else if (s->lock == ShareUpdateExclusiveLock)
		exec_as_table_owner(s->relid, sql);
	else
		(void) sql_exec(sql);
	step_done(a->mig->id, s->no, !a->undo);
}

/* Has somebody dropped the table that a step was for? Then there is nothing to undo on it, but views of it. */
static bool
is_gone(const Step *s)
{
	return OidIsValid(s->relid) && s->lock > AccessShareLock && get_rel_name(s->relid) == NULL;
}

/* Run or undo the steps in order. */
static void
run_all(const Attempt *a)
{
	int			n = list_length(a->steps);

	for (int i = a->first; i < n; i++)
	{
		const Step *s = list_nth(a->steps, a->undo ? n - 1 - i : i);

		CHECK_FOR_INTERRUPTS();
		if (a->undo && ((!s->done && !utility_left_index(a->mig->id, s)) || (a->keep_version && s->keep)))
			continue;
		if (a->undo && is_gone(s))
		{
			step_done(a->mig->id, s->no, false);
			continue;
		}
		run_step(a, s);
	}
}

/* The identity and settings that steps run under, until identity_end() */
static void
steps_begin(const Attempt *a, Identity *saved)
{
	owner_begin(saved, a->mig->owner, true);
	setting_set("search_path", "pg_catalog, pg_temp");
	sql_portable_texts();
	/* ANALYZE of the hidden columns alone warns of extended statistics on others */
	setting_set("client_min_messages", "error");
	settings_own(OWN_STEPS);
	/* the deadlock check cancels an autovacuum in our way, and makes us the victim before a client */
	setting_set("deadlock_timeout", psprintf("%dms", Max(mig_lock_timeout / 5, 1)));
}

/* One attempt, inside a subtransaction. */
static void
attempt(void *arg)
{
	Attempt    *a = arg;
	Identity	saved;
	TimestampTz since;

	steps_begin(a, &saved);
	since = lock_relations(wanted_locks(a), 1);
	setting_set("lock_timeout", psprintf("%dms", mig_lock_timeout));
	run_all(a);
	a->held_ms = (GetCurrentTimestamp() - since) / 1000.0;
	identity_end(&saved);
}

/*
 * Run the steps at a group's beginning that take no lock which a client waits for: making a thousand views takes its time, and need not be done again
 * when a lock is missed.
 */
static void
run_leading(Attempt *a)
{
	Identity	saved;

	steps_begin(a, &saved);
	setting_set("lock_timeout", psprintf("%dms", mig_lock_timeout));
	for (; a->first < list_length(a->steps); a->first++)
	{
		const Step *s = list_nth(a->steps, a->first);

		if (s->lock > AccessShareLock)
			break;
		CHECK_FOR_INTERRUPTS();
		run_step(a, s);
	}
	identity_end(&saved);
}

/* Attempt until it works; raises the last error. */
static double
attempt_repeatedly(Attempt *a, int attempts)
{
	ErrorData  *error = NULL;

	for (int i = 1;; i++)
	{
		if (txn_try(attempt, a, &error))
			return a->held_ms;
		if (i >= attempts || !lock_is_missed(error->sqlerrcode))
			ReThrowError(error);
		FreeErrorData(error);
		lock_pause();
	}
}

double
steps_run(const Migration *mig, List *steps, int attempts)
{
	Attempt		a = {.mig = mig,.steps = steps};

	if (steps && ((Step *) linitial(steps))->phase == STEP_EXPAND)
		run_leading(&a);
	return attempt_repeatedly(&a, attempts);
}

double
steps_undo(const Migration *mig, List *steps, bool keep_version, int attempts)
{
	Attempt		a = {.mig = mig,.steps = steps,.undo = true,.keep_version = keep_version};
	ListCell   *lc;

	foreach(lc, steps)
	{
		Step	   *s = lfirst(lc);

		if (s->kind == STEP_CONCURRENTLY && s->undo)
			s->lock = AccessExclusiveLock;	/* DROP INDEX */
	}
	return attempt_repeatedly(&a, attempts);
}
