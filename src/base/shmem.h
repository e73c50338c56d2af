/*
 * shmem.h
 *		What the launcher, its workers and the sessions share (only with shared_preload_libraries = 'mig_control').
 *
 * One LWLock protects it all. A database's `wanted` generation grows with each request; a worker that exits idle compares
 * it with the one it began with, under the lock, so no request is lost.
 */
#ifndef MIG_SHMEM_H
#define MIG_SHMEM_H

#include "postgres.h"

extern void shmem_install(void);	/* from _PG_init while preloading: hooks for size and start-up */
extern bool shmem_available(void);	/* is there a launcher to wake? */

/* At commit of the current transaction, tell the launcher that this database has work; forgotten at abort. */
extern void shmem_wake_at_commit(void);

#endif
