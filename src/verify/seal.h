/*
 * seal.h
 *		Has anything happened by which writes may have got past the sync triggers?
 */
#ifndef MIG_SEAL_H
#define MIG_SEAL_H

#include "postgres.h"
#include "store/state.h"

/*
 * Compare what the migration's tables rely on with what it was at the last look; true when a new epoch began (an event "bypass" tells why). Takes ACCESS SHARE
 * on the tables that nobody has locked against it.
 */
extern bool seal_check(const Migration *mig);

/* Why writes to a table may be getting past its sync triggers at this moment; NULL: they cannot. */
extern char *seal_lapse(Oid table);

#endif
