/*
 * shape_finish.c
 *		What follows from a shape once all operations are applied: hidden columns, the composed `down`, the rules.
 *
 * Owns no state. Backwards, from the last operation to the first, each old column gets its value over the new shape, as operations.c gives the new
 * ones theirs over the old.
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/sql.h"
#include "base/txn.h"
#include "compile/index.h"
#include "store/transform.h"

/* Name the hidden physical columns of one kind and give them the numbers they will have. */
static void
name_hidden(Table *t, bool aligned)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		int16		len;
		bool		byval;
		char		align;

		if (!c->second || c->dropped)
			continue;
		get_typlenbyvalalign(c->type, &len, &byval, &align);
		if ((len > 0 && align == TYPALIGN_DOUBLE) != aligned)
			continue;
		t->hidden = lappend(t->hidden, c);
		c->hidden = psprintf("_mig_c%d", list_length(t->hidden));
		c->hidden_att = t->natts + (shape_has_pairs(t) ? 1 : 0) + list_length(t->hidden);
	}
}

/*
 * Name all hidden columns. The state column comes first and 8-byte columns next, so that their alignment hides it; the table's own names
 * are extended by the hidden ones in the order in which they are added.
 */
static void
name_hidden_columns(Table *t)
{
	ListCell   *lc;

	name_hidden(t, true);
	name_hidden(t, false);
	if (shape_has_pairs(t))
		t->physical = lappend(t->physical, STATE_COLUMN);
	foreach(lc, t->hidden)
		t->physical = lappend(t->physical, ((Column *) lfirst(lc))->hidden);
}

/* Where the backward pass stands: each column's value over the new shape. */
static List *
backward_bindings(List *after)
{
	List	   *bindings = NIL;
	ListCell   *lc;

	foreach(lc, after)
	{
		SnapshotColumn *s = lfirst(lc);
		Binding    *b;

		if (s->column->lost == NULL)
			continue;			/* dropped by a later operation, and nobody said what it was */
		b = palloc(sizeof(Binding));
		b->name = s->name;
		b->value = s->column->lost;
		bindings = lappend(bindings, b);
	}
	return bindings;
}

/* Go back over one operation: what its column was before it, over the new shape. */
static void
undo_edit(const Table *t, const Edit *e)
{
	Column	   *c = e->column;
	ExprTarget	target = {e->before_type, e->before_typmod, e->before_collation, c->old_name ? c->old_name : c->name, false};

	if (e->op->kind == OP_ADD_COLUMN)
		c->lost = NULL;
	else if (c->dropped && c->lost == NULL && e->op->kind != OP_DROP_COLUMN)
		return;					/* a later operation has dropped it, and nobody said what it was */
	else if (e->op->down)
		c->lost = expr_analyze(e->op->down, backward_bindings(e->after), t->name, t->new_name, &target);
	else if (c->lost != NULL)
	{
		Node	   *cast;

		target.explicit_cast = true;
		cast = expr_coerce(c->lost, &target);
		if (cast == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("the new value of column \"%s\" cannot be cast back to type %s", c->name, format_type_be(e->before_type)),
					 errdetail("Clients of the old version need a value for what the new version writes."),
					 errhint("Give an expression in options: {\"down\": {\"%s.%s\": \"…\"}}.", t->name, c->name)));
		if (e->op->kind == OP_ALTER_TYPE)
			c->note = psprintf("no down given: %s is cast back to %s, which may lose what that type cannot hold",
							   c->name, format_type_be(e->before_type));
		c->lost = cast;
	}
}

/* Compose `down`: from the new shape back to the old one. */
static void
backward_pass(Table *t)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->dropped)
			c->lost = NULL;
		else if (c->follows)
			c->lost = c->rule = shape_generated(t, c, false);
		else if (c->generated)
			c->lost = c->value;
		else
			c->lost = (Node *) makeVar(1, c->second ? c->hidden_att : c->att, c->type, c->typmod, c->collation, 0);
	}
	for (int i = list_length(t->edits) - 1; i >= 0; i--)
		undo_edit(t, list_nth(t->edits, i));
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att != 0 && (c->dropped || c->second) && !c->generated)	/* a generated one the server computes */
			c->back = c->lost;
	}
}

/* Raise if the table has not as many attribute numbers left as its hidden columns need. */
static void
check_attribute_numbers(const Table *t)
{
	int			needed = list_length(t->hidden) + (shape_has_pairs(t) ? 1 : 0);
	int			left = MaxHeapAttributeNumber - t->natts;

	if (needed > left)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("table \"%s\" has %d attribute numbers left, and this migration needs %d", t->name, left, needed),
				 errdetail("A table has %d in its life, dropped columns included.", MaxHeapAttributeNumber),
				 errhint("Copy the rows to a new table, which begins to count anew.")));
}

/* A CHECK to be analysed */
typedef struct CarriedCheck
{
	const Table *table;
	const Rule *rule;
} CarriedCheck;

static void
analyze_carried(void *arg)
{
	CarriedCheck *c = arg;

	(void) expr_analyze_check(c->rule->raw, shape_final_bindings(c->table, c->rule->shape), c->table->name, c->table->new_name);
}

/*
 * Does a CHECK say nothing on the new types of columns that a manifest has changed? In that format it goes then, with a note; a DDL definition gets the
 * server's error.
 */
static bool
check_goes(const Table *t, const Constr *k, const Rule *r)
{
	CarriedCheck c = {t, r};
	Column	   *changed = NULL;
	ErrorData  *error;
	ListCell   *lc;

	foreach(lc, t->edits)
	{
		Edit	   *e = lfirst(lc);

		if (e->op->kind == OP_ALTER_TYPE && e->op->source == NULL && bms_is_member(e->column->att, k->columns))
			changed = e->column;
	}
	if (changed == NULL || txn_try(analyze_carried, &c, &error))
		return false;
	changed->note = psprintf("CHECK constraint %s does not fit the new type of %s and goes: %s", r->name, changed->name, error->message);
	return true;
}

/* A CHECK of the old shape that reads changed columns lives on as a rule of the new one. */
static void
carry_checks(Table *t)
{
	Bitmapset  *changed = shape_changed_atts(t);
	Bitmapset  *gone = shape_dropped_atts(t);
	List	   *snapshot = NIL;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		SnapshotColumn *s;

		if (c->att == 0 || c->dropped)
			continue;
		s = palloc0(sizeof(SnapshotColumn));
		s->name = c->old_name;
		s->column = c;
		snapshot = lappend(snapshot, s);
	}
	foreach(lc, t->constraints)
	{
		Constr	   *k = lfirst(lc);
		Rule	   *r;

		if (k->type != 'c' || k->dropped || !bms_overlap(k->columns, changed) || bms_overlap(k->columns, gone))
			continue;
		r = palloc0(sizeof(Rule));
		r->name = k->new_name ? k->new_name : k->name;
		r->raw = raw_expr_printed(k->check, psprintf("constraint \"%s\"", k->name));
		r->shape = snapshot;
		r->no_inherit = k->no_inherit;
		r->valid = k->validated;
		r->comment = k->comment;
		if (!check_goes(t, k, r))
			t->rules = lappend(t->rules, r);
	}
}

/* NOT NULLs the new version has beyond what the physical columns have. */
static void
not_null_rules(Table *t)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);
		Rule	   *r;

		if (c->dropped || !c->not_null || (c->att != 0 && !c->second && c->old_not_null))
			continue;
		/* a constant default fills an added column when it is made, so it can be NOT NULL at once */
		if (c->att == 0 && c->fast_default)
			continue;
		r = palloc0(sizeof(Rule));
		r->column = c;
		r->valid = true;
		t->rules = lcons(r, t->rules);
	}
}

/*
 * Before the old columns go, every row must have its new values: a write of the old version whose `up` fails does not fail itself, and may come at
 * any time. This rule is fenced and validated like the others, and goes with the state column.
 */
static void
filled_rule(Table *t)
{
	StringInfoData sql;
	int			pair = 0;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (!column_is_pair(c))
			continue;
		if (!c->dropped)
			appendStringInfo(&sql, "%s(COALESCE(" STATE_COLUMN ", 0)::bigint & " INT64_FORMAT ") <> 0", sql.len ? " AND " : "",
							 INT64CONST(3) << (2 * pair));
		pair++;
	}
	if (sql.len)
	{
		Rule	   *r = palloc0(sizeof(Rule));

		r->filled = true;
		r->valid = true;
		r->sql = sql.data;
		t->rules = lcons(r, t->rules);
	}
}

/* A shape's names, bound to the values that present rows will have. */
static List *
value_bindings(List *snapshot)
{
	List	   *bindings = NIL;
	ListCell   *lc;

	foreach(lc, snapshot)
	{
		SnapshotColumn *s = lfirst(lc);
		Binding    *b = palloc(sizeof(Binding));

		if (s->column->dropped)
			continue;
		b->name = s->name;
		b->value = s->column->value;
		bindings = lappend(bindings, b);
	}
	return bindings;
}

/* Make the SQL of the rules over physical columns. */
static void
finish_rules(Table *t)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, t->rules)
	{
		Rule	   *r = lfirst(lc);
		Node	   *now;

		r->hidden = psprintf("_mig_k%d", ++n);
		if (r->filled)
			continue;
		if (r->column)
		{
			r->sql = psprintf("%s IS NOT NULL", quote_identifier(r->column->second ? r->column->hidden : r->column->old_name));
			now = r->column->value;
		}
		else
		{
			r->sql = expr_text(expr_analyze_check(r->raw, shape_final_bindings(t, r->shape), t->name, t->new_name), t->physical);
			now = expr_analyze_check(r->raw, value_bindings(r->shape), t->name, t->new_name);
		}
		if (!expr_is_volatile(now))
			r->now_sql = psprintf(r->column ? "(%s) IS NOT NULL" : "%s", expr_text(now, t->physical));
	}
}

/* Refuse what cannot be done online on a partitioned table. */
static void
check_partitioned(const Table *t)
{
	Bitmapset  *gone = NULL;
	Relation	rel;
	bool		in_expression;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		const Column *c = lfirst(lc);

		if (c->att != 0 && (c->dropped || c->second))
			gone = bms_add_member(gone, c->att - FirstLowInvalidHeapAttributeNumber);
	}
	foreach(lc, t->foreign_keys)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" of partitioned table \"%s\" cannot be made online", ((ForeignKey *) lfirst(lc))->name, t->name),
				 errdetail("PostgreSQL cannot add a foreign key to a partitioned table without checking its rows at once."),
				 errhint("Run it by itself, when no migration of the table is active.")));
	rel = table_open(t->relid, NoLock);
	if (has_partition_attrs(rel, gone, &in_expression))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("a column of table \"%s\" cannot be dropped or converted because it is part of the partition key", t->name)));
	table_close(rel, NoLock);
}

/* The names of present columns that the swap drops, as a text[] literal. */
static char *
names_gone(const Table *t)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, t->columns)
	{
		const Column *c = lfirst(lc);

		if (c->att != 0 && (c->dropped || c->second))
			appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", quote_literal_cstr(c->old_name));
	}
	return buf.len ? sql_text(psprintf("SELECT (ARRAY[%s]::text[])::text", buf.data)) : NULL;
}

/*
 * Refuse, by name, what a partition or child has of its own on columns that the swap drops: an index, a CHECK, a trigger, … would go with them, or keep them from going.
 * What belongs to the table's own is carried with that.
 */
static void
check_family(const Table *t)
{
	char	   *names = names_gone(t);
	char	   *what;

	if (names == NULL || !(t->partitioned || t->children))
		return;
	what = sql_textp("WITH RECURSIVE f AS (SELECT inhrelid AS oid FROM pg_inherits WHERE inhparent = $1 UNION SELECT i.inhrelid FROM pg_inherits i JOIN f ON f.oid = i.inhparent)"
					 " SELECT min(what) FROM (SELECT format('%s on table %s', CASE WHEN w.oid IS NULL THEN pg_describe_object(d.classid, d.objid, 0)"
					 "  ELSE pg_describe_object('pg_class'::regclass, w.ev_class, 0) END, f.oid::regclass) AS what FROM f"
					 " JOIN pg_attribute a ON a.attrelid = f.oid AND a.attname::text = ANY ($2::text[])"
					 " JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = f.oid AND d.refobjsubid = a.attnum AND d.deptype IN ('n', 'a')"
					 " LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid"
					 " LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid"
					 " LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid LEFT JOIN pg_class v ON v.oid = w.ev_class LEFT JOIN pg_namespace n ON n.oid = v.relnamespace"
					 " WHERE NOT coalesce(n.nspname LIKE '\\_mig\\_%' OR n.nspname IN (SELECT schema_name FROM mig.version_schema), false)"
					 " AND d.classid <> 'pg_attrdef'::regclass AND NOT (d.classid = 'pg_class'::regclass AND d.objid = f.oid)"
					 " AND NOT (d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = d.objid AND i.inhrelid <> f.oid))"
					 " AND NOT coalesce(k.coninhcount > 0 OR k.conparentid <> 0, false) AND NOT coalesce(g.tgparentid <> 0, false)"
					 " AND NOT EXISTS (SELECT FROM pg_constraint c JOIN pg_inherits i ON i.inhrelid = c.conindid WHERE c.oid = k.oid)"
					 " UNION ALL SELECT format('column %I on table %s, which it did not get from its parent', a.attname, f.oid::regclass) FROM f"
					 " JOIN pg_attribute a ON a.attrelid = f.oid AND a.attname::text = ANY ($2::text[]) AND a.attislocal) x", P_oid(t->relid), P_text(names));
	if (what)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" has a partition or child with something of its own on a changed column", t->name),
				 errdetail("It has %s.", what),
				 errhint("Drop it before the migration and make it again afterwards, or take that table out of the family.")));
}

void
shape_finish(Table *t)
{
	name_hidden_columns(t);
	backward_pass(t);
	check_attribute_numbers(t);
	if (t->partitioned)
		check_partitioned(t);
	check_family(t);
	carry_checks(t);
	not_null_rules(t);
	filled_rule(t);
	finish_rules(t);
	new_indexes_finish(t);
}
