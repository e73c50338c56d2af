/*
 * rehearse.h
 *		A migration's expressions and rules on a sample of the rows that are there, before anything is started.
 */
#ifndef MIG_REHEARSE_H
#define MIG_REHEARSE_H

#include "compile/plan.h"

/* One thing that was looked at */
typedef struct Rehearsal
{
	const char *relation;
	const char *column;			/* as the new version names it, or a rule's name; NULL: about the whole table */
	const char *finding;		/* up fails, down fails, null, lossy, violates, size, time */
	int64		rows;			/* looked at */
	int64		found;			/* rows of which it is so; of size bytes, of time milliseconds for the whole table */
	char	   *sample;			/* JSON array of {"key", "old", "new", "back", "error"}; NULL */
	char	   *note;			/* NULL, or what it means */
} Rehearsal;

/* Look at about so many rows of each table that the plan changes; Rehearsal *. Changes nothing: its trial copy is rolled back. */
extern List *rehearse_plan(const MigPlan *plan, int rows);

#endif
