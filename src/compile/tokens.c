/*
 * tokens.c
 *		The tokens of a statement's text, as the server's scanner sees them, and what is blanked out of a text by them.
 *
 * Owns no state.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "parser/parser.h"
#include "parser/scanner.h"

#include "compile/tokens.h"

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

Token *
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

bool
statement_mentions(const char *text, const char *word)
{
	int			n;
	Token	   *tokens = scan_tokens(text, &n);

	for (int i = 0; i < n; i++)
		if (tokens[i].word != NULL && strcmp(tokens[i].word, word) == 0)
			return true;
	return false;
}

bool
token_is(const Token *token, const char *text, const char *keyword)
{
	return token->word != NULL && text[token->at] != '"' && strcmp(token->word, keyword) == 0;
}

void
blank(char *text, int from, int to)
{
	for (; from < to; from++)
		if (text[from] != '\n')
			text[from] = ' ';
}

void
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
