/*
 * plan.c
 *		Compiles a definition: reads it, and applies its operations to the shapes of its tables.
 *
 * Owns no state and changes nothing. Statements that make new things (tables, types, sequences) are run on trial, in a subtransaction that is rolled back
 * when the plan is made: so whatever comes after them in the definition finds them in the catalogs, as it will when the steps are run.
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "compile/chain.h"
#include "compile/foreign_key.h"
#include "compile/plan_statement.h"
#include "compile/plan_steps.h"
#include "compile/sequence.h"
#include "store/options.h"
#include "store/transform.h"

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

Table *
plan_table(MigPlan *plan, const Operation *op, const char *name)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid(plan->schema, false));
	Table	   *t;
	ListCell   *lc;

	if (op->schema && strcmp(op->schema, plan->schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s.%s\" is not in schema \"%s\"", op->schema, name, plan->schema),
				 errdetail("A migration changes the tables of one schema."),
				 errhint("Give options {\"schema\": \"%s\"}, or make a migration for each schema.", op->schema)));
	foreach(lc, plan->tables)
	{
		t = lfirst(lc);
		if (!t->dropped && strcmp(t->new_name, name) == 0)
			return t;
	}
	if (!OidIsValid(relid) || plan_known_table(plan, relid))	/* it was renamed or dropped earlier in this migration */
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s\" does not exist in schema \"%s\"", name, plan->schema),
				 source_position(op->source, op->location)));
	if (op->only && has_subclass(relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ONLY is not supported in an online migration of a table with children"),
				 errhint("A migration changes the table with its children: leave ONLY out."),
				 source_position(op->source, op->location)));
	t = shape_load(relid, plan->lock, plan->subscribers_ready);
	if (t == NULL || strcmp(t->name, name) != 0 || strcmp(t->schema, plan->schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("relation \"%s\" was dropped or renamed by another session", name),
				 source_position(op->source, op->location)));
	plan->tables = lappend(plan->tables, t);
	return t;
}

/* Does the new version so far, without what the definition has created, have a table of that name? */
static bool
plan_table_exists(const MigPlan *plan, const char *name)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid(plan->schema, false));
	ListCell   *lc;

	foreach(lc, plan->tables)
		if (!((Table *) lfirst(lc))->dropped && strcmp(((Table *) lfirst(lc))->new_name, name) == 0)
			return true;
	return OidIsValid(relid) && plan_known_table(plan, relid) == NULL;
}

/* Raise if two tables get the same name. */
static void
check_new_names(const MigPlan *plan)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		Table	   *t = lfirst(lc);

		if (t->dropped)
			continue;
		if (name_in(names, t->new_name) || plan_has_created(plan, t->new_name))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("relation \"%s\" already exists", t->new_name),
					 errdetail("This migration gives the name to another table, too."),
					 errhint("Choose another name for one of them.")));
		names = lappend(names, t->new_name);
	}
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

/* ---- the definition's own statements ---- */

/* The table of the plan that has, or will have, an index of that name. */
static Table *
table_of_index(const MigPlan *p, const char *name)
{
	ListCell   *lc;

	foreach(lc, p->tables)
		if (shape_index(lfirst(lc), name) || shape_new_index(lfirst(lc), name))
			return lfirst(lc);
	return NULL;
}

/* Raise 42704, unless it may be missing. */
static void
missing_index(const MigPlan *p, const Operation *op)
{
	if (!op->if_exists)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("index \"%s\" does not exist in schema \"%s\"", op->name, p->schema),
				 source_position(op->source, op->location)));
}

/* An operation on an index of a table that this migration makes. */
static void
plain_index_operation(MigPlan *p, const Operation *op, char *table)
{
	Operation	bound = *op;

	bound.table = table;
	bound.sql = op->kind == OP_DROP_INDEX ? psprintf("DROP INDEX %s", quote_identifier(op->name))
		: psprintf("ALTER INDEX %s RENAME TO %s", quote_identifier(op->name), quote_identifier(op->new_name));
	bound.new_name = NULL;
	plan_plain_statement(p, &bound);
}

/* ADD COLUMN of a serial or identity column: its sequence is made first. */
static void
add_sequence_column(MigPlan *p, const Operation *op)
{
	Table	   *t = plan_table(p, op, op->table);
	Operation	create = *op;
	Operation  *column;
	Statement  *st;

	if (op->if_exists && shape_column(t, op->column, true))
		return;
	create.table = NULL;
	column = sequence_column(t, op, &create.sql, &create.undo);
	plan_plain_statement(p, &create);
	st = llast(p->early);
	st->relation = column->name;
	shape_apply(t, column);
	st->owner = shape_column(t, op->column, false);
}

/* An operation on an index names no table: find it. */
static void
index_operation(MigPlan *p, const Operation *op)
{
	Oid			namespace = get_namespace_oid(p->schema, false);
	Oid			index = get_relname_relid(op->name, namespace);
	Operation	bound = *op;
	Table	   *t;
	char	   *table;

	if (op->schema && strcmp(op->schema, p->schema) != 0)
	{
		missing_index(p, op);
		return;
	}
	t = table_of_index(p, op->name);
	if (t)
	{
		shape_apply(t, op);
		return;
	}
	table = OidIsValid(index) ? sql_textp("SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE i.indexrelid = $1", P_oid(index)) : NULL;
	if (table == NULL || plan_known_table(p, get_relname_relid(table, namespace)))
		missing_index(p, op);
	else if (plan_has_created(p, table))
		plain_index_operation(p, op, table);
	else
	{
		bound.table = table;
		shape_apply(plan_table(p, &bound, table), &bound);
	}
}

/* DROP TABLE: one that the definition has created goes at once. */
static void
drop_table(MigPlan *p, const Operation *op)
{
	Operation	bound = *op;

	if (plan_has_created(p, op->table))
	{
		bound.sql = psprintf("DROP TABLE %s", quote_identifier(op->table));
		plan_plain_statement(p, &bound);
	}
	else if (!op->if_exists || plan_table_exists(p, op->table))
		shape_apply(plan_table(p, op, op->table), op);
}

/* Apply one operation. */
static void
apply_operation(MigPlan *p, const Operation *op)
{
	SourceContext context;

	if (op->missing_ok && op->table && !plan_table_exists(p, op->table) && !plan_has_created(p, op->table))
		return;
	source_begin(&context, NULL, op->path);
	switch (op->kind)
	{
		case OP_CREATE_TABLE:
			plan_create_table(p, op);
			break;
		case OP_PLAIN:
			plan_plain_statement(p, op);
			break;
		case OP_SQL:
			plan_sql_statement(p, op);
			p->unseen = true;
			break;
		case OP_AT_END:
			plan_late_statement(p, op);
			break;
		case OP_DROP_TABLE:
			drop_table(p, op);
			break;
		case OP_DROP_INDEX:
		case OP_RENAME_INDEX:
			index_operation(p, op);
			break;
		case OP_ADD_FOREIGN_KEY:
			foreign_key_add(p, plan_table(p, op, op->table), op);
			break;
		case OP_REPLACE_FUNCTION:
			plan_replace_function(p, op);
			break;
		case OP_ADD_COLUMN:
			if (brings_sequence(op))
			{
				add_sequence_column(p, op);
				break;
			}
			/* FALLTHROUGH */
		default:
			shape_apply(plan_table(p, op, op->table), op);
	}
	source_end(&context);
}

/* Lock what the definition names before statements are run on trial: a subtransaction's locks end with it. */
static void
lock_named_tables(const MigPlan *p, const Definition *d)
{
	Oid			namespace = get_namespace_oid(p->schema, false);
	List	   *wants = NIL;
	ListCell   *lc;

	foreach(lc, d->operations)
	{
		const Operation *op = lfirst(lc);
		Oid			relid = op->table ? get_relname_relid(op->table, namespace) : InvalidOid;

		if (!OidIsValid(relid) || get_rel_relkind(relid) == RELKIND_INDEX || !mig_relation_ownercheck(relid, GetUserId()))
			continue;			/* refused later, with the reason */
		wants = lappend(wants, lock_want(relid, p->lock));
	}
	if (wants)
		(void) lock_relations(wants, lock_attempts());
}

/* From operations to steps. */
static void
compile(MigPlan *p, const Definition *d)
{
	ListCell   *lc;

	foreach(lc, d->operations)
		apply_operation(p, lfirst(lc));
	plan_finish_statements(p);
	check_new_names(p);
	foreach(lc, p->tables)
		if (!((Table *) lfirst(lc))->dropped)
			shape_finish(lfirst(lc));
	foreign_keys_finish(p);
	/* from here on nothing of the user's is looked up by name: with this path, what the server prints is qualified */
	setting_set("search_path", "pg_catalog, pg_temp");
	sql_portable_texts();
	plan_steps(p);
	chain_finish(p);
}

/* Are there statements to be run on trial? */
static bool
needs_trial(const Definition *d)
{
	ListCell   *lc;

	foreach(lc, d->operations)
	{
		const Operation *op = lfirst(lc);

		if (op->kind == OP_CREATE_TABLE || op->kind == OP_PLAIN || op->kind == OP_REPLACE_FUNCTION || brings_sequence(op))
			return true;
	}
	return false;
}

/* What compile_trial() takes */
typedef struct CompileArguments
{
	MigPlan    *plan;
	const Definition *definition;
} CompileArguments;

/* compile(), for txn_trial() */
static void
compile_trial(void *arg)
{
	CompileArguments *a = arg;
	int			level = NewGUCNestLevel();

	compile(a->plan, a->definition);
	AtEOXact_GUC(false, level);
}

/* compile() on trial: of what the definition's statements do nothing stays but the plan. */
static void
compile_on_trial(MigPlan *p, const Definition *d)
{
	CompileArguments arguments = {p, d};
	ErrorData  *error;

	lock_named_tables(p, d);
	error = txn_trial(compile_trial, &arguments);
	if (error)
		ReThrowError(error);
	foreign_keys_lock(p);
}

MigPlan *
plan_compile(const char *name, const char *definition, const char *options, LOCKMODE lock)
{
	MigPlan    *p = palloc0(sizeof(MigPlan));
	Definition *d = definition_read(definition, options);
	char	   *subscribers;
	int			level;

	/* the user's texts are read; ours and the server's have no backslash escapes */
	level = NewGUCNestLevel();
	setting_set("standard_conforming_strings", "on");
	p->lock = lock;
	p->options = options_over(d->options, options);
	options_check(p->options, OPTIONS_START);
	plan_names(p, name, d);
	chain_begin(p, d);
	p->settings = session_settings();
	p->search_path = statement_search_path(p->schema);
	subscribers = option_text(p->options, "subscribers");
	p->subscribers_ready = subscribers && strcmp(subscribers, "ready") == 0;
	if (needs_trial(d))
		compile_on_trial(p, d);
	else
		compile(p, d);
	AtEOXact_GUC(false, level);
	return p;
}
