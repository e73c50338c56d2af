/*
 * view.c
 *		SQL of version views, derived from shapes and catalogs.
 *
 * A version view carries its table's grants. It is security_invoker, so that the table's own grants and row-level security decide; where the table has column
 * grants it runs with its owner's rights and has the same column grants, because an invoker's check covers every column that a view names.
 */
#include "base/compat.h"

#include "access/relation.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/sql.h"
#include "compile/view.h"
#include "store/transform.h"

/* How a table's views check privileges */
typedef struct ViewRights
{
	bool		owner_rights;	/* the table has column grants */
	char	   *owner;			/* to be made the view's owner; NULL: stays who runs it */
} ViewRights;

/* Which defaults a version view gets */
typedef enum DefaultsWanted
{
	DEFAULTS_OF_VERSION,		/* those of the new version */
	DEFAULTS_OF_TABLE,			/* from these to what the table has after the swap */
	DEFAULTS_NONE				/* from these to none */
} DefaultsWanted;

/* Neither way can do both. */
static void
refuse_rights(const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" has both column grants and row-level security", table),
			 errdetail("A view can enforce one of them for its users, not both."),
			 errhint("Replace the column grants by table grants first, or the policies.")));
}

/* Decide a table's view rights; refuse what neither way can do. */
static ViewRights
view_rights(Oid relid)
{
	ViewRights	rights;
	SqlRows    *rows = sql_queryp("SELECT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped),"
								  " c.relrowsecurity, CASE WHEN c.relowner::regrole::text <> current_user::regrole::text"
								  "  AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN c.relowner::regrole::text END, c.relname"
								  " FROM pg_class c WHERE c.oid = $1", P_oid(relid));

	rights.owner_rights = rows->v[0][0][0] == 't';
	rights.owner = rows->v[0][2];
	if (rights.owner_rights && rows->v[0][1][0] == 't')
		refuse_rights(rows->v[0][3]);
	return rights;
}

/* GRANTs (and owner) that give a view what its table has. */
static char *
grants_sql(const char *view, const ViewRights *rights, const Table *table)
{
	StringInfoData buf;
	SqlRows    *rows;

	initStringInfo(&buf);
	if (rights->owner)
		appendStringInfo(&buf, "ALTER VIEW %s OWNER TO %s;\n", view, rights->owner);
	rows = sql_queryp("SELECT NULL::int, string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type), CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.is_grantable"
					  " FROM pg_class c, aclexplode(c.relacl) x WHERE c.oid = $1 AND x.grantee <> c.relowner GROUP BY x.grantee, x.is_grantable"
					  " UNION ALL SELECT a.attnum, string_agg(x.privilege_type, ', '), CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.is_grantable"
					  " FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = $1 AND NOT a.attisdropped"
					  " GROUP BY a.attnum, x.grantee, x.is_grantable, x.privilege_type ORDER BY 1 NULLS FIRST, 3, 4", P_oid(table->relid));
	for (uint64 r = 0; r < rows->n; r++)
	{
		char	  **v = rows->v[r];
		const char *column = NULL;

		if (v[0])
		{
			AttrNumber	att = (AttrNumber) pg_strtoint16(v[0]);
			ListCell   *lc;

			foreach(lc, table->columns)
			{
				Column	   *c = lfirst(lc);

				if (c->att == att && !c->dropped)
					column = c->name;
			}
			if (column == NULL)
				continue;
		}
		appendStringInfo(&buf, "GRANT %s%s ON %s TO %s%s;\n", v[1],
						 column ? psprintf(" (%s)", quote_identifier(column)) : "", view, v[2],
						 v[3][0] == 't' ? " WITH GRANT OPTION" : "");
	}
	return buf.data;
}

/* "CREATE [OR REPLACE] VIEW v WITH (security_invoker) AS " */
static void
view_head(StringInfo buf, bool replace, const char *view, const ViewRights *rights)
{
	appendStringInfo(buf, "CREATE %sVIEW %s%s AS ", replace ? "OR REPLACE " : "", view,
					 rights->owner_rights ? "" : " WITH (security_invoker = true)");
}

/* COMMENTs of a view and its columns; pairs of column and comment, then the table's own. */
static void
comment_sql(StringInfo buf, const char *view, const char *column, const char *comment)
{
	if (comment == NULL)
		return;
	if (column)
		appendStringInfo(buf, "COMMENT ON COLUMN %s.%s IS %s;\n", view, quote_identifier(column), quote_literal_cstr(comment));
	else
		appendStringInfo(buf, "COMMENT ON VIEW %s IS %s;\n", view, quote_literal_cstr(comment));
}

/* Everything about plain views of some relations: v[0] name, v[1] may not be (it has column grants and row-level security), v[2] SQL */
#define PLAIN_VIEWS \
	"WITH want AS (SELECT * FROM unnest($2::oid[], $3::text[]) AS w(relid, first_atts))," \
	" source AS (SELECT c.*, n.nspname, w.first_atts::int2[] AS first_atts, format('%I.%I', $1, c.relname) AS view," \
	"  CASE WHEN c.relkind = 'v' THEN NOT coalesce(c.reloptions @> '{security_invoker=true}', false)" \
	"   ELSE EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped) END AS owner_rights" \
	"  FROM want w JOIN pg_class c ON c.oid = w.relid JOIN pg_namespace n ON n.oid = c.relnamespace)" \
	" SELECT s.relname, s.owner_rights AND s.relrowsecurity," \
	"  format('CREATE VIEW %s%s AS SELECT %s FROM %I.%I AS t;', s.view, CASE WHEN NOT s.owner_rights THEN ' WITH (security_invoker = true)' END," \
	"   (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY array_position(s.first_atts, a.attnum), a.attnum) FROM pg_attribute a" \
	"    WHERE a.attrelid = s.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT LIKE '\\_mig\\_%'), s.nspname, s.relname)" \
	"  || coalesce((SELECT format('ALTER TABLE %s %s;', s.view, string_agg(format('ALTER %I SET DEFAULT %s', a.attname, pg_get_expr(d.adbin, d.adrelid)), ', '))" \
	"   FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = s.oid AND a.attgenerated = ''" \
	"   AND a.attname NOT LIKE '\\_mig\\_%' HAVING count(*) > 0), '')" \
	"  || CASE WHEN s.relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user) AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)" \
	"     THEN format('ALTER VIEW %s OWNER TO %s;', s.view, s.relowner::regrole) ELSE '' END" \
	"  || coalesce((SELECT string_agg(format('GRANT %s ON %s TO %s%s;', g.rights, s.view, g.grantee, g.how), '' ORDER BY g.grantee, g.how) FROM" \
	"   (SELECT string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type) AS rights, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS grantee," \
	"     CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END AS how FROM aclexplode(s.relacl) x WHERE x.grantee <> s.relowner GROUP BY 2, 3) g), '')" \
	"  || coalesce((SELECT string_agg(format('GRANT %s (%I) ON %s TO %s%s;', x.privilege_type, a.attname, s.view," \
	"     CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END), '')" \
	"   FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = s.oid AND NOT a.attisdropped), '')" \
	"  || coalesce((SELECT string_agg(CASE d.objsubid WHEN 0 THEN format('COMMENT ON VIEW %s IS %L;', s.view, d.description)" \
	"     ELSE format('COMMENT ON COLUMN %s.%I IS %L;', s.view, a.attname, d.description) END, '' ORDER BY d.objsubid)" \
	"   FROM pg_description d LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid" \
	"   WHERE d.objoid = s.oid AND d.classoid = 'pg_class'::regclass AND NOT coalesce(a.attisdropped OR a.attname LIKE '\\_mig\\_%', false)), '')" \
	" FROM source s ORDER BY s.relname"

List *
view_plain_sqls(const char *version_schema, List *views)
{
	StringInfoData relids;
	StringInfoData orders;
	SqlRows    *rows;
	List	   *sqls = NIL;
	ListCell   *lc;

	initStringInfo(&relids);
	initStringInfo(&orders);
	foreach(lc, views)
	{
		const PlainView *v = lfirst(lc);

		appendStringInfo(&relids, "%c%u", relids.len ? ',' : '{', v->relid);
		appendStringInfo(&orders, "%c", orders.len ? ',' : '{');
		if (v->order)
			appendStringInfo(&orders, "\"%s\"", v->order);
		else
			appendStringInfoString(&orders, "NULL");
	}
	if (views == NIL)
		return NIL;
	appendStringInfoChar(&relids, '}');
	appendStringInfoChar(&orders, '}');
	rows = sql_queryp(PLAIN_VIEWS, P_text(version_schema), P_text(relids.data), P_text(orders.data));
	for (uint64 r = 0; r < rows->n; r++)
	{
		if (rows->v[r][1][0] == 't')
			refuse_rights(rows->v[r][0]);
		sqls = lappend(sqls, rows->v[r][2]);
	}
	return sqls;
}

char *
view_plain_sql(const char *version_schema, Oid relid)
{
	PlainView	view = {relid, NULL};

	return linitial(view_plain_sqls(version_schema, list_make1(&view)));
}

void
view_check_rights(const char *relids)
{
	char	   *table = sql_textp("SELECT min(c.relname) FROM pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relrowsecurity"
								  " AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped)",
								  P_text(relids));

	if (table)
		refuse_rights(table);
}

char *
view_on_table_sql(Oid view, const char *base_schema)
{
	return sql_textp("SELECT format('CREATE OR REPLACE VIEW %I.%I%s AS SELECT %s FROM %I.%I AS t', n.nspname, c.relname,"
					 "  ' WITH (' || array_to_string(c.reloptions, ', ') || ')',"
					 "  (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0), $2, c.relname)"
					 " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1", P_oid(view), P_text(base_schema));
}

/* A view's target list of typed NULLs over mig.closed(). */
static void
closed_body(StringInfo buf, const char *view, const char *columns, const char *message, const char *hint)
{
	const char *m = quote_literal_cstr(message);
	const char *h = quote_literal_cstr(hint);

	/* without OFFSET a condition on a column would become NULL = … when planned, and answer "no rows" without a call */
	appendStringInfo(buf, "SELECT %s FROM mig.closed(%s, %s) AS c OFFSET 0;\n", columns, m, h);
	/* without it a write would get the server's own text, which names no version to use */
	appendStringInfo(buf, "CREATE OR REPLACE TRIGGER " CLOSED_TRIGGER " INSTEAD OF INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION mig.closed_write(%s, %s);\n",
					 view, m, h);
}

char *
view_closed_sql(const char *version_schema, const Table *t, const char *message, const char *hint)
{
	char	   *view = sql_qualified(version_schema, t->new_name);
	ViewRights	rights = view_rights(t->relid);
	StringInfoData buf;
	StringInfoData columns;
	ListCell   *lc;

	initStringInfo(&buf);
	initStringInfo(&columns);
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (!c->dropped)
			appendStringInfo(&columns, "%sNULL::%s%s AS %s", columns.len ? ", " : "", type_sql(c->type, c->typmod),
							 collate_sql(c->type, c->collation), quote_identifier(c->name));
	}
	view_head(&buf, true, view, &rights);
	closed_body(&buf, view, columns.data, message, hint);
	appendStringInfoString(&buf, grants_sql(view, &rights, t));
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (!c->dropped)
			comment_sql(&buf, view, c->name, c->comment);
	}
	comment_sql(&buf, view, NULL, t->comment);
	return buf.data;
}

/* A closed view over an existing one; its columns of the type `freed` become text. */
static char *
closed_existing_sql(Oid view, const char *message, const char *hint, Oid freed)
{
	SqlRows    *rows = sql_queryp("SELECT attname, atttypid, atttypmod, attcollation, atthasdef FROM pg_attribute"
								  " WHERE attrelid = $1 AND attnum > 0 ORDER BY attnum", P_oid(view));
	StringInfoData buf;
	StringInfoData columns;

	initStringInfo(&buf);
	initStringInfo(&columns);
	/* what a default uses, a sequence for one, may go with the table's column */
	for (uint64 r = 0; r < rows->n; r++)
		if (rows->v[r][4][0] == 't')
			appendStringInfo(&buf, "ALTER VIEW %s ALTER COLUMN %s DROP DEFAULT;\n", sql_relation_name(view), quote_identifier(rows->v[r][0]));
	for (uint64 r = 0; r < rows->n; r++)
	{
		char	  **v = rows->v[r];
		Oid			type = sql_oid(v[1]);

		if (OidIsValid(freed) && (type == freed || get_element_type(type) == freed))
			appendStringInfo(&columns, "%sNULL::text AS %s", r ? ", " : "", quote_identifier(v[0]));
		else
			appendStringInfo(&columns, "%sNULL::%s%s AS %s", r ? ", " : "", type_sql(type, pg_strtoint32(v[2])),
							 collate_sql(type, sql_oid(v[3])), quote_identifier(v[0]));
	}
	appendStringInfo(&buf, "CREATE OR REPLACE VIEW %s AS ", sql_relation_name(view));
	closed_body(&buf, sql_relation_name(view), columns.data, message, hint);
	return buf.data;
}

char *
view_close_existing_sql(Oid view, const char *message, const char *hint)
{
	return closed_existing_sql(view, message, hint, InvalidOid);
}

char *
view_free_type_sql(Oid view, Oid type)
{
	Relation	relation = relation_open(view, AccessShareLock);
	char	   *name = sql_relation_name(view);
	char	   *grants = sql_textp("SELECT string_agg(format('GRANT %s ON %s TO %s', x.privilege_type, $2, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END), E';\n')"
								   " FROM pg_class c, aclexplode(c.relacl) x WHERE c.oid = $1 AND x.grantee <> c.relowner", P_oid(view), P_text(name));
	TriggerDesc *triggers = CopyTriggerDesc(relation->trigdesc);
	char	   *sql = NULL;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (strcmp(trigger->tgname, CLOSED_TRIGGER) == 0 && trigger->tgnargs == 2)
			sql = psprintf("DROP VIEW %s;\n%s%s", name, closed_existing_sql(view, trigger->tgargs[0], trigger->tgargs[1], type), grants ? grants : "");
	}
	relation_close(relation, AccessShareLock);
	return sql;
}

/* The WHERE of an inner view: rules that are not constraints yet hold for what is written through it. */
static void
rules_sql(StringInfo buf, const Table *t)
{
	ListCell   *lc;
	bool		first = true;

	foreach(lc, t->rules)
	{
		Rule	   *r = lfirst(lc);

		if (r->filled)
			continue;
		appendStringInfo(buf, "%s mig.%s, %s::pg_catalog.regclass, %s, %s, %s, (%s))", first ? " WHERE" : " AND",
						 t->partitioned ? "holds_at(t.tableoid, t.ctid" : "holds(t.xmin, t.cmin",
						 quote_literal_cstr(sql_qualified(t->schema, t->name)), r->column && !r->column->not_null_check ? "'n'" : "'c'",
						 quote_literal_cstr(r->column ? makeObjectName(t->new_name, r->column->name, "not_null") : r->name), quote_literal_cstr(r->column ? r->column->name : ""), r->sql);
		first = false;
	}
	foreach(lc, t->foreign_keys)
	{
		ForeignKey *f = lfirst(lc);

		if (f->trigger == NULL)
			continue;
		appendStringInfo(buf, "%s mig.marks(t.xmin, t.cmin, t.tableoid, t.ctid, %d)", first ? " WHERE" : " AND", f->number);
		first = false;
	}
	if (!first)
		appendStringInfoString(buf, " WITH LOCAL CHECK OPTION");
}

/* The list of a version's columns, from physical to virtual names. */
static char *
column_list(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (!c->dropped)
			appendStringInfo(&buf, "%st.%s AS %s", buf.len ? ", " : "", quote_identifier(column_physical(c)), quote_identifier(c->name));
	}
	return buf.data;
}

char *
view_inner_sql(const char *inner_schema, const Table *t)
{
	char	   *view = sql_qualified(inner_schema, t->new_name);
	ViewRights	rights = view_rights(t->relid);
	StringInfoData buf;

	initStringInfo(&buf);
	view_head(&buf, false, view, &rights);
	appendStringInfo(&buf, "SELECT %s", column_list(t));
	if (shape_has_pairs(t))
		appendStringInfoString(&buf, ", t." STATE_COLUMN);
	appendStringInfo(&buf, " FROM %s AS t", sql_qualified(t->schema, t->name));
	rules_sql(&buf, t);
	appendStringInfoString(&buf, ";\n");
	if (shape_has_pairs(t))
		appendStringInfo(&buf, "ALTER VIEW %s ALTER COLUMN " STATE_COLUMN " SET DEFAULT %d;\n", view, STATE_ORIGIN_NEW);
	appendStringInfoString(&buf, grants_sql(view, &rights, t));
	return buf.data;
}

/* The default of a version view's column; NULL: none. */
static const char *
view_default(const Column *c)
{
	if (c->dropped || c->generated || (c->identity && !c->second))
		return NULL;
	/* the physical column has one, but the new version none; a NULL constant would not be stored */
	if (c->default_sql == NULL && c->default_changed && (!c->second || c->fast_default))
		return psprintf("NULLIF(NULL::%s, NULL)", type_sql(c->type, c->typmod));
	return c->default_sql;
}

/*
 * Defaults of the columns: those of the new version, which the physical column need not have yet; and UPDATE … SET c = DEFAULT knows a view's own
 * only. In the end those go that the table has in another form, or not at all.
 */
static void
defaults_sql(StringInfo buf, const char *view, const Table *t, DefaultsWanted wanted)
{
	const char *separator = psprintf("ALTER TABLE %s ", view);
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		const char *sql = view_default(c);

		if (sql == NULL || (wanted == DEFAULTS_OF_TABLE && c->default_sql && !c->identity))
			continue;
		appendStringInfo(buf, "%sALTER COLUMN %s %s%s", separator, quote_identifier(c->name),
						 wanted == DEFAULTS_OF_VERSION ? "SET DEFAULT " : "DROP DEFAULT", wanted == DEFAULTS_OF_VERSION ? sql : "");
		separator = ", ";
	}
	if (separator[0] == ',')
		appendStringInfoString(buf, ";\n");
}

char *
view_closed_again_sql(const char *version_schema, const Table *t, const char *message, const char *hint)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, view_closed_sql(version_schema, t, message, hint));
	defaults_sql(&buf, sql_qualified(version_schema, t->new_name), t, DEFAULTS_NONE);
	return buf.data;
}

char *
view_open_sql(const char *version_schema, const char *inner_schema, const Table *t)
{
	char	   *view = sql_qualified(version_schema, t->new_name);
	ViewRights	rights = view_rights(t->relid);
	StringInfoData buf;
	ListCell   *lc;
	bool		first = true;

	initStringInfo(&buf);
	appendStringInfo(&buf, "DROP TRIGGER " CLOSED_TRIGGER " ON %s;\n", view);
	view_head(&buf, true, view, &rights);
	appendStringInfoString(&buf, "SELECT ");
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->dropped)
			continue;
		appendStringInfo(&buf, "%si.%s", first ? "" : ", ", quote_identifier(c->name));
		first = false;
	}
	appendStringInfo(&buf, " FROM %s AS i;\n", sql_qualified(inner_schema, t->new_name));
	defaults_sql(&buf, view, t, DEFAULTS_OF_VERSION);
	return buf.data;
}

char *
view_direct_sql(const char *version_schema, const Table *t, bool opening)
{
	char	   *view = sql_qualified(version_schema, t->new_name);
	ViewRights	rights = view_rights(t->relid);
	StringInfoData buf;

	initStringInfo(&buf);
	if (opening)
		appendStringInfo(&buf, "DROP TRIGGER " CLOSED_TRIGGER " ON %s;\n", view);
	view_head(&buf, true, view, &rights);
	appendStringInfo(&buf, "SELECT %s FROM %s AS t;\n", column_list(t), sql_qualified(t->schema, t->name));
	defaults_sql(&buf, view, t, opening ? DEFAULTS_OF_VERSION : DEFAULTS_OF_TABLE);
	return buf.data;
}

char *
schema_sql(const char *schema, const char *base_schema, const char *comment)
{
	SqlRows    *rows = sql_queryp("SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END"
								  " FROM pg_namespace n, aclexplode(n.nspacl) x WHERE n.nspname = $1 AND x.privilege_type = 'USAGE'"
								  " AND x.grantee <> n.nspowner ORDER BY 1", P_text(base_schema));
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE SCHEMA %s;\n", quote_identifier(schema));
	for (uint64 r = 0; r < rows->n; r++)
		appendStringInfo(&buf, "GRANT USAGE ON SCHEMA %s TO %s;\n", quote_identifier(schema), rows->v[r][0]);
	if (comment)
		appendStringInfo(&buf, "COMMENT ON SCHEMA %s IS %s;\n", quote_identifier(schema), quote_literal_cstr(comment));
	return buf.data;
}
