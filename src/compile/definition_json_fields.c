/*
 * definition_json_fields.c
 *		The manifest's format as tables of fields, and the checks of a manifest against them.
 *
 * Faults are 22023 with the JSON path; a name that is too long is 42622.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "compile/definition_json.h"

static const char *const referential_actions[] = {"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT", NULL};
static const char *const match_types[] = {"SIMPLE", "FULL", "PARTIAL", NULL};
static const char *const identity_kinds[] = {"ALWAYS", "BY DEFAULT", NULL};
static const char *const constraint_types[] = {"check", "unique", "primary_key", "foreign_key", "exclude", NULL};
static const char *const replica_identities[] = {"default", "index", "full", "nothing", NULL};
static const char *const sort_orders[] = {"ASC", "DESC", NULL};
static const char *const nulls_orders[] = {"FIRST", "LAST", NULL};

const Field manifest_fields[] = {
	{"name", VALUE_STRING},
	{"version_schema", VALUE_STRING},
	{"options", VALUE_OBJECT},
	{"operations", VALUE_ARRAY},	/* or: */
	{"ddl", VALUE_STRING},
	{NULL}
};

/* ---- columns ---- */

static const Field check_fields[] = {
	{"name", VALUE_NAME, true},
	{"constraint", VALUE_STRING, true},
	{"no_inherit", VALUE_BOOL},
	{NULL}
};

static const Field column_references_fields[] = {
	{"name", VALUE_NAME, true},
	{"table", VALUE_NAME, true},
	{"column", VALUE_NAME, true},
	{"on_delete", VALUE_CHOICE, false, NULL, referential_actions},
	{"on_update", VALUE_CHOICE, false, NULL, referential_actions},
	{"match_type", VALUE_CHOICE, false, NULL, match_types},
	{"deferrable", VALUE_BOOL},
	{"initially_deferred", VALUE_BOOL},
	{NULL}
};

static const Field identity_fields[] = {
	{"user_specified_values", VALUE_CHOICE, false, NULL, identity_kinds},
	{"sequence_options", VALUE_STRING},
	{NULL}
};

static const Field generated_fields[] = {
	{"expression", VALUE_STRING},
	{"identity", VALUE_OBJECT, false, identity_fields},
	{NULL}
};

static const Field column_fields[] = {
	{"name", VALUE_NAME, true},
	{"type", VALUE_STRING, true},
	{"nullable", VALUE_BOOL},
	{"pk", VALUE_BOOL},
	{"unique", VALUE_BOOL},
	{"default", VALUE_STRING},
	{"comment", VALUE_STRING},
	{"check", VALUE_OBJECT, false, check_fields},
	{"generated", VALUE_OBJECT, false, generated_fields},
	{"references", VALUE_OBJECT, false, column_references_fields},
	{NULL}
};

const Field add_column_fields[] = {
	{"table", VALUE_STRING, true},
	{"column", VALUE_OBJECT, true, column_fields},
	{"up", VALUE_STRING},
	{NULL}
};

const Field drop_column_fields[] = {
	{"table", VALUE_STRING, true},
	{"column", VALUE_STRING, true},
	{"down", VALUE_STRING},
	{NULL}
};

static const Field unique_fields[] = {
	{"name", VALUE_NAME, true},
	{NULL}
};

const Field alter_column_fields[] = {
	{"table", VALUE_STRING, true},
	{"column", VALUE_STRING, true},
	{"up", VALUE_STRING},
	{"down", VALUE_STRING},
	{"type", VALUE_STRING},
	{"nullable", VALUE_BOOL},
	{"default", VALUE_STRING_OR_NULL},
	{"comment", VALUE_STRING_OR_NULL},
	{"check", VALUE_OBJECT, false, check_fields},
	{"references", VALUE_OBJECT, false, column_references_fields},
	{"unique", VALUE_OBJECT, false, unique_fields},
	{NULL}
};

const Field rename_column_fields[] = {
	{"table", VALUE_STRING, true},
	{"from", VALUE_STRING, true},
	{"to", VALUE_NAME, true},
	{NULL}
};

/* ---- constraints; which of the keys a type takes: definition_json_text.c ---- */

static const Field references_fields[] = {
	{"table", VALUE_NAME, true},
	{"columns", VALUE_NAMES},
	{"on_delete", VALUE_CHOICE, false, NULL, referential_actions},
	{"on_delete_set_columns", VALUE_NAMES},
	{"on_update", VALUE_CHOICE, false, NULL, referential_actions},
	{"match_type", VALUE_CHOICE, false, NULL, match_types},
	{NULL}
};

static const Field index_parameters_fields[] = {
	{"include_columns", VALUE_NAMES},
	{"storage_parameters", VALUE_STRING},
	{"tablespace", VALUE_NAME},
	{NULL}
};

static const Field exclude_fields[] = {
	{"index_method", VALUE_NAME},
	{"elements", VALUE_STRING, true},
	{"predicate", VALUE_STRING},
	{NULL}
};

#define CONSTRAINT_FIELDS \
	{"name", VALUE_NAME, true}, \
	{"type", VALUE_CHOICE, true, NULL, constraint_types}, \
	{"columns", VALUE_NAMES}, \
	{"check", VALUE_STRING}, \
	{"no_inherit", VALUE_BOOL}, \
	{"references", VALUE_OBJECT, false, references_fields}, \
	{"deferrable", VALUE_BOOL}, \
	{"initially_deferred", VALUE_BOOL}, \
	{"nulls_not_distinct", VALUE_BOOL}, \
	{"index_parameters", VALUE_OBJECT, false, index_parameters_fields}, \
	{"exclude", VALUE_OBJECT, false, exclude_fields}

static const Field constraint_fields[] = {
	CONSTRAINT_FIELDS,
	{NULL}
};

const Field create_constraint_fields[] = {
	{"table", VALUE_NAME, true},
	{"up", VALUE_EXPRESSIONS, true},
	{"down", VALUE_EXPRESSIONS, true},
	CONSTRAINT_FIELDS,
	{NULL}
};

const Field drop_constraint_fields[] = {
	{"table", VALUE_STRING, true},
	{"name", VALUE_STRING, true},
	{"up", VALUE_STRING},
	{"down", VALUE_STRING, true},
	{NULL}
};

const Field drop_multicolumn_constraint_fields[] = {
	{"table", VALUE_STRING, true},
	{"name", VALUE_STRING, true},
	{"up", VALUE_EXPRESSIONS},
	{"down", VALUE_EXPRESSIONS, true},
	{NULL}
};

/* ---- tables and indexes ---- */

const Field create_table_fields[] = {
	{"name", VALUE_NAME, true},
	{"columns", VALUE_ARRAY, true, column_fields},
	{"constraints", VALUE_ARRAY, false, constraint_fields},
	{"comment", VALUE_STRING},
	{NULL}
};

const Field drop_table_fields[] = {
	{"name", VALUE_STRING, true},
	{NULL}
};

const Field rename_table_fields[] = {
	{"from", VALUE_STRING, true},
	{"to", VALUE_NAME, true},
	{NULL}
};

static const Field opclass_fields[] = {
	{"name", VALUE_STRING, true},
	{"params", VALUE_STRINGS},
	{NULL}
};

static const Field index_column_fields[] = {
	{"column", VALUE_NAME},
	{"expression", VALUE_STRING},
	{"collate", VALUE_STRING},
	{"opclass", VALUE_OBJECT, false, opclass_fields},
	{"sort", VALUE_CHOICE, false, NULL, sort_orders},
	{"nulls", VALUE_CHOICE, false, NULL, nulls_orders},
	{NULL}
};

const Field create_index_fields[] = {
	{"table", VALUE_NAME, true},
	{"name", VALUE_NAME, true},
	{"columns", VALUE_INDEX_COLUMNS, true, index_column_fields},
	{"method", VALUE_NAME},
	{"unique", VALUE_BOOL},
	{"nulls_not_distinct", VALUE_BOOL},
	{"include", VALUE_NAMES},
	{"predicate", VALUE_STRING},
	{"storage_parameters", VALUE_STRING},
	{"tablespace", VALUE_NAME},
	{NULL}
};

const Field drop_index_fields[] = {
	{"name", VALUE_STRING, true},
	{NULL}
};

static const Field identity_of_replica_fields[] = {
	{"type", VALUE_CHOICE, true, NULL, replica_identities},
	{"index", VALUE_NAME},
	{NULL}
};

const Field set_replica_identity_fields[] = {
	{"table", VALUE_STRING, true},
	{"identity", VALUE_OBJECT, true, identity_of_replica_fields},
	{NULL}
};

const Field sql_fields[] = {
	{"up", VALUE_STRING, true},
	{"down", VALUE_STRING},
	{"onComplete", VALUE_BOOL},
	{NULL}
};

/* ---- checks ---- */

/* Raises the error for a value of the wrong type. */
void
json_wrong_type(const JsonNode *node, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be %s, not %s", json_node_path(node), expected, json_kind_name(node->kind))));
}

/* Raises the error for a value that is there but empty. */
void
json_must_not_be_empty(const JsonNode *node)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must not be empty", json_node_path(node))));
}

/* Raises the error for a key that is not there. */
void
json_missing_key(const JsonNode *object, const char *key, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("missing key \"%s\"%s", key, json_node_place(object)),
			 why == NULL ? 0 : errdetail_internal("%s", why)));
}

/* Raises the error for a name that the server would cut. */
void
json_check_name(const JsonNode *node, const char *name)
{
	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("%s is longer than %d bytes", json_node_path(node), NAMEDATALEN - 1),
				 errhint("Choose a shorter name.")));
}

/* Is a member there, and neither false nor ""? */
bool
json_given(const JsonNode *object, const char *key)
{
	JsonNode   *node = json_node_member(object, key);

	if (node == NULL)
		return false;
	if (node->kind == JSON_KIND_BOOL)
		return strcmp(node->text, "true") == 0;
	return node->kind != JSON_KIND_STRING || *node->text != '\0';
}

/* Checks that all elements or members are strings, and elements not empty. */
static void
check_strings(const JsonNode *node, bool are_names)
{
	ListCell   *lc;

	foreach(lc, node->children)
	{
		JsonNode   *child = lfirst(lc);

		if (child->kind != JSON_KIND_STRING)
			json_wrong_type(child, "a string");
		if (node->kind == JSON_KIND_ARRAY && *child->text == '\0')
			json_must_not_be_empty(child);
		if (are_names)
			json_check_name(child, child->text);
	}
}

/* Returns words as a list to read. */
static char *
list_words(const char *const *words)
{
	StringInfoData list;

	initStringInfo(&list);
	for (const char *const *word = words; *word != NULL; word++)
		appendStringInfo(&list, "%s%s", word == words ? "" : ", ", *word);
	return list.data;
}

/* Checks that a string is one of the words. */
static void
check_choice(const JsonNode *node, const char *const *words)
{
	if (*node->text == '\0')
		return;
	for (const char *const *word = words; *word != NULL; word++)
	{
		if (pg_strcasecmp(node->text, *word) == 0)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s cannot be \"%s\"", json_node_path(node), node->text),
			 errhint("It is one of %s.", list_words(words))));
}

/* Checks a string against its field. */
static void
check_string(const JsonNode *node, const Field *field)
{
	if (node->kind == JSON_KIND_NULL && field->type == VALUE_STRING_OR_NULL)
		return;
	if (node->kind != JSON_KIND_STRING)
		json_wrong_type(node, field->type == VALUE_STRING_OR_NULL ? "a string or null" : "a string");
	if (field->type == VALUE_NAME)
		json_check_name(node, node->text);
	if (field->type == VALUE_CHOICE)
		check_choice(node, field->words);
}

/* Checks the columns of an index: each is a name or an object, or the key of an object. */
static void
check_index_columns(const JsonNode *node, const Field *members)
{
	ListCell   *lc;

	if (node->kind != JSON_KIND_ARRAY && node->kind != JSON_KIND_OBJECT)
		json_wrong_type(node, "an array");
	foreach(lc, node->children)
	{
		JsonNode   *child = lfirst(lc);

		if (child->kind == JSON_KIND_OBJECT)
			json_check_object(child, members);
		else if (node->kind == JSON_KIND_OBJECT)
			json_wrong_type(child, "an object");
		else if (child->kind != JSON_KIND_STRING)
			json_wrong_type(child, "an object or a string");
		else if (*child->text == '\0')
			json_must_not_be_empty(child);
		else
			json_check_name(child, child->text);
		if (child->key != NULL)
			json_check_name(child, child->key);
	}
}

/* Checks a value against its field. */
static void
check_value(const JsonNode *node, const Field *field)
{
	ListCell   *lc;

	switch (field->type)
	{
		case VALUE_STRING_OR_NULL:
		case VALUE_STRING:
		case VALUE_NAME:
		case VALUE_CHOICE:
			check_string(node, field);
			break;
		case VALUE_BOOL:
			if (node->kind != JSON_KIND_BOOL)
				json_wrong_type(node, "true or false");
			break;
		case VALUE_OBJECT:
		case VALUE_EXPRESSIONS:
			if (node->kind != JSON_KIND_OBJECT)
				json_wrong_type(node, "an object");
			if (field->type == VALUE_EXPRESSIONS)
				check_strings(node, false);
			else if (field->members != NULL)
				json_check_object(node, field->members);
			break;
		case VALUE_ARRAY:
		case VALUE_NAMES:
		case VALUE_STRINGS:
			if (node->kind != JSON_KIND_ARRAY)
				json_wrong_type(node, "an array");
			if (field->type != VALUE_ARRAY)
				check_strings(node, field->type == VALUE_NAMES);
			else if (field->members != NULL)
			{
				foreach(lc, node->children)
					check_value(lfirst(lc), &(Field) {.type = VALUE_OBJECT,.members = field->members});
			}
			break;
		case VALUE_INDEX_COLUMNS:
			check_index_columns(node, field->members);
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
void
json_check_object(const JsonNode *object, const Field *fields)
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
	}
	for (field = fields; field->key != NULL; field++)
	{
		JsonNode   *node = json_node_member(object, field->key);

		if (!field->required)
			continue;
		if (node == NULL)
			json_missing_key(object, field->key, NULL);
		if (node->kind == JSON_KIND_STRING && *node->text == '\0')
			json_must_not_be_empty(node);
	}
}
