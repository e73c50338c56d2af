/*
 * background.h
 *		Starting background workers, and what each of them does first.
 */
#ifndef MIG_BACKGROUND_H
#define MIG_BACKGROUND_H

#include "postgres.h"
#include "postmaster/bgworker.h"

/* What a worker is started for; travels in bgw_extra */
typedef struct BackgroundTask
{
	int64		migration_id;	/* 0: all of the database */
	int32		step_no;		/* of a utility worker */
	int32		helper;			/* number of a helper, from 1 */
} BackgroundTask;

/*
 * Start a dynamic worker that runs `function` of this library in a database. False when all of max_worker_processes are in use. The handle
 * is palloc'd in the current context.
 */
extern bool background_start(const char *type, const char *function, Oid database, const BackgroundTask *task,
							 BackgroundWorkerHandle **handle);
extern bool background_alive(BackgroundWorkerHandle *handle);

/* Inside a worker: signals; connection and settings; interrupts and configuration between two units; a pause outside transactions */
extern BackgroundTask background_enter(void);
extern void background_connect(Oid database);
extern void background_settings(void);	/* again, after others were set for the session */
extern void background_check(void);
extern bool background_sleep(long ms);	/* true when something woke us */

/* Lower this process' priority by mig_control.nice; there is no way back. */
extern void background_lower_priority(void);

/* Is the extension there in this database? Inside a transaction. */
extern bool background_installed(void);

#endif
