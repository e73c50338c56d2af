/*
 * plan.c
 *		Compiles a definition: reads it, applies its operations to the shapes of its tables, and derives the steps.
 *
 * Owns no state and changes nothing. The order of steps:
 *	 expand		(one transaction) version schema, views of other tables; hidden columns, sync trigger; closed views
 *	 backfill	per table: fill, analyse, indexes one by one, foreign keys
 *	 validate	per table: the divergence check
 *	 ready		(one transaction) the version's views opened
 *	 contract	fence (one transaction), VALIDATE one by one, swap (one transaction)
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "base/settings.h"
#include "base/sql.h"
#include "compile/contract.h"
#include "compile/index.h"
#include "compile/plan.h"
#include "compile/view.h"
#include "store/options.h"
#include "store/transform.h"

/* The steps so far, and the group that the next one belongs to */
typedef struct Builder
{
	MigPlan	   *plan;
	int			group;
} Builder;

/* Append a step to the current group. */
static Step *
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

/* ---- what is migrated, and where ---- */

/*
 * The base schema: the option, or the current schema, or the one a version schema stands for. pg_catalog is not the current schema: it stands first
 * in the settings under which a held migration is planned again.
 */
static char *
base_schema(const char *options)
{
	char	   *schema = option_text(options, "schema");
	ListCell   *lc;

	if (schema == NULL)
	{
		foreach(lc, fetch_search_path(false))
			if (schema == NULL && lfirst_oid(lc) != PG_CATALOG_NAMESPACE)
				schema = get_namespace_name(lfirst_oid(lc));
		if (schema == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_SCHEMA),
					 errmsg("no schema has been selected to migrate in"),
					 errhint("Set search_path, or give options {\"schema\": \"…\"}.")));
	}
	else
		(void) get_namespace_oid(schema, false);
	{
		char	   *base = sql_textp("SELECT base_schema FROM mig.version_schema WHERE schema_name = $1 LIMIT 1", P_text(schema));

		return base ? base : schema;
	}
}

/* Raise 42622 for a derived name that PostgreSQL would cut. */
static char *
check_length(char *name)
{
	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name \"%s\" is too long", name),
				 errdetail("Names have at most %d bytes.", NAMEDATALEN - 1),
				 errhint("Give a shorter migration name, or options {\"version_schema\": \"…\"}.")));
	return name;
}

/* A name for the hidden schema: recognisable, and unique however long the version schema's is. */
static char *
inner_schema_name(const char *version_schema)
{
	char	   *name = psprintf("_mig_%s", version_schema);

	if (strlen(name) >= NAMEDATALEN)
		name = psprintf("_mig_%s", sql_textp("SELECT md5($1)", P_text(version_schema)));
	return name;
}

/*
 * The session's search_path, for expressions, which clients run with the rights of the table's owner: pg_catalog comes first, as the texts suppose, and
 * temporary objects, the client's own, come last.
 */
static char *
safe_search_path(void)
{
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	appendStringInfoString(&path, "pg_catalog, ");
	foreach(lc, fetch_search_path(false))
	{
		Oid			schema = lfirst_oid(lc);

		if (schema != PG_CATALOG_NAMESPACE && !isAnyTempNamespace(schema))
			appendStringInfo(&path, "%s, ", quote_identifier(get_namespace_name(schema)));
	}
	appendStringInfoString(&path, "pg_temp");
	return path.data;
}

/* The session's settings that expressions and their texts depend on, as a text[] literal like pg_proc.proconfig; called by plan_compile(). */
static char *
session_settings(void)
{
	return sql_textp("SELECT array_agg(s || '=' || CASE s WHEN 'search_path' THEN $1 ELSE current_setting(s) END)::text FROM"
					 " unnest(ARRAY['search_path', 'standard_conforming_strings', 'TimeZone', 'DateStyle', 'IntervalStyle', 'lc_monetary', 'lc_numeric',"
					 " 'lc_time']) s",
					 P_text(safe_search_path()));
}

/* The table an operation names, loaded once. */
static Table *
plan_table(MigPlan *plan, const Operation *op, bool subscribers_ready)
{
	Oid			namespace;
	Oid			relid;
	Table	   *t;
	ListCell   *lc;

	if (op->schema && strcmp(op->schema, plan->schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s.%s\" is not in schema \"%s\"", op->schema, op->table, plan->schema),
				 errdetail("A migration changes the tables of one schema."),
				 errhint("Give options {\"schema\": \"%s\"}, or make a migration for each schema.", op->schema)));
	foreach(lc, plan->tables)
	{
		t = lfirst(lc);
		if (strcmp(t->new_name, op->table) == 0)
			return t;
	}
	namespace = get_namespace_oid(plan->schema, false);
	relid = get_relname_relid(op->table, namespace);
	foreach(lc, plan->tables)
		if (((Table *) lfirst(lc))->relid == relid)
			relid = InvalidOid;		/* renamed earlier in this migration */
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist in schema \"%s\"", op->table, plan->schema),
				 source_position(op->source, op->location)));
	t = shape_load(relid, plan->lock, subscribers_ready);
	if (t == NULL || strcmp(t->name, op->table) != 0 || strcmp(t->schema, plan->schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("relation \"%s\" was dropped or renamed by another session", op->table),
				 source_position(op->source, op->location)));
	plan->tables = lappend(plan->tables, t);
	return t;
}

/* Raise if two tables get the same name. */
static void
check_new_names(const MigPlan *plan)
{
	for (int i = 0; i < list_length(plan->tables); i++)
		for (int j = 0; j < i; j++)
		{
			Table	   *t = list_nth(plan->tables, i);

			if (strcmp(t->new_name, ((Table *) list_nth(plan->tables, j))->new_name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_TABLE),
						 errmsg("relation \"%s\" already exists", t->new_name),
						 errdetail("This migration renames another table to it.")));
		}
}

/* ---- expand ---- */

/* Views of the tables that this migration leaves alone. */
static void
plain_views(Builder *b, const char *schema, bool also_changed)
{
	SqlRows    *rows = sql_queryp("SELECT c.oid FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'f')"
								  " AND c.relpersistence <> 't' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"
								  "  AND d.objid = c.oid AND d.deptype = 'e') ORDER BY c.relname",
								  P_text(quote_identifier(b->plan->schema)));

	for (uint64 r = 0; r < rows->n; r++)
	{
		Oid			relid = (Oid) strtoul(rows->v[r][0], NULL, 10);
		bool		changed = false;
		ListCell   *lc;
		Step	   *s;

		foreach(lc, b->plan->tables)
			changed = changed || ((Table *) lfirst(lc))->relid == relid;
		if (changed && !also_changed)
			continue;
		s = add_step(b, STEP_EXPAND, STEP_SQL, NULL, AccessShareLock, view_plain_sql(schema, relid),
					 psprintf("DROP VIEW IF EXISTS %s", sql_qualified(schema, get_rel_name(relid))));
		s->relation = sql_relation_name(relid);
		s->relid = relid;
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
						 quote_literal_cstr(c->old_name ? c->old_name : ""),
						 quote_literal_cstr(c->dropped ? "" : c->hidden),
						 quote_literal_cstr(c->dropped ? "" : expr_text(c->value, t->physical)),
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
	const char *table = sql_qualified(t->schema, t->name);

	add_step(b, STEP_EXPAND, STEP_SQL, t, AccessExclusiveLock,
			 psprintf("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION mig.sync(%s);\n"
					  "ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", trigger, table, trigger_arguments(b->plan, t, which), table, trigger),
			 psprintf("DROP TRIGGER IF EXISTS %s ON %s", trigger, table))->superuser = true;
}

/* Does the table have BEFORE ROW triggers of its own? */
static bool
has_before_row_triggers(const Table *t)
{
	return sql_textp("SELECT 1 FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal AND tgtype & 3 = 3 AND tgtype & 20 <> 0",
					 P_oid(t->relid)) != NULL;
}

/* What the user should know of a table's changes. */
static char *
table_notes(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->note)
			appendStringInfo(&buf, "%s%s", buf.len ? "; " : "", c->note);
		if (!c->dropped && c->second && c->fill && expr_is_volatile(c->value))
			appendStringInfo(&buf, "%sup of column %s is volatile: its values cannot be verified", buf.len ? "; " : "", c->name);
	}
	if (sql_textp("SELECT 1 FROM pg_index WHERE indrelid = $1 AND indisprimary", P_oid(t->relid)) == NULL)
		appendStringInfo(&buf, "%stable %s has no primary key: reports name rows by ctid", buf.len ? "; " : "", t->name);
	if (t->natts > MaxHeapAttributeNumber - 200)
		appendStringInfo(&buf, "%stable %s has used %d of %d attribute numbers", buf.len ? "; " : "", t->name, t->natts, MaxHeapAttributeNumber);
	return buf.len ? buf.data : NULL;
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
		s->note = table_notes(t);
	}
	if (shape_has_pairs(t))
	{
		if (has_before_row_triggers(t))
			add_trigger(b, t, FIRST_TRIGGER, "first");
		add_trigger(b, t, LAST_TRIGGER, "last");
	}
}

/* The message of a version's views until it is ready. */
static void
closed_view(Builder *b, const Table *t)
{
	char	   *sql = view_closed_sql(b->plan->version_schema, t,
									  psprintf("version \"%s\" is not ready", b->plan->version_schema),
									  psprintf("Until then use schema \"%s\"; CALL mig_wait('%s') waits for it.", b->plan->schema, b->plan->name));

	add_step(b, STEP_EXPAND, STEP_SQL, t, AccessShareLock, sql,
			 psprintf("DROP VIEW IF EXISTS %s", sql_qualified(b->plan->version_schema, t->new_name)))->keep = true;
}

/* Drops what a rolled-back run of the same name has left: closed views. */
static char *
drop_former_sql(const char *schema)
{
	SqlRows    *rows = sql_queryp("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'v'",
								  P_text(schema));
	StringInfoData buf;

	initStringInfo(&buf);
	for (uint64 r = 0; r < rows->n; r++)
		appendStringInfo(&buf, "DROP VIEW %s;\n", sql_qualified(schema, rows->v[r][0]));
	if (OidIsValid(get_namespace_oid(schema, true)))
		appendStringInfo(&buf, "DROP SCHEMA %s;\n", quote_identifier(schema));
	return buf.data;
}

/* The expand transaction: views of other tables first, the migrating tables' locks last. */
static void
plan_expand(Builder *b)
{
	MigPlan	   *p = b->plan;
	ListCell   *lc;

	b->group++;
	add_step(b, STEP_EXPAND, STEP_SQL, NULL, NoLock,
			 psprintf("%s%s", drop_former_sql(p->version_schema),
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
	foreach(lc, p->tables)
		closed_view(b, lfirst(lc));
	foreach(lc, p->tables)
		expand_table(b, lfirst(lc));
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

/* Names of the hidden columns, for ANALYZE. */
static char *
hidden_names(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->second && !c->dropped)
			appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", c->hidden);
	}
	return buf.data;
}

/* Indexes and foreign keys of the replaced columns. */
static void
plan_copies(Builder *b, const Table *t, List *indexes, List *foreign_keys)
{
	const char *table = sql_qualified(t->schema, t->name);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		IndexCopy  *copy = lfirst(lc);
		Step	   *s = add_single(b, STEP_FILL, STEP_CONCURRENTLY, t, ShareUpdateExclusiveLock, copy->create_sql, NULL);

		if (copy->unique)
			s->note = psprintf("becomes index \"%s\"; being unique, it holds both versions once it is built", copy->name);
		else
			s->note = psprintf("becomes index \"%s\"", copy->name);
		if (copy->constraint_sql == NULL)
			continue;
		s = add_single(b, STEP_FILL, STEP_SQL, t, AccessExclusiveLock, copy->constraint_sql, NULL);
		s->note = "deferrable again, as the original is; while the index is being built it is not";
	}
	foreach(lc, foreign_keys)
	{
		ForeignKeyCopy *copy = lfirst(lc);
		Step	   *s = add_single(b, STEP_FILL, STEP_SQL, t, ShareRowExclusiveLock,
								   psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", table, copy->hidden, copy->definition),
								   psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", table, copy->hidden));

		s->note = psprintf("becomes foreign key \"%s\"; also locks %s", copy->name, copy->referenced);
		if (copy->valid)
			add_single(b, STEP_FILL, STEP_SQL, t, ShareUpdateExclusiveLock,
					   psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", table, copy->hidden), NULL);
	}
}

/* Fill a table's pairs, and build what hangs on its new columns. */
static void
plan_fill(Builder *b, const Table *t, List *indexes, List *foreign_keys)
{
	char	   *table = sql_qualified(t->schema, t->name);

	if (needs_fill(t))
	{
		Step	   *s = add_single(b, STEP_FILL, STEP_BACKFILL, t, RowExclusiveLock,
								   psprintf("UPDATE ONLY %s SET " STATE_COLUMN " = " STATE_COLUMN " WHERE " STATE_COLUMN " IS NULL", table), NULL);

		s->note = "by block ranges in lanes, a few pages a transaction; rows locked by others are visited again; the sync trigger fills the row";
		add_single(b, STEP_FILL, STEP_SQL, t, ShareUpdateExclusiveLock, psprintf("ANALYZE %s (%s)", table, hidden_names(t)), NULL);
	}
	plan_copies(b, t, indexes, foreign_keys);
}

/* Check that both versions of a table's pairs agree. */
static void
plan_check(Builder *b, const Table *t, StepPhase phase)
{
	Step	   *s;

	if (!shape_has_pairs(t))
		return;
	s = add_single(b, phase, STEP_VALIDATE, t, AccessShareLock,
				   psprintf("SELECT * FROM ONLY %s", sql_qualified(t->schema, t->name)), NULL);
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
	return shape_has_pairs(t);
}

/* The transaction that opens the version's views. */
static void
plan_open(Builder *b)
{
	MigPlan	   *p = b->plan;
	ListCell   *lc;

	b->group++;
	foreach(lc, p->tables)
	{
		Table	   *t = lfirst(lc);
		char	   *close;

		/* replaced, not dropped: a view of the user's may stand on it */
		close = view_closed_sql(p->version_schema, t, psprintf("version \"%s\" was rolled back", p->version_schema),
								psprintf("Use schema \"%s\".", p->schema));
		if (needs_inner(t))
			add_step(b, STEP_OPEN, STEP_SQL, t, AccessShareLock,
					 psprintf("%s%s", view_inner_sql(p->inner_schema, t), view_open_sql(p->version_schema, p->inner_schema, t)),
					 psprintf("%sDROP VIEW IF EXISTS %s", close, sql_qualified(p->inner_schema, t->new_name)));
		else
			add_step(b, STEP_OPEN, STEP_SQL, t, AccessShareLock, view_direct_sql(p->version_schema, t, true), close);
	}
}

/* ---- the whole ---- */

/* A rule in the user's words. */
static char *
rule_text(const Table *t, const Rule *r)
{
	if (r->filled)
		return psprintf("every row of %s has its new values", t->new_name);
	if (r->column)
		return psprintf("column %s of %s is NOT NULL", r->column->name, t->new_name);
	return psprintf("CHECK constraint %s of %s holds", r->name, t->new_name);
}

/* The fence and the swap. */
static void
plan_contract(Builder *b, List *indexes, List *foreign_keys)
{
	MigPlan	   *p = b->plan;
	bool		fenced = false;
	ListCell   *lc;
	ListCell   *rc;
	int			i = 0;

	b->group++;
	foreach(lc, p->tables)
	{
		Table	   *t = lfirst(lc);
		const char *table = sql_qualified(t->schema, t->name);

		foreach(rc, t->rules)
		{
			Rule	   *r = lfirst(rc);
			Step	   *s = add_step(b, STEP_CONTRACT, STEP_SQL, t, AccessExclusiveLock, fence_sql(t, r),
									 psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", table, r->hidden));

			s->note = psprintf("fence: from here on it holds the writes of both versions (%s); no row is read", rule_text(t, r));
			fenced = true;
		}
	}
	foreach(lc, fenced ? p->tables : NIL)
	{
		Table	   *t = lfirst(lc);

		foreach(rc, t->rules)
		{
			Rule	   *r = lfirst(rc);

			if (r->valid)
				add_single(b, STEP_CONTRACT, STEP_SQL, t, ShareUpdateExclusiveLock,
						   psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", sql_qualified(t->schema, t->name), r->hidden), NULL)->note = rule_text(t, r);
		}
	}
	foreach(lc, p->tables)
		plan_check(b, lfirst(lc), STEP_CONTRACT);
	b->group++;
	foreach(lc, close_old_versions(p))
		add_step(b, STEP_CONTRACT, STEP_SQL, NULL, NoLock, lfirst(lc), NULL);
	foreach(lc, p->tables)
	{
		Table	   *t = lfirst(lc);

		add_step(b, STEP_CONTRACT, STEP_SQL, t, AccessExclusiveLock,
				 swap_sql(p, t, needs_inner(t), list_nth(indexes, i), list_nth(foreign_keys, i)), NULL);
		i++;
	}
	add_step(b, STEP_CONTRACT, STEP_SQL, NULL, NoLock, psprintf("DROP SCHEMA %s", quote_identifier(p->inner_schema)), NULL);
}

/* Derive all steps from the finished shapes. */
static void
plan_steps(MigPlan *p)
{
	Builder		b = {p, 0};
	List	   *indexes = NIL;
	List	   *foreign_keys = NIL;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, p->tables)
	{
		Table	   *t = lfirst(lc);

		check_dependents(t);
		indexes = lappend(indexes, index_copies(t));
		foreign_keys = lappend(foreign_keys, foreign_key_copies(t, list_length(t->rules) + 1));
	}
	plan_expand(&b);
	foreach(lc, p->tables)
	{
		plan_fill(&b, lfirst(lc), list_nth(indexes, i), list_nth(foreign_keys, i));
		i++;
	}
	foreach(lc, p->tables)
		plan_check(&b, lfirst(lc), STEP_CHECK);
	plan_open(&b);
	plan_contract(&b, indexes, foreign_keys);
}

/* Raise if there is no name. */
static char *
require_name(char *name)
{
	if (name == NULL || name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the migration has no name"),
				 errhint("Use mig_start(name, definition), or give the manifest a \"name\".")));
	return name;
}

char *
plan_name(const char *definition)
{
	return require_name(definition_read(definition, "{}")->name);
}

/* Names and places of the migration. */
static void
plan_names(MigPlan *p, const char *name, const Definition *d)
{
	char	   *version = option_text(p->options, "version_schema");

	p->name = require_name(name ? pstrdup(name) : d->name);
	p->schema = base_schema(p->options);
	if (version == NULL)
		version = d->version ? d->version : p->name;
	p->version_schema = check_length(psprintf("%s_%s", p->schema, version));
	p->inner_schema = inner_schema_name(p->version_schema);
	if (option_text(p->options, "baseline") && strcmp(option_text(p->options, "baseline"), "true") == 0)
		p->baseline = check_length(psprintf("%s_base", p->schema));
	if (OidIsValid(get_namespace_oid(p->version_schema, true)) &&
		!sql_textp("SELECT 1 FROM mig.version_schema WHERE schema_name = $1 AND phase IN ('planned', 'rolled_back')", P_text(p->version_schema)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_SCHEMA),
				 errmsg("schema \"%s\" already exists", p->version_schema),
				 errhint("Give the migration another name, or options {\"version_schema\": \"…\"}.")));
}

bool
plan_equals(const MigPlan *p, List *steps)
{
	ListCell   *a;
	ListCell   *b;

	if (list_length(p->steps) != list_length(steps))
		return false;
	forboth(a, p->steps, b, steps)
	{
		const Step *x = lfirst(a);
		const Step *y = lfirst(b);

		if (strcmp(x->sql, y->sql) != 0 || strcmp(x->undo ? x->undo : "", y->undo ? y->undo : "") != 0)
			return false;
	}
	return true;
}

MigPlan *
plan_compile(const char *name, const char *definition, const char *options, LOCKMODE lock)
{
	MigPlan	   *p = palloc0(sizeof(MigPlan));
	Definition *d = definition_read(definition, options);
	bool		subscribers_ready;
	char	   *subscribers;
	ListCell   *lc;
	int			level;

	/* the user's texts are read; ours and the server's have no backslash escapes */
	level = NewGUCNestLevel();
	setting_set("standard_conforming_strings", "on");
	p->lock = lock;
	p->options = d->options ? sql_textp("SELECT ($1 || $2)::text", P_jsonb(d->options), P_jsonb(options ? options : "{}"))
		: pstrdup(options ? options : "{}");
	options_check(p->options, false);
	plan_names(p, name, d);
	p->settings = session_settings();
	subscribers = option_text(p->options, "subscribers");
	subscribers_ready = subscribers && strcmp(subscribers, "ready") == 0;
	foreach(lc, d->operations)
	{
		Operation  *op = lfirst(lc);
		SourceContext context;

		source_begin(&context, NULL, op->path);
		shape_apply(plan_table(p, op, subscribers_ready), op);
		source_end(&context);
	}
	check_new_names(p);
	foreach(lc, p->tables)
		shape_finish(lfirst(lc));
	/* from here on nothing of the user's is looked up by name: with this path, what the server prints is qualified */
	setting_set("search_path", "pg_catalog, pg_temp");
	sql_portable_texts();
	plan_steps(p);
	AtEOXact_GUC(false, level);
	return p;
}
