/*
 * launcher.h
 *		The static background worker that starts a worker for each database with work.
 */
#ifndef MIG_LAUNCHER_H
#define MIG_LAUNCHER_H

#include "postgres.h"

extern void launcher_register(void);	/* from _PG_init while preloading */

extern PGDLLEXPORT void mig_launcher_main(Datum arg);

#endif
