/*
 * operations.c
 *		What each operation does to a shape, forwards; and the backward pass that composes `down`.
 *
 * Forwards, every column carries its value as an analysed expression over the old shape: an operation's `up` is analysed with the names
 * bound to those values, so the second operation on a column sees the first's result. Backwards, from the last operation
 * to the first, each old column gets its value over the new shape in the same way. Operations describe; nothing here executes.
 */
#include "base/compat.h"

#include "catalog/heap.h"
#include "commands/defrem.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/sql.h"
#include "compile/shape.h"
#include "store/transform.h"

/* Error position of an operation in a DDL definition */
static int
op_position(const Operation *op)
{
	return source_position(op->source, op->location);
}

static ExprTarget
target_of(const Column *c)
{
	ExprTarget	t = {c->type, c->typmod, c->collation, c->name, false};

	return t;
}

/* Remember an operation that changes data, for the backward pass; call after `before` was taken and the column edited. */
static void
record_edit(Table *t, const Operation *op, Column *c, const Column *before)
{
	Edit	   *e = palloc0(sizeof(Edit));

	e->op = op;
	e->column = c;
	e->before_type = before->type;
	e->before_typmod = before->typmod;
	e->before_collation = before->collation;
	e->after = shape_snapshot(t);
	t->edits = lappend(t->edits, e);
}

/* Raise if the shape has a column of that name. */
static void
check_free_name(const Table *t, const Operation *op, const char *name)
{
	if (shape_column(t, name, true) || SystemAttributeByName(name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" already exists", name, t->new_name),
				 op_position(op)));
}

/* Resolve a column type as CREATE TABLE would. */
static void
resolve_type(const Operation *op, const char *column, Oid *type, int32 *typmod, Oid *collation)
{
	ParseState *pstate = make_parsestate(NULL);
	ColumnDef  *def = makeNode(ColumnDef);
	char	   *name = list_length(op->type->names) == 1 ? strVal(linitial(op->type->names)) : "";

	if (strstr(name, "serial") && (strcmp(name, "serial") == 0 || strcmp(name, "bigserial") == 0 || strcmp(name, "smallserial") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of type %s cannot be added online", column, name),
				 errhint("Create a sequence first, then add the column with DEFAULT nextval(...)."),
				 op_position(op)));
	pstate->p_sourcetext = op->source;
	def->colname = (char *) column;
	def->typeName = op->type;
	def->collClause = op->collation;
	typenameTypeIdAndMod(pstate, op->type, type, typmod);
	*collation = GetColumnDefCollation(pstate, def, *type);
	CheckAttributeType(column, *type, *collation, NIL, 0);
	free_parsestate(pstate);
}

/* Analyse `up` with the shape's values. */
static Node *
analyze_up(const Table *t, const RawExpr *raw, const Column *c)
{
	ExprTarget	target = target_of(c);

	return expr_analyze(raw, shape_values(t), t->name, t->new_name, &target);
}

/* Set a column's default from an expression (NULL: none). */
static Node *
set_default(Table *t, Column *c, const RawExpr *raw)
{
	ExprTarget	target = target_of(c);
	Node	   *expr;

	c->default_changed = true;
	c->default_sql = NULL;
	if (raw == NULL)
		return NULL;
	/* the text without our coercion: the server makes its own, and then shows what the user wrote */
	expr = expr_analyze_default(raw, &target);
	c->default_sql = expr_text(expr_analyze_default(raw, &(ExprTarget) {InvalidOid}), NIL);
	return expr;
}

static void
apply_add_column(Table *t, const Operation *op)
{
	Column	   *c = palloc0(sizeof(Column));
	Column		before;
	Node	   *def;

	if (op->if_exists && shape_column(t, op->column, true))
		return;
	check_free_name(t, op, op->column);
	c->name = op->column;
	resolve_type(op, op->column, &c->type, &c->typmod, &c->collation);
	c->not_null = op->not_null;
	c->second = true;
	c->comment = op->comment;
	c->comment_changed = op->comment != NULL;
	before = *c;
	def = set_default(t, c, op->expr);
	if (op->up)
		c->value = analyze_up(t, op->up, c);
	else if (def && expr_is_volatile(def))
		c->value = def;
	else
		c->fast_default = true;
	c->added_sql = c->default_sql;
	c->fill = c->value != NULL;
	if (c->value == NULL)
		c->value = def ? def : (Node *) makeNullConst(c->type, c->typmod, c->collation);
	if (op->not_null && !op->up && def == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" is NOT NULL, but existing rows would have no value", op->column),
				 errhint("Give a DEFAULT, or an expression in options: {\"up\": {\"%s.%s\": \"…\"}}.", t->name, op->column),
				 op_position(op)));
	t->columns = lappend(t->columns, c);
	record_edit(t, op, c, &before);
}

static void
apply_drop_column(Table *t, const Operation *op)
{
	Column	   *c = shape_column(t, op->column, op->if_exists);
	Column		before;

	if (c == NULL)
		return;
	before = *c;
	c->dropped = true;
	if (c->att != 0 && c->old_not_null && c->old_default == NULL && !c->identity && op->down == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" is NOT NULL without a default, so writes of the new version need a value for it", op->column),
				 errdetail("Until the migration is complete, clients of the old version still read the column."),
				 errhint("Give an expression in options: {\"down\": {\"%s.%s\": \"…\"}}.", t->name, op->column),
				 op_position(op)));
	record_edit(t, op, c, &before);
}

static void
apply_rename_column(Table *t, const Operation *op)
{
	Column	   *c = shape_column(t, op->column, false);

	check_free_name(t, op, op->new_name);
	c->name = op->new_name;
}

static void
apply_rename_table(Table *t, const Operation *op)
{
	Oid			other = get_relname_relid(op->new_name, get_namespace_oid(t->schema, false));

	if (OidIsValid(other) && other != t->relid)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", op->new_name),
				 op_position(op)));
	t->new_name = op->new_name;
}

/* Refuse to replace a column that something cannot follow. */
static void
check_replaceable(const Table *t, const Operation *op, const Column *c)
{
	if (c->att != 0 && c->generated)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" is generated and cannot be changed online", c->name),
				 errhint("Drop it and add it again in another migration."),
				 op_position(op)));
	if (c->att != 0 && c->identity)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" is an identity column and cannot be changed online yet", c->name),
				 op_position(op)));
}

/* Give a column a value of its own: `up`, or what it was coerced to the new type. */
static void
replace_value(Table *t, const Operation *op, Column *c, const Column *before)
{
	check_replaceable(t, op, c);
	if (op->up)
		c->value = analyze_up(t, op->up, c);
	else
	{
		ExprTarget	target = target_of(c);
		Node	   *cast = expr_coerce(c->value, &target);

		if (cast == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" cannot be cast automatically to type %s", c->name, format_type_be(c->type)),
					 errhint("You might need to specify \"USING %s::%s\".", quote_identifier(c->name),
							 format_type_with_typemod(c->type, c->typmod)),
					 op_position(op)));
		c->value = cast;
	}
	c->second = true;
	c->fill = true;
	c->fast_default = false;
	record_edit(t, op, c, before);
}

/* The default follows the column to its new type, as ALTER TABLE does it. */
static void
carry_default(const Table *t, const Operation *op, Column *c)
{
	ExprTarget	target = target_of(c);
	RawExpr    *raw;
	Node	   *expr;

	if (c->default_sql == NULL)
		return;
	raw = raw_expr_printed(c->default_sql, op->path);
	expr = expr_analyze_default(raw, &(ExprTarget) {InvalidOid});
	if (expr_coerce(expr, &target) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("default for column \"%s\" cannot be cast automatically to type %s", c->name, format_type_be(c->type)),
				 errhint("Drop the default in the same migration, before the type change."),
				 op_position(op)));
	c->default_changed = true;
}

static void
apply_alter_type(Table *t, const Operation *op)
{
	Column	   *c = shape_column(t, op->column, false);
	Column		before = *c;

	resolve_type(op, c->name, &c->type, &c->typmod, &c->collation);
	replace_value(t, op, c, &before);
	carry_default(t, op, c);
}

/* An `up` that is just the column itself changes no data. */
static bool
is_bare_column(const RawExpr *raw, const char *column)
{
	ColumnRef  *ref = (ColumnRef *) (raw ? raw->node : NULL);

	return ref && IsA(ref, ColumnRef) && list_length(ref->fields) == 1 &&
		IsA(linitial(ref->fields), String) && strcmp(strVal(linitial(ref->fields)), column) == 0;
}

/* Does this operation bring data expressions that change anything? */
static bool
changes_data(const Operation *op)
{
	return (op->up && !is_bare_column(op->up, op->column)) || (op->down && !is_bare_column(op->down, op->column));
}

/* Only the data change: a transformation without a change of definition, or the one that comes with a constraint. */
static void
apply_change_data(Table *t, const Operation *op)
{
	Column	   *c = shape_column(t, op->column, false);
	Column		before = *c;

	replace_value(t, op, c, &before);
}

static void
apply_not_null(Table *t, const Operation *op, bool not_null)
{
	Column	   *c = shape_column(t, op->column, false);
	Column		before = *c;
	bool		data;

	/* tightening needs a column of its own for `up`, relaxing for `down` (what the old version sees for a NULL) */
	data = not_null ? (op->up && !is_bare_column(op->up, op->column)) : (op->down && !is_bare_column(op->down, op->column));
	if (not_null && c->att == 0 && c->fast_default && c->added_sql == NULL && !data)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" is NOT NULL, but existing rows would have no value", c->name),
				 errhint("Add it with a DEFAULT, or give an expression in options: {\"up\": {\"%s.%s\": \"…\"}}.", t->name, c->name),
				 op_position(op)));
	c->not_null = not_null;
	if (data)
		replace_value(t, op, c, &before);
}

static void
apply_set_default(Table *t, const Operation *op)
{
	Column	   *c = shape_column(t, op->column, false);

	if (c->att != 0 && (c->identity || c->generated))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("column \"%s\" of relation \"%s\" is %s column", c->name, t->new_name,
						c->identity ? "an identity" : "a generated"),
				 op_position(op)));
	(void) set_default(t, c, op->expr);
}

/* Is a constraint name in use, now or in the new version? */
static bool
constraint_name_used(const Table *t, const char *name)
{
	ListCell   *lc;

	foreach(lc, t->constraints)
	{
		Constr	   *c = lfirst(lc);

		if (!c->dropped && strcmp(c->new_name ? c->new_name : c->name, name) == 0)
			return true;
	}
	foreach(lc, t->rules)
	{
		Rule	   *r = lfirst(lc);

		if (r->name && strcmp(r->name, name) == 0)
			return true;
	}
	return false;
}

/* Collect the names of the columns that a raw expression refers to. */
static bool
collect_column_names(Node *node, List **names)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef) && IsA(llast(((ColumnRef *) node)->fields), String))
	{
		char	   *name = strVal(llast(((ColumnRef *) node)->fields));

		*names = list_append_unique(*names, makeString(name));
		return false;
	}
	return raw_expression_tree_walker(node, collect_column_names, names);
}

/* The name PostgreSQL gives an unnamed CHECK: table_column_check, or table_check with several columns. */
static char *
choose_check_name(const Table *t, Node *raw)
{
	List	   *names = NIL;
	const char *column;
	char	   *name;

	(void) collect_column_names(raw, &names);
	column = list_length(names) == 1 ? strVal(linitial(names)) : NULL;
	name = makeObjectName(t->new_name, column, "check");
	for (int n = 1; constraint_name_used(t, name); n++)
		name = makeObjectName(t->new_name, column, psprintf("check%d", n));
	return name;
}

static void
apply_add_check(Table *t, const Operation *op)
{
	Rule	   *rule = palloc0(sizeof(Rule));
	ListCell   *lc;

	foreach(lc, op->columns)
		(void) shape_column(t, lfirst(lc), false);
	if (op->column && changes_data(op))
		apply_change_data(t, op);
	/* analysed now for its errors; its SQL is made when the physical columns are known */
	(void) expr_analyze_check(op->expr, shape_values(t), t->name, t->new_name);
	if (op->name && constraint_name_used(t, op->name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("constraint \"%s\" for relation \"%s\" already exists", op->name, t->new_name),
				 op_position(op)));
	rule->name = op->name ? op->name : choose_check_name(t, op->expr->node);
	rule->raw = op->expr;
	rule->shape = shape_snapshot(t);
	rule->no_inherit = op->no_inherit;
	rule->valid = true;
	t->rules = lappend(t->rules, rule);
}

/* The names a constraint's columns have in the shape */
static List *
constraint_columns(const Table *t, const Constr *k)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (c->att != 0 && !c->dropped && bms_is_member(c->att, k->columns))
			names = lappend(names, makeString(c->name));
	}
	return names;
}

/* Raise unless the columns an operation lists are those of the constraint. */
static void
check_constraint_columns(const Table *t, const Operation *op, const Constr *k)
{
	List	   *names = constraint_columns(t, k);
	List	   *listed = NIL;
	List	   *wrong;
	ListCell   *lc;

	if (op->columns == NIL)
		return;
	foreach(lc, op->columns)
		listed = lappend(listed, makeString(lfirst(lc)));
	wrong = list_difference(listed, names);
	if (wrong != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("constraint \"%s\" does not have column \"%s\" at %s", op->name, strVal(linitial(wrong)), op->path)));
	wrong = list_difference(names, listed);
	if (wrong != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of constraint \"%s\" has no \"down\" at %s", strVal(linitial(wrong)), op->name, op->path)));
}

/* The operation with the constraint's only column as the one that its up and down are for */
static const Operation *
with_constraint_column(const Table *t, const Operation *op, const Constr *k)
{
	List	   *names = constraint_columns(t, k);
	Operation  *bound = palloc(sizeof(Operation));

	if (list_length(names) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("constraint \"%s\" at %s does not have exactly one column", op->name, op->path),
				 errhint("Use drop_multicolumn_constraint.")));
	*bound = *op;
	bound->column = strVal(linitial(names));
	operation_normalize(bound);
	return bound;
}

static void
apply_drop_constraint(Table *t, const Operation *op)
{
	Constr	   *k;
	ListCell   *lc;

	foreach(lc, t->rules)
	{
		Rule	   *r = lfirst(lc);

		if (strcmp(r->name, op->name) == 0)
		{
			t->rules = foreach_delete_current(t->rules, lc);
			return;
		}
	}
	if (op->if_exists && !constraint_name_used(t, op->name))
		return;
	k = shape_constraint(t, op->name);
	if (k->type != 'c')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("constraint \"%s\" is not a CHECK constraint and cannot be dropped in a migration yet", op->name),
				 op_position(op)));
	check_constraint_columns(t, op, k);
	k->dropped = true;
	if (op->column == NULL && (op->up || op->down))
		op = with_constraint_column(t, op, k);
	if (op->column && changes_data(op))
		apply_change_data(t, op);
}

static void
apply_rename_constraint(Table *t, const Operation *op)
{
	ListCell   *lc;

	if (constraint_name_used(t, op->new_name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("constraint \"%s\" for relation \"%s\" already exists", op->new_name, t->new_name),
				 op_position(op)));
	foreach(lc, t->rules)
	{
		Rule	   *r = lfirst(lc);

		if (strcmp(r->name, op->name) == 0)
		{
			r->name = op->new_name;
			return;
		}
	}
	shape_constraint(t, op->name)->new_name = op->new_name;
}

static void
apply_comment_column(Table *t, const Operation *op)
{
	Column	   *c = shape_column(t, op->column, false);

	c->comment = op->comment;
	c->comment_changed = true;
}

void
shape_apply(Table *t, const Operation *op)
{
	switch (op->kind)
	{
		case OP_ADD_COLUMN:
			apply_add_column(t, op);
			break;
		case OP_DROP_COLUMN:
			apply_drop_column(t, op);
			break;
		case OP_RENAME_COLUMN:
			apply_rename_column(t, op);
			break;
		case OP_RENAME_TABLE:
			apply_rename_table(t, op);
			break;
		case OP_ALTER_TYPE:
			apply_alter_type(t, op);
			break;
		case OP_SET_NOT_NULL:
			apply_not_null(t, op, true);
			break;
		case OP_DROP_NOT_NULL:
			apply_not_null(t, op, false);
			break;
		case OP_SET_DEFAULT:
			apply_set_default(t, op);
			break;
		case OP_ADD_CHECK:
			apply_add_check(t, op);
			break;
		case OP_DROP_CONSTRAINT:
			apply_drop_constraint(t, op);
			break;
		case OP_RENAME_CONSTRAINT:
			apply_rename_constraint(t, op);
			break;
		case OP_COMMENT_COLUMN:
			apply_comment_column(t, op);
			break;
		case OP_COMMENT_TABLE:
			t->comment = op->comment;
			t->comment_changed = true;
			break;
		case OP_CHANGE_DATA:
			apply_change_data(t, op);
			break;
	}
}

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
		if (c->hidden_att > MaxHeapAttributeNumber - 1)
			ereport(ERROR,
					(errcode(ERRCODE_TOO_MANY_COLUMNS),
					 errmsg("table \"%s\" has no attribute numbers left for this migration", t->name),
					 errdetail("A table has %d in its life, dropped columns included; this one has used %d.",
							   MaxHeapAttributeNumber, t->natts)));
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

		if (c->att != 0 && (c->dropped || c->second))
			c->back = c->lost;
	}
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

/* Make the SQL of the rules over physical columns. */
static void
finish_rules(Table *t)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, t->rules)
	{
		Rule	   *r = lfirst(lc);

		r->hidden = psprintf("_mig_k%d", ++n);
		if (r->filled)
			continue;
		if (r->column)
			r->sql = psprintf("%s IS NOT NULL", quote_identifier(r->column->second ? r->column->hidden : r->column->old_name));
		else
			r->sql = expr_text(expr_analyze_check(r->raw, shape_final_bindings(t, r->shape), t->name, t->new_name), t->physical);
	}
}

void
shape_finish(Table *t)
{
	name_hidden_columns(t);
	backward_pass(t);
	carry_checks(t);
	not_null_rules(t);
	filled_rule(t);
	finish_rules(t);
}
