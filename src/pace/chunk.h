/*
 * chunk.h
 *		The chunk law: how many pages the next transaction of a backfill takes.
 *
 * Pure arithmetic, no clock and no catalog. A size is kept until 11 chunks of it are known or one of them demands less; then it follows their 90th percentile:
 * target / p90, growing by at most 1.5, shrinking freely; one chunk that takes 5 times the target means a tenth at once. The same for the WAL budget;
 * the smaller size wins. Waiting and sleeping are not work: callers pass the time a chunk has worked.
 */
#ifndef MIG_CHUNK_H
#define MIG_CHUNK_H

#include "postgres.h"

#define CHUNK_SAMPLES 11

typedef struct ChunkLaw
{
	int			pages;			/* of the next chunk */
	int			n;				/* samples of this size */
	double		ms[CHUNK_SAMPLES];
	double		wal[CHUNK_SAMPLES];	/* bytes */
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
extern bool chunk_failed(ChunkLaw *law);	/* halves; true at the third failure in a row at one page: give it up */

#endif
