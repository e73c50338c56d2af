/*
 * signal_option.c
 *		options.throttle: what it may say, and what it says.
 *
 * {"<signal>": limit | "off" | null | {"limit": …, "critical": …}, "query": "SELECT …", "standbys": ["name", …]}, or false: nothing paces. A limit is a number in
 * the signal's unit, or a text as settings take. Owns the parsed form of the text that was asked about last: readers ask many times about the same.
 */
#include "base/compat.h"

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "pace/signal.h"
#include "pace/signal_readers.h"

#define PATH	"options.throttle"
#define OFF		(-1)

/* Raise 22023 about a member. */
static void
refuse(const char *path, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s %s", path, what)));
}

/* The parsed form of a text; NULL for none. */
static Jsonb *
parse(const char *throttle)
{
	static char *text = NULL;
	static Jsonb *parsed = NULL;

	if (throttle == NULL)
		return NULL;
	if (text == NULL || strcmp(text, throttle) != 0)
	{
		Jsonb	   *fresh = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(throttle)));
		MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
		Jsonb	   *copy = (Jsonb *) PG_DETOAST_DATUM_COPY(PointerGetDatum(fresh));
		char	   *key = pstrdup(throttle);

		MemoryContextSwitchTo(context);
		if (text)
		{
			pfree(text);
			pfree(parsed);
		}
		text = key;
		parsed = copy;
	}
	return parsed;
}

/* Is it false as a whole? */
static bool
is_unpaced(Jsonb *jb)
{
	JsonbValue	v;

	return JB_ROOT_IS_SCALAR(jb) && JsonbExtractScalar(&jb->root, &v) && v.type == jbvBool && !v.val.boolean;
}

/* A member of an object; NULL when it is absent or null. */
static JsonbValue *
member(JsonbContainer *object, const char *name)
{
	JsonbValue *v = JsonContainerIsObject(object) ? getKeyJsonValueFromContainer(object, name, strlen(name), NULL) : NULL;

	return v && v->type != jbvNull ? v : NULL;
}

/* A JSON string as a C string. */
static char *
string_of(const JsonbValue *v)
{
	return pnstrdup(v->val.string.val, v->val.string.len);
}

/* A limit that stands at a path: a number, a text with a unit, or "off". */
static double
limit_value(const char *path, const JsonbValue *v, const Signal *s)
{
	double		value = 0;
	const char *hint = NULL;

	if (v->type == jbvNumeric)
		value = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(v->val.numeric)));
	else if (v->type == jbvString)
	{
		if (pg_strcasecmp(string_of(v), "off") == 0)
			return OFF;
		if (!parse_real(string_of(v), &value, signal_unit_flags(s), &hint))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s is no limit: \"%s\"", path, string_of(v)),
					 errhint("%s", hint ? hint : "Give a number, or \"off\".")));
	}
	else
		refuse(path, "must be a number, a string or null");
	if (!(value >= 0 && value <= 1e18))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 0 and 1e18, not %g", path, value),
				 errhint("\"off\" switches a signal off; null takes it back to the setting.")));
	return value;
}

double
throttle_limit(const char *throttle, const Signal *s, bool critical, double otherwise)
{
	Jsonb	   *jb = parse(throttle);
	JsonbValue *v;

	if (jb == NULL)
		return otherwise;
	if (is_unpaced(jb))
		return OFF;
	v = member(&jb->root, s->name);
	if (v && v->type == jbvString && pg_strcasecmp(string_of(v), "off") == 0)
		return OFF;
	if (v && v->type == jbvBinary)
		v = member(v->val.binary.data, critical ? "critical" : "limit");
	else if (critical)
		v = NULL;
	return v ? limit_value(PATH, v, s) : otherwise;
}

char *
throttle_query(const char *throttle)
{
	Jsonb	   *jb = parse(throttle);
	JsonbValue *v = jb ? member(&jb->root, "query") : NULL;

	return v && v->type == jbvString ? string_of(v) : NULL;
}

char **
throttle_standbys(const char *throttle, int *n)
{
	Jsonb	   *jb = parse(throttle);
	JsonbValue *v = jb ? member(&jb->root, "standbys") : NULL;
	char	  **names;

	if (v == NULL || v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data))
		return NULL;
	*n = JsonContainerSize(v->val.binary.data);
	names = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		names[i] = string_of(getIthJsonbValueFromContainer(v->val.binary.data, i));
	return names;
}

/* Check the members of a signal's object. */
static void
check_object(const char *path, JsonbContainer *object, const Signal *s)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue	v;
	double		limit = OFF;
	double		critical = OFF;
	int			token;

	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *key;
		char	   *place;

		if (token != WJB_KEY)
			continue;
		key = string_of(&v);
		place = psprintf("%s.%s", path, key);
		(void) JsonbIteratorNext(&it, &v, true);
		if (strcmp(key, "limit") != 0 && strcmp(key, "critical") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown key %s", place),
					 errhint("A signal takes a limit, or an object with limit and critical.")));
		if (v.type != jbvNull)
			*(key[0] == 'l' ? &limit : &critical) = limit_value(place, &v, s);
	}
	if (limit >= 0 && critical >= 0 && (s->floor ? critical > limit : critical < limit))
		refuse(psprintf("%s.critical", path), s->floor ? "must not be above the limit" : "must not be below the limit");
}

/* Check the names of standbys. */
static void
check_standbys(JsonbValue *v)
{
	JsonbContainer *array = v->type == jbvBinary ? v->val.binary.data : NULL;

	if (array == NULL || !JsonContainerIsArray(array))
		refuse(PATH ".standbys", "must be an array of names");
	for (int i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbValue *name = getIthJsonbValueFromContainer(array, i);

		if (name->type != jbvString || name->val.string.len == 0)
			refuse(psprintf(PATH ".standbys[%d]", i), "must be a name");
	}
}

/* The signal of that name; raises when there is none. */
static const Signal *
find_signal(const char *name)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int n = 0; n < nsignals; n++)
	{
		if (strcmp(signals[n].name, name) == 0)
			return &signals[n];
		appendStringInfo(&names, "%s, ", signals[n].name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown signal %s.%s", PATH, name),
			 errhint("Signals are: %sand there is standbys.", names.data)));
	return NULL;				/* keep compiler quiet */
}

/* Check one member of options.throttle. */
static void
check_member(const char *key, JsonbValue *v, Oid owner, const char *settings)
{
	char	   *path = psprintf(PATH ".%s", key);

	if (strcmp(key, "standbys") == 0)
	{
		if (v->type != jbvNull)
			check_standbys(v);
	}
	else if (strcmp(key, "query") == 0)
	{
		if (v->type == jbvString)
			query_check(string_of(v), owner, settings);
		else if (v->type != jbvNull)
			refuse(path, "must be a string: a query that returns one boolean");
	}
	else
	{
		const Signal *s = find_signal(key);

		if (v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data))
			check_object(path, v->val.binary.data, s);
		else if (v->type != jbvNull)
			(void) limit_value(path, v, s);
	}
}

void
signals_check_options(const char *throttle, Oid owner, const char *settings)
{
	Jsonb	   *jb = throttle ? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(throttle))) : NULL;
	JsonbIterator *it;
	JsonbValue	v;
	int			token;

	if (jb == NULL || is_unpaced(jb))
		return;
	if (!JB_ROOT_IS_OBJECT(jb))
		refuse(PATH, "must be an object, or false");
	it = JsonbIteratorInit(&jb->root);
	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_KEY)
			continue;
		key = string_of(&v);
		(void) JsonbIteratorNext(&it, &v, true);
		check_member(key, &v, owner, settings);
	}
}
