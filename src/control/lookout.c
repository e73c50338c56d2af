/*
 * lookout.c
 *		Looks at a migration's clients.
 *
 * Of a migration that somebody has paused, only who uses it is of interest; one that has failed can still be rolled back by a limit. What goes wrong here is no
 * reason for a driver to stop: it is logged, and the next look tries again.
 */
#include "base/compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/txn.h"
#include "control/abort.h"
#include "control/lifecycle.h"
#include "control/lookout.h"
#include "pace/consumers.h"
#include "store/consumer.h"

#define LOOK_MS			1000	/* between two looks, where a limit may be passed */
#define SELDOM_MS		5000	/* and elsewhere */

/* When this process has last thought of a migration: spares most calls a question to the table. In TopMemoryContext */
typedef struct Thought
{
	int64		migration_id;
	TimestampTz at;
} Thought;

static List *thoughts = NIL;

/* What this process knows of a migration. */
static Thought *
thought_of(int64 migration_id)
{
	Thought    *thought;
	ListCell   *lc;
	MemoryContext old;

	foreach(lc, thoughts)
		if (((Thought *) lfirst(lc))->migration_id == migration_id)
			return lfirst(lc);
	old = MemoryContextSwitchTo(TopMemoryContext);
	thought = palloc0(sizeof(Thought));
	thought->migration_id = migration_id;
	thoughts = lappend(thoughts, thought);
	MemoryContextSwitchTo(old);
	return thought;
}

/* How much time is between two looks. */
static int
look_ms(const Migration *mig)
{
	return strstr(mig->options, "\"abort_if\"") ? LOOK_MS : SELDOM_MS;
}

bool
lookout_is_due(const Migration *mig)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz at = thought_of(mig->id)->at;

	return at > now || TimestampDifferenceExceeds(at, now, look_ms(mig));
}

/* A look */
typedef struct Look
{
	const Migration *mig;
	int			not_within_ms;	/* of the last one */
	bool		taken;
} Look;

/* Take it, unless somebody else does. */
static void
look(void *arg)
{
	Look	   *l = arg;
	Lookout    *lookout = lookout_claim(l->mig->id, l->not_within_ms);

	if (lookout == NULL)
		return;
	l->taken = true;
	consumers_tend(l->mig, lookout);
	lookout_sample(lookout);
	if (!l->mig->paused || l->mig->error)
		abort_look(l->mig, lookout);
	lookout_put(lookout);
}

bool
lookout(const Migration *mig, bool now)
{
	Look		l = {.mig = mig,.not_within_ms = now ? 0 : look_ms(mig)};
	ErrorData  *error;

	if (lifecycle_ended(mig->phase) || !(now || lookout_is_due(mig)))
		return false;
	thought_of(mig->id)->at = GetCurrentTimestamp();
	if (!txn_try(look, &l, &error))
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("could not look at the clients of migration \"%s\": %s", mig->name, error->message)));
	return l.taken;
}

bool
lookout_is_needed(const Migration *mig)
{
	return abort_is_armed(mig, lookout_get(mig->id));
}
