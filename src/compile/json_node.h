/*
 * json_node.h
 *		A JSON document as a tree whose nodes know their path, for reading manifests and options strictly.
 */
#ifndef MIG_JSON_NODE_H
#define MIG_JSON_NODE_H

#include "postgres.h"
#include "nodes/pg_list.h"

typedef enum JsonKind
{
	JSON_KIND_NULL,
	JSON_KIND_BOOL,
	JSON_KIND_NUMBER,
	JSON_KIND_STRING,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT
} JsonKind;

typedef struct JsonNode
{
	JsonKind	kind;
	struct JsonNode *parent;	/* NULL for the root */
	const char *root_path;		/* what the root itself is called; "" for a manifest */
	const char *key;			/* its key in an object, else NULL */
	int			index;			/* its place in an array */
	const char *text;			/* a scalar's value, unescaped; the JSON text of an object or array */
	List	   *children;		/* JsonNode *, of an object or array, in order */
} JsonNode;

/* Parse a document. 22023 if it is malformed or an object has a key twice; `what` names it in the message ("manifest"). */
extern JsonNode *json_node_parse(const char *text, const char *what, const char *root_path);

/* The path from the root, e.g. operations[0].add_column; "" for the root of a manifest */
extern char *json_node_path(const JsonNode *node);

/* " at <path>", or " at the top level", to end a message with */
extern char *json_node_place(const JsonNode *node);

/* An object's member, or NULL */
extern JsonNode *json_node_member(const JsonNode *object, const char *key);

/* A string member's text; NULL when it is absent, null or empty */
extern const char *json_node_string(const JsonNode *object, const char *key);

/* A boolean member's value */
extern bool json_node_bool(const JsonNode *object, const char *key, bool missing);

/* "a string", "an array", … for messages */
extern const char *json_kind_name(JsonKind kind);

#endif
