/*
 * horizon.h
 *		Who holds back the xmin horizon, so that dead rows stay and lanes lose their gain.
 */
#ifndef MIG_HORIZON_H
#define MIG_HORIZON_H

#include "postgres.h"
#include "access/transam.h"

typedef struct HorizonHolder
{
	TransactionId xmin;
	double		age_ms;			/* how long it has held it, as far as can be told */
	char	   *who;			/* "pid 123 (idle in transaction)", "slot x", "standby x", "prepared transaction x"; palloc'd */
} HorizonHolder;

/* The oldest holder other than this database's drivers; false when nobody holds a snapshot. */
extern bool horizon_holder(HorizonHolder *holder);
/* Can row versions deleted by transactions before xid be removed from that table by now? */
extern bool horizon_has_passed(Oid relid, TransactionId xid);

#endif
