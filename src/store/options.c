/*
 * options.c
 *		A migration's options: which there are, of what type, and their values.
 */
#include "base/compat.h"

#include "utils/float.h"

#include "base/sql.h"
#include "base/txn.h"
#include "store/drift.h"
#include "store/options.h"
#include "store/state.h"

#define MOST_WORKERS 16			/* an owner of a table is not to take all of the server's slots */
#define MOST_PAGES 1048576		/* as mig_control.batch_pages */
#define MOST_REPAIRS 1000000	/* in one transaction */

char *
option_text(const char *options, const char *key)
{
	return sql_textp("SELECT $1 ->> $2", P_jsonb(options), P_text(key));
}

char *
option_json(const char *options, const char *key)
{
	return sql_textp("SELECT nullif($1 -> $2, 'null')::text", P_jsonb(options), P_text(key));
}

/* An interval as text, and its seconds */
typedef struct Seconds
{
	const char *text;
	double		seconds;
} Seconds;

/* Read one. */
static void
read_seconds(void *arg)
{
	Seconds    *s = arg;
	char	   *seconds = sql_textp("SELECT extract(epoch FROM $1::interval)", P_text(s->text));

	s->seconds = float8in_internal(seconds, NULL, "double precision", seconds);
}

double
interval_seconds(const char *value)
{
	Seconds		s = {value, 0};

	return txn_trial(read_seconds, &s) == NULL ? s.seconds : get_float8_nan();
}

double
option_seconds(const char *value, const char *path)
{
	double		seconds = value ? interval_seconds(value) : -1;

	if (value && !(seconds >= 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be an interval of at least 0, not \"%s\"", path, value),
				 errhint("Write it as \"90 s\", \"2 hours\" or \"7 days\".")));
	return seconds;
}

char *
options_merge(const char *options, const char *changes)
{
	return sql_textp("SELECT mig.merge_options($1, $2)::text", P_jsonb(options), P_jsonb(changes));
}

char *
options_over(const char *own, const char *options)
{
	return sql_textp("SELECT (coalesce($1, '{}') || coalesce($2, '{}'))::text", P_jsonb(own), P_jsonb(options));
}

/* The options there are: their JSON types, and up to where they may be changed. */
static const struct
{
	const char *name;
	const char *types;
	OptionsUse	last;
}			known_options[] = {
	{"schema", "string", OPTIONS_START},
	{"version_schema", "string", OPTIONS_START},
	{"up", "object", OPTIONS_START},
	{"down", "object", OPTIONS_START},
	{"baseline", "boolean", OPTIONS_START},
	{"checks", "object", OPTIONS_START},
	{"verify", "object", OPTIONS_START},
	{"subscribers", "string", OPTIONS_START},
	{"hold", "array", OPTIONS_SET},
	{"operators", "array", OPTIONS_SET},
	{"approvers", "array", OPTIONS_SET},
	{"gates", "object", OPTIONS_SET},
	{"cooling_period", "string", OPTIONS_SET},
	{"auto_complete", "boolean", OPTIONS_SET},
	{"max_repairs", "number", OPTIONS_SET},
	{"abort_if", "object", OPTIONS_SET},
	{"drift", "object or boolean", OPTIONS_SET},
	{"workers", "number", OPTIONS_OVERRIDE},
	{"batch", "number", OPTIONS_OVERRIDE},
	{"throttle", "object or boolean", OPTIONS_OVERRIDE},
	{"window", "string, array or object", OPTIONS_OVERRIDE},
	{"on_held_horizon", "string or number", OPTIONS_OVERRIDE},
};

/* Check one option. */
static void
check_option(const char *name, const char *type, OptionsUse use)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(known_options); i++)
	{
		appendStringInfo(&names, "%s%s", i ? ", " : "", known_options[i].name);
		if (strcmp(known_options[i].name, name) != 0)
			continue;
		if (strstr(known_options[i].types, type) == NULL && !(use != OPTIONS_START && strcmp(type, "null") == 0))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" must be of JSON type %s, not %s", name, known_options[i].types, type)));
		if (use > known_options[i].last)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 known_options[i].last == OPTIONS_START ? errmsg("option \"%s\" cannot be changed after the start", name) :
					 errmsg("option \"%s\" cannot be overridden for a while", name),
					 known_options[i].last == OPTIONS_START ? 0 : errhint("mig_set changes it.")));
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown option \"%s\"", name),
			 errhint("Options are: %s.", names.data)));
}

/* Check an option that is a whole number. */
static void
check_number(const char *options, const char *name, int least, int most)
{
	char	   *value = option_text(options, name);

	if (value && (strspn(value, "0123456789") != strlen(value) || strlen(value) > 7 || atoi(value) < least || atoi(value) > most))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be between %d and %d, not %s", name, least, most, value)));
}

/* Check the values of those options that have a range. */
static void
check_values(const char *options)
{
	char	   *subscribers = option_text(options, "subscribers");

	check_number(options, "workers", 1, MOST_WORKERS);
	check_number(options, "batch", 1, MOST_PAGES);
	check_number(options, "max_repairs", 0, MOST_REPAIRS);
	drift_check_option(option_json(options, "drift"));
	if (subscribers && strcmp(subscribers, "ready") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"subscribers\" can only be \"ready\", not \"%s\"", subscribers)));
}

void
options_check(const char *options, OptionsUse use)
{
	SqlRows    *rows = sql_queryp("SELECT key, jsonb_typeof(value) FROM jsonb_each($1)", P_jsonb(options));

	for (uint64 r = 0; r < rows->n; r++)
		check_option(rows->v[r][0], rows->v[r][1], use);
	rows = sql_queryp("SELECT h FROM jsonb_array_elements_text(CASE jsonb_typeof($1 -> 'hold') WHEN 'array' THEN $1 -> 'hold' ELSE '[]' END) h",
					  P_jsonb(options));
	for (uint64 r = 0; r < rows->n; r++)
		(void) phase_from_name(rows->v[r][0]);
	check_values(options);
}
