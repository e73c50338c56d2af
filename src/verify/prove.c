/*
 * prove.c
 *		Before a version that was in use is rolled back: does the old side hold every write?
 *
 * What new clients wrote last has to be in the old column as `down` makes it; what old clients wrote last is what it is. Where writes may have got past the triggers the state does
 * not tell who was last, and both sides have to agree (verify.c: would_be_lost()).
 *
 * A clean pass of the present epoch has seen all rows that were committed when it began, so only pages written since have to be read again. A page that is all-visible is one of
 * them only if its page of the visibility map was written since, too: whatever writes a page takes its bit away, and setting it leaves an LSN there.
 */
#include "base/compat.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/rel.h"

#include "backfill/leaves.h"
#include "base/sql.h"
#include "store/pass.h"
#include "store/transform.h"
#include "verify/prove.h"
#include "verify/recent.h"
#include "verify/seal.h"
#include "verify/verify.h"

#define RUNS_AT_ONCE 256		/* blocks that were written, read under one snapshot */
#define PAGES_AT_ONCE 16384		/* the same of a whole table */

/* The table that is looked at */
typedef struct Proof
{
	const Migration *mig;
	const Step *check;
	uint64		since;			/* 0: the whole of it has to be read */
	uint64		suspect;
	int64		pages;			/* read */
	Findings	found;
	StringInfoData samples;
} Proof;

/* Check some blocks of a leaf. */
static void
prove_runs(Proof *p, Relation leaf, const BlockRun *runs, int n)
{
	Findings	found = verify_old_side(p->check, leaf, runs, n, p->suspect);

	for (int i = 0; i < n; i++)
		p->pages += runs[i].end - runs[i].first;
	if (found.samples && p->found.nsamples < VERIFY_SAMPLES)
		appendStringInfo(&p->samples, "%s%s", p->samples.len ? ", " : "", found.samples);
	findings_add(&p->found, &found);
}

/* Check a leaf. */
static void
prove_leaf(Proof *p, Relation leaf)
{
	BlockRun	runs[RUNS_AT_ONCE];
	int64		end = RelationGetNumberOfBlocks(leaf);
	int64		next = 0;

	if (!relation_has_sync(leaf))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("it cannot be told whether the old version holds every write of migration \"%s\"", p->mig->name),
				 errdetail("Table %s has lost its sync trigger.", sql_relation_name(RelationGetRelid(leaf))),
				 errhint("mig_rollback('%s', force => true) rolls back all the same.", p->mig->name)));
	while (next < end)
	{
		int			n = 1;

		CHECK_FOR_INTERRUPTS();
		if (p->since && RelationNeedsWAL(leaf) && leaf->rd_tableam == GetHeapamTableAmRoutine())
			n = changed_blocks(leaf, &next, end, p->since, runs, RUNS_AT_ONCE);
		else
		{
			runs[0].first = next;
			next = runs[0].end = Min(next + PAGES_AT_ONCE, end);
		}
		if (n > 0)
			prove_runs(p, leaf, runs, n);
	}
}

/* Check a table; no lock on it is kept. */
static void
prove_table(Proof *p)
{
	Pass	   *clean = pass_last_clean(p->mig, p->check->relid);
	Pass	   *pass;
	ListCell   *lc;

	p->since = clean ? pass_seen_lsn(clean->id) : 0;
	p->suspect = epoch_suspect_xid(p->mig->id, p->check->relid);
	initStringInfo(&p->samples);
	pass = pass_open(p->mig, p->check->relid, p->check->relation, PASS_ROLLBACK, 0);
	foreach(lc, leaves_of(p->check->relid))
	{
		Relation	leaf = try_table_open(lfirst_oid(lc), AccessShareLock);

		if (leaf == NULL)
			continue;
		prove_leaf(p, leaf);
		table_close(leaf, AccessShareLock);
	}
	pass_add(pass, &p->found, 1);
	pass_close(pass->id);
}

/* Some of the rows, for a caller who may read the table: whoever may roll back need not. */
static char *
lost_rows(const Proof *p)
{
	char	   *rows = sql_textp("SELECT string_agg(format('%s of %s', s ->> 'column', s ->> 'key'), ', ') FROM (SELECT s FROM jsonb_array_elements($1) s ORDER BY s -> 'key', s ->> 'column' LIMIT 10) x WHERE has_table_privilege($2, 'SELECT')",
								 P_jsonb(psprintf("[%s]", p->samples.data)), P_oid(p->check->relid));

	return rows ? psprintf(": %s", rows) : "";
}

/* Raise: rows of the table would lose what the new version wrote. */
static void
raise_lost(const Proof *p)
{
	int64		n = p->found.divergent + p->found.missing;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rolling migration \"%s\" back would lose writes of its version", p->mig->name),
			 errdetail("In " INT64_FORMAT " %s of %s the old version does not hold them%s.", n, n == 1 ? "row" : "rows", p->check->relation, lost_rows(p)),
			 errhint("mig_repair('%s') corrects rows, and with keep => 'old' or 'new' those written past the triggers; mig_rollback('%s', force => true) gives up what the old version lacks.",
					 p->mig->name, p->mig->name)));
}

/* What was shown of a table, as a member of the event. */
static void
append_proof(StringInfo json, const Proof *p)
{
	appendStringInfo(json, "%s{\"relation\": ", json->len > 1 ? ", " : "");
	escape_json(json, p->check->relation);
	appendStringInfo(json, ", \"checked\": " INT64_FORMAT ", \"pages\": " INT64_FORMAT ", \"whole\": %s}", p->found.checked, p->pages, p->since ? "false" : "true");
}

void
prove_old_side(const Migration *mig)
{
	StringInfoData json;
	instr_time	began;
	instr_time	took;
	ListCell   *lc;

	INSTR_TIME_SET_CURRENT(began);
	(void) seal_check(mig);
	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach(lc, steps_of_phase(mig->id, STEP_CHECK))
	{
		Proof		p = {.mig = mig,.check = lfirst(lc)};

		if (p.check->kind != STEP_VALIDATE)
			continue;
		prove_table(&p);
		if (p.found.divergent + p.found.missing > 0)
			raise_lost(&p);
		append_proof(&json, &p);
	}
	if (seal_check(mig))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("writes may have got past the sync triggers of migration \"%s\" while it was checked", mig->name),
				 errhint("Call mig_rollback again.")));
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, began);
	event_write(mig->id, "proved", psprintf("{\"tables\": %s], \"ms\": %.1f}", json.data, INSTR_TIME_GET_MILLISEC(took)));
}
