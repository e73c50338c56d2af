/*
 * plan_statement.c
 *		The definition's own statements: what is run as it is written, in expand or in the swap.
 *
 * Owns no state. Statements of expand are run on trial here, in the subtransaction of plan_compile(): what comes after them in the definition finds what they
 * make. A table whose name is still another one's, which the migration renames or drops, waits in the hidden schema ("parked").
 */
#include "base/compat.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "compile/plan_statement.h"
#include "compile/plan_steps.h"

Table *
plan_known_table(const MigPlan *plan, Oid relid)
{
	ListCell   *lc;

	foreach(lc, plan->tables)
		if (((Table *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	return NULL;
}

/* ---- text and settings ---- */

char *
statement_search_path(const char *schema)
{
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	appendStringInfoString(&path, quote_identifier(schema));
	foreach(lc, fetch_search_path(false))
	{
		char	   *other = get_namespace_name(lfirst_oid(lc));

		if (other && lfirst_oid(lc) != PG_CATALOG_NAMESPACE && !isAnyTempNamespace(lfirst_oid(lc)) && strcmp(other, schema) != 0)
			appendStringInfo(&path, ", %s", quote_identifier(other));
	}
	return path.data;
}

/* The search_path of one statement. */
static char *
path_of(const MigPlan *p, const Statement *st)
{
	return st->parked ? psprintf("%s, %s", quote_identifier(p->inner_schema), p->search_path) : p->search_path;
}

/* A text that ends in a comment gets a newline before the semicolon. */
char *
statement_sql(const MigPlan *p, const Statement *st, const char *sql)
{
	return psprintf("SET LOCAL search_path = %s;\n%s%s;\nSET LOCAL search_path = pg_catalog, pg_temp", path_of(p, st), sql, strstr(sql, "--") ? "\n" : "");
}

/* Append an operation's statement to a list of them. */
static Statement *
add_statement(MigPlan *p, List **list, const Operation *op)
{
	Statement  *st = palloc0(sizeof(Statement));

	st->sql = op->sql;
	st->parked = op->table && name_in(p->parked, op->table);
	*list = lappend(*list, st);
	return st;
}

/* Run a statement on trial. */
static void
try_statement(const MigPlan *p, const Statement *st)
{
	int			level = NewGUCNestLevel();

	setting_set("search_path", path_of(p, st));
	settings_own(OWN_HIDDEN);
	setting_set("lock_timeout", psprintf("%dms", mig_lock_timeout));
	(void) sql_exec(st->sql);
	AtEOXact_GUC(false, level);
}

/* ---- tables ---- */

/* The schema in which a created table is, while the plan is made. */
static char *
created_schema(const MigPlan *p, const char *name)
{
	return name_in(p->parked, name) ? p->inner_schema : p->schema;
}

/* The OID of a table that the definition has created, InvalidOid if it is gone or never was. */
static Oid
created_relid(const MigPlan *p, const char *name)
{
	Oid			schema = get_namespace_oid(created_schema(p, name), true);

	if (!OidIsValid(schema) || !name_in(p->created, name))
		return InvalidOid;
	return get_relname_relid(name, schema);
}

bool
plan_has_created(const MigPlan *p, const char *name)
{
	return OidIsValid(created_relid(p, name));
}

/* Refuse a statement for another schema. */
static void
check_schema(const MigPlan *p, const Operation *op)
{
	if (op->schema && strcmp(op->schema, p->schema) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s.%s\" is not in schema \"%s\"", op->schema, op->table, p->schema),
				 errdetail("A migration makes tables in one schema."),
				 errhint("Give options {\"schema\": \"%s\"}, or make a migration for each schema.", op->schema),
				 source_position(op->source, op->location)));
}

/* A name is still that of a table which the migration renames or drops: one created under it has to wait. */
static void
park_name(MigPlan *p, const char *name)
{
	Oid			other = get_relname_relid(name, get_namespace_oid(p->schema, false));
	Table	   *former = OidIsValid(other) ? plan_known_table(p, other) : NULL;

	if (former == NULL || name_in(p->parked, name) || (!former->dropped && strcmp(former->new_name, name) == 0))
		return;
	if (p->parked == NIL)
		(void) sql_exec(psprintf("CREATE SCHEMA %s", quote_identifier(p->inner_schema)));
	p->parked = lappend(p->parked, pstrdup(name));
}

void
plan_create_table(MigPlan *p, const Operation *op)
{
	Statement  *st;

	check_schema(p, op);
	park_name(p, op->table);
	st = add_statement(p, &p->early, op);
	st->relation = sql_qualified(p->schema, op->table);
	p->created = lappend(p->created, op->table);
	try_statement(p, st);
}

/* ---- other statements ---- */

/* A created table gets another name, maybe one that it has to wait for. */
static void
rename_created(MigPlan *p, Statement *st, char *new_name)
{
	const char *schema = quote_identifier(p->inner_schema);

	p->created = lappend(p->created, new_name);
	if (st->parked && !name_in(p->parked, new_name))
		p->parked = lappend(p->parked, new_name);
	if (st->parked)
		return;
	park_name(p, new_name);
	if (!name_in(p->parked, new_name))
		return;
	st->sql = psprintf("ALTER TABLE %s SET SCHEMA %s;\n%s", st->relation, schema, st->sql);
	st->parked = true;
}

void
plan_plain_statement(MigPlan *p, const Operation *op)
{
	Statement  *st;

	check_schema(p, op);
	st = add_statement(p, &p->early, op);
	if (op->table == NULL)
		st->undo = op->undo;
	else
		st->relation = sql_qualified(p->schema, op->table);
	if (op->table && op->new_name)
		rename_created(p, st, op->new_name);
	try_statement(p, st);
}

void
plan_sql_statement(MigPlan *p, const Operation *op)
{
	add_statement(p, &p->early, op)->undo = op->undo;
}

void
plan_late_statement(MigPlan *p, const Operation *op)
{
	(void) add_statement(p, &p->late, op);
}

/* All created tables go first, and in one statement: they may refer to one another, and use what else was made. */
void
plan_finish_statements(MigPlan *p)
{
	StringInfoData names;
	Statement  *last;
	List	   *done = NIL;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, p->created)
	{
		const char *name = lfirst(lc);

		if (plan_has_created(p, name) && !name_in(done, name))
			appendStringInfo(&names, "%s%s", names.len ? ", " : "", sql_qualified(created_schema(p, name), name));
		done = lappend(done, unconstify(char *, name));
	}
	if (names.len == 0)
		return;
	last = llast(p->early);
	last->undo = psprintf("DROP TABLE IF EXISTS %s%s%s", names.data, last->undo ? ";\n" : "", last->undo ? last->undo : "");
}
