/*
 * shmem.h
 *		What the launcher, its workers and the sessions share (only with shared_preload_libraries = 'mig_control').
 *
 * One LWLock protects it all. A database's `wanted` generation grows with each request; a worker that exits idle compares
 * it with the one it has seen, under the lock, so no request is lost.
 */
#ifndef MIG_SHMEM_H
#define MIG_SHMEM_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

extern void shmem_install(void);	/* from _PG_init while preloading: hooks for size and start-up */
extern bool shmem_available(void);	/* is there a launcher to wake? */

/* At commit of the current transaction, tell the launcher that this database has work; forgotten at abort. */
extern void shmem_wake_at_commit(void);

/* Tell it now. False when there is no room for another database. */
extern bool shmem_request(Oid database);

/* The launcher's side. One DatabaseWork for each database that is known to have, or to have had, something to do. */
typedef struct DatabaseWork
{
	Oid			database;
	bool		wanted;			/* there is a request nobody has served */
	bool		running;		/* a worker is attached */
	bool		stopped;		/* the last one exited on purpose (idle, or switched off): no reason for a pause */
	TimestampTz look_again;		/* when to look without being asked; 0: never */
} DatabaseWork;

extern bool shmem_launcher_attach(void);	/* from now on requests set our latch; false when nothing is shared */
extern bool shmem_take_overflow(void);	/* did a request find no room since the last call? */
extern List *shmem_work(void);	/* DatabaseWork * */
extern void shmem_launching(Oid database);	/* forget how the last worker ended */
extern void shmem_forget(Oid database); /* free the slot, unless something runs or is wanted */
extern void shmem_drop(Oid database);	/* free the slot of a database that is gone */

/* The worker's side */
extern bool shmem_worker_attach(Oid database);	/* false when another one is attached */
extern void shmem_worker_look(void);	/* about to list what there is to do: serves all requests so far */
extern bool shmem_worker_idle(int look_again_ms);	/* may it exit? Not when a request came since the last look. 0: never look */
extern void shmem_crowded(void);	/* a worker was refused for want of a slot: whoever can do without for a while should give way */
extern void shmem_want_empty(Oid database, int ms);	/* its worker, if it has nothing better to do than watch, should leave the database for so long */
extern bool shmem_worker_gives_way(int look_again_ms);	/* is it that one, and may exit? */
extern void shmem_worker_stopped(void); /* exits because workers are switched off; what is wanted stays wanted */

#endif
