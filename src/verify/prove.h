/*
 * prove.h
 *		Does the old side hold every write? What has to be shown before a version that was in use is rolled back.
 */
#ifndef MIG_PROVE_H
#define MIG_PROVE_H

#include "postgres.h"
#include "store/state.h"

/*
 * Check all tables of a migration, online: whole ones, or what was written since the last clean pass of this epoch began. 55000 with rows that differ when a write would be lost,
 * or it cannot be told. Leaves evidence and an event.
 */
extern void prove_old_side(const Migration *mig);

#endif
