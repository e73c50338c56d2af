/*
 * chunk.h
 *		The chunk law: how many pages the next transaction of a backfill takes.
 *
 * Pure arithmetic, no clock and no catalog. The size follows the 90th percentile of the last 11 chunks of the same size: grown by at most 1.5 when all 11 are
 * known, shrunk freely as soon as those known ask for it; one chunk that takes 5 times the target means a tenth at once. The same for the WAL budget;
 * the smaller size wins. Waiting and sleeping are not work: callers pass the time a chunk has worked. A chunk that a client had to wait for is halved, which
 * comes to what congestion control does: on a table whose clients write all over it, one chunk in twenty is waited for, and not for long.
 */
#ifndef MIG_CHUNK_H
#define MIG_CHUNK_H

#include "postgres.h"

#define CHUNK_SAMPLES 11

typedef struct ChunkLaw
{
	int			pages;			/* of the next chunk */
	int			n;				/* samples of this size, the oldest first */
	double		ms[CHUNK_SAMPLES];
	double		wal[CHUNK_SAMPLES]; /* bytes */
	int			failures;		/* in a row, at the floor */
} ChunkLaw;

typedef struct ChunkLimits
{
	int			most;			/* pages */
	double		target_ms;
	double		wal_budget;		/* bytes */
} ChunkLimits;

extern void chunk_start(ChunkLaw *law, int pages);
extern void chunk_took(ChunkLaw *law, const ChunkLimits *limits, double ms, double wal_bytes);
extern void chunk_waited_for(ChunkLaw *law);	/* a client waited for the end of a chunk of this size: half of it */
/* What to do after a failure that should pass */
typedef enum ChunkFailure
{
	CHUNK_SMALLER,				/* try again at once, with half the pages */
	CHUNK_AGAIN,				/* it was one page: try again later */
	CHUNK_GIVE_UP				/* and that for the third time in a row */
} ChunkFailure;

extern ChunkFailure chunk_failed(ChunkLaw *law);

#endif
