/*
 * state.h
 *		Migrations, their steps and events: the rows of mig.migration, mig.step and mig.event as C structs.
 *
 * Nothing but store/ reads or writes those tables. Every function here switches to the bootstrap superuser for its own statement. Structs are
 * palloc'd in the caller's context. A row counts only where its system identifier and database are this one's.
 */
#ifndef MIG_STATE_H
#define MIG_STATE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

/* Lifecycle (control/lifecycle.c holds the transition table) */
typedef enum MigPhase
{
	PHASE_PLANNED,
	PHASE_EXPANDING,
	PHASE_BACKFILLING,
	PHASE_VALIDATING,
	PHASE_READY,
	PHASE_COMPLETING,
	PHASE_COMPLETED,
	PHASE_ROLLING_BACK,
	PHASE_ROLLED_BACK
} MigPhase;

extern const char *phase_name(MigPhase phase);
extern MigPhase phase_from_name(const char *name);	/* 22023 for an unknown one */

typedef struct Migration
{
	int64		id;
	char	   *name;
	char	   *schema;
	char	   *version_schema;
	char	   *definition;
	char	   *options;		/* jsonb text, as given at the start and by mig_set */
	char	   *in_effect;		/* the same with the overrides that hold now: what is paced by */
	bool		override_over;	/* one has ended since anybody looked: overrides_end() */
	MigPhase	phase;
	bool		paused;
	char	   *reason;			/* why it is paused or waits; NULL */
	char	   *error;			/* the last failure; NULL */
	Oid			owner;			/* role whose rights its statements use; InvalidOid when dropped */
	char	   *settings;		/* text[] literal of the session settings its expressions run under */
	bool		was_ready;		/* clients may have used the new version */
} Migration;

/* The step kinds a driver knows how to run */
typedef enum StepKind
{
	STEP_SQL,					/* sql, in one transaction with the others of its group */
	STEP_CONCURRENTLY,			/* a top-level utility command, in a one-shot worker */
	STEP_VACUUM,				/* vacuum and analyse a filled table, as far as it can be had; in a one-shot worker */
	STEP_BACKFILL,				/* fill a table's untouched pairs */
	STEP_VALIDATE				/* compare a table's pairs */
} StepKind;

/* Plan phases; a step belongs to one */
typedef enum StepPhase
{
	STEP_EXPAND,
	STEP_FILL,					/* "backfill": filling, then indexes */
	STEP_CHECK,					/* "validate" */
	STEP_OPEN,					/* "ready": open the version's views */
	STEP_CONTRACT				/* "contract": fence, validate, swap */
} StepPhase;

typedef struct Step
{
	int			no;				/* 1 .. n, the order of execution */
	StepPhase	phase;
	StepKind	kind;
	int			group;			/* neighbours with the same number share one transaction */
	char	   *relation;		/* qualified name of what it locks, NULL if nothing that exists */
	Oid			relid;			/* the same, InvalidOid if it does not exist yet */
	LOCKMODE	lock;			/* NoLock if none */
	bool		rewrites;
	char	   *sql;
	char	   *undo;			/* NULL: nothing to undo */
	bool		keep;			/* not undone once the version was ready: its closed views stay */
	bool		superuser;		/* sql is run with the superuser's rights: nothing of the user's but quoted names and literals is in it */
	char	   *note;			/* NULL, or what the user should know */
	bool		done;
} Step;

extern const char *step_phase_name(StepPhase phase);
extern const char *step_kind_name(StepKind kind);
extern const char *step_lock_name(LOCKMODE mode);	/* "ACCESS EXCLUSIVE"; NULL for NoLock */

/* Migrations */
extern Migration *migration_by_id(int64 id);	/* NULL if none */
extern Migration *migration_by_name(const char *name);	/* the newest run of that name; NULL if none */
extern List *migrations_active(void);	/* Migration *: neither completed nor rolled back, oldest first */
extern int64 migration_insert(const Migration *mig, List *steps);	/* phase planned; returns its id */
extern void migration_forget_former(const char *version_schema);	/* a new run takes over a rolled-back one's schema */
extern void migration_set_phase(int64 id, MigPhase phase);	/* only for lifecycle.c */
extern void migration_set_pause(int64 id, bool paused, const char *reason, const char *error);
extern void migration_set_waiting(int64 id, const char *reason);	/* why nothing moves; NULL clears */
/*
 * The oldest session of this database whose snapshot is from before the first call for this migration: "pid 123 (state): query"; NULL when all are
 * newer. Rows read under an older snapshot are as they were before they were filled.
 */
extern char *migration_old_snapshot(int64 id);
extern void migration_set_divergent(int64 id, int64 divergent);
extern void migration_set_retired(int64 id);
extern void migration_set_options(int64 id, const char *options);
extern bool version_schema_exists(const char *name);	/* is there a version schema of that name? False without the extension */

/* Steps */
extern List *steps_of(int64 migration_id);	/* Step *, in order */
extern Step *step_next(int64 migration_id);	/* the first that is not done; NULL at the end */
extern List *steps_of_phase(int64 migration_id, StepPhase phase);
extern List *steps_of_group(int64 migration_id, int group);
/* Was a step of the fill for a partition that has gone meanwhile? */
extern bool step_is_moot(int64 migration_id, const Step *step);
extern void step_done(int64 migration_id, int no, bool done);

/* One line of the audit log; detail is JSON text or NULL. */
extern void event_write(int64 migration_id, const char *kind, const char *detail);

#endif
