/*
 * business.h
 *		Business checks: does the new version mean the same as the old one, in the user's own terms, as a whole and for each segment?
 */
#ifndef MIG_BUSINESS_H
#define MIG_BUSINESS_H

#include "store/proof.h"
#include "store/state.h"

#define BUSINESS_TIMEOUT_MS 60000	/* of one check, unless its spec says otherwise */

/* Read a check (sql: the user's query or NULL; spec: its JSON object), and compile it for the migration's owner. 22023 with the key for what is wrong. */
extern BusinessCheck *business_check_read(const Migration *mig, const char *name, const char *sql, const char *spec);

/* Add the checks that options.checks and options.verify give, of a migration whose version schema has been made. */
extern void business_checks_given(const Migration *mig);

/* Run it now, record the run, and return its lines (CheckResult *). *failure: NULL, or why there is no answer. */
extern List *business_check_run(const Migration *mig, const BusinessCheck *check, char **failure);

#endif
