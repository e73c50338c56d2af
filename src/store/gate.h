/*
 * gate.h
 *		Gates as they were when somebody last looked (rows of mig.gate), approvals, and when versions were ready.
 */
#ifndef MIG_STORE_GATE_H
#define MIG_STORE_GATE_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "store/state.h"

typedef struct Gate
{
	const char *name;
	MigPhase	before;			/* the phase that it guards: ready or completing */
	bool		open;
	bool		overridable;
	char	   *value;			/* what was found, in words */
	char	   *limit;			/* what there has to be; NULL */
	char	   *failure;		/* why there is no answer; NULL */
} Gate;

extern void gates_put(int64 migration_id, MigPhase before, const List *gates);	/* Gate *: those that guard a phase, and no others */

extern bool gates_are_stale(int64 migration_id, int ms);	/* were those before `completing` last asked longer ago, or never? */

/* An approval counts while nobody has changed the options since it was given. */
extern void approval_put(int64 migration_id, const char *comment);
extern int	approvals_count(const Migration *mig);	/* roles that have approved */
extern char *migration_started_by(int64 id);	/* session user of mig_start */

/* Seconds since the version was first ready in its present run; negative: it never was, or the clock was set back. */
extern double migration_ready_seconds(int64 id);

#endif
