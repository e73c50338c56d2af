/*
 * task.h
 *		Progress of backfill and verification: the rows of mig.task, mig.range and mig.bad_row.
 *
 * A task is what one STEP_BACKFILL or STEP_VALIDATE has to do on one relation: its table, or one of the table's partitions or children. Its ranges are
 * block ranges. Cursor and rows are written in one transaction, so a crash neither skips nor repeats an effect.
 */
#ifndef MIG_TASK_H
#define MIG_TASK_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "store/state.h"

#define RANGE_LATER_MS	5000	/* until one that was postponed is tried again, at most */
#define RANGES_AT_ONCE	256		/* to choose from; more would be read for nothing */
#define BAD_ROW_SAMPLES	100		/* kept per relation and kind */

/* What a relation takes on disk, in bytes */
typedef struct Sizes
{
	int64		heap;
	int64		toast;
	int64		indexes;
} Sizes;

typedef struct Task
{
	int64		migration_id;
	int			step_no;
	Oid			relid;
	Oid			relfilenode;	/* when the ranges were made; another one: make them again */
	int64		blocks;			/* number of blocks there were */
	int			lanes;
	int64		rows_total;		/* estimate */
	int64		rows_done;
	int64		divergent;		/* verification: rows that break their rule */
	int64		missing;		/* verification: rows with an untouched pair */
	int64		busy_ms;		/* time spent on it, without pauses */
	Sizes		before;			/* when its backfill began */
	Sizes		now;			/* when a lane last ended */
	/* how its ranges are made */
	int64		range_pages;
	int			first_lane;
} Task;

typedef enum RangeState
{
	RANGE_OPEN,					/* lanes not at their end */
	RANGE_LATER,				/* some rows were locked: visit again after not_before */
	RANGE_ASIDE,				/* an error that should pass came again and again; opened again by mig_resume */
	RANGE_DONE
} RangeState;

typedef struct Range
{
	int64		id;
	int64		migration_id;	/* of its task */
	int			step_no;
	Oid			relid;
	int64		first_block;
	int64		end_block;		/* exclusive */
	int			lane;
	int64		next_block;
	RangeState	state;
	uint64		dead_until;		/* between two lanes: the dead rows of transactions before it should be removable; 0: no matter */
} Range;

extern Task *task_get(int64 migration_id, int step_no, Oid relid);	/* NULL: none yet */
extern Task *task_total(int64 migration_id, int step_no);	/* sums of a step's tasks; NULL: none yet */
extern List *tasks_of(int64 migration_id, int step_no);	/* Task *, by relid */
extern void tasks_make(List *tasks);	/* of one step, Task * by relid; those that somebody else has made meanwhile stay */
extern void tasks_drop(int64 migration_id, int step_no, List *relids);
/* Range *, at most RANGES_AT_ONCE of those left whose not_before has passed, open ones first; none whose dead rows are held back, if those from held_from on are */
extern List *task_ranges(int64 migration_id, int step_no, uint64 held_from);
extern bool task_ranges_held(int64 migration_id, int step_no, uint64 held_from);	/* is any open, and its dead rows are held back? */
extern Range *range_get(int64 id);	/* NULL: gone */
extern bool task_ranges_left(int64 migration_id, int step_no);	/* is any open, now or later? */
extern int64 task_ranges_aside(int64 migration_id, int step_no, char **error);	/* put aside; *error: one's reason, NULL if there is none */
extern void task_ranges_reopen(int64 migration_id, int step_no);	/* those put aside */
extern int64 task_rows_done(int64 migration_id, StepKind kind);	/* of all its tasks of a kind */
extern void range_advance(const Range *range, int64 rows);	/* store lane, next_block, state, dead_until; add rows to its task */
extern void task_grown(const Range *range, const Sizes *now);	/* what its relation takes now; a negative size is not known */
extern void range_put_aside(int64 id, const char *error);
extern void range_postpone(const Range *range, int ms);	/* RANGE_LATER, not before now + ms */
extern void task_counts(const Range *range, int64 divergent, int64 missing);	/* add to its task's counts */
extern void bad_row_add(int64 migration_id, Oid relid, const char *column, const char *key, const char *kind, const char *error);
extern int64 bad_rows_count(int64 migration_id, int step_no, const char *kind);	/* of the relations of a step's tasks */
extern void bad_rows_clear(int64 migration_id, List *relids);
extern void bad_rows_seen_again(int64 migration_id, Oid relid);	/* all that a check has found are about to be found again: forget them */
extern void bad_row_repaired(int64 migration_id, Oid relid, const char *samples);	/* comma-separated JSON objects with its key */

#endif
