/*
 * rehearse.c
 *		Runs `up`, `down` and new rules on sampled rows, and an UPDATE of a copy of them to learn what the whole would take.
 *
 * Owns no state. The sample is a repeatable one, read again for each question under the same snapshot. Values come from a sub-select that shows the
 * physical table with the hidden columns computed, under their own names: so the very texts of the sync trigger are run, `down` and the rules over it.
 * Everything runs as the table's owner, restricted, under the migration's settings, and each question in a subtransaction that is always rolled back, as is the copy that is
 * written.
 */
#include "base/compat.h"

#include "access/table.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "compile/expr.h"
#include "verify/rehearse.h"
#include "verify/verify.h"

#define SAMPLES 5				/* rows shown of each finding */
#define CHARS 200				/* of a value that is shown */
#define SEED 20260001			/* of the repeatable sample: any number */

/* A table under rehearsal */
typedef struct Stage
{
	const MigPlan *plan;
	const Table *table;
	Relation	rel;
	char	   *name;			/* qualified */
	char	   *key_sql;
	char	   *sample_sql;		/* "ONLY t AS t TABLESAMPLE …": FROM item */
	int			limit;
	char	   *failing;		/* " AND NOT ctid = ANY ('{…}')": rows whose up raises; "" */
	double		total;			/* rows of the table, estimated */
	int64		rows;			/* in the sample, those that fail included */
	List	   *results;		/* Rehearsal * */
	/* a question and its answer */
	const char *sql;
	SqlRows    *answer;
	double		ms;
} Stage;

/* Ask what the stage has in `sql`, as the table's owner. */
static void
ask(void *arg)
{
	Stage	   *s = arg;
	Identity	saved;

	owner_begin(&saved, s->rel->rd_rel->relowner, true);
	settings_apply(s->plan->settings);
	setting_set("row_security", "off");
	setting_set("jit", "off");
	s->answer = sql_query(s->sql);
	identity_end(&saved);
}

/* Ask; the error when it raises. What the user's functions write does not stay. */
static ErrorData *
try_ask(Stage *s, const char *sql)
{
	CHECK_FOR_INTERRUPTS();
	s->sql = sql;
	return txn_trial(ask, s);
}

/* Add a result. */
static Rehearsal *
add_result(Stage *s, const char *column, const char *finding, int64 found, char *sample, char *note)
{
	Rehearsal  *r = palloc0(sizeof(Rehearsal));

	r->relation = sql_qualified(s->table->schema, s->table->name);
	r->column = column;
	r->finding = finding;
	r->rows = s->rows;
	r->found = found;
	r->sample = sample;
	r->note = note;
	s->results = lappend(s->results, r);
	return r;
}

/* Does a new value come from an expression that runs on present rows? */
static bool
is_computed(const Column *c)
{
	return column_is_pair(c) && !c->dropped;
}

/* A sub-select of rows as the table will have them: hidden columns under their names. */
static char *
computed_sql(const Stage *s, const char *from)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfo(&buf, "(SELECT t.*, %s AS _mig_key", s->key_sql);
	foreach(lc, s->table->columns)
	{
		Column	   *c = lfirst(lc);

		if (is_computed(c))
			appendStringInfo(&buf, ", (%s) AS %s", expr_text(c->value, s->table->physical), c->hidden);
	}
	appendStringInfo(&buf, " FROM %s) AS t", from);
	return buf.data;
}

/* The sampled rows so, but those whose new values cannot be had. */
static char *
rows_sql(const Stage *s)
{
	return computed_sql(s, psprintf("%s WHERE true%s LIMIT %d OFFSET 0", s->sample_sql, s->failing, s->limit));
}

/* A column's value as short text. */
static char *
short_sql(const char *expression)
{
	return psprintf("pg_catalog.left((%s)::pg_catalog.text, %d)", expression, CHARS);
}

/* Count the sampled rows for which a condition is true, with samples of them. */
static void
count_rows(Stage *s, const char *column, const char *finding, const char *condition, const char *members, char *note)
{
	ErrorData  *error = try_ask(s, psprintf("SELECT pg_catalog.count(*), (pg_catalog.jsonb_agg(x.j) FILTER (WHERE x.n OPERATOR(pg_catalog.<=) %d))::pg_catalog.text"
											" FROM (SELECT pg_catalog.jsonb_build_object('key', t._mig_key%s) AS j, pg_catalog.row_number() OVER () AS n FROM %s WHERE %s) x",
											SAMPLES, members, rows_sql(s), condition));

	if (error)
		add_result(s, column, finding, s->rows, NULL, psprintf("cannot be looked at: %s", error->message));
	else
	{
		int64		found = pg_strtoint64(s->answer->v[0][0]);

		add_result(s, column, finding, found, s->answer->v[0][1], found > 0 ? note : NULL);
	}
}

/*
 * One row of the sample at a time: for which does an expression raise? Rows whose new values cannot be had are left out from
 * then on.
 */
static void
find_failures(Stage *s, const char *column, bool is_up, const char *expression)
{
	SqlRows    *places;
	StringInfoData samples;
	StringInfoData out;
	int64		failures = 0;
	ErrorData  *error = try_ask(s, psprintf("SELECT t.ctid, (%s)::pg_catalog.text, t.tableoid FROM %s WHERE true%s LIMIT %d", s->key_sql, s->sample_sql, s->failing, s->limit));

	if (error)
		ReThrowError(error);
	places = s->answer;
	initStringInfo(&samples);
	initStringInfo(&out);
	for (uint64 r = 0; r < places->n; r++)
	{
		const char *place = quote_literal_cstr(places->v[r][0]);
		const char *from = psprintf("ONLY %s AS t WHERE t.ctid OPERATOR(pg_catalog.=) %s", sql_relation_name(sql_oid(places->v[r][2])), place);

		error = try_ask(s, is_up ? psprintf("SELECT (%s)::pg_catalog.text FROM %s", expression, from) :
						psprintf("SELECT (%s)::pg_catalog.text FROM %s", expression, computed_sql(s, psprintf("%s OFFSET 0", from))));
		if (error == NULL)
			continue;
		if (failures++ < SAMPLES)
		{
			appendStringInfo(&samples, "%s{\"key\": %s, \"error\": ", samples.len ? ", " : "", places->v[r][1]);
			escape_json(&samples, error->message);
			appendStringInfoChar(&samples, '}');
		}
		appendStringInfo(&out, "%s(%s, %s)", out.len ? ", " : "", places->v[r][2], place);
		FreeErrorData(error);
	}
	if (is_up && out.len)
		s->failing = psprintf("%s AND (t.tableoid, t.ctid) OPERATOR(pg_catalog.<>) ALL (SELECT v.a::pg_catalog.oid, v.b::pg_catalog.tid FROM (VALUES %s) v (a, b))", s->failing, out.data);
	add_result(s, column, is_up ? "up fails" : "down fails", failures, samples.len ? psprintf("[%s]", samples.data) : NULL,
			   is_up ? "the migration does not become ready before these rows, or up, are corrected" :
			   "a client of the new version could not write such a value");
}

/* Run a column's `up` on every row of the sample. */
static void
try_up(Stage *s, const Column *c)
{
	const char *up = expr_text(c->value, s->table->physical);

	if (try_ask(s, psprintf("SELECT pg_catalog.count((x.v)::pg_catalog.text) FROM (SELECT (%s) AS v FROM %s WHERE true%s LIMIT %d OFFSET 0) x",
							up, s->sample_sql, s->failing, s->limit)))
		find_failures(s, c->name, true, up);
	else
		add_result(s, c->name, "up fails", 0, NULL, NULL);
}

/* Values that `up` turns into NULL. */
static void
find_nulls(Stage *s, const Column *c)
{
	const char *old = c->old_name ? psprintf("t.%s", quote_identifier(c->old_name)) : NULL;

	if (old)
		count_rows(s, c->name, "null", psprintf("%s IS NOT NULL AND t.%s IS NULL", old, c->hidden), psprintf(", 'old', %s", short_sql(old)),
				   "a value becomes NULL");
}

/* What `down` makes of what `up` has made. */
static void
try_round_trip(Stage *s, const Column *c)
{
	const char *old = psprintf("t.%s", quote_identifier(c->old_name));
	const char *down = expr_text(c->back, s->table->physical);
	const char *new = c->dropped ? "NULL" : psprintf("t.%s", c->hidden);

	if (try_ask(s, psprintf("SELECT pg_catalog.count((%s)::pg_catalog.text) FROM %s", down, rows_sql(s))))
	{
		find_failures(s, c->name, false, down);
		return;
	}
	add_result(s, c->name, "down fails", 0, NULL, NULL);
	count_rows(s, c->name, "lossy", psprintf("NOT ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(%s)::pg_catalog.record", old, down),
			   psprintf(", 'old', %s, 'new', %s, 'back', %s", short_sql(old), short_sql(new), short_sql(down)),
			   "down gives back another value: an old client sees it once a client of the new version has written the row");
}

/* Rows that break the new version's rules. */
static void
try_rules(Stage *s)
{
	ListCell   *lc;

	foreach(lc, s->table->rules)
	{
		const Rule *r = lfirst(lc);

		if (!r->filled && r->sql)
			count_rows(s, r->column ? r->column->name : r->name, "violates", psprintf("NOT (%s)", r->sql), "", "mig_complete would not go through before these rows are corrected");
	}
}

/* Copy the sample, and fill the copy: what the whole would take. Always rolled back. */
static void
fill_copy(void *arg)
{
	Stage	   *s = arg;
	char	   *copy = psprintf("mig._mig_rehearsal_%d", MyProcPid);
	Identity	saved;
	StringInfoData set;
	ListCell   *lc;
	instr_time	start;
	instr_time	took;

	initStringInfo(&set);
	admin_begin(&saved);
	(void) sql_exec_unpinned(psprintf("CREATE TABLE %s WITH (fillfactor = 45, autovacuum_enabled = off) AS SELECT t.* FROM %s AS t WITH NO DATA", copy, s->name), 0, NULL);
	foreach(lc, s->table->columns)
	{
		Column	   *c = lfirst(lc);

		if (!is_computed(c))
			continue;
		(void) sql_exec_unpinned(psprintf("ALTER TABLE %s ADD COLUMN %s %s%s", copy, c->hidden, type_sql(c->type, c->typmod), collate_sql(c->type, c->collation)), 0, NULL);
		appendStringInfo(&set, "%s%s = %s", set.len ? ", " : "", c->hidden, expr_text(c->value, s->table->physical));
	}
	(void) sql_exec_unpinned(psprintf("ALTER TABLE %s OWNER TO %s", copy, quote_identifier(GetUserNameFromId(s->rel->rd_rel->relowner, false))), 0, NULL);
	identity_end(&saved);
	owner_begin(&saved, s->rel->rd_rel->relowner, true);
	settings_apply(s->plan->settings);
	(void) sql_exec_unpinned(psprintf("INSERT INTO %s SELECT t.* FROM %s WHERE true%s LIMIT %d", copy, s->sample_sql, s->failing, s->limit), 0, NULL);
	INSTR_TIME_SET_CURRENT(start);
	(void) sql_exec_unpinned(psprintf("UPDATE %s AS t SET %s", copy, set.data), 0, NULL);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	s->ms = INSTR_TIME_GET_MILLISEC(took);
	identity_end(&saved);
}

/* How much wider rows become, and how long the whole table would take one worker at full duty. */
static void
estimate(Stage *s)
{
	StringInfoData sizes;
	ListCell   *lc;
	ErrorData  *error;
	double		rows = Max(s->rows, 1);

	initStringInfo(&sizes);
	foreach(lc, s->table->columns)
		if (is_computed(lfirst(lc)))
			appendStringInfo(&sizes, " + coalesce(pg_catalog.pg_column_size(t.%s), 0)", ((Column *) lfirst(lc))->hidden);
	if (sizes.len == 0)
		return;
	if (try_ask(s, psprintf("SELECT pg_catalog.sum(2%s) FROM %s", sizes.data, rows_sql(s))) == NULL && s->answer->v[0][0])
		add_result(s, NULL, "size", (int64) (atof(s->answer->v[0][0]) / rows * s->total), NULL, "bytes that the table's rows grow by, until the migration has ended");
	error = txn_trial(fill_copy, s);
	if (error)
		add_result(s, NULL, "time", 0, NULL, psprintf("cannot be told: %s", error->message));
	else
		add_result(s, NULL, "time", (int64) (s->ms / rows * s->total), NULL, "milliseconds that one worker fills rows for, without pauses");
}

/* Open a table, and choose its sample. */
static void
stage_open(Stage *s, int rows)
{
	double		pages;

	s->rel = table_open(s->table->relid, AccessShareLock);
	s->name = sql_qualified(s->table->schema, s->table->name);
	s->key_sql = verify_key_sql(s->rel);
	s->failing = "";
	s->limit = rows;
	pages = verify_table_pages(s->table->relid);
	s->total = atof(sql_textp("SELECT coalesce(sum(greatest(c.reltuples, 0)), 0) FROM pg_class c WHERE c.relkind = 'r' AND (c.oid = $1 OR c.oid IN"
							  " (WITH RECURSIVE f AS (SELECT inhrelid AS oid FROM pg_inherits WHERE inhparent = $1 UNION SELECT i.inhrelid FROM pg_inherits i JOIN f ON f.oid = i.inhparent) SELECT oid FROM f))",
							  P_oid(s->table->relid)));
	s->sample_sql = psprintf("%s AS t", s->name);
	if (s->total > 2.0 * rows && pages > 100)
		s->sample_sql = psprintf("%s TABLESAMPLE SYSTEM (%f) REPEATABLE (%d)", s->sample_sql, Min(100.0, Max(120.0 * rows / s->total, 100.0 * 2 / pages)), SEED);
	if (try_ask(s, psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM %s LIMIT %d) x", s->sample_sql, rows)) == NULL)
		s->rows = pg_strtoint64(s->answer->v[0][0]);
	s->total = Max(s->total, (double) s->rows);
}

/* Rehearse one table. */
static List *
rehearse_table(const MigPlan *plan, const Table *table, int rows)
{
	Stage		s = {.plan = plan,.table = table};
	ListCell   *lc;

	stage_open(&s, rows);
	foreach(lc, table->columns)
		if (is_computed(lfirst(lc)))
			try_up(&s, lfirst(lc));
	foreach(lc, table->columns)
	{
		const Column *c = lfirst(lc);

		if (is_computed(c))
			find_nulls(&s, c);
		if (column_is_pair(c) && c->old_name && c->back)
			try_round_trip(&s, c);
	}
	try_rules(&s);
	estimate(&s);
	table_close(s.rel, NoLock);
	return s.results;
}

List *
rehearse_plan(const MigPlan *plan, int rows)
{
	List	   *results = NIL;
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		const Table *t = lfirst(lc);

		if (!t->dropped && OidIsValid(t->relid))
			results = list_concat(results, rehearse_table(plan, t, rows));
	}
	return results;
}
