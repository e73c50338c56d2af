/*
 * window.h
 *		Windows of time in which a backfill may work: options.window.
 *
 * A list (or one alone) of cron expressions "minute hour day month weekday" (open in every minute that matches) and of objects {"days": "mon-fri", "from": "22:00",
 * "to": "06:00", "timezone": "America/Lima"} or {"cron": "* 1-4 * * *", "timezone": …}. A window over midnight belongs to the day on which it opens; equal ends
 * mean a whole day. Wall-clock time decides, also across changes of daylight saving. Without a time zone the TimeZone of the session that gave the option is
 * meant: windows_settle() writes it down.
 */
#ifndef MIG_WINDOW_H
#define MIG_WINDOW_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "store/state.h"

typedef struct Windows Windows;

/* Parse and check; 22023 with the JSON path for what is malformed, an unknown time zone, and windows that never open. NULL text: NULL, always open. */
extern Windows *windows_parse(const char *json);
extern char *windows_settle(const char *json);	/* the same as a list of objects that name their time zone; raises as windows_parse() */
extern bool windows_open(const Windows *windows, TimestampTz at);
extern TimestampTz windows_next_change(const Windows *windows, TimestampTz from);	/* when it opens if closed, closes if open; infinity: never */
extern TimestampTz windows_add(const Windows *windows, TimestampTz from, double seconds);	/* when so much open time has passed; infinity: not within years */
extern char *windows_reason(const Windows *windows, TimestampTz at);	/* "the window is closed until 2026-11-22 22:00 America/Lima"; NULL: open */

/* The same for a migration's options in effect; the parsed windows are kept. */
extern char *window_reason(const Migration *mig, TimestampTz now);

#endif
