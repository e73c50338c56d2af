/*
 * latency.h
 *		The clients' own latency: durations of their statements on migrating tables, measured in executor hooks (with shared_preload_libraries only). The same hooks
 *		tell which version each of them uses (pace/consumers.h).
 *
 * Shared memory holds a few slots, one per migration of any database, each with two logarithmic histograms: all statements of the last seconds, and those
 * that ran while no driver worked on the migration (the baseline), which are kept for longer. Compared are the two, not statements that ran during work with
 * others: what clients notice on the whole is what less work makes better. A session whose database has no slot pays one comparison per statement.
 *
 * A slot is leased: each latency_watch() extends it, and without one it ends by itself. So nothing has to be undone when a migration is dropped, or when its
 * drivers die.
 */
#ifndef MIG_LATENCY_H
#define MIG_LATENCY_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* What clients have seen lately */
typedef struct Latency
{
	double		n;				/* statements that these figures are made of: the older, the less they count */
	double		p50_ms;
	double		p95_ms;
	double		p99_ms;
} Latency;

extern void latency_install(void);	/* from _PG_init while preloading: memory, and the executor hooks */
extern bool latency_available(void);	/* can it be measured in this server? */

#define LATENCY_LEASE_MS	180000	/* longer than a leader is away from a migration that is ready */

/*
 * Measure a migration's clients for LATENCY_LEASE_MS more, for less the first time. False: they were not measured before this call. From now on it is by these tables, and by the new version's views of
 * them; when NIL, by those given before, if any were.
 */
extern bool latency_watch(int64 migration_id, List *tables, List *views);
extern void latency_unwatch(int64 migration_id);	/* it has ended */
extern TimestampTz latency_watched_since(int64 migration_id);	/* without a break; 0: they are not */
/* A statement of this session that has no plan (COPY) uses a relation. */
extern void latency_note(Oid relid, bool write);
/* This process begins or ends to work on a migration; ends by itself when the process exits. Its own statements are no client's. */
extern void latency_work_begin(int64 migration_id);
extern void latency_work_end(void);
/*
 * What clients see lately, and what they see while nobody works. *calm: drivers should stand still for a moment, since clients are there and too little is
 * known of how they do without us. False: not measured.
 */
extern bool latency_read(int64 migration_id, Latency *lately, Latency *resting, bool *calm);

#endif
