/*
 * backfill.h
 *		The chunk runner: gives existing rows the new version's value, a batch of pages per transaction.
 */
#ifndef MIG_BACKFILL_H
#define MIG_BACKFILL_H

#include "postgres.h"
#include "store/state.h"

typedef enum UnitResult
{
	UNIT_DONE,					/* did some work: commit and call again */
	UNIT_WAIT,					/* all that is left is locked by somebody else, or for later */
	UNIT_HELD,					/* it would only make the table grow: somebody holds dead rows back */
	UNIT_ASIDE,					/* all that is left has been put aside */
	UNIT_END					/* nothing is left */
} UnitResult;

/*
 * Run one batch inside the current transaction; the range it works on stays claimed by this session between calls. *why says in words what UNIT_WAIT
 * and UNIT_HELD wait for.
 */
extern UnitResult backfill_unit(const Migration *mig, const Step *step, char **why);
/* Visit the whole table once more, without lanes: nearly all rows are filled. Forgets reported rows. */
extern void backfill_restart(const Migration *mig, const Step *step);
/* Fill, within the transaction, a table that nobody uses yet; it has the sync trigger. */
extern void backfill_at_once(const Migration *mig, Oid relid);
extern void backfill_release(void);		/* give up the claimed range, if any */
extern bool backfill_put_aside(const char *error);	/* leave the claimed range for last; false: there is none */
extern int	backfill_claimable(const Migration *mig, const Step *step);	/* ranges another worker could take */

#endif
