/*
 * consumer.h
 *		Rows of mig.consumer and mig.lookout: who uses which version of a migration, and what is kept from one look at its clients to the next.
 */
#ifndef MIG_CONSUMER_H
#define MIG_CONSUMER_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "store/state.h"

/* A role and application that uses, or has used, a version */
typedef struct Consumer
{
	int64		migration_id;
	bool		old;			/* the old version, or else the new one */
	char	   *role;
	char	   *application;
	List	   *pids;			/* of the sessions, as integers */
	TimestampTz last_read;		/* 0: none */
	TimestampTz last_write;
	int64		reads;			/* statements since these were last taken to mig.consumer; not counted without preload */
	int64		writes;
	int64		errors;			/* of writes */
} Consumer;

extern void consumer_put(const Consumer *c);	/* adds its counts */

/*
 * How many sessions there are, but for this one, of roles and applications that have used the old version since a moment, or of these pids (with spaces between them); *who names
 * them.
 */
extern int	consumers_seen(int64 migration_id, TimestampTz since, const char *pids, char **who);
extern TimestampTz consumers_stored_old_write(int64 migration_id);	/* 0: none */

/* A migration's row of mig.lookout */
typedef struct Lookout
{
	int64		migration_id;
	TimestampTz looked_at;
	TimestampTz since;			/* clients have been watched without a break since; 0: never */
	double		baseline_ms;	/* their 95th percentile before rows were filled; 0: not known */
	TimestampTz slow_since;		/* they have been too slow since; 0: they are not */
	char	   *samples;		/* JSON: [[epoch, writes, errors], …] of the new version, in the last minute */
	char	   *acted;			/* JSON: thresholds of abort_if that have acted, as they were given */
} Lookout;

/* The row, locked to the end of the transaction; NULL if somebody has looked within so many ms, or is about to. */
extern Lookout *lookout_claim(int64 migration_id, int ms);
extern Lookout *lookout_get(int64 migration_id);	/* as it is; NULL: none */
extern void lookout_put(const Lookout *l);
extern void lookout_sample(Lookout *l);	/* adds one of the present counts */

/* Figures that thresholds are about */
extern void lookout_error_rate(const Lookout *l, int64 *writes, int64 *errors); /* of the new version's writes within the samples */
extern int64 lookout_divergent(int64 migration_id);
extern double lookout_backfill_seconds(int64 migration_id); /* since it began; negative: it has not */

#endif
