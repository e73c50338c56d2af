/*
 * worker.h
 *		The worker that drives a database's migrations, and its helpers for the backfill.
 */
#ifndef MIG_WORKER_H
#define MIG_WORKER_H

#include "postgres.h"

extern PGDLLEXPORT void mig_worker_main(Datum arg);

#endif
