/*
 * mode.h
 *		What the sync trigger is used for at the moment: a client's writes, the backfill's, or a repair's.
 */
#ifndef MIG_MODE_H
#define MIG_MODE_H

#include "postgres.h"
#include "access/htup.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "sync/trigger.h"

typedef enum SyncMode
{
	SYNC_CLIENT,
	SYNC_BACKFILL,
	SYNC_REPAIR
} SyncMode;

extern SyncMode sync_mode(void);	/* of the trigger call under way */
extern KeepSide sync_repair_keeps(void);	/* in repair mode */

/* Tell that up failed for a row: collected in backfill mode, else logged, once per relation and transaction. */
extern void sync_failure(Relation rel, TimestampTz *logged_in, TupleTableSlot *row, ItemPointer tid, AttrNumber column,
						 const char *error);

/* The row's key as a JSON object: its primary key, or else where it lies. */
extern char *sync_row_key(Relation rel, TupleTableSlot *row, ItemPointer tid);

#endif
