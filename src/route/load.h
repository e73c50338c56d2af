/*
 * load.h
 *		COPY … FROM into a version view.
 */
#ifndef MIG_LOAD_H
#define MIG_LOAD_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "utils/rel.h"

/* Run it; returns the number of rows written. query is the statement's text, for the position of errors. */
extern uint64 load_view(Relation view, const CopyStmt *stmt, const char *query);

#endif
