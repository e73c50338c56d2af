/*
 * definition_ddl.h
 *		What the parts of the DDL front end share: definition_ddl.c (statements on existing tables), definition_ddl_plain.c (all others).
 */
#ifndef MIG_DEFINITION_DDL_H
#define MIG_DEFINITION_DDL_H

#include "compile/definition.h"

/* Reading one statement */
typedef struct Reader
{
	Definition *definition;
	const char *source;			/* the whole definition text */
	Node	   *statement;
	int			start;			/* where the statement's first token is, and how long it is from there */
	int			length;
	const char *path;			/* "statement 2" */
	const RangeVar *relation;
	bool		missing_ok;		/* IF EXISTS of the relation */
	int			location;		/* of the sub-command being read */
} Reader;

/* A thing that cannot be done, and what to do instead */
typedef struct Refusal
{
	int			tag;
	const char *what;
	const char *hint;
} Refusal;

#define HINT_PLAIN		"It needs no migration: run it by itself, before mig_start or after mig_complete."
#define HINT_LATER		"Run it by itself after mig_complete."

/* Refuse something at its position (-1: the sub-command's). */
extern void ddl_refuse(const Reader *reader, int location, const char *what, const char *hint);
extern void ddl_refuse_from(const Reader *reader, const Refusal *table, int tag, int location, const char *what);
extern void ddl_refuse_statement(const Reader *reader);

/* Go through the statement's tokens: check identifiers, and find where `n` sub-commands start. */
extern void ddl_scan(const Reader *reader, int *locations, int n);

/* Append an operation on the statement's table. */
extern Operation *ddl_add(const Reader *reader, OperationKind kind, const char *column);

/* Refuse what an online migration cannot follow: of a table's name; CASCADE. */
extern void ddl_check_relation(const Reader *reader);
extern void ddl_check_behavior(const Reader *reader, DropBehavior behavior);

/* Read a sub-command of ALTER TABLE that changes nothing a client sees, on a column or on the table (NULL). */
extern void ddl_read_at_end(const Reader *reader, const char *column);

/* Read a statement that changes no shape of an existing table; false when it is none. */
extern bool ddl_read_plain(Reader *reader);

#endif
