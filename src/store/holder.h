/*
 * holder.h
 *		Rows of mig.holder: for whom a migration has waited because dead rows were held back.
 */
#ifndef MIG_HOLDER_H
#define MIG_HOLDER_H

#include "postgres.h"

/*
 * Count the time since this was last called as waited for a holder, in ms so far; as far as it is at most most_between_ms, since otherwise nobody
 * has waited meanwhile.
 */
extern double holder_wait(int64 migration_id, const char *key, const char *who, int most_between_ms);
extern void holder_give_up(int64 migration_id, const char *key);	/* wait for it no more */
extern bool holder_given_up(int64 migration_id, const char *key);

#endif
