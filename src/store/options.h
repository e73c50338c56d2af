/*
 * options.h
 *		A migration's options, as jsonb text.
 */
#ifndef MIG_OPTIONS_H
#define MIG_OPTIONS_H

#include "postgres.h"

/* Value of a key as text, NULL when absent or null. */
extern char *option_text(const char *options, const char *key);

/* The caller's options over a manifest's own; either may be NULL. */
extern char *options_over(const char *own, const char *options);

/* Raise 22023 for an option that does not exist or has a wrong type or value; live: for one that cannot be changed any more. */
extern void options_check(const char *options, bool live);

#endif
