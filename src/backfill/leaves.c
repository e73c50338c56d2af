/*
 * leaves.c
 *		The relations with rows of their own that a table consists of, and their tasks.
 *
 * Partitions and children come and go while a table is filled or checked. So nobody remembers which they are: a driver that finds no range to work on looks
 * again (one look into pg_inherits, one query, however many they are), and a step ends only when that look has found nothing new. No lock keeps
 * them as they are meanwhile, other than the one on the leaf under way.
 */
#include "base/compat.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "backfill/leaves.h"

List *
leaves_of(Oid relid)
{
	List	   *leaves = NIL;
	ListCell   *lc;

	if (get_rel_relkind(relid) == '\0')
		return NIL;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		Oid			leaf = lfirst_oid(lc);
		char		kind = get_rel_relkind(leaf);

		/* what another session keeps in a temporary child is out of reach */
		if (kind != '\0' && RELKIND_HAS_STORAGE(kind) && get_rel_persistence(leaf) != RELPERSISTENCE_TEMP)
			leaves = lappend_oid(leaves, leaf);
	}
	list_sort(leaves, list_oid_cmp);
	return leaves;
}

/* Lock the tables above a partition, the topmost first: an UPDATE of it reads their bounds, and must not wait for that. */
static bool
lock_ancestors(Oid relid)
{
	List	   *ancestors = get_rel_relispartition(relid) ? get_partition_ancestors(relid) : NIL;

	for (int i = list_length(ancestors) - 1; i >= 0; i--)
		if (!ConditionalLockRelationOid(list_nth_oid(ancestors, i), AccessShareLock))
			return false;
	return true;
}

Relation
leaf_open(Oid relid, LOCKMODE lock, bool *gone)
{
	Relation	leaf;

	*gone = false;
	if ((lock > AccessShareLock && !lock_ancestors(relid)) || !ConditionalLockRelationOid(relid, lock))
		return NULL;
	leaf = try_table_open(relid, NoLock);
	*gone = leaf == NULL;
	return leaf;
}

/* Add the size of a relation to a sum, unless it or a former one is locked by somebody else. */
static void
add_relation(int64 *sum, Oid relid)
{
	Relation	rel = ConditionalLockRelationOid(relid, AccessShareLock) ? try_relation_open(relid, NoLock) : NULL;

	if (rel == NULL)
		*sum = -1;
	if (*sum >= 0)
		*sum += (int64) RelationGetNumberOfBlocks(rel) * BLCKSZ;
	if (rel)
		relation_close(rel, AccessShareLock);
}

Sizes
leaf_sizes(Relation leaf)
{
	Sizes		s = {.heap = (int64) RelationGetNumberOfBlocks(leaf) * BLCKSZ};
	ListCell   *lc;

	if (OidIsValid(leaf->rd_rel->reltoastrelid))
		add_relation(&s.toast, leaf->rd_rel->reltoastrelid);
	foreach(lc, RelationGetIndexList(leaf))
		add_relation(&s.indexes, lfirst_oid(lc));
	return s;
}

/* Lay out the task of a leaf; NULL when somebody else has it locked. Its lock is not kept: there may be thousands. */
static Task *
lay_task(const Migration *mig, const Step *step, Oid relid, const Task *former, LayTask lay)
{
	bool		gone;
	Relation	leaf = leaf_open(relid, AccessShareLock, &gone);
	Task	   *task;

	if (leaf == NULL)
		return NULL;
	task = palloc0(sizeof(Task));
	task->migration_id = mig->id;
	task->step_no = step->no;
	task->relid = relid;
	task->relfilenode = leaf->rd_rel->relfilenode;
	lay(task, leaf, former);
	table_close(leaf, AccessShareLock);
	return task;
}

/* Note the relations of tasks from the nth on that come before a relation that is there: they are gone. Returns the number of the first that does not. */
static int
pass_gone(List *tasks, int n, Oid until, List **gone)
{
	for (; n < list_length(tasks) && ((Task *) list_nth(tasks, n))->relid < until; n++)
		*gone = lappend_oid(*gone, ((Task *) list_nth(tasks, n))->relid);
	return n;
}

LeavesChange
leaves_align(const Migration *mig, const Step *step, LayTask lay, bool anew)
{
	List	   *leaves = leaves_of(step->relid);
	List	   *tasks = tasks_of(mig->id, step->no);	/* both sorted */
	List	   *gone = NIL;
	List	   *stale = NIL;
	List	   *made = NIL;
	bool		locked = false;
	int			n = 0;
	ListCell   *lc;

	if (leaves == NIL && get_rel_relkind(step->relid) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of this migration is gone", step->relation),
				 errhint("Call mig_rollback to end the migration.")));
	foreach(lc, leaves)
	{
		Task	   *former = NULL;
		Task	   *task;

		n = pass_gone(tasks, n, lfirst_oid(lc), &gone);
		if (n < list_length(tasks) && ((Task *) list_nth(tasks, n))->relid == lfirst_oid(lc))
			former = list_nth(tasks, n++);
		if (former && !anew)
			continue;
		if (former)
			stale = lappend_oid(stale, former->relid);
		task = lay_task(mig, step, lfirst_oid(lc), former, lay);
		locked |= task == NULL;
		if (task)
			made = lappend(made, task);
	}
	(void) pass_gone(tasks, n, OID_MAX, &gone);
	bad_rows_clear(mig->id, gone);
	tasks_drop(mig->id, step->no, list_concat(stale, gone));
	tasks_make(made);
	return made || gone ? LEAVES_CHANGED : locked ? LEAVES_LOCKED : LEAVES_SAME;
}

UnitResult
leaves_find_work(const Migration *mig, const Step *step, LayTask lay)
{
	char	   *error;

	switch (leaves_align(mig, step, lay, false))
	{
		case LEAVES_CHANGED:
			return UNIT_DONE;
		case LEAVES_LOCKED:
			return UNIT_WAIT;
		case LEAVES_SAME:
			break;
	}
	if (task_ranges_left(mig->id, step->no))
		return UNIT_WAIT;
	return task_ranges_aside(mig->id, step->no, &error) > 0 ? UNIT_ASIDE : UNIT_END;
}

void
leaf_rewritten(const Task *former, Relation leaf, LayTask lay)
{
	Task	   *task = palloc0(sizeof(Task));

	task->migration_id = former->migration_id;
	task->step_no = former->step_no;
	task->relid = former->relid;
	task->relfilenode = leaf->rd_rel->relfilenode;
	lay(task, leaf, former);
	tasks_drop(task->migration_id, task->step_no, list_make1_oid(task->relid));
	tasks_make(list_make1(task));
}
