/*
 * verify.c
 *		The divergence check: every pair of every row against the rule of the version that wrote it last.
 *
 * One SQL statement per block range, so one snapshot sees both sides: no lock is needed, and writes that go on raise no false alarm. Values are
 * compared by image (mig.differs), since = hides numeric scale, -0 and non-deterministic collations. A row that moves between two
 * ranges was written after the trigger was there, and so is in sync.
 */
#include "base/compat.h"

#include "access/table.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "store/task.h"
#include "store/transform.h"
#include "verify/verify.h"

#define CHECK_PAGES 2048		/* pages a range: some 10 ms of reading, one snapshot */
#define SAMPLES 20				/* of one range */

PG_FUNCTION_INFO_V1(mig_differs);

/* Type facts of mig.differs()'s arguments, looked up once per call site */
typedef struct ImageType
{
	int16		len;
	bool		byval;
} ImageType;

/* mig.differs(a, b): are two values of one type not the same image? NULLs are equal. */
PGDLLEXPORT Datum
mig_differs(PG_FUNCTION_ARGS)
{
	ImageType  *type = fcinfo->flinfo->fn_extra;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(PG_ARGISNULL(0) != PG_ARGISNULL(1));
	if (type == NULL)
	{
		type = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(ImageType));
		get_typlenbyval(get_fn_expr_argtype(fcinfo->flinfo, 0), &type->len, &type->byval);
		fcinfo->flinfo->fn_extra = type;
	}
	PG_RETURN_BOOL(!datum_image_eq(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), type->byval, type->len));
}

/* Name of a column, quoted. */
static const char *
column_name(Relation rel, AttrNumber att)
{
	return quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(rel), att - 1)->attname));
}

/* WHENs of one pair: its number when it differs, the negative when its value is missing. */
static void
pair_cases(StringInfo buf, Relation rel, const Pair *p, int i)
{
	char	   *state = psprintf("((coalesce(t." STATE_COLUMN ", 0)::pg_catalog.int8 >> %d) OPERATOR(pg_catalog.&) 3::pg_catalog.int8)", 2 * i);

	if (p->new_att != 0)
		appendStringInfo(buf, " WHEN %s = 0 THEN %d", state, -(i + 1));
	if (p->new_att != 0 && p->up_sql && p->up_verifiable)
		appendStringInfo(buf, " WHEN CASE WHEN %s IN (1, 2) THEN mig.differs(t.%s, (%s)) END THEN %d", state,
						 column_name(rel, p->new_att), p->up_sql, i + 1);
	if (p->old_att != 0 && p->down_sql && p->down_verifiable)
		appendStringInfo(buf, " WHEN CASE WHEN %s = 3 THEN mig.differs(t.%s, (%s)) END THEN %d", state,
						 column_name(rel, p->old_att), p->down_sql, i + 1);
}

/* jsonb of a row's key: its primary key, or its ctid. */
static char *
key_sql(Relation rel)
{
	Bitmapset  *key = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	StringInfoData buf;
	int			i = -1;

	initStringInfo(&buf);
	while ((i = bms_next_member(key, i)) >= 0)
	{
		AttrNumber	att = i + FirstLowInvalidHeapAttributeNumber;
		char	   *name = NameStr(TupleDescAttr(RelationGetDescr(rel), att - 1)->attname);

		appendStringInfo(&buf, "%s%s, t.%s", buf.len ? ", " : "", quote_literal_cstr(name), quote_identifier(name));
	}
	if (buf.len == 0)
		appendStringInfoString(&buf, "'ctid', t.ctid::text");
	return psprintf("pg_catalog.jsonb_build_object(%s)", buf.data);
}

/* CASE x of each pair's number: one of its sides (as text), or its name. */
static char *
by_pair(Relation rel, const Transform *tr, bool new_side, bool name)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "CASE abs(x._mig_bad) WHEN 0 THEN NULL::text");	/* no pair may have that side */
	for (int i = 0; i < tr->npairs; i++)
	{
		AttrNumber	att = new_side ? tr->pairs[i].new_att : tr->pairs[i].old_att;

		if (name)
			att = tr->pairs[i].old_att ? tr->pairs[i].old_att : tr->pairs[i].new_att;
		if (att == 0)
			continue;
		appendStringInfo(&buf, " WHEN %d THEN %s", i + 1,
						 name ? quote_literal_cstr(NameStr(TupleDescAttr(RelationGetDescr(rel), att - 1)->attname))
						 : psprintf("t.%s::text", column_name(rel, att)));
	}
	appendStringInfoString(&buf, " END");
	return buf.data;
}

/* The statement that checks a block range. It runs with schemas of users in search_path, so what they could match better is qualified. */
static char *
check_sql(Relation rel, const Transform *tr, int64 first, int64 end)
{
	StringInfoData cases;

	initStringInfo(&cases);
	for (int i = 0; i < tr->npairs; i++)
		pair_cases(&cases, rel, &tr->pairs[i], i);
	return psprintf("SELECT count(*), count(*) FILTER (WHERE x._mig_bad > 0), count(*) FILTER (WHERE x._mig_bad < 0),"
					" pg_catalog.jsonb_path_query_array(pg_catalog.jsonb_agg(CASE WHEN x._mig_bad <> 0 THEN pg_catalog.jsonb_build_object('key', %s, 'column', %s, 'kind',"
					"  CASE WHEN x._mig_bad > 0 THEN 'divergent' ELSE 'missing' END, 'old', left(%s, 200), 'new', left(%s, 200)) END)"
					"  FILTER (WHERE x._mig_bad <> 0), '$[0 to %d]')"
					" FROM (SELECT t.*, t.ctid, CASE%s ELSE 0 END AS _mig_bad FROM ONLY %s AS t WHERE t.ctid >= '(" INT64_FORMAT ",0)'"
					" AND t.ctid < '(" INT64_FORMAT ",0)' OFFSET 0) AS x CROSS JOIN LATERAL (SELECT x.*) AS t",
					key_sql(rel), by_pair(rel, tr, false, true), by_pair(rel, tr, false, false), by_pair(rel, tr, true, false),
					SAMPLES - 1, cases.data, sql_relation_name(RelationGetRelid(rel)), first, end);
}

/* One statement over a block range, as the table's owner under the settings that expressions were compiled with. */
static Findings
check_range(const Migration *mig, Relation rel, const Transform *tr, int64 first, int64 end)
{
	Findings	found = {0};
	Identity	saved;
	char	   *sql = check_sql(rel, tr, first, end);
	ArrayType  *settings;
	SqlRows    *rows;

	owner_begin(&saved, rel->rd_rel->relowner, true);
	settings = DatumGetArrayTypeP(OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(mig->settings), ObjectIdGetDatum(TEXTOID), Int32GetDatum(-1)));
	if (ARR_NDIM(settings) > 0)
		ProcessGUCArray(settings, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE);
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	rows = sql_query(sql);
	identity_end(&saved);
	found.checked = pg_strtoint64(rows->v[0][0]);
	found.divergent = pg_strtoint64(rows->v[0][1]);
	found.missing = pg_strtoint64(rows->v[0][2]);
	found.samples = rows->v[0][3];
	return found;
}

/* A check in a subtransaction, since a function may have been replaced by one that raises */
typedef struct TryCheck
{
	const Migration *mig;
	Relation	rel;
	const Transform *tr;
	int64		first;
	int64		end;
	Findings	found;
} TryCheck;

static void
try_check(void *arg)
{
	TryCheck   *c = arg;

	c->found = check_range(c->mig, c->rel, c->tr, c->first, c->end);
}

/* Check a block range; where that raises, halve it down to single pages, which then count as divergent as a whole. */
static Findings
check_or_bisect(const Migration *mig, Relation rel, const Transform *tr, int64 first, int64 end)
{
	TryCheck	c = {mig, rel, tr, first, end};
	ErrorData  *error;
	Findings	a;
	Findings	b;

	CHECK_FOR_INTERRUPTS();
	if (txn_try(try_check, &c, &error))
		return c.found;
	if (end - first <= 1)
	{
		c.found = (Findings) {0};
		c.found.divergent = 1;
		c.found.samples = sql_textp("SELECT pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('key', pg_catalog.jsonb_build_object('block', $1), 'column', '',"
									" 'kind', 'fails', 'old', NULL, 'new', $2))", P_int8(first), P_text(error->message));
		return c.found;
	}
	a = check_or_bisect(mig, rel, tr, first, first + (end - first) / 2);
	b = check_or_bisect(mig, rel, tr, first + (end - first) / 2, end);
	a.checked += b.checked;
	a.divergent += b.divergent;
	a.missing += b.missing;
	if (a.samples == NULL || b.samples == NULL)
		a.samples = a.samples ? a.samples : b.samples;
	else
		a.samples = sql_textp("SELECT $1 OPERATOR(pg_catalog.||) $2", P_jsonb(a.samples), P_jsonb(b.samples));
	return a;
}

/* Open a table, or say that it is gone. */
static Relation
open_table(Oid relid, const char *name)
{
	Relation	rel = try_table_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s of this migration is gone", name ? name : psprintf("with OID %u", relid)),
				 errhint("Call mig_rollback to end the migration.")));
	return rel;
}

/* JSON array of some keys of rows that violate a CHECK constraint of the table; NULL when none does or it cannot be told. */
char *
verify_violations(Oid relid, const char *constraint)
{
	Relation	rel = open_table(relid, NULL);
	Identity	saved;
	char	   *condition;
	char	   *keys = NULL;

	owner_begin(&saved, rel->rd_rel->relowner, true);
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	condition = sql_textp("SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conrelid = $1 AND conname = $2 AND contype = 'c'",
						  P_oid(relid), P_text(constraint));
	if (condition)
		keys = sql_text(psprintf("SELECT jsonb_agg(k) FROM (SELECT %s AS k FROM ONLY %s AS t WHERE NOT (%s) LIMIT 10) x",
								 key_sql(rel), sql_relation_name(relid), condition));
	identity_end(&saved);
	table_close(rel, NoLock);
	return keys;
}

Findings
verify_blocks(const Migration *mig, Oid relid, int64 first, int64 end)
{
	Relation	rel = open_table(relid, NULL);
	Findings	found = {0};

	if (end < 0)
		end = RelationGetNumberOfBlocks(rel);
	if (end > first)
		found = check_or_bisect(mig, rel, transform_get(rel), first, end);
	table_close(rel, NoLock);
	return found;
}

/* What tells a rewritten table from the one the ranges were made for; InvalidOid when it is gone. */
static Oid
relfilenode_of(Oid relid)
{
	char	   *node = sql_textp("SELECT relfilenode FROM pg_catalog.pg_class WHERE oid = $1", P_oid(relid));

	return node ? (Oid) strtoul(node, NULL, 10) : InvalidOid;
}

/* Make the ranges of a step: all blocks there are now. */
static Task *
make_task(const Migration *mig, const Step *step)
{
	Relation	rel = open_table(step->relid, step->relation);
	Task		task = {.migration_id = mig->id,.step_no = step->no,.relid = step->relid,.lanes = 1};

	task.relfilenode = rel->rd_rel->relfilenode;
	task.blocks = RelationGetNumberOfBlocks(rel);
	task.rows_total = (int64) Max(rel->rd_rel->reltuples, 0);
	table_close(rel, NoLock);
	task_create(&task, CHECK_PAGES, 0);
	return task_get(mig->id, step->no);
}

/* Keep samples of what was found. */
static void
record_findings(const Migration *mig, const Step *step, const Findings *found)
{
	SqlRows    *rows;

	task_counts(mig->id, step->no, found->divergent, found->missing);
	if (found->samples == NULL)
		return;
	rows = sql_queryp("SELECT s ->> 'column', s ->> 'key', s ->> 'kind', pg_catalog.format('old version: %s; new version: %s',"
					  " coalesce(s ->> 'old', 'NULL'), coalesce(s ->> 'new', 'NULL')) FROM pg_catalog.jsonb_array_elements($1) s",
					  P_jsonb(found->samples));
	for (uint64 r = 0; r < rows->n; r++)
		bad_row_add(mig->id, step->relid, rows->v[r][0], rows->v[r][1], rows->v[r][2], rows->v[r][3]);
}

UnitResult
verify_unit(const Migration *mig, const Step *step)
{
	Task	   *task = task_get(mig->id, step->no);
	List	   *ranges;
	Range	   *range;
	Findings	found;

	if (task == NULL || task->relfilenode != relfilenode_of(step->relid))
		task = make_task(mig, step);
	ranges = task_ranges(mig->id, step->no);
	if (ranges == NIL)
		return UNIT_END;
	range = linitial(ranges);
	found = verify_blocks(mig, step->relid, range->first_block, range->end_block);
	record_findings(mig, step, &found);
	range->next_block = range->end_block;
	range->state = RANGE_DONE;
	range_advance(range, found.checked);
	return UNIT_DONE;
}

void
verify_restart(const Migration *mig, const Step *step)
{
	(void) make_task(mig, step);
}
