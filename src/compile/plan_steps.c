/*
 * plan_steps.c
 *		Derives the steps of a migration from the finished shapes.
 *
 * Owns no state. The order of steps:
 *	 expand		(one transaction) version schema, statements that no client sees yet, views of other tables; hidden columns, sync trigger; closed views
 *	 backfill	per table: fill, vacuum and analyse, indexes one by one; then foreign keys one by one
 *	 validate	per table: the divergence check
 *	 ready		(one transaction) the version's views opened
 *	 contract	fence (one transaction), VALIDATE one by one, swap (one transaction)
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/sql.h"
#include "compile/contract.h"
#include "compile/dependent.h"
#include "compile/foreign_key.h"
#include "compile/index.h"
#include "compile/plan_notes.h"
#include "compile/plan_steps.h"
#include "compile/sequence.h"
#include "compile/view.h"
#include "store/transform.h"

Step *
add_step(Builder *b, StepPhase phase, StepKind kind, const Table *t, LOCKMODE lock, char *sql, char *undo)
{
	Step	   *s = palloc0(sizeof(Step));

	s->no = list_length(b->plan->steps) + 1;
	s->phase = phase;
	s->kind = kind;
	s->group = b->group;
	s->relation = t ? sql_qualified(t->schema, t->name) : NULL;
	s->relid = t ? t->relid : InvalidOid;
	s->lock = lock;
	s->sql = sql;
	s->undo = undo;
	b->plan->steps = lappend(b->plan->steps, s);
	return s;
}

/* Append a step in a group of its own. */
static Step *
add_single(Builder *b, StepPhase phase, StepKind kind, const Table *t, LOCKMODE lock, char *sql, char *undo)
{
	b->group++;
	return add_step(b, phase, kind, t, lock, sql, undo);
}

/* ---- backfill, validate, ready ---- */

/* Has the table a pair that existing rows need a value for? */
static bool
needs_fill(const Table *t)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->second && !c->dropped && c->fill)
			return true;
	}
	return false;
}

/* Indexes, and foreign keys of the replaced columns. */
static void
plan_copies(Builder *b, const Table *t, List *indexes)
{
	ListCell   *lc;

	foreach(lc, indexes)
	{
		IndexBuild *build = lfirst(lc);
		Step	   *s;

		if (build->create_sql == NULL)
			continue;
		s = add_single(b, STEP_FILL, build->lock == NoLock ? STEP_CONCURRENTLY : STEP_SQL, t,
					   build->lock == NoLock ? ShareUpdateExclusiveLock : build->lock, build->create_sql, build->undo);
		s->note = build->note;
		if (OidIsValid(build->partition))
		{
			s->relid = build->partition;
			s->relation = sql_relation_name(build->partition);
		}
		if (build->constraint_sql == NULL)
			continue;
		s = add_single(b, STEP_FILL, STEP_SQL, t, AccessExclusiveLock, build->constraint_sql, build->constraint_undo);
		s->note = "deferrable from here on; while the index is being built it is not";
	}
}

/* ---- foreign keys ---- */

/* A lock that another step of the group needs on a second table: with a step of its own, it is taken in order with the others. */
static void
add_lock(Builder *b, StepPhase phase, const Table *t, LOCKMODE mode)
{
	if (OidIsValid(t->relid))	/* else the migration makes it */
		add_step(b, phase, STEP_SQL, t, mode, psprintf("LOCK TABLE %s IN %s MODE", sql_qualified(t->schema, t->name), step_lock_name(mode)),
				 NULL)->superuser = true;
}

/* What a foreign key says, in the user's words. */
static char *
foreign_key_text(const ForeignKey *f)
{
	return psprintf("foreign key %s of %s holds", f->name, f->table->new_name);
}

/* Add a foreign key, without a look at the rows, in the current group. */
static void
add_foreign_key(Builder *b, StepPhase phase, const ForeignKey *f)
{
	LOCKMODE	lock = foreign_key_defaults(f)[0] ? AccessExclusiveLock : ShareRowExclusiveLock;
	Step	   *s = add_step(b, phase, STEP_SQL, f->table, lock, foreign_key_sql(f),
							 psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", sql_qualified(f->table->schema, f->table->name), quote_identifier(f->hidden)));

	if (phase == STEP_CONTRACT)
		s->note = psprintf("fence: from here on it holds the writes of both versions (%s); no row is read", foreign_key_text(f));
	else
		s->note = psprintf("foreign key \"%s\": from here on it holds the writes of both versions", f->name);
	if (f->referenced->relid != f->table->relid)
		add_lock(b, phase, f->referenced, ShareRowExclusiveLock);
}

/* Prove it. */
static void
validate_foreign_key(Builder *b, StepPhase phase, const ForeignKey *f)
{
	if (f->valid)
		add_single(b, phase, STEP_SQL, f->table, ShareUpdateExclusiveLock,
				   psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", sql_qualified(f->table->schema, f->table->name), quote_identifier(f->hidden)), NULL)->note = foreign_key_text(f);
}

/* Those over hidden columns: when all tables are filled, and their unique indexes built. */
static void
fill_foreign_keys(Builder *b)
{
	ListCell   *lc;

	foreach(lc, b->plan->foreign_keys)
	{
		ForeignKey *f = lfirst(lc);

		if (f->trigger)
			continue;
		b->group++;
		add_foreign_key(b, STEP_FILL, f);
		validate_foreign_key(b, STEP_FILL, f);
	}
}

/* The triggers that hold new ones for the version that opens. The superuser makes them, since nobody else may execute mig.refers(). */
static void
open_foreign_keys(Builder *b)
{
	ListCell   *lc;

	foreach(lc, b->plan->foreign_keys)
	{
		ForeignKey *f = lfirst(lc);
		Step	   *s;

		if (f->trigger == NULL)
			continue;
		s = add_step(b, STEP_OPEN, STEP_SQL, f->table, ShareRowExclusiveLock, foreign_key_trigger_sql(f),
					 psprintf("DROP TRIGGER IF EXISTS %s ON %s", quote_identifier(f->trigger), sql_qualified(f->table->schema, f->table->name)));
		s->superuser = true;
		s->note = psprintf("from here on writes of the new version are held to: %s; those of the old version, and what they refer to, from the fence on", foreign_key_text(f));
	}
}

/* Foreign keys that are dropped or replaced go first: columns and keys that they need may go as well. With one go triggers of the referenced table. */
static void
drop_foreign_keys(Builder *b, List *going)
{
	ListCell   *lc;

	foreach(lc, going)
	{
		ForeignKey *f = foreign_key_present(b->plan, lfirst_oid(lc));

		add_step(b, STEP_CONTRACT, STEP_SQL, f->table, AccessExclusiveLock,
				 psprintf("ALTER TABLE %s DROP CONSTRAINT %s", sql_qualified(f->table->schema, f->table->name), quote_identifier(f->name)), NULL);
		if (!list_member_ptr(b->plan->tables, f->referenced))
			add_lock(b, STEP_CONTRACT, f->referenced, AccessExclusiveLock);
	}
}

/* All take their names, when all tables have theirs. */
static void
name_foreign_keys(Builder *b)
{
	ListCell   *lc;

	foreach(lc, b->plan->foreign_keys)
	{
		ForeignKey *f = lfirst(lc);

		if (foreign_key_finish_sql(f))
			add_step(b, STEP_CONTRACT, STEP_SQL, f->table, AccessExclusiveLock, foreign_key_finish_sql(f), NULL);
	}
}

/* Fill a table's pairs, and build what hangs on its new columns. */
static void
plan_fill(Builder *b, const Table *t, List *indexes)
{
	char	   *table = sql_qualified(t->schema, t->name);

	if (needs_fill(t))
	{
		Step	   *s = add_single(b, STEP_FILL, STEP_BACKFILL, t, RowExclusiveLock,
								   psprintf("UPDATE ONLY %s SET " STATE_COLUMN " = " STATE_COLUMN " WHERE " STATE_COLUMN " IS NULL", table), NULL);

		s->note = "by block ranges in lanes, a few pages a transaction; rows locked by others are visited again; the sync trigger fills the row";
		s = add_single(b, STEP_FILL, STEP_VACUUM, t, ShareUpdateExclusiveLock, psprintf("VACUUM (ANALYZE, TRUNCATE false) %s", table), NULL);
		s->note = "left out where it is locked by others or fails";
	}
	plan_copies(b, t, indexes);
}

/* The rules that are to be constraints, each as a column by its name: the check counts the rows that break one. */
static char *
rules_sql(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, t->rules)
	{
		const Rule *r = lfirst(lc);

		if (!r->filled && r->valid)
			appendStringInfo(&buf, "%s(%s) AS %s", buf.len ? ", " : "", r->sql, quote_identifier(r->column ? r->column->name : r->name));
	}
	return buf.len ? buf.data : "*";
}

/* Check that both versions of a table's pairs agree. */
static void
plan_check(Builder *b, const Table *t, StepPhase phase)
{
	Step	   *s;

	if (!shape_has_pairs(t))
		return;
	s = add_single(b, phase, STEP_VALIDATE, t, AccessShareLock, psprintf("SELECT %s FROM ONLY %s", rules_sql(t), sql_qualified(t->schema, t->name)), NULL);
	s->note = phase == STEP_CHECK ? "compares both versions of every row, one snapshot per block range; the version opens when none differs"
		: "the last check: the old columns go only when none differs";
}

/* Does a table's new version need the two levels? */
static bool
needs_inner(const Table *t)
{
	ListCell   *lc;

	foreach(lc, t->rules)
		if (!((Rule *) lfirst(lc))->filled)
			return true;
	foreach(lc, t->foreign_keys)
		if (((ForeignKey *) lfirst(lc))->trigger)
			return true;
	return shape_has_pairs(t);
}

/* The transaction that opens the version's views. */
static void
plan_open(Builder *b)
{
	MigPlan	   *p = b->plan;
	bool		opened = false;
	ListCell   *lc;

	b->group++;
	foreach(lc, p->tables)
	{
		Table	   *t = lfirst(lc);
		char	   *close;

		if (t->dropped)
			continue;
		opened = true;
		/* replaced, not dropped: a view of the user's may stand on it */
		close = view_closed_again_sql(p->version_schema, t, psprintf("version \"%s\" was rolled back", p->version_schema),
									  psprintf("Use schema \"%s\".", p->before));
		if (needs_inner(t))
			add_step(b, STEP_OPEN, STEP_SQL, t, AccessShareLock,
					 psprintf("%s%s", view_inner_sql(p->inner_schema, t), view_open_sql(p->version_schema, p->inner_schema, t)),
					 psprintf("%sDROP VIEW IF EXISTS %s", close, sql_qualified(p->inner_schema, t->new_name)))->note = note_rules(t);
		else
			add_step(b, STEP_OPEN, STEP_SQL, t, AccessShareLock, view_direct_sql(p->version_schema, t, true), close);
	}
	open_foreign_keys(b);
	if (!opened)
		add_step(b, STEP_OPEN, STEP_SQL, NULL, NoLock, "", NULL)->note = "the version is complete: no table of it was closed";
}

/* ---- the whole ---- */

/* The tables that go, in one statement: they may refer to one another. */
static void
drop_tables(Builder *b)
{
	StringInfoData names;
	Step	   *s = NULL;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, b->plan->tables)
	{
		Table	   *t = lfirst(lc);
		const char *table = sql_qualified(t->schema, t->name);

		if (!t->dropped)
			continue;
		s = add_step(b, STEP_CONTRACT, STEP_SQL, t, AccessExclusiveLock, psprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", table), NULL);
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", table);
	}
	if (s)
		add_step(b, STEP_CONTRACT, STEP_SQL, NULL, NoLock, psprintf("DROP TABLE %s", names.data), NULL);
}

/* Statements at the end may have made or changed tables. */
static void
plain_views_again(Builder *b)
{
	add_step(b, STEP_CONTRACT, STEP_SQL, NULL, NoLock,
			 psprintf("SELECT mig.make_views(%s, %s, '{}')", quote_literal_cstr(b->plan->schema), quote_literal_cstr(b->plan->version_schema)), NULL);
}

/* In the swap: sequences of columns with a hidden one follow to it, identities become identities again. */
static void
swap_sequences(Builder *b, const Table *t)
{
	ListCell   *lc;
	ListCell   *sc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (!c->second || c->dropped)
			continue;
		foreach(sc, c->att != 0 ? c->sequences : NIL)
		{
			char	   *sequence = lfirst(sc);
			char	   *sql = sequence_alter_sql(t, c, sequence);
			Step	   *s;

			if (sql == NULL)
				continue;
			s = add_step(b, STEP_CONTRACT, STEP_SQL, NULL, ShareRowExclusiveLock, sql, NULL);
			s->relation = sequence;
			s->relid = sql_oid(sql_textp("SELECT $1::regclass::oid", P_text(sequence)));
		}
		if (c->identity)
			add_step(b, STEP_CONTRACT, STEP_SQL, t, AccessExclusiveLock, sequence_identity_sql(t, c), NULL)->superuser = true;
	}
}

/* Present constraints that an operation validates; those of replaced columns are made valid. */
static void
validate_constraints(Builder *b, const Table *t)
{
	ListCell   *lc;

	foreach(lc, t->constraints)
	{
		Constr	   *k = lfirst(lc);

		if (k->validate && !k->dropped && !t->dropped && !bms_overlap(k->columns, shape_changed_atts(t)))
			add_single(b, STEP_CONTRACT, STEP_SQL, t, ShareUpdateExclusiveLock,
					   psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", sql_qualified(t->schema, t->name), quote_identifier(k->name)), NULL);
	}
}

/* Second columns that have followed generated ones become generated themselves. */
static void
swap_generated(Builder *b, const Table *t)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->follows && !c->dropped)
			add_step(b, STEP_CONTRACT, STEP_SQL, t, AccessExclusiveLock,
					 psprintf("SELECT mig.make_generated(%s, '%s', %s)", quote_literal_cstr(sql_qualified(t->schema, t->name)), c->hidden,
							  quote_literal_cstr(shape_generated_sql(t, c))), NULL)->superuser = true;
	}
}

/* The swap of one table. */
static void
swap_table(Builder *b, const Table *t, List *indexes)
{
	char	   *dependents = dependents_note(t);
	Step	   *s;

	swap_sequences(b, t);
	swap_generated(b, t);
	s = add_step(b, STEP_CONTRACT, STEP_SQL, t, AccessExclusiveLock, swap_sql(b->plan, t, needs_inner(t), indexes), NULL);
	s->note = note_dropped(t);
	if (dependents)
		s->note = psprintf("makes again over the new columns: %s%s%s", dependents, s->note ? "; " : "", s->note ? s->note : "");
}

/* The fence: what only the new version was held to until now. */
static void
plan_fence(Builder *b)
{
	ListCell   *lc;
	ListCell   *rc;

	b->group++;
	foreach(lc, b->plan->tables)
	{
		Table	   *t = lfirst(lc);

		foreach(rc, t->rules)
		{
			Rule	   *r = lfirst(rc);

			add_step(b, STEP_CONTRACT, STEP_SQL, t, AccessExclusiveLock, fence_sql(t, r),
					 psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", sql_qualified(t->schema, t->name), r->hidden))->note =
				psprintf("fence: from here on it holds the writes of both versions (%s); no row is read", note_rule(t, r));
		}
	}
	foreach(lc, b->plan->foreign_keys)
		if (((ForeignKey *) lfirst(lc))->trigger)
			add_foreign_key(b, STEP_CONTRACT, lfirst(lc));
}

/* What is to be proven of the rows behind the fence. */
static void
plan_proofs(Builder *b)
{
	ListCell   *lc;
	ListCell   *rc;

	foreach(lc, b->plan->tables)
	{
		Table	   *t = lfirst(lc);

		foreach(rc, t->rules)
		{
			Rule	   *r = lfirst(rc);

			if (r->valid)
				add_single(b, STEP_CONTRACT, STEP_SQL, t, ShareUpdateExclusiveLock,
						   psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", sql_qualified(t->schema, t->name), r->hidden), NULL)->note = note_rule(t, r);
		}
	}
	foreach(lc, b->plan->foreign_keys)
		if (((ForeignKey *) lfirst(lc))->trigger)
			validate_foreign_key(b, STEP_CONTRACT, lfirst(lc));
	foreach(lc, b->plan->tables)
		validate_constraints(b, lfirst(lc));
	foreach(lc, b->plan->tables)
		plan_check(b, lfirst(lc), STEP_CONTRACT);
}

/* The swap, in one transaction. */
static void
plan_swap(Builder *b, List *indexes, List *going)
{
	MigPlan	   *p = b->plan;
	ListCell   *lc;

	b->group++;
	add_step(b, STEP_CONTRACT, STEP_SQL, NULL, NoLock,
			 psprintf("SELECT mig.make_current(%s, %s, %s)", quote_literal_cstr(p->schema), quote_literal_cstr(p->version_schema), table_names(p)), NULL)->note =
		"closes the former versions' views of the changed tables";
	drop_foreign_keys(b, going);
	foreach(lc, p->tables)
		if (!((Table *) lfirst(lc))->dropped)
			swap_table(b, lfirst(lc), list_nth(indexes, foreach_current_index(lc)));
	drop_tables(b);
	name_foreign_keys(b);
	foreach(lc, p->parked)
		if (OidIsValid(get_relname_relid(lfirst(lc), get_namespace_oid(p->inner_schema, false))))
			add_step(b, STEP_CONTRACT, STEP_SQL, NULL, NoLock,
					 psprintf("ALTER TABLE %s SET SCHEMA %s", sql_qualified(p->inner_schema, lfirst(lc)), quote_identifier(p->schema)), NULL);
	plan_statements(b, STEP_CONTRACT, p->late);
	if (p->late)
		plain_views_again(b);
	add_step(b, STEP_CONTRACT, STEP_SQL, NULL, NoLock, psprintf("DROP SCHEMA %s", quote_identifier(p->inner_schema)), NULL);
}

void
plan_steps(MigPlan *p)
{
	Builder		b = {p, 0};
	List	   *indexes = NIL;
	List	   *going = foreign_keys_going(p);
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		Table	   *t = lfirst(lc);

		if (t->dropped)
			check_dropped(t, p->tables, going);
		else
		{
			check_dependents(t, going);
			check_referenced(t, going);
		}
		indexes = lappend(indexes, t->dropped ? NIL : list_concat(index_copies(t), new_index_builds(t)));
	}
	plan_expand(&b);
	foreach(lc, p->tables)
		if (!((Table *) lfirst(lc))->dropped)
			plan_fill(&b, lfirst(lc), list_nth(indexes, foreach_current_index(lc)));
	fill_foreign_keys(&b);
	foreach(lc, p->tables)
		plan_check(&b, lfirst(lc), STEP_CHECK);
	plan_open(&b);
	plan_fence(&b);
	plan_proofs(&b);
	plan_swap(&b, indexes, going);
}

