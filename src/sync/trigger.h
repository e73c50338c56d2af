/*
 * trigger.h
 *		The sync trigger's mode for the backfill.
 *
 * The backfill only touches rows (SET _mig_state = _mig_state): the trigger fills every untouched pair, as it does for any write. In backfill mode a row
 * in which nothing could be filled is not written at all, and rows whose up failed are collected here.
 */
#ifndef MIG_TRIGGER_H
#define MIG_TRIGGER_H

#include "postgres.h"
#include "nodes/pg_list.h"

typedef struct SyncFailure
{
	char	   *key;			/* JSON object: the primary key's columns, or {"ctid": …} */
	char	   *column;			/* physical name of the new column */
	char	   *error;
} SyncFailure;

/* Enter backfill mode; failures go to a list in the current memory context. Left at sync_backfill_end() or transaction end. */
extern void sync_backfill_begin(void);
extern List *sync_backfill_end(int64 *failed);	/* at most 100 samples; *failed counts all */

#endif
