/*
 * guard.h
 *		Keeps hand-made DDL off tables under migration.
 */
#ifndef MIG_GUARD_H
#define MIG_GUARD_H

#include "postgres.h"

extern void guard_install(void);	/* from _PG_init: chains ProcessUtility_hook */

/* Let DDL through until the GUC nest level of the caller ends: the engine's own. */
extern void guard_lift(void);

#endif
