/*
 * watch.h
 *		The drift watch: while both versions of a migration are in use, it goes on comparing them.
 */
#ifndef MIG_WATCH_H
#define MIG_WATCH_H

#include "postgres.h"
#include "store/state.h"

/*
 * Do a unit of watching, if one is due, inside the current transaction. The caller holds MIGRATION in share mode; the migration is ready and not paused. Returns
 * in how many ms the next one is due; negative: there is nothing to watch.
 */
extern double watch_unit(const Migration *mig);

/* A unit has raised: note it, once; the same as above. */
extern double watch_failed(const Migration *mig, const ErrorData *error);

/* Writes through the new version are let in again, with an event that says why, if they were refused. */
extern void watch_lift_fence(int64 migration_id, const char *why);

/* options.drift has changed. */
extern void watch_options_changed(int64 migration_id);

#endif
