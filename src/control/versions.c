/*
 * versions.c
 *		Makes, closes and drops the version views of tables that a migration leaves alone.
 *
 * Owns no state: which views there are is read from the catalogs, and on what they stand from pg_depend. The tables are taken as they are when a step is
 * run, so that those which the migration's own statements make are among them.
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "base/settings.h"
#include "base/sql.h"
#include "compile/view.h"
#include "control/versions.h"
#include "store/chain.h"

/* Part of a FROM clause: view r.ev_class stands on relation d.refobjid */
#define VIEW_USES \
	"pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class"

/* The active migration of a version schema, NULL if it has none. */
static Migration *
active_migration(const char *version)
{
	ListCell   *lc;

	foreach(lc, migrations_active())
		if (strcmp(((Migration *) lfirst(lc))->version_schema, version) == 0)
			return lfirst(lc);
	return NULL;
}

/* The first column of some rows, as OIDs. */
static List *
oid_list(const SqlRows *rows)
{
	List	   *list = NIL;

	for (uint64 r = 0; r < rows->n; r++)
		list = lappend_oid(list, sql_oid(rows->v[r][0]));
	return list;
}

/* An array literal with one more name. */
static char *
array_append_name(const char *array, const char *name)
{
	return sql_textp("SELECT ($1::text[] || $2)::text", P_text(array), P_text(name));
}

/* Relations to be shown by plain views, as PlainView *. */
static List *
plain_views(List *list, const SqlRows *rows)
{
	for (uint64 r = 0; r < rows->n; r++)
	{
		PlainView  *view = palloc0(sizeof(PlainView));

		view->relid = sql_oid(rows->v[r][0]);
		list = lappend(list, view);
	}
	return list;
}

/* Run statements one by one. */
static void
run_all(List *sqls)
{
	int			level = NewGUCNestLevel();
	ListCell   *lc;

	settings_own(OWN_HIDDEN);
	foreach(lc, sqls)
	{
		CHECK_FOR_INTERRUPTS();
		(void) sql_exec(lfirst(lc));
	}
	AtEOXact_GUC(false, level);
}

/* The views of a version in which an earlier migration's shows a table, if this version has no view of that name yet. */
static List *
view_over(List *views, const MigratedTable *t, const char *version)
{
	return plain_views(views, sql_queryp("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
										 " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'v'"
										 " AND NOT EXISTS (SELECT FROM pg_class v JOIN pg_namespace s ON s.oid = v.relnamespace"
										 "  WHERE s.nspname = $3 AND v.relname = c.relname)",
										 P_text(t->mig->version_schema), P_text(t->new_name), P_text(version)));
}

/*
 * Tables of active migrations. What a later one creates is not shown, nor is what this one changes: its steps do that. What an earlier one changes is seen
 * through that one's version. *except gets the names of tables that are not shown as they are.
 */
static List *
views_of_migrated(const char *base, const char *version, char **except)
{
	Migration  *mig = active_migration(version);
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, chain_tables(chain_migrations(base, NULL)))
	{
		const MigratedTable *t = lfirst(lc);

		if (mig == NULL || t->mig->id > mig->id)
		{
			if (t->kind == TABLE_CREATED)
				*except = array_append_name(*except, t->new_name);
			continue;
		}
		if (t->kind == TABLE_CHANGED)
			*except = array_append_name(*except, t->name);
		if (t->mig->id < mig->id && t->new_name && (t->kind == TABLE_CHANGED || t->kind == TABLE_PARKED))
			views = view_over(views, t, version);
	}
	return views;
}

/*
 * A partition or child of a table that this version, or one on which it stands, converts would show the old version's values, and take them: the version shows it
 * closed, until the swap.
 */
static void
close_parts(const Migration *mig, const char *version)
{
	SqlRows    *rows = admin_queryp("WITH RECURSIVE f AS (SELECT i.inhrelid AS oid, t.new_name AS top FROM mig.migration m JOIN mig.migrated_table t ON t.migration_id = m.id AND t.kind = 'changed'"
									"  JOIN pg_inherits i ON i.inhparent = t.relid WHERE m.id <= $1 AND m.phase NOT IN ('completed', 'rolled_back')"
									"   AND m.schema_name = (SELECT schema_name FROM mig.migration WHERE id = $1) AND EXISTS (SELECT FROM mig.step s"
									"   WHERE s.migration_id = m.id AND s.relid = t.relid AND s.phase = 'expand' AND s.sql LIKE 'ALTER TABLE % ADD COLUMN \\_mig\\_%')"
									"  UNION SELECT i.inhrelid, f.top FROM pg_inherits i JOIN f ON f.oid = i.inhparent)"
									" SELECT v.oid, c.relname, f.top FROM f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.nspname = $2"
									" JOIN pg_class v ON v.relnamespace = n.oid AND v.relname = c.relname AND v.relkind = 'v'"
									" WHERE EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid WHERE r.ev_class = v.oid AND d.refobjid = c.oid) ORDER BY 1",
									P_int8(mig->id), P_text(version));
	List	   *sqls = NIL;

	for (uint64 r = 0; r < rows->n; r++)
		sqls = lappend(sqls, view_close_existing_sql(sql_oid(rows->v[r][0]), psprintf("\"%s\" is a part of \"%s\", which version \"%s\" converts", rows->v[r][1], rows->v[r][2], version),
													 psprintf("Use \"%s\", or the former version, until migration \"%s\" is completed.", rows->v[r][2], mig->name)));
	run_all(sqls);
}

int
versions_make_views(const char *base, const char *version, const char *except)
{
	char	   *names = pstrdup(except);
	List	   *views = views_of_migrated(base, version, &names);

	views = plain_views(views, sql_queryp("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f')"
										  " AND c.relpersistence <> 't' AND c.relname <> ALL ($3::text[])"
										  " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
										  " AND NOT EXISTS (SELECT FROM pg_class v JOIN pg_namespace s ON s.oid = v.relnamespace WHERE s.nspname = $2 AND v.relname = c.relname)",
										  P_text(base), P_text(version), P_text(names)));
	run_all(view_plain_sqls(version, views));
	if (active_migration(version))
		close_parts(active_migration(version), version);
	return list_length(views);
}

List *
versions_chained_views(const char *version)
{
	return oid_list(sql_queryp("SELECT DISTINCT v.oid FROM pg_namespace n JOIN pg_class v ON v.relnamespace = n.oid JOIN (" VIEW_USES ") ON r.ev_class = v.oid"
							   " JOIN pg_class o ON o.oid = d.refobjid AND o.relkind = 'v' JOIN pg_namespace m ON m.oid = o.relnamespace"
							   " JOIN mig.version_schema s ON s.schema_name = m.nspname"
							   " WHERE n.nspname = $1 AND m.nspname <> $1 AND v.relkind = 'v' ORDER BY 1", P_text(version)));
}

List *
versions_closed_views(const char *version)
{
	return oid_list(sql_queryp("SELECT DISTINCT v.oid FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class"
							   " WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_proc'::regclass"
							   " AND d.refobjid = 'mig.closed(text, text)'::regprocedure AND v.relnamespace = to_regnamespace(quote_ident($1)) ORDER BY 1",
							   P_text(version)));
}

List *
versions_views_on(Oid table, bool users)
{
	return oid_list(admin_queryp("WITH RECURSIVE v(oid, level) AS (SELECT DISTINCT r.ev_class, 1 FROM " VIEW_USES " WHERE d.refobjid = $1"
								 " UNION SELECT r.ev_class, v.level + 1 FROM v JOIN (" VIEW_USES ") ON d.refobjid = v.oid WHERE v.level < 10)"
								 " SELECT v.oid FROM v JOIN pg_class c ON c.oid = v.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
								 " WHERE c.relkind = 'v' AND ($2 OR n.nspname LIKE '\\_mig\\_%' OR n.nspname IN (SELECT schema_name FROM mig.version_schema))"
								 " GROUP BY v.oid ORDER BY max(v.level) DESC, v.oid", P_oid(table), P_bool(users)));
}

char *
versions_standing_on(const char *version)
{
	return sql_textp("SELECT min(n.nspname) FROM pg_namespace m JOIN pg_class o ON o.relnamespace = m.oid JOIN (" VIEW_USES ") ON d.refobjid = o.oid"
					 " JOIN pg_class v ON v.oid = r.ev_class JOIN pg_namespace n ON n.oid = v.relnamespace"
					 " JOIN mig.version_schema s ON s.schema_name = n.nspname WHERE m.nspname = $1 AND n.nspname <> $1", P_text(version));
}

/* The views of an open version that cannot outlive it: on another version's, and on what the migration has created; all: every one that is open. */
static List *
views_to_close(const Migration *mig, bool all)
{
	List	   *views = all ? versions_open_views(mig->version_schema) : versions_chained_views(mig->version_schema);
	Oid			schema = get_namespace_oid(mig->version_schema, true);
	ListCell   *lc;

	foreach(lc, all ? NIL : chain_tables(list_make1(unconstify(Migration *, mig))))
	{
		const MigratedTable *t = lfirst(lc);
		Oid			view = t->kind == TABLE_CREATED || t->kind == TABLE_PARKED ? get_relname_relid(t->new_name, schema) : InvalidOid;

		if (OidIsValid(view))
			views = list_append_unique_oid(views, view);
	}
	return views;
}

/* Close those views of a version that is rolled back. */
static void
close_views(const Migration *mig, bool all)
{
	Migration  *before = chain_predecessor(mig);
	const char *message = psprintf("version \"%s\" was rolled back", mig->version_schema);
	const char *hint = psprintf("Use schema \"%s\".", before ? before->version_schema : mig->schema);
	ListCell   *lc;

	foreach(lc, views_to_close(mig, all))
		(void) sql_exec(view_close_existing_sql(lfirst_oid(lc), message, hint));
}

/* All views of a schema. */
static List *
views_in(const char *schema)
{
	return oid_list(sql_queryp("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'v'"
							   " ORDER BY c.relname", P_text(schema)));
}

List *
versions_open_views(const char *version)
{
	return list_difference_oid(views_in(version), versions_closed_views(version));
}

/* DROP VIEW of each of some views. */
static void
drop_views(List *views)
{
	ListCell   *lc;

	foreach(lc, views)
	{
		CHECK_FOR_INTERRUPTS();
		(void) sql_exec(psprintf("DROP VIEW %s", sql_relation_name(lfirst_oid(lc))));
	}
}

void
versions_drop_views(const char *version, bool all)
{
	Migration  *mig = active_migration(version);

	if (mig && mig->was_ready)
		close_views(mig, all);
	else
		drop_views(versions_open_views(version));
}

/* Tables of a base schema ($1) by name ($2), with all that is below them: f (oid) */
#define FAMILIES \
	"WITH RECURSIVE f AS (SELECT t.oid FROM pg_class t JOIN pg_namespace b ON b.oid = t.relnamespace WHERE b.nspname = $1 AND t.relname = ANY ($2::text[])" \
	" UNION SELECT i.inhrelid FROM pg_inherits i JOIN f ON f.oid = i.inhparent) "

/* The parts of converted tables are shown again: as they will be. */
static void
open_parts(const char *base, const char *version, const char *tables)
{
	List	   *closed = versions_closed_views(version);
	SqlRows    *rows = sql_queryp(FAMILIES "SELECT v.oid, c.oid FROM f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace b ON b.oid = c.relnamespace AND b.nspname = $1"
								  " JOIN pg_namespace n ON n.nspname = $3 JOIN pg_class v ON v.relnamespace = n.oid AND v.relname = c.relname AND v.relkind = 'v'"
								  " WHERE c.relname <> ALL ($2::text[]) ORDER BY 1", P_text(base), P_text(tables), P_text(version));

	for (uint64 r = 0; r < rows->n; r++)
		if (list_member_oid(closed, sql_oid(rows->v[r][0])))
		{
			(void) sql_exec(psprintf("DROP VIEW %s", sql_relation_name(sql_oid(rows->v[r][0]))));
			(void) sql_exec(view_plain_sql(version, sql_oid(rows->v[r][1])));
		}
}

void
versions_make_current(const char *base, const char *version, const char *tables)
{
	const char *hint = psprintf("Use schema \"%s\".", version);
	SqlRows    *rows;
	ListCell   *lc;

	rows = sql_queryp(FAMILIES "SELECT DISTINCT v.oid, n.nspname FROM f JOIN (" VIEW_USES ") ON d.refobjid = f.oid"
					  " JOIN pg_class v ON v.oid = r.ev_class JOIN pg_namespace n ON n.oid = v.relnamespace JOIN mig.version_schema s ON s.schema_name = n.nspname"
					  " WHERE n.nspname <> $3 AND s.base_schema = $1 ORDER BY 1", P_text(base), P_text(tables), P_text(version));
	for (uint64 r = 0; r < rows->n; r++)
		(void) sql_exec(view_close_existing_sql(sql_oid(rows->v[r][0]), psprintf("version \"%s\" has ended", rows->v[r][1]), hint));
	foreach(lc, versions_chained_views(version))
		(void) sql_exec(view_on_table_sql(lfirst_oid(lc), base));
	open_parts(base, version, tables);
}

void
versions_drop(const char *version)
{
	drop_views(views_in(version));
	(void) sql_exec(psprintf("DROP SCHEMA IF EXISTS %s", quote_identifier(version)));
}

void
versions_free_type(Oid type)
{
	SqlRows    *rows = sql_queryp("SELECT DISTINCT c.oid FROM mig.version_schema s JOIN pg_namespace n ON n.nspname = s.schema_name"
								  " JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'v' JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
								  " JOIN pg_type y ON y.oid = a.atttypid WHERE $1 IN (y.oid, y.typelem) ORDER BY 1", P_oid(type));

	for (uint64 r = 0; r < rows->n; r++)
	{
		char	   *sql = view_free_type_sql(sql_oid(rows->v[r][0]), type);

		if (sql)
			(void) sql_exec(sql);
	}
}
