/*
 * window.c
 *		Windows of time in which a backfill may work.
 *
 * A window says on which days it opens, and in which minutes of such a day and of the day after it is open; a cron expression and a pair of times
 * are both read into that. Moments become wall-clock time by the server's own time zone tables. Between two changes of a zone's offset wall-clock time runs evenly,
 * so the next change of a window is found by going from one flip of its minutes, midnight or change of offset to the next.
 */
#include "base/compat.h"

#include <ctype.h>
#include <math.h>

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/sql.h"
#include "compile/json_node.h"
#include "pace/window.h"
#include "store/options.h"

#define DAY_MINUTES		1440
#define HORIZON			(INT64CONST(9) * 366 * 86400)	/* seconds in which a window opens or never does: a leap day comes within 8 years */
#define MOST_CHANGES	100000	/* that windows_add() goes through */
#define ROOT			"options.window"

typedef struct Window
{
	pg_tz	   *zone;
	bool		months[13];
	bool		monthdays[32];
	bool		weekdays[7];	/* 0: Sunday */
	bool		either;			/* day of the month and weekday are both restricted: one of them is enough */
	bool		minutes[2][DAY_MINUTES];	/* of a day that matches, and of the one after it */
} Window;

struct Windows
{
	List	   *list;			/* Window * */
};

/* A field of a cron expression: its values, and their names if they have any */
typedef struct Field
{
	const char *what;
	int			low;
	int			high;
	const char *names;			/* of three letters each, from 0 */
} Field;

static const Field minute_field = {"minute", 0, 59, NULL};
static const Field hour_field = {"hour", 0, 23, NULL};
static const Field monthday_field = {"day of the month", 1, 31, NULL};
static const Field month_field = {"month", 1, 12, "   janfebmaraprmayjunjulaugsepoctnovdec"};
static const Field weekday_field = {"weekday", 0, 7, "sunmontuewedthufrisat"};

/* Moves past a number or a name of a field; -1 if there is none, or it is not in range. */
static int
read_value(const char **p, const Field *field)
{
	int			n = 0;

	if (isdigit((unsigned char) **p))
	{
		for (; isdigit((unsigned char) **p); (*p)++)
			n = Min(n * 10 + (**p - '0'), 1000);
		return n >= field->low && n <= field->high ? n : -1;
	}
	for (n = field->low; field->names && field->names[n * 3]; n++)
		if (pg_strncasecmp(*p, field->names + n * 3, 3) == 0)
		{
			*p += 3;
			return n;
		}
	return -1;
}

/* Reads one item of a field, "*", "3" or "1-5", the first and last also with a step, into set; false if it is none. */
static bool
read_item(const char *p, const Field *field, bool *set)
{
	bool		weekday = field == &weekday_field;
	int			first = field->low;
	int			last = weekday ? 6 : field->high;
	int			step = 1;
	bool		single = false;

	if (*p == '*')
		p++;
	else
	{
		if ((first = last = read_value(&p, field)) < 0)
			return false;
		single = *p != '-';
		if (!single)
		{
			p++;
			if ((last = read_value(&p, field)) < 0)
				return false;
		}
		if (last < first && weekday)	/* over the end of the week */
			last += 7;
	}
	if (*p == '/' && !single)
	{
		static const Field step_field = {"step", 1, 999, NULL};

		p++;
		if ((step = read_value(&p, &step_field)) < 0)
			return false;
	}
	if (*p != '\0' || last < first)
		return false;
	for (int n = first; n <= last; n += step)
		set[weekday ? n % 7 : n] = true;
	return true;
}

/* Reads a field, items with commas between them, into set. */
static void
read_field(const JsonNode *node, const char *text, const Field *field, bool *set)
{
	char	   *rest = pstrdup(text);

	while (rest)
	{
		char	   *item = rest;

		rest = strchr(item, ',');
		if (rest)
			*rest++ = '\0';
		if (!read_item(item, field, set))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is no %s at %s", item, field->what, json_node_path(node)),
					 errhint("A field is *, values or ranges from %d to %d%s, with commas between them; * and ranges may have a step: */15.",
							 field->low, field->high, field->names ? " or names of three letters" : "")));
	}
}

/* A cron expression: the days on which it opens, and the minutes. */
static void
read_cron(const JsonNode *node, Window *w)
{
	char	   *fields[5];
	int			n = 0;
	bool		minutes[60] = {false};
	bool		hours[24] = {false};
	char	   *rest = pstrdup(node->text);

	for (char *field = strtok_r(rest, " \t\n", &rest); field; field = strtok_r(NULL, " \t\n", &rest), n++)
		if (n < 5)
			fields[n] = field;
	if (n != 5)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cron expression has %d fields instead of 5 at %s", n, json_node_path(node)),
				 errhint("Its fields are minute, hour, day of the month, month and weekday; it is open in every minute that matches: \"* 22-23 * * mon-fri\".")));
	read_field(node, fields[0], &minute_field, minutes);
	read_field(node, fields[1], &hour_field, hours);
	read_field(node, fields[2], &monthday_field, w->monthdays);
	read_field(node, fields[3], &month_field, w->months);
	read_field(node, fields[4], &weekday_field, w->weekdays);
	w->either = fields[2][0] != '*' && fields[4][0] != '*';
	for (int m = 0; m < DAY_MINUTES; m++)
		w->minutes[0][m] = hours[m / 60] && minutes[m % 60];
}

/* A time of day, "22:00", as minutes since midnight; missing: that one. */
static int
read_time(const JsonNode *object, const char *key, int missing)
{
	JsonNode   *node = json_node_member(object, key);
	int			hours;
	int			minutes;
	int			end = 0;

	if (node == NULL)
		return missing;
	if (strspn(node->text, "0123456789:") != strlen(node->text) || strlen(node->text) > 5 || sscanf(node->text, "%d:%2d%n", &hours, &minutes, &end) != 2 ||
		node->text[end] != '\0' || node->text[end - 3] != ':' || minutes > 59 || hours * 60 + minutes > DAY_MINUTES - (key[0] == 'f'))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no time of day at %s", node->text, json_node_path(node)),
				 errhint("Write hours and minutes, \"22:30\"; \"to\" may be \"24:00\".")));
	return hours * 60 + minutes;
}

/* Days and a pair of times. */
static void
read_times(const JsonNode *object, Window *w)
{
	JsonNode   *days = json_node_member(object, "days");
	int			from = read_time(object, "from", 0);
	int			to = read_time(object, "to", DAY_MINUTES);

	read_field(days ? days : object, days ? days->text : "*", &weekday_field, w->weekdays);
	memset(w->monthdays, true, sizeof(w->monthdays));
	memset(w->months, true, sizeof(w->months));
	for (int m = 0; m < DAY_MINUTES; m++)
	{
		w->minutes[0][m] = from < to ? m >= from && m < to : m >= from;
		w->minutes[1][m] = from >= to && m < to;
	}
}

/* Checks the keys of an object, and that their values are strings. */
static void
check_keys(const JsonNode *object)
{
	bool		cron = json_node_member(object, "cron") != NULL;
	bool		times = false;
	ListCell   *lc;

	foreach(lc, object->children)
	{
		JsonNode   *member = lfirst(lc);
		bool		zone = strcmp(member->key, "timezone") == 0;
		bool		known = zone || strcmp(member->key, "cron") == 0;

		if (!known && (strcmp(member->key, "days") == 0 || strcmp(member->key, "from") == 0 || strcmp(member->key, "to") == 0))
			known = times = true;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown key \"%s\"%s", member->key, json_node_place(object)),
					 errhint("A window has \"days\", \"from\" and \"to\", or \"cron\"; and \"timezone\".")));
		if (member->kind != JSON_KIND_STRING)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must be a string, not %s", json_node_path(member), json_kind_name(member->kind))));
	}
	if (cron == times)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have either \"cron\" or some of \"days\", \"from\" and \"to\"", json_node_path(object))));
}

/* The time zone of an object; the session's if it names none. */
static pg_tz *
read_zone(const JsonNode *object)
{
	JsonNode   *node = object->kind == JSON_KIND_OBJECT ? json_node_member(object, "timezone") : NULL;
	pg_tz	   *zone = node ? pg_tzset(node->text) : session_timezone;

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown time zone \"%s\" at %s", node ? node->text : "", json_node_path(node ? node : object)),
				 errhint("pg_timezone_names lists them.")));
	return zone;
}

/* A wall-clock minute */
typedef struct LocalTime
{
	int			day;			/* Julian */
	int			minute;			/* since midnight */
	int			second;
} LocalTime;

/* What the clocks in a zone show. */
static LocalTime
local_time(pg_time_t t, const pg_tz *zone)
{
	struct pg_tm *tm = pg_localtime(&t, zone);

	if (tm == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return (LocalTime)
	{
		.day = date2j(tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday),
		.minute = tm->tm_hour * 60 + tm->tm_min,
		.second = tm->tm_sec
	};
}

/* Does a window open on that day? */
static bool
day_matches(const Window *w, int day)
{
	int			year;
	int			month;
	int			monthday;
	bool		weekday = w->weekdays[j2day(day)];

	j2date(day, &year, &month, &monthday);
	if (!w->months[month])
		return false;
	return w->either ? w->monthdays[monthday] || weekday : w->monthdays[monthday] && weekday;
}

/* Is a window open in a minute of a day, given whether it opens on that day and on the one before? */
static bool
minute_is_open(const Window *w, bool today, bool yesterday, int minute)
{
	return (today && w->minutes[0][minute]) || (yesterday && w->minutes[1][minute]);
}

/* Is a window open? */
static bool
window_is_open(const Window *w, pg_time_t t)
{
	LocalTime	l = local_time(t, w->zone);

	return minute_is_open(w, day_matches(w, l.day), day_matches(w, l.day - 1), l.minute);
}

/* The end of the time from t on in which nothing can change: a flip of the day's minutes, midnight, or a change of the zone's offset. */
static pg_time_t
end_of_stretch(const Window *w, pg_time_t t)
{
	LocalTime	l = local_time(t, w->zone);
	bool		today = day_matches(w, l.day);
	bool		yesterday = day_matches(w, l.day - 1);
	bool		open = minute_is_open(w, today, yesterday, l.minute);
	int			minute = l.minute + 1;
	pg_time_t	end;
	pg_time_t	boundary;
	long int	offset;
	int			dst;

	while (minute < DAY_MINUTES && minute_is_open(w, today, yesterday, minute) == open)
		minute++;
	end = t - l.second + (pg_time_t) (minute - l.minute) * 60;
	if (pg_next_dst_boundary(&t, &offset, &dst, &boundary, &offset, &dst, w->zone) == 1 && boundary > t && boundary < end)
		end = boundary;
	return end;
}

/* When a window opens or closes next; limit if not before. */
static pg_time_t
window_flip(const Window *w, pg_time_t t, pg_time_t limit)
{
	bool		open = window_is_open(w, t);

	while (t < limit)
	{
		CHECK_FOR_INTERRUPTS();
		t = end_of_stretch(w, t);
		if (window_is_open(w, t) != open)
			return Min(t, limit);
	}
	return limit;
}

/* A window from a string or an object of the option; raises when it never opens. */
static Window *
window_from(const JsonNode *node)
{
	Window	   *w = palloc0(sizeof(Window));
	pg_time_t	now = timestamptz_to_time_t(GetCurrentTimestamp());

	if (node->kind == JSON_KIND_STRING)
		read_cron(node, w);
	else if (node->kind == JSON_KIND_OBJECT)
	{
		check_keys(node);
		if (json_node_member(node, "cron"))
			read_cron(json_node_member(node, "cron"), w);
		else
			read_times(node, w);
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a cron expression or an object, not %s", json_node_path(node), json_kind_name(node->kind))));
	w->zone = read_zone(node);
	if (!window_is_open(w, now) && window_flip(w, now, now + HORIZON) == now + HORIZON)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the window never opens at %s", json_node_path(node)),
				 errdetail("No date matches both its day and its month.")));
	return w;
}

Windows *
windows_parse(const char *json)
{
	JsonNode   *root;
	Windows    *windows;
	ListCell   *lc;

	if (json == NULL)
		return NULL;
	root = json_node_parse(json, ROOT, ROOT);
	if (root->kind == JSON_KIND_NULL)
		return NULL;
	windows = palloc0(sizeof(Windows));
	if (root->kind != JSON_KIND_ARRAY)
		windows->list = list_make1(window_from(root));
	else if (root->children == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the window never opens at %s", ROOT),
				 errdetail("The list is empty."),
				 errhint("null is no window: always open.")));
	else
		foreach(lc, root->children)
			windows->list = lappend(windows->list, window_from(lfirst(lc)));
	return windows;
}

char *
windows_settle(const char *json)
{
	if (windows_parse(json) == NULL)
		return NULL;
	return sql_textp("SELECT jsonb_agg(jsonb_build_object('timezone', $2) || CASE jsonb_typeof(w) WHEN 'string' THEN jsonb_build_object('cron', w) ELSE w END"
					 " ORDER BY n)::text"
					 " FROM jsonb_array_elements(CASE jsonb_typeof($1) WHEN 'array' THEN $1 ELSE jsonb_build_array($1) END) WITH ORDINALITY e (w, n)",
					 P_jsonb(json), P_text(pg_get_timezone_name(session_timezone)));
}

/* Is one of them open? No windows: always. */
static bool
is_open(const Windows *windows, pg_time_t t)
{
	ListCell   *lc;

	if (windows == NULL)
		return true;
	foreach(lc, windows->list)
		if (window_is_open(lfirst(lc), t))
			return true;
	return false;
}

/* When they open or close next, taken together; limit if not before. flipped, if given: the one that did. */
static pg_time_t
flip(const Windows *windows, pg_time_t t, pg_time_t limit, Window **flipped)
{
	bool		open = is_open(windows, t);
	ListCell   *lc;

	if (windows == NULL)
		return limit;
	while (t < limit)
	{
		pg_time_t	next = limit;

		foreach(lc, windows->list)
		{
			pg_time_t	own = window_flip(lfirst(lc), t, next);

			if (own < next && flipped)
				*flipped = lfirst(lc);
			next = own;
		}
		t = next;
		if (t < limit && is_open(windows, t) != open)
			return t;
	}
	return limit;
}

/* A moment in whole seconds; 22008 for an infinite one. */
static pg_time_t
whole_seconds(TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return timestamptz_to_time_t(at);
}

bool
windows_open(const Windows *windows, TimestampTz at)
{
	return is_open(windows, whole_seconds(at));
}

TimestampTz
windows_next_change(const Windows *windows, TimestampTz from)
{
	pg_time_t	t = whole_seconds(from);
	pg_time_t	next = flip(windows, t, t + HORIZON, NULL);

	return next == t + HORIZON ? DT_NOEND : time_t_to_timestamptz(next);
}

TimestampTz
windows_add(const Windows *windows, TimestampTz from, double seconds)
{
	pg_time_t	t = whole_seconds(from);
	pg_time_t	limit = t + HORIZON;

	if (!(seconds < HORIZON))	/* nor is it a number */
		return DT_NOEND;
	if (seconds <= 0)
		return from;
	if (windows == NULL)
		return from + (int64) (seconds * USECS_PER_SEC);
	if (is_open(windows, t))	/* from the whole second on */
		seconds += (from - time_t_to_timestamptz(t)) / (double) USECS_PER_SEC;
	for (int changes = 0; t < limit && changes < MOST_CHANGES; changes++)
	{
		bool		open = is_open(windows, t);
		pg_time_t	next = flip(windows, t, open ? Min(t + (pg_time_t) ceil(seconds), limit) : limit, NULL);

		CHECK_FOR_INTERRUPTS();
		if (open && next - t >= seconds)
			return time_t_to_timestamptz(t) + (int64) (seconds * USECS_PER_SEC);
		if (open)
			seconds -= next - t;
		t = next;
	}
	return DT_NOEND;
}

char *
windows_reason(const Windows *windows, TimestampTz at)
{
	pg_time_t	t = whole_seconds(at);
	pg_time_t	opens;
	Window	   *w = NULL;
	char		text[64];

	if (is_open(windows, t))
		return NULL;
	opens = flip(windows, t, t + HORIZON, &w);
	if (w == NULL || opens == t + HORIZON)
		return pstrdup("the window never opens again");
	pg_strftime(text, sizeof(text), "%Y-%m-%d %H:%M", pg_localtime(&opens, w->zone));
	return psprintf("the window is closed until %s %s", text, pg_get_timezone_name(w->zone));
}

char *
window_reason(const Migration *mig, TimestampTz now)
{
	static MemoryContext context = NULL;
	static char *parsed = NULL;
	static Windows *windows;
	char	   *json = option_json(mig->in_effect, "window");

	if (json == NULL)
		return NULL;
	if (parsed == NULL || strcmp(parsed, json) != 0)
	{
		MemoryContext caller;

		if (context == NULL)
			context = AllocSetContextCreate(TopMemoryContext, "mig_control windows", ALLOCSET_SMALL_SIZES);
		parsed = NULL;			/* in case this raises */
		MemoryContextReset(context);
		caller = MemoryContextSwitchTo(context);
		windows = windows_parse(json);
		parsed = pstrdup(json);
		MemoryContextSwitchTo(caller);
	}
	return windows_reason(windows, now);
}
