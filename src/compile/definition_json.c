/*
 * definition_json.c
 *		The JSON front end: pgroll's manifest, read strictly, to operations.
 *
 * Tables of fields say what each object may hold; everything is checked against them before an operation is made, so the readers below only
 * take values. Faults are 22023 with the JSON path; what is known but not covered is 0A000.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "parser/parser.h"

#include "compile/definition.h"

typedef enum ValueType
{
	VALUE_STRING,				/* may be "", which means not given */
	VALUE_STRING_OR_NULL,
	VALUE_NEW_NAME,				/* a string of at most 63 bytes */
	VALUE_BOOL,
	VALUE_OBJECT,				/* as its members say; any object when they are NULL */
	VALUE_ARRAY,				/* of anything */
	VALUE_NAMES,				/* an array of strings */
	VALUE_EXPRESSIONS 			/* an object whose values are strings */
} ValueType;

/* A key that an object may have */
typedef struct Field
{
	const char *key;
	ValueType	type;
	bool		required;
	const struct Field *members;
	const char *refusal;		/* not covered unless false: the hint */
} Field;

/* An operation of the format */
typedef struct OperationFormat
{
	const char *key;
	const Field *fields;
	void		(*read) (Definition *definition, const JsonNode *node);
	const char *refusal;		/* not covered: the hint */
} OperationFormat;

static void read_add_column(Definition *definition, const JsonNode *node);
static void read_drop_column(Definition *definition, const JsonNode *node);
static void read_alter_column(Definition *definition, const JsonNode *node);
static void read_rename_column(Definition *definition, const JsonNode *node);
static void read_rename_table(Definition *definition, const JsonNode *node);
static void read_rename_constraint(Definition *definition, const JsonNode *node);
static void read_create_constraint(Definition *definition, const JsonNode *node);
static void read_drop_constraint(Definition *definition, const JsonNode *node);
static void read_drop_multicolumn_constraint(Definition *definition, const JsonNode *node);

#define HINT_UNIQUE		"Complete the migration, run CREATE UNIQUE INDEX CONCURRENTLY, then ALTER TABLE ... ADD ... USING INDEX."
#define HINT_REFERENCES	"Complete the migration, then run ALTER TABLE ... ADD FOREIGN KEY ... NOT VALID and VALIDATE CONSTRAINT."
#define HINT_GENERATED	"Add a plain column and give its expression as \"up\"; for an identity, create a sequence first and use default nextval('...')."

static const Field manifest_fields[] = {
	{"name", VALUE_STRING},
	{"version_schema", VALUE_STRING},
	{"options", VALUE_OBJECT},
	{"operations", VALUE_ARRAY, true},
	{NULL}
};

static const Field check_fields[] = {
	{"name", VALUE_NEW_NAME, true},
	{"constraint", VALUE_STRING, true},
	{"no_inherit", VALUE_BOOL},
	{NULL}
};

static const Field column_fields[] = {
	{"name", VALUE_NEW_NAME, true},
	{"type", VALUE_STRING, true},
	{"nullable", VALUE_BOOL},
	{"default", VALUE_STRING},
	{"comment", VALUE_STRING},
	{"check", VALUE_OBJECT, false, check_fields},
	{"pk", VALUE_BOOL, false, NULL, HINT_UNIQUE},
	{"unique", VALUE_BOOL, false, NULL, HINT_UNIQUE},
	{"references", VALUE_OBJECT, false, NULL, HINT_REFERENCES},
	{"generated", VALUE_OBJECT, false, NULL, HINT_GENERATED},
	{NULL}
};

static const Field add_column_fields[] = {
	{"table", VALUE_STRING, true},
	{"column", VALUE_OBJECT, true, column_fields},
	{"up", VALUE_STRING},
	{NULL}
};

static const Field drop_column_fields[] = {
	{"table", VALUE_STRING, true},
	{"column", VALUE_STRING, true},
	{"down", VALUE_STRING},
	{NULL}
};

static const Field alter_column_fields[] = {
	{"table", VALUE_STRING, true},
	{"column", VALUE_STRING, true},
	{"up", VALUE_STRING},
	{"down", VALUE_STRING},
	{"type", VALUE_STRING},
	{"nullable", VALUE_BOOL},
	{"default", VALUE_STRING_OR_NULL},
	{"comment", VALUE_STRING_OR_NULL},
	{"check", VALUE_OBJECT, false, check_fields},
	{"references", VALUE_OBJECT, false, NULL, HINT_REFERENCES},
	{"unique", VALUE_OBJECT, false, NULL, HINT_UNIQUE},
	{NULL}
};

static const Field rename_column_fields[] = {
	{"table", VALUE_STRING, true},
	{"from", VALUE_STRING, true},
	{"to", VALUE_NEW_NAME, true},
	{NULL}
};

static const Field rename_table_fields[] = {
	{"from", VALUE_STRING, true},
	{"to", VALUE_NEW_NAME, true},
	{NULL}
};

static const Field create_constraint_fields[] = {
	{"table", VALUE_STRING, true},
	{"name", VALUE_NEW_NAME, true},
	{"type", VALUE_STRING, true},
	{"columns", VALUE_NAMES},
	{"up", VALUE_EXPRESSIONS, true},
	{"down", VALUE_EXPRESSIONS, true},
	{"check", VALUE_STRING},
	{"no_inherit", VALUE_BOOL},
	{"references", VALUE_OBJECT},
	{"index_parameters", VALUE_OBJECT},
	{NULL}
};

static const Field drop_constraint_fields[] = {
	{"table", VALUE_STRING, true},
	{"name", VALUE_STRING, true},
	{"up", VALUE_STRING},
	{"down", VALUE_STRING, true},
	{NULL}
};

static const Field drop_multicolumn_constraint_fields[] = {
	{"table", VALUE_STRING, true},
	{"name", VALUE_STRING, true},
	{"up", VALUE_EXPRESSIONS},
	{"down", VALUE_EXPRESSIONS, true},
	{NULL}
};

static const OperationFormat formats[] = {
	{"add_column", add_column_fields, read_add_column},
	{"drop_column", drop_column_fields, read_drop_column},
	{"alter_column", alter_column_fields, read_alter_column},
	{"rename_column", rename_column_fields, read_rename_column},
	{"rename_table", rename_table_fields, read_rename_table},
	{"rename_constraint", rename_column_fields, read_rename_constraint},
	{"create_constraint", create_constraint_fields, read_create_constraint},
	{"drop_constraint", drop_constraint_fields, read_drop_constraint},
	{"drop_multicolumn_constraint", drop_multicolumn_constraint_fields, read_drop_multicolumn_constraint},
	{"create_table", NULL, NULL, "Run CREATE TABLE by itself: nobody uses the table yet. The next migration makes version views of it."},
	{"drop_table", NULL, NULL, "Run DROP TABLE by itself after mig_complete, when no version needs the table any more."},
	{"create_index", NULL, NULL, "Run CREATE INDEX CONCURRENTLY by itself."},
	{"drop_index", NULL, NULL, "Run DROP INDEX CONCURRENTLY by itself after mig_complete."},
	{"set_replica_identity", NULL, NULL, "Run ALTER TABLE ... REPLICA IDENTITY by itself, before mig_start or after mig_complete."},
	{"sql", NULL, NULL, "Run the statement by itself, or write the migration as DDL."},
	{NULL}
};

/* Raises the error for a value of the wrong type. */
static void
wrong_type(const JsonNode *node, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be %s, not %s", json_node_path(node), expected, json_kind_name(node->kind))));
}

/* Raises the error for a value that is there but empty. */
static void
must_not_be_empty(const JsonNode *node)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must not be empty", json_node_path(node))));
}

/* Raises the error for a key that is not there; `why` is the detail or NULL. */
static void
missing_key(const JsonNode *object, const char *key, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("missing key \"%s\"%s", key, json_node_place(object)),
			 why == NULL ? 0 : errdetail_internal("%s", why)));
}

/* Refuses what the format knows and we do not cover. */
static void
refuse(const JsonNode *node, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("\"%s\"%s is not supported", node->key, json_node_place(node->parent)),
			 errhint("%s", hint)));
}

/* Checks that all elements or members are strings. */
static void
check_strings(const JsonNode *node)
{
	ListCell   *lc;

	foreach(lc, node->children)
	{
		JsonNode   *child = lfirst(lc);

		if (child->kind != JSON_KIND_STRING)
			wrong_type(child, "a string");
		if (node->kind == JSON_KIND_ARRAY && *child->text == '\0')
			must_not_be_empty(child);
	}
}

static void check_object(const JsonNode *object, const Field *fields);

/* Checks a value against its field. */
static void
check_value(const JsonNode *node, const Field *field)
{
	switch (field->type)
	{
		case VALUE_STRING_OR_NULL:
			if (node->kind == JSON_KIND_NULL)
				break;
			/* FALLTHROUGH */
		case VALUE_STRING:
		case VALUE_NEW_NAME:
			if (node->kind != JSON_KIND_STRING)
				wrong_type(node, field->type == VALUE_STRING_OR_NULL ? "a string or null" : "a string");
			if (field->type == VALUE_NEW_NAME && strlen(node->text) >= NAMEDATALEN)
				ereport(ERROR,
						(errcode(ERRCODE_NAME_TOO_LONG),
						 errmsg("%s is longer than %d bytes", json_node_path(node), NAMEDATALEN - 1),
						 errhint("Choose a shorter name.")));
			break;
		case VALUE_BOOL:
			if (node->kind != JSON_KIND_BOOL)
				wrong_type(node, "true or false");
			break;
		case VALUE_OBJECT:
		case VALUE_EXPRESSIONS:
			if (node->kind != JSON_KIND_OBJECT)
				wrong_type(node, "an object");
			if (field->type == VALUE_EXPRESSIONS)
				check_strings(node);
			else if (field->members != NULL)
				check_object(node, field->members);
			break;
		case VALUE_ARRAY:
		case VALUE_NAMES:
			if (node->kind != JSON_KIND_ARRAY)
				wrong_type(node, "an array");
			if (field->type == VALUE_NAMES)
				check_strings(node);
			break;
	}
}

/* Raises the error for a key that no field allows. */
static void
unknown_key(const JsonNode *node, const Field *fields)
{
	StringInfoData known;

	initStringInfo(&known);
	for (const Field *field = fields; field->key != NULL; field++)
		appendStringInfo(&known, "%s%s", field == fields ? "" : ", ", field->key);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown key \"%s\"%s", node->key, json_node_place(node->parent)),
			 errhint("The keys here are %s.", known.data)));
}

/* Checks an object's keys and values. */
static void
check_object(const JsonNode *object, const Field *fields)
{
	const Field *field;
	ListCell   *lc;

	foreach(lc, object->children)
	{
		JsonNode   *node = lfirst(lc);

		for (field = fields; field->key != NULL && strcmp(field->key, node->key) != 0; field++)
			;
		if (field->key == NULL)
			unknown_key(node, fields);
		check_value(node, field);
		if (field->refusal != NULL && !(node->kind == JSON_KIND_BOOL && strcmp(node->text, "false") == 0))
			refuse(node, field->refusal);
	}
	for (field = fields; field->key != NULL; field++)
	{
		JsonNode   *node = json_node_member(object, field->key);

		if (!field->required)
			continue;
		if (node == NULL)
			missing_key(object, field->key, NULL);
		if (node->kind == JSON_KIND_STRING && *node->text == '\0')
			must_not_be_empty(node);
	}
}

/* Parses a string member as an expression; NULL when it is not given. */
static RawExpr *
expression(const JsonNode *object, const char *key)
{
	const char *text = json_node_string(object, key);

	return text == NULL ? NULL : raw_expr(text, json_node_path(json_node_member(object, key)));
}

/* Parses a string member as a type's name. */
static TypeName *
type_name(const JsonNode *object, const char *key)
{
	const char *text = json_node_string(object, key);
	SourceContext context;
	TypeName   *type;

	source_begin(&context, text, json_node_path(json_node_member(object, key)));
	type = linitial_node(TypeName, raw_parser(text, RAW_PARSE_TYPE_NAME));
	if (type->setof)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a column cannot be SETOF a type")));
	source_end(&context);
	type->location = -1;		/* it would point into another text than the operation's */
	return type;
}

/* Appends an operation on the table that the object names. */
static Operation *
add(Definition *definition, OperationKind kind, const JsonNode *node, const char *column)
{
	Operation  *op = definition_add(definition, kind, json_node_path(node));
	const char *table = json_node_string(node, "table");

	op->table = table == NULL ? NULL : pstrdup(table);
	op->column = column == NULL ? NULL : pstrdup(column);
	return op;
}

/* Appends a comment on a column; "" removes it. */
static void
add_comment(Definition *definition, const JsonNode *node, const char *column, const char *comment)
{
	Operation  *op = add(definition, OP_COMMENT_COLUMN, node, column);

	op->comment = comment == NULL ? NULL : pstrdup(comment);
}

/* Appends a CHECK from its object. */
static Operation *
add_check(Definition *definition, const JsonNode *node, const JsonNode *check)
{
	Operation  *op = add(definition, OP_ADD_CHECK, node, NULL);

	op->name = pstrdup(json_node_string(check, "name"));
	op->expr = expression(check, "constraint");
	op->no_inherit = json_node_bool(check, "no_inherit", false);
	return op;
}

/* Gives an operation the data's change; returns whether there is one. An operation on constraints names the column only then. */
static bool
set_data(Operation *op, const char *column, RawExpr *up, RawExpr *down)
{
	op->column = pstrdup(column);
	op->up = up;
	op->down = down;
	operation_normalize(op);
	if (op->up != NULL || op->down != NULL)
		return true;
	if (op->kind == OP_ADD_CHECK || op->kind == OP_DROP_CONSTRAINT)
		op->column = NULL;
	return false;
}

/* Appends a change of data alone, if there is one. */
static void
add_change(Definition *definition, const JsonNode *node, const char *column, RawExpr *up, RawExpr *down)
{
	Operation  *op = add(definition, OP_CHANGE_DATA, node, NULL);

	if (!set_data(op, column, up, down))
		definition->operations = list_delete_last(definition->operations);
}

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

/* Reads add_column. */
static void
read_add_column(Definition *definition, const JsonNode *node)
{
	JsonNode   *column = json_node_member(node, "column");
	const char *name = json_node_string(column, "name");
	const char *comment = json_node_string(column, "comment");
	JsonNode   *check = json_node_member(column, "check");
	Operation  *op = add(definition, OP_ADD_COLUMN, node, name);

	op->type = type_name(column, "type");
	op->expr = expression(column, "default");
	op->not_null = !json_node_bool(column, "nullable", false);
	op->up = expression(node, "up");
	if (op->not_null && op->expr == NULL && op->up == NULL && !is_serial(op->type))
		missing_key(node, "up", "The column is not nullable and has no default.");
	if (check != NULL)
		add_check(definition, node, check);
	if (comment != NULL)
		add_comment(definition, node, name, comment);
}

/* Reads drop_column. */
static void
read_drop_column(Definition *definition, const JsonNode *node)
{
	add(definition, OP_DROP_COLUMN, node, json_node_string(node, "column"))->down = expression(node, "down");
}

/* Checks that alter_column changes something, and has the up and down that its changes need. */
static void
check_alter_column(const JsonNode *node)
{
	const char *up = NULL;		/* why it is needed */
	const char *down = NULL;
	JsonNode   *default_value = json_node_member(node, "default");

	if (json_node_member(node, "nullable") != NULL)
	{
		if (json_node_bool(node, "nullable", false))
			down = "Making a column nullable needs it.";
		else
			up = "Making a column not nullable needs it.";
	}
	if (json_node_member(node, "check") != NULL)
		up = down = "A check constraint needs it.";
	if (json_node_string(node, "type") != NULL)
		up = down = "A change of type needs it.";
	if (up != NULL && json_node_string(node, "up") == NULL)
		missing_key(node, "up", up);
	if (down != NULL && json_node_string(node, "down") == NULL)
		missing_key(node, "down", down);

	if (up == NULL && down == NULL && json_node_member(node, "comment") == NULL &&
		(default_value == NULL || (default_value->kind == JSON_KIND_STRING && *default_value->text == '\0')))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s changes nothing", json_node_path(node)),
				 errhint("Give at least one of type, check, nullable, default and comment.")));
}

/* Reads alter_column: up to five operations, in pgroll's order. The first that concerns the data takes up and down. */
static void
read_alter_column(Definition *definition, const JsonNode *node)
{
	const char *column = json_node_string(node, "column");
	JsonNode   *check = json_node_member(node, "check");
	JsonNode   *default_value = json_node_member(node, "default");
	RawExpr    *up = expression(node, "up");
	RawExpr    *down = expression(node, "down");
	Operation  *taker = NULL;
	Operation  *op;

	check_alter_column(node);
	if (json_node_string(node, "type") != NULL)
	{
		taker = add(definition, OP_ALTER_TYPE, node, column);
		taker->type = type_name(node, "type");
	}
	if (check != NULL)
	{
		op = add_check(definition, node, check);
		taker = taker != NULL ? taker : op;
	}
	if (json_node_member(node, "nullable") != NULL)
	{
		op = add(definition, json_node_bool(node, "nullable", false) ? OP_DROP_NOT_NULL : OP_SET_NOT_NULL, node, column);
		taker = taker != NULL ? taker : op;
	}
	if (taker != NULL)
		set_data(taker, column, up, down);
	else
		add_change(definition, node, column, up, down);
	if (json_node_string(node, "default") != NULL || (default_value != NULL && default_value->kind == JSON_KIND_NULL))
		add(definition, OP_SET_DEFAULT, node, column)->expr = expression(node, "default");
	if (json_node_member(node, "comment") != NULL)
		add_comment(definition, node, column, json_node_string(node, "comment"));
}

/* Reads rename_column. */
static void
read_rename_column(Definition *definition, const JsonNode *node)
{
	Operation  *op = add(definition, OP_RENAME_COLUMN, node, json_node_string(node, "from"));

	op->new_name = pstrdup(json_node_string(node, "to"));
}

/* Reads rename_table. */
static void
read_rename_table(Definition *definition, const JsonNode *node)
{
	Operation  *op = add(definition, OP_RENAME_TABLE, node, NULL);

	op->table = pstrdup(json_node_string(node, "from"));
	op->new_name = pstrdup(json_node_string(node, "to"));
}

/* Reads rename_constraint. */
static void
read_rename_constraint(Definition *definition, const JsonNode *node)
{
	Operation  *op = add(definition, OP_RENAME_CONSTRAINT, node, NULL);

	op->name = pstrdup(json_node_string(node, "from"));
	op->new_name = pstrdup(json_node_string(node, "to"));
}

/* Is a name in a list of them? */
static bool
name_in(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
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
					 errmsg("%s is for a column that the constraint does not have", json_node_path(entry))));
	}
	foreach(lc, columns)
	{
		if (all && json_node_string(expressions, lfirst(lc)) == NULL)
			missing_key(expressions, lfirst(lc), "Every column of the constraint needs one.");
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
		RawExpr    *column_up = up == NULL ? NULL : expression(up, lfirst(lc));
		RawExpr    *column_down = down == NULL ? NULL : expression(down, lfirst(lc));

		if (taken)
			add_change(definition, node, lfirst(lc), column_up, column_down);
		else
			taken = set_data(op, lfirst(lc), column_up, column_down);
	}
	definition->operations = lappend(definition->operations, op);
	check_independent(definition, node);
}

/* Reads create_constraint. */
static void
read_create_constraint(Definition *definition, const JsonNode *node)
{
	JsonNode   *type = json_node_member(node, "type");
	JsonNode   *columns = json_node_member(node, "columns");
	List	   *names = NIL;
	Operation  *op;
	ListCell   *lc;

	if (strcmp(type->text, "unique") == 0 || strcmp(type->text, "primary_key") == 0 || strcmp(type->text, "foreign_key") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" at %s is not supported", type->text, json_node_path(type)),
				 errhint("%s", strcmp(type->text, "foreign_key") == 0 ? HINT_REFERENCES : HINT_UNIQUE)));
	if (strcmp(type->text, "check") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown type of constraint \"%s\" at %s", type->text, json_node_path(type)),
				 errhint("The types are check, unique, foreign_key and primary_key.")));
	if (json_node_string(node, "check") == NULL)
		missing_key(node, "check", "A check constraint needs it.");
	if (columns != NULL)
	{
		foreach(lc, columns->children)
			names = lappend(names, pstrdup(((JsonNode *) lfirst(lc))->text));
	}
	check_columns(node, "up", names, true);
	check_columns(node, "down", names, true);

	op = add(definition, OP_ADD_CHECK, node, NULL);
	op->name = pstrdup(json_node_string(node, "name"));
	op->expr = expression(node, "check");
	op->no_inherit = json_node_bool(node, "no_inherit", false);
	add_columns_data(definition, node, op, names);
}

/* Reads drop_constraint, whose column is known when the constraint is looked up. */
static void
read_drop_constraint(Definition *definition, const JsonNode *node)
{
	Operation  *op = add(definition, OP_DROP_CONSTRAINT, node, NULL);

	op->name = pstrdup(json_node_string(node, "name"));
	op->up = expression(node, "up");
	op->down = expression(node, "down");
}

/* Reads drop_multicolumn_constraint; down names all columns. */
static void
read_drop_multicolumn_constraint(Definition *definition, const JsonNode *node)
{
	JsonNode   *down = json_node_member(node, "down");
	List	   *names = NIL;
	Operation  *op;
	ListCell   *lc;

	if (down->children == NIL)
		must_not_be_empty(down);
	foreach(lc, down->children)
		names = lappend(names, pstrdup(((JsonNode *) lfirst(lc))->key));
	check_columns(node, "down", names, true);
	check_columns(node, "up", names, false);

	op = add(definition, OP_DROP_CONSTRAINT, node, NULL);
	op->name = pstrdup(json_node_string(node, "name"));
	add_columns_data(definition, node, op, names);
}

/* Reads one element of "operations". */
static void
read_operation(Definition *definition, const JsonNode *element)
{
	const OperationFormat *format = formats;
	JsonNode   *node;

	if (element->kind != JSON_KIND_OBJECT)
		wrong_type(element, "an object");
	if (list_length(element->children) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have one key, the operation's name, not %d", json_node_path(element), list_length(element->children)),
				 errhint("Write one object for each operation.")));
	node = linitial(element->children);
	while (format->key != NULL && strcmp(format->key, node->key) != 0)
		format++;
	if (format->key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown operation \"%s\" at %s", node->key, json_node_path(element)),
				 errhint("Supported are add_column, drop_column, alter_column, rename_column, rename_table, rename_constraint, create_constraint, drop_constraint and drop_multicolumn_constraint.")));
	if (node->kind != JSON_KIND_OBJECT)
		wrong_type(node, "an object");
	if (format->read == NULL)
		refuse(node, format->refusal);
	check_object(node, format->fields);
	format->read(definition, node);
}

/* Returns a manifest's own name for something, which may be absent but not empty. */
static char *
manifest_name(const JsonNode *root, const char *key)
{
	JsonNode   *node = json_node_member(root, key);

	if (node == NULL)
		return NULL;
	if (*node->text == '\0')
		must_not_be_empty(node);
	return pstrdup(node->text);
}

/* Reads a manifest. */
Definition *
definition_json(const char *text)
{
	Definition *definition = palloc0(sizeof(Definition));
	JsonNode   *root = json_node_parse(text, "manifest", "");
	JsonNode   *operations;
	JsonNode   *options;
	ListCell   *lc;

	if (root->kind != JSON_KIND_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("manifest must be an object, not %s", json_kind_name(root->kind))));
	check_object(root, manifest_fields);
	definition->name = manifest_name(root, "name");
	definition->version = manifest_name(root, "version_schema");
	options = json_node_member(root, "options");
	if (options != NULL)
	{
		definition_refuse_updown(options->text);
		definition->options = pstrdup(options->text);
	}
	operations = json_node_member(root, "operations");
	if (operations->children == NIL)
		must_not_be_empty(operations);
	foreach(lc, operations->children)
		read_operation(definition, lfirst(lc));
	return definition;
}
