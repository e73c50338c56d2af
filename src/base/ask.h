/*
 * ask.h
 *		Queries that the user gives to decide something: run read-only, within a time, and with nothing left behind.
 */
#ifndef MIG_ASK_H
#define MIG_ASK_H

#include "base/sql.h"

/*
 * Run one as a role, restricted, under settings (a text[] literal, or NULL), in a subtransaction that is rolled back. NULL when it fails or takes longer than timeout_ms: then
 * *failure says why. Cancel and shutdown are raised.
 */
extern SqlRows *ask_query(Oid role, const char *settings, const char *sql, int timeout_ms, char **failure);

/* Its single value: "true", …; NULL for an SQL NULL, no row, or a failure; *failure says which. */
extern char *ask_value(Oid role, const char *settings, const char *sql, int timeout_ms, char **failure);

/*
 * Raise unless it compiles for that role, and is one SELECT: 22023 if it is anything else, or has more than `columns` columns (0: any); the parser's own otherwise. Returns
 * how many columns it has.
 */
extern int	ask_check(Oid role, const char *settings, const char *sql, int columns, const char *path);

#endif
