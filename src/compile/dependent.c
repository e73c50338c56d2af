/*
 * dependent.c
 *		What uses a replaced column and follows to its replacement.
 *
 * Owns no state. PostgreSQL prints each of these objects, with the columns' old names. In the swap they are dropped, the old column goes, its replacement
 * takes its name, and they are created again from what was printed; columns and tables that are renamed get their new names afterwards, so that
 * PostgreSQL itself carries the renaming through all of them. Until then nothing of them is touched but the column lists of UPDATE OF triggers.
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "compile/dependent.h"

#define TRIAL_SCHEMA "_mig_trial"

/* SQL pieces over a row `o` with oid, name (qualified), owner and acl */
#define OWNER_SQL(kind) \
	" || CASE WHEN o.owner <> current_user::regrole THEN format(E';\\nALTER " kind " %s OWNER TO %s', o.name, o.owner) ELSE '' END"
#define COMMENT_SQL(kind, class) \
	" || coalesce(E';\\nCOMMENT ON " kind " ' || o.name || ' IS ' || quote_literal(obj_description(o.oid, '" class "')), '')"

/* A kind of object that can follow: which one it is, and its statements: drop, create, the rest (NULL if there is none); $1 is its OID */
typedef struct Carrier
{
	const char *class;
	const char *sql;
} Carrier;

static const Carrier carriers[] = {
	/* the function stays the same object with an empty body meanwhile: CREATE OR REPLACE keeps owner, grants and what uses it */
	{"pg_proc",
		"SELECT format(E'SET LOCAL check_function_bodies = off;\\n%s AS '''';\\nSET LOCAL check_function_bodies = on',"
		"  left(pg_get_functiondef(p.oid), -length(pg_get_function_sqlbody(p.oid)) - 1)), pg_get_functiondef(p.oid), NULL FROM pg_proc p WHERE p.oid = $1"},
	{"pg_policy",
		"SELECT format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass), format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname,"
		"  p.polrelid::regclass, CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,"
		"  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,"
		"  (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ') FROM unnest(p.polroles) r),"
		"  ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),"
		" coalesce(format(E'COMMENT ON POLICY %I ON %s IS ', p.polname, p.polrelid::regclass) || quote_literal(obj_description(p.oid, 'pg_policy')), '')"
		" FROM pg_policy p WHERE p.oid = $1"},
	{"pg_trigger", NULL},		/* trigger_sql() */
	{"pg_statistic_ext",
		"SELECT format('DROP STATISTICS %s', o.name), pg_get_statisticsobjdef(o.oid),"
		" CASE WHEN o.target >= 0 THEN format(E';\\nALTER STATISTICS %s SET STATISTICS %s', o.name, o.target) ELSE '' END"
		COMMENT_SQL("STATISTICS", "pg_statistic_ext") OWNER_SQL("STATISTICS")
		" FROM (SELECT s.oid, format('%I.%I', n.nspname, s.stxname) AS name, s.stxowner::regrole AS owner, s.stxstattarget AS target"
		"  FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.oid = $1) o"},
	{"pg_publication_rel",
		"SELECT format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, r.prrelid::regclass), format('ALTER PUBLICATION %I ADD TABLE ONLY %s%s%s', p.pubname,"
		"  r.prrelid::regclass, ' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.o) FROM unnest(r.prattrs::int2[]) WITH ORDINALITY u(n, o)"
		"   JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = u.n) || ')', ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')'), NULL"
		" FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.oid = $1"},
	{"pg_class",
		"SELECT format('DROP VIEW %s', o.name), format('CREATE VIEW %s%s AS %s', o.name, ' WITH (' || (SELECT string_agg(format('%I = %L', split_part(u, '=', 1),"
		"  substr(u, strpos(u, '=') + 1)), ', ') FROM unnest(o.options) u) || ')', rtrim(pg_get_viewdef(o.oid), ';')),"
		" coalesce((SELECT string_agg(format(E';\\nALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', o.name, a.attname, pg_get_expr(d.adbin, d.adrelid)), '')"
		"  FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = o.oid), '')"
		OWNER_SQL("VIEW") COMMENT_SQL("VIEW", "pg_class")
		" || coalesce((SELECT string_agg(format(E';\\nCOMMENT ON COLUMN %s.%I IS %L', o.name, a.attname, d.description), '') FROM pg_description d"
		"  JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid WHERE d.classoid = 'pg_class'::regclass AND d.objoid = o.oid AND d.objsubid > 0), '')"
		" || coalesce((SELECT format(E';\\nREVOKE ALL ON %s FROM %s', o.name, o.owner) || string_agg(format(E';\\nGRANT %s ON %s TO %s%s', x.privilege_type, o.name,"
		"  CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END), '') FROM aclexplode(o.acl) x), '')"
		" || coalesce((SELECT string_agg(format(E';\\nGRANT %s (%I) ON %s TO %s%s', x.privilege_type, a.attname, o.name,"
		"  CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END), '')"
		"  FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = o.oid), '')"
		" FROM (SELECT c.oid, c.oid::regclass::text AS name, c.relowner::regrole AS owner, c.relacl AS acl, c.reloptions AS options FROM pg_class c WHERE c.oid = $1) o"}
};

/*
 * Everything that uses the columns $2 of table $1, and everything that uses a view which does: class, OID, how far away, its description, and why it can't
 * follow (NULL if it can). Left out is what goes with the column and is made again on its own: indexes, the table's constraints, the default, foreign keys
 * $3 (NULL: all of them); and our views.
 */
static const char *const uses =
"WITH RECURSIVE found (classid, objid, level) AS ("
" SELECT x.classid, x.objid, 1 FROM pg_depend d LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN',"
"  LATERAL (SELECT CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END AS classid, coalesce(r.ev_class, d.objid) AS objid) x"
"  WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = ANY ($2::int[])"
" UNION"
" SELECT x.classid, x.objid, f.level + 1 FROM found f JOIN pg_class v ON f.classid = 'pg_class'::regclass AND v.oid = f.objid AND v.relkind = 'v'"
"  JOIN pg_type y ON y.oid = v.reltype JOIN pg_depend d ON d.deptype IN ('n', 'a') AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = v.oid"
"   OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (y.oid, y.typarray))"
"  LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN',"
"  LATERAL (SELECT CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END AS classid, coalesce(r.ev_class, d.objid) AS objid) x"
"  WHERE f.level < 100 AND x.objid <> v.oid)"
" SELECT f.classid::regclass, f.objid, f.level, pg_describe_object(f.classid, f.objid, 0), CASE"
"  WHEN v.oid IS NOT NULL THEN CASE WHEN v.relkind <> 'v' THEN '' WHEN v.relpersistence = 't' THEN 'which is temporary'"
"   WHEN NOT pg_has_role(v.relowner, 'USAGE') THEN format('which belongs to %I', v.relowner::regrole)"
"   WHEN NOT has_schema_privilege(v.relnamespace, 'CREATE') THEN 'in whose schema you may not create'"
"   WHEN EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = v.oid AND e.deptype = 'e') THEN 'which belongs to an extension' END"
"  WHEN p.oid IS NOT NULL THEN CASE WHEN p.prosqlbody IS NULL THEN '' WHEN NOT pg_has_role(p.proowner, 'USAGE') THEN format('which belongs to %I', p.proowner::regrole)"
"   WHEN NOT has_schema_privilege(p.pronamespace, 'CREATE') THEN 'in whose schema you may not create' END"
"  WHEN s.oid IS NOT NULL THEN CASE WHEN NOT pg_has_role(s.stxowner, 'USAGE') THEN format('which belongs to %I', s.stxowner::regrole)"
"   WHEN NOT has_schema_privilege(s.stxnamespace, 'CREATE') THEN 'in whose schema you may not create' END"
"  WHEN b.oid IS NOT NULL THEN CASE WHEN NOT pg_has_role(b.pubowner, 'USAGE') THEN format('which belongs to %I', b.pubowner::regrole) END"
"  WHEN q.polrelid = $1 OR g.tgrelid = $1 THEN NULL ELSE '' END"
" FROM (SELECT classid, objid, max(level) AS level FROM found GROUP BY 1, 2) f"
" LEFT JOIN pg_class v ON f.classid = 'pg_class'::regclass AND v.oid = f.objid"
" LEFT JOIN pg_proc p ON f.classid = 'pg_proc'::regclass AND p.oid = f.objid"
" LEFT JOIN pg_policy q ON f.classid = 'pg_policy'::regclass AND q.oid = f.objid"
" LEFT JOIN pg_trigger g ON f.classid = 'pg_trigger'::regclass AND g.oid = f.objid"
" LEFT JOIN pg_statistic_ext s ON f.classid = 'pg_statistic_ext'::regclass AND s.oid = f.objid"
" LEFT JOIN pg_publication_rel u ON f.classid = 'pg_publication_rel'::regclass AND u.oid = f.objid LEFT JOIN pg_publication b ON b.oid = u.prpubid"
" LEFT JOIN pg_constraint k ON f.classid = 'pg_constraint'::regclass AND k.oid = f.objid"
" LEFT JOIN pg_attrdef a ON f.classid = 'pg_attrdef'::regclass AND a.oid = f.objid"
" WHERE coalesce(v.relkind, 'x') NOT IN ('i', 'I', 'S', 't')"
" AND NOT (k.oid IS NOT NULL AND CASE k.contype WHEN 'f' THEN $3 IS NULL OR k.oid = ANY ($3::oid[]) ELSE k.conrelid = $1 END)"
" AND NOT (a.oid IS NOT NULL AND (a.adrelid = $1 AND a.adnum = ANY ($2::int[]) OR a.adrelid IN (SELECT objid FROM found)))"
" AND NOT EXISTS (SELECT FROM pg_namespace n WHERE n.oid = v.relnamespace AND (n.nspname LIKE '\\_mig\\_%'"
"  OR n.nspname IN (SELECT schema_name FROM mig.version_schema)))"
" ORDER BY f.level DESC, 4";

/* Raise 0A000 for what can't follow; all: for everything. */
static void
refuse(Oid relid, const SqlRows *rows, bool all)
{
	StringInfoData names;

	initStringInfo(&names);
	for (uint64 r = 0; r < rows->n; r++)
	{
		char	  **v = rows->v[r];

		if (all || v[4])
			appendStringInfo(&names, "%s%s%s%s", names.len ? ", " : "", v[3], v[4] && v[4][0] ? ", " : "", v[4] ? v[4] : "");
	}
	if (names.len)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("columns of table \"%s\" that this migration replaces or drops are used by other objects",
						sql_textp("SELECT relname FROM pg_class WHERE oid = $1", P_oid(relid))),
				 errdetail("Used by %s.", names.data),
				 errhint("Drop these before the migration and create them again afterwards.")));
}

/*
 * A trigger as the server prints it, with the UPDATE OF list given instead of its own (NULL: it has none), whether it fires, and its comment. replace:
 * instead of the one there is.
 */
static char *
trigger_sql(char **v, const char *columns, bool replace)
{
	const char *definition = v[2];
	int			name = strlen("CREATE TRIGGER ") + strlen(v[0]) + (v[4][0] == 't' ? strlen("CONSTRAINT ") : 0);
	StringInfoData buf;

	initStringInfo(&buf);
	if (replace && v[4][0] == 't')	/* OR REPLACE is not for these */
		appendStringInfo(&buf, "DROP TRIGGER %s ON %s;\n%.*s", v[0], v[1], name, definition);
	else if (replace)
		appendStringInfo(&buf, "CREATE OR REPLACE%.*s", name - (int) strlen("CREATE"), definition + strlen("CREATE"));
	else
		appendBinaryStringInfo(&buf, definition, name);
	definition += name;
	if (v[3])
	{
		char	   *own = psprintf(" UPDATE OF %s ON ", v[3]);
		const char *at = strstr(definition, own);

		if (at == NULL)			/* more events follow */
		{
			own = psprintf(" UPDATE OF %s OR ", v[3]);
			at = strstr(definition, own);
		}
		if (at == NULL)
			elog(ERROR, "unexpected definition of trigger %s: %s", v[0], v[2]);
		appendStringInfo(&buf, "%.*s UPDATE OF %s", (int) (at - definition), definition, columns);
		definition = at + strlen(" UPDATE OF ") + strlen(v[3]);
	}
	appendStringInfoString(&buf, definition);
	if (v[5])
		appendStringInfo(&buf, ";\nALTER TABLE %s %s TRIGGER %s", v[1], v[5], v[0]);
	if (v[6])
		appendStringInfo(&buf, ";\nCOMMENT ON TRIGGER %s ON %s IS %s", v[0], v[1], quote_literal_cstr(v[6]));
	return buf.data;
}

/* What trigger_sql() needs of a trigger, then its UPDATE OF list with changed columns' hidden ones ($2: {attnum:name} as JSON), and without hidden ones */
static const char *const trigger_facts =
"SELECT quote_ident(g.tgname), g.tgrelid::regclass, pg_get_triggerdef(g.oid), string_agg(quote_ident(a.attname), ', ' ORDER BY u.o), g.tgconstraint <> 0,"
" CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END, obj_description(g.oid, 'pg_trigger'),"
" string_agg(concat_ws(', ', quote_ident(a.attname), $2::jsonb ->> a.attnum::text), ', ' ORDER BY u.o),"
" string_agg(quote_ident(a.attname), ', ' ORDER BY u.o) FILTER (WHERE a.attname !~ '^_mig_')"
" FROM pg_trigger g LEFT JOIN unnest(g.tgattr::int2[]) WITH ORDINALITY u(n, o) ON true LEFT JOIN pg_attribute a ON a.attrelid = g.tgrelid AND a.attnum = u.n"
" WHERE CASE WHEN $1 = g.oid THEN true ELSE $1 = g.tgrelid AND $3::int2[] && g.tgattr::int2[] END GROUP BY g.oid ORDER BY g.tgname";

/* The statements of one object, written for the search_path, which is in force. */
static Dependent *
dependent(const char *class, Oid oid, char *what, const char *search_path)
{
	Dependent  *d = palloc0(sizeof(Dependent));
	SqlRows    *rows;

	d->what = what;
	d->trial = (strcmp(class, "pg_class") == 0 && RelationIsVisible(oid)) || strcmp(class, "pg_policy") == 0;
	if (strcmp(class, "pg_trigger") == 0)
	{
		rows = sql_queryp(trigger_facts, P_oid(oid), P_jsonb("{}"), P_text("{}"));
		d->drop = psprintf("DROP TRIGGER %s ON %s", rows->v[0][0], rows->v[0][1]);
		d->create = trigger_sql(rows->v[0], rows->v[0][8], false);
		return d;
	}
	for (int i = 0; i < lengthof(carriers); i++)
		if (strcmp(class, carriers[i].class) == 0)
		{
			rows = sql_printp(search_path, carriers[i].sql, P_oid(oid));
			d->drop = rows->v[0][0];
			d->create = rows->v[0][1];
			d->rest = rows->v[0][2];
			return d;
		}
	elog(ERROR, "%s cannot follow", what);
}

/* dependents_of(), their statements written for a search_path. */
static List *
dependents_under(Oid relid, const char *columns, const char *search_path)
{
	SqlRows    *rows;
	List	   *list = NIL;
	int			level = NewGUCNestLevel();

	setting_set("search_path", search_path);
	sql_portable_texts();
	rows = sql_queryp(uses, P_oid(relid), P_text(columns), P_text(NULL));
	refuse(relid, rows, false);
	for (int i = 0; i < lengthof(carriers); i++)
		for (uint64 r = 0; r < rows->n; r++)
			if (strcmp(rows->v[r][0], carriers[i].class) == 0)
				list = lappend(list, dependent(carriers[i].class, sql_oid(rows->v[r][1]), rows->v[r][3], search_path));
	AtEOXact_GUC(false, level);
	return list;
}

List *
dependents_of(Oid relid, const char *columns)
{
	return dependents_under(relid, columns, "pg_catalog");
}

/* CREATE TABLE of what the swap makes of a table, its columns by their present names. */
static char *
image_sql(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att != 0)
			appendStringInfo(&buf, "%s%s %s%s", buf.len ? ", " : "", quote_identifier(c->old_name), type_sql(c->type, c->typmod),
							 collate_sql(c->type, c->collation));
	}
	return psprintf("CREATE TABLE %s (%s)", sql_qualified(TRIAL_SCHEMA, t->name), buf.data);
}

/* What is to be created over an image of a table */
typedef struct Trial
{
	const Table *table;
	List	   *list;			/* Dependent * */
	const Dependent *current;
} Trial;

/* Create the image, and views and policies over it. */
static void
create_over_image(void *arg)
{
	Trial	   *trial = arg;

	(void) sql_exec("CREATE SCHEMA " TRIAL_SCHEMA);
	(void) sql_exec(image_sql(trial->table));
	setting_set("search_path", psprintf("%s, %s", TRIAL_SCHEMA, quote_identifier(trial->table->schema)));
	for (int i = list_length(trial->list) - 1; i >= 0; i--)
	{
		trial->current = list_nth(trial->list, i);
		if (trial->current->trial)
			(void) sql_exec(trial->current->create);
	}
}

/*
 * Views and policies are created over an image of the table, on trial: one that does not work with the new types is refused now, not in the swap. Their texts
 * name what is in the table's schema without it, and find the image first.
 */
static void
try_dependents(const Table *t)
{
	Trial		trial = {t, dependents_under(t->relid, atts_literal(shape_changed_atts(t)), quote_identifier(t->schema))};
	ErrorData  *error = trial.list ? txn_trial(create_over_image, &trial) : NULL;

	if (error && trial.current == NULL)
		ReThrowError(error);
	if (error)
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("%s does not work with the changed columns of table \"%s\"", trial.current->what, t->name),
				 errdetail_internal("%s", error->message),
				 errhint("Drop it before the migration and create it again afterwards, as it has to be then.")));
}

void
check_dependents(const Table *t, List *going)
{
	SqlParam	keys = P_text(oids_literal(going));

	refuse(t->relid, sql_queryp(uses, P_oid(t->relid), P_text(atts_literal(shape_dropped_atts(t))), keys), true);
	refuse(t->relid, sql_queryp(uses, P_oid(t->relid), P_text(atts_literal(shape_changed_atts(t))), keys), false);
	try_dependents(t);
}

char *
dependents_note(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, dependents_of(t->relid, atts_literal(shape_changed_atts(t))))
		appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", ((Dependent *) lfirst(lc))->what);
	return buf.len ? buf.data : NULL;
}

List *
update_of_triggers(const Table *t)
{
	StringInfoData hidden;
	SqlRows    *rows;
	List	   *list = NIL;
	ListCell   *lc;

	initStringInfo(&hidden);
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att != 0 && c->second && !c->dropped)
			appendStringInfo(&hidden, "%s\"%d\": \"%s\"", hidden.len ? ", " : "", c->att, c->hidden);
	}
	rows = sql_queryp(trigger_facts, P_oid(t->relid), P_jsonb(psprintf("{%s}", hidden.data)), P_text(atts_literal(shape_changed_atts(t))));
	for (uint64 r = 0; r < rows->n; r++)
	{
		Dependent  *d = palloc0(sizeof(Dependent));

		d->what = psprintf("trigger %s", rows->v[r][0]);
		d->create = trigger_sql(rows->v[r], rows->v[r][7], true);
		d->drop = trigger_sql(rows->v[r], rows->v[r][3], true);
		list = lappend(list, d);
	}
	return list;
}
