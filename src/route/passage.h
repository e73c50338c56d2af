/*
 * passage.h
 *		Statements that PostgreSQL refuses on views pass through a version's views to its tables.
 */
#ifndef MIG_PASSAGE_H
#define MIG_PASSAGE_H

#include "postgres.h"

extern void passage_install(void);	/* from _PG_init: chains ProcessUtility_hook */

#endif
