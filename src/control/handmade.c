/*
 * handmade.c
 *		Version views follow what is done by hand to tables that no migration changes.
 *
 * A version view of such a table shows its columns under their names and nothing else, so it is told by standing directly on the table, in a version of its
 * schema, and being called like it. Before a statement that could not be done while the view is there (DROP COLUMN, ALTER TYPE, DROP TABLE, SET SCHEMA) it is
 * dropped, and made again after it; otherwise it is changed in place, so that views of the user's may stand on it. All of it is done as the superuser, since
 * the table's owner need not own the views, and only if the statement's own checks would let it pass. Locks: views before their table, as clients take them.
 */
#include "base/compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/settings.h"
#include "base/sql.h"
#include "compile/view.h"
#include "control/handmade.h"
#include "control/versions.h"
#include "store/chain.h"

/* A version view of a table, while a statement changes the table */
typedef struct VersionView
{
	Oid			oid;
	char	   *schema;
	char	   *order;			/* "{2,1}": attribute numbers of the table in the view's order, when it has been dropped */
} VersionView;

typedef struct ChangedTable
{
	Oid			relid;
	Oid			schema;			/* as it was */
	List	   *views;			/* VersionView * */
} ChangedTable;

/* What a statement does to the views of its tables */
typedef enum Effect
{
	FOLLOW_RIGHTS,				/* rights and comments change */
	FOLLOW,						/* they are changed in place */
	REPLACE						/* they are in the way */
} Effect;

struct Handmade
{
	Effect		effect;
	bool		cascade;
	List	   *relids;			/* what the statement is about */
	List	   *tables;			/* ChangedTable *: what of it has version views */
	List	   *schemas;		/* OIDs of base schemas that may have got tables */
};

/* ---- which schemas have versions ---- */

static List *versioned = NIL;	/* OIDs of base schemas; in TopMemoryContext */
static uint64 schema_changes = 1;	/* schemas made or dropped, as far as this session has heard */
static uint64 versioned_as_of = 0;	/* the list is that of so many */

/* A schema was made or dropped: look again. */
static void
forget_versioned(Datum arg, int cache, uint32 hash)
{
	schema_changes++;
}

/* Read which schemas have versions; while the extension is being made or dropped the list is empty, and not kept. */
static void
read_versioned(void)
{
	static bool registered = false;
	uint64		now;
	Oid			mig = get_namespace_oid("mig", true);
	bool		installed = OidIsValid(mig) && OidIsValid(get_extension_oid("mig_control", true)) &&
		OidIsValid(get_relname_relid("version_schema", mig));
	MemoryContext old;
	SqlRows    *rows;

	if (!registered)
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_versioned, (Datum) 0);
	registered = true;
	list_free(versioned);
	versioned = NIL;
	now = schema_changes;		/* what is heard of from here on counts as later */
	if (installed)
	{
		rows = admin_queryp("SELECT DISTINCT b.oid FROM mig.version_schema s JOIN pg_namespace b ON b.nspname = s.base_schema"
							" JOIN pg_namespace v ON v.nspname = s.schema_name WHERE $1", P_bool(true));
		old = MemoryContextSwitchTo(TopMemoryContext);
		for (uint64 r = 0; r < rows->n; r++)
			versioned = lappend_oid(versioned, sql_oid(rows->v[r][0]));
		MemoryContextSwitchTo(old);
	}
	if (installed || !OidIsValid(mig))
		versioned_as_of = now;
}

bool
handmade_concerns(Oid schema)
{
	if (versioned_as_of != schema_changes)
		read_versioned();
	return list_member_oid(versioned, schema);
}

/* ---- the views of a table ---- */

/* Statements about version views are the engine's own. */
static void
own_begin(Identity *saved)
{
	admin_begin(saved);
	settings_own(OWN_HIDDEN);
	sql_portable_texts();
	setting_set("client_min_messages", "warning");
}

/*
 * Attribute numbers of the table in a view's order; NIL when the view is not one that shows the table's columns and nothing else. A condition would be
 * the user's: such a view must not become the table owner's.
 */
static List *
view_columns(Oid view, Oid table)
{
	Relation	rel = table_open(view, AccessShareLock);
	Query	   *query = get_view_query(rel);
	bool		plain = view_query_is_auto_updatable(query, false) == NULL && query->jointree->quals == NULL;
	List	   *atts = NIL;
	ListCell   *lc;

	foreach(lc, plain ? query->targetList : NIL)
	{
		TargetEntry *entry = lfirst(lc);
		Var		   *var = (Var *) entry->expr;

		if (entry->resjunk)
			continue;
		if (!IsA(var, Var) || var->varattno <= 0 || rt_fetch(var->varno, query->rtable)->relid != table)
		{
			atts = NIL;
			break;
		}
		atts = lappend_int(atts, var->varattno);
	}
	table_close(rel, NoLock);
	return atts;
}

/* Find the version views that are called like each table and stand on it. Both in order of the tables' OIDs. */
static void
find_views(const Handmade *change, const char *relids)
{
	SqlRows    *rows = sql_queryp("SELECT DISTINCT t.oid, n.nspname, v.oid FROM pg_class t JOIN (pg_depend d JOIN pg_rewrite r ON r.oid = d.objid) ON d.refobjid = t.oid"
								  " JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v' AND v.relname = t.relname"
								  " JOIN pg_namespace n ON n.oid = v.relnamespace JOIN pg_namespace b ON b.oid = t.relnamespace"
								  " JOIN mig.version_schema s ON s.schema_name = n.nspname AND s.base_schema = b.nspname"
								  " WHERE t.oid = ANY ($1::oid[]) AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass ORDER BY 1, 2", P_text(relids));
	ListCell   *lc = list_head(change->tables);

	for (uint64 r = 0; r < rows->n; r++)
	{
		Oid			relid = sql_oid(rows->v[r][0]);
		Oid			view = sql_oid(rows->v[r][2]);
		VersionView *v;
		ChangedTable *t;

		if (view_columns(view, relid) == NIL)
			continue;			/* the user's own */
		while (((ChangedTable *) lfirst(lc))->relid != relid)
			lc = lnext(change->tables, lc);
		t = lfirst(lc);
		v = palloc0(sizeof(VersionView));
		v->schema = rows->v[r][1];
		v->oid = view;
		t->views = lappend(t->views, v);
	}
}

/* A list of numbers as an array literal. */
static char *
array_of(List *numbers)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, numbers)
		appendStringInfo(&buf, "%c%d", buf.len ? ',' : '{', lfirst_int(lc));
	appendStringInfoString(&buf, buf.len ? "}" : "{}");
	return buf.data;
}

/*
 * Views of a version whose migration began before an earlier one was completed stand on that one's: let them stand on the table, as they will in the
 * end.
 */
static void
settle_chained(const char *relids)
{
	SqlRows    *rows = sql_queryp("SELECT DISTINCT v.oid, s.base_schema FROM mig.version_schema s JOIN pg_namespace n ON n.nspname = s.schema_name"
								  " JOIN pg_namespace b ON b.nspname = s.base_schema JOIN pg_class t ON t.relnamespace = b.oid AND t.oid = ANY ($1::oid[])"
								  " JOIN pg_class v ON v.relnamespace = n.oid AND v.relname = t.relname AND v.relkind = 'v'"
								  " JOIN (pg_depend d JOIN pg_rewrite r ON r.oid = d.objid) ON r.ev_class = v.oid AND d.refobjid <> v.oid"
								  " JOIN pg_class o ON o.oid = d.refobjid AND o.relkind = 'v' AND o.relnamespace <> n.oid JOIN pg_namespace m ON m.oid = o.relnamespace"
								  " JOIN mig.version_schema f ON f.schema_name = m.nspname AND f.base_schema = s.base_schema"
								  " WHERE s.phase NOT IN ('completed', 'rolled_back')"
								  " AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass", P_text(relids));

	for (uint64 r = 0; r < rows->n; r++)
		(void) sql_exec(view_on_table_sql(sql_oid(rows->v[r][0]), rows->v[r][1]));
}

/* What stands on a view, by name; NULL: nothing. */
static char *
dependents(Oid view)
{
	return sql_textp("SELECT string_agg(DISTINCT pg_describe_object(CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END, coalesce(r.ev_class, d.objid), 0), ', ')"
					 " FROM pg_depend d LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
					 " WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'n' AND r.ev_class IS DISTINCT FROM $1", P_oid(view));
}

/* Drop the version views of a table that a statement is about to change. */
static void
drop_version_views(ChangedTable *t, bool cascade)
{
	ListCell   *lc;

	foreach(lc, t->views)
	{
		VersionView *v = lfirst(lc);
		char	   *others = cascade ? NULL : dependents(v->oid);

		if (others)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("version view %s of table \"%s\" cannot follow this change, because other objects depend on it", sql_relation_name(v->oid), get_rel_name(t->relid)),
					 errdetail("On it depends: %s.", others),
					 errhint("Drop these first, and create them again afterwards.")));
		v->order = array_of(view_columns(v->oid, t->relid));
		(void) sql_exec(psprintf("DROP VIEW %s%s", sql_relation_name(v->oid), cascade ? " CASCADE" : ""));
	}
}

/* ---- following in place ---- */

/* Let a view's columns be called like the table's. */
static int
rename_view_columns(Oid view, Oid table, List *atts)
{
	int			changes = 0;
	List	   *later = NIL;
	ListCell   *lc;

	foreach(lc, atts)
	{
		char	   *was = get_attname(view, foreach_current_index(lc) + 1, false);
		char	   *is = get_attname(table, lfirst_int(lc), false);
		char	   *temporary;

		if (strcmp(was, is) == 0)
			continue;
		/* two may have exchanged their names */
		temporary = psprintf("_mig_r%d", ++changes);
		(void) sql_exec(psprintf("ALTER VIEW %s RENAME COLUMN %s TO %s", sql_relation_name(view), quote_identifier(was), temporary));
		later = lappend(later, list_make2(temporary, is));
	}
	foreach(lc, later)
		(void) sql_exec(psprintf("ALTER VIEW %s RENAME COLUMN %s TO %s", sql_relation_name(view), (char *) linitial((List *) lfirst(lc)),
								 quote_identifier(lsecond((List *) lfirst(lc)))));
	return changes;
}

/* Append the table's columns that a view does not show. */
static int
append_view_columns(Oid view, Oid table, List *atts)
{
	char	   *sql = sql_textp("SELECT format('CREATE OR REPLACE VIEW %I.%I%s AS SELECT %s FROM %I.%I AS t', n.nspname, v.relname,"
								"  ' WITH (' || array_to_string(v.reloptions, ', ') || ')',"
								"  (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY array_position($3::int2[], a.attnum), a.attnum) FROM pg_attribute a"
								"   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT LIKE '\\_mig\\_%'), m.nspname, c.relname)"
								" FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace, pg_class c JOIN pg_namespace m ON m.oid = c.relnamespace"
								" WHERE v.oid = $1 AND c.oid = $2 AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0"
								"  AND NOT a.attisdropped AND a.attname NOT LIKE '\\_mig\\_%' AND a.attnum <> ALL ($3::int2[]))",
								P_oid(view), P_oid(table), P_text(array_of(atts)));

	if (sql)
		(void) sql_exec(sql);
	return sql ? 1 : 0;
}

/*
 * What brings views' owners, grants, comments, defaults and way to check privileges in line with their tables', for pairs of view and table: the views where that
 * takes anything, and the statements.
 */
#define PROPERTIES \
	"WITH o AS MATERIALIZED (SELECT v.oid AS view, t.oid AS tab, format('%I.%I', n.nspname, v.relname) AS name, v.relowner AS view_owner, t.relowner AS tab_owner," \
	"  v.reloptions AS options, v.relacl AS view_acl, t.relacl AS tab_acl," \
	"  EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped) AS owner_rights" \
	"  FROM unnest($1::oid[], $2::oid[]) p(v, t) JOIN pg_class v ON v.oid = p.v JOIN pg_namespace n ON n.oid = v.relnamespace JOIN pg_class t ON t.oid = p.t)," \
	" cols AS MATERIALIZED (SELECT o.*, NULL::name AS att, 0 AS view_no, 0 AS tab_no FROM o UNION ALL" \
	"  SELECT o.view, o.tab, o.name, o.view_owner, o.tab_owner, o.options, va.attacl, ta.attacl, o.owner_rights, va.attname, va.attnum, ta.attnum" \
	"  FROM o JOIN pg_attribute va ON va.attrelid = o.view AND va.attnum > 0 JOIN pg_attribute ta ON ta.attrelid = o.tab AND ta.attname = va.attname AND NOT ta.attisdropped)," \
	" has AS (SELECT c.view, c.name, c.att, x.grantee, x.privilege_type, x.is_grantable FROM cols c, aclexplode(c.view_acl) x WHERE x.grantee <> c.view_owner)," \
	" want AS (SELECT c.view, c.name, c.att, x.grantee, x.privilege_type, x.is_grantable FROM cols c, aclexplode(c.tab_acl) x WHERE x.grantee <> c.tab_owner)," \
	" gone AS (SELECT * FROM has EXCEPT SELECT * FROM want)," \
	" new AS (SELECT * FROM want EXCEPT SELECT * FROM has)," \
	" named AS (SELECT g.*, CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END AS role," \
	"   g.privilege_type || coalesce(' (' || quote_ident(g.att) || ')', '') AS what FROM (SELECT 1 AS step, * FROM gone UNION ALL SELECT 2, * FROM new) g)" \
	" SELECT view, string_agg(s, '' ORDER BY step, s) FROM (" \
	"  SELECT o.view, 0 AS step, format('ALTER VIEW %s OWNER TO %s;', o.name, o.tab_owner::regrole) AS s FROM o WHERE o.view_owner <> o.tab_owner" \
	"  UNION ALL SELECT o.view, 0, format('ALTER VIEW %s %s;', o.name, CASE WHEN o.owner_rights THEN 'RESET (security_invoker)' ELSE 'SET (security_invoker = true)' END)" \
	"   FROM o WHERE o.owner_rights = coalesce(o.options @> '{security_invoker=true}', false)" \
	"  UNION ALL SELECT g.view, 1, format('REVOKE %s ON %s FROM %s CASCADE;', g.what, g.name, g.role) FROM named g WHERE g.step = 1" \
	"  UNION ALL SELECT g.view, 2, format('GRANT %s ON %s TO %s%s;', g.what, g.name, g.role, CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END) FROM named g WHERE g.step = 2" \
	"  UNION ALL SELECT c.view, 3, format('COMMENT ON %s IS %s;', CASE WHEN c.att IS NULL THEN 'VIEW ' || c.name ELSE 'COLUMN ' || c.name || '.' || quote_ident(c.att) END," \
	"    coalesce(quote_literal(td.description), 'NULL'))" \
	"   FROM cols c LEFT JOIN pg_description vd ON vd.objoid = c.view AND vd.classoid = 'pg_class'::regclass AND vd.objsubid = c.view_no" \
	"   LEFT JOIN pg_description td ON td.objoid = c.tab AND td.classoid = 'pg_class'::regclass AND td.objsubid = c.tab_no" \
	"   WHERE vd.description IS DISTINCT FROM td.description" \
	"  UNION ALL SELECT c.view, 4, format('ALTER VIEW %s ALTER COLUMN %I %s;', c.name, c.att, coalesce('SET DEFAULT ' || pg_get_expr(td.adbin, td.adrelid), 'DROP DEFAULT'))" \
	"   FROM cols c LEFT JOIN pg_attrdef vd ON vd.adrelid = c.view AND vd.adnum = c.view_no" \
	"   LEFT JOIN (pg_attrdef td JOIN pg_attribute ta ON ta.attrelid = td.adrelid AND ta.attnum = td.adnum AND ta.attgenerated = '')" \
	"    ON td.adrelid = c.tab AND td.adnum = c.tab_no" \
	"   WHERE c.att IS NOT NULL AND pg_get_expr(vd.adbin, vd.adrelid) IS DISTINCT FROM pg_get_expr(td.adbin, td.adrelid)) x GROUP BY view ORDER BY view"

/* Bring rights, comments and defaults of views in line with their tables'; the views that were changed. */
static List *
follow_rights(List *views, List *tables)
{
	SqlRows    *rows = sql_queryp(PROPERTIES, P_text(oids_literal(views)), P_text(oids_literal(tables)));
	List	   *changed = NIL;

	for (uint64 r = 0; r < rows->n; r++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) sql_exec(rows->v[r][1]);
		changed = lappend_oid(changed, sql_oid(rows->v[r][0]));
	}
	return changed;
}

/* Bring the columns and the name of a version view in line with its table; returns whether that took anything. */
static bool
follow_columns(Oid view, Oid table)
{
	List	   *atts = view_columns(view, table);
	int			changes;

	changes = rename_view_columns(view, table, atts);
	if (strcmp(get_rel_name(view), get_rel_name(table)) != 0)
	{
		changes++;
		(void) sql_exec(psprintf("ALTER VIEW %s RENAME TO %s", sql_relation_name(view), quote_identifier(get_rel_name(table))));
	}
	return changes + append_view_columns(view, table, atts) > 0;
}

/* ---- statements ---- */

/* Note that a statement changes a table, and those that inherit from it. */
static void
add_table(Handmade *change, Oid relid, Effect effect)
{
	char		kind = OidIsValid(relid) ? get_rel_relkind(relid) : 0;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_FOREIGN_TABLE)
		return;
	change->effect = Max(change->effect, effect);
	if (has_subclass(relid))
		change->relids = list_concat_unique_oid(change->relids, find_all_inheritors(relid, NoLock, NULL));
	else if (handmade_concerns(get_rel_namespace(relid)))
		change->relids = lappend_oid(change->relids, relid);
}

/* The table of a name, if the current user may change it: otherwise the statement itself says so. */
static Oid
own_table(const RangeVar *name)
{
	Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	return OidIsValid(relid) && mig_relation_ownercheck(relid, GetUserId()) ? relid : InvalidOid;
}

/* ALTER TABLE: what do its commands do to columns and rights? */
static void
begin_alter(Handmade *change, const AlterTableStmt *stmt)
{
	Oid			relid = own_table(stmt->relation);
	bool		concerns = false;
	Effect		effect = FOLLOW;
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableType type = lfirst_node(AlterTableCmd, lc)->subtype;

		if (type == AT_DropColumn || type == AT_AlterColumnType)
			effect = REPLACE;
		concerns = concerns || effect == REPLACE || type == AT_AddColumn || type == AT_ColumnDefault || type == AT_ChangeOwner || type == AT_EnableRowSecurity;
	}
	if (concerns)
		add_table(change, relid, effect);
}

/* The base schema a table is to be made in. */
static void
begin_create(Handmade *change, RangeVar *relation)
{
	Oid			schema;

	if (relation == NULL || relation->relpersistence == RELPERSISTENCE_TEMP)
		return;
	schema = relation->schemaname ? get_namespace_oid(relation->schemaname, true) : InvalidOid;
	if (relation->schemaname == NULL)
	{
		List	   *path = fetch_search_path(false);

		schema = path ? linitial_oid(path) : InvalidOid;
	}
	if (OidIsValid(schema) && handmade_concerns(schema))
		change->schemas = list_append_unique_oid(change->schemas, schema);
}

/* The table of a name, if the current user may grant anything on it or its columns. */
static Oid
grantable_table(const RangeVar *name)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);
	AclMode		any = ACL_GRANT_OPTION_FOR(ACL_ALL_RIGHTS_RELATION);

	if (OidIsValid(relid) && (pg_class_aclmask(relid, GetUserId(), any, ACLMASK_ANY) != 0 ||
							  pg_attribute_aclcheck_all(relid, GetUserId(), ACL_GRANT_OPTION_FOR(ACL_ALL_RIGHTS_COLUMN), ACLMASK_ANY) == ACLCHECK_OK))
		return relid;
	return InvalidOid;
}

/* GRANT and REVOKE on tables. */
static void
begin_grant(Handmade *change, const GrantStmt *stmt)
{
	ListCell   *lc;

	if (stmt->objtype != OBJECT_TABLE)
		return;
	foreach(lc, stmt->objects)
	{
		Oid			schema;
		SqlRows    *rows;

		if (stmt->targtype == ACL_TARGET_OBJECT)
		{
			add_table(change, grantable_table(lfirst(lc)), FOLLOW_RIGHTS);
			continue;
		}
		schema = stmt->targtype == ACL_TARGET_ALL_IN_SCHEMA ? get_namespace_oid(strVal(lfirst(lc)), true) : InvalidOid;
		if (!OidIsValid(schema) || !handmade_concerns(schema))
			continue;
		rows = admin_queryp("SELECT oid FROM pg_class WHERE relnamespace = $1 AND relkind IN ('r', 'p', 'f') ORDER BY oid", P_oid(schema));
		for (uint64 r = 0; r < rows->n; r++)
			add_table(change, sql_oid(rows->v[r][0]), FOLLOW_RIGHTS);
	}
}

/* COMMENT ON TABLE and COLUMN. */
static void
begin_comment(Handmade *change, const CommentStmt *stmt)
{
	List	   *name = (List *) stmt->object;

	if (stmt->objtype != OBJECT_TABLE && stmt->objtype != OBJECT_COLUMN)
		return;
	if (stmt->objtype == OBJECT_COLUMN)
		name = list_truncate(list_copy(name), list_length(name) - 1);
	if (name)
		add_table(change, own_table(makeRangeVarFromNameList(name)), FOLLOW_RIGHTS);
}

/* DROP TABLE. */
static void
begin_drop(Handmade *change, const DropStmt *stmt)
{
	ListCell   *lc;

	if (stmt->removeType == OBJECT_TABLE || stmt->removeType == OBJECT_FOREIGN_TABLE)
		foreach(lc, stmt->objects)
			add_table(change, own_table(makeRangeVarFromNameList(lfirst(lc))), REPLACE);
	change->cascade = stmt->behavior == DROP_CASCADE;
}

/* SET SCHEMA: the table leaves the versions of one schema and enters those of another. */
static void
begin_move(Handmade *change, const AlterObjectSchemaStmt *stmt)
{
	Oid			schema = get_namespace_oid(stmt->newschema, true);

	if (stmt->objectType != OBJECT_TABLE && stmt->objectType != OBJECT_FOREIGN_TABLE)
		return;
	add_table(change, own_table(stmt->relation), REPLACE);
	if (OidIsValid(schema) && handmade_concerns(schema))
		change->schemas = list_append_unique_oid(change->schemas, schema);
}

/* RENAME of a table or a column. */
static void
begin_rename(Handmade *change, const RenameStmt *stmt)
{
	if (stmt->renameType == OBJECT_TABLE || stmt->renameType == OBJECT_FOREIGN_TABLE ||
		(stmt->renameType == OBJECT_COLUMN && (stmt->relationType == OBJECT_TABLE || stmt->relationType == OBJECT_FOREIGN_TABLE)))
		add_table(change, own_table(stmt->relation), FOLLOW);
}

/* Find out what a statement changes. */
static void
begin_statement(Handmade *change, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			begin_alter(change, (AlterTableStmt *) stmt);
			break;
		case T_RenameStmt:
			begin_rename(change, (RenameStmt *) stmt);
			break;
		case T_DropStmt:
			begin_drop(change, (DropStmt *) stmt);
			break;
		case T_AlterObjectSchemaStmt:
			begin_move(change, (AlterObjectSchemaStmt *) stmt);
			break;
		case T_GrantStmt:
			begin_grant(change, (GrantStmt *) stmt);
			break;
		case T_CommentStmt:
			begin_comment(change, (CommentStmt *) stmt);
			break;
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			begin_create(change, ((CreateStmt *) stmt)->relation);
			break;
		case T_CreateTableAsStmt:
			if (((CreateTableAsStmt *) stmt)->objtype == OBJECT_TABLE)
				begin_create(change, ((CreateTableAsStmt *) stmt)->into->rel);
			break;
		default:
			break;
	}
}

/* List the tables that no migration changes. */
static void
list_tables(Handmade *change)
{
	List	   *migrating = NIL;
	ListCell   *lc;

	foreach(lc, chain_tables(migrations_active()))
		if (((MigratedTable *) lfirst(lc))->kind == TABLE_CHANGED)
			migrating = lappend_oid(migrating, ((MigratedTable *) lfirst(lc))->relid);
	list_sort(change->relids, list_oid_cmp);
	list_deduplicate_oid(change->relids);
	foreach(lc, change->relids)
	{
		ChangedTable *t;

		if (!handmade_concerns(get_rel_namespace(lfirst_oid(lc))) || list_member_oid(migrating, lfirst_oid(lc)))
		{
			change->relids = foreach_delete_current(change->relids, lc);
			continue;
		}
		t = palloc0(sizeof(ChangedTable));
		t->relid = lfirst_oid(lc);
		t->schema = get_rel_namespace(t->relid);
		change->tables = lappend(change->tables, t);
	}
}

/* Find the views, and drop those in the way, or lock those that follow before the statement locks their tables. */
static void
prepare(Handmade *change)
{
	Identity	saved;
	char	   *relids;
	ListCell   *lc;
	ListCell   *vc;

	own_begin(&saved);
	list_tables(change);		/* from here on, relids are those of the tables */
	relids = oids_literal(change->relids);
	settle_chained(relids);
	find_views(change, relids);
	foreach(lc, change->tables)
	{
		ChangedTable *t = lfirst(lc);

		if (change->effect == REPLACE)
			drop_version_views(t, change->cascade);
		else
			foreach(vc, change->effect == FOLLOW ? t->views : NIL)
				LockRelationOid(((VersionView *) lfirst(vc))->oid, AccessExclusiveLock);
	}
	identity_end(&saved);
}

Handmade *
handmade_begin(Node *stmt)
{
	Handmade   *change = palloc0(sizeof(Handmade));

	if (creating_extension || XactReadOnly)	/* the statement itself says that it is refused */
		return NULL;
	begin_statement(change, stmt);
	if (change->relids == NIL && change->schemas == NIL)
		return NULL;
	if (change->relids)
		prepare(change);
	return change;
}

/* Make a table's dropped views again, in their versions' order of columns. */
static void
make_again(const ChangedTable *t)
{
	ListCell   *lc;

	foreach(lc, t->views)
	{
		VersionView *v = lfirst(lc);
		PlainView	plain = {t->relid, v->order};

		(void) sql_exec(linitial(view_plain_sqls(v->schema, list_make1(&plain))));
	}
}

/* Let the views of tables follow them. */
static void
end_tables(const Handmade *change)
{
	List	   *views = NIL;
	List	   *tables = NIL;
	List	   *left = NIL;
	ListCell   *lc;
	ListCell   *vc;

	foreach(lc, change->tables)
	{
		const ChangedTable *t = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (get_rel_name(t->relid) == NULL || get_rel_namespace(t->relid) != t->schema)
			continue;
		left = lappend_oid(left, t->relid);
		foreach(vc, change->effect == REPLACE ? NIL : t->views)
		{
			VersionView *v = lfirst(vc);

			if (change->effect == FOLLOW)
				(void) follow_columns(v->oid, t->relid);
			views = lappend_oid(views, v->oid);
			tables = lappend_oid(tables, t->relid);
		}
		if (change->effect == REPLACE)
			make_again(t);
	}
	view_check_rights(oids_literal(left));
	if (views)
		(void) follow_rights(views, tables);
}

/* Make the views of new tables in the versions that are in use: the current one and those of active migrations. */
static int
make_new_views(const char *base)
{
	SqlRows    *rows = admin_queryp("SELECT s.schema_name FROM mig.version_schema s JOIN pg_namespace n ON n.nspname = s.schema_name"
									" JOIN mig.migration m ON m.id = s.migration_id AND m.version_schema = s.schema_name WHERE s.base_schema = $1"
									" AND (s.phase NOT IN ('planned', 'completed', 'rolled_back') OR m.id = (SELECT max(c.migration_id) FROM mig.version_schema c"
									"  WHERE c.base_schema = $1 AND c.phase = 'completed')) ORDER BY s.migration_id", P_text(base));
	int			made = 0;

	for (uint64 r = 0; r < rows->n; r++)
		made += versions_make_views(base, rows->v[r][0], "{}");
	return made;
}

void
handmade_end(Handmade *change)
{
	Identity	saved;
	ListCell   *lc;

	CommandCounterIncrement();
	own_begin(&saved);
	if (change->tables)
		end_tables(change);
	foreach(lc, change->schemas)
		(void) make_new_views(get_namespace_name(lfirst_oid(lc)));
	identity_end(&saved);
}

int
handmade_refresh(const char *base)
{
	Identity	saved;
	List	   *views = NIL;
	List	   *tables = NIL;
	List	   *changed = NIL;
	int			made;
	SqlRows    *rows;

	own_begin(&saved);
	/* those that show a table's columns, under whatever name */
	rows = sql_queryp("SELECT DISTINCT t.oid, v.oid FROM pg_class t JOIN pg_namespace b ON b.oid = t.relnamespace"
					  " JOIN (pg_depend d JOIN pg_rewrite r ON r.oid = d.objid) ON d.refobjid = t.oid"
					  " JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v' JOIN pg_namespace n ON n.oid = v.relnamespace"
					  " JOIN mig.version_schema s ON s.schema_name = n.nspname AND s.base_schema = b.nspname WHERE b.nspname = $1 AND t.relkind IN ('r', 'p', 'f')"
					  " AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass"
					  " AND (v.relname = t.relname OR NOT EXISTS (SELECT FROM pg_class x WHERE x.relnamespace = v.relnamespace AND x.relname = t.relname))"
					  " ORDER BY 1, 2", P_text(base));
	for (uint64 r = 0; r < rows->n; r++)
	{
		Oid			table = sql_oid(rows->v[r][0]);
		Oid			view = sql_oid(rows->v[r][1]);

		CHECK_FOR_INTERRUPTS();
		if (chain_changing(table) || view_columns(view, table) == NIL)
			continue;
		if (follow_columns(view, table))
			changed = lappend_oid(changed, view);
		views = lappend_oid(views, view);
		tables = lappend_oid(tables, table);
	}
	view_check_rights(oids_literal(tables));
	changed = list_union_oid(changed, follow_rights(views, tables));
	made = make_new_views(base);
	identity_end(&saved);
	return list_length(changed) + made;
}
