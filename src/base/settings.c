/*
 * settings.c
 *		Defines the extension's GUCs; sets others for a while.
 *
 * What a session may decide for the calls it makes is settable by anyone; what the launcher and its workers go by comes from the
 * configuration file. All are in alphabetical order.
 */
#include "base/compat.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"

#include "base/settings.h"

bool		mig_guard = true;
bool		mig_worker = true;
int			mig_max_workers = 2;
int			mig_lock_timeout = 500;
int			mig_lock_retries = 30;
int			mig_batch_pages = 256;
int			mig_chunk_target = 200;
int			mig_chunk_wal = 65536;
double		mig_drift_duty = 0.05;
int			mig_hibernate = 60000;
int			mig_hibernations = 5;
int			mig_lanes = 16;
int			mig_range_pages = 8192;
int			mig_naptime = 1000;
int			mig_nice = 10;
int			mig_on_held_horizon = 60 * 1000;
int			mig_own_statements = OWN_NOT;
char	   *mig_stop_before = NULL;

/* Define an integer setting. */
static void
define_int(const char *name, const char *what, const char *more, int *variable, int value, int min, int max,
		   GucContext context, int flags)
{
	DefineCustomIntVariable(name, what, more, variable, value, min, max, context, flags, NULL, NULL, NULL);
}

/* Define all settings, and reserve their prefix. */
void
settings_define(void)
{
	define_int("mig_control.batch_pages", "Pages that a task's first backfill transaction visits.", NULL,
			   &mig_batch_pages, 256, 1, 1048576, PGC_USERSET, 0);
	define_int("mig_control.chunk_target", "Time that one backfill transaction works.", "Its size follows it.",
			   &mig_chunk_target, 200, 1, 60 * 1000, PGC_USERSET, GUC_UNIT_MS);
	define_int("mig_control.chunk_wal", "WAL that one backfill transaction writes.", "Its size follows it.",
			   &mig_chunk_wal, 64 * 1024, 64, INT_MAX / 1024, PGC_USERSET, GUC_UNIT_KB);
	DefineCustomRealVariable("mig_control.drift_duty", "Share of the time in which versions that are in use are compared.", "0: they are not.",
							 &mig_drift_duty, 0.05, 0, 1, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("mig_control.guard", "Refuses DDL by hand on a table that is being migrated.", NULL,
							 &mig_guard, true, PGC_USERSET, 0, NULL, NULL, NULL);
	define_int("mig_control.hibernate", "How long a migration sleeps when a signal is beyond its critical limit.",
			   "Each further time it is twice as long, up to ten times this.",
			   &mig_hibernate, 60 * 1000, 1, 3600 * 1000, PGC_USERSET, GUC_UNIT_MS);
	define_int("mig_control.hibernations", "How often a migration sleeps so before it is paused.", NULL,
			   &mig_hibernations, 5, 0, 1000, PGC_USERSET, 0);
	define_int("mig_control.lanes", "Most lanes into which the backfill divides a page's rows.", NULL,
			   &mig_lanes, 16, 1, 128, PGC_USERSET, 0);
	define_int("mig_control.lock_retries", "Attempts to get the locks of a step before it fails.", NULL,
			   &mig_lock_retries, 30, 1, 100000, PGC_USERSET, 0);
	define_int("mig_control.lock_timeout", "Budget of one attempt over all the locks of a step.",
			   "Nobody who queues behind a migration waits for longer than this.",
			   &mig_lock_timeout, 500, 1, INT_MAX / 4, PGC_USERSET, GUC_UNIT_MS);
	define_int("mig_control.max_workers", "Workers that fill rows of one migration at the same time.", NULL,
			   &mig_max_workers, 2, 1, 64, PGC_SIGHUP, 0);
	define_int("mig_control.naptime", "Longest pause between two looks when there is nothing to do.", NULL,
			   &mig_naptime, 1000, 1, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("mig_control.nice", "By how much background workers lower their priority.", "As nice(1) counts: 0 not at all, 19 to the lowest.",
			   &mig_nice, 10, 0, 19, PGC_SIGHUP, 0);
	define_int("mig_control.on_held_horizon", "How long the backfill waits for a transaction, slot or standby that holds dead rows back.",
			   "For each of them at most so long; then it goes on, and the table grows. 0: it never waits. -1: for as long as it takes.",
			   &mig_on_held_horizon, 60 * 1000, -1, INT_MAX, PGC_USERSET, GUC_UNIT_MS);
	define_int("mig_control.own_statements", "Whose statements are being run: for the engine itself.", NULL,
			   &mig_own_statements, OWN_NOT, OWN_NOT, OWN_HIDDEN, PGC_SUSET, GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE);
	define_int("mig_control.range_pages", "Pages of a range, over which the backfill goes lane by lane.", NULL,
			   &mig_range_pages, 8192, 1, INT_MAX / 2, PGC_USERSET, 0);
	DefineCustomStringVariable("mig_control.stop_before", "Number of the step before which a migration stops (for tests).", NULL,
							   &mig_stop_before, "", PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomBoolVariable("mig_control.worker", "Lets the launcher start background workers.",
							 "When turned off, running workers stop at their next unit of work.",
							 &mig_worker, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("mig_control");
}

void
setting_set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
settings_own(OwnStatements whose)
{
	setting_set("mig_control.own_statements", whose == OWN_HIDDEN ? "2" : "1");
}

void
settings_apply(const char *literal)
{
	ArrayType  *settings;

	if (literal == NULL)
		return;
	settings = DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, pstrdup(literal), TEXTOID, -1));
	if (ARR_NDIM(settings) > 0)
		ProcessGUCArray(settings, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE);
}
