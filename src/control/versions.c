/*
 * versions.c
 *		Makes, closes and drops the version views of tables that a migration leaves alone.
 *
 * Owns no state: which views there are is read from the catalogs, and on what they stand from pg_depend. The tables are taken as they are when a step is
 * run, so that those which the migration's own statements make are among them.
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/sql.h"
#include "compile/view.h"
#include "control/versions.h"
#include "store/chain.h"

/* The direct dependencies of views on relations: view, relation */
#define VIEW_USES \
	"(SELECT DISTINCT r.ev_class AS view, d.refobjid AS relation FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid" \
	" WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class)"

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
		list = lappend_oid(list, (Oid) strtoul(rows->v[r][0], NULL, 10));
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

		view->relid = (Oid) strtoul(rows->v[r][0], NULL, 10);
		list = lappend(list, view);
	}
	return list;
}

/* Run statements one by one. */
static void
run_all(List *sqls)
{
	ListCell   *lc;

	foreach(lc, sqls)
	{
		CHECK_FOR_INTERRUPTS();
		(void) sql_exec(lfirst(lc));
	}
}

/* Tables of earlier active migrations: seen through their versions, and not as they are (their names go into *except). */
static List *
earlier_views(const Migration *mig, char **except)
{
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, chain_tables(chain_migrations(mig->schema, mig->name)))
	{
		const MigratedTable *t = lfirst(lc);

		if (t->mig->id > mig->id || (t->kind != TABLE_CHANGED && t->kind != TABLE_PARKED))
			continue;
		if (t->name)
			*except = array_append_name(*except, t->name);
		if (t->new_name)
			views = plain_views(views, sql_queryp("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
												  " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'v'"
												  " AND NOT EXISTS (SELECT FROM pg_class v JOIN pg_namespace s ON s.oid = v.relnamespace"
												  "  WHERE s.nspname = $3 AND v.relname = c.relname)",
												  P_text(t->mig->version_schema), P_text(t->new_name), P_text(mig->version_schema)));
	}
	return views;
}

void
versions_make_views(const char *base, const char *version, const char *except)
{
	Migration  *mig = active_migration(version);
	char	   *names = pstrdup(except);
	List	   *views = mig ? earlier_views(mig, &names) : NIL;

	views = plain_views(views, sql_queryp("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f')"
										  " AND c.relpersistence <> 't' AND c.relname <> ALL ($3::text[])"
										  " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
										  " AND NOT EXISTS (SELECT FROM pg_class v JOIN pg_namespace s ON s.oid = v.relnamespace WHERE s.nspname = $2 AND v.relname = c.relname)",
										  P_text(base), P_text(version), P_text(names)));
	run_all(view_plain_sqls(version, views));
}

List *
versions_chained_views(const char *version)
{
	return oid_list(sql_queryp("SELECT DISTINCT v.oid FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace JOIN " VIEW_USES " u ON u.view = v.oid"
							   " JOIN pg_class o ON o.oid = u.relation AND o.relkind = 'v' JOIN pg_namespace m ON m.oid = o.relnamespace"
							   " JOIN mig.version_schema s ON s.schema_name = m.nspname"
							   " WHERE n.nspname = $1 AND m.nspname <> $1 AND v.relkind = 'v' ORDER BY 1", P_text(version)));
}

char *
versions_standing_on(const char *version)
{
	return sql_textp("SELECT min(n.nspname) FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace JOIN " VIEW_USES " u ON u.view = v.oid"
					 " JOIN pg_class o ON o.oid = u.relation JOIN pg_namespace m ON m.oid = o.relnamespace"
					 " JOIN mig.version_schema s ON s.schema_name = n.nspname WHERE m.nspname = $1 AND n.nspname <> $1", P_text(version));
}

/* Close the views of an open version that is rolled back, where its clients saw another version's shape. */
static void
close_chained_views(const Migration *mig)
{
	Migration  *before = chain_predecessor(mig);
	const char *message = psprintf("version \"%s\" was rolled back", mig->version_schema);
	const char *hint = psprintf("Use schema \"%s\".", before ? before->version_schema : mig->schema);
	ListCell   *lc;

	foreach(lc, versions_chained_views(mig->version_schema))
		(void) sql_exec(view_close_existing_sql(lfirst_oid(lc), message, hint));
}

/* DROP VIEW of some views of a schema. */
static void
drop_views(const char *schema, const SqlRows *names)
{
	for (uint64 r = 0; r < names->n; r++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) sql_exec(psprintf("DROP VIEW %s", sql_qualified(schema, names->v[r][0])));
	}
}

void
versions_drop_views(const char *version)
{
	Migration  *mig = active_migration(version);

	if (mig && mig->was_ready)
		close_chained_views(mig);
	else
		drop_views(version, sql_queryp("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'v'"
									   " AND NOT EXISTS (SELECT FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
									   "  WHERE r.ev_class = c.oid AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = 'mig.closed(text, text)'::regprocedure)"
									   " ORDER BY c.relname", P_text(version)));
}

void
versions_make_current(const char *base, const char *version, const char *tables)
{
	const char *hint = psprintf("Use schema \"%s\".", version);
	SqlRows    *rows;
	ListCell   *lc;

	rows = sql_queryp("SELECT DISTINCT v.oid, n.nspname FROM pg_class t JOIN pg_namespace b ON b.oid = t.relnamespace JOIN " VIEW_USES " u ON u.relation = t.oid"
					  " JOIN pg_class v ON v.oid = u.view JOIN pg_namespace n ON n.oid = v.relnamespace JOIN mig.version_schema s ON s.schema_name = n.nspname"
					  " WHERE b.nspname = $1 AND t.relname = ANY ($3::text[]) AND n.nspname <> $2 ORDER BY 1", P_text(base), P_text(version), P_text(tables));
	for (uint64 r = 0; r < rows->n; r++)
		(void) sql_exec(view_close_existing_sql((Oid) strtoul(rows->v[r][0], NULL, 10), psprintf("version \"%s\" has ended", rows->v[r][1]), hint));
	foreach(lc, versions_chained_views(version))
		(void) sql_exec(view_on_table_sql(lfirst_oid(lc), base));
}

void
versions_drop(const char *version)
{
	drop_views(version, sql_queryp("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'v'",
								   P_text(version)));
	(void) sql_exec(psprintf("DROP SCHEMA IF EXISTS %s", quote_identifier(version)));
}
