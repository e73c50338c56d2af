/*
 * lint.c
 *		Looks at the rows before anything is started: which would break the new version's rules.
 *
 * Owns no state, changes nothing. Tables above LINT_PAGES are sampled, so that a plan takes seconds at any size.
 */
#include "base/compat.h"

#include "access/table.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "compile/contract.h"
#include "verify/lint.h"
#include "verify/verify.h"

#define LINT_PAGES 10000		/* 80 MB */

/* One question about a table's rows, and its answer */
typedef struct Question
{
	const MigPlan *plan;
	const Table *table;
	const char *condition;		/* what no row should break */
	char	   *keys;			/* of some that do */
	bool		sampled;
} Question;

/* Ask. */
static void
ask(void *arg)
{
	Question   *q = arg;
	Relation	rel = table_open(q->table->relid, AccessShareLock);
	double		pages = RelationGetNumberOfBlocks(rel);
	Identity	saved;

	q->sampled = pages > LINT_PAGES;
	owner_begin(&saved, rel->rd_rel->relowner, true);
	settings_apply(q->plan->settings);
	setting_set("row_security", "off");
	q->keys = sql_text(psprintf("SELECT pg_catalog.string_agg(k::pg_catalog.text, ', ') FROM (SELECT %s AS k FROM ONLY %s AS t%s WHERE NOT (%s) LIMIT 3) x",
								verify_key_sql(rel), sql_relation_name(q->table->relid),
								q->sampled ? psprintf(" TABLESAMPLE SYSTEM (%f)", 100.0 * LINT_PAGES / pages) : "", q->condition));
	identity_end(&saved);
	table_close(rel, NoLock);
}

/* The step that runs this SQL. */
static Step *
step_of(const MigPlan *plan, const char *sql)
{
	ListCell   *lc;

	foreach(lc, plan->steps)
		if (strcmp(((Step *) lfirst(lc))->sql, sql) == 0)
			return lfirst(lc);
	return NULL;
}

/* Ask about one rule, and note the answer on the step that makes it hold for everybody. */
static void
lint_rule(const MigPlan *plan, const Table *t, const Rule *r)
{
	Question	q = {.plan = plan,.table = t,.condition = r->now_sql};
	Step	   *s = step_of(plan, fence_sql(t, r));
	ErrorData  *error;
	char	   *answer = NULL;

	if (s == NULL)
		return;
	if (!txn_try(ask, &q, &error))
		answer = psprintf("rows that are there now cannot be looked at: %s", error->message);
	else if (q.keys)
		answer = psprintf("rows%s break it now, for example %s: correct them before mig_complete", q.sampled ? " of a sample" : "", q.keys);
	if (answer)
		s->note = s->note ? psprintf("%s; WARNING: %s", s->note, answer) : answer;
}

void
lint_plan(MigPlan *plan)
{
	ListCell   *lc;
	ListCell   *rc;

	foreach(lc, plan->tables)
		foreach(rc, ((Table *) lfirst(lc))->rules)
			if (((Rule *) lfirst(rc))->now_sql)
				lint_rule(plan, lfirst(lc), lfirst(rc));
}
