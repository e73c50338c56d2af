/*
 * lint.c
 *		Looks at the rows before anything is started: which would break the new version's rules, unique keys and foreign keys.
 *
 * Owns no state, changes nothing. Tables above LINT_PAGES are sampled, so that a plan takes seconds at any size.
 */
#include "base/compat.h"

#include "access/table.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "compile/contract.h"
#include "compile/foreign_key.h"
#include "verify/lint.h"
#include "verify/verify.h"

#define LINT_PAGES 10000		/* 80 MB */

/* One question about a table's rows, and its answer */
typedef struct Question
{
	const MigPlan *plan;
	const Table *table;
	const char *keys_sql;		/* FROM and the rest, after "SELECT … AS k": what it names are rows that are wrong */
	const char *key_sql;		/* jsonb of a row's key; NULL: the table's own */
	char	   *keys;			/* of some of them */
	bool		sampled;
} Question;

/* What present rows will have in a column. */
static char *
value_sql(const Table *t, const Column *c)
{
	return psprintf("(%s)", expr_text(c->value, t->physical));
}

/* Does a table have so many pages that only some are looked at? */
static bool
is_sampled(const Table *t, double *pages)
{
	*pages = verify_table_pages(t->relid);
	return *pages > LINT_PAGES;
}

/* "t AS t", or a sample of it. */
static char *
from_sql(const Table *t)
{
	double		pages;
	bool		sampled = is_sampled(t, &pages);

	return psprintf("%s AS t%s", sql_qualified(t->schema, t->name), sampled ? psprintf(" TABLESAMPLE SYSTEM (%f)", 100.0 * LINT_PAGES / pages) : "");
}

/* Ask. */
static void
ask(void *arg)
{
	Question   *q = arg;
	Relation	rel = table_open(q->table->relid, AccessShareLock);
	double		pages;
	Identity	saved;

	q->sampled = is_sampled(q->table, &pages);
	owner_begin(&saved, rel->rd_rel->relowner, true);
	settings_apply(q->plan->settings);
	setting_set("row_security", "off");
	q->keys = sql_text(psprintf("SELECT pg_catalog.string_agg(k::pg_catalog.text, ', ') FROM (SELECT %s AS k FROM %s LIMIT 3) x",
								q->key_sql ? q->key_sql : verify_key_sql(rel), q->keys_sql));
	identity_end(&saved);
	table_close(rel, NoLock);
}

/* Ask, and note the answer on a step: `what` tells what is wrong with the rows. */
static void
note_answer(Question *q, Step *s, const char *what)
{
	ErrorData  *error;
	char	   *answer = NULL;

	if (!txn_try(ask, q, &error))
		answer = psprintf("rows that are there now cannot be looked at: %s", error->message);
	else if (q->keys)
		answer = psprintf("rows%s %s, for example %s", q->sampled ? " of a sample" : "", what, q->keys);
	if (answer)
		s->note = s->note ? psprintf("%s; WARNING: %s", s->note, answer) : psprintf("WARNING: %s", answer);
}

/* The step whose SQL has this text in it, and on this table. */
static Step *
step_of(const MigPlan *plan, const Table *t, const char *sql)
{
	ListCell   *lc;

	foreach(lc, plan->steps)
	{
		Step	   *s = lfirst(lc);

		if (s->relid == t->relid && strstr(s->sql, sql))
			return s;
	}
	return NULL;
}

/* A NOT NULL or CHECK: asked about on the step that makes it hold for everybody. */
static void
lint_rule(const MigPlan *plan, const Table *t, const Rule *r)
{
	Question	q = {.plan = plan,.table = t};
	Step	   *s = step_of(plan, t, fence_sql(t, r));

	if (s == NULL || r->now_sql == NULL)
		return;
	q.keys_sql = psprintf("%s WHERE NOT (%s)", from_sql(t), r->now_sql);
	note_answer(&q, s, "break it now (correct them before mig_complete)");
}

/* The plain columns of a new unique index or key; NIL if it has something else. */
static List *
unique_columns(const NewIndex *n)
{
	List	   *columns = NIL;
	ListCell   *lc;

	if (n->index == NULL || !n->index->unique || n->index->whereClause)
		return NIL;
	foreach(lc, n->index->indexParams)
	{
		const char *name = lfirst_node(IndexElem, lc)->name;
		ListCell   *sc;

		if (name == NULL)
			return NIL;
		foreach(sc, n->shape)
		{
			SnapshotColumn *c = lfirst(sc);

			if (strcmp(c->name, name) == 0 && !expr_is_volatile(c->column->value))
				columns = lappend(columns, c->column);
		}
	}
	return list_length(columns) == list_length(n->index->indexParams) ? columns : NIL;
}

/* A new unique index: which values collide? */
static void
lint_unique(const MigPlan *plan, const Table *t, const NewIndex *n)
{
	Question	q = {.plan = plan,.table = t};
	List	   *columns = unique_columns(n);
	Step	   *s = columns ? step_of(plan, t, n->sql) : NULL;
	StringInfoData key;
	StringInfoData values;
	StringInfoData nulls;
	ListCell   *lc;

	if (s == NULL)
		return;
	initStringInfo(&key);
	initStringInfo(&values);
	initStringInfo(&nulls);
	foreach(lc, columns)
	{
		const Column *c = lfirst(lc);
		const char *value = value_sql(t, c);

		appendStringInfo(&key, "%s%s, %s", key.len ? ", " : "", quote_literal_cstr(c->name), value);
		appendStringInfo(&values, "%s%s", values.len ? ", " : "", value);
		appendStringInfo(&nulls, "%s%s IS NOT NULL", nulls.len ? " AND " : "", value);
	}
	q.key_sql = psprintf("pg_catalog.jsonb_build_object(%s)", key.data);
	q.keys_sql = psprintf("%s%s GROUP BY %s HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1 ORDER BY %s", from_sql(t),
						  n->index->nulls_not_distinct ? "" : psprintf(" WHERE %s", nulls.data), values.data, values.data);
	note_answer(&q, s, "have the same values");
}

/* Can a foreign key be asked about: are its referenced columns there as they will be? */
static bool
is_askable(const ForeignKey *f)
{
	ListCell   *lc;

	if (f->op == NULL || f->lookup == NULL || !f->valid || !OidIsValid(f->table->relid) || !OidIsValid(f->referenced->relid))
		return false;
	foreach(lc, f->columns)
		if (expr_is_volatile(((Column *) lfirst(lc))->value))
			return false;
	foreach(lc, f->referenced_columns)
		if (((Column *) lfirst(lc))->second)
			return false;
	return true;
}

/* A new foreign key: which rows have no match? */
static void
lint_foreign_key(const MigPlan *plan, const ForeignKey *f)
{
	Question	q = {.plan = plan,.table = f->table};
	Step	   *s = is_askable(f) ? step_of(plan, f->table, foreign_key_sql(f)) : NULL;
	Relation	rel;
	StringInfoData values;
	StringInfoData nulls;
	ListCell   *lc;

	if (s == NULL)
		return;
	initStringInfo(&values);
	initStringInfo(&nulls);
	foreach(lc, f->columns)
	{
		int			n = foreach_current_index(lc) + 1;

		appendStringInfo(&values, ", %s AS c%d", value_sql(f->table, lfirst(lc)), n);
		appendStringInfo(&nulls, "q.c%d IS NOT NULL AND ", n);
	}
	rel = table_open(f->table->relid, AccessShareLock);
	q.key_sql = "q.key";
	q.keys_sql = psprintf("(SELECT %s AS key%s FROM %s) q WHERE %sNOT EXISTS (SELECT FROM %s AS x WHERE %s)", verify_key_sql(rel), values.data,
						  from_sql(f->table), nulls.data, sql_qualified(f->referenced->schema, f->referenced->name), foreign_key_condition(f, "q.c"));
	table_close(rel, NoLock);
	note_answer(&q, s, "refer to nothing");
}

void
lint_plan(MigPlan *plan)
{
	ListCell   *lc;
	ListCell   *rc;

	foreach(lc, plan->tables)
	{
		const Table *t = lfirst(lc);

		if (t->dropped)
			continue;
		foreach(rc, t->rules)
			lint_rule(plan, t, lfirst(rc));
		foreach(rc, t->new_indexes)
			lint_unique(plan, t, lfirst(rc));
	}
	foreach(lc, plan->foreign_keys)
		lint_foreign_key(plan, lfirst(lc));
}
