/*
 * json_node.c
 *		A JSON document as a tree whose nodes know their path.
 *
 * The server's own JSON parser reads the text and calls back; jsonb is not used because it keeps the last of two equal keys silently and
 * reorders the others.
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "miscadmin.h"

#include "base/compat.h"
#include "compile/json_node.h"

/* What the parser's callbacks share */
typedef struct Builder
{
	JsonLexContext *lex;
	const char *root_path;
	JsonNode   *root;
	JsonNode   *open;			/* the innermost object or array not yet closed */
	const char *key;			/* of the member about to come */
} Builder;

/* Adds a node where the parser stands. */
static JsonNode *
add_node(Builder *builder, JsonKind kind)
{
	JsonNode   *node = palloc0(sizeof(JsonNode));

	node->kind = kind;
	node->parent = builder->open;
	node->root_path = builder->root_path;
	if (builder->open == NULL)
		builder->root = node;
	else
	{
		if (builder->open->kind == JSON_KIND_OBJECT)
			node->key = builder->key;
		node->index = list_length(builder->open->children);
		builder->open->children = lappend(builder->open->children, node);
	}
	return node;
}

/* Opens an object or an array; `text` remembers for now where it starts. */
static void
open_node(Builder *builder, JsonKind kind)
{
	JsonNode   *node = add_node(builder, kind);

	node->text = builder->lex->token_start;
	builder->open = node;
}

/* Closes the innermost object or array and takes its text. */
static void
close_node(Builder *builder)
{
	JsonNode   *node = builder->open;

	node->text = pnstrdup(node->text, builder->lex->prev_token_terminator - node->text);
	builder->open = node->parent;
}

/* Callback: an object starts. */
static MigJsonResult
on_object_start(void *state)
{
	open_node(state, JSON_KIND_OBJECT);
	return MIG_JSON_OK;
}

/* Callback: an array starts. */
static MigJsonResult
on_array_start(void *state)
{
	open_node(state, JSON_KIND_ARRAY);
	return MIG_JSON_OK;
}

/* Callback: an object or an array ends. */
static MigJsonResult
on_close(void *state)
{
	close_node(state);
	return MIG_JSON_OK;
}

/* Callback: a member of the open object follows. Refuses a key that the object has already. */
static MigJsonResult
on_field(void *state, char *key, bool isnull)
{
	Builder    *builder = state;

	CHECK_FOR_INTERRUPTS();
	if (json_node_member(builder->open, key) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("duplicate key \"%s\"%s", key, json_node_place(builder->open))));
	builder->key = key;
	return MIG_JSON_OK;
}

/* Callback: a scalar. */
static MigJsonResult
on_scalar(void *state, char *token, JsonTokenType type)
{
	JsonKind	kind;

	switch (type)
	{
		case JSON_TOKEN_STRING:
			kind = JSON_KIND_STRING;
			break;
		case JSON_TOKEN_NUMBER:
			kind = JSON_KIND_NUMBER;
			break;
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
			kind = JSON_KIND_BOOL;
			break;
		default:
			kind = JSON_KIND_NULL;
			break;
	}
	add_node(state, kind)->text = token;
	return MIG_JSON_OK;
}

/* Parses a document. */
JsonNode *
json_node_parse(const char *text, const char *what, const char *root_path)
{
	JsonLexContext *lex = mig_json_lexer(text, strlen(text));
	Builder		builder = {.lex = lex,.root_path = root_path};
	JsonSemAction actions = {0};
	JsonParseErrorType result;

	actions.semstate = &builder;
	actions.object_start = on_object_start;
	actions.object_end = on_close;
	actions.array_start = on_array_start;
	actions.array_end = on_close;
	actions.object_field_start = on_field;
	actions.scalar = on_scalar;

	result = pg_parse_json(lex, &actions);
	if (result != JSON_SUCCESS)
	{
		const char *path = builder.open == NULL ? "" : json_node_path(builder.open);

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("malformed %s", what),
				 errdetail("Line %d: %s", lex->line_number, json_errdetail(result, lex)),
				 *path == '\0' ? 0 : errhint("The error lies within %s.", path)));
	}
	return builder.root;
}

/* Can a key stand in a path without quotes? */
static bool
plain_key(const char *key)
{
	return *key != '\0' && key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$")] == '\0';
}

/* Returns a node's path from the root. */
char *
json_node_path(const JsonNode *node)
{
	List	   *chain = NIL;
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	for (; node->parent != NULL; node = node->parent)
		chain = lcons(unconstify(JsonNode *, node), chain);
	appendStringInfoString(&path, node->root_path);
	foreach(lc, chain)
	{
		const JsonNode *step = lfirst(lc);

		if (step->key == NULL)
			appendStringInfo(&path, "[%d]", step->index);
		else if (!plain_key(step->key))
			appendStringInfo(&path, "[\"%s\"]", step->key);
		else
			appendStringInfo(&path, "%s%s", path.len > 0 ? "." : "", step->key);
	}
	return path.data;
}

/* Returns what ends a message about a node. */
char *
json_node_place(const JsonNode *node)
{
	char	   *path = json_node_path(node);

	return *path ? psprintf(" at %s", path) : pstrdup(" at the top level");
}

/* Returns an object's member, or NULL. */
JsonNode *
json_node_member(const JsonNode *object, const char *key)
{
	ListCell   *lc;

	foreach(lc, object->children)
	{
		JsonNode   *node = lfirst(lc);

		if (node->key != NULL && strcmp(node->key, key) == 0)
			return node;
	}
	return NULL;
}

/* Returns a string member's text; NULL when it is absent, null or empty. */
const char *
json_node_string(const JsonNode *object, const char *key)
{
	JsonNode   *node = json_node_member(object, key);

	if (node == NULL || node->kind != JSON_KIND_STRING || *node->text == '\0')
		return NULL;
	return node->text;
}

/* Returns a boolean member's value. */
bool
json_node_bool(const JsonNode *object, const char *key, bool missing)
{
	JsonNode   *node = json_node_member(object, key);

	if (node == NULL || node->kind != JSON_KIND_BOOL)
		return missing;
	return strcmp(node->text, "true") == 0;
}

/* Names a kind of value, for messages. */
const char *
json_kind_name(JsonKind kind)
{
	switch (kind)
	{
		case JSON_KIND_NULL:
			return "null";
		case JSON_KIND_BOOL:
			return "true or false";
		case JSON_KIND_NUMBER:
			return "a number";
		case JSON_KIND_STRING:
			return "a string";
		case JSON_KIND_ARRAY:
			return "an array";
		case JSON_KIND_OBJECT:
			return "an object";
	}
	return "a value";
}
