/*
 * pass.h
 *		Evidence: what checks have seen of a migration's tables (mig.pass), and the epochs in which what they saw counts.
 *
 * A pass goes over one table of a migration, with all its partitions and children, range by range; what is found is added to its row in the transaction of the range.
 * An epoch ends when something is noticed that writes may have got past the sync triggers; passes that began in a former one prove nothing.
 */
#ifndef MIG_PASS_H
#define MIG_PASS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "store/state.h"

/* An order-independent fingerprint of one version's values: over each row's 64-bit hash */
typedef struct Digest
{
	uint64		exclusive_or;
	uint64		sum;
} Digest;

/* What a check has found. A row counts once per class */
typedef struct Findings
{
	int64		checked;
	int64		divergent;		/* a pair breaks its rule: differs, or its up or down fails */
	int64		missing;		/* a pair has no value of the new version yet */
	int64		violating;		/* a row breaks a rule that will be a constraint */
	int64		repaired;
	Digest		old_side;
	Digest		new_side;
	int			nsamples;
	char	   *samples;		/* JSON objects {"key", "relation" (of a leaf), "column", "kind", "old", "new", "expected" or "error"}; NULL if none */
} Findings;

/* Add what was found in a part to what was found in all; samples are counted, not kept. */
extern void findings_add(Findings *total, const Findings *part);

/* Who makes a pass */
typedef enum PassKind
{
	PASS_VALIDATE,				/* a step of the plan: before `ready`, or behind the fence */
	PASS_CALL,					/* mig_validate */
	PASS_WATCH,					/* the drift watch, while versions are ready */
	PASS_REPAIR,				/* mig_repair: never clean if it has repaired anything */
	PASS_ROLLBACK				/* before a version that was ready goes */
} PassKind;

typedef struct Pass
{
	int64		id;				/* 0: none */
	int64		migration_id;
	Oid			relid;			/* the migration's table */
	char	   *relation;
	PassKind	kind;
	int			step_no;		/* 0: not of a step */
	int			epoch;
	TimestampTz started_at;
	uint64		started_lsn;	/* writes before it have been seen, if they had committed */
	bool		ended;
	bool		clean;			/* ended, whole, and nothing found or repaired */
	Findings	found;			/* without samples */
	/* where one that is done piece by piece goes on: its maker's own meaning */
	Oid			leaf;
	int64		next_block;
} Pass;

extern Pass *pass_open(const Migration *mig, Oid relid, const char *relation, PassKind kind, int step_no);	/* the open one of that kind and step, or a new one */
extern bool pass_is_open(const Migration *mig, Oid relid, PassKind kind, int step_no);
extern void pass_add(const Pass *pass, const Findings *found, int64 ranges);	/* and store leaf, next_block */
extern void pass_close(int64 id);	/* clean if nothing was found and the epoch has not changed meanwhile */
extern void pass_drop_open(int64 migration_id, Oid relid, PassKind kind);	/* it begins again: what it has seen does not count */
extern Pass *pass_last(int64 migration_id, Oid relid);	/* the last one that has ended; NULL */
extern Pass *pass_last_finding(int64 migration_id, Oid relid);	/* the last that has found or repaired something since the last clean one, of whatever epoch, began; NULL */
extern Pass *pass_last_clean(const Migration *mig, Oid relid);	/* the last that is clean, of the present epoch; NULL */

/* Whatever was written before this place in the log, a pass has seen (or was never committed); 0: not known. */
extern uint64 pass_seen_lsn(int64 id);

extern int	pass_epoch(int64 migration_id);	/* the present epoch */

/*
 * Epochs. seal: jsonb text of all by which a bypass would show (verify/seal.h). The first one is stored; any other afterwards begins a new epoch with an event "bypass" that tells
 * what has changed, and returns true. why: what somebody has seen himself, instead.
 */
extern bool epoch_seal(const Migration *mig, const char *seal);
extern void epoch_begin(int64 migration_id, const char *why, const char *detail);
extern void epoch_reseal(int64 migration_id);	/* we have changed it ourselves, and nothing got past the triggers: the next seal is as the first */

/* The oldest transaction id by which a row may have been written past the triggers since the last clean full pass of a table; 0: nothing was noticed. */
extern uint64 epoch_suspect_xid(int64 migration_id, Oid relid);

#endif
