/*
 * operations_index.c
 *		What operations on indexes, and on the keys that stand on them, do to a shape.
 *
 * Owns no state. A new index or key becomes a NewIndex, which is built over the final physical columns (new_index.c). Names are those of the new version:
 * what this migration drops or renames has freed its name, though the index keeps it until the swap.
 */
#include "base/compat.h"

#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_target.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/sql.h"
#include "compile/operations.h"

/* ---- names ---- */

/* Will a relation of the new version have that name? */
static bool
relation_name_used(const Table *t, const char *name)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid(t->schema, false));
	ListCell   *lc;

	if (shape_index(t, name) || shape_new_index(t, name) || strcmp(t->new_name, name) == 0)
		return true;
	foreach(lc, t->indexes)
		if (((OldIndex *) lfirst(lc))->oid == relid)
			return false;		/* dropped, or renamed */
	return OidIsValid(relid) && relid != t->relid;
}

/* Raise 42P07 if so. */
static void
check_relation_name(const Table *t, const Operation *op, const char *name)
{
	if (relation_name_used(t, name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", name),
				 op_position(op)));
}

/* Raise 42622 for a name that the server would cut. */
static void
check_name_length(const Operation *op, const char *name)
{
	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name \"%s\" is too long", name),
				 errdetail("Names have at most %d bytes.", NAMEDATALEN - 1),
				 op_position(op)));
}

/* Has a constraint of any table of the schema that name? Unnamed keys keep clear of it, as the server's do. */
static bool
constraint_name_taken(const Table *t, const char *name)
{
	return constraint_name_used(t, name) ||
		sql_textp("SELECT 1 FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname = $1 AND k.conname = $2 AND k.conrelid <> $3",
				  P_text(t->schema), P_text(name), P_oid(t->relid)) != NULL;
}

/* The names of an index's keys, as PostgreSQL makes the index's name of them: an expression's own name, numbered where it comes again. */
static List *
key_names(const IndexStmt *index)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, list_concat_copy(index->indexParams, index->indexIncludingParams))
	{
		const IndexElem *e = lfirst(lc);
		const char *origin = e->name ? e->name : FigureIndexColname(e->expr);
		const char *name = origin ? origin : "expr";

		for (int n = 1; list_member(names, makeString(unconstify(char *, name))); n++)
		{
			char	   *number = psprintf("%d", n);
			int			len = pg_mbcliplen(origin ? origin : "expr", strlen(origin ? origin : "expr"), NAMEDATALEN - 1 - strlen(number));

			name = psprintf("%.*s%s", len, origin ? origin : "expr", number);
		}
		names = lappend(names, makeString(pstrdup(name)));
	}
	return names;
}

/* These names, joined: "a_b_lower". */
static char *
join_names(List *names)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, names)
	{
		appendStringInfo(&buf, "%s%s", buf.len ? "_" : "", strVal(lfirst(lc)));
		if (buf.len >= NAMEDATALEN)
			break;
	}
	return buf.data;
}

char *
index_name(const char *relation, const IndexStmt *index, int number)
{
	const char *kind = index->primary ? "pkey" : index->isconstraint ? "key" : "idx";

	return makeObjectName(relation, index->primary ? NULL : join_names(key_names(index)), number ? psprintf("%s%d", kind, number) : kind);
}

/* The name PostgreSQL gives an unnamed index or key. */
static char *
choose_index_name(const Table *t, const IndexStmt *index)
{
	char	   *name = index_name(t->new_name, index, 0);

	for (int n = 1; relation_name_used(t, name) || (index->isconstraint && constraint_name_taken(t, name)); n++)
		name = index_name(t->new_name, index, n);
	return name;
}

/* ---- indexes ---- */

/* Collect the columns that a raw expression names; what it names that is none is told when it is analysed. */
typedef struct Collector
{
	const Table *t;
	List	   *columns;
} Collector;

static bool
collect_columns(Node *node, void *arg)
{
	Collector  *collector = arg;

	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef) && IsA(llast(((ColumnRef *) node)->fields), String))
	{
		Column	   *c = shape_column(collector->t, strVal(llast(((ColumnRef *) node)->fields)), true);

		if (c)
			collector->columns = list_append_unique_ptr(collector->columns, c);
	}
	return raw_expression_tree_walker(node, collect_columns, arg);
}

/* All columns that an index reads; 42703 for a key that is none. */
static List *
index_columns(const Table *t, const IndexStmt *index)
{
	Collector	collector = {t, NIL};
	ListCell   *lc;

	foreach(lc, list_concat_copy(index->indexParams, index->indexIncludingParams))
	{
		const IndexElem *e = lfirst(lc);

		if (e->name)
			collector.columns = list_append_unique_ptr(collector.columns, shape_column(t, e->name, false));
		(void) collect_columns(e->expr, &collector);
	}
	(void) collect_columns(index->whereClause, &collector);
	return collector.columns;
}

/* Append a NewIndex to the shape. */
static NewIndex *
add_new_index(Table *t, const Operation *op, IndexStmt *index, char *name)
{
	NewIndex   *n = palloc0(sizeof(NewIndex));

	n->op = op;
	n->index = index;
	n->name = name;
	n->shape = shape_snapshot(t);
	t->new_indexes = lappend(t->new_indexes, n);
	return n;
}

void
apply_create_index(Table *t, const Operation *op)
{
	IndexStmt  *index = copyObject(op->index);
	List	   *columns;

	if (index->idxname)
	{
		check_name_length(op, index->idxname);
		if (index->if_not_exists && relation_name_used(t, index->idxname))
			return;
		check_relation_name(t, op, index->idxname);
	}
	columns = index_columns(t, index);
	add_new_index(t, op, index, index->idxname ? index->idxname : choose_index_name(t, index))->columns = columns;
}

/* Take a NewIndex out of the shape. */
static void
forget_new_index(Table *t, NewIndex *n)
{
	t->new_indexes = list_delete_ptr(t->new_indexes, n);
	if (t->identity_new_index == n)
	{
		t->identity = REPLICA_IDENTITY_NOTHING;
		t->identity_new_index = NULL;
	}
}

void
forget_indexes_of(Table *t, const Column *c)
{
	ListCell   *lc;

	foreach(lc, list_copy(t->new_indexes))
		if (list_member_ptr(((NewIndex *) lfirst(lc))->columns, c))
			forget_new_index(t, lfirst(lc));
}

/* Raise 2BP01 for an index that a constraint needs. */
static void
refuse_constraint_index(const Table *t, const Operation *op, const char *constraint)
{
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop index %s because constraint %s on table %s requires it", op->name, constraint, t->new_name),
			 errhint("You can drop constraint %s on table %s instead.", constraint, t->new_name),
			 op_position(op)));
}

/* Raise 42704: neither the table nor this migration has such an index. */
static void
no_such_index(const Operation *op, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("index \"%s\" does not exist", name),
			 op_position(op)));
}

void
apply_drop_index(Table *t, const Operation *op)
{
	NewIndex   *n = shape_new_index(t, op->name);
	OldIndex   *x = shape_index(t, op->name);

	if (n && n->key)
		refuse_constraint_index(t, op, n->name);
	if (x && x->constraint)
		refuse_constraint_index(t, op, index_final_name(x));
	if (n)
		forget_new_index(t, n);
	else if (x)
		x->dropped = true;
	else if (!op->if_exists)
		no_such_index(op, op->name);
}

void
apply_rename_index(Table *t, const Operation *op)
{
	NewIndex   *n = shape_new_index(t, op->name);
	OldIndex   *x = shape_index(t, op->name);

	check_name_length(op, op->new_name);
	if (n == NULL && x == NULL && op->if_exists)
		return;
	if (n == NULL && x == NULL)
		no_such_index(op, op->name);
	check_relation_name(t, op, op->new_name);
	if (n)
		n->name = op->new_name;
	else if (x->constraint)
		x->constraint->new_name = op->new_name;
	else
		x->new_name = op->new_name;
}

/* ---- keys ---- */

/* Raise 42P16 if the shape has a primary key already. */
static void
check_only_primary(const Table *t, const Operation *op)
{
	bool		found = false;
	ListCell   *lc;

	foreach(lc, t->constraints)
		found = found || (((Constr *) lfirst(lc))->type == 'p' && !((Constr *) lfirst(lc))->dropped);
	foreach(lc, t->new_indexes)
		found = found || (((NewIndex *) lfirst(lc))->key && ((NewIndex *) lfirst(lc))->key->contype == CONSTR_PRIMARY);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("multiple primary keys for table \"%s\" are not allowed", t->new_name),
				 errhint("Drop the present one in the same migration, before this."),
				 op_position(op)));
}

/* One column of a key, as the key of an index */
static IndexElem *
key_element(const char *column)
{
	IndexElem  *e = makeNode(IndexElem);

	e->name = pstrdup(column);
	e->ordering = SORTBY_DEFAULT;
	e->nulls_ordering = SORTBY_NULLS_DEFAULT;
	return e;
}

/* The index that a key stands on, as the server derives it. */
static IndexStmt *
index_of_key(const Operation *op, const Constraint *key)
{
	IndexStmt  *index = makeNode(IndexStmt);
	List	   *seen = NIL;
	ListCell   *lc;

	index->accessMethod = DEFAULT_INDEX_TYPE;
	index->unique = true;
	index->isconstraint = true;
	index->primary = key->contype == CONSTR_PRIMARY;
	index->nulls_not_distinct = key->nulls_not_distinct;
	index->options = key->options;
	index->tableSpace = key->indexspace;
	foreach(lc, key->keys)
	{
		if (list_member(seen, lfirst(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" appears twice in %s constraint", strVal(lfirst(lc)), index->primary ? "primary key" : "unique"),
					 op_position(op)));
		seen = lappend(seen, lfirst(lc));
		index->indexParams = lappend(index->indexParams, key_element(strVal(lfirst(lc))));
	}
	foreach(lc, key->including)
		index->indexIncludingParams = lappend(index->indexIncludingParams, key_element(strVal(lfirst(lc))));
	return index;
}

/* Raise unless a present index can become a key, as the server would at the end. */
static void
check_present_index(const Operation *op, const OldIndex *x)
{
	char	   *reason;

	if (x->constraint)
		reason = psprintf("It belongs to constraint \"%s\".", x->constraint->name);
	else
		reason = sql_textp("SELECT CASE WHEN NOT i.indisunique THEN 'It is not unique.' WHEN NOT i.indisvalid THEN 'It is not valid.'"
						   " WHEN i.indexprs IS NOT NULL THEN 'It contains expressions.' WHEN i.indpred IS NOT NULL THEN 'It is partial.'"
						   " WHEN m.amname <> 'btree' THEN 'It is not a btree.' WHEN 0 <> ANY (i.indoption) THEN 'It does not have the default sorting.' END"
						   " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam WHERE i.indexrelid = $1", P_oid(x->oid));
	if (reason)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("index \"%s\" cannot become a key", index_final_name(x)),
				 errdetail_internal("%s", reason),
				 op_position(op)));
}

/* The columns of a present index. */
static List *
present_index_columns(const Table *t, const OldIndex *x, bool keys_only)
{
	SqlRows    *rows = sql_queryp("SELECT i.indkey[k] FROM pg_index i, generate_series(0, CASE WHEN $2 THEN i.indnkeyatts ELSE i.indnatts END - 1) k"
								  " WHERE i.indexrelid = $1 ORDER BY k", P_oid(x->oid), P_bool(keys_only));
	List	   *columns = NIL;

	for (uint64 r = 0; r < rows->n; r++)
	{
		ListCell   *lc;

		foreach(lc, t->columns)
			if (((Column *) lfirst(lc))->att != 0 && ((Column *) lfirst(lc))->att == pg_strtoint16(rows->v[r][0]))
				columns = lappend(columns, lfirst(lc));
	}
	return columns;
}

/* A key that is to stand on an index which is there, or is made by this migration. */
static NewIndex *
key_using_index(Table *t, const Operation *op, const char *indexname)
{
	NewIndex   *n = shape_new_index(t, indexname);
	OldIndex   *x = shape_index(t, indexname);

	if (n && n->key == NULL)
	{
		if (!n->index->unique || n->index->whereClause || list_length(n->columns) < list_length(n->index->indexParams))
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("index \"%s\" cannot become a key", indexname),
					 errdetail("A key needs a unique index on columns, of all rows."),
					 op_position(op)));
		return n;
	}
	if (x == NULL)
		no_such_index(op, indexname);
	check_present_index(op, x);
	n = add_new_index(t, op, NULL, unconstify(char *, indexname));
	n->present = x;
	n->columns = present_index_columns(t, x, false);
	return n;
}

/* The columns of a primary key are NOT NULL. */
static void
set_primary(Table *t, const Operation *op, const NewIndex *n)
{
	ListCell   *lc;

	if (n->index)
		foreach(lc, n->index->indexParams)
			set_not_null(t, op, shape_column(t, ((IndexElem *) lfirst(lc))->name, false));
	else
		foreach(lc, present_index_columns(t, n->present, true))
			set_not_null(t, op, lfirst(lc));
}

/* UNIQUE or PRIMARY KEY */
void
apply_add_key(Table *t, const Operation *op)
{
	Constraint *key = op->constraint;
	char	   *name = op->name ? op->name : key->conname;
	NewIndex   *n;

	if (op->column && changes_data(op))
		apply_change_data(t, op);
	if (key->contype == CONSTR_PRIMARY)
		check_only_primary(t, op);
	if (name)
	{
		check_name_length(op, name);
		if (constraint_name_used(t, name))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("constraint \"%s\" for relation \"%s\" already exists", name, t->new_name),
					 op_position(op)));
		if (key->indexname == NULL || strcmp(key->indexname, name) != 0)
			check_relation_name(t, op, name);
	}
	if (key->indexname)
		n = key_using_index(t, op, key->indexname);
	else
	{
		IndexStmt  *index = index_of_key(op, key);
		List	   *columns = index_columns(t, index);

		n = add_new_index(t, op, index, name ? name : choose_index_name(t, index));
		n->columns = columns;
	}
	if (name)
		n->name = name;
	n->key = key;
	if (key->contype == CONSTR_PRIMARY)
		set_primary(t, op, n);
}

bool
drop_new_key(Table *t, const char *name)
{
	NewIndex   *n = shape_new_index(t, name);

	if (n == NULL || n->key == NULL)
		return false;
	if (n->present)
		n->present->dropped = true;
	forget_new_index(t, n);
	return true;
}

/* ---- replica identity ---- */

/* Raise unless a present index can be the replica identity; NOT NULL is left to the server, since the migration may set it. */
static void
check_identity_index(const Operation *op, const OldIndex *x)
{
	char	   *reason = sql_textp("SELECT CASE WHEN NOT indisunique THEN 'It is not unique.' WHEN NOT indimmediate THEN 'It is deferrable.'"
								   " WHEN indexprs IS NOT NULL THEN 'It contains expressions.' WHEN indpred IS NOT NULL THEN 'It is partial.' END"
								   " FROM pg_index WHERE indexrelid = $1", P_oid(x->oid));

	if (reason)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("index \"%s\" cannot be the replica identity", op->name),
				 errdetail_internal("%s", reason),
				 op_position(op)));
}

void
apply_replica_identity(Table *t, const Operation *op)
{
	t->identity = op->identity;
	t->identity_index = NULL;
	t->identity_new_index = NULL;
	if (op->identity != REPLICA_IDENTITY_INDEX)
		return;
	t->identity_new_index = shape_new_index(t, op->name);
	t->identity_index = shape_index(t, op->name);
	if (t->identity_new_index == NULL && t->identity_index == NULL)
		no_such_index(op, op->name);
	if (t->identity_index)
		check_identity_index(op, t->identity_index);
}
