/*
 * new_index.c
 *		Indexes and keys that a migration adds: their SQL over the final physical columns.
 *
 * Owns no state. Names in the user's texts (operator classes, collations, functions) are looked up with the definition's search_path and written
 * qualified; what the server would refuse when it builds the index is refused here, before anything has begun.
 */
#include "base/compat.h"

#include "access/amapi.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_opclass.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/sql.h"
#include "compile/index.h"
#include "compile/operations.h"

/* What an index is being written for */
typedef struct Writer
{
	const Table *t;
	const NewIndex *n;
	List	   *bindings;
	List	   *names;			/* as t->physical, but the names of the new version */
	Oid			am;
	const IndexAmRoutine *routine;
} Writer;

/* Raise 0A000 for something that the access method does not have. */
static void
method_lacks(const Writer *w, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("access method \"%s\" does not support %s", w->n->index->accessMethod, what),
			 source_position(w->n->op->source, w->n->op->location)));
}

/* Check a new index against what its access method can do. */
static void
check_method(const Writer *w)
{
	const IndexStmt *x = w->n->index;
	const IndexAmRoutine *am = w->routine;
	ListCell   *lc;

	if (x->unique && !am->amcanunique)
		method_lacks(w, "unique indexes");
	if (x->indexIncludingParams && !am->amcaninclude)
		method_lacks(w, "included columns");
	if (list_length(x->indexParams) > 1 && !am->amcanmulticol)
		method_lacks(w, "multicolumn indexes");
	foreach(lc, x->indexParams)
	{
		const IndexElem *e = lfirst(lc);

		if (e->ordering != SORTBY_DEFAULT && !am->amcanorder)
			method_lacks(w, "ASC/DESC options");
		if (e->nulls_ordering != SORTBY_NULLS_DEFAULT && !am->amcanorder)
			method_lacks(w, "NULLS FIRST/LAST options");
	}
	(void) index_reloptions(am->amoptions, transformRelOptions((Datum) 0, x->options, NULL, NULL, false, false), true);
	if (x->tableSpace)
		(void) get_tablespace_oid(x->tableSpace, false);
}

/* An expression or the predicate, analysed over the final physical columns; it must be immutable. */
static Node *
analyze_part(const Writer *w, Node *raw, bool predicate)
{
	const Operation *op = w->n->op;
	RawExpr		expr = {raw, op->source, NULL, false};
	Node	   *node = expr_analyze_index(&expr, w->bindings, w->t->name, w->t->new_name, predicate);

	if (contain_mutable_functions((Node *) expression_planner((Expr *) copyObject(node))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("functions in index %s must be marked IMMUTABLE", predicate ? "predicate" : "expression"),
				 source_position(op->source, exprLocation(raw))));
	return node;
}

/* The column of a name, as the shape had it when the operation came. */
static const Column *
column_of(const Writer *w, const char *name)
{
	ListCell   *lc;

	foreach(lc, w->n->shape)
		if (strcmp(((SnapshotColumn *) lfirst(lc))->name, name) == 0)
			return ((SnapshotColumn *) lfirst(lc))->column;
	elog(ERROR, "column \"%s\" is not in the shape", name);
	return NULL;				/* keep compiler quiet */
}

/* " COLLATE x", as written but qualified. */
static void
collation_sql(StringInfo buf, const Writer *w, List *name, Oid type)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(get_collation_oid(name, false)));
	Form_pg_collation form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation of an index");
	form = (Form_pg_collation) GETSTRUCT(tuple);
	if (!type_is_collatable(type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("collations are not supported by type %s", format_type_be(type)),
				 source_position(w->n->op->source, w->n->op->location)));
	appendStringInfo(buf, " COLLATE %s", sql_qualified(get_namespace_name(form->collnamespace), NameStr(form->collname)));
	ReleaseSysCache(tuple);
}

/* " opclass", as written but qualified; 42704 where there is none. */
static void
opclass_sql(StringInfo buf, const Writer *w, List *name, Oid type)
{
	Oid			opclass = ResolveOpClass(name, type, w->n->index->accessMethod, w->am);
	HeapTuple	tuple;
	Form_pg_opclass form;

	if (name == NIL)
		return;
	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	appendStringInfo(buf, " %s", sql_qualified(get_namespace_name(form->opcnamespace), NameStr(form->opcname)));
	ReleaseSysCache(tuple);
}

/* "a = '1', b = 'x'" of a list of options. */
static void
options_sql(StringInfo buf, List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *d = lfirst(lc);

		appendStringInfo(buf, "%s%s = %s", foreach_current_index(lc) ? ", " : "", quote_identifier(d->defname),
						 quote_literal_cstr(d->arg ? defGetString(d) : "true"));
	}
}

/* One key. `words` gets it in the user's own names. */
static void
key_sql(StringInfo buf, StringInfo words, const Writer *w, const IndexElem *e)
{
	Oid			type;

	if (e->name)
	{
		const Column *c = column_of(w, e->name);

		appendStringInfoString(buf, quote_identifier(column_physical(c)));
		appendStringInfoString(words, quote_identifier(c->name));
		type = c->type;
	}
	else
	{
		Node	   *expr = analyze_part(w, e->expr, false);

		appendStringInfo(buf, "(%s)", expr_text(expr, w->t->physical));
		appendStringInfoString(words, expr_text(expr, w->names));
		type = exprType(expr);
	}
	if (e->collation)
		collation_sql(buf, w, e->collation, type);
	opclass_sql(buf, w, e->opclass, type);
	if (e->opclassopts)
	{
		appendStringInfoString(buf, " (");
		options_sql(buf, e->opclassopts);
		appendStringInfoChar(buf, ')');
	}
	if (e->ordering != SORTBY_DEFAULT)
		appendStringInfoString(buf, e->ordering == SORTBY_DESC ? " DESC" : " ASC");
	if (e->nulls_ordering != SORTBY_NULLS_DEFAULT)
		appendStringInfoString(buf, e->nulls_ordering == SORTBY_NULLS_FIRST ? " NULLS FIRST" : " NULLS LAST");
}

/* " INCLUDE (a, b)" */
static void
include_sql(StringInfo buf, const Writer *w)
{
	ListCell   *lc;

	foreach(lc, w->n->index->indexIncludingParams)
	{
		const IndexElem *e = lfirst(lc);
		const Column *c;

		if (e->name == NULL || e->collation || e->opclass)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("included columns are columns, without collation or operator class"),
					 source_position(w->n->op->source, w->n->op->location)));
		c = column_of(w, e->name);
		appendStringInfo(buf, "%s%s", foreach_current_index(lc) ? ", " : " INCLUDE (", quote_identifier(column_physical(c)));
	}
	if (w->n->index->indexIncludingParams)
		appendStringInfoChar(buf, ')');
}

/* What the physical columns are called in the new version */
static List *
new_names(const Table *t)
{
	List	   *names = list_copy(t->physical);
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		const Column *c = lfirst(lc);

		if (!c->dropped)
			lfirst(list_nth_cell(names, (c->second ? c->hidden_att : c->att) - 1)) = c->name;
	}
	return names;
}

/* Write one new index: what follows the table's name in CREATE INDEX. */
static void
write_index(const Table *t, NewIndex *n)
{
	const IndexStmt *x = n->index;
	Writer		w = {t, n, shape_final_bindings(t, n->shape), new_names(t), get_index_am_oid(x->accessMethod, false)};
	StringInfoData buf;
	StringInfoData words;
	ListCell   *lc;

	w.routine = GetIndexAmRoutineByAmId(w.am, false);
	check_method(&w);
	initStringInfo(&buf);
	initStringInfo(&words);
	appendStringInfo(&buf, "USING %s ", quote_identifier(x->accessMethod));
	foreach(lc, x->indexParams)
	{
		const char *separator = foreach_current_index(lc) ? ", " : "(";

		appendStringInfoString(&buf, separator);
		appendStringInfoString(&words, separator);
		key_sql(&buf, &words, &w, lfirst(lc));
	}
	appendStringInfoChar(&buf, ')');
	appendStringInfoChar(&words, ')');
	include_sql(&buf, &w);
	if (x->nulls_not_distinct)
		appendStringInfoString(&buf, " NULLS NOT DISTINCT");
	if (x->options)
	{
		appendStringInfoString(&buf, " WITH (");
		options_sql(&buf, x->options);
		appendStringInfoChar(&buf, ')');
	}
	if (x->tableSpace)
		appendStringInfo(&buf, " TABLESPACE %s", quote_identifier(x->tableSpace));
	if (x->whereClause)
		appendStringInfo(&buf, " WHERE %s", expr_text(analyze_part(&w, x->whereClause, true), t->physical));
	n->sql = buf.data;
	n->keys = words.data;
}

void
new_indexes_finish(Table *t)
{
	ListCell   *lc;

	foreach(lc, t->new_indexes)
	{
		NewIndex   *n = lfirst(lc);
		SourceContext context;

		if (n->index == NULL)
			continue;
		source_begin(&context, NULL, n->op->path);
		write_index(t, n);
		source_end(&context);
	}
}

/* " DEFERRABLE INITIALLY DEFERRED", as the key says. */
static const char *
deferrable_sql(const Constraint *key)
{
	return !key->deferrable ? "" : key->initdeferred ? " DEFERRABLE INITIALLY DEFERRED" : " DEFERRABLE";
}

/* ALTER TABLE that makes a key of an index. */
static char *
add_key_sql(const Table *t, const Constraint *key, const char *name, const char *index)
{
	return psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s", sql_qualified(t->schema, t->name), quote_identifier(name),
					key->contype == CONSTR_PRIMARY ? "PRIMARY KEY" : "UNIQUE", quote_identifier(index), deferrable_sql(key));
}

/* What makes a built index what it is in the end. */
static char *
finish_sql(const Table *t, const NewIndex *n, const IndexBuild *b)
{
	if (n->key && t->partitioned)
		return NULL;			/* index_partition.c */
	if (n->key && b->constraint_sql == NULL)
		return psprintf("%s;\n", add_key_sql(t, n->key, n->name, b->hidden));
	if (strcmp(n->name, b->hidden) == 0)
		return "";
	if (n->key)
		return psprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s;\n", sql_qualified(t->schema, t->name), quote_identifier(b->hidden), quote_identifier(n->name));
	return psprintf("ALTER INDEX %s RENAME TO %s;\n", sql_qualified(t->schema, b->hidden), quote_identifier(n->name));
}

/* What the user should know of a new index. */
static char *
index_note(const Table *t, const NewIndex *n, const IndexBuild *b)
{
	const char *name = strcmp(n->name, b->hidden) == 0 ? "" : psprintf("becomes index \"%s\"", n->name);

	if (!n->index->unique)
		return name[0] ? unconstify(char *, name) : NULL;
	return psprintf("%s is unique in %s%s; it binds both versions once it is built%s%s", n->keys, t->new_name, n->index->whereClause ? ", where the index's condition is true" : "",
					n->key == NULL ? "" : psprintf(", and becomes %s \"%s\"", n->key->contype == CONSTR_PRIMARY ? "primary key" : "constraint", n->name),
					n->key && n->key->deferrable && b->constraint_sql == NULL ? ", deferrable from the end on" : "");
}

/* How a new index is built. `number` makes a hidden name, for one whose own is not free yet. */
static IndexBuild *
new_index_build(const Table *t, const NewIndex *n, int number)
{
	IndexBuild *b = palloc0(sizeof(IndexBuild));
	const char *table = sql_qualified(t->schema, t->name);

	b->name = n->name;
	if (n->present)
	{
		b->hidden = unconstify(char *, index_final_name(n->present));
		b->finish_sql = finish_sql(t, n, b);
		return b;
	}
	b->hidden = n->name;
	if (OidIsValid(get_relname_relid(n->name, get_namespace_oid(t->schema, false))))
		b->hidden = psprintf("_mig_%u_n%d", t->relid, number);
	b->unique = n->index->unique;
	b->create_sql = psprintf("CREATE %sINDEX CONCURRENTLY %s ON %s %s", b->unique ? "UNIQUE " : "", quote_identifier(b->hidden), table, n->sql);
	b->undo = psprintf("DROP INDEX IF EXISTS %s", sql_qualified(t->schema, b->hidden));
	/* an immediate index would refuse what clients may do until their commit; there may be another primary key until the swap */
	if (n->key && n->key->deferrable && n->key->contype == CONSTR_UNIQUE)
	{
		b->constraint_sql = add_key_sql(t, n->key, b->hidden, b->hidden);
		b->constraint_undo = psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", table, quote_identifier(b->hidden));
	}
	b->finish_sql = finish_sql(t, n, b);
	b->note = index_note(t, n, b);
	return b;
}

/* A name for a partition's index that no relation has, and none of `taken`. */
static char *
partition_index_name(const NewIndex *n, const char *schema, const char *partition, List **taken)
{
	Oid			namespace = get_namespace_oid(schema, false);
	char	   *name = index_name(partition, n->index, 0);

	for (int i = 1; OidIsValid(get_relname_relid(name, namespace)) || list_member(*taken, makeString(sql_qualified(schema, name))); i++)
		name = index_name(partition, n->index, i);
	*taken = lappend(*taken, makeString(sql_qualified(schema, name)));
	return name;
}

/* Raise 0A000 for a unique index that would not be unique over all partitions. */
static void
check_unique_partitioned(const Table *t, const NewIndex *n)
{
	Relation	rel = table_open(t->relid, NoLock);
	PartitionKey key = RelationGetPartitionKey(rel);
	Bitmapset  *atts = NULL;
	ListCell   *lc;

	foreach(lc, n->index->indexParams)
		if (((IndexElem *) lfirst(lc))->name)
			atts = bms_add_member(atts, get_attnum(t->relid, ((IndexElem *) lfirst(lc))->name));
	for (int i = 0; i < get_partition_natts(key); i++)
		if (get_partition_col_attnum(key, i) == 0 || !bms_is_member(get_partition_col_attnum(key, i), atts))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("unique index \"%s\" of partitioned table \"%s\" must include all columns of the partition key", n->name, t->name)));
	table_close(rel, NoLock);
}

/* "(a, b)": the columns of a new key, by the names that they have in the end. */
static char *
key_columns(const NewIndex *n)
{
	StringInfoData buf;
	ListCell   *lc;
	ListCell   *sc;

	initStringInfo(&buf);
	foreach(lc, n->index->indexParams)
		foreach(sc, n->shape)
			if (strcmp(((SnapshotColumn *) lfirst(sc))->name, ((IndexElem *) lfirst(lc))->name) == 0)
				appendStringInfo(&buf, "%s%s", buf.len ? ", " : "(", quote_identifier(((SnapshotColumn *) lfirst(sc))->column->name));
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

/* Raise 0A000 for a key that cannot be made of the partitions' indexes. */
static void
check_key_partitioned(const Table *t, const NewIndex *n)
{
	if (n->present || n->key->deferrable || n->index->indexIncludingParams)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("key \"%s\" of partitioned table \"%s\" cannot be %s online", n->name, t->name,
						n->present ? "made of an index" : n->key->deferrable ? "deferrable, if it is made" : "made with INCLUDE,")));
}

/* How a new index or key of a partitioned table is built. */
static List *
partitioned_builds(const Table *t, const NewIndex *n, IndexBuild *top, List **taken)
{
	List	   *parts = index_parts(t->relid, InvalidOid);
	ListCell   *lc;

	if (n->key)
		check_key_partitioned(t, n);
	if (n->index->unique)
		check_unique_partitioned(t, n);
	foreach(lc, parts)
	{
		IndexPart  *part = lfirst(lc);

		part->name = partition_index_name(n, part->schema, part->table, taken);
		part->dropped_with_top = false;
	}
	if (n->key == NULL)
		return index_part_builds(t, top, n->sql, parts);
	return index_part_key_builds(t, top, n->sql, parts, n->key->contype == CONSTR_PRIMARY ? "PRIMARY KEY" :
								 n->index->nulls_not_distinct ? "UNIQUE NULLS NOT DISTINCT" : "UNIQUE", key_columns(n));
}

List *
new_index_builds(const Table *t)
{
	List	   *builds = NIL;
	List	   *taken = NIL;
	ListCell   *lc;

	foreach(lc, t->new_indexes)
	{
		NewIndex   *n = lfirst(lc);
		IndexBuild *b = new_index_build(t, n, foreach_current_index(lc) + 1);

		builds = t->partitioned ? list_concat(builds, partitioned_builds(t, n, b, &taken)) : lappend(builds, b);
	}
	return builds;
}

/* ---- replica identity ---- */

/* ALTER TABLE … REPLICA IDENTITY of a kind */
static char *
set_identity_sql(const Table *t, char identity, const char *index)
{
	const char *kind = identity == REPLICA_IDENTITY_FULL ? "FULL" : identity == REPLICA_IDENTITY_NOTHING ? "NOTHING" : "DEFAULT";

	return psprintf("ALTER TABLE %s REPLICA IDENTITY %s", sql_qualified(t->schema, t->name),
					identity == REPLICA_IDENTITY_INDEX ? psprintf("USING INDEX %s", quote_identifier(index)) : kind);
}

/* Has the index of the replica identity to wait for the swap? It may be new, or its columns may not be NOT NULL yet. */
static bool
identity_waits(const Table *t)
{
	return t->identity_new_index != NULL ||
		(t->identity_index != NULL &&
		 sql_textp("SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])"
				   " WHERE i.indexrelid = $1 AND NOT a.attnotnull", P_oid(t->identity_index->oid)) != NULL);
}

char *
identity_sql(const Table *t)
{
	if (t->identity == '\0' || identity_waits(t))
		return NULL;
	return set_identity_sql(t, t->identity, t->identity_index ? t->identity_index->name : NULL);
}

char *
identity_undo(const Table *t)
{
	SqlRows    *rows = sql_queryp("SELECT c.relreplident, (SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
								  " WHERE i.indrelid = c.oid AND i.indisreplident) FROM pg_class c WHERE c.oid = $1", P_oid(t->relid));
	char	  **v = rows->v[0];

	/* one whose index was dropped is as good as nothing */
	return set_identity_sql(t, v[0][0] == REPLICA_IDENTITY_INDEX && v[1] == NULL ? REPLICA_IDENTITY_NOTHING : v[0][0], v[1]);
}

char *
identity_swap_sql(const Table *t)
{
	if (t->identity == '\0' || !identity_waits(t))
		return NULL;
	return set_identity_sql(t, t->identity, t->identity_new_index ? t->identity_new_index->name : index_final_name(t->identity_index));
}
