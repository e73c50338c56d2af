/*
 * definition_json.h
 *		What the files of the JSON front end share (definition_json*.c): the format's fields, the texts of statements, the readers of operations.
 */
#ifndef MIG_DEFINITION_JSON_H
#define MIG_DEFINITION_JSON_H

#include "compile/definition.h"

typedef enum ValueType
{
	VALUE_STRING,				/* may be "", which means not given */
	VALUE_STRING_OR_NULL,
	VALUE_NAME,					/* a string of at most 63 bytes */
	VALUE_CHOICE,				/* one of the field's words, in any case; or "" */
	VALUE_BOOL,
	VALUE_OBJECT,				/* as its members say; any object when they are NULL */
	VALUE_ARRAY,				/* of anything; of objects when there are members */
	VALUE_NAMES,				/* an array of names */
	VALUE_STRINGS,				/* an array of strings */
	VALUE_EXPRESSIONS,			/* an object whose values are strings */
	VALUE_INDEX_COLUMNS			/* an array of names or objects, or an object of objects whose keys are names */
} ValueType;

/* A key that an object may have */
typedef struct Field
{
	const char *key;
	ValueType	type;
	bool		required;
	const struct Field *members;
	const char *const *words;	/* of a choice; ends with NULL */
} Field;

/* definition_json_fields.c: the format, and its checks. Readers get objects that have passed them, so they only take values. */
extern const Field manifest_fields[];
extern const Field add_column_fields[];
extern const Field drop_column_fields[];
extern const Field alter_column_fields[];
extern const Field rename_column_fields[];
extern const Field create_table_fields[];
extern const Field drop_table_fields[];
extern const Field rename_table_fields[];
extern const Field create_constraint_fields[];
extern const Field drop_constraint_fields[];
extern const Field drop_multicolumn_constraint_fields[];
extern const Field create_index_fields[];
extern const Field drop_index_fields[];
extern const Field set_replica_identity_fields[];
extern const Field sql_fields[];

extern void json_check_object(const JsonNode *object, const Field *fields);
extern void json_check_name(const JsonNode *node, const char *name);
extern void json_wrong_type(const JsonNode *node, const char *expected) pg_attribute_noreturn();
extern void json_must_not_be_empty(const JsonNode *node) pg_attribute_noreturn();

/* `why` is the detail or NULL */
extern void json_missing_key(const JsonNode *object, const char *key, const char *why) pg_attribute_noreturn();

/* Is a member there, and neither false nor ""? */
extern bool json_given(const JsonNode *object, const char *key);

/* definition_json_text.c: statements and their parts as SQL. Every text of the user is first parsed by itself, so that it cannot be more than its part. */
extern const char *json_sql_part(const char *text); /* other SQL can follow it, even if it ends in a comment */
extern RawExpr *json_expression(const JsonNode *object, const char *key);
extern TypeName *json_type_name(const JsonNode *object, const char *key);
extern char *json_column_text(const JsonNode *column);	/* name, type, NOT NULL, DEFAULT, GENERATED */
extern char *json_references_text(const JsonNode *references);	/* REFERENCES … */
extern char *json_constraint_text(const JsonNode *constraint);	/* of a table: CONSTRAINT … */
extern char *json_create_table_text(const JsonNode *node);
extern char *json_create_index_text(const JsonNode *node);

/* Parse a text that is exactly one statement. */
extern Node *json_parse_statement(const char *sql, const char *path);

/* definition_json.c: operations */
extern Operation *json_add(Definition *definition, OperationKind kind, const JsonNode *node, const char *column);
extern Operation *json_add_comment(Definition *definition, const JsonNode *node, const char *column, const char *comment);

/* Give an operation the data's change; returns whether there is one. An operation on constraints names the column only then. */
extern bool json_set_data(Operation *op, const char *column, RawExpr *up, RawExpr *down);
extern void json_add_change(Definition *definition, const JsonNode *node, const char *column, RawExpr *up, RawExpr *down);

/* definition_json_plain.c: turn the operations from the n-th on that are about tables which the definition created into plain statements. */
extern void json_make_plain(Definition *definition, int n);

/* definition_json_column.c */
extern void json_read_add_column(Definition *definition, const JsonNode *node);
extern void json_read_drop_column(Definition *definition, const JsonNode *node);
extern void json_read_alter_column(Definition *definition, const JsonNode *node);
extern void json_read_rename_column(Definition *definition, const JsonNode *node);

/* definition_json_constraint.c. Two of these are for columns as well: a CHECK from its object, a key or foreign key from its SQL. */
extern Operation *json_add_check(Definition *definition, const JsonNode *node, const JsonNode *check);
extern Operation *json_add_constraint(Definition *definition, OperationKind kind, const JsonNode *node, const char *sql);
extern void json_read_create_constraint(Definition *definition, const JsonNode *node);
extern void json_read_drop_constraint(Definition *definition, const JsonNode *node);
extern void json_read_drop_multicolumn_constraint(Definition *definition, const JsonNode *node);
extern void json_read_rename_constraint(Definition *definition, const JsonNode *node);

/* definition_json_table.c */
extern void json_read_create_table(Definition *definition, const JsonNode *node);
extern void json_read_drop_table(Definition *definition, const JsonNode *node);
extern void json_read_rename_table(Definition *definition, const JsonNode *node);
extern void json_read_create_index(Definition *definition, const JsonNode *node);
extern void json_read_drop_index(Definition *definition, const JsonNode *node);
extern void json_read_set_replica_identity(Definition *definition, const JsonNode *node);
extern void json_read_sql(Definition *definition, const JsonNode *node);

#endif
