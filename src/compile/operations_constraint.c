/*
 * operations_constraint.c
 *		What operations on constraints do to a shape.
 *
 * Owns no state. A new CHECK becomes a Rule, a new key a NewIndex, a new foreign key a ForeignKey: how each is held, built and proven is decided
 * when the steps are made.
 */
#include "base/compat.h"

#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "base/sql.h"
#include "compile/definition.h"
#include "compile/operations.h"

/* A foreign key that this migration adds to the table, by its name; NULL if there is none. */
static ForeignKey *
new_foreign_key(const Table *t, const char *name)
{
	ListCell   *lc;

	foreach(lc, t->foreign_keys)
	{
		ForeignKey *f = lfirst(lc);

		if (strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

/* Is a constraint name in use, now or in the new version? */
bool
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
	foreach(lc, t->new_indexes)
	{
		NewIndex   *n = lfirst(lc);

		if (n->key && strcmp(n->name, name) == 0)
			return true;
	}
	return new_foreign_key(t, name) != NULL;
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

void
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

/* Does a new CHECK read a column? */
static bool
rule_reads(const Rule *rule, const Column *c)
{
	ListCell   *lc;

	foreach(lc, rule->shape)
	{
		const SnapshotColumn *s = lfirst(lc);

		if (s->column == c && raw_expr_names(rule->raw, s->name))
			return true;
	}
	return false;
}

void
forget_checks_of(Table *t, const Column *c)
{
	ListCell   *lc;

	foreach(lc, t->rules)
		if (rule_reads(lfirst(lc), c))
			t->rules = foreach_delete_current(t->rules, lc);
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
				 errmsg("constraint \"%s\" does not have column \"%s\" at %s", op->name, strVal(linitial(wrong)), op->path),
				 errhint("Leave that column out of \"up\" and \"down\".")));
	wrong = list_difference(names, listed);
	if (wrong != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of constraint \"%s\" has no \"down\" at %s", strVal(linitial(wrong)), op->name, op->path),
				 errhint("Give an expression for every column of the constraint; the column's own name changes nothing.")));
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

/* With a constraint goes its index. */
static void
drop_constraint_index(Table *t, const Constr *k)
{
	ListCell   *lc;

	foreach(lc, t->indexes)
	{
		OldIndex   *x = lfirst(lc);

		if (x->constraint == k)
			x->dropped = true;
	}
}

void
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
	if (new_foreign_key(t, op->name))
	{
		t->foreign_keys = list_delete_ptr(t->foreign_keys, new_foreign_key(t, op->name));
		return;
	}
	if (drop_new_key(t, op->name))
		return;
	if (op->if_exists && !constraint_name_used(t, op->name))
		return;
	k = shape_constraint(t, op->name);
	check_constraint_columns(t, op, k);
	k->dropped = true;
	drop_constraint_index(t, k);
	if (op->column == NULL && (op->up || op->down))
		op = with_constraint_column(t, op, k);
	if (op->column && changes_data(op))
		apply_change_data(t, op);
}

/* A rule of this migration is validated anyway. */
void
apply_validate_constraint(Table *t, const Operation *op)
{
	Constr	   *k;
	ListCell   *lc;

	foreach(lc, t->rules)
		if (((Rule *) lfirst(lc))->name && strcmp(((Rule *) lfirst(lc))->name, op->name) == 0)
			return;
	k = shape_constraint(t, op->name);
	k->validate = k->validate || !k->validated;
	k->validated = true;
}

void
apply_rename_constraint(Table *t, const Operation *op)
{
	Constr	   *k;
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
	if (new_foreign_key(t, op->name))
	{
		new_foreign_key(t, op->name)->name = op->new_name;
		return;
	}
	foreach(lc, t->new_indexes)
	{
		NewIndex   *n = lfirst(lc);

		if (n->key && strcmp(n->name, op->name) == 0)
		{
			apply_rename_index(t, op);
			return;
		}
	}
	k = shape_constraint(t, op->name);
	if (shape_index(t, op->name) && shape_index(t, op->name)->constraint == k)
		apply_rename_index(t, op);
	else
		k->new_name = op->new_name;
}

Column *
foreign_key_column(const Table *t, const char *name, const Operation *op)
{
	Column	   *c = shape_column(t, name, true);

	if (c == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" referenced in foreign key constraint does not exist", name),
				 op_position(op)));
	return c;
}

/* Has another table of the schema a constraint of that name? The server then chooses another one. */
static bool
others_constraint(const Table *t, const char *name)
{
	return sql_textp("SELECT 1 FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname = $1 AND k.conname = $2 AND k.conrelid <> $3",
					 P_text(t->schema), P_text(name), P_oid(t->relid)) != NULL;
}

/* The name PostgreSQL gives an unnamed foreign key: table_columns_fkey. */
static char *
choose_foreign_key_name(const Table *t, List *columns)
{
	StringInfoData addition;
	char	   *name;
	ListCell   *lc;

	initStringInfo(&addition);
	foreach(lc, columns)
		appendStringInfo(&addition, "%s%s", addition.len ? "_" : "", strVal(lfirst(lc)));
	name = makeObjectName(t->new_name, addition.data, "fkey");
	for (int n = 1; constraint_name_used(t, name) || others_constraint(t, name); n++)
		name = makeObjectName(t->new_name, addition.data, psprintf("fkey%d", n));
	return name;
}

/* The columns of ON DELETE SET … (columns): some of the key's. */
static List *
set_columns(const Table *t, const Operation *op, List *columns)
{
	List	   *set = NIL;
	ListCell   *lc;

	foreach(lc, op->constraint->fk_del_set_cols)
	{
		Column	   *c = foreign_key_column(t, strVal(lfirst(lc)), op);

		if (!list_member_ptr(columns, c))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("column \"%s\" referenced in ON DELETE SET action must be part of foreign key", c->name),
					 op_position(op)));
		set = list_append_unique_ptr(set, c);
	}
	return set;
}

/* Raise for an action that would write a generated column. */
static void
check_actions(const Operation *op, const Column *c)
{
	const Constraint *k = op->constraint;
	bool		on_update = k->fk_upd_action != FKCONSTR_ACTION_NOACTION && k->fk_upd_action != FKCONSTR_ACTION_RESTRICT;
	bool		on_delete = k->fk_del_action == FKCONSTR_ACTION_SETNULL || k->fk_del_action == FKCONSTR_ACTION_SETDEFAULT;

	if (c->generated && (on_update || on_delete))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("invalid %s action for foreign key constraint containing generated column", on_update ? "ON UPDATE" : "ON DELETE"),
				 op_position(op)));
}

/* The referencing side; what it refers to is found in compile/foreign_key.c. */
ForeignKey *
apply_add_foreign_key(Table *t, const Operation *op)
{
	const Constraint *k = op->constraint;
	ForeignKey *f = palloc0(sizeof(ForeignKey));
	ListCell   *lc;

	if (op->column && changes_data(op))
		apply_change_data(t, op);
	if (op->name && constraint_name_used(t, op->name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("constraint \"%s\" for relation \"%s\" already exists", op->name, t->new_name),
				 op_position(op)));
	f->op = op;
	f->table = t;
	foreach(lc, k->fk_attrs)
	{
		Column	   *c = foreign_key_column(t, strVal(lfirst(lc)), op);

		check_actions(op, c);
		f->columns = lappend(f->columns, c);
	}
	f->name = op->name ? op->name : choose_foreign_key_name(t, k->fk_attrs);
	f->set_columns = set_columns(t, op, f->columns);
	f->match = k->fk_matchtype;
	f->on_update = k->fk_upd_action;
	f->on_delete = k->fk_del_action;
	f->deferrable = k->deferrable;
	f->deferred = k->initdeferred;
	f->valid = !k->skip_validation;
	t->foreign_keys = lappend(t->foreign_keys, f);
	return f;
}
