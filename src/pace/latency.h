/*
 * latency.h
 *		The clients' own latency: durations of their statements on migrating tables, measured in executor hooks (with shared_preload_libraries only).
 *
 * Shared memory holds a few slots, one per migrating table of any database, each with two logarithmic histograms: statements that ran while a driver
 * worked on the migration, and those that ran while none did (the baseline). A session whose database has no slot pays one comparison per statement.
 */
#ifndef MIG_LATENCY_H
#define MIG_LATENCY_H

#include "postgres.h"
#include "nodes/pg_list.h"

typedef struct Latency
{
	int64		n;				/* statements counted */
	double		p50_ms;
	double		p95_ms;
	double		p99_ms;
} Latency;

extern void latency_install(void);	/* from _PG_init: chains the executor hooks */
extern Size latency_shmem_size(void);	/* for base/shmem.c's callers, while preloading */
extern void latency_shmem_startup(void);
extern void latency_watch(int64 migration_id, List *relids);	/* from now on; NIL: no more */
extern void latency_working(int64 migration_id, bool working);	/* a driver begins or ends to work; ends by itself when the process exits */
extern bool latency_take(int64 migration_id, Latency *working, Latency *resting);	/* since the last call; false: not measured here */

#endif
