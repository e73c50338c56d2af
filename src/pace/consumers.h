/*
 * consumers.h
 *		Who uses which version of a migration: roles and applications, when they last read and wrote, and which sessions do now.
 *
 * With shared_preload_libraries the executor hooks (pace/latency.c) note every statement in shared memory; drivers take what is there to mig.consumer now and then.
 * Without, whoever looks sees the locks of transactions that are open at that moment, and no more.
 *
 * A statement uses the new version if it names one of the version's views, itself or by way of other views; the old one, if it names a table that the migration changes
 * and none of these. Not noted is what nobody will have to change: lookups of foreign keys, expressions of ours, and whatever else runs in a security-restricted
 * operation, such as ANALYZE and REFRESH MATERIALIZED VIEW.
 */
#ifndef MIG_CONSUMERS_H
#define MIG_CONSUMERS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "store/consumer.h"
#include "store/state.h"

extern void consumers_install(void);	/* from _PG_init while preloading: memory */
extern bool consumers_available(void);	/* are statements noted in this server? */

/* A session's use of a version, in shared memory */
typedef struct ConsumerPlace ConsumerPlace;

/*
 * A statement of this session begins to use a version; counts it. NULL when there is no room to note it. The end is told for every beginning; failed: it has raised what
 * may be the version's fault.
 */
extern ConsumerPlace *consumer_begin(int64 migration_id, bool old, bool write);
extern void consumer_end(ConsumerPlace *place, bool write, bool failed);
extern void consumer_failed(ConsumerPlace *place);	/* a write that seemed to have ended well */

/* Who uses a migration now, with what mig.consumer does not have yet, as Consumer *. */
extern List *consumers_now(int64 migration_id);

/* Go on noting who uses a migration, and take what has come to mig.consumer. Once a second is enough, once in LATENCY_LEASE_MS needed. */
extern void consumers_tend(const Migration *mig, Lookout *lookout);

/*
 * For gates. How many sessions, but for this one, have used the old version within idle_ms and are still connected; *who names them. -1: not known, *who says why. Without
 * preload: sessions of those roles and applications that were seen.
 */
extern int	consumers_using_old(const Migration *mig, int64 idle_ms, char **who);

/* The last moment at which the old version was, or may have been, written: not before clients are watched without a break; 0: not known. */
extern TimestampTz consumers_last_old_write(const Migration *mig);

#endif
