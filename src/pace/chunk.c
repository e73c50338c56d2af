/*
 * chunk.c
 *		The chunk law: pure arithmetic on the last chunks of the same size.
 */
#include "base/compat.h"

#include <math.h>

#include "pace/chunk.h"

#define MOST_GROWTH		1.5
#define FAR_TOO_LONG	5		/* times the target: at once */
#define CUT				10		/* to a tenth */
#define FAILURES		3		/* at one page */
#define SMALLEST		1e-6	/* a chunk that took nothing still has a ratio */

/* Another size: what is known of the former one does not count. */
static void
resize(ChunkLaw *law, double pages)
{
	law->pages = (int) Max(pages, 1.0);
	law->n = 0;
}

void
chunk_start(ChunkLaw *law, int pages)
{
	resize(law, pages);
	law->failures = 0;
}

/* Order of numbers, for qsort. */
static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* The 90th percentile, by nearest rank; at least `SMALLEST`. */
static double
percentile_90(const double *values, int n)
{
	double		sorted[CHUNK_SAMPLES];

	memcpy(sorted, values, sizeof(double) * n);
	qsort(sorted, n, sizeof(double), compare_doubles);
	return Max(sorted[(int) ceil(n * 0.9) - 1], SMALLEST);
}

/* Keep a sample; the oldest goes when there are enough. */
static void
remember(ChunkLaw *law, double ms, double wal_bytes)
{
	if (law->n == CHUNK_SAMPLES)
	{
		law->n--;
		memmove(law->ms, law->ms + 1, sizeof(double) * law->n);
		memmove(law->wal, law->wal + 1, sizeof(double) * law->n);
	}
	law->ms[law->n] = ms;
	law->wal[law->n] = wal_bytes;
	law->n++;
}

void
chunk_took(ChunkLaw *law, const ChunkLimits *limits, double ms, double wal_bytes)
{
	double		factor;
	double		pages;

	law->failures = 0;
	if (ms >= FAR_TOO_LONG * limits->target_ms || wal_bytes >= FAR_TOO_LONG * limits->wal_budget)
	{
		resize(law, Min((double) law->pages / CUT, (double) limits->most));
		return;
	}
	remember(law, ms, wal_bytes);
	factor = limits->target_ms / percentile_90(law->ms, law->n);
	factor = Min(factor, limits->wal_budget / percentile_90(law->wal, law->n));
	if (factor >= 1.0 && law->n < CHUNK_SAMPLES && law->pages <= limits->most)
		return;
	/* upwards at least by a page, unless that were more than is allowed */
	factor = Min(factor, MOST_GROWTH);
	pages = factor > 1.0 ? ceil(law->pages * factor) : floor(law->pages * factor);
	pages = Max(Min(pages, (double) limits->most), 1.0);
	if ((int) pages != law->pages)
		resize(law, pages);
}

void
chunk_waited_for(ChunkLaw *law)
{
	law->failures = 0;
	resize(law, law->pages / 2);
}

ChunkFailure
chunk_failed(ChunkLaw *law)
{
	if (law->pages > 1)
	{
		chunk_start(law, law->pages / 2);
		return CHUNK_SMALLER;
	}
	if (++law->failures < FAILURES)
		return CHUNK_AGAIN;
	law->failures = 0;
	return CHUNK_GIVE_UP;
}
