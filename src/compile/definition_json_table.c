/*
 * definition_json_table.c
 *		The JSON front end's readers of operations on tables and indexes, and of SQL statements.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "parser/parser.h"

#include "compile/definition_json.h"

/* Reads create_table. Comments are operations of their own, which become plain statements as all that follow on the table. */
void
json_read_create_table(Definition *definition, const JsonNode *node)
{
	Operation  *op = json_add(definition, OP_CREATE_TABLE, node, NULL);
	ListCell   *lc;

	op->table = pstrdup(json_node_string(node, "name"));
	op->sql = json_create_table_text(node);
	(void) castNode(CreateStmt, json_parse_statement(op->sql, op->path));
	definition->created = lappend(definition->created, op->table);
	foreach(lc, json_node_member(node, "columns")->children)
	{
		const JsonNode *column = lfirst(lc);

		if (json_given(column, "comment"))
			json_add_comment(definition, node, json_node_string(column, "name"), json_node_string(column, "comment"))->table = op->table;
	}
	if (json_given(node, "comment"))
		json_add_comment(definition, node, NULL, json_node_string(node, "comment"))->table = op->table;
}

/* Reads drop_table. */
void
json_read_drop_table(Definition *definition, const JsonNode *node)
{
	json_add(definition, OP_DROP_TABLE, node, NULL)->table = pstrdup(json_node_string(node, "name"));
}

/* Reads rename_table. */
void
json_read_rename_table(Definition *definition, const JsonNode *node)
{
	Operation  *op = json_add(definition, OP_RENAME_TABLE, node, NULL);

	op->table = pstrdup(json_node_string(node, "from"));
	op->new_name = pstrdup(json_node_string(node, "to"));
}

/* Reads create_index. */
void
json_read_create_index(Definition *definition, const JsonNode *node)
{
	Operation  *op = json_add(definition, OP_CREATE_INDEX, node, NULL);

	op->sql = json_create_index_text(node);
	op->index = castNode(IndexStmt, json_parse_statement(op->sql, op->path));
	op->name = op->index->idxname;
}

/* Reads drop_index. */
void
json_read_drop_index(Definition *definition, const JsonNode *node)
{
	json_add(definition, OP_DROP_INDEX, node, NULL)->name = pstrdup(json_node_string(node, "name"));
}

/* Reads set_replica_identity. */
void
json_read_set_replica_identity(Definition *definition, const JsonNode *node)
{
	const JsonNode *identity = json_node_member(node, "identity");
	const char *type = json_node_string(identity, "type");
	Operation  *op = json_add(definition, OP_REPLICA_IDENTITY, node, NULL);

	if (pg_strcasecmp(type, "default") == 0)
		op->identity = REPLICA_IDENTITY_DEFAULT;
	else if (pg_strcasecmp(type, "full") == 0)
		op->identity = REPLICA_IDENTITY_FULL;
	else if (pg_strcasecmp(type, "nothing") == 0)
		op->identity = REPLICA_IDENTITY_NOTHING;
	else
		op->identity = REPLICA_IDENTITY_INDEX;

	if (op->identity != REPLICA_IDENTITY_INDEX)
		return;
	if (!json_given(identity, "index"))
		json_missing_key(identity, "index", "The identity is that of an index.");
	op->name = pstrdup(json_node_string(identity, "index"));
}

/* Can a statement only run outside of a transaction block? Others that cannot are found when they are run. */
static bool
needs_no_transaction(const Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_TransactionStmt:
		case T_VacuumStmt:
		case T_AlterSystemStmt:
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
			return true;
		case T_IndexStmt:
			return ((const IndexStmt *) statement)->concurrent;
		case T_DropStmt:
			return ((const DropStmt *) statement)->concurrent;
		default:
			return false;
	}
}

/* Returns a member that is one or more SQL statements; NULL when it is not given. */
static char *
statements(const JsonNode *node, const char *key)
{
	const char *text = json_node_string(node, key);
	const char *path;
	SourceContext context;
	List	   *parsed;
	ListCell   *lc;

	if (text == NULL)
		return NULL;
	path = json_node_path(json_node_member(node, key));
	source_begin(&context, text, path);
	parsed = raw_parser(text, RAW_PARSE_DEFAULT);
	foreach(lc, parsed)
	{
		const RawStmt *raw = lfirst_node(RawStmt, lc);

		if (needs_no_transaction(raw->stmt))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a statement that controls transactions, or cannot run in one, is not supported in a migration"),
					 errhint("Leave it out, or run it by itself. create_index and drop_index do not block writes."),
					 source_position(text, source_skip(text, raw->stmt_location))));
	}
	source_end(&context);
	if (parsed == NIL)
		json_must_not_be_empty(json_node_member(node, key));
	return pstrdup(text);
}

/* Reads sql: by itself it may do anything, so nothing else can be planned beside it; at the end it may stand with others. */
void
json_read_sql(Definition *definition, const JsonNode *node)
{
	bool		at_end = json_node_bool(node, "onComplete", false);
	Operation  *op = json_add(definition, at_end ? OP_AT_END : OP_SQL, node, NULL);

	op->sql = statements(node, "up");
	op->undo = statements(node, "down");
	if (at_end && op->undo != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not allowed with \"onComplete\"", json_node_path(json_node_member(node, "down"))),
				 errdetail("What runs last in mig_complete is never undone.")));
	if (!at_end && list_length(node->parent->parent->children) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be the only operation of its migration", json_node_path(node)),
				 errdetail("Its statements may do anything, so that nothing else can be planned beside them."),
				 errhint("Make migrations of the other operations, or add \"onComplete\": true.")));
}
