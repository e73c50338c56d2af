/*
 * watch.c
 *		The drift watch: units of comparing the versions of a migration that is ready, and what is done about a row in which they differ.
 *
 * Two ways over the tables take turns, within one share of the time (options.drift.duty): *sweeps* over the rows that were written lately, which find a divergence
 * soon, and *passes* over all rows, which find any, and are evidence (store/pass.h). A sweep that is due goes first, but sweeps get at most SWEEP_SHARE of the time, so that
 * passes always get on. All places are in the tables (mig.watcher, mig.pass): whoever does the next unit, in whatever process, goes on from there.
 *
 * A unit is a piece of work of UNIT_MS in one transaction, range by range, each under one snapshot. Afterwards the watch rests, whoever has worked, by what
 * that took of the machine: processor time, and pages read. By the clock it may have taken much longer, since workers let everybody else go first; resting for
 * that would mean that a busy server is not watched. Each cycle and each sweep begins with a look at the seal.
 *
 * A row that is known to diverge, and still does, is no news: it is reported again only after it was in order.
 */
#include "base/compat.h"

#include <sys/resource.h>

#include "access/table.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "executor/instrument.h"
#include "portability/instr_time.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "backfill/leaves.h"
#include "base/sql.h"
#include "store/drift.h"
#include "store/fence.h"
#include "store/pass.h"
#include "store/transform.h"
#include "verify/recent.h"
#include "verify/seal.h"
#include "verify/verify.h"
#include "verify/watch.h"

#define UNIT_MS			30		/* of work in a transaction, */
#define UNIT_CLOCK_MS	200		/* or so much by the clock */
#define READ_MS			0.1		/* of work that a page counts which was not in shared buffers */
#define SWEEP_SHARE		(2.0 / 3.0) /* of the time of the watch, at most */
#define SWEEP_WORK_MS	250		/* at least so much time of its own lies between the beginnings of two sweeps: 5 s at a duty of 0.05 */
#define CYCLE_WORK_MS	1000	/* and between those of two cycles: 20 s */
#define LONGEST_REST_MS	60000
#define LOCKED_MS		500		/* until it tries again when a table is locked by somebody else */
#define BUSY_MS			100		/* when somebody else does a unit */
#define FAILED_MS		5000	/* after an error */
#define SWEEP_BLOCKS	256		/* to check at once */
#define MOST_PAGES		8192	/* of a range of a pass */

/* A unit under way */
typedef struct Unit
{
	const Migration *mig;
	Watch	   *w;
	DriftOptions options;
	List	   *tables;			/* Step *: the checks of its tables, in order */
	instr_time	began;
	double		cpu_ms;			/* of the process, then */
	int64		reads;
} Unit;

static int	pass_pages = 64;	/* of the next range of a pass: what takes about UNIT_MS in this process */

/* Processor time that this process has used. */
static double
cpu_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000.0 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000.0;
}

/* A unit begins. */
static void
begin_work(Unit *u)
{
	INSTR_TIME_SET_CURRENT(u->began);
	u->cpu_ms = cpu_ms();
	u->reads = pgBufferUsage.shared_blks_read;
}

/* How long it has taken by the clock. */
static double
clock_ms(const Unit *u)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, u->began);
	return INSTR_TIME_GET_MILLISEC(now);
}

/* How much it has worked. */
static double
worked_ms(const Unit *u)
{
	double		ms = cpu_ms() - u->cpu_ms + (pgBufferUsage.shared_blks_read - u->reads) * READ_MS;

	return Min(ms, clock_ms(u));
}

/* Is it time to end it? */
static bool
is_over(const Unit *u)
{
	return worked_ms(u) >= UNIT_MS || clock_ms(u) >= UNIT_CLOCK_MS;
}

/* The tables with rows to compare: what each STEP_VALIDATE before `ready` checks. */
static List *
tables_of(const Migration *mig)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, steps_of_phase(mig->id, STEP_CHECK))
		if (((Step *) lfirst(lc))->kind == STEP_VALIDATE)
			tables = lappend(tables, lfirst(lc));
	return tables;
}

/* A table of the unit; with next, the one after it. NULL: there is none (any more); InvalidOid and next: the first. */
static Step *
table_at(const Unit *u, Oid relid, bool next)
{
	ListCell   *lc;

	if (!OidIsValid(relid))
		return linitial(u->tables);
	foreach(lc, u->tables)
	{
		if (((Step *) lfirst(lc))->relid != relid)
			continue;
		if (!next)
			return lfirst(lc);
		lc = lnext(u->tables, lc);
		return lc ? lfirst(lc) : NULL;
	}
	return NULL;
}

/* The relations with rows of a table; raises when the table is gone. */
static List *
leaves_of_table(const Step *s)
{
	List	   *leaves = leaves_of(s->relid);

	if (leaves == NIL && get_rel_relkind(s->relid) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of this migration is gone", s->relation),
				 errhint("Call mig_rollback to end the migration.")));
	return leaves;
}

/* ---- what is done about it --------------------------------------------------------------------------------------------------- */

void
watch_lift_fence(int64 migration_id, const char *why)
{
	StringInfoData json;

	if (!fence_take(migration_id))
		return;
	initStringInfo(&json);
	appendStringInfoString(&json, "{\"why\": ");
	escape_json(&json, why);
	appendStringInfoChar(&json, '}');
	event_write(migration_id, "fence lifted", json.data);
}

void
watch_options_changed(int64 migration_id)
{
	Migration  *mig = migration_by_id(migration_id);
	DriftOptions o = drift_options(mig);

	if (o.duty == 0 || o.reaction != DRIFT_FENCE)
		watch_lift_fence(migration_id, "mig_set");
}

/* Refuse writes through the new version of all tables. */
static void
put_up_fence(const Unit *u)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, u->tables)
		relids = lappend_oid(relids, ((Step *) lfirst(lc))->relid);
	if (fence_put(u->mig->id, u->mig->name, relids))
		event_write(u->mig->id, "fenced", NULL);
}

/* Rows were found that were not known to diverge: tell, and react. */
static void
raise_alarm(const Unit *u, const Step *s, const DriftNews *news)
{
	event_write(u->mig->id, "drift", news->detail);
	(void) admin_queryp("SELECT pg_notify('mig_control', $1)", P_text(news->payload));
	if (u->options.reaction == DRIFT_FENCE)
		put_up_fence(u);
	else if (u->options.reaction == DRIFT_PAUSE)
	{
		migration_set_pause(u->mig->id, true, psprintf("drift: " INT64_FORMAT " %s of %s %s between the versions; mig.drift shows them; correct them with mig_repair, then call mig_resume",
													   news->known, news->known == 1 ? "row" : "rows", s->relation, news->known == 1 ? "differs" : "differ"), NULL);
		event_write(u->mig->id, "paused", "{\"reason\": \"drift\"}");
	}
}

/* Keep what was found in a leaf, by a pass or (pass: NULL) by a sweep, which then leaves evidence of its own. */
static void
take_findings(const Unit *u, const Step *s, const Pass *pass, Oid leaf, const Findings *found)
{
	const Pass *evidence = pass;
	DriftNews	news;

	if (found->divergent + found->missing == 0)
		return;
	if (evidence == NULL)
	{
		evidence = pass_open(u->mig, s->relid, s->relation, PASS_WATCH, SWEEP_STEP);
		pass_add(evidence, found, 1);
		pass_close(evidence->id);
	}
	news = drift_found(u->mig, evidence, leaf, found);
	if (news.rows > 0)
		raise_alarm(u, s, &news);
}

/* A leaf without sync triggers that fire: nothing in it can be relied on. A divergence without rows. */
static Findings
without_trigger(Relation leaf)
{
	Findings	found = {.divergent = 1,.nsamples = 1,.samples = "{\"key\": {}, \"column\": \"\", \"kind\": \"no trigger\"}"};

	return found;
}

/* ---- one leaf ---------------------------------------------------------------------------------------------------------------- */

/* What came of the part of a leaf that a unit has got through */
typedef enum LeafState
{
	LEAF_DONE,
	LEAF_MORE,					/* the unit's time is over */
	LEAF_LOCKED					/* by somebody else */
} LeafState;

/* The relations of a table may change while it is watched: does this one still belong to it? */
static bool
is_leaf(const Step *s, Oid leaf)
{
	return list_member_oid(leaves_of(s->relid), leaf);
}

/* A pass through an open leaf, from *block on: ranges as long as there is time. */
static LeafState
pass_leaf(const Unit *u, const Step *s, const Pass *pass, Relation leaf, int64 *block, Findings *sum, int64 *ranges)
{
	int64		end = RelationGetNumberOfBlocks(leaf);

	while (*block < end)
	{
		BlockRun	run = {*block, Min(*block + pass_pages, end)};
		double		before = worked_ms(u);
		double		took;
		Findings	found;

		if (is_over(u))
			return LEAF_MORE;
		found = verify_blocks(s, leaf, &run, 1, InvalidTransactionId);
		findings_add(sum, &found);
		take_findings(u, s, pass, RelationGetRelid(leaf), &found);
		(*ranges)++;
		*block = run.end;
		took = worked_ms(u) - before;
		/* half of it, so that a unit is seldom much longer; from one measured range to the next at most twice as many */
		if (run.end < end || took > UNIT_MS)
			pass_pages = (int) Max(Min(pass_pages * Min(UNIT_MS / 2 / Max(took, 0.1), 2.0), MOST_PAGES), 1);
	}
	return LEAF_DONE;
}

/* A sweep through an open leaf, from its place on. */
static LeafState
sweep_leaf(const Unit *u, const Step *s, Relation leaf)
{
	Watch	   *w = u->w;
	int64		end = RelationGetNumberOfBlocks(leaf);
	BlockRun   *runs = palloc(sizeof(BlockRun) * SWEEP_BLOCKS);

	while (w->sweep.block < end)
	{
		Findings	found;
		int			n;

		if (is_over(u))
			return LEAF_MORE;
		n = recent_blocks(leaf, &w->sweep.block, end, (XLogRecPtr) w->since_lsn, runs, SWEEP_BLOCKS);
		if (n == 0)
			continue;
		found = verify_blocks(s, leaf, runs, n, (TransactionId) w->since_xid);
		take_findings(u, s, NULL, RelationGetRelid(leaf), &found);
	}
	pfree(runs);
	return LEAF_DONE;
}

/* A leaf, from a place on, by a pass or (pass: NULL) a sweep. */
static LeafState
go_through(const Unit *u, const Step *s, const Pass *pass, Oid relid, int64 *block, Findings *sum, int64 *ranges)
{
	bool		gone;
	Relation	leaf = leaf_open(relid, AccessShareLock, &gone);
	LeafState	state = LEAF_DONE;

	if (leaf == NULL)
		return gone ? LEAF_DONE : LEAF_LOCKED;
	if (relation_has_sync(leaf))
		state = pass ? pass_leaf(u, s, pass, leaf, block, sum, ranges) : sweep_leaf(u, s, leaf);
	if (state == LEAF_DONE && !relation_sync_fires(leaf) && RelationGetNumberOfBlocks(leaf) > 0 && is_leaf(s, relid))
	{
		Findings	found = without_trigger(leaf);

		findings_add(sum, &found);
		take_findings(u, s, pass, relid, &found);
	}
	table_close(leaf, NoLock);
	return state;
}

/* ---- passes ------------------------------------------------------------------------------------------------------------------ */

/* A new epoch has begun: what passes have seen so far proves nothing. A cycle begins. */
static void
begin_again(Unit *u)
{
	ListCell   *lc;

	u->w->cycle_table = ((Step *) linitial(u->tables))->relid;

	foreach(lc, u->tables)
		pass_drop_open(u->mig->id, ((Step *) lfirst(lc))->relid, PASS_WATCH);
}

/* Take the fence down when clean passes have shown that there is no need for it. */
static void
lift_fence_if_served(const Unit *u)
{
	if (fence_has_served(u->mig->id))
		watch_lift_fence(u->mig->id, "a clean check of all rows");
}

/* The pass of a table has come to its end; nothing may have got past the triggers meanwhile. */
static void
end_pass(Unit *u, const Step *s, const Pass *pass)
{
	Step	   *next;

	if (seal_check(u->mig))
	{
		begin_again(u);
		return;
	}
	drift_pass_ends(u->mig, pass);
	lift_fence_if_served(u);
	next = table_at(u, s->relid, true);
	u->w->cycle_table = next ? next->relid : InvalidOid;
}

/* Go on with the pass that is under way, or begin a cycle. Returns ms to wait at least. */
static double
pass_on(Unit *u)
{
	Step	   *s = table_at(u, u->w->cycle_table, false);
	Findings	sum = {0};
	int64		ranges = 0;
	LeafState	state = LEAF_DONE;
	Pass	   *pass;
	ListCell   *lc;

	if (!OidIsValid(u->w->cycle_table) || s == NULL)
	{
		watch_cycle_begins(u->w);
		if (seal_check(u->mig))
			begin_again(u);
		s = linitial(u->tables);
		u->w->cycle_table = s->relid;
	}
	pass = pass_open(u->mig, s->relid, s->relation, PASS_WATCH, 0);
	foreach(lc, leaves_of_table(s))
	{
		if (lfirst_oid(lc) < pass->leaf)
			continue;
		if (lfirst_oid(lc) > pass->leaf)
			pass->next_block = 0;
		pass->leaf = lfirst_oid(lc);
		state = is_over(u) ? LEAF_MORE : go_through(u, s, pass, pass->leaf, &pass->next_block, &sum, &ranges);
		if (state != LEAF_DONE)
			break;
	}
	pass_add(pass, &sum, ranges);
	if (state == LEAF_DONE)
		end_pass(u, s, pass);
	return state == LEAF_LOCKED ? LOCKED_MS : 0;
}

/* ---- sweeps ------------------------------------------------------------------------------------------------------------------ */

/* A transaction id of now as one of 64 bits. */
static uint64
full_xid(TransactionId xid, FullTransactionId next)
{
	uint64		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return epoch << 32 | xid;
}

/* Begin a sweep. */
static void
begin_sweep(Unit *u)
{
	XLogRecPtr	lsn = GetXLogInsertRecPtr();	/* first: whatever a later transaction writes lies behind it */
	FullTransactionId next = ReadNextFullTransactionId();

	watch_sweep_begins(u->w, lsn, U64FromFullTransactionId(next), full_xid(GetLatestSnapshot()->xmin, next));
	if (seal_check(u->mig))
		begin_again(u);
	lift_fence_if_served(u);
	/* of the first one nothing is known: a pass goes over everything */
	u->w->sweep.table = u->w->since_xid == 0 ? InvalidOid : ((Step *) linitial(u->tables))->relid;
	u->w->sweep.leaf = InvalidOid;
	u->w->sweep.block = 0;
}

/* A sweep's place becomes the next leaf of its table, or the next table. A leaf that is locked is left to the passes. */
static void
sweep_table(Unit *u)
{
	SweepPlace *place = &u->w->sweep;
	Step	   *s = table_at(u, place->table, false);
	Findings	unused = {0};
	int64		none = 0;
	ListCell   *lc;

	foreach(lc, s ? leaves_of_table(s) : NIL)
	{
		if (lfirst_oid(lc) < place->leaf)
			continue;
		if (lfirst_oid(lc) > place->leaf)
			place->block = 0;
		place->leaf = lfirst_oid(lc);
		if (is_over(u) || go_through(u, s, NULL, place->leaf, NULL, &unused, &none) == LEAF_MORE)
			return;
	}
	s = s ? table_at(u, s->relid, true) : NULL;
	place->table = s ? s->relid : InvalidOid;
	place->leaf = InvalidOid;
	place->block = 0;
}

/* Go on with the sweep that is under way, or begin one. */
static void
sweep_on(Unit *u)
{
	double		worked = u->w->sweep_worked;

	if (!OidIsValid(u->w->sweep.table))
	{
		begin_sweep(u);
		worked = 0;
	}
	while (OidIsValid(u->w->sweep.table) && !is_over(u))
		sweep_table(u);
	u->w->sweep_worked = worked + worked_ms(u);
}

/* ---- units ------------------------------------------------------------------------------------------------------------------- */

/* In how many ms something is due that began so long ago and is to begin each `every` ms. After the clock was set back: at once. */
static double
due_in(double age, double every)
{
	return age < 0 ? 0 : every - age;
}

/* In how many ms a sweep is due, or the rest of one. */
static double
sweep_due(const Unit *u)
{
	if (OidIsValid(u->w->sweep.table))
		return 0;
	return due_in(u->w->sweep_age, Max(SWEEP_WORK_MS, u->w->sweep_worked / SWEEP_SHARE) / u->options.duty);
}

/* Likewise a pass. */
static double
pass_due(const Unit *u)
{
	if (OidIsValid(u->w->cycle_table))
		return 0;
	return due_in(u->w->cycle_age, CYCLE_WORK_MS / u->options.duty);
}

/* Do what is due; returns in how many ms more is. */
static double
work(Unit *u)
{
	double		least = 0;

	if (sweep_due(u) <= 0)
		sweep_on(u);
	else if (pass_due(u) <= 0)
		least = pass_on(u);
	else
		return Min(sweep_due(u), pass_due(u));
	u->w->failure = NULL;
	u->w->rest = Max(Min(worked_ms(u) * (1 / u->options.duty - 1), LONGEST_REST_MS), least);
	watch_put(u->w);
	return Max(u->w->rest, Min(sweep_due(u), pass_due(u)));
}

double
watch_unit(const Migration *mig)
{
	Unit		u = {.mig = mig,.options = drift_options(mig)};

	begin_work(&u);
	if (u.options.duty <= 0)
		return -1;
	u.tables = tables_of(mig);
	if (u.tables == NIL)
		return -1;
	u.w = watch_claim(mig->id);
	if (u.w == NULL)
		return BUSY_MS;
	if (u.w->rest > 0 && u.w->rest <= LONGEST_REST_MS)
		return u.w->rest;
	return work(&u);
}

double
watch_failed(const Migration *mig, const ErrorData *error)
{
	Watch	   *w = watch_claim(mig->id);
	StringInfoData json;

	if (w == NULL)
		return BUSY_MS;
	if (w->failure == NULL || strcmp(w->failure, error->message) != 0)
	{
		initStringInfo(&json);
		appendStringInfo(&json, "{\"sqlstate\": \"%s\", \"error\": ", unpack_sql_state(error->sqlerrcode));
		escape_json(&json, error->message);
		appendStringInfoChar(&json, '}');
		event_write(mig->id, "watch failed", json.data);
	}
	w->failure = error->message;
	w->rest = FAILED_MS;
	watch_put(w);
	return FAILED_MS;
}
