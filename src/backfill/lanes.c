/*
 * lanes.c
 *		The chunk runner for same-row changes: block ranges, lane by lane.
 *
 * A full page has no room for new row versions. So of a range's pages only every k-th row is touched at first: these few go elsewhere, and once they are
 * dead to everybody the next lane's visit prunes the page and finds room on it: HOT updates, no index writes, no growth. The loop goes over a whole
 * range lane by lane, so that two visits of a page lie further apart than transactions are long (measured: docs/architecture.md).
 *
 * State of a range: lane 0 … k-1, then lane k: the last pass, which takes every row that still lacks a value (it was locked, or one of its pairs fails).
 * Candidates are picked on the page itself, without looking at visibility: a lane is a sixteenth of the rows, and a scan would weigh them all each time.
 * Rows locked by others are never waited for: the range is put off and the last pass taken up again at the same block. Everything is committed with the
 * rows, so a crash repeats at most a batch, and repeating is free: filled rows are skipped.
 *
 * A range is worked on by the session that holds its advisory lock, for as long as it lives; `claimed` says which that is here.
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "backfill/backfill.h"
#include "backfill/quiet.h"
#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "store/task.h"
#include "store/transform.h"
#include "sync/trigger.h"

#define RETRY_LOCKED_MS 200		/* until a range with locked rows is looked at again */
#define LAST_PASS_BATCHES 8		/* the last pass reads much and writes little: longer batches */

static int64 claimed = 0;		/* id of the range this session has locked; 0: none */

void
backfill_release(void)
{
	if (claimed != 0)
		advisory_unlock(MIG_LOCK_RANGE, claimed, ExclusiveLock);
	claimed = 0;
}

/* Fill in a task for a table as it is now. */
static Task
describe_task(const Migration *mig, const Step *step, Relation rel)
{
	Task		task = {.migration_id = mig->id,.step_no = step->no,.relid = RelationGetRelid(rel)};
	BlockNumber pages;
	double		tuples;
	double		allvisible;

	estimate_rel_size(rel, NULL, &pages, &tuples, &allvisible);
	task.relfilenode = rel->rd_rel->relfilenode;
	task.blocks = RelationGetNumberOfBlocks(rel);
	task.rows_total = (int64) tuples;
	/* wide rows: more lanes than rows on a page would be empty passes */
	task.lanes = task.blocks > 0 ? (int) Min(Max(tuples / task.blocks, 1.0), (double) mig_lanes) : 1;
	return task;
}

/* The task of this step; made, or made anew when the table was rewritten and block numbers mean something else. */
static Task *
current_task(const Migration *mig, const Step *step, Relation rel)
{
	Task	   *task = task_get(mig->id, step->no);

	if (task == NULL || task->relfilenode != rel->rd_rel->relfilenode)
	{
		Task		made = describe_task(mig, step, rel);

		backfill_release();
		task_create(&made, mig_range_pages, 0);
		task = task_get(mig->id, step->no);
	}
	return task;
}

/* The range this session works on: the one it has, or the next that nobody has. NULL: none can be had now. */
static Range *
claim_range(const Task *task)
{
	ListCell   *lc;
	Range	   *range;

	if (claimed != 0)
	{
		range = range_get(claimed);
		if (range && range->state == RANGE_OPEN && range->migration_id == task->migration_id && range->step_no == task->step_no)
			return range;
		backfill_release();		/* also when it is another migration's: a worker drives them in turn */
	}
	foreach(lc, task_ranges(task->migration_id, task->step_no))
	{
		int64		id = ((Range *) lfirst(lc))->id;

		if (!advisory_lock(MIG_LOCK_RANGE, id, ExclusiveLock, true, true))
			continue;
		claimed = id;
		range = range_get(id);
		if (range && range->state != RANGE_DONE)
		{
			range->state = RANGE_OPEN;
			return range;
		}
		backfill_release();
	}
	return NULL;
}

/* Rows of some pages that may need a value */
typedef struct Candidates
{
	ItemPointerData *tids;
	int			n;
	int			size;
} Candidates;

/* Does a row, as it stands on its page, lack a value? Rows older than the state column have no attribute there. */
static bool
lacks_value(HeapTuple tuple, const Transform *tr, bool any_pair)
{
	bool		isnull;
	Datum		state;
	int64		bits;

	if (HeapTupleHeaderGetNatts(tuple->t_data) < tr->state_att)
		return true;
	state = heap_getattr(tuple, tr->state_att, tr->desc, &isnull);
	if (isnull)
		return true;
	if (!any_pair)
		return false;
	bits = TupleDescAttr(tr->desc, tr->state_att - 1)->attlen == sizeof(int16) ? DatumGetInt16(state) : DatumGetInt64(state);
	/* a pair counts as filled when either of its two bits is set */
	return (tr->fillable & ~((uint64) bits | ((uint64) bits >> 1))) != 0;
}

/* Add the rows of a page that are in the lane (lanes 0: all) and lack a value; whether they are visible, the UPDATE finds out. */
static void
collect_page(Candidates *c, Relation rel, BlockNumber block, int lane, int lanes, const Transform *tr)
{
	Buffer		buffer = ReadBuffer(rel, block);
	Page		page;
	OffsetNumber max;

	/* the room for this lane is what the one before has left behind; fetching rows by tid does not prune */
	heap_page_prune_opt(rel, buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	max = PageIsNew(page) ? 0 : PageGetMaxOffsetNumber(page);
	for (OffsetNumber off = FirstOffsetNumber; off <= max; off++)
	{
		ItemId		item = PageGetItemId(page, off);
		HeapTupleData tuple;

		if (!ItemIdIsNormal(item) || (lanes > 1 && off % lanes != lane))
			continue;
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		tuple.t_tableOid = RelationGetRelid(rel);
		ItemPointerSet(&tuple.t_self, block, off);
		if (!lacks_value(&tuple, tr, lanes == 0))
			continue;
		if (c->n == c->size)
		{
			c->size = Max(c->size * 2, 1024);
			c->tids = c->tids ? repalloc(c->tids, sizeof(ItemPointerData) * c->size) : palloc(sizeof(ItemPointerData) * c->size);
		}
		c->tids[c->n++] = tuple.t_self;
	}
	UnlockReleaseBuffer(buffer);
}

/* The rows of a block range that may need a value. The table may have become shorter. */
static Candidates
collect(Relation rel, int64 first, int64 end, int lane, int lanes, const Transform *tr)
{
	Candidates	c = {0};
	int64		blocks = RelationGetNumberOfBlocks(rel);

	end = Min(end, blocks);
	for (int64 block = first; block < end; block++)
	{
		CHECK_FOR_INTERRUPTS();
		collect_page(&c, rel, (BlockNumber) block, lane, lanes, tr);
	}
	return c;
}

/*
 * Become the table's owner for a statement of the backfill: index expressions are the owner's, too. The transaction's settings (base/txn.c) keep row-level
 * security from hiding rows.
 */
static void
table_owner_begin(Identity *saved, Relation rel)
{
	owner_begin(saved, rel->rd_rel->relowner, true);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Touch those of the candidates that nobody has locked; the sync trigger fills them. Returns how many were written. */
static uint64
touch_rows(Relation rel, const Candidates *c, const char *condition)
{
	Identity	saved;
	char	   *table = sql_relation_name(RelationGetRelid(rel));
	uint64		n;

	if (c->n == 0)
		return 0;
	table_owner_begin(&saved, rel);
	n = quiet_exec(RelationGetRelid(rel), psprintf("UPDATE ONLY %s SET " STATE_COLUMN " = " STATE_COLUMN " WHERE ctid = ANY (ARRAY (SELECT t.ctid FROM ONLY %s AS " TRANSFORM_ALIAS
						   " WHERE t.ctid = ANY ($1) AND %s FOR NO KEY UPDATE SKIP LOCKED))", table, table, condition),
				   SQL_PARAMS(P_tids(c->tids, c->n)));
	identity_end(&saved);
	return n;
}

/* How many of the candidates still lack a value. */
static int64
count_unfilled(Relation rel, const Candidates *c, const char *condition)
{
	Identity	saved;
	char	   *n;

	if (c->n == 0)
		return 0;
	table_owner_begin(&saved, rel);
	n = sql_textp(psprintf("SELECT count(*) FROM ONLY %s AS " TRANSFORM_ALIAS " WHERE t.ctid = ANY ($1) AND %s",
						   sql_relation_name(RelationGetRelid(rel)), condition), P_tids(c->tids, c->n));
	identity_end(&saved);
	return strtoll(n, NULL, 10);
}

/* One batch of one lane. */
static void
run_lane(const Task *task, Range *range, Relation rel, const Transform *tr)
{
	int64		end = Min(range->next_block + mig_batch_pages, range->end_block);
	Candidates	c = collect(rel, range->next_block, end, range->lane, task->lanes, tr);
	int64		failed;
	uint64		n;

	sync_backfill_begin();
	n = touch_rows(rel, &c, "t." STATE_COLUMN " IS NULL");
	(void) sync_backfill_end(&failed);	/* the last pass meets them again */
	range->next_block = end;
	if (end >= range->end_block)
	{
		range->lane++;
		range->next_block = range->first_block;
	}
	range_advance(range, n);
}

/* Record the samples of failing rows. */
static void
report_failures(const Task *task, List *samples)
{
	ListCell   *lc;

	foreach(lc, samples)
	{
		SyncFailure *f = lfirst(lc);

		bad_row_add(task->migration_id, task->relid, f->column, f->key, "up", f->error);
	}
}

/* One batch of the last pass: every row that still lacks a value. */
static void
run_last_pass(const Task *task, Range *range, Relation rel, const Transform *tr)
{
	int64		end = Min(range->next_block + (int64) mig_batch_pages * LAST_PASS_BATCHES, range->end_block);
	char	   *unfilled = transform_unfilled_sql(tr);
	Candidates	c = collect(rel, range->next_block, end, 0, 0, tr);
	int64		failed;
	uint64		n;

	sync_backfill_begin();
	n = touch_rows(rel, &c, unfilled);
	report_failures(task, sync_backfill_end(&failed));
	if (count_unfilled(rel, &c, unfilled) > failed)
	{
		range_advance(range, n);
		range_postpone(range, RETRY_LOCKED_MS);
		return;
	}
	range->next_block = end;
	if (end >= range->end_block)
		range->state = RANGE_DONE;
	range_advance(range, n);
}

/* Open the table for a unit, without queueing behind anybody's exclusive lock; NULL when that cannot be had now. */
static Relation
open_table(const Step *step)
{
	Relation	rel;

	if (!ConditionalLockRelationOid(step->relid, RowExclusiveLock))
		return NULL;
	rel = try_table_open(step->relid, NoLock);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s is gone", step->relation)));
	return rel;
}

UnitResult
backfill_unit(const Migration *mig, const Step *step)
{
	Relation	rel = open_table(step);
	Task	   *task;
	Range	   *range;
	Transform  *tr;
	UnitResult	result = UNIT_DONE;

	if (rel == NULL)
		return UNIT_WAIT;
	task = current_task(mig, step, rel);
	tr = transform_get(rel);
	range = tr->fillable ? claim_range(task) : NULL;
	if (range == NULL)
		result = tr->fillable == 0 || task_ranges_left(mig->id, step->no) == 0 ? UNIT_END : UNIT_WAIT;
	else if (range->lane < task->lanes)
		run_lane(task, range, rel, tr);
	else
		run_last_pass(task, range, rel, tr);
	table_close(rel, NoLock);
	return result;
}

void
backfill_restart(const Migration *mig, const Step *step)
{
	Relation	rel = try_table_open(step->relid, AccessShareLock);
	Task	   *former = task_get(mig->id, step->no);
	Task		task;

	if (rel == NULL)
		return;
	backfill_release();
	task = describe_task(mig, step, rel);
	task.rows_done = former ? former->rows_done : 0;
	task.busy_ms = former ? former->busy_ms : 0;
	bad_rows_clear(mig->id, step->relid);
	task_create(&task, mig_range_pages, task.lanes);
	table_close(rel, NoLock);
}

int
backfill_claimable(const Migration *mig, const Step *step)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, task_ranges(mig->id, step->no))
	{
		int64		id = ((Range *) lfirst(lc))->id;

		if (id == claimed || !advisory_lock(MIG_LOCK_RANGE, id, ExclusiveLock, true, true))
			continue;
		advisory_unlock(MIG_LOCK_RANGE, id, ExclusiveLock);
		n++;
	}
	return n;
}
