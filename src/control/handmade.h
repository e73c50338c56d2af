/*
 * handmade.h
 *		DDL by hand on tables that no migration changes: version views follow in the same statement.
 */
#ifndef MIG_HANDMADE_H
#define MIG_HANDMADE_H

#include "postgres.h"
#include "nodes/nodes.h"

typedef struct Handmade Handmade;

/* Does this schema have versions? Answered from memory but for the first time after any schema was made or dropped. */
extern bool handmade_concerns(Oid schema);

/* Before a utility statement: drop the version views that would be in its way. NULL when it concerns none. */
extern Handmade *handmade_begin(Node *stmt);

/* After it: make them again, and let the others follow. */
extern void handmade_end(Handmade *change);

/* Bring the version views of a schema in line with its tables; returns how many were made or changed. */
extern int	handmade_refresh(const char *base);

#endif
