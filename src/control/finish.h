/*
 * finish.h
 *		How a migration ends: complete, roll back, retire; and retrying after a failure.
 *
 * Callers hold the advisory lock MIGRATION exclusively.
 */
#ifndef MIG_FINISH_H
#define MIG_FINISH_H

#include "postgres.h"
#include "store/state.h"

/* Raise 55000 when another migration of the schema has to be completed first. */
extern void finish_check_turn(const Migration *mig);

/* Begin to complete, its gates being open; true when that could be done at once (no rule has to be validated). */
extern bool finish_complete(Migration *mig, const char *detail);

/* Before a version that was ready is rolled back: show that the old one holds every write, or raise 55000. Takes no lock that anybody waits for. */
extern void finish_prove(const Migration *mig);

/* Undo all that was done, in one short transaction; an index build that runs is cancelled. */
extern void finish_rollback(Migration *mig, const char *detail);

/* Look at the whole table of a check again, filling it first: in phase backfilling, if it is filled at all. */
extern void finish_check_again(Migration *mig, const Step *check);

/* Prepare a failed migration for another try. */
extern void finish_retry(Migration *mig);

/* Drop an ended version's schemas; 55000 when it is still the current one or younger than the interval. */
extern void finish_retire(Migration *mig, const char *older_than);

#endif
