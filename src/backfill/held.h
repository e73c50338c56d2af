/*
 * held.h
 *		Dead rows that somebody holds back: may the next lane of a range begin?
 */
#ifndef MIG_HELD_H
#define MIG_HELD_H

#include "postgres.h"
#include "backfill/backfill.h"
#include "pace/horizon.h"
#include "store/state.h"
#include "store/task.h"

/* What one unit of work knows of it; only mig and step are to be filled in */
typedef struct Held
{
	const Migration *mig;
	const Step *step;
	bool		looked;
	bool		counts;			/* there is a holder to be waited for */
	HorizonHolder holder;
} Held;

extern uint64 held_from(Held *held);	/* dead rows of this transaction and later ones are held back by somebody to be waited for; UINT64_MAX: none are */
extern bool held_back(Held *held, const Range *range);	/* would a lane that now begins on it find the dead rows of the last one? */

/*
 * No range is left but those whose dead rows are held back, if any is (else UNIT_WAIT): UNIT_HELD, and in *why by whom; or UNIT_DONE when the migration has
 * waited for that one for long enough, and the next unit goes on regardless.
 */
extern UnitResult held_wait(Held *held, char **why);

#endif
