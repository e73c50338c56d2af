/*
 * horizon.h
 *		Who holds back the xmin horizon, so that dead rows stay and lanes lose their gain.
 */
#ifndef MIG_HORIZON_H
#define MIG_HORIZON_H

#include "postgres.h"
#include "access/transam.h"
#include "store/state.h"

#define HORIZON_YOUNG_MS	1000	/* whoever holds it for less is not worth waiting for */

typedef struct HorizonHolder
{
	TransactionId xmin;			/* the oldest transaction whose deletions it still may see */
	double		age_ms;			/* how long it has held it, as far as can be told; negative: unknown, as of a slot */
	char	   *key;			/* the same for as long as it is the same holder; palloc'd, as is */
	char	   *who;			/* "pid 123 (idle in transaction, application psql, user alice)", "replication slot x", "standby x", "prepared transaction x" */
} HorizonHolder;

/* The oldest holder other than this database's drivers; false when there is none. */
extern bool horizon_holder(HorizonHolder *holder);

/* Can row versions of a table that were deleted by transactions before xid be removed by now? True as well when its lock cannot be had. */
extern bool horizon_has_passed(Oid relid, FullTransactionId xid);

/* How long a migration waits for a holder, in ms: options.on_held_horizon, or else the setting; negative: for ever. */
extern double horizon_patience(const Migration *mig);

/* Raise 22023 for a value of options.on_held_horizon (as text; NULL: none) that is no such time. */
extern void horizon_check_option(const char *value);

#endif
