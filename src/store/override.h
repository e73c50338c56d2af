/*
 * override.h
 *		Options that hold for a while and then expire by themselves: the rows of mig.override.
 *
 * An override counts by the clock alone (view mig.in_effect), so that it ends when it should, whether a driver runs or not. That it has ended is written
 * down by whoever comes next.
 */
#ifndef MIG_OVERRIDE_H
#define MIG_OVERRIDE_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* Make one; writes the event, too. reason may be NULL. */
extern void override_add(int64 migration_id, const char *options, TimestampTz until, const char *reason);
/* Write down the end of those that are over, or of all that run; each has its event. */
extern void overrides_end(int64 migration_id, bool all);

#endif
