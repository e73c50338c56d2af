/*
 * verify.c
 *		The divergence check: every pair of every row against the rule of the version that wrote it last.
 *
 * A block range is read under one snapshot, which sees both sides of each row: no lock is needed, and writes that go on raise no false alarm. Expressions are
 * the very ones that the sync trigger runs (store/transform.h), values are compared by image, since = hides numeric scale, -0 and
 * non-deterministic collations. A row that moves between two ranges was written after the trigger was there, and so is in sync.
 *
 * A table may consist of many relations (backfill/leaves.c): each is checked by itself.
 *
 * A range is checked by the session that holds its advisory lock RANGE, to the end of the transaction in which its counts are written.
 */
#include "base/compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "backfill/leaves.h"
#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "base/yield.h"
#include "pace/pace.h"
#include "store/expression.h"
#include "store/pass.h"
#include "store/transform.h"
#include "sync/mode.h"
#include "verify/seal.h"
#include "verify/verify.h"

#define CHECK_PAGES 2048		/* pages a range: some 10 ms of reading; of a snapshot at most */
#define LOCKED_MS 500			/* until a range of a locked relation is looked at again */
#define SAMPLE_CHARS 200		/* of a value in a sample */

/* A rule that is to be a constraint */
typedef struct CheckedRule
{
	char	   *name;			/* of its column, or its own */
	Expression *condition;
} CheckedRule;

/* Blocks under check */
typedef struct Check
{
	Relation	rel;
	const Transform *tr;
	const BlockRun *runs;
	int			nruns;
	TransactionId since;		/* rows of older ones are passed over; InvalidTransactionId: none are */
	bool		lost_only;		/* what counts is what the old side would lack */
	uint64		suspect;		/* then: rows that this transaction or a later one has written may not be what their state says; 0: all are */
	BadRows    *bad;			/* where those are to be kept that are wrong; NULL */
	int			bad_before;		/* how many it had */
	List	   *rules;			/* CheckedRule *: what will be constraints */
	AttrNumber *key;			/* columns of the primary key, to which digests are bound */
	int			nkey;
	bool		careful;		/* an expression may raise: note which rows it does for */
	MemoryContext row_context;	/* reset for each row */
	int			most;			/* samples to keep */
	bool		named;			/* samples tell the relation */
	StringInfoData samples;		/* JSON objects, comma-separated */
	Findings	found;
} Check;

/* What a pair's rule says of a row */
typedef enum Verdict
{
	HOLDS,
	MISSING,
	DIVERGENT,
	FAILS,
	VIOLATES
} Verdict;

static const char *const verdict_kinds[] = {
	[HOLDS] = "holds",
	[MISSING] = "missing",
	[DIVERGENT] = "divergent",
	[FAILS] = "fails",
	[VIOLATES] = "violates",
};

/* A column of the table checked. */
static Form_pg_attribute
column(const Check *c, AttrNumber att)
{
	return TupleDescAttr(RelationGetDescr(c->rel), att - 1);
}

/* Append "name": the value as text, cut off when it is long. */
static void
append_value(StringInfo json, const char *name, Oid type, Datum value, bool isnull)
{
	char	   *text;
	Oid			output;
	bool		varlena;

	appendStringInfo(json, ", \"%s\": ", name);
	if (isnull)
	{
		appendStringInfoString(json, "null");
		return;
	}
	getTypeOutputInfo(type, &output, &varlena);
	text = OidOutputFunctionCall(output, value);
	escape_json(json, pnstrdup(text, pg_mbcliplen(text, strlen(text), SAMPLE_CHARS)));
}

/* Append "name": a column's value in a row; nothing when there is no such column. */
static void
append_column(const Check *c, StringInfo json, const char *name, AttrNumber att, TupleTableSlot *row)
{
	bool		isnull;
	Datum		value;

	if (att == 0)
		return;
	value = slot_getattr(row, att, &isnull);
	append_value(json, name, column(c, att)->atttypid, value, isnull);
}

/* Begin a sample of a row: its key, and of what column or rule; false when there are enough. */
static bool
begin_sample(Check *c, const char *name, Verdict verdict, TupleTableSlot *row)
{
	StringInfo	json = &c->samples;

	/* a rule may be broken by most rows: half of the room is for the pairs */
	if (c->found.nsamples >= (verdict == VIOLATES ? c->most / 2 : c->most))
		return false;
	c->found.nsamples++;
	appendStringInfo(json, "%s{\"key\": %s, ", json->len ? ", " : "", sync_row_key(c->rel, row, &row->tts_tid));
	if (c->named)
	{
		appendStringInfoString(json, "\"relation\": ");
		escape_json(json, sql_relation_name(RelationGetRelid(c->rel)));
		appendStringInfoString(json, ", ");
	}
	appendStringInfoString(json, "\"column\": ");
	escape_json(json, name);
	appendStringInfo(json, ", \"kind\": \"%s\"", verdict_kinds[verdict]);
	return true;
}

/* Keep a sample of a pair that breaks its rule. */
static void
add_sample(Check *c, const Pair *p, Verdict verdict, TupleTableSlot *row, const char *detail)
{
	StringInfo	json = &c->samples;

	if (!begin_sample(c, NameStr(column(c, p->old_att ? p->old_att : p->new_att)->attname), verdict, row))
		return;
	append_column(c, json, "old", p->old_att, row);
	append_column(c, json, "new", p->new_att, row);
	appendStringInfo(json, "%s}", detail);
}

/* Is a column what an expression yields? *detail becomes JSON members that say what else. */
static Verdict
check_side(Check *c, AttrNumber att, Expression *expr, TupleTableSlot *row, char **detail)
{
	Form_pg_attribute a = column(c, att);
	bool		isnull;
	bool		is_null_now;
	Datum		now;
	Datum		value;
	char	   *error;
	StringInfoData json;

	if (!c->careful)
		value = transform_eval(expr, row, &isnull);
	else if (!transform_try(expr, row, &value, &isnull, &error))
	{
		initStringInfo(&json);
		appendStringInfoString(&json, ", \"error\": ");
		escape_json(&json, error);
		*detail = json.data;
		return FAILS;
	}
	now = slot_getattr(row, att, &is_null_now);
	if (isnull ? is_null_now : !is_null_now && datum_image_eq(now, value, a->attbyval, a->attlen))
		return HOLDS;
	initStringInfo(&json);
	append_value(&json, "expected", a->atttypid, value, isnull);
	*detail = json.data;
	return DIVERGENT;
}

/* Check one pair of a row. Pairs that are filled by nothing, and rules that cannot be verified, hold. */
static Verdict
check_pair(Check *c, const Pair *p, PairState state, TupleTableSlot *row, char **detail)
{
	switch (state)
	{
		case PAIR_UNTOUCHED:
			return p->up_sql && p->new_att ? MISSING : HOLDS;
		case PAIR_BACKFILLED:
		case PAIR_OLD:
			if (p->up && p->new_att && p->up_verifiable)
				return check_side(c, p->new_att, p->up, row, detail);
			break;
		case PAIR_NEW:
			if (p->down && p->old_att && p->down_verifiable)
				return check_side(c, p->old_att, p->down, row, detail);
			break;
	}
	return HOLDS;
}

/* The state bits of a row. */
static uint64
row_state(const Check *c, TupleTableSlot *row)
{
	bool		isnull;
	Datum		state = slot_getattr(row, c->tr->state_att, &isnull);

	if (isnull)
		return 0;
	switch (column(c, c->tr->state_att)->attlen)
	{
		case 2:
			return (uint64) DatumGetInt16(state);
		case 4:
			return (uint64) DatumGetInt32(state);
	}
	return (uint64) DatumGetInt64(state);
}

/* Does a row break a rule that is to be a constraint? One that comes out NULL holds, as with a CHECK. */
static bool
breaks_rule(Check *c, const CheckedRule *rule, TupleTableSlot *row)
{
	bool		isnull;
	Datum		holds;
	char	   *error = NULL;

	if (!c->careful)
		holds = transform_eval(rule->condition, row, &isnull);
	else if (!transform_try(rule->condition, row, &holds, &isnull, &error))
		isnull = false;
	if (error == NULL && (isnull || DatumGetBool(holds)))
		return false;
	if (begin_sample(c, rule->name, VIOLATES, row))
	{
		if (error)
		{
			appendStringInfoString(&c->samples, ", \"error\": ");
			escape_json(&c->samples, error);
		}
		appendStringInfoChar(&c->samples, '}');
	}
	return true;
}

/* Does it break any? */
static bool
breaks_rules(Check *c, TupleTableSlot *row)
{
	bool		breaks = false;
	ListCell   *lc;

	foreach(lc, c->rules)
		breaks = breaks_rule(c, lfirst(lc), row) || breaks;
	return breaks;
}

/* A hash of a word, bound to what came before: the finalizer of MurmurHash3 (Appleby, public domain). */
static inline uint64
hash_word(uint64 word, uint64 seed)
{
	word ^= seed * UINT64CONST(0x9E3779B97F4A7C15) + UINT64CONST(0x632BE59BD9B4E019);
	word = (word ^ (word >> 33)) * UINT64CONST(0xFF51AFD7ED558CCD);
	word = (word ^ (word >> 33)) * UINT64CONST(0xC4CEB9FE1A85EC53);
	return word ^ (word >> 33);
}

/* A hash of a column's value, by image, bound to what came before. */
static uint64
hash_column(const Check *c, AttrNumber att, TupleTableSlot *row, uint64 seed)
{
	Form_pg_attribute a = column(c, att);
	bool		isnull;
	Datum		value = slot_getattr(row, att, &isnull);
	struct varlena *v;

	if (isnull)
		return hash_word(0, ~seed);
	if (a->attbyval)
		return hash_word(value, seed);
	if (a->attlen != -1)
		return hash_bytes_extended((unsigned char *) DatumGetPointer(value), datumGetSize(value, false, a->attlen), seed);
	v = pg_detoast_datum_packed((struct varlena *) DatumGetPointer(value));
	return hash_bytes_extended((unsigned char *) VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v), seed);
}

/* Add a row's values on one side to that side's digest. */
static void
digest_add(Digest *digest, uint64 hash)
{
	digest->exclusive_or ^= hash;
	digest->sum += hash;
}

/* Add a row to the digests of both sides. */
static void
digest_row(Check *c, TupleTableSlot *row)
{
	uint64		key = 0;
	uint64		old;
	uint64		new;

	for (int i = 0; i < c->nkey; i++)
		key = hash_column(c, c->key[i], row, key);
	old = new = key;
	for (int i = 0; i < c->tr->npairs; i++)
	{
		const Pair *p = &c->tr->pairs[i];

		if (p->old_att)
			old = hash_column(c, p->old_att, row, old);
		if (p->new_att)
			new = hash_column(c, p->new_att, row, new);
	}
	digest_add(&c->found.old_side, old);
	digest_add(&c->found.new_side, new);
}

bool
verify_may_be_bypassed(TupleTableSlot *row, uint64 suspect)
{
	bool		isnull;
	TransactionId xmin;
	uint64		next;

	if (suspect == 0)
		return false;
	next = U64FromFullTransactionId(ReadNextFullTransactionId());
	xmin = DatumGetTransactionId(slot_getsysattr(row, MinTransactionIdAttributeNumber, &isnull));
	/* frozen rows keep the number of their transaction, but for those that pg_upgrade has brought from long ago */
	return next - suspect > PG_UINT32_MAX || xmin - (TransactionId) suspect < next - suspect;
}

/* Would a pair that is wrong be missed if there were only the old side? One that it wrote last is what it is there; unless the state may not tell. */
static bool
would_be_lost(const Check *c, const Pair *p, PairState state, Verdict verdict, TupleTableSlot *row)
{
	if (state == PAIR_NEW)
		return true;
	if (p->follows || p->new_att == 0 || !verify_may_be_bypassed(row, c->suspect))
		return false;
	return verdict == DIVERGENT || !slot_attisnull(row, p->new_att);
}

/* Keep the place of a row that is wrong, if somebody asked for it. */
static void
note_bad(Check *c, ItemPointer tid)
{
	BadRows    *bad = c->bad;

	if (bad == NULL || bad->n >= bad->most)
		return;
	if (bad->tids == NULL)
		bad->tids = MemoryContextAlloc(bad->context, sizeof(ItemPointerData) * (bad->room = 64));
	else if (bad->n == bad->room)
		bad->tids = repalloc_huge(bad->tids, sizeof(ItemPointerData) * (bad->room *= 2));
	bad->tids[bad->n++] = *tid;
}

/* Check a row; it counts once, whatever number of its pairs is wrong. */
static void
check_row(Check *c, TupleTableSlot *row)
{
	uint64		state = row_state(c, row);
	bool		missing = false;
	bool		divergent = false;

	for (int i = 0; i < c->tr->npairs; i++)
	{
		const Pair *p = &c->tr->pairs[i];
		PairState	is = (PairState) ((state >> (2 * i)) & 3);
		char	   *detail = "";
		Verdict		verdict = check_pair(c, p, is, row, &detail);

		if (verdict == HOLDS || (c->lost_only && !would_be_lost(c, p, is, verdict, row)))
			continue;
		missing |= verdict == MISSING;
		divergent |= verdict != MISSING;
		add_sample(c, p, verdict, row, detail);
	}
	c->found.checked++;
	c->found.missing += missing;
	c->found.divergent += divergent;
	if (divergent || (missing && c->bad && c->bad->missing))
		note_bad(c, &row->tts_tid);
	if (c->rules && !missing && breaks_rules(c, row))
		c->found.violating++;
	if (!TransactionIdIsValid(c->since))
		digest_row(c, row);
}

/* Was a row written before those that are to be checked? */
static bool
is_older(const Check *c, TupleTableSlot *row)
{
	bool		isnull;

	return TransactionIdIsValid(c->since) &&
		TransactionIdPrecedes(DatumGetTransactionId(slot_getsysattr(row, MinTransactionIdAttributeNumber, &isnull)), c->since);
}

/* Check all rows of some blocks that a snapshot sees. */
static void
check_run(Check *c, const BlockRun *run, Snapshot snapshot, TupleTableSlot *row)
{
	ItemPointerData min;
	ItemPointerData max;
	TableScanDesc scan;
	MemoryContext old;

	ItemPointerSet(&min, (BlockNumber) run->first, 1);
	ItemPointerSet(&max, (BlockNumber) (run->end - 1), MaxOffsetNumber);
	scan = table_beginscan_tidrange(c->rel, snapshot, &min, &max);
	old = MemoryContextSwitchTo(c->row_context);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		yield_processor();
		if (is_older(c, row))
			continue;
		check_row(c, row);
		MemoryContextReset(c->row_context);
	}
	MemoryContextSwitchTo(old);
	table_endscan(scan);
}

/* Check all rows of the blocks that the newest snapshot sees. */
static void
check_rows(void *arg)
{
	Check	   *c = arg;
	TupleTableSlot *row = table_slot_create(c->rel, NULL);

	PushActiveSnapshot(GetLatestSnapshot());
	for (int i = 0; i < c->nruns; i++)
		check_run(c, &c->runs[i], GetActiveSnapshot(), row);
	ExecDropSingleTupleTableSlot(row);
	PopActiveSnapshot();
}

/* Begin a check with nothing found yet. */
static void
check_reset(Check *c, bool careful)
{
	c->careful = careful;
	resetStringInfo(&c->samples);
	c->found = (Findings) {0};
	if (c->bad)
		c->bad->n = c->bad_before;
}

/* jsonb of a row's key: its primary key, or its ctid. */
char *
verify_key_sql(Relation rel)
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
	return psprintf("jsonb_build_object(%s)", buf.data);
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

/*
 * What is true for rows (t) that violate a CHECK or a foreign key; NULL when that cannot be told, or the current user may not look at the
 * referenced table.
 */
static char *
violation_sql(Oid relid, const char *constraint)
{
	return sql_textp("SELECT CASE k.contype WHEN 'c' THEN format('NOT (%s)', pg_get_expr(k.conbin, k.conrelid)) WHEN 'f' THEN"
					 " (SELECT CASE WHEN has_table_privilege(r.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AND NOT row_security_active(r.oid) THEN"
					 "   format('(%s) AND NOT EXISTS (SELECT FROM %s%I.%I x WHERE %s)',"
					 "   string_agg(format('t.%I IS NOT NULL', a.attname), CASE k.confmatchtype WHEN 'f' THEN ' OR ' ELSE ' AND ' END),"
					 "   CASE r.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, n.nspname, r.relname,"
					 "   string_agg(format('x.%I OPERATOR(%I.%s) t.%I%s', b.attname, o.oprnamespace::regnamespace, o.oprname, a.attname,"
					 "    CASE WHEN a.atttypid <> o.oprright AND y.typtype <> 'p' THEN format('::%s', format_type(o.oprright, NULL)) END), ' AND ')) END"
					 "  FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace CROSS JOIN unnest(k.conkey, k.confkey, k.conpfeqop) u(att, refatt, op)"
					 "  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.att JOIN pg_attribute b ON b.attrelid = r.oid AND b.attnum = u.refatt"
					 "  JOIN pg_operator o ON o.oid = u.op JOIN pg_type y ON y.oid = o.oprright WHERE r.oid = k.confrelid"
					 "  GROUP BY r.oid, r.relkind, r.relname, n.oid, n.nspname) END"
					 " FROM pg_constraint k WHERE k.conrelid = $1 AND k.conname = $2", P_oid(relid), P_text(constraint));
}

/* JSON array of some keys of rows that violate a CHECK or foreign key of the table; NULL when none does or it cannot be told. */
char *
verify_violations(Oid relid, const char *constraint)
{
	Relation	rel = open_table(relid, NULL);
	Identity	saved;
	char	   *condition;
	char	   *keys = NULL;

	owner_begin(&saved, rel->rd_rel->relowner, true);
	setting_set("search_path", "pg_catalog");
	setting_set("row_security", "off");
	condition = violation_sql(relid, constraint);
	if (condition)
		keys = sql_text(psprintf("SELECT jsonb_agg(k) FROM (SELECT %s AS k FROM %s%s AS t WHERE %s LIMIT 10) x", verify_key_sql(rel),
								 rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ", sql_relation_name(relid), condition));
	identity_end(&saved);
	table_close(rel, NoLock);
	return keys;
}

/* The rules that a step's query names as its columns (compile/plan_steps.c wrote it), compiled for a relation. */
static List *
compile_rules(Relation rel, const char *sql)
{
	SelectStmt *select = castNode(SelectStmt, linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT))->stmt);
	List	   *rules = NIL;
	ListCell   *lc;

	foreach(lc, select->targetList)
	{
		ResTarget  *target = lfirst_node(ResTarget, lc);
		CheckedRule *rule;

		if (target->name == NULL)
			continue;
		rule = palloc(sizeof(CheckedRule));
		rule->name = target->name;
		rule->condition = expression_compile_condition(rel, target->val);
		rules = lappend(rules, rule);
	}
	return rules;
}

/* Release what compiled rules have outside their memory context. */
static void
free_rules(List *rules)
{
	ListCell   *lc;

	foreach(lc, rules)
		expression_free(((CheckedRule *) lfirst(lc))->condition);
}

/* Learn which columns the primary key has. */
static void
find_key(Check *c)
{
	Bitmapset  *key = RelationGetIndexAttrBitmap(c->rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	int			i = -1;

	c->key = palloc(sizeof(AttrNumber) * Max(bms_num_members(key), 1));
	while ((i = bms_next_member(key, i)) >= 0)
		c->key[c->nkey++] = i + FirstLowInvalidHeapAttributeNumber;
}

/* Check blocks of a relation, which has them. rules: the step's query, NULL: none */
static Findings
check_blocks(Check *c, const char *rules, const BlockRun *runs, int nruns)
{
	ErrorData  *error;

	c->runs = runs;
	c->nruns = nruns;
	c->tr = transform_get(c->rel);
	c->row_context = AllocSetContextCreate(CurrentMemoryContext, "mig_control check", ALLOCSET_DEFAULT_SIZES);
	c->bad_before = c->bad ? c->bad->n : 0;
	initStringInfo(&c->samples);
	find_key(c);
	c->rules = rules ? compile_rules(c->rel, rules) : NIL;
	check_reset(c, false);
	if (!txn_try(check_rows, c, &error))
	{
		/* an expression raised, though it did not when the row was written: see for which rows */
		c->tr = transform_get(c->rel);
		check_reset(c, true);
		check_rows(c);
	}
	if (c->samples.len)
		c->found.samples = c->samples.data;
	free_rules(c->rules);
	MemoryContextDelete(c->row_context);
	return c->found;
}

/* Check the blocks from one to another, as far as there are such. */
static Findings
check_range_of(Check *c, const Step *check, int64 first, int64 end)
{
	BlockRun	run = {first, Min(end, RelationGetNumberOfBlocks(c->rel))};

	return check_blocks(c, check->sql, &run, run.end > run.first ? 1 : 0);
}

Findings
verify_blocks(const Step *check, Relation leaf, const BlockRun *runs, int nruns, TransactionId since)
{
	Check		c = {.rel = leaf,.since = since,.most = WATCH_SAMPLES};

	return check_blocks(&c, TransactionIdIsValid(since) ? NULL : check->sql, runs, nruns);
}

Findings
verify_leaf(const Step *check, Relation leaf, BadRows *bad)
{
	Check		c = {.rel = leaf,.bad = bad,.most = VERIFY_SAMPLES,.named = RelationGetRelid(leaf) != check->relid};

	return check_range_of(&c, check, 0, MaxBlockNumber);
}

Findings
verify_old_side(const Step *check, Relation leaf, const BlockRun *runs, int nruns, uint64 suspect)
{
	Check		c = {.rel = leaf,.lost_only = true,.suspect = suspect,.most = VERIFY_SAMPLES,.named = RelationGetRelid(leaf) != check->relid};

	return check_blocks(&c, NULL, runs, nruns);
}

Findings
verify_row(Relation leaf, TupleTableSlot *row, bool named)
{
	Check		c = {.rel = leaf,.careful = true,.most = VERIFY_SAMPLES,.named = named};

	c.tr = transform_get(leaf);
	initStringInfo(&c.samples);
	find_key(&c);
	check_row(&c, row);
	if (c.samples.len)
		c.found.samples = c.samples.data;
	return c.found;
}

Findings
verify_table(const Step *check)
{
	Findings	total = {0};
	StringInfoData samples;
	ListCell   *lc;

	initStringInfo(&samples);
	foreach(lc, leaves_of(check->relid))
	{
		Relation	leaf = try_table_open(lfirst_oid(lc), AccessShareLock);
		Findings	found;

		if (leaf == NULL)
			continue;
		found = verify_leaf(check, leaf, NULL);
		table_close(leaf, AccessShareLock);
		if (found.samples && total.nsamples < VERIFY_SAMPLES)
			appendStringInfo(&samples, "%s%s", total.nsamples ? ", " : "", found.samples);
		findings_add(&total, &found);
	}
	if (samples.len)
		total.samples = samples.data;
	return total;
}

/* Lay out the task of checking a relation. */
static void
lay_check(Task *task, Relation rel, const Task *former)
{
	task->blocks = RelationGetNumberOfBlocks(rel);
	task->lanes = 1;
	task->rows_total = (int64) Max(rel->rd_rel->reltuples, 0);
	task->range_pages = CHECK_PAGES;
}

void
verify_record(const Migration *mig, Oid leaf, const char *samples)
{
	SqlRows    *rows;

	if (samples == NULL)
		return;
	rows = sql_queryp("SELECT s ->> 'column', s ->> 'key', s ->> 'kind', coalesce(s ->> 'error', pg_catalog.format('old version: %s; new version: %s',"
					  " coalesce(s ->> 'old', 'NULL'), coalesce(s ->> 'new', 'NULL'))"
					  " OPERATOR(pg_catalog.||) CASE WHEN s OPERATOR(pg_catalog.?) 'expected' THEN '; expected: ' OPERATOR(pg_catalog.||) coalesce(s ->> 'expected', 'NULL') ELSE '' END)"
					  " OPERATOR(pg_catalog.||) coalesce('; not repaired: ' OPERATOR(pg_catalog.||) (s ->> 'left'), '') FROM pg_catalog.jsonb_array_elements($1) s",
					  P_jsonb(psprintf("[%s]", samples)));
	for (uint64 r = 0; r < rows->n; r++)
		bad_row_add(mig->id, leaf, rows->v[r][0], rows->v[r][1], rows->v[r][2], rows->v[r][3]);
}

/* The next range that nobody else checks, locked to the end of the transaction; NULL: none. */
static Range *
claim_range(const Migration *mig, const Step *step)
{
	ListCell   *lc;

	foreach(lc, task_ranges(mig->id, step->no, UINT64_MAX))
	{
		Range	   *range = lfirst(lc);

		if (!advisory_lock(MIG_LOCK_RANGE, range->id, ExclusiveLock, false, true))
			continue;
		range = range_get(range->id);
		if (range && range->state != RANGE_DONE)
			return range;
	}
	return NULL;
}

Pass *
verify_pass(const Migration *mig, const Step *step)
{
	if (!pass_is_open(mig, step->relid, PASS_VALIDATE, step->no))
		(void) seal_check(mig);
	return pass_open(mig, step->relid, step->relation, PASS_VALIDATE, step->no);
}

/* Check a range of an open leaf. */
static void
check_range(const Migration *mig, const Step *step, Range *range, Relation leaf)
{
	Task	   *task = task_get(mig->id, range->step_no, range->relid);
	int64		end = range->next_block + pace_pages(mig, CHECK_PAGES);
	Check		c = {.rel = leaf,.most = VERIFY_SAMPLES};
	Findings	found;

	if (task == NULL)
		return;					/* somebody else has found the leaf rewritten, or gone */
	if (task->relfilenode != leaf->rd_rel->relfilenode)
	{
		leaf_rewritten(task, leaf, lay_check);
		return;
	}
	end = Min(end, range->end_block);
	found = check_range_of(&c, step, range->next_block, end);
	task_counts(range, found.divergent, found.missing);
	verify_record(mig, range->relid, found.samples);
	pass_add(verify_pass(mig, step), &found, 1);
	range->next_block = end;
	range->state = end == range->end_block ? RANGE_DONE : RANGE_OPEN;
	range_advance(range, found.checked);
}

UnitResult
verify_unit(const Migration *mig, const Step *step)
{
	Range	   *range = claim_range(mig, step);
	Relation	leaf;
	bool		gone;
	bool		dropped;

	if (range == NULL)
		return leaves_find_work(mig, step, lay_check);
	leaf = leaf_open(range->relid, AccessShareLock, &gone);
	if (leaf == NULL && !gone)
	{
		range_postpone(range, LOCKED_MS);
		return UNIT_DONE;
	}
	/* detaching a partition takes its triggers away; a leaf that lacks them is refused by transform_get() */
	dropped = (gone || !relation_has_sync(leaf)) && leaves_align(mig, step, lay_check, false) == LEAVES_CHANGED;
	if (leaf && !dropped)
		check_range(mig, step, range, leaf);
	if (leaf)
		table_close(leaf, NoLock);
	return UNIT_DONE;
}

void
verify_restart(const Migration *mig, const Step *step)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, tasks_of(mig->id, step->no))
		relids = lappend_oid(relids, ((Task *) lfirst(lc))->relid);
	tasks_drop(mig->id, step->no, relids);
	pass_drop_open(mig->id, step->relid, PASS_VALIDATE);
}

double
verify_table_pages(Oid relid)
{
	double		pages = 0;
	ListCell   *lc;

	foreach(lc, leaves_of(relid))
	{
		Relation	rel = try_table_open(lfirst_oid(lc), AccessShareLock);

		if (rel == NULL)
			continue;
		pages += RelationGetNumberOfBlocks(rel);
		table_close(rel, NoLock);
	}
	return pages;
}
