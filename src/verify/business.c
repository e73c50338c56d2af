/*
 * business.c
 *		Builds the one query of a business check, and runs it.
 *
 * Every kind of check becomes a query with the columns segment jsonb, old_value text, new_value text, ok boolean; both sides are read by that one statement, and so under
 * one snapshot. What has no answer (an error, no row, a NULL, a time-out) is not ok. It runs as the migration's owner, read-only, under the settings of its start.
 */
#include "base/compat.h"

#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/ask.h"
#include "compile/json_node.h"
#include "verify/business.h"

#define MOST_LINES 1000			/* of a run that are kept, besides those that are wrong */

/* A check while it is read */
typedef struct Reader
{
	const Migration *mig;
	const char *sql;			/* the user's own query; NULL */
	JsonNode   *spec;
	const char *old_from;		/* FROM items of both sides, alias t, with WHERE */
	const char *new_from;
	const char *segment;		/* SQL: jsonb of a row's segment */
	const char *group;			/* GROUP BY segment; the whole is there even if it has no rows */
} Reader;

/* Raise 22023 about a key of the spec. */
static void pg_attribute_noreturn()
refuse(const char *key, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("key \"%s\" of a check %s", key, what),
			 errhint("Kinds are assertion, compare, count, sum, nulls, top, checksum, orphans, unique and rows; docs/reference.md lists their keys.")));
}

/* A key's text; required. */
static const char *
text_of(const Reader *r, const char *key)
{
	const char *text = json_node_string(r->spec, key);

	if (text == NULL)
		refuse(key, "is missing");
	return text;
}

/* A key's list of texts: an array, or one alone; NIL when it is absent. */
static List *
list_of(const Reader *r, const char *key)
{
	JsonNode   *node = json_node_member(r->spec, key);
	List	   *list = NIL;
	ListCell   *lc;

	if (node == NULL || node->kind == JSON_KIND_NULL)
		return NIL;
	if (node->kind == JSON_KIND_STRING)
		return list_make1((char *) node->text);
	if (node->kind != JSON_KIND_ARRAY)
		refuse(key, "must be a string or an array of strings");
	foreach(lc, node->children)
	{
		JsonNode   *item = lfirst(lc);

		if (item->kind != JSON_KIND_STRING)
			refuse(key, "must be a string or an array of strings");
		list = lappend(list, (char *) item->text);
	}
	return list;
}

/* Texts as SQL: each in parentheses, with something before, commas between. */
static char *
join(List *texts, const char *format, const char *separator)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, texts)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(&buf, separator);
		for (const char *p = format; *p; p++)
		{
			if (*p == '@')
				appendStringInfo(&buf, "(%s\n)", (char *) lfirst(lc));
			else if (*p == '#')
				appendStringInfoString(&buf, quote_literal_cstr(lfirst(lc)));
			else
				appendStringInfoChar(&buf, *p);
		}
	}
	return buf.data;
}

/* What both sides are read from, and the segment of a row. */
static void
read_sides(Reader *r)
{
	const char *table = text_of(r, "table");
	const char *new_table = json_node_string(r->spec, "new_table");
	const char *where = json_node_string(r->spec, "where");
	List	   *by = list_of(r, "by");
	const char *condition = where ? psprintf(" WHERE (%s\n)", where) : "";

	r->old_from = psprintf("%s AS t%s", sql_qualified(r->mig->schema, table), condition);
	r->new_from = psprintf("%s AS t%s", sql_qualified(r->mig->version_schema, new_table ? new_table : table), condition);
	r->segment = by ? psprintf("jsonb_build_object(%s)", join(by, "#, @", ", ")) : "'{}'::jsonb";
	r->group = by ? "GROUP BY 1" : "GROUP BY ()";
}

/* Is the difference of two values small enough? */
static char *
compare_sql(const Reader *r)
{
	const char *tolerance = json_node_string(r->spec, "tolerance");
	JsonNode   *node = json_node_member(r->spec, "tolerance");
	char	   *end;
	double		value;
	bool		percent;

	if (node && node->kind == JSON_KIND_NUMBER)
		tolerance = node->text;
	if (tolerance == NULL)
		return "o.value IS NOT DISTINCT FROM n.value";
	value = strtod(tolerance, &end);
	percent = *end == '%';
	if (end == tolerance || end[percent ? 1 : 0] != '\0' || !(value >= 0) || value > 1e15)
		refuse("tolerance", "must be a number that is not negative, or a percentage like \"0.1%\"");
	return psprintf("coalesce(abs(o.value::numeric - n.value::numeric) <= %s'%.15g'::numeric%s, o.value IS NOT DISTINCT FROM n.value)",
					percent ? "abs(o.value::numeric) * " : "", value, percent ? " / 100" : "");
}

/* Two queries with columns segment and value, side by side. */
static char *
pair_sql(const Reader *r, const char *old_sql, const char *new_sql)
{
	return psprintf("WITH o AS MATERIALIZED (%s), n AS MATERIALIZED (%s)"
					" SELECT coalesce(o.segment, n.segment) AS segment, o.value AS old_value, n.value AS new_value, %s AS ok"
					" FROM o FULL JOIN n ON o.segment = n.segment ORDER BY 4, 1", old_sql, new_sql, compare_sql(r));
}

/* An aggregate of each side, by segment. */
static char *
aggregate_sql(const Reader *r, const char *old_value, const char *new_value)
{
	return pair_sql(r, psprintf("SELECT %s AS segment, (%s)::text AS value FROM %s %s", r->segment, old_value, r->old_from, r->group),
					psprintf("SELECT %s AS segment, (%s)::text AS value FROM %s %s", r->segment, new_value, r->new_from, r->group));
}

/* The same function of the column on each side; "@" stands for it. */
static char *
column_sql(const Reader *r, const char *function)
{
	const char *new_column = text_of(r, "column");
	const char *old_column = json_node_string(r->spec, "old");

	return aggregate_sql(r, join(list_make1((char *) (old_column ? old_column : new_column)), function, ""),
						 join(list_make1((char *) new_column), function, ""));
}

/* The most frequent values of a column: each is a segment of its own, its count the value. */
static char *
top_sql(const Reader *r)
{
	const char *new_column = text_of(r, "column");
	const char *old_column = json_node_string(r->spec, "old");
	JsonNode   *top = json_node_member(r->spec, "top");
	int			n = top && top->kind == JSON_KIND_NUMBER ? atoi(top->text) : 10;
	const char *side = "SELECT x.segment || jsonb_build_object('value', x.item) AS segment, x.n::text AS value FROM"
		" (SELECT %s AS segment, (%s\n)::text AS item, count(*) AS n, row_number() OVER (PARTITION BY %s ORDER BY count(*) DESC, (%s\n)::text) AS place FROM %s GROUP BY 1, 2) x WHERE x.place <= %d";

	if (n < 1 || n > 1000)
		refuse("top", "must be between 1 and 1000");
	if (old_column == NULL)
		old_column = new_column;
	return pair_sql(r, psprintf(side, r->segment, old_column, r->segment, old_column, r->old_from, n),
					psprintf(side, r->segment, new_column, r->segment, new_column, r->new_from, n));
}

/* A number that has to be nought in the new version, by segment. */
static char *
nought_sql(const Reader *r, const char *value)
{
	return psprintf("SELECT %s AS segment, NULL::text AS old_value, (%s)::text AS new_value, (%s) = 0 AS ok FROM %s %s ORDER BY 4, 1",
					r->segment, value, value, r->new_from, r->group);
}

/* "t.a, t.b" */
static char *
columns_sql(List *columns, const char *alias)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, columns)
		appendStringInfo(&buf, "%s%s.%s", foreach_current_index(lc) ? ", " : "", alias, quote_identifier(lfirst(lc)));
	return buf.data;
}

/* Rows of the new version that refer to nothing. */
static char *
orphans_sql(const Reader *r)
{
	List	   *columns = list_of(r, "columns");
	List	   *referenced = list_of(r, "referenced_columns");
	char	   *key = columns_sql(columns, "t");

	if (columns == NIL || list_length(columns) != list_length(referenced ? referenced : columns))
		refuse("columns", "and \"referenced_columns\" must name as many columns");
	return nought_sql(r, psprintf("count(*) FILTER (WHERE ROW(%s) IS NOT NULL AND NOT EXISTS (SELECT FROM %s AS r WHERE ROW(%s) = ROW(%s)))", key,
								  sql_qualified(r->mig->version_schema, text_of(r, "references")), columns_sql(referenced ? referenced : columns, "r"), key));
}

/* Rows of the new version whose values others have as well. */
static char *
unique_sql(const Reader *r)
{
	List	   *columns = list_of(r, "columns");
	char	   *key = columns_sql(columns, "t");

	if (columns == NIL)
		refuse("columns", "is missing");
	return nought_sql(r, psprintf("count(*) FILTER (WHERE ROW(%s) IS NOT NULL) - count(DISTINCT ROW(%s)) FILTER (WHERE ROW(%s) IS NOT NULL)", key, key, key));
}

/* The columns of a table's primary key. */
static List *
key_of(const Reader *r, const char *table)
{
	SqlRows    *rows = sql_queryp("SELECT a.attname FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = $2"
								  " JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) WHERE n.nspname = $1",
								  P_text(r->mig->schema), P_text(table));
	List	   *columns = NIL;

	for (uint64 n = 0; n < rows->n; n++)
		columns = lappend(columns, rows->v[n][0]);
	if (columns == NIL)
		refuse("key", "is missing, and the table has no primary key");
	return columns;
}

/* Rows, paired by their key, of which a condition over both versions (old, new) is not true: none. */
static char *
rows_sql(const Reader *r)
{
	const char *table = text_of(r, "table");
	const char *new_table = json_node_string(r->spec, "new_table");
	const char *where = json_node_string(r->spec, "where");
	List	   *key = list_of(r, "key");
	StringInfoData on;
	ListCell   *lc;

	if (key == NIL)
		key = key_of(r, table);
	initStringInfo(&on);
	foreach(lc, key)
		appendStringInfo(&on, "%sold.%s = new.%s", on.len ? " AND " : "", quote_identifier(lfirst(lc)), quote_identifier(lfirst(lc)));
	return psprintf("SELECT %s AS segment, NULL::text AS old_value, (count(*) FILTER (WHERE (%s\n) IS NOT TRUE))::text AS new_value, bool_and((%s\n) IS TRUE) IS NOT FALSE AS ok"
					" FROM %s AS old JOIN %s AS new ON %s%s %s ORDER BY 4, 1", r->segment, text_of(r, "holds"), text_of(r, "holds"),
					sql_qualified(r->mig->schema, table), sql_qualified(r->mig->version_schema, new_table ? new_table : table), on.data,
					where ? psprintf(" WHERE (%s\n)", where) : "", r->group);
}

/* The user's own query: its column of that name is the value, the others are the segment; one column alone needs no name. */
static char *
user_sql(const Reader *r, const char *sql, const char *name, const char *path)
{
	int			columns = ask_check(r->mig->owner, r->mig->settings, sql, 0, path);
	const char *literal = quote_literal_cstr(name);

	if (columns == 1)
		return psprintf("SELECT '{}'::jsonb AS segment, q.value::text AS value FROM (%s\n) AS q (value)", sql);
	(void) ask_check(r->mig->owner, r->mig->settings, psprintf("SELECT q.%s FROM (%s\n) AS q", name, sql), 0, path);
	return psprintf("SELECT x.j - %s AS segment, x.j ->> %s AS value FROM (SELECT to_jsonb(q) AS j FROM (%s\n) AS q) x", literal, literal, sql);
}

/* The user's query whose rows must all be true. */
static char *
assertion_sql(const Reader *r)
{
	return psprintf("SELECT u.segment, NULL::text AS old_value, u.value AS new_value, coalesce(u.value::boolean, false) AS ok FROM (%s) u ORDER BY 4, 1",
					user_sql(r, r->sql, "ok", "the check's query"));
}

static const char *const kinds[] = {"count", "sum", "nulls", "checksum", "top", "orphans", "unique", "rows"};

/* Is a word one of these? */
static bool
one_of(const char *word, const char *const *words, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

/* The check's one query. */
static char *
check_sql(Reader *r)
{
	const char *kind = json_node_string(r->spec, "kind");
	const char *new_sql = json_node_string(r->spec, "new");

	if (r->sql && kind == NULL)
		return new_sql ? pair_sql(r, user_sql(r, r->sql, "value", "the check's query"), user_sql(r, new_sql, "value", "key \"new\" of the check")) : assertion_sql(r);
	if (r->sql)
		refuse("kind", "and a query contradict each other");
	if (kind == NULL)
		refuse("kind", "is missing, and there is no query");
	if (!one_of(kind, kinds, lengthof(kinds)))
		refuse("kind", "is unknown");
	read_sides(r);
	if (strcmp(kind, "count") == 0)
		return aggregate_sql(r, "count(*)", "count(*)");
	if (strcmp(kind, "sum") == 0)
		return column_sql(r, "sum(@)");
	if (strcmp(kind, "nulls") == 0)
		return column_sql(r, "round(avg((@ IS NULL)::int), 6)");
	if (strcmp(kind, "checksum") == 0)
		return column_sql(r, "coalesce(sum(hashtextextended(@::text, 0)::numeric), 0) || '/' || count(@)");
	if (strcmp(kind, "top") == 0)
		return top_sql(r);
	if (strcmp(kind, "orphans") == 0)
		return orphans_sql(r);
	if (strcmp(kind, "unique") == 0)
		return unique_sql(r);
	return rows_sql(r);
}

/* Refuse keys that no check has. */
static void
check_keys(const Reader *r)
{
	static const char *const keys[] = {"kind", "new", "table", "new_table", "column", "columns", "old", "by", "where", "top", "tolerance", "timeout", "references", "referenced_columns", "holds", "key"};
	ListCell   *lc;

	foreach(lc, r->spec->children)
	{
		const char *key = ((JsonNode *) lfirst(lc))->key;

		if (!one_of(key, keys, lengthof(keys)))
			refuse(key, "is unknown");
	}
}

/* How long a check may take. */
static int
timeout_of(JsonNode *spec)
{
	const char *text = json_node_string(spec, "timeout");
	int			ms = BUSINESS_TIMEOUT_MS;

	if (text && (!parse_int(text, &ms, GUC_UNIT_MS, NULL) || ms < 1))
		refuse("timeout", "must be a time like \"10 s\"");
	return ms;
}

BusinessCheck *
business_check_read(const Migration *mig, const char *name, const char *sql, const char *spec)
{
	Reader		r = {.mig = mig,.sql = sql};
	BusinessCheck *check = palloc(sizeof(BusinessCheck));

	r.spec = json_node_parse(spec, "check", "");
	if (r.spec->kind != JSON_KIND_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a check's options must be a JSON object, not %s", json_kind_name(r.spec->kind))));
	check_keys(&r);
	(void) timeout_of(r.spec);
	check->name = pstrdup(name);
	check->spec = sql_textp("SELECT ($1 || jsonb_strip_nulls(jsonb_build_object('sql', $2)))::text", P_jsonb(spec), P_text(sql));
	check->sql = check_sql(&r);
	(void) ask_check(mig->owner, mig->settings, check->sql, 4, "the check");
	return check;
}

/* Error context callback of add_given. */
static void
given_context(void *arg)
{
	errcontext("%s.%s of the options", (char *) ((void **) arg)[0], (char *) ((void **) arg)[1]);
}

/* Add a check that options give. */
static void
add_given(const Migration *mig, const char *option, const char *name, const char *sql, const char *spec)
{
	void	   *arg[2] = {(void *) option, (void *) name};
	ErrorContextCallback callback = {error_context_stack, given_context, arg};

	error_context_stack = &callback;
	business_check_put(mig->id, business_check_read(mig, name, sql, spec));
	error_context_stack = callback.previous;
}

void
business_checks_given(const Migration *mig)
{
	SqlRows    *rows = sql_queryp("SELECT c.key, CASE jsonb_typeof(c.value) WHEN 'string' THEN c.value ->> 0 ELSE c.value ->> 'sql' END, CASE jsonb_typeof(c.value) WHEN 'object' THEN c.value - 'sql' WHEN 'string' THEN '{}' ELSE c.value END"
								  " FROM jsonb_each($1 -> 'checks') c ORDER BY 1", P_jsonb(mig->options));

	for (uint64 n = 0; n < rows->n; n++)
		add_given(mig, "checks", rows->v[n][0], rows->v[n][1], rows->v[n][2]);
	rows = sql_queryp("SELECT 'verify ' || v.key, jsonb_build_object('kind', 'rows', 'table', regexp_replace(v.key, '\\.[^.]*$', ''), 'holds', v.value)"
					  " FROM jsonb_each($1 -> 'verify') v ORDER BY 1", P_jsonb(mig->options));
	for (uint64 n = 0; n < rows->n; n++)
		add_given(mig, "verify", rows->v[n][0], NULL, rows->v[n][1]);
}

List *
business_check_run(const Migration *mig, const BusinessCheck *check, char **failure)
{
	int64		run = check_run_begin(mig->id, check->name);
	List	   *results = NIL;
	int64		wrong = 0;
	instr_time	start;
	instr_time	took;
	SqlRows    *rows;

	INSTR_TIME_SET_CURRENT(start);
	rows = ask_query(mig->owner, mig->settings, check->sql, timeout_of(json_node_parse(check->spec, "check", "")), failure);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	if (rows && rows->n == 0)
		*failure = pstrdup("it returned no row");
	for (uint64 n = 0; rows && n < rows->n; n++)
	{
		CheckResult *result = palloc(sizeof(CheckResult));

		result->segment = rows->v[n][0];
		result->old_value = rows->v[n][1];
		result->new_value = rows->v[n][2];
		result->ok = rows->v[n][3] && strcmp(rows->v[n][3], "t") == 0;
		wrong += result->ok ? 0 : 1;
		if (!result->ok || n < MOST_LINES)
			check_run_result(run, result);
		results = lappend(results, result);
	}
	check_run_end(run, list_length(results), wrong, *failure, INSTR_TIME_GET_MILLISEC(took));
	return results;
}
