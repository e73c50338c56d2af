/*
 * operations.c
 *		What operations on columns do to a shape, and which family an operation belongs to.
 *
 * Every column carries its value as an analysed expression over the old shape: an operation's `up` is analysed with the names
 * bound to those values, so the second operation on a column sees the first's result. (shape_finish.c goes back, for `down`.)
 * Operations describe; nothing here executes.
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
#include "compile/operations.h"
#include "compile/sequence.h"
#include "store/transform.h"

/* Error position of an operation in a DDL definition */
int
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
void
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
	expr = expr_analyze_default(raw, &target);
	if (IsA(expr, Const) && ((Const *) expr)->constisnull)
		return expr;			/* no default, as the server has it */
	/* the text without our coercion: the server makes its own, and then shows what the user wrote */
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
	c->not_null_check = op->not_null && op->source == NULL;
	c->second = true;
	if (op->name)
		c->sequences = list_make1(op->name);
	c->identity = op->identity;
	c->comment = op->comment;
	c->comment_changed = op->comment != NULL;
	before = *c;
	def = set_default(t, c, op->expr);
	if (op->up && op->source == NULL && def && expr_is_volatile(def) && !equal(op->up->node, op->expr->node))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"up\" at %s is not the column's default", op->path),
				 errdetail("In this format a column with a volatile default gets the default in existing rows, too."),
				 errhint("Leave \"up\" out, or use DDL with options: {\"up\": {\"%s.%s\": \"…\"}}.", t->name, op->column)));
	if (op->up)
		c->value = analyze_up(t, op->up, c);
	else if (def && expr_is_volatile(def))
		c->value = def;
	else
		c->fast_default = true;
	if (c->identity)
		c->default_sql = identity_default(c);
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
	forget_indexes_of(t, c);
	forget_checks_of(t, c);
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
}

/* Generated columns that are computed from a column follow it with second columns of their own. */
static void
follow_generated(const Table *t, const Column *changed)
{
	ListCell   *lc;

	foreach(lc, t->columns)
	{
		Column	   *c = lfirst(lc);

		if (!c->generated || c->dropped || !bms_is_member(changed->att, c->inputs))
			continue;
		c->value = shape_generated(t, c, true);
		c->second = c->fill = c->follows = true;
		c->note = psprintf("generated column %s is computed from the new %s", c->name, changed->name);
	}
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
	if (c->identity)
		c->default_sql = identity_default(c);
	c->second = true;
	c->fill = true;
	c->fast_default = false;
	record_edit(t, op, c, before);
	if (c->att != 0)
		follow_generated(t, c);
}

/* The default follows the column to its new type, as ALTER TABLE does it. */
static void
carry_default(const Table *t, const Operation *op, Column *c)
{
	ExprTarget	target = target_of(c);
	RawExpr    *raw;
	Node	   *expr;

	if (c->default_sql == NULL || c->identity)
		return;
	raw = raw_expr_printed(c->default_sql, op->path);
	expr = expr_analyze_default(raw, &(ExprTarget) {InvalidOid});
	c->default_changed = true;
	if (expr_coerce(expr, &target) != NULL)
		return;
	if (op->source == NULL)		/* the manifest's format has it so */
	{
		c->note = psprintf("the default of %s does not fit its new type and goes", c->name);
		c->default_sql = NULL;
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("default for column \"%s\" cannot be cast automatically to type %s", c->name, format_type_be(c->type)),
				 errhint("Drop the default in the same migration, before the type change."),
				 op_position(op)));
}

static void
apply_alter_type(Table *t, const Operation *op)
{
	Column	   *c = shape_column(t, op->column, false);
	Column		before = *c;

	resolve_type(op, c->name, &c->type, &c->typmod, &c->collation);
	if (c->identity)
		check_identity_type(op, c->type);
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
bool
changes_data(const Operation *op)
{
	return (op->up && !is_bare_column(op->up, op->column)) || (op->down && !is_bare_column(op->down, op->column));
}

/* Only the data change: a transformation without a change of definition, or the one that comes with a constraint. */
void
apply_change_data(Table *t, const Operation *op)
{
	Column	   *c = shape_column(t, op->column, false);
	Column		before = *c;

	replace_value(t, op, c, &before);
}

void
set_not_null(const Table *t, const Operation *op, Column *c)
{
	if (c->att == 0 && c->fast_default && c->added_sql == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" is NOT NULL, but existing rows would have no value", c->name),
				 errhint("Add it with a DEFAULT, or give an expression in options: {\"up\": {\"%s.%s\": \"…\"}}.", t->name, c->name),
				 op_position(op)));
	c->not_null = true;
}

static void
apply_not_null(Table *t, const Operation *op, bool not_null)
{
	Column	   *c = shape_column(t, op->column, false);
	Column		before = *c;
	bool		data;

	/* tightening needs a column of its own for `up`, relaxing for `down` (what the old version sees for a NULL) */
	data = not_null ? (op->up && !is_bare_column(op->up, op->column)) : (op->down && !is_bare_column(op->down, op->column));
	if (not_null && !data)
		set_not_null(t, op, c);
	if (!not_null && c->identity)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("column \"%s\" of relation \"%s\" is an identity column", c->name, t->new_name),
				 op_position(op)));
	c->not_null = not_null;
	c->not_null_check = not_null && op->source == NULL;
	if (data)
		replace_value(t, op, c, &before);
}

static void
apply_set_default(Table *t, const Operation *op)
{
	Column	   *c = shape_column(t, op->column, false);

	if (c->identity || c->generated)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("column \"%s\" of relation \"%s\" is %s column", c->name, t->new_name,
						c->identity ? "an identity" : "a generated"),
				 op_position(op)));
	(void) set_default(t, c, op->expr);
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
		case OP_VALIDATE_CONSTRAINT:
			apply_validate_constraint(t, op);
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
		case OP_ADD_KEY:
			apply_add_key(t, op);
			break;
		case OP_ADD_FOREIGN_KEY:
			(void) apply_add_foreign_key(t, op);
			break;
		case OP_CREATE_INDEX:
			apply_create_index(t, op);
			break;
		case OP_DROP_INDEX:
			apply_drop_index(t, op);
			break;
		case OP_RENAME_INDEX:
			apply_rename_index(t, op);
			break;
		case OP_DROP_TABLE:
			apply_drop_table(t, op);
			break;
		case OP_REPLICA_IDENTITY:
			apply_replica_identity(t, op);
			break;
		case OP_CREATE_TABLE:
		case OP_PLAIN:
		case OP_SQL:
		case OP_AT_END:
		case OP_REPLACE_FUNCTION:
			elog(ERROR, "operation %d is not about a shape", (int) op->kind);
	}
}
