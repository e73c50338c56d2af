/*
 * lanes.c
 *		The chunk runner for same-row changes: block ranges, lane by lane.
 *
 * A full page has no room for new row versions. So of a range's pages only every k-th row is touched at first: these few go elsewhere, and once they are
 * dead to everybody the next lane's visit prunes the page and finds room on it: HOT updates, no index writes, no growth. The loop goes over a whole
 * range lane by lane, so that two visits of a page lie further apart than transactions are long (measured: docs/architecture.md).
 *
 * Stages of a range, in its column `lane` (k lanes):
 *	 0 … k-1	that lane's rows. Which these are is read from the pages themselves, which prunes them on the way; so a visit costs nothing for the
 *				rows of other lanes. Only the heap's pages can be read so: a table with another access method has k = 0.
 *	 k, k+2, …	a last pass over every row that still lacks a value (it was locked, it moved to a place that an earlier lane had passed, its up fails)
 *	 k+1, …		the same, when the pass has left rows out because others have them locked: at its end the range is put off, and goes on
 *				with the next even stage.
 * Rows locked by others are never waited for. Everything is committed with the rows, so a crash repeats at most a batch, and repeating is free: filled
 * rows are skipped.
 *
 * A table may consist of many relations (backfill/leaves.c): each has its task, and a range is claimed from those of all of them.
 *
 * A range is worked on by the session that holds its advisory lock, for as long as it lives; `claimed` says which these are here.
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "backfill/backfill.h"
#include "backfill/held.h"
#include "backfill/leaves.h"
#include "backfill/quiet.h"
#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "base/yield.h"
#include "pace/pace.h"
#include "pace/signal.h"
#include "store/transform.h"
#include "sync/trigger.h"

#define SHARE_OF_RANGE	8		/* a chunk is at most such a part of a range: lanes lose their gain if one takes a large part of a lane's pass */
#define RETRY_MS 100			/* until a range with locked rows is looked at again; doubled each time */
#define LOCKED_MS 500			/* until a range of a locked relation is looked at again */
#define MOST_CACHED (24 * 1024 * 1024)	/* bytes */
#define LOOK_BATCHES 4			/* looking for rows without a value takes longer batches than filling them */

/*
 * Ranges this session has locked. The first has its turn until a stage of it is at its end; small ones are claimed many at a time, as otherwise their stages
 * would follow each other faster than transactions end.
 */
static int64 claimed[RANGES_AT_ONCE];
static int	nclaimed = 0;
static bool turn_over = false;

/* Give up the range that has its turn. */
static void
let_go(void)
{
	advisory_unlock(MIG_LOCK_RANGE, claimed[0], ExclusiveLock);
	nclaimed--;
	memmove(claimed, claimed + 1, sizeof(int64) * nclaimed);
	turn_over = false;
}

void
backfill_release(void)
{
	while (nclaimed > 0)
		let_go();
}

/* Is a range one of those this session has locked? */
static bool
is_claimed(int64 id)
{
	for (int i = 0; i < nclaimed; i++)
		if (claimed[i] == id)
			return true;
	return false;
}

/* Pages of a range: at most the setting, and as many ranges as keep all workers busy to the end. */
static int64
pages_per_range(const Task *task)
{
	int64		ranges = Max((task->blocks + mig_range_pages - 1) / mig_range_pages, 1);
	int			workers = Max(mig_max_workers, 1);

	if (ranges > 1)
		ranges = (ranges + workers - 1) / workers * workers;
	return Max((task->blocks + ranges - 1) / ranges, 1);
}

/* Lay out the task of filling a relation, lane by lane. */
static void
lay_lanes(Task *task, Relation rel, const Task *former)
{
	BlockNumber pages;
	double		tuples;
	double		allvisible;

	estimate_rel_size(rel, NULL, &pages, &tuples, &allvisible);
	task->blocks = RelationGetNumberOfBlocks(rel);
	task->rows_total = (int64) tuples;
	if (rel->rd_tableam == GetHeapamTableAmRoutine())
		/* wide rows: more lanes than rows on a page would be empty passes */
		task->lanes = task->blocks > 0 ? (int) Min(Max(tuples / task->blocks, 1.0), (double) mig_lanes) : 1;
	task->range_pages = pages_per_range(task);
	task->rows_done = former ? former->rows_done : 0;
	task->busy_ms = former ? former->busy_ms : 0;
	task->now = leaf_sizes(rel);
	task->before = former ? former->before : task->now;
}

/* The same without lanes. */
static void
lay_last_pass(Task *task, Relation rel, const Task *former)
{
	lay_lanes(task, rel, former);
	task->first_lane = task->lanes;
}

/* Lock ranges that nobody has: a large one, or small ones of no more pages, and no more than this worker's share of what is left. */
static void
claim_ranges(Held *held)
{
	List	   *ranges = task_ranges(held->mig->id, held->step->no, held_from(held));
	int64		pages = 0;
	ListCell   *lc;

	/* thousands of partitions: the caches know each that was met, and forget none by themselves */
	if (MemoryContextMemAllocated(CacheMemoryContext, true) > MOST_CACHED)
		InvalidateSystemCaches();
	foreach(lc, ranges)
		pages += ((Range *) lfirst(lc))->end_block - ((Range *) lfirst(lc))->first_block;
	pages = Min(pages / Max(mig_max_workers, 1), mig_range_pages);
	foreach(lc, ranges)
	{
		Range	   *range = lfirst(lc);

		if (nclaimed > 0 && range->end_block - range->first_block > pages)
			return;
		if (!advisory_lock(MIG_LOCK_RANGE, range->id, ExclusiveLock, true, true))
			continue;
		claimed[nclaimed++] = range->id;
		pages -= range->end_block - range->first_block;
	}
}

/* The first of the claimed ranges that can be worked on now; gives up those before it. */
static Range *
usable_range(Held *held)
{
	while (nclaimed > 0)
	{
		Range	   *range = range_get(claimed[0]);

		/* it may be another migration's: a worker drives them in turn */
		if (range && (range->state == RANGE_OPEN || range->state == RANGE_LATER) && range->migration_id == held->mig->id &&
			range->step_no == held->step->no && !held_back(held, range))
		{
			range->state = RANGE_OPEN;
			return range;
		}
		let_go();
	}
	return NULL;
}

/* The range this session works on next; NULL: none can be had now. */
static Range *
next_range(Held *held)
{
	Range	   *range;

	if (turn_over)
	{
		int64		first = claimed[0];

		memmove(claimed, claimed + 1, sizeof(int64) * (nclaimed - 1));
		claimed[nclaimed - 1] = first;
		turn_over = false;
	}
	range = usable_range(held);
	if (range)
		return range;
	claim_ranges(held);
	return usable_range(held);
}

/*
 * Touch the rows that a query over alias `t` chooses, unless somebody else has them locked; the sync trigger fills them. Returns how many were written.
 */
static uint64
touch_rows(Relation rel, const char *condition, int nparams, const SqlParam *params)
{
	char	   *table = sql_relation_name(RelationGetRelid(rel));

	return quiet_exec(RelationGetRelid(rel), QUIET_SYNC, psprintf("UPDATE ONLY %s SET " STATE_COLUMN " = " STATE_COLUMN " WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY ("
								  "SELECT t.ctid FROM ONLY %s AS " TRANSFORM_ALIAS " WHERE %s FOR NO KEY UPDATE SKIP LOCKED))",
								  table, table, condition), nparams, params);
}

/* Does this row version lack a state? Without one none of its pairs has a value. */
static bool
lacks_state(HeapTupleHeader tuple, AttrNumber state_att)
{
	if (HeapTupleHeaderGetNatts(tuple) < state_att)
		return true;
	return (tuple->t_infomask & HEAP_HASNULL) && att_isnull(state_att - 1, tuple->t_bits);
}

/* Prune a page, and note the row versions of a lane that lack a state; whether they can be seen is for the statement to say. */
static int
read_page(Relation rel, BlockNumber block, int lanes, int lane, AttrNumber state_att, ItemPointer tids)
{
	Buffer		buffer = ReadBuffer(rel, block);
	OffsetNumber max;
	Page		page;
	int			n = 0;

	mig_heap_page_prune(rel, buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	max = PageIsNew(page) ? 0 : PageGetMaxOffsetNumber(page);
	for (int offset = lane == 0 ? lanes : lane; offset <= max; offset += lanes)
	{
		ItemId		item = PageGetItemId(page, offset);

		if (!ItemIdIsNormal(item) || !lacks_state((HeapTupleHeader) PageGetItem(page, item), state_att))
			continue;
		ItemPointerSet(&tids[n], block, offset);	/* a macro: evaluates twice */
		n++;
	}
	UnlockReleaseBuffer(buffer);
	return n;
}

/* The rows of a lane in a block range that may lack values; returns how many. */
static int
read_lane(Relation rel, int64 first, int64 end, int lanes, int lane, ItemPointer *result)
{
	AttrNumber	state_att = transform_get(rel)->state_att;
	int			most = MaxHeapTuplesPerPage / lanes + 1;
	ItemPointer tids = palloc(sizeof(ItemPointerData) * most * (end - first));
	int			n = 0;

	for (int64 block = first; block < end; block++)
	{
		CHECK_FOR_INTERRUPTS();
		yield_processor();
		n += read_page(rel, block, lanes, lane, state_att, tids + n);
	}
	*result = tids;
	return n;
}

/* Rows of a lane to fill */
typedef struct Fill
{
	Relation	rel;
	const SqlParam *tids;
	uint64		written;
} Fill;

/*
 * Fill rows that have no state at all with one plain UPDATE of the very expressions the sync trigger runs, and no trigger: that much cheaper than touching them
 * (an eighth of the whole). It is all or nothing: where an expression raises, the batch is touched instead, and the trigger goes row by row.
 */
static void
fill_directly(void *arg)
{
	Fill	   *f = arg;
	const Transform *tr = transform_get(f->rel);
	char	   *table = sql_relation_name(RelationGetRelid(f->rel));
	int64		state = 0;
	StringInfoData set;

	initStringInfo(&set);
	for (int i = 0; i < tr->npairs; i++)
	{
		if ((tr->fillable & (UINT64CONST(1) << (2 * i))) == 0)
			continue;
		state |= (int64) PAIR_BACKFILLED << (2 * i);
		appendStringInfo(&set, "%s = (%s), ", quote_identifier(NameStr(TupleDescAttr(tr->desc, tr->pairs[i].new_att - 1)->attname)),
						 tr->pairs[i].up_sql);
	}
	f->written = quiet_exec(RelationGetRelid(f->rel), QUIET_NONE,
							psprintf("UPDATE ONLY %s AS " TRANSFORM_ALIAS " SET %s" STATE_COLUMN " = " INT64_FORMAT
									 " WHERE t.ctid OPERATOR(pg_catalog.=) ANY (ARRAY (SELECT t.ctid FROM ONLY %s AS " TRANSFORM_ALIAS
									 " WHERE t.ctid OPERATOR(pg_catalog.=) ANY ($1) AND t." STATE_COLUMN " IS NULL FOR NO KEY UPDATE SKIP LOCKED))",
									 table, set.data, state, table), 1, f->tids);
	pace_note_waiters();		/* who waits now waits for this subtransaction, whose id is about to be let go */
}

static int64 touching = 0;		/* id of the range in which an expression has raised */

/* Fill what can be filled of some rows of a lane; returns how many were written. */
static uint64
fill_lane(const Range *range, Relation rel, const SqlParam *tids)
{
	Fill		fill = {rel, tids, 0};
	ErrorData  *error;
	int64		failed;

	if (touching != range->id && !transform_get(rel)->follows)	/* those need the new values of others first */
	{
		if (txn_try(fill_directly, &fill, &error))
			return fill.written;
		if (txn_is_retryable(error->sqlerrcode))
			ReThrowError(error);
		touching = range->id;
	}
	sync_backfill_begin();
	fill.written = touch_rows(rel, "t.ctid OPERATOR(pg_catalog.=) ANY ($1) AND t." STATE_COLUMN " IS NULL", 1, tids);
	(void) sync_backfill_end(&failed);	/* the last pass meets them again */
	return fill.written;
}

/* Pages of a range that the next transaction may take. */
static int64
chunk_pages(const Migration *mig, const Range *range)
{
	return pace_pages(mig, (range->end_block - range->first_block) / SHARE_OF_RANGE);
}

/* A lane has come to its end: what it has left behind should be removable when the next one begins. */
static void
end_lane(const Task *task, Range *range, Relation rel)
{
	Sizes		now = leaf_sizes(rel);

	task_grown(range, &now);
	range->lane++;
	range->next_block = range->first_block;
	if (range->lane < task->lanes)
		range->dead_until = U64FromFullTransactionId(ReadNextFullTransactionId());
	turn_over = true;
}

/* One batch of one lane. */
static void
run_lane(const Migration *mig, const Task *task, Range *range, Relation rel)
{
	int64		end = Min(range->next_block + chunk_pages(mig, range), range->end_block);
	/* TRUNCATE gives a new file, but a vacuum may cut off empty pages at the end */
	int64		there = Min(end, RelationGetNumberOfBlocks(rel));
	ItemPointer tids;
	int			n = read_lane(rel, range->next_block, Max(there, range->next_block), task->lanes, range->lane, &tids);
	uint64		written = 0;
	Identity	saved;

	if (n > 0)
	{
		SqlParam	param = P_tids(tids, n);

		quiet_begin(&saved, mig, rel);
		written = fill_lane(range, rel, &param);
		identity_end(&saved);
	}
	range->next_block = end;
	range->dead_until = 0;
	if (end >= range->end_block)
		end_lane(task, range, rel);
	range_advance(range, written);
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

/* A block range, to look at the rows that lack values there */
typedef struct Window
{
	Relation	rel;
	int64		first;
	int64		end;
	const char *unfilled;
} Window;

/* Condition of a window's rows that lack values. */
static char *
window_condition(const Window *w)
{
	return psprintf("t.ctid OPERATOR(pg_catalog.>=) '(" INT64_FORMAT ",0)' AND t.ctid OPERATOR(pg_catalog.<) '(" INT64_FORMAT ",0)' AND %s",
					w->first, w->end, w->unfilled);
}

/* How many rows of a window lack values: all of them, or those that nobody else has locked. */
static int64
count_unfilled(const Window *w, bool unlocked)
{
	return strtoll(sql_text(psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM ONLY %s AS " TRANSFORM_ALIAS " WHERE %s%s) x",
									 sql_relation_name(RelationGetRelid(w->rel)), window_condition(w),
									 unlocked ? " FOR NO KEY UPDATE SKIP LOCKED" : "")), NULL, 10);
}

/* Fill a window's rows as far as nobody has them locked; returns how many were written, and whether locked ones are left. */
static uint64
fill_window(const Task *task, const Window *w, bool *skipped)
{
	int64		failed;
	int64		left;
	uint64		written;

	sync_backfill_begin();
	written = touch_rows(w->rel, window_condition(w), 0, NULL);
	report_failures(task, sync_backfill_end(&failed));
	/* what is left fails, and then nobody else has it, or it is locked */
	left = count_unfilled(w, false);
	*skipped = left > 0 && count_unfilled(w, true) < left;
	return written;
}

/* The last pass is at the range's end: done, or to be done again later for the rows that were locked. */
static void
end_pass(const Task *task, Range *range, uint64 written)
{
	int			passes = (range->lane - task->lanes) / 2;
	bool		skipped = (range->lane - task->lanes) % 2 == 1;

	range->next_block = range->first_block;
	range->state = skipped ? RANGE_LATER : RANGE_DONE;
	range->lane += skipped ? 1 : 0;
	range_advance(range, written);
	if (!skipped)
		return;
	range_postpone(range, Min(RETRY_MS << Min(passes, 10), RANGE_LATER_MS));
	let_go();
}

/* One batch of the last pass: every row that still lacks a value. */
static void
run_last_pass(const Migration *mig, const Task *task, Range *range, Relation rel, const char *unfilled)
{
	int64		pages = chunk_pages(mig, range);
	Window		w = {rel, range->next_block, Min(range->next_block + pages * LOOK_BATCHES, range->end_block), unfilled};
	bool		skipped = false;
	uint64		written = 0;
	Identity	saved;

	quiet_begin(&saved, mig, rel);
	if (count_unfilled(&w, false) > 0)
	{
		w.end = Min(w.first + pages, w.end);
		written = fill_window(task, &w, &skipped);
	}
	identity_end(&saved);
	if (skipped && (range->lane - task->lanes) % 2 == 0)
		range->lane++;
	range->next_block = w.end;
	if (w.end >= range->end_block)
		end_pass(task, range, written);
	else
		range_advance(range, written);
}

/* Run a batch of a range of an open leaf. */
static void
run_range(const Migration *mig, Range *range, Relation rel)
{
	Task	   *task = task_get(mig->id, range->step_no, range->relid);
	char	   *unfilled = transform_unfilled_sql(transform_get(rel));

	if (task == NULL)
		return;					/* somebody else has found the leaf rewritten, or gone */
	if (task->relfilenode != rel->rd_rel->relfilenode)
	{
		let_go();
		leaf_rewritten(task, rel, lay_lanes);
	}
	else if (unfilled == NULL)
	{
		range->state = RANGE_DONE;
		range_advance(range, 0);
	}
	else if (range->lane < task->lanes)
		run_lane(mig, task, range, rel);
	else
		run_last_pass(mig, task, range, rel, unfilled);
}

UnitResult
backfill_unit(const Migration *mig, const Step *step, char **why)
{
	Held		held = {.mig = mig,.step = step};
	Range	   *range = next_range(&held);
	UnitResult	found;
	Relation	leaf;
	bool		gone;
	bool		dropped;

	if (range == NULL)
	{
		found = leaves_find_work(mig, step, lay_lanes);
		*why = "rows or ranges are locked by other sessions";
		return found == UNIT_WAIT ? held_wait(&held, why) : found;
	}
	leaf = leaf_open(range->relid, RowExclusiveLock, &gone);
	if (leaf == NULL && !gone)
	{
		range_postpone(range, LOCKED_MS);
		let_go();
		return UNIT_DONE;
	}
	/* detaching a partition takes its triggers away; a leaf that lacks them is refused by transform_get() */
	dropped = (gone || !relation_has_sync(leaf)) && leaves_align(mig, step, lay_lanes, false) == LEAVES_CHANGED;
	if (leaf && !dropped)
		run_range(mig, range, leaf);
	if (leaf)
		table_close(leaf, NoLock);
	return UNIT_DONE;
}

bool
backfill_put_aside(const char *error)
{
	if (nclaimed == 0)
		return false;
	range_put_aside(claimed[0], error);
	let_go();
	return true;
}

void
backfill_restart(const Migration *mig, const Step *step)
{
	backfill_release();
	bad_rows_clear(mig->id, leaves_of(step->relid));
	(void) leaves_align(mig, step, lay_last_pass, true);
}

int
backfill_claimable(const Migration *mig, const Step *step)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, task_ranges(mig->id, step->no, UINT64_MAX))
	{
		int64		id = ((Range *) lfirst(lc))->id;

		if (is_claimed(id) || !advisory_lock(MIG_LOCK_RANGE, id, ExclusiveLock, true, true))
			continue;
		advisory_unlock(MIG_LOCK_RANGE, id, ExclusiveLock);
		n++;
	}
	return n;
}

void
backfill_at_once(const Migration *mig, Oid relid)
{
	ListCell   *lc;

	foreach(lc, leaves_of(relid))
	{
		Relation	rel = table_open(lfirst_oid(lc), RowExclusiveLock);
		const char *unfilled = transform_unfilled_sql(transform_get(rel));
		Identity	saved;
		int64		failed;

		if (unfilled)
		{
			quiet_begin(&saved, mig, rel);
			sync_backfill_begin();
			(void) touch_rows(rel, unfilled, 0, NULL);
			(void) sync_backfill_end(&failed);
			identity_end(&saved);
		}
		table_close(rel, NoLock);
	}
}
