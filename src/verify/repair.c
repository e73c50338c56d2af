/*
 * repair.c
 *		mig_repair: puts rows right whose versions have come apart.
 *
 * First all tables are checked, without a lock on any row; if too many rows are wrong, something is broken that has to be mended first, and nothing is changed.
 * Then each row that was wrong is locked, FOR NO KEY UPDATE, looked at again in its newest version, and touched in repair mode: the sync trigger, which knows
 * how pairs depend on each other, computes them from the side that is kept, no trigger of the user's fires, and the foreign keys' do.
 *
 * Rows that others have locked are never waited for while we hold locks on others: they are tried again a few times, and then left.
 * Rows may have been written past the triggers since the transaction that the epoch names (store/pass.h); of those nobody knows which side was written last.
 */
#include "base/compat.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "backfill/leaves.h"
#include "backfill/quiet.h"
#include "base/sql.h"
#include "base/txn.h"
#include "store/drift.h"
#include "store/options.h"
#include "store/task.h"
#include "store/transform.h"
#include "verify/repair.h"
#include "verify/seal.h"
#include "verify/verify.h"

#define MAX_REPAIRS 1000		/* by default */
#define LOCK_TRIES 20			/* for rows that others have locked */
#define LOCK_PAUSE_MS 50		/* between two of them */

/* A leaf and its rows that are wrong */
typedef struct LeafRepair
{
	Oid			relid;
	BadRows		bad;
} LeafRepair;

/* The table under repair */
typedef struct Repair
{
	const Migration *mig;
	KeepSide	keep;
	TableRepair *table;
	List	   *leaves;			/* LeafRepair *: those with rows that are wrong */
	uint64		suspect;		/* rows of this transaction or a later one may not be what their state says; 0: none */
	StringInfoData samples;
	int			nsamples;
	/* the leaf and row under repair */
	Relation	leaf;
	TupleTableSlot *row;
} Repair;

/* What became of a row */
typedef enum Outcome
{
	REPAIRED,
	HEALED,						/* it is in order, or gone: somebody has written it meanwhile */
	LEFT_SUSPECT,
	LEFT_FAILED,
	LEFT_LOCKED
} Outcome;

/* ---- looking ----------------------------------------------------------------------------------------------------------------- */

/* Check a leaf, and keep the places of its rows that are wrong; its lock stays only if there are some. */
static void
look_at_leaf(Repair *r, Oid relid, int most)
{
	Relation	leaf = try_table_open(relid, AccessShareLock);
	LeafRepair *found;
	Findings	findings;

	if (leaf == NULL)
		return;
	found = palloc0(sizeof(LeafRepair));
	found->relid = relid;
	found->bad.context = CurrentMemoryContext;
	found->bad.most = most;
	found->bad.missing = r->mig->phase > PHASE_BACKFILLING;
	findings = verify_leaf(r->table->check, leaf, &found->bad);
	r->table->wrong += findings.divergent + (found->bad.missing ? findings.missing : 0);
	if (findings.samples && r->nsamples < VERIFY_SAMPLES)
		appendStringInfo(&r->samples, "%s%s", r->samples.len ? ", " : "", findings.samples);
	r->nsamples += findings.nsamples;
	findings_add(&r->table->found, &findings);
	table_close(leaf, found->bad.n ? NoLock : AccessShareLock);
	if (found->bad.n)
		r->leaves = lappend(r->leaves, found);
}

/* Check a table, up to so many rows that are wrong; returns how many are. */
static int64
look_at_table(Repair *r, int most)
{
	ListCell   *lc;
	int64		n = 0;

	initStringInfo(&r->samples);
	foreach(lc, leaves_of(r->table->check->relid))
		look_at_leaf(r, lfirst_oid(lc), most);
	foreach(lc, r->leaves)
		n += ((LeafRepair *) lfirst(lc))->bad.n;
	return n;
}

/* ---- one row ----------------------------------------------------------------------------------------------------------------- */

/* Lock the newest version of a row and have it in the slot. TM_WouldBlock: others have it locked; else than TM_Ok: there is none any more. */
static TM_Result
lock_row(Repair *r, ItemPointer tid)
{
	TM_FailureData failure;
	ItemPointerData copy = *tid;

	ExecClearTuple(r->row);
	return table_tuple_lock(r->leaf, &copy, GetActiveSnapshot(), r->row, GetCurrentCommandId(false), LockTupleNoKeyExclusive, LockWaitSkip,
							TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
}

/* Have the version of a row that we have just written in the slot; false: there is none. */
static bool
read_written(Repair *r, ItemPointer tid)
{
	TableScanDesc scan;
	bool		found;

	PushActiveSnapshot(GetLatestSnapshot());
	scan = table_beginscan_tid(r->leaf, GetActiveSnapshot());
	table_tuple_get_latest_tid(scan, tid);
	table_endscan(scan);
	ExecClearTuple(r->row);
	found = table_tuple_fetch_row_version(r->leaf, tid, GetActiveSnapshot(), r->row);
	PopActiveSnapshot();
	return found;
}

/* Touch the row in the slot: the trigger computes its pairs. */
static void
touch_row(void *arg)
{
	Repair	   *r = arg;
	ItemPointerData tid = r->row->tts_tid;
	SqlParam	param = P_tids(&tid, 1);
	Identity	saved;

	quiet_begin(&saved, r->mig, r->leaf);
	sync_repair_begin(r->keep);
	(void) quiet_exec(RelationGetRelid(r->leaf), QUIET_SYNC_AND_KEYS,
					  psprintf("UPDATE ONLY %s SET " STATE_COLUMN " = " STATE_COLUMN " WHERE ctid OPERATOR(pg_catalog.=) ANY ($1)",
							   sql_relation_name(RelationGetRelid(r->leaf))), 1, &param);
	sync_repair_end();
	identity_end(&saved);
}

/* Is there something wrong with the row in the slot that we are to put right? */
static bool
is_wrong(const Repair *r, const Findings *row)
{
	return row->divergent > 0 || (row->missing > 0 && r->mig->phase > PHASE_BACKFILLING);
}

/* Repair the row in the slot, which is locked and wrong; *why tells why it could not be. */
static Outcome
repair_locked(Repair *r, char **why)
{
	ItemPointerData tid = r->row->tts_tid;
	ErrorData  *error;
	Findings	after;

	if (r->keep == KEEP_ORIGIN && verify_may_be_bypassed(r->row, r->suspect))
	{
		*why = "it may have been written past the sync triggers";
		return LEFT_SUSPECT;
	}
	if (!txn_try(touch_row, r, &error))
	{
		if (txn_is_retryable(error->sqlerrcode))
		{
			*why = error->message;
			return LEFT_LOCKED;
		}
		*why = error->detail ? psprintf("%s: %s", error->message, error->detail) : error->message;
		return LEFT_FAILED;
	}
	if (read_written(r, &tid))
	{
		after = verify_row(r->leaf, r->row, false);
		if (!is_wrong(r, &after))
			return REPAIRED;
	}
	*why = "its rules still do not hold";
	return LEFT_FAILED;
}

/* Count what became of a row, and keep a sample of it: samples are its pairs as they were. */
static void
note_outcome(Repair *r, const Findings *row, Outcome outcome, const char *why)
{
	TableRepair *t = r->table;
	char	   *samples;

	t->found.repaired += outcome == REPAIRED;
	t->suspect += outcome == LEFT_SUSPECT;
	t->failed += outcome == LEFT_FAILED;
	t->locked += outcome == LEFT_LOCKED;
	samples = sql_textp("SELECT pg_catalog.string_agg((s OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('repaired', $2)"
						" OPERATOR(pg_catalog.||) CASE WHEN $3 IS NULL THEN '{}' ELSE pg_catalog.jsonb_build_object('left', $3) END)::text, ', ') FROM pg_catalog.jsonb_array_elements($1) s",
						P_jsonb(psprintf("[%s]", row->samples)), P_bool(outcome == REPAIRED), P_text(why));
	if (outcome == REPAIRED)
	{
		bad_row_repaired(r->mig->id, RelationGetRelid(r->leaf), samples);
		drift_row_repaired(r->mig->id, RelationGetRelid(r->leaf), samples);
	}
	else
		verify_record(r->mig, RelationGetRelid(r->leaf), samples);
	if (r->nsamples < VERIFY_SAMPLES)
		appendStringInfo(&r->samples, "%s%s", r->samples.len ? ", " : "", samples);
	r->nsamples += row->nsamples;
}

/* Lock a row, look at it again, repair it. False: somebody else has it locked, and it is to be tried again. */
static bool
repair_row(Repair *r, ItemPointer tid, bool last_try)
{
	TM_Result	result = lock_row(r, tid);
	Findings	row;
	Outcome		outcome = LEFT_LOCKED;
	char	   *why = "others have it locked";

	if (result == TM_WouldBlock)
	{
		if (last_try)
			r->table->locked++;
		return last_try;
	}
	if (result != TM_Ok)
		return true;
	row = verify_row(r->leaf, r->row, RelationGetRelid(r->leaf) != r->table->check->relid);
	if (!is_wrong(r, &row))
		return true;
	why = NULL;
	outcome = repair_locked(r, &why);
	if (outcome == LEFT_LOCKED && !last_try)
		return false;
	if (outcome != HEALED)
		note_outcome(r, &row, outcome, why);
	return true;
}

/* ---- one table --------------------------------------------------------------------------------------------------------------- */

/* Try each row of those left once; returns how many are left again. */
static int
repair_rows(Repair *r, BadRows *bad, bool last_try)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "mig_control repair", ALLOCSET_DEFAULT_SIZES);
	int			left = 0;

	for (int i = 0; i < bad->n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		done;

		CHECK_FOR_INTERRUPTS();
		done = repair_row(r, &bad->tids[i], last_try);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		if (!done)
			bad->tids[left++] = bad->tids[i];
	}
	MemoryContextDelete(context);
	return left;
}

/* Wait for others to end their transactions. */
static void
pause_for_locks(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOCK_PAUSE_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Repair the rows of a leaf. */
static void
repair_leaf(Repair *r, LeafRepair *leaf)
{
	r->leaf = try_table_open(leaf->relid, RowExclusiveLock);
	if (r->leaf == NULL)
		return;
	r->row = table_slot_create(r->leaf, NULL);
	bad_rows_seen_again(r->mig->id, leaf->relid);
	for (int i = 1; leaf->bad.n > 0; i++)
	{
		if (i > 1)
			pause_for_locks();
		leaf->bad.n = repair_rows(r, &leaf->bad, i == LOCK_TRIES);
	}
	ExecDropSingleTupleTableSlot(r->row);
	table_close(r->leaf, NoLock);
}

/* Repair the rows of a table, and tell. */
static void
repair_table(Repair *r)
{
	TableRepair *t = r->table;
	ListCell   *lc;

	r->suspect = epoch_suspect_xid(r->mig->id, t->check->relid);
	resetStringInfo(&r->samples);
	r->nsamples = 0;
	foreach(lc, r->leaves)
		repair_leaf(r, lfirst(lc));
	event_write(r->mig->id, "repaired", sql_textp("SELECT jsonb_build_object('relation', $1, 'keep', $2, 'divergent', $3, 'repaired', $4, 'suspect', $5, 'failed', $6, 'locked', $7)::text",
												  P_text(t->check->relation), P_text(keep_side_name(r->keep)), P_int8(t->wrong), P_int8(t->found.repaired),
												  P_int8(t->suspect), P_int8(t->failed), P_int8(t->locked)));
}

/* Too many rows are wrong: stop, and say so. */
static void
stop(const Migration *mig, int most)
{
	char	   *text = psprintf("more than %d rows differ between the versions (option max_repairs), and mig_repair has changed none; find out why before you raise it", most);

	migration_set_pause(mig->id, true, "failed", text);
	event_write(mig->id, "repair stopped", psprintf("{\"max_repairs\": %d}", most));
}

/* Keep the evidence of a table, and what has been found. */
static void
keep_evidence(Repair *r)
{
	Pass	   *pass = pass_open(r->mig, r->table->check->relid, r->table->check->relation, PASS_REPAIR, 0);

	pass_add(pass, &r->table->found, 1);
	pass_close(pass->id);
	if (r->samples.len)
		r->table->found.samples = r->samples.data;
}

/* The option, or its default. */
static int
max_repairs(const Migration *mig)
{
	char	   *value = option_text(mig->options, "max_repairs");

	return value ? atoi(value) : MAX_REPAIRS;
}

List *
repair_tables(const Migration *mig, KeepSide keep, bool *stopped)
{
	int			most = max_repairs(mig);
	List	   *repairs = NIL;
	List	   *tables = NIL;
	int64		bad = 0;
	ListCell   *lc;

	(void) seal_check(mig);
	foreach(lc, steps_of_phase(mig->id, STEP_CHECK))
	{
		Repair	   *r = palloc0(sizeof(Repair));

		if (((Step *) lfirst(lc))->kind != STEP_VALIDATE)
			continue;
		r->mig = mig;
		r->keep = keep;
		r->table = palloc0(sizeof(TableRepair));
		r->table->check = lfirst(lc);
		bad += look_at_table(r, most + 1);
		repairs = lappend(repairs, r);
		tables = lappend(tables, r->table);
	}
	*stopped = bad > most;
	if (*stopped)
		stop(mig, most);
	foreach(lc, repairs)
	{
		Repair	   *r = lfirst(lc);

		if (r->leaves && !*stopped)
			repair_table(r);
	}
	(void) seal_check(mig);
	foreach(lc, repairs)
		keep_evidence(lfirst(lc));
	drift_recount(mig->id);
	return tables;
}
