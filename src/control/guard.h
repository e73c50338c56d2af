/*
 * guard.h
 *		Looks at hand-made DDL.
 */
#ifndef MIG_GUARD_H
#define MIG_GUARD_H

#include "postgres.h"

extern void guard_install(void);	/* from _PG_init: chains ProcessUtility_hook */

#endif
