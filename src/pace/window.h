/*
 * window.h
 *		Windows of time in which a backfill may work: options.window.
 *
 * A list (or one alone) of cron expressions "minute hour day month weekday" (open in every minute that matches) and of objects {"days": "mon-fri", "from": "22:00",
 * "to": "06:00", "timezone": "America/Lima"}. A window over midnight belongs to the day on which it opens; equal ends mean a whole day; without a
 * time zone the server's (log_timezone's name is not meant: TimeZone of the migration's start). Wall-clock time decides, also across changes of daylight saving.
 */
#ifndef MIG_WINDOW_H
#define MIG_WINDOW_H

#include "postgres.h"
#include "datatype/timestamp.h"

typedef struct Windows Windows;

/* Parse and check; 22023 with the JSON path for what is malformed, an unknown time zone, and windows that never open. NULL text: NULL, always open. */
extern Windows *windows_parse(const char *json);
extern bool windows_open(const Windows *windows, TimestampTz at);
extern TimestampTz windows_next_change(const Windows *windows, TimestampTz from);	/* when it opens if closed, closes if open; infinity: never */
extern TimestampTz windows_add(const Windows *windows, TimestampTz from, double seconds);	/* when so much open time has passed */

#endif
