/*
 * proof.h
 *		What a migration has to show before it goes on: business checks with their results. Rows of mig.business_check, mig.check_run and
 *		mig.check_result.
 */
#ifndef MIG_PROOF_H
#define MIG_PROOF_H

#include "postgres.h"
#include "nodes/pg_list.h"

/* A business check as it is stored */
typedef struct BusinessCheck
{
	char	   *name;
	char	   *spec;			/* jsonb text, as given */
	char	   *sql;			/* query with columns segment jsonb, old text, new text, ok boolean */
} BusinessCheck;

extern void business_check_put(int64 migration_id, const BusinessCheck *check);	/* replaces one of that name */
extern bool business_check_drop(int64 migration_id, const char *name);
extern List *business_checks(int64 migration_id, const char *name);	/* BusinessCheck *, by name; NULL: all */

/* One line of a check's run; segment is jsonb text, '{}' for the whole */
typedef struct CheckResult
{
	char	   *segment;
	char	   *old_value;
	char	   *new_value;
	bool		ok;
	char	   *failure;		/* why there is no answer; NULL */
} CheckResult;

/* How the last run of each check ended */
typedef struct CheckState
{
	char	   *name;
	bool		run;			/* has it ever? */
	bool		green;
	char	   *failure;		/* NULL, or why there was no answer */
} CheckState;

extern List *check_states(int64 migration_id);	/* CheckState *, by name */
extern int64 check_run_begin(int64 migration_id, const char *check_name);	/* returns the run's id */
extern void check_run_result(int64 run_id, const CheckResult *result);
extern void check_run_end(int64 run_id, int64 lines, int64 wrong, const char *failure, double ms);

#endif
