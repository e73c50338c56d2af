/*
 * options.h
 *		A migration's options, as jsonb text.
 */
#ifndef MIG_OPTIONS_H
#define MIG_OPTIONS_H

#include "postgres.h"

/* Value of a key as text, NULL when absent or null. */
extern char *option_text(const char *options, const char *key);

/* The same as JSON text. */
extern char *option_json(const char *options, const char *key);

/* Seconds of an interval as text; not a number if it is none. */
extern double interval_seconds(const char *value);

/* The same of an option: 22023 for what is none, or less than nothing. path: where it stands, for the message. NULL: negative. */
extern double option_seconds(const char *value, const char *path);

/* The caller's options over a manifest's own; either may be NULL. */
extern char *options_over(const char *own, const char *options);

/* Options with changes: a null takes one back to its default, and the members of "throttle" and "drift" are changed one by one. */
extern char *options_merge(const char *options, const char *changes);

/* What options are given for */
typedef enum OptionsUse
{
	OPTIONS_START,
	OPTIONS_SET,				/* to change a running migration's; may be null */
	OPTIONS_OVERRIDE			/* the same for a while */
} OptionsUse;

/* Raise 22023 for an option that does not exist, has a wrong type or value, or cannot be given there. */
extern void options_check(const char *options, OptionsUse use);

#endif
