/*
 * trigger.h
 *		The sync trigger's modes for the backfill and for repairs.
 *
 * The backfill only touches rows (SET _mig_state = _mig_state): the trigger fills every untouched pair, as it does for any write. In backfill mode a row
 * in which nothing could be filled is not written at all, and rows whose up failed are collected here.
 *
 * A repair touches rows, too: the trigger computes each pair again from the side that is kept. What an expression raises is raised.
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

/* Which side of a pair a repair goes by */
typedef enum KeepSide
{
	KEEP_ORIGIN,				/* the one that the pair's state calls the last written */
	KEEP_OLD,
	KEEP_NEW
} KeepSide;

extern const char *keep_side_name(KeepSide keep);	/* "origin" … */
extern bool keep_side_from_name(const char *name, KeepSide *keep);

/* Enter repair mode; left at sync_repair_end(), and when its (sub)transaction fails. */
extern void sync_repair_begin(KeepSide keep);
extern void sync_repair_end(void);

#endif
