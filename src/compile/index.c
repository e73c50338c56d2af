/*
 * index.c
 *		Indexes of a changed column, written again over its replacement.
 *
 * Owns no state. An index expression or predicate is analysed with the old names bound to the new physical columns, so it means on the new type
 * what ALTER TABLE … TYPE would have made of it.
 */
#include "base/compat.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/sql.h"
#include "compile/index.h"

/* Name of the physical column that an attribute number of the old shape has in the end. */
static const char *
physical_name(const Table *t, AttrNumber att)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att == att && c->second && !c->dropped)
			return c->hidden;
	}
	return list_nth(t->physical, att - 1);
}

/* The old shape's names, bound to where their values are in the end. */
static List *
carried_bindings(const Table *t)
{
	List	   *snapshot = NIL;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		SnapshotColumn *s;

		if (c->att == 0)
			continue;
		s = palloc0(sizeof(SnapshotColumn));
		s->name = c->old_name;
		s->column = c;
		snapshot = lappend(snapshot, s);
	}
	return shape_final_bindings(t, snapshot);
}

/* SQL of an index's or constraint's expression over the physical columns of the end. */
static char *
carried_expression(const Table *t, const char *text, const char *of)
{
	RawExpr    *raw = raw_expr_printed(text, psprintf("index \"%s\"", of));
	ExprTarget	any = {InvalidOid};

	return expr_text(expr_analyze(raw, carried_bindings(t), t->name, NULL, &any), t->physical);
}

/* One key of an index. v: attnum, expression, collation, opclass, options, descending, nulls first */
static char *
index_key(const Table *t, char **v, const char *index)
{
	AttrNumber	att = (AttrNumber) pg_strtoint16(v[0]);
	bool		desc = v[5][0] == 't';
	bool		nulls_first = v[6][0] == 't';
	StringInfoData buf;

	initStringInfo(&buf);
	if (att != 0)
		appendStringInfoString(&buf, quote_identifier(physical_name(t, att)));
	else
		appendStringInfo(&buf, "(%s)", carried_expression(t, v[1], index));
	if (v[2])
		appendStringInfo(&buf, " COLLATE %s", v[2]);
	if (v[3])
		appendStringInfo(&buf, " %s", v[3]);
	if (v[4])
		appendStringInfo(&buf, " (%s)", v[4]);
	if (desc)
		appendStringInfoString(&buf, " DESC");
	if (desc != nulls_first)
		appendStringInfoString(&buf, nulls_first ? " NULLS FIRST" : " NULLS LAST");
	return buf.data;
}

/* The keys (and included columns) of an index as SQL: "(a, b) INCLUDE (c)". */
static char *
index_keys(const Table *t, Oid index, const char *name)
{
	SqlRows    *rows = sql_queryp("SELECT i.indkey[k], CASE WHEN i.indkey[k] = 0 THEN pg_get_indexdef(i.indexrelid, k + 1, false) END,"
								  " CASE WHEN i.indcollation[k] NOT IN (0, 100) AND i.indcollation[k] IS DISTINCT FROM a.attcollation"
								  "  THEN (SELECT format('%I.%I', n.nspname, l.collname) FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace"
								  "   WHERE l.oid = i.indcollation[k]) END,"
								  " CASE WHEN NOT o.opcdefault OR EXISTS (SELECT FROM unnest(x.attoptions) u WHERE u !~ '^pg_') THEN format('%I.%I', o.opcnamespace::regnamespace, o.opcname) END,"
								  " (SELECT string_agg(format('%I = %L', split_part(u, '=', 1), substr(u, strpos(u, '=') + 1)), ', ') FROM unnest(x.attoptions) u WHERE u !~ '^pg_'),"
								  " coalesce((i.indoption[k] & 1) = 1, false), coalesce((i.indoption[k] & 2) = 2, false), k >= i.indnkeyatts"
								  " FROM pg_index i CROSS JOIN LATERAL generate_series(0, i.indnatts - 1) k"
								  " JOIN pg_attribute x ON x.attrelid = i.indexrelid AND x.attnum = k + 1"
								  " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] AND i.indkey[k] > 0"
								  " LEFT JOIN pg_opclass o ON o.oid = i.indclass[k]"
								  " WHERE i.indexrelid = $1 ORDER BY k", P_oid(index));
	StringInfoData keys;
	StringInfoData include;

	initStringInfo(&keys);
	initStringInfo(&include);
	for (uint64 r = 0; r < rows->n; r++)
	{
		char	  **v = rows->v[r];

		if (v[7][0] == 't')
			appendStringInfo(&include, "%s%s", include.len ? ", " : "",
							 quote_identifier(physical_name(t, (AttrNumber) pg_strtoint16(v[0]))));
		else
			appendStringInfo(&keys, "%s%s", keys.len ? ", " : "", index_key(t, v, name));
	}
	return include.len ? psprintf("(%s) INCLUDE (%s)", keys.data, include.data) : psprintf("(%s)", keys.data);
}

/* What follows the table's name in CREATE INDEX of a copy. v: see index_copies() */
static char *
index_body(const Table *t, char **v)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "USING %s %s", quote_identifier(v[3]), index_keys(t, sql_oid(v[0]), v[1]));
	if (v[4][0] == 't')
		appendStringInfoString(&buf, " NULLS NOT DISTINCT");
	if (v[5])
		appendStringInfo(&buf, " WITH (%s)", v[5]);
	if (v[6])
		appendStringInfo(&buf, " TABLESPACE %s", quote_identifier(v[6]));
	if (v[7])
		appendStringInfo(&buf, " WHERE %s", carried_expression(t, v[7], v[1]));
	return buf.data;
}

/* What makes a copy take the place of the original, once that is gone. v: see index_copies() */
static char *
finish_index_sql(const Table *t, char **v, const char *hidden)
{
	const char *table = sql_qualified(t->schema, t->name);
	const char *index = sql_qualified(t->schema, v[1]);
	StringInfoData buf;

	initStringInfo(&buf);
	if (v[8] && v[9][0] == 'u' && v[10][0] == 't')	/* a deferrable constraint already, by the hidden name */
		appendStringInfo(&buf, "ALTER TABLE %s RENAME CONSTRAINT %s TO %s;\n", table, hidden, quote_identifier(v[8]));
	else if (v[8] && !t->partitioned)	/* of a constraint: PostgreSQL renames the index to the constraint */
		appendStringInfo(&buf, "ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s%s;\n", table, quote_identifier(v[8]),
						 v[9][0] == 'p' ? "PRIMARY KEY" : "UNIQUE", hidden,
						 v[10][0] == 't' ? " DEFERRABLE" : "", v[11][0] == 't' ? " INITIALLY DEFERRED" : "");
	else if (!v[8])
		appendStringInfo(&buf, "ALTER INDEX %s RENAME TO %s;\n", sql_qualified(t->schema, hidden), quote_identifier(v[1]));
	if (v[12])
		appendStringInfo(&buf, "COMMENT ON INDEX %s IS %s;\n", index, quote_literal_cstr(v[12]));
	if (v[13] && v[8])
		appendStringInfo(&buf, "COMMENT ON CONSTRAINT %s ON %s IS %s;\n", quote_identifier(v[8]), table, quote_literal_cstr(v[13]));
	if (v[14][0] == 't')
		appendStringInfo(&buf, "ALTER TABLE %s CLUSTER ON %s;\n", table, quote_identifier(v[1]));
	if (v[15][0] == 't')
		appendStringInfo(&buf, "ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;\n", table, quote_identifier(v[1]));
	return buf.data;
}

/* The present index of that OID */
static OldIndex *
present_index(const Table *t, Oid oid)
{
	ListCell   *lc;

	foreach(lc, t->indexes)
		if (((OldIndex *) lfirst(lc))->oid == oid)
			return lfirst(lc);
	elog(ERROR, "index %u of table \"%s\" is new", oid, t->name);
	return NULL;				/* keep compiler quiet */
}

/* "(a, b) INCLUDE (c)" of an index on plain columns, by the names that they have in the end. */
static char *
final_columns(const Table *t, Oid index)
{
	SqlRows    *rows = sql_queryp("SELECT i.indkey[k], k >= i.indnkeyatts FROM pg_index i, generate_series(0, i.indnatts - 1) k WHERE i.indexrelid = $1 ORDER BY k", P_oid(index));
	StringInfoData keys;
	StringInfoData include;

	initStringInfo(&keys);
	initStringInfo(&include);
	for (uint64 r = 0; r < rows->n; r++)
	{
		StringInfo	buf = rows->v[r][1][0] == 't' ? &include : &keys;
		ListCell   *lc;

		foreach(lc, t->columns)
			if (((Column *) lfirst(lc))->att == pg_strtoint16(rows->v[r][0]))
				appendStringInfo(buf, "%s%s", buf->len ? ", " : "", quote_identifier(((Column *) lfirst(lc))->name));
	}
	return include.len ? psprintf("(%s) INCLUDE (%s)", keys.data, include.data) : psprintf("(%s)", keys.data);
}

/* The steps that build a copy on a partitioned table. v: see index_copies() */
static List *
partitioned_copy(const Table *t, char **v, IndexBuild *copy, int number)
{
	List	   *parts = index_parts(t->relid, sql_oid(v[0]));
	ListCell   *lc;

	foreach(lc, parts)
		((IndexPart *) lfirst(lc))->name = psprintf("_mig_%u_i%d", ((IndexPart *) lfirst(lc))->partition, number);
	if (v[8] == NULL)
		return index_part_builds(t, copy, index_body(t, v), parts);
	if (v[10][0] == 't')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("deferrable constraint \"%s\" of partitioned table \"%s\" is on a changed column", v[8], t->name),
				 errhint("Drop the constraint before the migration and add it afterwards.")));
	return index_part_key_builds(t, copy, index_body(t, v), parts, v[9][0] == 'p' ? "PRIMARY KEY" : v[4][0] == 't' ? "UNIQUE NULLS NOT DISTINCT" : "UNIQUE",
								 final_columns(t, sql_oid(v[0])));
}

List *
index_copies(const Table *t)
{
	SqlRows    *rows;
	List	   *copies = NIL;

	rows = sql_queryp("WITH x AS (SELECT i.*, ARRAY (SELECT unnest(i.indkey::int2[]) UNION SELECT d.refobjsubid::int2 FROM pg_depend d"
					  "  WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass"
					  "  AND d.refobjid = i.indrelid AND d.refobjsubid > 0) AS atts FROM pg_index i WHERE i.indrelid = $1 AND i.indisvalid)"
					  " SELECT x.indexrelid, c.relname, x.indisunique, m.amname, x.indnullsnotdistinct,"
					  " (SELECT string_agg(format('%I = %L', split_part(u, '=', 1), substr(u, strpos(u, '=') + 1)), ', ') FROM unnest(c.reloptions) u),"
					  " (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace), pg_get_expr(x.indpred, x.indrelid),"
					  " k.conname, k.contype, coalesce(k.condeferrable, false), coalesce(k.condeferred, false),"
					  " obj_description(c.oid, 'pg_class'), obj_description(k.oid, 'pg_constraint'), x.indisclustered, x.indisreplident,"
					  " x.indisexclusion"
					  " FROM x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am m ON m.oid = c.relam"
					  " LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.conrelid = x.indrelid AND k.contype IN ('p', 'u', 'x')"
					  " WHERE x.atts && $2::int2[] AND NOT x.atts && $3::int2[] ORDER BY c.relname",
					  P_oid(t->relid), P_text(atts_literal(shape_changed_atts(t))), P_text(atts_literal(shape_dropped_atts(t))));
	for (uint64 r = 0; r < rows->n; r++)
	{
		OldIndex   *x = present_index(t, sql_oid(rows->v[r][0]));
		IndexBuild *copy = palloc0(sizeof(IndexBuild));

		if (x->dropped)
			continue;

		if (rows->v[r][16][0] == 't')
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("exclusion constraint \"%s\" is on a changed column", rows->v[r][1]),
					 errdetail("PostgreSQL cannot build an exclusion constraint without locking the table."),
					 errhint("Drop the constraint before the migration and add it afterwards.")));
		rows->v[r][1] = unconstify(char *, index_final_name(x));
		if (rows->v[r][8])		/* its index bears the constraint's name */
			rows->v[r][8] = rows->v[r][1];
		if (t->identity)		/* set anew */
			rows->v[r][15] = t->identity_index == x ? "t" : "f";
		copy->name = rows->v[r][1];
		copy->hidden = psprintf("_mig_%u_i%d", t->relid, (int) r + 1);
		copy->unique = rows->v[r][2][0] == 't';
		copy->note = copy->unique ? psprintf("becomes index \"%s\"; being unique, it holds both versions once it is built", copy->name)
			: psprintf("becomes index \"%s\"", copy->name);
		copy->create_sql = psprintf("CREATE %sINDEX CONCURRENTLY %s ON %s %s", copy->unique ? "UNIQUE " : "", copy->hidden, sql_qualified(t->schema, t->name),
									index_body(t, rows->v[r]));
		/* an immediate index would refuse what clients may do until their commit */
		if (rows->v[r][8] && rows->v[r][9][0] == 'u' && rows->v[r][10][0] == 't')
			copy->constraint_sql = psprintf("ALTER TABLE %s ADD CONSTRAINT %s UNIQUE USING INDEX %s DEFERRABLE%s", sql_qualified(t->schema, t->name),
											copy->hidden, copy->hidden, rows->v[r][11][0] == 't' ? " INITIALLY DEFERRED" : "");
		copy->finish_sql = finish_index_sql(t, rows->v[r], copy->hidden);
		copies = t->partitioned ? list_concat(copies, partitioned_copy(t, rows->v[r], copy, (int) r + 1)) : lappend(copies, copy);
	}
	return copies;
}

void
check_referenced(const Table *t, List *going)
{
	ListCell   *lc;

	foreach(lc, t->indexes)
	{
		OldIndex   *x = lfirst(lc);
		SqlRows    *rows;

		if (!x->dropped)
			continue;
		rows = sql_queryp("SELECT k.oid, k.conname, k.conrelid::regclass FROM pg_constraint k WHERE k.contype = 'f' AND k.conindid = $1 ORDER BY 2", P_oid(x->oid));
		for (uint64 r = 0; r < rows->n; r++)
			if (!list_member_oid(going, sql_oid(rows->v[r][0])))
				ereport(ERROR,
						(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						 errmsg("cannot drop %s \"%s\" of table \"%s\" because a foreign key depends on it", x->constraint ? "constraint" : "index", x->name, t->name),
						 errdetail("Constraint \"%s\" on table %s refers to it.", rows->v[r][1], rows->v[r][2]),
						 errhint("Drop that foreign key in the same migration.")));
	}
}

void
check_dropped(const Table *t, List *tables, List *going)
{
	List	   *together = NIL;
	char	   *objects;
	ListCell   *lc;

	foreach(lc, tables)
		if (((Table *) lfirst(lc))->dropped)
			together = lappend_oid(together, ((Table *) lfirst(lc))->relid);
	objects = sql_textp("SELECT string_agg(DISTINCT pg_describe_object(CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END,"
						"  coalesce(r.ev_class, d.objid), 0), ', ')"
						" FROM pg_depend d LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
						" LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid"
						" WHERE d.deptype = 'n' AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = $1"
						"  OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (SELECT unnest(ARRAY[y.oid, y.typarray]) FROM pg_type y WHERE y.typrelid = $1))"
						" AND NOT (k.oid IS NOT NULL AND (k.conrelid = ANY ($2::oid[]) OR k.oid = ANY ($3::oid[])))"
						" AND NOT EXISTS (SELECT FROM pg_attrdef f WHERE d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid AND f.adrelid = ANY ($2::oid[]))"
						" AND NOT EXISTS (SELECT FROM pg_policy p WHERE d.classid = 'pg_policy'::regclass AND p.oid = d.objid AND p.polrelid = ANY ($2::oid[]))"
						" AND NOT EXISTS (SELECT FROM pg_trigger g WHERE d.classid = 'pg_trigger'::regclass AND g.oid = d.objid AND g.tgrelid = ANY ($2::oid[]))"
						" AND NOT coalesce(r.ev_class = ANY ($2::oid[]), false)"
						" AND NOT EXISTS (SELECT FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace JOIN mig.version_schema s ON s.schema_name = n.nspname"
						"  WHERE v.oid = r.ev_class)",
						P_oid(t->relid), P_text(oids_literal(together)), P_text(oids_literal(going)));
	if (objects)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop table \"%s\" because other objects depend on it", t->name),
				 errdetail("Used by %s.", objects),
				 errhint("Drop these first, in the same migration or before it.")));
}
