/*
 * definition_json_text.c
 *		From a manifest's objects to SQL: the parts of CREATE TABLE, CREATE INDEX and ADD CONSTRAINT.
 *
 * So structures have one reader, that of parse trees, whatever the definition is written in. A text of the user is first parsed by itself, or its parentheses are
 * counted, so that it cannot be more than its part.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "parser/parser.h"
#include "utils/builtins.h"

#include "compile/definition_json.h"
#include "compile/tokens.h"

/* A type of constraint, and the keys it needs and may have */
typedef struct ConstraintType
{
	const char *type;
	const char *needs;
	const char *takes[6];
} ConstraintType;

static const ConstraintType constraint_kinds[] = {
	{"check", "check", {"columns", "no_inherit"}},
	{"unique", "columns", {"deferrable", "initially_deferred", "nulls_not_distinct", "index_parameters"}},
	{"primary_key", "columns", {"deferrable", "initially_deferred", "index_parameters"}},
	{"foreign_key", "columns", {"references", "deferrable", "initially_deferred"}},
	{"exclude", "exclude", {"deferrable", "initially_deferred", "index_parameters"}}
};

/* Keys that say what a constraint is, beside those that all types have */
static const char *const constraint_keys[] = {
	"columns", "check", "no_inherit", "references", "deferrable", "initially_deferred", "nulls_not_distinct", "index_parameters", "exclude"
};

/* ---- the user's texts ---- */

/* Parses a string member as an expression; NULL when it is not given. */
RawExpr *
json_expression(const JsonNode *object, const char *key)
{
	const char *text = json_node_string(object, key);

	return text == NULL ? NULL : raw_expr(text, json_node_path(json_node_member(object, key)));
}

/* Parses a string member as a type's name. */
TypeName *
json_type_name(const JsonNode *object, const char *key)
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

/* Returns a text that other SQL can follow: it may end in a comment. */
const char *
json_sql_part(const char *text)
{
	return strstr(text, "--") == NULL ? text : psprintf("%s\n", text);
}

/* Returns an expression's text, parsed, in parentheses. */
static char *
expression_text(const JsonNode *object, const char *key)
{
	return psprintf("(%s)", json_sql_part(json_expression(object, key)->source));
}

/* Raises the error for a text that would end the parentheses it is put into. */
static void
not_one_list(const char *text, int location)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("a list is expected, in which all parentheses are paired"),
			 source_position(text, location)));
}

/* Returns a text that is a list of something, its parentheses checked, in parentheses. */
static char *
list_text(const JsonNode *node)
{
	const char *text = node->text;
	SourceContext context;
	Token	   *tokens;
	int			n;
	int			depth = 0;

	source_begin(&context, text, json_node_path(node));
	tokens = scan_tokens(text, &n);
	for (int i = 0; i < n; i++)
	{
		if (tokens[i].symbol == '(')
			depth++;
		if ((tokens[i].symbol == ')' && --depth < 0) || tokens[i].symbol == ';')
			not_one_list(text, tokens[i].at);
	}
	if (depth != 0)
		not_one_list(text, -1);
	source_end(&context);
	return psprintf("(%s)", json_sql_part(text));
}

/* Returns a text that names something, perhaps with its schema. The grammar of a type's name is that of other names, too. */
static const char *
qualified_name_text(const JsonNode *object, const char *key)
{
	TypeName   *name = json_type_name(object, key);

	if (name->typmods != NIL || name->arrayBounds != NIL || name->pct_type)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s must be a name", json_node_path(json_node_member(object, key)))));
	return json_sql_part(json_node_string(object, key));
}

/* Returns names, quoted, in parentheses. */
static char *
names_text(const JsonNode *names)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, names->children)
		appendStringInfo(&list, "%s%s", list.len == 0 ? "(" : ", ", quote_identifier(((JsonNode *) lfirst(lc))->text));
	appendStringInfoChar(&list, ')');
	return list.data;
}

/* Returns a member that is a list of names, NULL when there are none. */
static const JsonNode *
names_member(const JsonNode *object, const char *key)
{
	const JsonNode *names = json_node_member(object, key);

	return names != NULL && names->children != NIL ? names : NULL;
}

/* Parses a text that is exactly one statement. */
Node *
json_parse_statement(const char *sql, const char *path)
{
	SourceContext context;
	List	   *statements;

	source_begin(&context, sql, path);
	statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	source_end(&context);
	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s makes more than one statement", path)));
	return linitial_node(RawStmt, statements)->stmt;
}

/* ---- columns ---- */

/* Appends how a column's value is generated. */
static void
append_generated(StringInfo sql, const JsonNode *generated)
{
	const JsonNode *identity = json_node_member(generated, "identity");
	const char *kind;

	if ((identity == NULL) == !json_given(generated, "expression"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have either \"expression\" or \"identity\"", json_node_path(generated))));
	if (identity == NULL)
	{
		appendStringInfo(sql, " GENERATED ALWAYS AS %s STORED", expression_text(generated, "expression"));
		return;
	}
	kind = json_node_string(identity, "user_specified_values");
	appendStringInfo(sql, " GENERATED %s AS IDENTITY", kind != NULL ? kind : "ALWAYS");
	if (json_given(identity, "sequence_options"))
		appendStringInfo(sql, " %s", list_text(json_node_member(identity, "sequence_options")));
}

/* Returns a column's name, type, NOT NULL, default and generation. */
char *
json_column_text(const JsonNode *column)
{
	StringInfoData sql;

	initStringInfo(&sql);
	(void) json_type_name(column, "type");
	appendStringInfo(&sql, "%s %s", quote_identifier(json_node_string(column, "name")), json_sql_part(json_node_string(column, "type")));
	if (!json_node_bool(column, "nullable", false))
		appendStringInfoString(&sql, " NOT NULL");
	if (json_given(column, "default"))
		appendStringInfo(&sql, " DEFAULT %s", expression_text(column, "default"));
	if (json_given(column, "generated"))
		append_generated(&sql, json_node_member(column, "generated"));
	return sql.data;
}

/* ---- constraints ---- */

/* Appends when a constraint is checked. INITIALLY DEFERRED says that it is deferrable. */
static void
append_deferrable(StringInfo sql, const JsonNode *constraint)
{
	bool		deferred = json_given(constraint, "initially_deferred");

	if (deferred && !json_node_bool(constraint, "deferrable", true))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s contradicts \"deferrable\"", json_node_path(json_node_member(constraint, "initially_deferred"))),
				 errdetail("Only a deferrable constraint can be deferred.")));
	if (deferred || json_given(constraint, "deferrable"))
		appendStringInfo(sql, " DEFERRABLE INITIALLY %s", deferred ? "DEFERRED" : "IMMEDIATE");
}

/* Appends the columns that ON DELETE sets; only SET NULL and SET DEFAULT set any. */
static void
append_set_columns(StringInfo sql, const JsonNode *references)
{
	const JsonNode *columns = names_member(references, "on_delete_set_columns");
	const char *action = json_node_string(references, "on_delete");

	if (columns == NULL)
		return;
	if (action == NULL || pg_strncasecmp(action, "set ", 4) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s needs \"on_delete\" to be SET NULL or SET DEFAULT", json_node_path(columns))));
	appendStringInfo(sql, " %s", names_text(columns));
}

/* Returns what a foreign key refers to: from a column's object, which has "column", or a table constraint's, which may have "columns". */
char *
json_references_text(const JsonNode *references)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "REFERENCES %s", quote_identifier(json_node_string(references, "table")));
	if (json_given(references, "column"))
		appendStringInfo(&sql, " (%s)", quote_identifier(json_node_string(references, "column")));
	if (names_member(references, "columns") != NULL)
		appendStringInfo(&sql, " %s", names_text(json_node_member(references, "columns")));
	if (json_given(references, "match_type"))
		appendStringInfo(&sql, " MATCH %s", json_node_string(references, "match_type"));
	if (json_given(references, "on_delete"))
		appendStringInfo(&sql, " ON DELETE %s", json_node_string(references, "on_delete"));
	append_set_columns(&sql, references);
	if (json_given(references, "on_update"))
		appendStringInfo(&sql, " ON UPDATE %s", json_node_string(references, "on_update"));
	append_deferrable(&sql, references);
	return sql.data;
}

/* Appends the parameters of the index that enforces a constraint. */
static void
append_index_parameters(StringInfo sql, const JsonNode *parameters)
{
	if (parameters == NULL)
		return;
	if (names_member(parameters, "include_columns") != NULL)
		appendStringInfo(sql, " INCLUDE %s", names_text(json_node_member(parameters, "include_columns")));
	if (json_given(parameters, "storage_parameters"))
		appendStringInfo(sql, " WITH %s", list_text(json_node_member(parameters, "storage_parameters")));
	if (json_given(parameters, "tablespace"))
		appendStringInfo(sql, " USING INDEX TABLESPACE %s", quote_identifier(json_node_string(parameters, "tablespace")));
}

/* Finds a constraint's type, and checks that it has the keys it needs and none that would mean nothing. */
static const ConstraintType *
check_constraint_keys(const JsonNode *constraint)
{
	const ConstraintType *kind = constraint_kinds;
	const JsonNode *needed;

	while (pg_strcasecmp(kind->type, json_node_string(constraint, "type")) != 0)
		kind++;
	needed = json_node_member(constraint, kind->needs);
	if (!json_given(constraint, kind->needs) || (needed->kind == JSON_KIND_ARRAY && needed->children == NIL))
		json_missing_key(constraint, kind->needs, psprintf("A constraint of type %s needs it.", kind->type));
	for (int i = 0; i < lengthof(constraint_keys); i++)
	{
		bool		taken = strcmp(constraint_keys[i], kind->needs) == 0;

		for (int j = 0; j < lengthof(kind->takes) && kind->takes[j] != NULL; j++)
			taken |= strcmp(constraint_keys[i], kind->takes[j]) == 0;
		if (!taken && json_given(constraint, constraint_keys[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s does not go with a constraint of type %s", json_node_path(json_node_member(constraint, constraint_keys[i])), kind->type),
					 errhint("Leave it out.")));
	}
	return kind;
}

/* Appends an exclusion constraint. */
static void
append_exclude(StringInfo sql, const JsonNode *constraint)
{
	const JsonNode *exclude = json_node_member(constraint, "exclude");

	appendStringInfoString(sql, "EXCLUDE");
	if (json_given(exclude, "index_method"))
		appendStringInfo(sql, " USING %s", quote_identifier(json_node_string(exclude, "index_method")));
	appendStringInfo(sql, " %s", list_text(json_node_member(exclude, "elements")));
	append_index_parameters(sql, json_node_member(constraint, "index_parameters"));
	if (json_given(exclude, "predicate"))
		appendStringInfo(sql, " WHERE %s", expression_text(exclude, "predicate"));
}

/* Returns a table's constraint. */
char *
json_constraint_text(const JsonNode *constraint)
{
	const char *type = check_constraint_keys(constraint)->type;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CONSTRAINT %s ", quote_identifier(json_node_string(constraint, "name")));
	if (strcmp(type, "check") == 0)
		appendStringInfo(&sql, "CHECK %s%s", expression_text(constraint, "check"), json_given(constraint, "no_inherit") ? " NO INHERIT" : "");
	else if (strcmp(type, "exclude") == 0)
		append_exclude(&sql, constraint);
	else if (strcmp(type, "foreign_key") == 0)
	{
		if (!json_given(constraint, "references"))
			json_missing_key(constraint, "references", "A foreign key needs it.");
		appendStringInfo(&sql, "FOREIGN KEY %s %s", names_text(json_node_member(constraint, "columns")),
						 json_references_text(json_node_member(constraint, "references")));
	}
	else
	{
		appendStringInfo(&sql, "%s%s %s", strcmp(type, "unique") == 0 ? "UNIQUE" : "PRIMARY KEY",
						 json_given(constraint, "nulls_not_distinct") ? " NULLS NOT DISTINCT" : "", names_text(json_node_member(constraint, "columns")));
		append_index_parameters(&sql, json_node_member(constraint, "index_parameters"));
	}
	append_deferrable(&sql, constraint);
	return sql.data;
}

/* ---- tables and indexes ---- */

/* Appends a column of a new table with the constraints that stand at it. */
static void
append_column(StringInfo sql, const JsonNode *column)
{
	const JsonNode *check = json_node_member(column, "check");
	const JsonNode *references = json_node_member(column, "references");

	appendStringInfoString(sql, json_column_text(column));
	if (json_given(column, "unique"))
		appendStringInfoString(sql, " UNIQUE");
	if (check != NULL)
		appendStringInfo(sql, " CONSTRAINT %s CHECK %s%s", quote_identifier(json_node_string(check, "name")), expression_text(check, "constraint"),
						 json_given(check, "no_inherit") ? " NO INHERIT" : "");
	if (references != NULL)
		appendStringInfo(sql, " CONSTRAINT %s %s", quote_identifier(json_node_string(references, "name")), json_references_text(references));
}

/* Returns CREATE TABLE. */
char *
json_create_table_text(const JsonNode *node)
{
	const JsonNode *columns = json_node_member(node, "columns");
	const JsonNode *constraints = json_node_member(node, "constraints");
	StringInfoData sql;
	StringInfoData key;
	const char *separator = "\n\t";
	ListCell   *lc;

	initStringInfo(&sql);
	initStringInfo(&key);
	appendStringInfo(&sql, "CREATE TABLE %s (", quote_identifier(json_node_string(node, "name")));
	foreach(lc, columns->children)
	{
		const JsonNode *column = lfirst(lc);

		appendStringInfoString(&sql, separator);
		separator = ",\n\t";
		append_column(&sql, column);
		if (json_given(column, "pk"))
			appendStringInfo(&key, "%s%s", key.len == 0 ? "" : ", ", quote_identifier(json_node_string(column, "name")));
	}
	if (key.len > 0)
		appendStringInfo(&sql, ",\n\tPRIMARY KEY (%s)", key.data);
	if (constraints != NULL)
	{
		foreach(lc, constraints->children)
		{
			appendStringInfo(&sql, "%s%s", separator, json_constraint_text(lfirst(lc)));
			separator = ",\n\t";
		}
	}
	appendStringInfoString(&sql, "\n)");
	return sql.data;
}

/* Appends an operator class. Its parameters may have been given with their parentheses. */
static void
append_opclass(StringInfo sql, const JsonNode *opclass)
{
	const JsonNode *params = names_member(opclass, "params");
	JsonNode	list;
	StringInfoData joined;
	ListCell   *lc;

	appendStringInfo(sql, " %s", qualified_name_text(opclass, "name"));
	if (params == NULL)
		return;
	initStringInfo(&joined);
	foreach(lc, params->children)
		appendStringInfo(&joined, "%s%s", joined.len == 0 ? "" : ", ", ((JsonNode *) lfirst(lc))->text);
	list = *params;
	list.text = joined.data;
	appendStringInfoString(sql, joined.data[source_skip(joined.data, 0)] == '(' ? (list_text(&list), joined.data) : list_text(&list));
}

/* Appends a column or an expression of an index. */
static void
append_index_column(StringInfo sql, const JsonNode *column)
{
	const char *name = column->key != NULL ? column->key : json_node_string(column, "column");

	if (column->kind == JSON_KIND_STRING)
	{
		appendStringInfoString(sql, quote_identifier(column->text));
		return;
	}
	if ((name != NULL) == json_given(column, "expression"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have either \"column\" or \"expression\"", json_node_path(column))));
	appendStringInfoString(sql, name != NULL ? quote_identifier(name) : expression_text(column, "expression"));
	if (json_given(column, "collate"))
		appendStringInfo(sql, " COLLATE %s", qualified_name_text(column, "collate"));
	if (json_given(column, "opclass"))
		append_opclass(sql, json_node_member(column, "opclass"));
	if (json_given(column, "sort"))
		appendStringInfo(sql, " %s", json_node_string(column, "sort"));
	if (json_given(column, "nulls"))
		appendStringInfo(sql, " NULLS %s", json_node_string(column, "nulls"));
}

/* Returns CREATE INDEX. */
char *
json_create_index_text(const JsonNode *node)
{
	const JsonNode *columns = json_node_member(node, "columns");
	StringInfoData sql;
	ListCell   *lc;

	if (columns->children == NIL)
		json_must_not_be_empty(columns);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE %sINDEX %s ON %s", json_given(node, "unique") ? "UNIQUE " : "",
					 quote_identifier(json_node_string(node, "name")), quote_identifier(json_node_string(node, "table")));
	if (json_given(node, "method"))
		appendStringInfo(&sql, " USING %s", quote_identifier(json_node_string(node, "method")));
	foreach(lc, columns->children)
	{
		appendStringInfoString(&sql, lc == list_head(columns->children) ? " (" : ", ");
		append_index_column(&sql, lfirst(lc));
	}
	appendStringInfoChar(&sql, ')');
	if (names_member(node, "include") != NULL)
		appendStringInfo(&sql, " INCLUDE %s", names_text(json_node_member(node, "include")));
	if (json_given(node, "nulls_not_distinct"))
		appendStringInfoString(&sql, " NULLS NOT DISTINCT");
	if (json_given(node, "storage_parameters"))
		appendStringInfo(&sql, " WITH %s", list_text(json_node_member(node, "storage_parameters")));
	if (json_given(node, "tablespace"))
		appendStringInfo(&sql, " TABLESPACE %s", quote_identifier(json_node_string(node, "tablespace")));
	if (json_given(node, "predicate"))
		appendStringInfo(&sql, " WHERE %s", expression_text(node, "predicate"));
	return sql.data;
}
