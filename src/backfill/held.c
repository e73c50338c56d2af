/*
 * held.c
 *		Dead rows that somebody holds back, and how long that is waited for.
 *
 * A lane gains by what it prunes: the row versions that the lane before it has left behind. While a transaction, slot or standby may still see them, a lane's
 * rows go to other pages, with index entries, and the table grows. So a range remembers up to which transaction its dead rows must be removable
 * (mig.range.dead_until); ranges for which that is so have their turn first, and if there are none the drivers wait, for each holder once and for a limited time.
 *
 * Other drivers don't count, as they commit every other moment, nor does whoever has been there for less than HORIZON_YOUNG_MS.
 */
#include "base/compat.h"

#include "utils/json.h"

#include "backfill/held.h"
#include "pace/pace.h"
#include "store/holder.h"

#define LOOK_MS			400		/* between two looks at a holder that is waited for */
#define MOST_BETWEEN_MS	2000	/* between two looks that count as waited: later ones mean that nobody drove */

/* Find out who is to be waited for. */
static void
look_for_holder(Held *held)
{
	held->looked = true;
	held->counts = horizon_holder(&held->holder) && (held->holder.age_ms < 0 || held->holder.age_ms >= HORIZON_YOUNG_MS) &&
		!holder_given_up(held->mig->id, held->holder.key);
}

uint64
held_from(Held *held)
{
	FullTransactionId next = ReadNextFullTransactionId();

	if (!held->looked)
		look_for_holder(held);
	if (!held->counts)
		return UINT64_MAX;
	return U64FromFullTransactionId(next) - (uint32) (XidFromFullTransactionId(next) - held->holder.xmin);
}

bool
held_back(Held *held, const Range *range)
{
	if (range->dead_until == 0 || horizon_has_passed(range->relid, FullTransactionIdFromU64(range->dead_until)))
		return false;
	return range->dead_until > held_from(held);
}

/* Say that the migration goes on although rows are held back. */
static void
give_up(Held *held, double waited_ms)
{
	StringInfoData detail;

	holder_give_up(held->mig->id, held->holder.key);
	initStringInfo(&detail);
	appendStringInfo(&detail, "{\"step\": %d, \"relation\": ", held->step->no);
	escape_json(&detail, held->step->relation);
	appendStringInfoString(&detail, ", \"holder\": ");
	escape_json(&detail, held->holder.who);
	appendStringInfo(&detail, ", \"waited_s\": %.1f}", waited_ms / 1000);
	event_write(held->mig->id, "horizon", detail.data);
}

UnitResult
held_wait(Held *held, char **why)
{
	double		patience = horizon_patience(held->mig);
	double		waited;
	uint64		from = held_from(held);

	if (!held->counts || !task_ranges_held(held->mig->id, held->step->no, from))
		return UNIT_WAIT;
	waited = holder_wait(held->mig->id, held->holder.key, held->holder.who, MOST_BETWEEN_MS);
	if (patience >= 0 && waited >= patience)
	{
		give_up(held, waited);
		return UNIT_DONE;
	}
	*why = psprintf("dead rows of %s cannot be removed, so that it would grow: held back by %s; %s", held->step->relation, held->holder.who,
					patience < 0 ? "waits for its end (on_held_horizon)" :
					psprintf("waits for at most %g s (on_held_horizon)", patience / 1000));
	pace_hold(held->mig->id, LOOK_MS);
	return UNIT_HELD;
}
