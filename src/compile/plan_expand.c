/*
 * plan_expand.c
 *		The steps of expand: what makes the new version, without a client noticing.
 *
 * Owns no state. One transaction: views of other tables first, while no lock is held that clients wait for; the migrating tables' locks last.
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/sql.h"
#include "compile/contract.h"
#include "compile/dependent.h"
#include "compile/index.h"
#include "compile/plan_notes.h"
#include "compile/plan_statement.h"
#include "compile/plan_steps.h"
#include "compile/sequence.h"
#include "compile/view.h"
#include "store/transform.h"

/* Names as an SQL array. */
static char *
name_array(List *names)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, names)
		appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", quote_literal_cstr(lfirst(lc)));
	return psprintf("ARRAY[%s]::pg_catalog.text[]", buf.data);
}

char *
table_names(const MigPlan *p)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, p->tables)
		names = lappend(names, ((Table *) lfirst(lc))->name);
	return name_array(names);
}

/* Views of the tables that a migration leaves alone, as they are when it expands; also_changed: and of those that it changes. */
static void
plain_views(Builder *b, const char *schema, bool also_changed)
{
	add_step(b, STEP_EXPAND, STEP_SQL, NULL, NoLock,
			 psprintf("SELECT mig.make_views(%s, %s, %s)", quote_literal_cstr(b->plan->schema), quote_literal_cstr(schema),
					  also_changed ? "'{}'" : table_names(b->plan)),
			 psprintf("SELECT mig.drop_views(%s%s)", quote_literal_cstr(schema), b->plan->unseen ? ", true" : ""))->note = "a view of every other table of the schema";
}

void
plan_statements(Builder *b, StepPhase phase, List *statements)
{
	ListCell   *lc;

	foreach(lc, statements)
	{
		Statement  *st = lfirst(lc);
		Step	   *s;

		if (st->owner && st->owner->dropped)
			continue;
		s = add_step(b, phase, STEP_SQL, NULL, NoLock, statement_sql(b->plan, st, st->sql), st->undo ? statement_sql(b->plan, st, st->undo) : NULL);
		s->relation = st->relation;
		s->note = unconstify(char *, st->note);
	}
}

/* Type of the state column: 2 bits a pair. */
static const char *
state_type(const Table *t)
{
	int			pairs = 0;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (column_is_pair(c))
			pairs++;
	}
	if (pairs > 31)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the migration replaces %d columns of table \"%s\"", pairs, t->name),
				 errdetail("At most 31 columns of a table can change in one migration."),
				 errhint("Split it into several migrations.")));
	return pairs > 7 ? "bigint" : "smallint";
}

/* ADD COLUMNs and the storage options of the hidden columns. */
static char *
add_columns_sql(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfo(&buf, "ALTER TABLE %s", sql_qualified(t->schema, t->name));
	if (shape_has_pairs(t))
		appendStringInfo(&buf, " ADD COLUMN " STATE_COLUMN " %s,", state_type(t));
	foreach(lc, t->hidden)
	{
		Column	   *c = lfirst(lc);

		appendStringInfo(&buf, " ADD COLUMN %s %s%s", c->hidden, type_sql(c->type, c->typmod), collate_sql(c->type, c->collation));
		if (c->fast_default && c->added_sql)
			appendStringInfo(&buf, " DEFAULT %s%s", c->added_sql, c->not_null ? " NOT NULL" : "");
		appendStringInfoChar(&buf, ',');
		appendStringInfoString(&buf, column_options_sql(t, c));
	}
	buf.data[--buf.len] = '\0';
	return buf.data;
}

/* DROP COLUMNs that undo add_columns_sql(). */
static char *
drop_columns_sql(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfo(&buf, "ALTER TABLE %s", sql_qualified(t->schema, t->name));
	if (shape_has_pairs(t))
		appendStringInfoString(&buf, " DROP COLUMN IF EXISTS " STATE_COLUMN ",");
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->second && !c->dropped)
			appendStringInfo(&buf, " DROP COLUMN IF EXISTS %s,", c->hidden);
	}
	buf.data[--buf.len] = '\0';
	return buf.data;
}

/* Arguments of the sync trigger (store/transform.h has the format). */
static char *
trigger_arguments(const MigPlan *plan, const Table *t, const char *which)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfo(&buf, "'%s', '%s', %s", which, STATE_COLUMN, quote_literal_cstr(plan->settings));
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (!column_is_pair(c))
			continue;
		appendStringInfo(&buf, ", %s, %s, %s, %s",
						 quote_literal_cstr(c->old_name && !c->follows ? c->old_name : ""),
						 quote_literal_cstr(c->dropped ? "" : c->hidden),
						 quote_literal_cstr(c->dropped ? "" : expr_text(c->follows ? c->rule : c->value, t->physical)),
						 quote_literal_cstr(c->back ? expr_text(c->back, t->physical) : ""));
	}
	return buf.data;
}

/*
 * CREATE TRIGGER of one of the two sync triggers, always enabled: also for replication and the backfill. The superuser makes it, since nobody else may
 * execute mig.sync().
 */
static void
add_trigger(Builder *b, const Table *t, const char *trigger, const char *which)
{
	const char *arguments = trigger_arguments(b->plan, t, which);
	StringInfoData sql;
	StringInfoData undo;
	ListCell   *lc;

	initStringInfo(&sql);
	initStringInfo(&undo);
	foreach(lc, shape_trigger_tables(t))
	{
		const char *table = lfirst(lc);
		const char *separator = foreach_current_index(lc) ? ";\n" : "";

		appendStringInfo(&sql, "%sCREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION mig.sync(%s);\n"
						 "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", separator, trigger, table, arguments, table, trigger);
		appendStringInfo(&undo, "%sDROP TRIGGER IF EXISTS %s ON %s", separator, trigger, table);
	}
	add_step(b, STEP_EXPAND, STEP_SQL, t, AccessExclusiveLock, sql.data, undo.data)->superuser = true;
}

/* Does the table, or one below it, have BEFORE ROW triggers of its own? */
static bool
has_before_row_triggers(const Table *t)
{
	return sql_textp("WITH RECURSIVE f AS (SELECT $1 AS oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN f ON f.oid = i.inhparent)"
					 " SELECT 1 FROM pg_trigger JOIN f ON f.oid = tgrelid WHERE NOT tgisinternal AND tgtype & 3 = 3 AND tgtype & 20 <> 0 LIMIT 1",
					 P_oid(t->relid)) != NULL;
}

/* Sequences that added columns brought become their hidden columns' own. */
static void
own_sequences(Builder *b, const Table *t)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att == 0 && !c->dropped && c->sequences)
			add_step(b, STEP_EXPAND, STEP_SQL, t, AccessExclusiveLock, sequence_owned_sql(t, c), NULL);
	}
}

/* Triggers FOR UPDATE OF replaced columns fire for the new version's, too. */
static void
widen_triggers(Builder *b, const Table *t)
{
	ListCell   *lc;

	foreach(lc, update_of_triggers(t))
	{
		Dependent  *d = lfirst(lc);

		add_step(b, STEP_EXPAND, STEP_SQL, t, AccessExclusiveLock, d->create, d->drop)->note =
			psprintf("%s fires for writes of the new version's columns, too", d->what);
	}
}

/* Hidden columns and triggers of one table. */
static void
expand_table(Builder *b, const Table *t)
{
	bool		hidden = false;
	Step	   *s;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		hidden = hidden || (c->second && !c->dropped);
	}
	if (hidden || shape_has_pairs(t))
	{
		s = add_step(b, STEP_EXPAND, STEP_SQL, t, AccessExclusiveLock, add_columns_sql(t), drop_columns_sql(t));
		s->note = note_table(t);
	}
	own_sequences(b, t);
	widen_triggers(b, t);
	if (shape_has_pairs(t))
	{
		if (has_before_row_triggers(t))
			add_trigger(b, t, FIRST_TRIGGER, "first");
		add_trigger(b, t, LAST_TRIGGER, "last");
	}
	if (identity_sql(t))
		add_step(b, STEP_EXPAND, STEP_SQL, t, AccessExclusiveLock, identity_sql(t), identity_undo(t));
}

/* The message of a version's views until it is ready. */
static void
closed_view(Builder *b, const Table *t)
{
	char	   *sql = view_closed_sql(b->plan->version_schema, t,
									  psprintf("version \"%s\" is not ready", b->plan->version_schema),
									  psprintf("Until then use schema \"%s\"; CALL mig_wait('%s') waits for it.", b->plan->before, b->plan->name));

	add_step(b, STEP_EXPAND, STEP_SQL, t, AccessShareLock, sql,
			 psprintf("DROP VIEW IF EXISTS %s", sql_qualified(b->plan->version_schema, t->new_name)))->keep = true;
}

/* Names as a text[] literal. */
static char *
names_literal(List *names)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	foreach(lc, names)
	{
		appendStringInfoString(&buf, buf.len > 1 ? ",\"" : "\"");
		for (const char *c = lfirst(lc); *c; c++)
			appendStringInfo(&buf, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
		appendStringInfoChar(&buf, '"');
	}
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

/*
 * Locks on the tables that created ones refer to by foreign keys, in order with the others: CREATE TABLE would take them as it comes. On trial, the created
 * tables are there.
 */
static void
lock_referenced(Builder *b)
{
	const MigPlan *p = b->plan;
	SqlRows    *rows;

	if (p->created == NIL)
		return;
	rows = sql_queryp("WITH made AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = ANY ($3::text[])"
					  "  AND n.nspname = CASE WHEN c.relname = ANY ($4::text[]) THEN $2 ELSE $1 END)"
					  " SELECT DISTINCT k.confrelid FROM pg_constraint k WHERE k.contype = 'f' AND k.conrelid IN (SELECT oid FROM made)"
					  " AND k.confrelid NOT IN (SELECT oid FROM made) ORDER BY 1",
					  P_text(p->schema), P_text(p->inner_schema), P_text(names_literal(p->created)), P_text(names_literal(p->parked)));
	for (uint64 r = 0; r < rows->n; r++)
	{
		Oid			relid = sql_oid(rows->v[r][0]);
		char	   *name = sql_relation_name(relid);
		Step	   *s = add_step(b, STEP_EXPAND, STEP_SQL, NULL, ShareRowExclusiveLock,
								 psprintf("LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", name), NULL);

		s->relation = name;
		s->relid = relid;
		s->superuser = true;
		s->note = "a table that is created refers to it";
	}
}

void
plan_expand(Builder *b)
{
	MigPlan	   *p = b->plan;
	ListCell   *lc;

	b->group++;
	add_step(b, STEP_EXPAND, STEP_SQL, NULL, NoLock,
			 /* a rolled-back run of the same name has left its views */
			 psprintf("%s%s", !OidIsValid(get_namespace_oid(p->version_schema, true)) ? ""
					  : psprintf("SELECT mig.drop_version(%s);\n", quote_literal_cstr(p->version_schema)),
					  schema_sql(p->version_schema, p->schema, psprintf("version %s of schema %s", p->name, p->schema))),
			 psprintf("DROP SCHEMA IF EXISTS %s", quote_identifier(p->version_schema)))->keep = true;
	add_step(b, STEP_EXPAND, STEP_SQL, NULL, NoLock, psprintf("CREATE SCHEMA %s", quote_identifier(p->inner_schema)),
			 psprintf("DROP SCHEMA IF EXISTS %s", quote_identifier(p->inner_schema)));
	if (p->baseline && !OidIsValid(get_namespace_oid(p->baseline, true)))
	{
		add_step(b, STEP_EXPAND, STEP_SQL, NULL, NoLock,
				 schema_sql(p->baseline, p->schema, psprintf("schema %s as it was before migration %s", p->schema, p->name)),
				 psprintf("DROP SCHEMA IF EXISTS %s", quote_identifier(p->baseline)));
		plain_views(b, p->baseline, true);
	}
	plain_views(b, p->version_schema, false);
	lock_referenced(b);
	plan_statements(b, STEP_EXPAND, p->early);
	foreach(lc, p->parked)
	{
		Oid			relid = get_relname_relid(lfirst(lc), get_namespace_oid(p->inner_schema, false));

		if (OidIsValid(relid))	/* else it was renamed once more, or dropped */
			add_step(b, STEP_EXPAND, STEP_SQL, NULL, NoLock, view_plain_sql(p->version_schema, relid),
					 psprintf("DROP VIEW IF EXISTS %s", sql_qualified(p->version_schema, lfirst(lc))));
	}
	if (p->early)				/* may have made tables */
		plain_views(b, p->version_schema, false);
	foreach(lc, p->tables)
		if (!((Table *) lfirst(lc))->dropped)
			closed_view(b, lfirst(lc));
	foreach(lc, p->tables)
		if (!((Table *) lfirst(lc))->dropped)
			expand_table(b, lfirst(lc));
}
