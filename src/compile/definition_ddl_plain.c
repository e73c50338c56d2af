/*
 * definition_ddl_plain.c
 *		The DDL front end: statements that change no shape of an existing table.
 *
 * What makes something new, or is about something that this definition has made, is run as it is written, in expand: no client uses it yet. What changes or drops
 * something that old clients use is run in the swap. The text stays the user's own: what must not be in it is blanked out, so that positions stay the same.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "utils/builtins.h"

#include "compile/definition_ddl.h"
#include "compile/tokens.h"

/* ---- the statement's text ---- */

/*
 * Puts spaces in place of a schema's name before the names of tables that the definition has created: the statement finds them by search_path, also while
 * they wait for their names somewhere else.
 */
static void
blank_schema(const Reader *reader, char *text, const char *schema)
{
	int			n;
	Token	   *tokens = scan_tokens(text, &n);

	for (int i = 0; i + 2 < n; i++)
		if (tokens[i].word != NULL && strcmp(tokens[i].word, schema) == 0 && tokens[i + 1].symbol == '.' && tokens[i + 2].word != NULL &&
			name_in(reader->definition->created, tokens[i + 2].word) && (i == 0 || tokens[i - 1].symbol != '.'))
			blank(text, tokens[i].at, tokens[i + 2].at);
}

/* The statement's text. */
static char *
statement_text(const Reader *reader)
{
	char	   *text = pnstrdup(reader->source + reader->start, reader->length);
	int			len = strlen(text);

	if (!standard_conforming_strings && strchr(text, '\\') != NULL)
		ddl_refuse(reader, reader->start, "a statement with a backslash while standard_conforming_strings is off",
				   "SET standard_conforming_strings = on, and write E'...' where a backslash escapes.");
	while (len > 0 && isspace((unsigned char) text[len - 1]))
		text[--len] = '\0';
	return text;
}

/* Appends an operation that is the statement's text; the table is the reader's relation, if it has one. */
static Operation *
add_text(const Reader *reader, OperationKind kind, char *text)
{
	static const RangeVar none = {.type = T_RangeVar,.inh = true};
	Reader		bound = *reader;
	Operation  *op;

	if (bound.relation == NULL)
		bound.relation = &none;
	op = ddl_add(&bound, kind, NULL);
	if (op->schema != NULL)
		blank_schema(reader, text, op->schema);
	op->sql = text;
	return op;
}

/* ---- tables that the definition creates ---- */

/* Has the definition created the table? */
static bool
is_created(const Reader *reader, const RangeVar *relation)
{
	return name_in(reader->definition->created, relation->relname);
}

/* Takes a name from those of the created tables. */
static void
forget_created(const Reader *reader, const char *name)
{
	ListCell   *lc;

	foreach(lc, reader->definition->created)
		if (strcmp(lfirst(lc), name) == 0)
			reader->definition->created = foreach_delete_current(reader->definition->created, lc);
}

/* Refuses what a migration cannot create. */
static void
check_new_relation(const Reader *reader, const RangeVar *relation)
{
	ddl_check_relation(reader);
	if (relation->relpersistence == RELPERSISTENCE_TEMP)
		ddl_refuse(reader, relation->location, "a temporary table", "Only its own session sees it: run the statement by itself.");
}

/* Reads CREATE TABLE. */
static void
read_create_table(Reader *reader, const CreateStmt *statement)
{
	char	   *text = statement_text(reader);
	Operation  *op;

	reader->relation = statement->relation;
	ddl_scan(reader, NULL, 0);
	check_new_relation(reader, statement->relation);
	reader->location = statement->relation->location;
	reader->definition->created = lappend(reader->definition->created, statement->relation->relname);
	if (statement->if_not_exists)
		blank_keywords(text, "if not exists");
	op = add_text(reader, OP_CREATE_TABLE, text);
	op->if_exists = statement->if_not_exists;
}

/* A table as an object's name has it: schema and name, without the object's own name at the end. */
static RangeVar *
object_table(Node *object)
{
	List	   *names = castNode(List, object);
	int			n = list_length(names);

	if (n < 2)
		return NULL;
	return makeRangeVar(n > 2 ? strVal(list_nth(names, n - 3)) : NULL, strVal(list_nth(names, n - 2)), -1);
}

/* The table that a comment is on, or on a part of; NULL if it is on something else. */
static RangeVar *
comment_table(const CommentStmt *statement)
{
	List	   *names;

	switch (statement->objtype)
	{
		case OBJECT_TABLE:
			names = castNode(List, statement->object);
			return makeRangeVar(list_length(names) > 1 ? strVal(list_nth(names, list_length(names) - 2)) : NULL, strVal(llast(names)), -1);
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_POLICY:
		case OBJECT_RULE:
			return object_table(statement->object);
		default:
			return NULL;
	}
}

/* The table of which a part is dropped. */
static RangeVar *
drop_table_of(const DropStmt *statement)
{
	if (statement->removeType == OBJECT_TRIGGER || statement->removeType == OBJECT_POLICY || statement->removeType == OBJECT_RULE)
		return object_table(linitial(statement->objects));
	return NULL;
}

/* The tables that are granted on, if there is only one; NULL otherwise. */
static RangeVar *
grant_table(const GrantStmt *statement)
{
	if (statement->targtype != ACL_TARGET_OBJECT || statement->objtype != OBJECT_TABLE || list_length(statement->objects) != 1)
		return NULL;
	return linitial(statement->objects);
}

/* The table that a statement is about; NULL if it is about something else, or about many. */
static RangeVar *
subject(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			return ((AlterTableStmt *) statement)->objtype == OBJECT_TABLE ? ((AlterTableStmt *) statement)->relation : NULL;
		case T_RenameStmt:
			return ((RenameStmt *) statement)->relation;
		case T_IndexStmt:
			return ((IndexStmt *) statement)->relation;
		case T_CreateTrigStmt:
			return ((CreateTrigStmt *) statement)->relation;
		case T_CreatePolicyStmt:
			return ((CreatePolicyStmt *) statement)->table;
		case T_AlterPolicyStmt:
			return ((AlterPolicyStmt *) statement)->table;
		case T_RuleStmt:
			return ((RuleStmt *) statement)->relation;
		case T_InsertStmt:
			return ((InsertStmt *) statement)->relation;
		case T_CreateStatsStmt:
			return linitial(((CreateStatsStmt *) statement)->relations);
		case T_CommentStmt:
			return comment_table((CommentStmt *) statement);
		case T_DropStmt:
			return drop_table_of((DropStmt *) statement);
		case T_GrantStmt:
			return grant_table((GrantStmt *) statement);
		default:
			return NULL;
	}
}

/* Reads a statement on a table that the definition has created: it stays as it is. */
static void
read_on_created(Reader *reader, RangeVar *relation)
{
	char	   *text = statement_text(reader);
	Operation  *op;

	reader->relation = relation;
	ddl_scan(reader, &reader->location, 1);
	if (IsA(reader->statement, IndexStmt) && ((IndexStmt *) reader->statement)->concurrent)
		blank_keywords(text, "concurrently");
	op = add_text(reader, OP_PLAIN, text);
	if (IsA(reader->statement, RenameStmt) && ((RenameStmt *) reader->statement)->renameType == OBJECT_TABLE)
	{
		op->new_name = ((RenameStmt *) reader->statement)->newname;
		forget_created(reader, relation->relname);
		reader->definition->created = lappend(reader->definition->created, op->new_name);
	}
}

/* ---- DROP ---- */

/* Where the names of DROP TABLE a, b stand: after DROP TABLE IF EXISTS, and after each comma. */
static int
drop_location(const Reader *reader, const DropStmt *statement, int n)
{
	int			count;
	Token	   *tokens = scan_tokens(pnstrdup(reader->source + reader->start, reader->length), &count);
	int			i = statement->missing_ok ? 4 : 2;

	for (; n > 0 && i < count; i++)
		if (tokens[i].symbol == ',')
			n--;
	return i < count ? reader->start + tokens[i].at : reader->start;
}

/* Reads DROP TABLE. */
static void
read_drop_table(Reader *reader, const DropStmt *statement)
{
	int			n = 0;
	ListCell   *lc;

	ddl_scan(reader, NULL, 0);
	ddl_check_behavior(reader, statement->behavior);
	foreach(lc, statement->objects)
	{
		RangeVar   *relation = makeRangeVarFromNameList(lfirst(lc));

		relation->location = drop_location(reader, statement, n++);
		reader->relation = relation;
		reader->location = relation->location;
		ddl_check_relation(reader);
		ddl_add(reader, OP_DROP_TABLE, NULL)->if_exists = statement->missing_ok;
		forget_created(reader, relation->relname);
	}
}

/* ---- what is run in the swap ---- */

/* Appends an operation on an existing table: its name is cut out of the text, since it may be another one in the end. */
static Operation *
add_on_table(const Reader *reader, int location)
{
	char	   *text = statement_text(reader);
	int			n;
	Token	   *tokens = scan_tokens(text, &n);
	int			i = 0;
	Operation  *op;

	while (i < n && tokens[i].at != location - reader->start)
		i++;
	if (i == n)
		elog(ERROR, "the name of the table is not found in its statement");
	op = ddl_add(reader, OP_AT_END, NULL);
	op->sql = pnstrdup(text, tokens[i].at);
	while (i + 2 < n && tokens[i + 1].symbol == '.')
		i += 2;
	op->tail = i + 1 < n ? psprintf(" %s", text + tokens[i + 1].at) : "";
	return op;
}

/* Where the table's name stands, in a statement whose parse tree does not tell: after the last ON. */
static int
location_after_on(const Reader *reader)
{
	char	   *text = pnstrdup(reader->source + reader->start, reader->length);
	int			n;
	Token	   *tokens = scan_tokens(text, &n);
	int			found = 0;

	for (int i = 0; i + 1 < n; i++)
		if (token_is(&tokens[i], text, "on"))
			found = tokens[i + 1].at;
	return reader->start + found;
}

/* Reads a statement on a part of an existing table (trigger, policy, statistics, constraint): it is run in the swap. */
static void
read_on_existing(Reader *reader, RangeVar *relation)
{
	reader->relation = relation;
	ddl_scan(reader, NULL, 0);
	reader->location = relation->location >= 0 ? relation->location : location_after_on(reader);
	ddl_check_relation(reader);
	(void) add_on_table(reader, reader->location);
}

/* Reads a sub-command of ALTER TABLE that changes nothing a client sees: it is run in the swap. */
void
ddl_read_at_end(const Reader *reader, const char *column)
{
	Reader		bound = *reader;
	char	   *text = pnstrdup(reader->source + reader->location, reader->start + reader->length - reader->location);
	int			n;
	Token	   *tokens = scan_tokens(text, &n);
	Operation  *op = ddl_add(reader, OP_AT_END, column);
	int			from = 0;
	int			to = 0;
	int			depth = 0;

	bound.start = reader->location;
	bound.length = strlen(text);
	text = statement_text(&bound);
	for (; to < n && !(depth == 0 && tokens[to].symbol == ','); to++)
		depth += tokens[to].symbol == '(' ? 1 : tokens[to].symbol == ')' ? -1 : 0;
	if (column != NULL)			/* ALTER [COLUMN] name … */
		from = token_is(&tokens[1], text, "column") ? 3 : 2;
	if (to < n)
		text[tokens[to].at] = '\0';
	op->sql = "ALTER TABLE ";
	op->tail = psprintf(" %s", text + tokens[from].at);
}

/* ---- other objects ---- */

/* A kind of object as DROP names it */
typedef struct Kind
{
	ObjectType	type;
	const char *words;
} Kind;

/* What can be made, changed and dropped; others are refused */
static const Kind kinds[] = {
	{OBJECT_TYPE, "TYPE"},
	{OBJECT_DOMAIN, "DOMAIN"},
	{OBJECT_SEQUENCE, "SEQUENCE"},
	{OBJECT_FUNCTION, "FUNCTION"},
	{OBJECT_PROCEDURE, "PROCEDURE"},
	{OBJECT_ROUTINE, "ROUTINE"},
	{OBJECT_AGGREGATE, "AGGREGATE"},
	{OBJECT_COLLATION, "COLLATION"},
	{OBJECT_VIEW, "VIEW"},
	{OBJECT_MATVIEW, "MATERIALIZED VIEW"},
	{OBJECT_STATISTIC_EXT, "STATISTICS"},
	{OBJECT_INDEX, "INDEX"},
	{OBJECT_ATTRIBUTE, "TYPE"},
	{OBJECT_DOMCONSTRAINT, "DOMAIN"}
};

/* The words for a kind of object, NULL if it is none of those above. */
static const char *
kind_words(ObjectType type)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (kinds[i].type == type)
			return kinds[i].words;
	return NULL;
}

/* Something other than a table that the definition has made */
typedef struct MadeObject
{
	const char *name;
	Operation  *op;				/* that makes it */
} MadeObject;

/* What the definition has made under a name, NULL if nothing. */
static MadeObject *
made_object(const Reader *reader, const char *name)
{
	ListCell   *lc;

	foreach(lc, reader->definition->made)
		if (name != NULL && strcmp(((MadeObject *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	return NULL;
}

/* An object's own name, without schema and arguments; NULL if it cannot be told. */
static const char *
object_name(Node *object)
{
	if (object == NULL)
		return NULL;
	switch (nodeTag(object))
	{
		case T_List:
			return IsA(llast((List *) object), String) ? strVal(llast((List *) object)) : NULL;
		case T_String:
			return strVal(object);
		case T_TypeName:
			return strVal(llast(((TypeName *) object)->names));
		case T_ObjectWithArgs:
			return strVal(llast(((ObjectWithArgs *) object)->objname));
		case T_RangeVar:
			return ((RangeVar *) object)->relname;
		default:
			return NULL;
	}
}

/* Appends an operation that is the statement's text, on no table. */
static Operation *
add_plain(const Reader *reader, OperationKind kind)
{
	ddl_scan(reader, NULL, 0);
	return add_text(reader, kind, statement_text(reader));
}

/* A name, maybe with its schema, as SQL. */
static char *
names_sql(List *names)
{
	char	   *last = strVal(llast(names));

	return list_length(names) > 1 ? quote_qualified_identifier(strVal(list_nth(names, list_length(names) - 2)), last) : pstrdup(quote_identifier(last));
}

/* Reads the making of something, with its undo. */
static void
read_make(const Reader *reader, const char *words, List *names, const char *arguments)
{
	Operation  *op = add_plain(reader, OP_PLAIN);
	MadeObject *made = palloc(sizeof(MadeObject));

	op->schema = list_length(names) > 1 ? strVal(list_nth(names, list_length(names) - 2)) : NULL;
	op->name = strVal(llast(names));
	op->undo = psprintf("DROP %s %s%s", words, names_sql(names), arguments);
	made->name = op->name;
	made->op = op;
	reader->definition->made = lappend(reader->definition->made, made);
}

/* Names of a relation. */
static List *
relation_names(const RangeVar *relation)
{
	List	   *names = list_make1(makeString(relation->relname));

	return relation->schemaname != NULL ? lcons(makeString(relation->schemaname), names) : names;
}

/* Reads CREATE SEQUENCE. */
static void
read_create_sequence(Reader *reader, const CreateSeqStmt *statement)
{
	reader->relation = statement->sequence;
	check_new_relation(reader, statement->sequence);
	reader->relation = NULL;
	if (statement->if_not_exists)
		ddl_refuse(reader, statement->sequence->location, "CREATE SEQUENCE IF NOT EXISTS", "A migration makes new sequences: leave IF NOT EXISTS, or the statement, out.");
	read_make(reader, "SEQUENCE", relation_names(statement->sequence), "");
}

/* A type of an argument as SQL. */
static char *
type_sql_of(const TypeName *type)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, type->names)
		appendStringInfo(&buf, "%s%s", buf.len ? "." : "", quote_identifier(strVal(lfirst(lc))));
	if (type->pct_type)
		appendStringInfoString(&buf, "%TYPE");
	if (type->arrayBounds != NIL)
		appendStringInfoString(&buf, "[]");
	return buf.data;
}

/* The arguments by which a function is named. */
static char *
arguments_sql(const CreateFunctionStmt *statement)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '(');
	foreach(lc, statement->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, lc);

		if (parameter->mode == FUNC_PARAM_TABLE || parameter->mode == FUNC_PARAM_OUT)
			continue;
		appendStringInfo(&buf, "%s%s", buf.len > 1 ? ", " : "", type_sql_of(parameter->argType));
	}
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

/* Finds a function's name in its CREATE OR REPLACE. */
static void
find_function_name(Operation *op)
{
	int			n;
	Token	   *tokens = scan_tokens(op->sql, &n);
	int			i = 4;

	op->name_offset = tokens[i].at;
	while (i + 2 < n && tokens[i + 1].symbol == '.')
		i += 2;
	op->name_length = tokens[i + 1].at - op->name_offset;
}

/* Reads CREATE [OR REPLACE] FUNCTION or PROCEDURE. */
static void
read_function(const Reader *reader, const CreateFunctionStmt *statement)
{
	const char *words = statement->is_procedure ? "PROCEDURE" : "FUNCTION";
	Operation  *op;

	read_make(reader, words, statement->funcname, arguments_sql(statement));
	if (!statement->replace)
		return;
	op = llast(reader->definition->operations);
	op->kind = OP_REPLACE_FUNCTION;
	find_function_name(op);
	reader->definition->made = list_delete_last(reader->definition->made);
}

/* Reads DROP of something that old clients may use. */
static void
read_drop(Reader *reader, const DropStmt *statement)
{
	int			made = 0;
	ListCell   *lc;

	if (kind_words(statement->removeType) == NULL)
		ddl_refuse_statement(reader);
	ddl_check_behavior(reader, statement->behavior);
	foreach(lc, statement->objects)
		made += made_object(reader, object_name(lfirst(lc))) != NULL ? 1 : 0;
	if (made > 0 && made < list_length(statement->objects))
		ddl_refuse(reader, -1, "dropping in one statement what the definition has made and what it has not", "Write two statements.");
	(void) add_plain(reader, made > 0 ? OP_PLAIN : OP_AT_END);
	foreach(lc, made > 0 ? statement->objects : NIL)
	{
		MadeObject *object = made_object(reader, object_name(lfirst(lc)));

		object->op->undo = NULL;
		reader->definition->made = list_delete_ptr(reader->definition->made, object);
	}
}

/* Reads ALTER TYPE … ADD VALUE, which nothing can undo, or RENAME VALUE. */
static void
read_alter_enum(Reader *reader, const AlterEnumStmt *statement)
{
	Operation  *op;
	int			n;
	Token	   *tokens;

	if (statement->oldVal != NULL && made_object(reader, strVal(llast(statement->typeName))) == NULL)
	{
		(void) add_plain(reader, OP_AT_END);
		return;
	}
	op = add_plain(reader, OP_PLAIN);
	if (statement->oldVal != NULL || made_object(reader, strVal(llast(statement->typeName))) != NULL)
		return;
	op->note = "it cannot be undone: the label stays after a rollback; it can be used as soon as the version is ready";
	tokens = scan_tokens(op->sql, &n);
	for (int i = 1; i + 1 < n && !statement->skipIfNewValExists; i++)
		if (token_is(&tokens[i], op->sql, "value") && token_is(&tokens[i - 1], op->sql, "add"))
		{
			op->sql = psprintf("%.*s IF NOT EXISTS %s", tokens[i].at + 5, op->sql, op->sql + tokens[i + 1].at);
			return;
		}
}

/* Reads ALTER DOMAIN; what reads all tables with such columns is refused. */
static void
check_alter_domain(const Reader *reader, const AlterDomainStmt *statement)
{
	if (statement->subtype == 'O' || statement->subtype == 'V' ||
		(statement->subtype == 'C' && !castNode(Constraint, statement->def)->skip_validation))
		ddl_refuse(reader, -1, "ALTER DOMAIN with a check of all its columns", "Run it by itself, when no one writes the tables that use the domain.");
	ddl_check_behavior(reader, statement->behavior);
}

/* Refuses sub-commands of ALTER INDEX, SEQUENCE, TYPE and VIEW that hold locks for long, or hide more than they say. */
static void
check_alter_other(const Reader *reader, const AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		ddl_check_behavior(reader, command->behavior);
		if (command->subtype != AT_ChangeOwner && command->subtype != AT_SetRelOptions && command->subtype != AT_ResetRelOptions &&
			command->subtype != AT_SetStatistics && command->subtype != AT_ColumnDefault && command->subtype != AT_AddColumn && command->subtype != AT_DropColumn)
			ddl_refuse_statement(reader);
	}
}

/* The object that a statement changes, and its kind; false when the statement is none of those. */
static bool
changed_object(Node *statement, ObjectType *type, Node **object)
{
	switch (nodeTag(statement))
	{
		case T_AlterDomainStmt:
			*type = OBJECT_DOMAIN;
			*object = (Node *) ((AlterDomainStmt *) statement)->typeName;
			return true;
		case T_AlterSeqStmt:
			*type = OBJECT_SEQUENCE;
			*object = (Node *) ((AlterSeqStmt *) statement)->sequence;
			return true;
		case T_AlterFunctionStmt:
			*type = ((AlterFunctionStmt *) statement)->objtype;
			*object = (Node *) ((AlterFunctionStmt *) statement)->func;
			return true;
		case T_AlterOwnerStmt:
			*type = ((AlterOwnerStmt *) statement)->objectType;
			*object = ((AlterOwnerStmt *) statement)->object;
			return true;
		case T_RenameStmt:
			*type = ((RenameStmt *) statement)->renameType;
			*object = ((RenameStmt *) statement)->relation ? (Node *) ((RenameStmt *) statement)->relation : ((RenameStmt *) statement)->object;
			return *type != OBJECT_INDEX;
		case T_CommentStmt:
			*type = ((CommentStmt *) statement)->objtype;
			*object = ((CommentStmt *) statement)->object;
			return true;
		case T_AlterTableStmt:
			*type = ((AlterTableStmt *) statement)->objtype;
			*object = (Node *) ((AlterTableStmt *) statement)->relation;
			return true;
		case T_ViewStmt:
			*type = OBJECT_VIEW;
			*object = (Node *) ((ViewStmt *) statement)->view;
			return true;
		case T_GrantStmt:
			*type = ((GrantStmt *) statement)->objtype;
			*object = list_length(((GrantStmt *) statement)->objects) == 1 ? linitial(((GrantStmt *) statement)->objects) : NULL;
			return ((GrantStmt *) statement)->targtype == ACL_TARGET_OBJECT;
		default:
			return false;
	}
}

/* Reads a change of something that is no table: at once when the definition has made it, otherwise in the swap. */
static bool
read_change(Reader *reader)
{
	ObjectType	type;
	Node	   *object;
	bool		made;

	if (!changed_object(reader->statement, &type, &object) || kind_words(type) == NULL)
		return false;
	made = made_object(reader, object_name(object)) != NULL;
	if (IsA(reader->statement, AlterDomainStmt))
		check_alter_domain(reader, (AlterDomainStmt *) reader->statement);
	else if (IsA(reader->statement, AlterTableStmt))
		check_alter_other(reader, (AlterTableStmt *) reader->statement);
	else if (IsA(reader->statement, RenameStmt))
	{
		ddl_check_behavior(reader, ((RenameStmt *) reader->statement)->behavior);
		if (made && type != OBJECT_ATTRIBUTE && type != OBJECT_DOMCONSTRAINT)
			ddl_refuse(reader, -1, "renaming what the same definition has made", "Make it under its name at once.");
	}
	(void) add_plain(reader, made ? OP_PLAIN : OP_AT_END);
	return true;
}

/* Reads the making of something that is no table; false when the statement makes none. */
static bool
read_new_object(Reader *reader)
{
	switch (nodeTag(reader->statement))
	{
		case T_CompositeTypeStmt:
			read_make(reader, "TYPE", relation_names(((CompositeTypeStmt *) reader->statement)->typevar), "");
			return true;
		case T_CreateEnumStmt:
			read_make(reader, "TYPE", ((CreateEnumStmt *) reader->statement)->typeName, "");
			return true;
		case T_CreateRangeStmt:
			read_make(reader, "TYPE", ((CreateRangeStmt *) reader->statement)->typeName, "");
			return true;
		case T_CreateDomainStmt:
			read_make(reader, "DOMAIN", ((CreateDomainStmt *) reader->statement)->domainname, "");
			return true;
		case T_DefineStmt:
			if (((DefineStmt *) reader->statement)->kind != OBJECT_COLLATION || ((DefineStmt *) reader->statement)->if_not_exists)
				return false;
			read_make(reader, "COLLATION", ((DefineStmt *) reader->statement)->defnames, "");
			return true;
		case T_CreateSeqStmt:
			read_create_sequence(reader, (CreateSeqStmt *) reader->statement);
			return true;
		case T_CreateFunctionStmt:
			read_function(reader, (CreateFunctionStmt *) reader->statement);
			return true;
		default:
			return false;
	}
}

/* ---- the whole ---- */

/* Is the statement on a part of a table, so that it can wait for the swap? */
static bool
is_on_part(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateTrigStmt:
		case T_CreatePolicyStmt:
		case T_AlterPolicyStmt:
			return true;
		case T_CreateStatsStmt:
			return list_length(((CreateStatsStmt *) statement)->relations) == 1;
		case T_CommentStmt:
			return ((CommentStmt *) statement)->objtype != OBJECT_TABLE && ((CommentStmt *) statement)->objtype != OBJECT_COLUMN;
		case T_RenameStmt:
			return ((RenameStmt *) statement)->renameType == OBJECT_TRIGGER || ((RenameStmt *) statement)->renameType == OBJECT_POLICY;
		case T_DropStmt:
			return ((DropStmt *) statement)->behavior != DROP_CASCADE && ((DropStmt *) statement)->removeType != OBJECT_RULE;
		default:
			return false;
	}
}

/* Reads a statement that changes no shape of an existing table; false when it is none. */
bool
ddl_read_plain(Reader *reader)
{
	RangeVar   *relation = subject(reader->statement);

	if (relation != NULL && is_created(reader, relation))
	{
		read_on_created(reader, relation);
		return true;
	}
	if (relation != NULL && is_on_part(reader->statement))
	{
		read_on_existing(reader, relation);
		return true;
	}
	switch (nodeTag(reader->statement))
	{
		case T_CreateStmt:
			read_create_table(reader, (CreateStmt *) reader->statement);
			return true;
		case T_DropStmt:
			if (((DropStmt *) reader->statement)->removeType == OBJECT_INDEX)
				return false;
			if (((DropStmt *) reader->statement)->removeType == OBJECT_TABLE)
				read_drop_table(reader, (DropStmt *) reader->statement);
			else
				read_drop(reader, (DropStmt *) reader->statement);
			return true;
		case T_AlterEnumStmt:
			read_alter_enum(reader, (AlterEnumStmt *) reader->statement);
			return true;
		default:
			return read_new_object(reader) || read_change(reader);
	}
}
