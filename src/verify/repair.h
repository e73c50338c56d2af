/*
 * repair.h
 *		Puts rows right whose versions have come apart.
 */
#ifndef MIG_REPAIR_H
#define MIG_REPAIR_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "store/pass.h"
#include "store/state.h"
#include "sync/trigger.h"

/* What became of the rows of a table that are wrong */
typedef struct TableRepair
{
	const Step *check;
	Findings	found;			/* its samples have members "repaired" and, if not, "left": why */
	int64		wrong;			/* rows that differ, or lack a value that is not on its way to be filled */
	int64		suspect;		/* left, as nobody knows which side was written last */
	int64		failed;			/* left, as an expression or a rule of the table does not let them */
	int64		locked;			/* left, as others have them locked */
} TableRepair;

/*
 * Check all tables of a migration, and compute each pair of each row that is wrong again from the side that is kept, under the row's lock. Nothing is changed when
 * more than options.max_repairs rows are wrong: then *stopped, and the migration is paused as failed. The caller holds MIGRATION exclusively. Returns TableRepair *.
 */
extern List *repair_tables(const Migration *mig, KeepSide keep, bool *stopped);

#endif
