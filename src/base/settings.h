/*
 * settings.h
 *		The extension's GUCs. settings_define() is called once, from _PG_init.
 */
#ifndef MIG_SETTINGS_H
#define MIG_SETTINGS_H

#include "postgres.h"

extern bool mig_guard;			/* refuse hand-made DDL on a migrating table */
extern bool mig_worker;			/* may the launcher start workers? */
extern int	mig_max_workers;	/* backfill workers per migration */
extern int	mig_lock_timeout;	/* ms: the budget of one attempt over all its locks */
extern int	mig_lock_retries;
extern int	mig_batch_pages;	/* pages of a task's first backfill transaction */
extern int	mig_chunk_target;	/* ms of work per backfill transaction */
extern int	mig_chunk_wal;		/* kB of WAL likewise */
extern double mig_drift_duty;	/* share of the time in which the drift watch works; 0: never */
extern int	mig_hibernate;		/* ms: the first sleep after a critical signal */
extern int	mig_hibernations;	/* sleeps before a migration is paused */
extern int	mig_lanes;			/* most lanes per page */
extern int	mig_on_held_horizon;	/* ms: how long lanes wait for whoever holds dead rows back; -1: for ever */
extern int	mig_range_pages;	/* pages per range: the lane loop's extent */
extern int	mig_nice;			/* by how much workers lower their priority */
extern int	mig_naptime;		/* ms between looks when there is nothing to do */
extern char *mig_stop_before;	/* test setting: step number that a driver stops before; "" = none */

/* Whose statements are being run; set for a while with settings_own() */
typedef enum OwnStatements
{
	OWN_NOT,					/* the user's */
	OWN_STEPS,					/* the engine's: may change migrating tables */
	OWN_HIDDEN					/* the engine's, and nobody has to follow them: on trial, or about views of versions */
} OwnStatements;

extern int	mig_own_statements;

extern void settings_define(void);

/* What follows, to the end of the caller's GUC nest level (or of its subtransaction), are statements of the engine. */
extern void settings_own(OwnStatements whose);

/* Set any setting, also one for superusers only, until the end of the caller's GUC nest level (or of its subtransaction). */
extern void setting_set(const char *name, const char *value);

/* Likewise those of a text[] literal "{name=value,…}", as pg_proc.proconfig; NULL: none. */
extern void settings_apply(const char *literal);

#endif
