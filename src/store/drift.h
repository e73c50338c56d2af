/*
 * drift.h
 *		The drift watch: its options, where it is (mig.watcher), and what it has found (mig.drift_row).
 *
 * A pass goes over all rows of a table (store/pass.h holds its place); a cycle is a pass over each table of the migration. In between, sweeps go over the blocks that
 * were written lately. The row of mig.watcher is locked by whoever does a unit of either, to the end of its transaction.
 */
#ifndef MIG_DRIFT_H
#define MIG_DRIFT_H

#include "postgres.h"
#include "store/pass.h"
#include "store/state.h"

/* What is done about a divergence that was not known; each includes an event and a notification */
typedef enum DriftReaction
{
	DRIFT_ALARM,
	DRIFT_PAUSE,				/* the migration */
	DRIFT_FENCE					/* writes through the new version are refused */
} DriftReaction;

typedef struct DriftOptions
{
	double		duty;			/* share of the time; 0: no watching */
	DriftReaction reaction;
} DriftOptions;

extern DriftOptions drift_options(const Migration *mig);
extern void drift_check_option(const char *drift);	/* 22023, with the path; JSON text of options.drift, NULL: none */

/* Where a sweep is */
typedef struct SweepPlace
{
	Oid			table;			/* InvalidOid: none is under way */
	Oid			leaf;
	int64		block;
} SweepPlace;

/* Times in ms; a negative age or a rest of hours: the clock was set back */
typedef struct Watch
{
	int64		migration_id;
	double		rest;			/* still to come */
	Oid			cycle_table;	/* whose pass is under way; InvalidOid: none */
	double		cycle_age;		/* since the last one began */
	SweepPlace	sweep;
	double		sweep_age;		/* since the last one began */
	double		sweep_worked;	/* what it took so far */
	uint64		since_xid;		/* 0: nothing is known to sweep over yet */
	uint64		since_lsn;
	char	   *failure;
} Watch;

extern Watch *watch_claim(int64 migration_id);	/* makes the row; NULL: somebody else does a unit */
extern void watch_put(const Watch *w);	/* its rest counts from now; ages are not stored */
extern void watch_cycle_begins(Watch *w);
/* What is next to come: transaction and place in the log, in this order; and the oldest transaction that runs. Finds since_xid, since_lsn. */
extern void watch_sweep_begins(Watch *w, uint64 lsn, uint64 next_xid, uint64 oldest_xid);

#define SWEEP_STEP (-1)			/* Pass.step_no of the evidence that a sweep leaves, which it does only if it finds something */

/* What was not known of what a unit has found */
typedef struct DriftNews
{
	int64		rows;			/* 0: nothing */
	int64		known;			/* rows of the table that are known to diverge, these included */
	char	   *detail;			/* JSON text for the event: relation, rows with their keys */
	char	   *payload;		/* JSON text for those who listen: keys only; short */
} DriftNews;

/* Keep what a pass (or the evidence of a sweep) has found in a leaf, and count. */
extern DriftNews drift_found(const Migration *mig, const Pass *pass, Oid leaf, const Findings *found);
/* A pass has seen its whole table: end it. What it no longer found is gone; what a sweep has found behind its back makes it unclean. */
extern void drift_pass_ends(const Migration *mig, const Pass *pass);
/* A row was repaired: comma-separated JSON objects with its key; then count again. */
extern void drift_row_repaired(int64 migration_id, Oid leaf, const char *samples);
extern void drift_recount(int64 migration_id);

#endif
