/*
 * tokens.h
 *		The tokens of a statement's text.
 */
#ifndef MIG_TOKENS_H
#define MIG_TOKENS_H

#include "postgres.h"

/* A token of a statement */
typedef struct Token
{
	int			at;				/* offset in the statement */
	int			symbol;			/* as the scanner has it; a character of its own for most of them */
	const char *word;			/* of an identifier or keyword, folded; NULL for others */
} Token;

extern Token *scan_tokens(const char *text, int *n);

/* Is a token of the text this keyword? A quoted one is none. */
extern bool token_is(const Token *token, const char *text, const char *keyword);

/* Is the word, folded as the server folds it, an identifier or keyword of the text? */
extern bool statement_mentions(const char *text, const char *word);

/* Put spaces in place of a stretch of text; of the first run of keywords (in one string, separated by spaces) among the first tokens. */
extern void blank(char *text, int from, int to);
extern void blank_keywords(char *text, const char *keywords);

#endif
