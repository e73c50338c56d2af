/*
 * definition_json_column.c
 *		The JSON front end's readers of operations on columns.
 */
#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "utils/builtins.h"

#include "compile/definition_json.h"

/* Does a type bring a default of its own? */
static bool
is_serial(const TypeName *type)
{
	static const char *const names[] = {"smallserial", "serial", "bigserial", "serial2", "serial4", "serial8"};

	if (list_length(type->names) != 1 || type->arrayBounds != NIL)
		return false;
	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(strVal(linitial(type->names)), names[i]) == 0)
			return true;
	}
	return false;
}

/* Reads how an added column is generated. */
static void
read_generated(const Definition *definition, Operation *op, const JsonNode *column)
{
	const JsonNode *generated = json_node_member(column, "generated");
	AlterTableStmt *statement = castNode(AlterTableStmt, json_parse_statement(op->sql, op->path));
	const ColumnDef *def = castNode(ColumnDef, linitial_node(AlterTableCmd, statement->cmds)->def);
	ListCell   *lc;

	if (json_given(generated, "expression") && !name_in(definition->created, op->table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a generated column cannot be added online at %s", json_node_path(json_node_member(generated, "expression"))),
				 errdetail("It rewrites the table under an exclusive lock."),
				 errhint("Add a plain column and give its expression as \"up\".")));
	foreach(lc, def->constraints)
	{
		const Constraint *constraint = lfirst_node(Constraint, lc);

		if (constraint->contype != CONSTR_IDENTITY)
			continue;
		op->identity = constraint->generated_when;
		op->sequence = constraint->options;
	}
}

/* Refuses what pgroll refuses of an added column. */
static void
check_added_column(const JsonNode *node, const JsonNode *column, const Operation *op)
{
	if (json_given(column, "pk"))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a column cannot be added as the primary key at %s", json_node_path(json_node_member(column, "pk"))),
				 errhint("Add the column, then use create_constraint with the type primary_key.")));
	if (op->not_null && op->expr == NULL && op->up == NULL && !json_given(column, "generated") && !is_serial(op->type))
		json_missing_key(node, "up", "The column is not nullable and has no default.");
}

/* Reads add_column. */
void
json_read_add_column(Definition *definition, const JsonNode *node)
{
	const JsonNode *column = json_node_member(node, "column");
	const JsonNode *check = json_node_member(column, "check");
	const JsonNode *references = json_node_member(column, "references");
	const char *name = json_node_string(column, "name");
	const char *comment = json_node_string(column, "comment");
	Operation  *op = json_add(definition, OP_ADD_COLUMN, node, name);

	op->type = json_type_name(column, "type");
	op->expr = json_expression(column, "default");
	op->not_null = !json_node_bool(column, "nullable", false);
	op->up = json_expression(node, "up");
	op->sql = psprintf("ALTER TABLE %s ADD COLUMN %s", quote_identifier(op->table), json_column_text(column));
	check_added_column(node, column, op);
	if (json_given(column, "generated"))
		read_generated(definition, op, column);
	if (check != NULL)
		json_add_check(definition, node, check);
	if (references != NULL)
		json_add_constraint(definition, OP_ADD_FOREIGN_KEY, node,
							psprintf("CONSTRAINT %s FOREIGN KEY (%s) %s", quote_identifier(json_node_string(references, "name")),
									 quote_identifier(name), json_references_text(references)));
	if (json_given(column, "unique"))
		json_add_constraint(definition, OP_ADD_KEY, node, psprintf("UNIQUE (%s)", quote_identifier(name)));
	if (comment != NULL)
		json_add_comment(definition, node, name, comment);
}

/* Reads drop_column. */
void
json_read_drop_column(Definition *definition, const JsonNode *node)
{
	json_add(definition, OP_DROP_COLUMN, node, json_node_string(node, "column"))->down = json_expression(node, "down");
}

/* Reads rename_column. */
void
json_read_rename_column(Definition *definition, const JsonNode *node)
{
	json_add(definition, OP_RENAME_COLUMN, node, json_node_string(node, "from"))->new_name = pstrdup(json_node_string(node, "to"));
}

/* Checks that alter_column changes something, and has the up and down that its changes need. */
static void
check_alter_column(const JsonNode *node)
{
	const char *up = NULL;		/* why it is needed */
	const char *down = NULL;
	const JsonNode *default_value = json_node_member(node, "default");

	if (json_node_member(node, "nullable") != NULL)
	{
		if (json_node_bool(node, "nullable", false))
			down = "Making a column nullable needs it.";
		else
			up = "Making a column not nullable needs it.";
	}
	if (json_node_member(node, "check") != NULL)
		up = down = "A check constraint needs it.";
	if (json_node_member(node, "references") != NULL)
		up = down = "A foreign key needs it.";
	if (json_node_string(node, "type") != NULL)
		up = down = "A change of type needs it.";
	if (up != NULL && json_node_string(node, "up") == NULL)
		json_missing_key(node, "up", up);
	if (down != NULL && json_node_string(node, "down") == NULL)
		json_missing_key(node, "down", down);

	if (up == NULL && down == NULL && json_node_member(node, "comment") == NULL && json_node_member(node, "unique") == NULL &&
		(default_value == NULL || !json_given(node, "default")))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s changes nothing", json_node_path(node)),
				 errhint("Give at least one of type, check, references, nullable, unique, default and comment.")));
}

/* Appends alter_column's change of type. */
static Operation *
add_type(Definition *definition, const JsonNode *node, const char *column)
{
	Operation  *op = json_add(definition, OP_ALTER_TYPE, node, column);

	op->type = json_type_name(node, "type");
	op->sql = psprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s USING (%s)", quote_identifier(op->table), quote_identifier(column),
					   json_sql_part(json_node_string(node, "type")), json_sql_part(json_node_string(node, "up")));
	return op;
}

/* Appends alter_column's foreign key. */
static Operation *
add_references(Definition *definition, const JsonNode *node, const char *column)
{
	const JsonNode *references = json_node_member(node, "references");

	return json_add_constraint(definition, OP_ADD_FOREIGN_KEY, node,
							   psprintf("CONSTRAINT %s FOREIGN KEY (%s) %s", quote_identifier(json_node_string(references, "name")),
										quote_identifier(column), json_references_text(references)));
}

/* Appends alter_column's unique constraint. */
static Operation *
add_unique(Definition *definition, const JsonNode *node, const char *column)
{
	const char *name = json_node_string(json_node_member(node, "unique"), "name");

	return json_add_constraint(definition, OP_ADD_KEY, node,
							   psprintf("CONSTRAINT %s UNIQUE (%s)", quote_identifier(name), quote_identifier(column)));
}

/* Reads alter_column: up to seven operations, in pgroll's order. The first that concerns the data takes up and down. */
void
json_read_alter_column(Definition *definition, const JsonNode *node)
{
	const char *column = json_node_string(node, "column");
	const JsonNode *default_value = json_node_member(node, "default");
	List	   *takers = NIL;

	check_alter_column(node);
	if (json_given(node, "type"))
		takers = lappend(takers, add_type(definition, node, column));
	if (json_given(node, "check"))
		takers = lappend(takers, json_add_check(definition, node, json_node_member(node, "check")));
	if (json_given(node, "references"))
		takers = lappend(takers, add_references(definition, node, column));
	if (json_node_member(node, "nullable") != NULL)
		takers = lappend(takers, json_add(definition, json_given(node, "nullable") ? OP_DROP_NOT_NULL : OP_SET_NOT_NULL, node, column));
	if (json_given(node, "unique"))
		takers = lappend(takers, add_unique(definition, node, column));
	if (takers != NIL)
		json_set_data(linitial(takers), column, json_expression(node, "up"), json_expression(node, "down"));
	else
		json_add_change(definition, node, column, json_expression(node, "up"), json_expression(node, "down"));
	if (default_value != NULL && json_given(node, "default"))
		json_add(definition, OP_SET_DEFAULT, node, column)->expr = json_expression(node, "default");
	if (json_node_member(node, "comment") != NULL)
		json_add_comment(definition, node, column, json_node_string(node, "comment"));
}
