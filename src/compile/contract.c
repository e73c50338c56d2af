/*
 * contract.c
 *		The end of a migration: fence, swap, old versions closed.
 *
 * Owns no state. The swap leaves the table as the plain ALTER TABLE would have made it: same names, same definitions, other column order.
 */
#include "base/compat.h"

#include "catalog/pg_constraint.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/sql.h"
#include "compile/contract.h"
#include "compile/index.h"
#include "compile/view.h"
#include "store/transform.h"

char *
fence_sql(const Table *t, const Rule *r)
{
	return psprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s)%s NOT VALID", sql_qualified(t->schema, t->name), r->hidden, r->sql,
					r->no_inherit ? " NO INHERIT" : "");
}

char *
column_options_sql(const Table *t, const Column *c)
{
	bool		same_type = c->type == c->old_type && c->typmod == c->old_typmod;	/* ALTER TABLE … TYPE resets these two */
	SqlRows    *rows;
	char	  **v;
	StringInfoData buf;
	const char *name = quote_identifier(c->hidden);

	if (c->att == 0)
		return "";
	rows = sql_queryp("SELECT CASE WHEN a.attstattarget >= 0 THEN a.attstattarget END,"
					  " CASE WHEN a.attstorage <> y.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'"
					  "  WHEN 'x' THEN 'EXTENDED' ELSE 'MAIN' END END,"
					  " CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,"
					  " (SELECT string_agg(format('%I = %L', split_part(u, '=', 1), substr(u, strpos(u, '=') + 1)), ', ') FROM unnest(a.attoptions) u"
					  "  WHERE u ~ '^n_distinct')"
					  " FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid WHERE a.attrelid = $1 AND a.attnum = $2",
					  P_oid(t->relid), P_int4(c->att));
	v = rows->v[0];
	initStringInfo(&buf);
	if (v[0])
		appendStringInfo(&buf, " ALTER COLUMN %s SET STATISTICS %s,", name, v[0]);
	if (v[1] && same_type)
		appendStringInfo(&buf, " ALTER COLUMN %s SET STORAGE %s,", name, v[1]);
	if (v[2] && same_type)
		appendStringInfo(&buf, " ALTER COLUMN %s SET COMPRESSION %s,", name, v[2]);
	if (v[3])
		appendStringInfo(&buf, " ALTER COLUMN %s SET (%s),", name, v[3]);
	return buf.data;
}

/* SECURITY LABELs that give a replacement those of the column it replaces. */
static char *
column_labels_sql(const Table *t, const Column *c)
{
	char	   *labels = sql_textp("SELECT string_agg(format(E'SECURITY LABEL FOR %I ON COLUMN %s IS %L;\\n', l.provider, $3, l.label), '' ORDER BY l.provider)"
								   " FROM pg_seclabel l WHERE l.classoid = 'pg_class'::regclass AND l.objoid = $1 AND l.objsubid = $2",
								   P_oid(t->relid), P_int4(c->att),
								   P_text(psprintf("%s.%s", sql_qualified(t->schema, t->name), quote_identifier(c->name))));

	return labels ? labels : "";
}

/* GRANTs that give a replacement the column grants of the column it replaces. */
static char *
column_grants_sql(const Table *t, const Column *c)
{
	SqlRows    *rows = sql_queryp("SELECT x.privilege_type, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.is_grantable"
								  " FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = $1 AND a.attnum = $2 ORDER BY 2, 1",
								  P_oid(t->relid), P_int4(c->att));
	StringInfoData buf;

	initStringInfo(&buf);
	for (uint64 r = 0; r < rows->n; r++)
		appendStringInfo(&buf, "GRANT %s (%s) ON %s TO %s%s;\n", rows->v[r][0], quote_identifier(c->name),
						 sql_qualified(t->schema, t->name), rows->v[r][1], rows->v[r][2][0] == 't' ? " WITH GRANT OPTION" : "");
	return buf.data;
}

static void
rename_column(StringInfo buf, const Table *t, const char *from, const char *to)
{
	appendStringInfo(buf, "ALTER TABLE %s RENAME COLUMN %s TO %s;\n", sql_qualified(t->schema, t->name),
					 quote_identifier(from), quote_identifier(to));
}

/*
 * Drop what the migration put there, the old columns and what was to be dropped; replacements take their columns' names, and what uses these follows
 * (compile/dependent.c).
 */
static void
drop_old(StringInfo buf, const Table *t)
{
	const char *table = sql_qualified(t->schema, t->name);
	StringInfoData drops;
	StringInfoData renames;
	StringInfoData names;
	ListCell   *lc;

	foreach(lc, t->constraints)
	{
		Constr	   *k = lfirst(lc);

		if (k->dropped && k->type != CONSTRAINT_FOREIGN)	/* those went first */
			appendStringInfo(buf, "ALTER TABLE %s DROP CONSTRAINT %s;\n", table, quote_identifier(k->name));
	}
	foreach(lc, t->indexes)
	{
		OldIndex   *x = lfirst(lc);

		if (x->dropped && x->constraint == NULL)
			appendStringInfo(buf, "DROP INDEX %s;\n", sql_qualified(t->schema, x->name));
	}
	initStringInfo(&drops);
	initStringInfo(&renames);
	initStringInfo(&names);
	if (shape_has_pairs(t))
		appendStringInfoString(&drops, ", DROP COLUMN " STATE_COLUMN);
	foreach(lc, t->columns)
		if (((Column *) lfirst(lc))->follows)	/* before what it is generated from */
			appendStringInfo(&drops, ", DROP COLUMN %s", quote_identifier(((Column *) lfirst(lc))->old_name));
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att == 0 || !(c->second || c->dropped))
			continue;
		if (!c->follows)
			appendStringInfo(&drops, ", DROP COLUMN %s", quote_identifier(c->old_name));
		if (c->dropped)
			continue;
		rename_column(&renames, t, c->hidden, c->old_name);
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", quote_literal_cstr(c->old_name));
	}
	if (names.len)
		appendStringInfo(buf, "SELECT mig.carry(%s, ARRAY[%s], %s);\n", quote_literal_cstr(table), names.data,
						 quote_literal_cstr(psprintf("ALTER TABLE %s%s;\n%s", table, drops.data + 1, renames.data)));
	else if (drops.len)
		appendStringInfo(buf, "ALTER TABLE %s%s;\n", table, drops.data + 1);
}

/* Is a name still that of another column that is itself renamed? */
static bool
name_in_the_way(const Table *t, const char *name)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att != 0 && !c->dropped && strcmp(c->old_name, name) == 0)
			return true;
	}
	return false;
}

/* Give every column its name: former ones first (by way of another name where two swap theirs), then the added ones. */
static void
rename_columns(StringInfo buf, const Table *t)
{
	ListCell   *lc;
	int			n = 0;
	List	   *later = NIL;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att == 0 || c->dropped || strcmp(c->old_name, c->name) == 0)
			continue;
		if (name_in_the_way(t, c->name))
		{
			char	   *temporary = psprintf("_mig_r%d", ++n);

			rename_column(buf, t, c->old_name, temporary);
			later = lappend(later, list_make2(temporary, c->name));
		}
		else
			rename_column(buf, t, c->old_name, c->name);
	}
	foreach(lc, later)
		rename_column(buf, t, linitial((List *) lfirst(lc)), lsecond((List *) lfirst(lc)));
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att == 0 && !c->dropped)
			rename_column(buf, t, c->hidden, c->name);
	}
}

/* NOT NULL, defaults, comments and grants of the columns, by their new names. */
static void
finish_columns(StringInfo buf, const Table *t)
{
	const char *table = sql_qualified(t->schema, t->name);
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		const char *name = quote_identifier(c->name);

		if (c->dropped)
			continue;
		if (c->att != 0 && !c->second && c->old_not_null && !c->not_null)
			appendStringInfo(buf, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL;\n", table, name);
		if (!column_brings_default(c) && (c->default_changed || c->second))
		{
			if (c->identity || c->generated)
				;				/* its sequence is; it is already */
			else if (c->default_sql)
				appendStringInfo(buf, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s;\n", table, name, c->default_sql);
			else if (!c->second || c->fast_default)
				appendStringInfo(buf, "ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT;\n", table, name);
		}
		if (c->comment_changed || (c->second && c->comment))
			appendStringInfo(buf, "COMMENT ON COLUMN %s.%s IS %s;\n", table, name, c->comment ? quote_literal_cstr(c->comment) : "NULL");
		if (c->att != 0 && c->second)
			appendStringInfo(buf, "%s%s", column_grants_sql(t, c), column_labels_sql(t, c));
	}
}

/* The rules become what the definition asked for: NOT NULLs (proven by the validated CHECK, so nothing is read) and named CHECKs. */
static void
finish_rules(StringInfo buf, const Table *t)
{
	const char *table = sql_qualified(t->schema, t->name);
	ListCell   *lc;

	foreach(lc, t->rules)
	{
		Rule	   *r = lfirst(lc);

		if (r->filled)
			continue;
		if (r->column)
			appendStringInfo(buf, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;\nALTER TABLE %s DROP CONSTRAINT %s;\n",
							 table, quote_identifier(r->column->name), table, r->hidden);
		else
			appendStringInfo(buf, "ALTER TABLE %s RENAME CONSTRAINT %s TO %s;\n", table, r->hidden, quote_identifier(r->name));
		if (r->comment)
			appendStringInfo(buf, "COMMENT ON CONSTRAINT %s ON %s IS %s;\n", quote_identifier(r->name), table, quote_literal_cstr(r->comment));
	}
}

/* Do these columns stay as they are? */
static bool
are_kept(const Table *t, Bitmapset *columns)
{
	return !bms_overlap(columns, shape_dropped_atts(t)) && !bms_overlap(columns, shape_changed_atts(t));
}

/* One renaming of a constraint or index. */
static char *
rename_sql(const Table *t, bool constraint, const char *from, const char *to)
{
	if (constraint)
		return psprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s;\n", sql_qualified(t->schema, t->name), quote_identifier(from), quote_identifier(to));
	return psprintf("ALTER INDEX %s RENAME TO %s;\n", sql_qualified(t->schema, from), quote_identifier(to));
}

/* Is a name still that of a constraint or index that is renamed itself? */
static bool
kept_name_in_the_way(const Table *t, const char *name)
{
	ListCell   *lc;

	foreach(lc, t->constraints)
		if (!((Constr *) lfirst(lc))->dropped && strcmp(((Constr *) lfirst(lc))->name, name) == 0)
			return true;
	foreach(lc, t->indexes)
		if (!((OldIndex *) lfirst(lc))->dropped && strcmp(((OldIndex *) lfirst(lc))->name, name) == 0)
			return true;
	return false;
}

/* Rename one of them: at once, or by way of another name, to be given up `later`. */
static void
rename_one(StringInfo buf, StringInfo later, const Table *t, bool constraint, const char *from, const char *to)
{
	if (to == NULL || strcmp(from, to) == 0)
		return;
	if (kept_name_in_the_way(t, to))
	{
		char	   *temporary = psprintf("_mig_%u_r%d", t->relid, later->len);	/* no two are alike, as each adds to it */

		appendStringInfoString(buf, rename_sql(t, constraint, from, temporary));
		appendStringInfoString(later, rename_sql(t, constraint, temporary, to));
	}
	else
		appendStringInfoString(buf, rename_sql(t, constraint, from, to));
}

/* Give constraints and indexes that are kept their new names. */
static void
rename_kept(StringInfo buf, const Table *t)
{
	StringInfoData later;
	ListCell   *lc;

	initStringInfo(&later);
	foreach(lc, t->constraints)
	{
		Constr	   *k = lfirst(lc);

		if (!k->dropped && !k->remade && are_kept(t, k->columns))
			rename_one(buf, &later, t, true, k->name, k->new_name);
	}
	foreach(lc, t->indexes)
	{
		OldIndex   *x = lfirst(lc);

		if (!x->dropped && are_kept(t, x->columns))
			rename_one(buf, &later, t, false, x->name, x->new_name);
	}
	appendStringInfoString(buf, later.data);
}

/* Indexes take their originals' names. */
static void
finish_copies(StringInfo buf, List *indexes)
{
	ListCell   *lc;

	foreach(lc, indexes)
		if (((IndexBuild *) lfirst(lc))->finish_sql)
			appendStringInfoString(buf, ((IndexBuild *) lfirst(lc))->finish_sql);
}

char *
swap_sql(const MigPlan *p, const Table *t, bool has_inner, List *indexes)
{
	const char *table = sql_qualified(t->schema, t->name);
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoString(&buf, view_direct_sql(p->version_schema, t, false));
	if (has_inner)
		appendStringInfo(&buf, "DROP VIEW %s;\n", sql_qualified(p->inner_schema, t->new_name));
	if (shape_has_pairs(t))
		foreach(lc, shape_trigger_tables(t))
			appendStringInfo(&buf, "DROP TRIGGER IF EXISTS " FIRST_TRIGGER " ON %s;\nDROP TRIGGER IF EXISTS " LAST_TRIGGER " ON %s;\n", (char *) lfirst(lc), (char *) lfirst(lc));
	foreach(lc, t->foreign_keys)
		if (((ForeignKey *) lfirst(lc))->trigger)
			appendStringInfo(&buf, "DROP TRIGGER %s ON %s;\n", quote_identifier(((ForeignKey *) lfirst(lc))->trigger), table);
	drop_old(&buf, t);
	rename_columns(&buf, t);
	finish_rules(&buf, t);
	finish_columns(&buf, t);
	rename_kept(&buf, t);
	finish_copies(&buf, indexes);
	if (identity_swap_sql(t))
		appendStringInfo(&buf, "%s;\n", identity_swap_sql(t));
	if (strcmp(t->name, t->new_name) != 0)
		appendStringInfo(&buf, "ALTER TABLE %s RENAME TO %s;\n", table, quote_identifier(t->new_name));
	if (t->comment_changed)
		appendStringInfo(&buf, "COMMENT ON TABLE %s IS %s;\n", sql_qualified(t->schema, t->new_name),
						 t->comment ? quote_literal_cstr(t->comment) : "NULL");
	return buf.data;
}
