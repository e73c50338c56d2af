/*
 * pace_state.h
 *		The row of mig.pace: what the drivers of a migration have in common, and what people are shown of it.
 */
#ifndef MIG_PACE_STATE_H
#define MIG_PACE_STATE_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* Of the moments, 0 means none */
typedef struct PaceState
{
	int64		migration_id;
	TimestampTz looked_at;		/* when the signals were last read */
	double		duty;			/* share of time in which a driver works: 0.02 .. 1 */
	int			workers;		/* that may fill now */
	int			chunk_pages;	/* to start with, in another session */
	bool		beside_clients; /* there are clients whom we could disturb */
	char	   *stopped_by;		/* name of the signal that stops everything, "window", "hibernation"; NULL: none */
	char	   *reason;			/* the same in words; NULL */
	TimestampTz stopped_since;
	TimestampTz moved_at;		/* when duty and workers were last decided on */
	TimestampTz cool_until;		/* they are not raised before */
	int			hibernations;
	TimestampTz hibernate_until;
	char	   *readings;		/* jsonb text: signal → {"value": …, "limit": …, "utilisation": …, "who": …, "read_at": epoch} */
	char	   *waited;			/* jsonb text: signal → seconds waited for it */
	char	   *samples;		/* jsonb text: [[epoch, rows done, WAL position in bytes], …] of the last minute */
} PaceState;

extern PaceState *pace_state_get(int64 migration_id);	/* NULL: none yet */
extern void pace_state_wake(int64 migration_id);	/* hibernations are forgotten */
/* Take the row for an update if it was looked at longer than ms ago and nobody else is about to; NULL: go by pace_state_get(). Makes the row. */
extern PaceState *pace_state_claim(int64 migration_id, int ms);
extern void pace_state_put(const PaceState *state);	/* looked_at becomes now */

#endif
