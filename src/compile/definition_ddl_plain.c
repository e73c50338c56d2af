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
#include "parser/scanner.h"
#include "utils/builtins.h"

#include "compile/definition_ddl.h"

/* A token of a statement */
typedef struct Token
{
	int			at;				/* offset in the statement */
	int			symbol;			/* as the scanner has it; a character of its own for most of them */
	const char *word;			/* of an identifier or keyword, folded; NULL for others */
} Token;

/* ---- the statement's text ---- */

/* Does an identifier or keyword begin here? A string's prefix is none. */
static bool
is_word(const char *text)
{
	int			n = 0;

	if (*text == '"')
		return true;
	while (isalpha((unsigned char) text[n]) || text[n] == '_' || IS_HIGHBIT_SET(text[n]))
		n++;
	return n > 0 && text[n] != '\'' && !(n == 1 && text[n] == '&' && text[n + 1] == '\'');
}

/* The tokens of a statement's text. */
static Token *
scan_tokens(const char *text, int *n)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scanner_init(text, &extra, &ScanKeywords, ScanKeywordTokens);
	Token	   *tokens = palloc(sizeof(Token) * (strlen(text) + 1));
	core_YYSTYPE value;
	YYLTYPE		at;
	int			symbol;

	*n = 0;
	extra.escape_string_warning = false;
	while ((symbol = core_yylex(&value, &at, scanner)) != 0)
	{
		Token	   *token = &tokens[(*n)++];

		token->at = at;
		token->symbol = symbol;
		token->word = is_word(text + at) ? pstrdup(value.str) : NULL;
	}
	scanner_finish(scanner);
	return tokens;
}

/* Is a token this keyword? */
static bool
token_is(const Token *token, const char *text, const char *keyword)
{
	return token->word != NULL && text[token->at] != '"' && strcmp(token->word, keyword) == 0;
}

/* Puts spaces in place of a stretch of text. */
static void
blank(char *text, int from, int to)
{
	for (; from < to; from++)
		if (text[from] != '\n')
			text[from] = ' ';
}

/* Puts spaces in place of the first run of keywords (in one string, separated by spaces) among the first tokens. */
static void
blank_keywords(char *text, const char *keywords)
{
	int			n;
	Token	   *tokens = scan_tokens(text, &n);
	List	   *words = NIL;
	char	   *copy = pstrdup(keywords);

	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		words = lappend(words, word);
	for (int i = 0; i < 6 && i + list_length(words) < n; i++)
	{
		int			k = 0;

		while (k < list_length(words) && token_is(&tokens[i + k], text, list_nth(words, k)))
			k++;
		if (k < list_length(words))
			continue;
		blank(text, tokens[i].at, tokens[i + k].at);
		return;
	}
}

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
	static const RangeVar none = {.type = T_RangeVar};
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
	ddl_check_relation(reader, false);
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
		ddl_check_relation(reader, false);
		ddl_add(reader, OP_DROP_TABLE, NULL)->if_exists = statement->missing_ok;
		forget_created(reader, relation->relname);
	}
}

/* ---- the whole ---- */

/* Reads a statement that changes no shape of an existing table; false when it is none. */
bool
ddl_read_plain(Reader *reader)
{
	RangeVar   *relation = subject(reader->statement);

	if (relation != NULL && is_created(reader, relation) && !IsA(reader->statement, AlterObjectSchemaStmt))
	{
		read_on_created(reader, relation);
		return true;
	}
	switch (nodeTag(reader->statement))
	{
		case T_CreateStmt:
			read_create_table(reader, (CreateStmt *) reader->statement);
			return true;
		case T_DropStmt:
			if (((DropStmt *) reader->statement)->removeType != OBJECT_TABLE)
				return false;
			read_drop_table(reader, (DropStmt *) reader->statement);
			return true;
		default:
			return false;
	}
}
