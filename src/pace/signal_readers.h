/*
 * signal_readers.h
 *		The readers of the signals; signal.c's table has them all.
 *
 * They run four times a second while a migration moves, so each is to take a fraction of a millisecond, and to wait for nothing: no lock on a user's table, no
 * look into a directory that can be large. What they remember between two looks is of their own process.
 */
#ifndef MIG_SIGNAL_READERS_H
#define MIG_SIGNAL_READERS_H

#include "pace/signal.h"

/* signal.c: settings beside the limits */
extern int	mig_cores;			/* 0: as many as the operating system lets us use */
extern int	mig_throttle_query_timeout; /* ms */
extern char *mig_throttle_standbys; /* list of names */
extern int	signal_unit_flags(const Signal *s);	/* as guc.h names units */

/* signal_replication.c: standbys and slots */
extern Reading read_replica_lag_bytes(const SignalContext *context);
extern Reading read_replica_lag(const SignalContext *context);
extern Reading read_slot_wal(const SignalContext *context);

/* signal_disk.c: room, and the archive */
extern Reading read_archive_backlog(const SignalContext *context);
extern Reading read_disk_free(const SignalContext *context);
extern Reading read_wal_disk_free(const SignalContext *context);

/* signal_activity.c: what other sessions do */
extern Reading read_active_clients(const SignalContext *context);
extern Reading read_io_waits(const SignalContext *context);
extern Reading read_wraparound_vacuum(const SignalContext *context);
extern Reading read_waiters(const SignalContext *context);

/* signal_cpu.c: the machine's processors */
extern int	signal_cores(void);		/* that the server may use */
extern Reading read_cpu(const SignalContext *context);

/* signal_server.c: the server's own state */
extern Reading read_xid_age(const SignalContext *context);
extern Reading read_xmin_age(const SignalContext *context);
extern Reading read_wal_rate(const SignalContext *context);
extern Reading read_commit_latency(const SignalContext *context);
extern Reading read_dead_rows(const SignalContext *context);

/* signal_query.c: the user's own */
extern Reading read_query(const SignalContext *context);
extern void query_check(const char *query, Oid owner, const char *settings);	/* raises 22023 */

/* signal_latency.c: the clients' own */
extern Reading read_client_latency(const SignalContext *context);

/* signal_option.c: options.throttle */
extern double throttle_limit(const char *throttle, const Signal *s, bool critical, double otherwise);
extern char *throttle_query(const char *throttle);	/* NULL: none */
extern char **throttle_standbys(const char *throttle, int *n);	/* NULL: not said */

/* An exponentially weighted mean of what is seen now and then */
typedef struct Mean
{
	double		value;
	TimestampTz at;				/* 0: nothing seen yet */
} Mean;

/* See a value; older ones fade with that time constant. Returns the mean. */
extern double mean_see(Mean *mean, double value, double fade_ms);

#endif
