/*
 * shape.c
 *		The present shape of a table, read from the catalogs, and look-ups in a shape.
 *
 * Owns no state. Facts come through SQL on the catalogs; nothing here writes.
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/settings.h"
#include "base/lock.h"
#include "base/sql.h"
#include "compile/shape.h"
#include "store/chain.h"

char *
type_sql(Oid type, int32 typmod)
{
	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

char *
collate_sql(Oid type, Oid collation)
{
	HeapTuple	tuple;
	char	   *schema;

	if (!OidIsValid(collation) || collation == get_typcollation(type))
		return "";
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	schema = get_namespace_name(((Form_pg_collation) GETSTRUCT(tuple))->collnamespace);
	ReleaseSysCache(tuple);
	return psprintf(" COLLATE %s", quote_qualified_identifier(schema, get_collation_name(collation)));
}

/* Refuse a relation, with the reason. */
static void
refuse(const char *name, const char *reason, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" cannot be migrated online", name),
			 errdetail_internal("%s", reason),
			 hint ? errhint("%s", hint) : 0));
}

/* Why a table's kind rules it out, NULL if it does not. */
static const char *
kind_refusal(Oid relid)
{
	return sql_textp("SELECT CASE"
					 " WHEN c.relkind = 'f' THEN 'It is a foreign table.'"
					 " WHEN c.relkind NOT IN ('r', 'p') THEN 'It is not a table.'"
					 " WHEN c.relpersistence = 't' THEN 'It is a temporary table.'"
					 " WHEN c.relnamespace = 'pg_catalog'::regnamespace OR n.nspname IN ('information_schema', 'mig')"
					 "  OR n.nspname LIKE 'pg\\_toast%' THEN 'It is a system table.'"
					 " WHEN c.relispartition THEN format('It is a partition of %s.', (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = c.oid))"
					 " WHEN EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid) THEN format('It inherits from %s.', (SELECT min(inhparent::regclass::text) FROM pg_inherits WHERE inhrelid = c.oid))"
					 " WHEN (SELECT amname FROM pg_am WHERE oid = c.relam) <> 'heap' THEN 'Its table access method is not heap.'"
					 " WHEN c.relrowsecurity AND c.relforcerowsecurity AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE oid = c.relowner)"
					 "  THEN 'Its row-level security is forced on its owner, as whom every row is converted: NO FORCE it, or give the owner BYPASSRLS.'"
					 " WHEN c.reloftype <> 0 THEN 'It is a typed table.'"
					 " ELSE (SELECT format('It belongs to the extension \"%s\".', e.extname) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid"
					 "  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') END"
					 " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
					 P_oid(relid));
}

/* Why one of the tables below rules it out; NULL if none does. */
static const char *
family_refusal(Oid relid)
{
	StringInfoData oids;
	ListCell   *lc;

	initStringInfo(&oids);
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		if (lfirst_oid(lc) != relid)
			appendStringInfo(&oids, "%s%u", oids.len ? "," : "", lfirst_oid(lc));
	if (oids.len == 0)
		return NULL;
	return sql_textp("SELECT format(CASE WHEN c.relkind = 'f' THEN '%s is a foreign table.' WHEN c.relpersistence = 't' THEN '%s is a temporary table.'"
					 "  WHEN a.amname <> 'heap' THEN 'The table access method of %s is not heap.' ELSE '%s has several parents.' END, c.oid::regclass)"
					 " FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam WHERE c.oid = ANY ($1::oid[]) AND (c.relkind = 'f' OR c.relpersistence = 't' OR a.amname <> 'heap'"
					 "  OR (SELECT count(*) FROM pg_inherits WHERE inhrelid = c.oid) > 1) ORDER BY c.oid::regclass::text LIMIT 1", P_text(psprintf("{%s}", oids.data)));
}

/* The publications with live subscribers that send this table, NULL if there are none. */
static char *
live_publications(Oid relid)
{
	return sql_textp("SELECT string_agg(DISTINCT format('%I', p.pubname), ', ') FROM pg_publication p,"
					 " LATERAL pg_get_publication_tables(p.pubname) t WHERE t.relid = $1"
					 " AND EXISTS (SELECT FROM pg_replication_slots s WHERE s.plugin = 'pgoutput' AND s.database = current_database())",
					 P_oid(relid));
}

/* A name of the table's own that hidden objects would need, NULL if there is none; those of a migration that changes it now are no matter. */
static char *
reserved_name(const Table *t)
{
	if (chain_changing(t->relid))
		return NULL;
	return sql_textp("SELECT min(name) FROM (SELECT attname AS name FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped"
					 "  UNION ALL SELECT conname FROM pg_constraint WHERE conrelid = $1) n WHERE name LIKE '\\_mig\\_%'",
					 P_oid(t->relid));
}

/* Refuse tables that can't be migrated. */
static void
check_table(Table *t, bool subscribers_ready)
{
	const char *reason = kind_refusal(t->relid);
	char	   *publications;
	char	   *reserved;

	if (reason == NULL)
		reason = family_refusal(t->relid);
	if (reason)
		refuse(t->name, reason, NULL);
	reserved = reserved_name(t);
	if (reserved)
		refuse(t->name, psprintf("Its column or constraint \"%s\" has a name that migrations use.", reserved), "Rename it.");
	if (subscribers_ready)
		return;
	publications = live_publications(t->relid);
	if (publications)
		refuse(t->name, psprintf("It is published by %s, and the hidden columns would stop subscribers that do not have them.", publications),
			   "Add the columns of mig_plan's expand steps on the subscribers first, then start with options {\"subscribers\": \"ready\"}.");
}

/* The columns of the table, each also as the new version sees it so far. */
static void
load_columns(Table *t)
{
	SqlRows    *rows = sql_queryp("SELECT a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.attisdropped,"
								  " a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)"
								  " FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
								  " WHERE a.attrelid = $1 AND a.attnum > 0 ORDER BY a.attnum", P_oid(t->relid));

	t->natts = rows->n;
	for (uint64 i = 0; i < rows->n; i++)
	{
		char	  **v = rows->v[i];
		Column	   *c;

		t->physical = lappend(t->physical, v[6][0] == 't' ? "" : v[1]);
		if (v[6][0] == 't')
			continue;
		c = palloc0(sizeof(Column));
		c->att = (AttrNumber) pg_strtoint16(v[0]);
		c->old_name = c->name = v[1];
		c->old_type = c->type = sql_oid(v[2]);
		c->old_typmod = c->typmod = pg_strtoint32(v[3]);
		c->old_collation = c->collation = sql_oid(v[4]);
		c->old_not_null = c->not_null = v[5][0] == 't';
		c->identity = v[7][0];
		c->generated = v[8][0];
		c->old_default = c->default_sql = v[9];
		c->comment = v[10];
		c->value = (Node *) makeVar(1, c->att, c->type, c->typmod, c->collation, 0);
		t->columns = lappend(t->columns, c);
	}
}

/* The sequences that the columns own. */
static void
load_sequences(Table *t)
{
	SqlRows    *rows = sql_queryp("SELECT d.refobjsubid, d.objid FROM pg_depend d JOIN pg_class q ON q.oid = d.objid WHERE d.classid = 'pg_class'::regclass"
								  " AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND q.relkind = 'S' AND d.deptype IN ('a', 'i') ORDER BY d.objid",
								  P_oid(t->relid));
	ListCell   *lc;

	for (uint64 i = 0; i < rows->n; i++)
		foreach(lc, t->columns)
		{
			Column	   *c = lfirst(lc);

			if (c->att == pg_strtoint16(rows->v[i][0]))
				c->sequences = lappend(c->sequences, sql_relation_name(sql_oid(rows->v[i][1])));
		}
}

/* A generated column's expression over the old names, bound to values over the shape before or to the columns of the new one. */
static Node *
analyze_generated(const Table *t, const Column *column, bool before, const ExprTarget *target)
{
	List	   *bindings = NIL;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		Binding    *b;

		if (c->att == 0 || c->dropped || c->generated)
			continue;
		b = palloc(sizeof(Binding));
		b->name = c->old_name;
		b->value = before ? c->value : (Node *) makeVar(1, c->second ? c->hidden_att : c->att, c->type, c->typmod, c->collation, 0);
		bindings = lappend(bindings, b);
	}
	return expr_analyze(raw_expr_printed(column->old_default, psprintf("generated column \"%s\"", column->name)), bindings, t->name, t->new_name, target);
}

Node *
shape_generated(const Table *t, const Column *c, bool before)
{
	return analyze_generated(t, c, before, &(ExprTarget) {c->type, c->typmod, c->collation, c->name, false});
}

char *
shape_generated_sql(const Table *t, const Column *c)
{
	return expr_text(analyze_generated(t, c, false, &(ExprTarget) {InvalidOid}), t->physical);
}

/* A generated column's value is its expression: a BEFORE trigger does not see the value itself yet. */
static void
resolve_generated(Table *t)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		Bitmapset  *inputs = NULL;
		int			i = -1;

		if (!c->generated)
			continue;
		c->value = shape_generated(t, c, true);
		pull_varattnos(c->value, 1, &inputs);
		while ((i = bms_next_member(inputs, i)) >= 0)
			c->inputs = bms_add_member(c->inputs, i + FirstLowInvalidHeapAttributeNumber);
	}
}

/* int2 array text "1 2" or "{1,2}" as a set */
static Bitmapset *
parse_atts(const char *s)
{
	Bitmapset  *set = NULL;

	while (s && *s)
	{
		char	   *end;
		long		n = strtol(s, &end, 10);

		if (end == s)
		{
			s++;
			continue;
		}
		if (n > 0)
			set = bms_add_member(set, (int) n);
		s = end;
	}
	return set;
}

/* The constraints of the table. */
static void
load_constraints(Table *t)
{
	SqlRows    *rows = sql_queryp("SELECT c.oid, c.conname, c.contype, c.conkey, c.conindid, pg_get_constraintdef(c.oid),"
								  " pg_get_expr(c.conbin, c.conrelid), c.convalidated, c.connoinherit,"
								  " obj_description(c.oid, 'pg_constraint'), c.confrelid"
								  " FROM pg_constraint c WHERE c.conrelid = $1 AND c.contype <> 't' ORDER BY c.conname", P_oid(t->relid));

	for (uint64 i = 0; i < rows->n; i++)
	{
		char	  **v = rows->v[i];
		Constr	   *c = palloc0(sizeof(Constr));

		c->oid = sql_oid(v[0]);
		c->name = v[1];
		c->type = v[2][0];
		c->columns = parse_atts(v[3]);
		c->index = sql_oid(v[4]);
		c->definition = v[5];
		c->check = v[6];
		c->validated = v[7][0] == 't';
		c->no_inherit = v[8][0] == 't';
		c->comment = v[9];
		c->referenced = sql_oid(v[10]);
		t->constraints = lappend(t->constraints, c);
	}
}

/* The indexes of the table; its constraints are loaded. */
static void
load_indexes(Table *t)
{
	SqlRows    *rows = sql_queryp("SELECT c.oid, c.relname, ARRAY (SELECT unnest(i.indkey::int2[]) UNION SELECT d.refobjsubid::int2 FROM pg_depend d"
								  "  WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass"
								  "  AND d.refobjid = i.indrelid AND d.refobjsubid > 0)"
								  " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1 AND i.indislive ORDER BY c.relname", P_oid(t->relid));

	for (uint64 i = 0; i < rows->n; i++)
	{
		OldIndex   *x = palloc0(sizeof(OldIndex));
		ListCell   *lc;

		x->oid = sql_oid(rows->v[i][0]);
		x->name = rows->v[i][1];
		x->columns = parse_atts(rows->v[i][2]);
		foreach(lc, t->constraints)
		{
			Constr	   *k = lfirst(lc);

			if (k->index == x->oid && k->type != 'f')
				x->constraint = k;
		}
		t->indexes = lappend(t->indexes, x);
	}
}

/* Raise unless the current user owns the table: before its lock is asked for, and again under it. */
static void
check_owner(Oid relid)
{
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)) && !mig_relation_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
}

Table *
shape_load(Oid relid, LOCKMODE lock, bool subscribers_ready)
{
	Table	   *t = palloc0(sizeof(Table));
	Relation	rel;
	int			level;

	check_owner(relid);
	(void) lock_relations(list_make1(lock_want(relid, lock)), lock_attempts());
	rel = try_table_open(relid, NoLock);
	if (rel == NULL)
		return NULL;
	check_owner(relid);

	t->relid = relid;
	t->name = t->new_name = pstrdup(RelationGetRelationName(rel));
	t->schema = get_namespace_name(RelationGetNamespace(rel));
	t->owner = rel->rd_rel->relowner;
	t->partitioned = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	table_close(rel, NoLock);

	/* names in default and constraint texts come out qualified */
	level = NewGUCNestLevel();
	setting_set("search_path", "pg_catalog");
	sql_portable_texts();
	check_table(t, subscribers_ready);
	load_columns(t);
	load_sequences(t);
	resolve_generated(t);
	load_constraints(t);
	load_indexes(t);
	if (!t->partitioned && has_subclass(relid))
		t->children = list_delete_oid(find_all_inheritors(relid, NoLock, NULL), relid);
	t->comment = sql_textp("SELECT obj_description($1, 'pg_class')", P_oid(relid));
	AtEOXact_GUC(false, level);
	return t;
}

Table *
shape_bare(Oid relid)
{
	Table	   *t = palloc0(sizeof(Table));

	t->relid = relid;
	t->name = t->new_name = get_rel_name(relid);
	t->schema = get_namespace_name(get_rel_namespace(relid));
	load_columns(t);
	return t;
}

Column *
shape_column(const Table *t, const char *name, bool missing_ok)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (!c->dropped && strcmp(c->name, name) == 0)
			return c;
	}
	if (!missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist", name, t->new_name)));
	return NULL;
}

Constr *
shape_constraint(const Table *t, const char *name)
{
	ListCell   *lc;

	foreach(lc, t->constraints)
	{
		Constr	   *c = lfirst(lc);

		if (!c->dropped && strcmp(c->new_name ? c->new_name : c->name, name) == 0)
			return c;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("constraint \"%s\" of relation \"%s\" does not exist", name, t->new_name)));
	return NULL;				/* keep compiler quiet */
}

const char *
index_final_name(const OldIndex *x)
{
	if (x->constraint)
		return x->constraint->new_name ? x->constraint->new_name : x->constraint->name;
	return x->new_name ? x->new_name : x->name;
}

/* Does a new key stand on a present index? */
static bool
is_promoted(const Table *t, const OldIndex *x)
{
	ListCell   *lc;

	foreach(lc, t->new_indexes)
		if (((NewIndex *) lfirst(lc))->present == x)
			return true;
	return false;
}

OldIndex *
shape_index(const Table *t, const char *name)
{
	ListCell   *lc;

	foreach(lc, t->indexes)
	{
		OldIndex   *x = lfirst(lc);

		if (!x->dropped && !is_promoted(t, x) && strcmp(index_final_name(x), name) == 0)
			return x;
	}
	return NULL;
}

NewIndex *
shape_new_index(const Table *t, const char *name)
{
	ListCell   *lc;

	foreach(lc, t->new_indexes)
	{
		NewIndex   *n = lfirst(lc);

		if (strcmp(n->name, name) == 0)
			return n;
	}
	return NULL;
}

List *
shape_snapshot(const Table *t)
{
	List	   *snapshot = NIL;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		SnapshotColumn *s;

		if (c->dropped)
			continue;
		s = palloc(sizeof(SnapshotColumn));
		s->name = c->name;
		s->column = c;
		s->type = c->type;
		s->typmod = c->typmod;
		s->collation = c->collation;
		snapshot = lappend(snapshot, s);
	}
	return snapshot;
}

List *
shape_values(const Table *t)
{
	List	   *bindings = NIL;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		Binding    *b;

		if (c->dropped)
			continue;
		b = palloc(sizeof(Binding));
		b->name = c->name;
		b->value = c->value;
		bindings = lappend(bindings, b);
	}
	return bindings;
}

List *
shape_final_bindings(const Table *t, List *snapshot)
{
	List	   *bindings = NIL;
	ListCell   *lc;

	foreach(lc, snapshot)
	{
		SnapshotColumn *s = lfirst(lc);
		Column	   *c = s->column;
		Binding    *b = palloc(sizeof(Binding));

		if (c->dropped)
			continue;
		b->name = s->name;
		b->value = (Node *) makeVar(1, c->second ? c->hidden_att : c->att, c->type, c->typmod, c->collation, 0);
		bindings = lappend(bindings, b);
	}
	return bindings;
}

Bitmapset *
shape_changed_atts(const Table *t)
{
	Bitmapset  *set = NULL;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att != 0 && !c->dropped && c->second)
			set = bms_add_member(set, c->att);
	}
	return set;
}

Bitmapset *
shape_dropped_atts(const Table *t)
{
	Bitmapset  *set = NULL;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att != 0 && c->dropped)
			set = bms_add_member(set, c->att);
	}
	return set;
}

char *
atts_literal(Bitmapset *set)
{
	StringInfoData buf;
	int			i = -1;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	while ((i = bms_next_member(set, i)) >= 0)
		appendStringInfo(&buf, "%s%d", buf.len > 1 ? "," : "", i);
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

char *
oids_literal(List *oids)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	foreach(lc, oids)
		appendStringInfo(&buf, "%s%u", buf.len > 1 ? "," : "", lfirst_oid(lc));
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

const char *
column_physical(const Column *c)
{
	return c->second ? c->hidden : c->old_name;
}

bool
column_is_pair(const Column *c)
{
	if (c->dropped)
		return c->att != 0 && c->back != NULL;
	return c->second && (c->att != 0 || c->fill);
}

bool
column_brings_default(const Column *c)
{
	return c->fast_default && c->added_sql == c->default_sql;
}

bool
shape_has_pairs(const Table *t)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (column_is_pair(c))
			return true;
	}
	return false;
}

List *
shape_trigger_tables(const Table *t)
{
	List	   *tables = list_make1(sql_qualified(t->schema, t->name));
	ListCell   *lc;

	/* partitions have theirs from the partitioned table; children have not */
	foreach(lc, t->children)
		tables = lappend(tables, sql_relation_name(lfirst_oid(lc)));
	return tables;
}
