/*
 * definition_json.c
 *		The JSON front end: pgroll's manifest, read strictly, to operations.
 *
 * Everything is checked against the format (definition_json_fields.c) before an operation is made, so the readers (definition_json_column.c, _constraint.c,
 * _table.c) only take values. Structures they turn into SQL (definition_json_text.c), whose parse trees go into the operations. What a manifest does to
 * a table that it creates itself becomes plain statements (definition_json_plain.c).
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "compile/definition_json.h"
#include "store/options.h"

/* An operation of the format */
typedef struct OperationFormat
{
	const char *key;
	const Field *fields;
	void		(*read) (Definition *definition, const JsonNode *node);
} OperationFormat;

static const OperationFormat formats[] = {
	{"create_table", create_table_fields, json_read_create_table},
	{"drop_table", drop_table_fields, json_read_drop_table},
	{"rename_table", rename_table_fields, json_read_rename_table},
	{"add_column", add_column_fields, json_read_add_column},
	{"drop_column", drop_column_fields, json_read_drop_column},
	{"alter_column", alter_column_fields, json_read_alter_column},
	{"rename_column", rename_column_fields, json_read_rename_column},
	{"create_constraint", create_constraint_fields, json_read_create_constraint},
	{"drop_constraint", drop_constraint_fields, json_read_drop_constraint},
	{"drop_multicolumn_constraint", drop_multicolumn_constraint_fields, json_read_drop_multicolumn_constraint},
	{"rename_constraint", rename_column_fields, json_read_rename_constraint},
	{"create_index", create_index_fields, json_read_create_index},
	{"drop_index", drop_index_fields, json_read_drop_index},
	{"set_replica_identity", set_replica_identity_fields, json_read_set_replica_identity},
	{"sql", sql_fields, json_read_sql}
};

/* Appends an operation on the table that the object names. */
Operation *
json_add(Definition *definition, OperationKind kind, const JsonNode *node, const char *column)
{
	Operation  *op = definition_add(definition, kind, json_node_path(node));
	const char *table = json_node_string(node, "table");

	op->table = table == NULL ? NULL : pstrdup(table);
	op->column = column == NULL ? NULL : pstrdup(column);
	return op;
}

/* Appends a comment on a column, or on the table when it is NULL; "" removes it. */
Operation *
json_add_comment(Definition *definition, const JsonNode *node, const char *column, const char *comment)
{
	Operation  *op = json_add(definition, column == NULL ? OP_COMMENT_TABLE : OP_COMMENT_COLUMN, node, column);

	op->comment = comment == NULL ? NULL : pstrdup(comment);
	return op;
}

/* Gives an operation the data's change; returns whether there is one. An operation on constraints names the column only then. */
bool
json_set_data(Operation *op, const char *column, RawExpr *up, RawExpr *down)
{
	op->column = pstrdup(column);
	op->up = up;
	op->down = down;
	operation_normalize(op);
	if (op->up != NULL || op->down != NULL)
		return true;
	if (op->kind == OP_ADD_CHECK || op->kind == OP_ADD_KEY || op->kind == OP_ADD_FOREIGN_KEY || op->kind == OP_DROP_CONSTRAINT)
		op->column = NULL;
	return false;
}

/* Appends a change of data alone, if there is one. */
void
json_add_change(Definition *definition, const JsonNode *node, const char *column, RawExpr *up, RawExpr *down)
{
	Operation  *op = json_add(definition, OP_CHANGE_DATA, node, NULL);

	if (!json_set_data(op, column, up, down))
		definition->operations = list_delete_last(definition->operations);
}

/* Raises the error for an operation that the format does not have. */
static void
unknown_operation(const JsonNode *node)
{
	StringInfoData known;

	initStringInfo(&known);
	for (int i = 0; i < lengthof(formats); i++)
		appendStringInfo(&known, "%s%s", i == 0 ? "" : ", ", formats[i].key);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown operation \"%s\"%s", node->key, json_node_place(node->parent)),
			 errhint("The operations are %s.", known.data)));
}

/* Reads one element of "operations". */
static void
read_operation(Definition *definition, const JsonNode *element)
{
	int			n = list_length(definition->operations);
	int			i = 0;
	JsonNode   *node;

	if (element->kind != JSON_KIND_OBJECT)
		json_wrong_type(element, "an object");
	if (list_length(element->children) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have one key, the operation's name, not %d", json_node_path(element), list_length(element->children)),
				 errhint("Write one object for each operation.")));
	node = linitial(element->children);
	while (i < lengthof(formats) && strcmp(formats[i].key, node->key) != 0)
		i++;
	if (i == lengthof(formats))
		unknown_operation(node);
	if (node->kind != JSON_KIND_OBJECT)
		json_wrong_type(node, "an object");
	json_check_object(node, formats[i].fields);
	formats[i].read(definition, node);
	json_make_plain(definition, n);
}

/* Returns a manifest's own name for something, which may be absent but not empty. */
static char *
manifest_name(const JsonNode *root, const char *key)
{
	JsonNode   *node = json_node_member(root, key);

	if (node == NULL)
		return NULL;
	if (*node->text == '\0')
		json_must_not_be_empty(node);
	return pstrdup(node->text);
}

/* Reads the operations of a manifest, which have their own up and down. */
static Definition *
read_operations(const JsonNode *root, const char *own_options, const char *options)
{
	Definition *definition = palloc0(sizeof(Definition));
	JsonNode   *operations = json_node_member(root, "operations");
	ListCell   *lc;

	if (operations == NULL)
		json_missing_key(root, "operations", NULL);
	if (operations->children == NIL)
		json_must_not_be_empty(operations);
	definition_refuse_updown(own_options);
	definition_refuse_updown(options);
	foreach(lc, operations->children)
		read_operation(definition, lfirst(lc));
	return definition;
}

/* Reads the statements of a manifest that wraps a DDL definition, as mig_export does. */
static Definition *
read_ddl(const JsonNode *ddl, const char *own_options, const char *options)
{
	if (json_node_member(ddl->parent, "operations") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("manifest has both \"ddl\" and \"operations\""),
				 errhint("Make a migration of each.")));
	return definition_ddl(ddl->text, options_over(own_options, options));
}

/* Reads a manifest. */
Definition *
definition_json(const char *text, const char *options)
{
	JsonNode   *root = json_node_parse(text, "manifest", "");
	Definition *definition;
	JsonNode   *ddl;
	JsonNode   *member;
	char	   *own_options;

	if (root->kind != JSON_KIND_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("manifest must be an object, not %s", json_kind_name(root->kind))));
	json_check_object(root, manifest_fields);
	ddl = json_node_member(root, "ddl");
	member = json_node_member(root, "options");
	own_options = member ? pstrdup(member->text) : NULL;
	definition = ddl ? read_ddl(ddl, own_options, options) : read_operations(root, own_options, options);
	definition->name = manifest_name(root, "name");
	definition->version = manifest_name(root, "version_schema");
	definition->options = own_options;
	return definition;
}
