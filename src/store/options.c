/*
 * options.c
 *		A migration's options: which there are, of what type, and their values.
 */
#include "base/compat.h"

#include "base/sql.h"
#include "store/options.h"
#include "store/state.h"

#define MOST_WORKERS 16			/* an owner of a table is not to take all of the server's slots */

char *
option_text(const char *options, const char *key)
{
	return sql_textp("SELECT $1 ->> $2", P_jsonb(options), P_text(key));
}

char *
options_over(const char *own, const char *options)
{
	return sql_textp("SELECT (coalesce($1, '{}') || coalesce($2, '{}'))::text", P_jsonb(own), P_jsonb(options));
}

/* The options there are: their JSON types, and whether mig_set may change them. */
static const struct
{
	const char *name;
	const char *types;
	bool		live;
}			known_options[] = {
	{"schema", "string", false},
	{"version_schema", "string", false},
	{"up", "object", false},
	{"down", "object", false},
	{"baseline", "boolean", false},
	{"subscribers", "string", false},
	{"hold", "array", true},
	{"operators", "array", true},
	{"workers", "number", true},
	{"batch", "number", true},
	{"throttle", "object", true},
	{"auto_complete", "boolean", true},
};

/* Check one option. */
static void
check_option(const char *name, const char *type, bool live)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(known_options); i++)
	{
		appendStringInfo(&names, "%s%s", i ? ", " : "", known_options[i].name);
		if (strcmp(known_options[i].name, name) != 0)
			continue;
		if (strcmp(type, known_options[i].types) != 0 && !(live && strcmp(type, "null") == 0))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" must be of JSON type %s, not %s", name, known_options[i].types, type)));
		if (live && !known_options[i].live)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" cannot be changed after the start", name)));
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown option \"%s\"", name),
			 errhint("Options are: %s.", names.data)));
}

/* Check the values of those options that have a range. */
static void
check_values(const char *options)
{
	char	   *workers = option_text(options, "workers");
	char	   *subscribers = option_text(options, "subscribers");

	if (workers && (strspn(workers, "0123456789") != strlen(workers) || strlen(workers) > 2 || atoi(workers) < 1 || atoi(workers) > MOST_WORKERS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"workers\" must be between 1 and %d, not %s", MOST_WORKERS, workers)));
	if (subscribers && strcmp(subscribers, "ready") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"subscribers\" can only be \"ready\", not \"%s\"", subscribers)));
}

void
options_check(const char *options, bool live)
{
	SqlRows    *rows = sql_queryp("SELECT key, jsonb_typeof(value) FROM jsonb_each($1)", P_jsonb(options));

	for (uint64 r = 0; r < rows->n; r++)
		check_option(rows->v[r][0], rows->v[r][1], live);
	rows = sql_queryp("SELECT h FROM jsonb_array_elements_text(CASE jsonb_typeof($1 -> 'hold') WHEN 'array' THEN $1 -> 'hold' ELSE '[]' END) h",
					  P_jsonb(options));
	for (uint64 r = 0; r < rows->n; r++)
		(void) phase_from_name(rows->v[r][0]);
	check_values(options);
}
