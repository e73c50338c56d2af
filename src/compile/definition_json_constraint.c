/*
 * definition_json_constraint.c
 *		The JSON front end's readers of operations on constraints.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compile/definition_json.h"

/* Appends a CHECK from its object. */
Operation *
json_add_check(Definition *definition, const JsonNode *node, const JsonNode *check)
{
	Operation  *op = json_add(definition, OP_ADD_CHECK, node, NULL);

	op->name = pstrdup(json_node_string(check, "name"));
	op->expr = json_expression(check, "constraint");
	op->no_inherit = json_node_bool(check, "no_inherit", false);
	return op;
}

/* Appends a key or a foreign key from its SQL, that of a table's constraint. */
Operation *
json_add_constraint(Definition *definition, OperationKind kind, const JsonNode *node, const char *sql)
{
	Operation  *op = json_add(definition, kind, node, NULL);
	AlterTableStmt *statement;

	op->sql = psprintf("ALTER TABLE %s ADD %s", quote_identifier(op->table), sql);
	statement = castNode(AlterTableStmt, json_parse_statement(op->sql, op->path));
	op->constraint = castNode(Constraint, linitial_node(AlterTableCmd, statement->cmds)->def);
	op->name = op->constraint->conname;
	return op;
}

/* Checks that an object of expressions is about the constraint's columns only; `all`: about every one of them. */
static void
check_columns(const JsonNode *node, const char *key, List *columns, bool all)
{
	JsonNode   *expressions = json_node_member(node, key);
	ListCell   *lc;

	if (expressions == NULL)
		return;
	foreach(lc, expressions->children)
	{
		JsonNode   *entry = lfirst(lc);

		if (!name_in(columns, entry->key))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s is for a column that the constraint does not have", json_node_path(entry)),
					 errhint("The keys of \"up\" and \"down\" are those of \"columns\".")));
	}
	foreach(lc, columns)
	{
		if (all && json_node_string(expressions, lfirst(lc)) == NULL)
			json_missing_key(expressions, lfirst(lc), "Every column of the constraint needs one.");
	}
}

/*
 * Refuses a column's expression that reads another column which changes too: operations compose one after the other, so it would see the other's
 * changed value or not, by their order.
 */
static void
check_independent(Definition *definition, const JsonNode *node)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, definition->operations)
	{
		Operation  *op = lfirst(lc);

		if (op->column == NULL || strcmp(op->path, json_node_path(node)) != 0)
			continue;
		foreach(lc2, definition->operations)
		{
			Operation  *other = lfirst(lc2);

			if (other == op || other->column == NULL || strcmp(other->path, op->path) != 0)
				continue;
			if (raw_expr_names(op->up, other->column) || raw_expr_names(op->down, other->column))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("\"up\" or \"down\" of column \"%s\" at %s reads column \"%s\", which changes too", op->column, op->path, other->column),
						 errhint("Change the columns in alter_column operations, in the order that is meant.")));
		}
	}
}

/*
 * Gives the changes of a constraint's columns to operations: the first to the operation on the constraint itself, the others to operations of
 * their own before it.
 */
static void
add_columns_data(Definition *definition, const JsonNode *node, Operation *op, List *columns)
{
	JsonNode   *up = json_node_member(node, "up");
	JsonNode   *down = json_node_member(node, "down");
	bool		taken = false;
	ListCell   *lc;

	op->columns = columns;
	definition->operations = list_delete_ptr(definition->operations, op);
	foreach(lc, columns)
	{
		RawExpr    *column_up = up == NULL ? NULL : json_expression(up, lfirst(lc));
		RawExpr    *column_down = down == NULL ? NULL : json_expression(down, lfirst(lc));

		if (taken)
			json_add_change(definition, node, lfirst(lc), column_up, column_down);
		else
			taken = json_set_data(op, lfirst(lc), column_up, column_down);
	}
	definition->operations = lappend(definition->operations, op);
	check_independent(definition, node);
}

/* Appends the operation for a new constraint. */
static Operation *
add_new_constraint(Definition *definition, const JsonNode *node)
{
	const char *sql = json_constraint_text(node);
	const char *type = json_node_string(node, "type");
	Operation  *op;

	if (pg_strcasecmp(type, "foreign_key") == 0)
		return json_add_constraint(definition, OP_ADD_FOREIGN_KEY, node, sql);
	if (pg_strcasecmp(type, "check") != 0)
		return json_add_constraint(definition, OP_ADD_KEY, node, sql);
	op = json_add(definition, OP_ADD_CHECK, node, NULL);
	op->name = pstrdup(json_node_string(node, "name"));
	op->expr = json_expression(node, "check");
	op->no_inherit = json_node_bool(node, "no_inherit", false);
	return op;
}

/* Refuses an exclusion constraint on a table that has clients. */
static void
check_exclude(const Definition *definition, const JsonNode *node)
{
	if (json_given(node, "exclude") && !name_in(definition->created, json_node_string(node, "table")))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("an exclusion constraint cannot be added online at %s", json_node_path(node)),
				 errdetail("Its index cannot be built without blocking writes."),
				 errhint("Run ALTER TABLE ... ADD CONSTRAINT ... EXCLUDE by itself when no one writes.")));
}

/* Reads create_constraint. */
void
json_read_create_constraint(Definition *definition, const JsonNode *node)
{
	JsonNode   *columns = json_node_member(node, "columns");
	List	   *names = NIL;
	Operation  *op;
	ListCell   *lc;

	check_exclude(definition, node);
	op = add_new_constraint(definition, node);
	if (columns != NULL)
	{
		foreach(lc, columns->children)
			names = lappend(names, pstrdup(((JsonNode *) lfirst(lc))->text));
	}
	check_columns(node, "up", names, true);
	check_columns(node, "down", names, true);
	add_columns_data(definition, node, op, names);
}

/* Reads drop_constraint, whose column is known when the constraint is looked up. */
void
json_read_drop_constraint(Definition *definition, const JsonNode *node)
{
	Operation  *op = json_add(definition, OP_DROP_CONSTRAINT, node, NULL);

	op->name = pstrdup(json_node_string(node, "name"));
	op->up = json_expression(node, "up");
	op->down = json_expression(node, "down");
}

/* Reads drop_multicolumn_constraint; down names all columns. */
void
json_read_drop_multicolumn_constraint(Definition *definition, const JsonNode *node)
{
	JsonNode   *down = json_node_member(node, "down");
	List	   *names = NIL;
	Operation  *op;
	ListCell   *lc;

	if (down->children == NIL)
		json_must_not_be_empty(down);
	foreach(lc, down->children)
		names = lappend(names, pstrdup(((JsonNode *) lfirst(lc))->key));
	check_columns(node, "down", names, true);
	check_columns(node, "up", names, false);

	op = json_add(definition, OP_DROP_CONSTRAINT, node, NULL);
	op->name = pstrdup(json_node_string(node, "name"));
	add_columns_data(definition, node, op, names);
}

/* Reads rename_constraint. */
void
json_read_rename_constraint(Definition *definition, const JsonNode *node)
{
	Operation  *op = json_add(definition, OP_RENAME_CONSTRAINT, node, NULL);

	op->name = pstrdup(json_node_string(node, "from"));
	op->new_name = pstrdup(json_node_string(node, "to"));
}
