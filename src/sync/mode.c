/*
 * mode.c
 *		The sync trigger's mode, and what becomes of rows whose up failed.
 *
 * A mode belongs to the (sub)transaction that entered it, and to triggers of its own statements: what a function of the user's writes further
 * down is a client's write.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"

#include "base/compat.h"
#include "sync/mode.h"
#include "sync/trigger.h"

#define MAX_SAMPLES		100

static SyncMode mode = SYNC_CLIENT;
static KeepSide keeps = KEEP_ORIGIN;
static int	mode_level = 0;		/* transaction nesting level that entered it */
static int	mode_depth = 0;		/* depth of the triggers it is meant for */
static MemoryContext failure_context = NULL;
static List *failures = NIL;
static int64 failure_count = 0;

/* The present depth of nested triggers. */
static int
trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

/* Goes back to client mode and forgets the failures. */
static void
mode_leave(void)
{
	mode = SYNC_CLIENT;
	failures = NIL;
	failure_context = NULL;
}

/* Transaction callback: no mode outlives its transaction. */
static void
transaction_ended(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		mode_leave();
}

/* Subtransaction callback: nor its subtransaction, when that fails. */
static void
subtransaction_ended(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && GetCurrentTransactionNestLevel() <= mode_level)
		mode_leave();
}

/* Enters a mode for the statements that the caller is about to run. */
static void
mode_enter(SyncMode new_mode)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(transaction_ended, NULL);
		RegisterSubXactCallback(subtransaction_ended, NULL);
		registered = true;
	}
	mode = new_mode;
	mode_level = GetCurrentTransactionNestLevel();
	mode_depth = trigger_depth() + 1;
	failure_context = CurrentMemoryContext;
	failures = NIL;
	failure_count = 0;
}

/* Enters backfill mode; failures go to a list in the current memory context. */
void
sync_backfill_begin(void)
{
	mode_enter(SYNC_BACKFILL);
}

/* Leaves backfill mode; returns samples of the failures and counts them all. */
List *
sync_backfill_end(int64 *failed)
{
	List	   *samples = failures;

	*failed = failure_count;
	mode_leave();
	return samples;
}

static const char *const keep_names[] = {
	[KEEP_ORIGIN] = "origin",
	[KEEP_OLD] = "old",
	[KEEP_NEW] = "new",
};

/* The name of a side that a repair keeps. */
const char *
keep_side_name(KeepSide keep)
{
	return keep_names[keep];
}

/* The side of that name; false if there is none. */
bool
keep_side_from_name(const char *name, KeepSide *keep)
{
	for (int i = 0; i < lengthof(keep_names); i++)
	{
		if (strcmp(name, keep_names[i]) != 0)
			continue;
		*keep = (KeepSide) i;
		return true;
	}
	return false;
}

/* Enters repair mode. */
void
sync_repair_begin(KeepSide keep)
{
	mode_enter(SYNC_REPAIR);
	keeps = keep;
}

/* Leaves repair mode. */
void
sync_repair_end(void)
{
	mode_leave();
}

/* The side that the repair under way keeps. */
KeepSide
sync_repair_keeps(void)
{
	return keeps;
}

/* The mode of the trigger call under way. */
SyncMode
sync_mode(void)
{
	if (mode == SYNC_CLIENT || trigger_depth() != mode_depth)
		return SYNC_CLIENT;
	return mode;
}

/* Appends a value as JSON: a number where JSON has it, else a string. */
static void
append_json_value(StringInfo json, Oid type, Datum value)
{
	Oid			output;
	bool		varlena;
	char	   *text;

	getTypeOutputInfo(type, &output, &varlena);
	text = OidOutputFunctionCall(output, value);
	if (type == INT2OID || type == INT4OID || type == INT8OID)
		appendStringInfoString(json, text);
	else
		escape_json(json, text);
}

/* The row's key as a JSON object: its primary key, or else where it lies. */
char *
sync_row_key(Relation rel, TupleTableSlot *row, ItemPointer tid)
{
	Bitmapset  *key = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	StringInfoData json;
	int			i = -1;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	while ((i = bms_next_member(key, i)) >= 0)
	{
		AttrNumber	attno = i + FirstLowInvalidHeapAttributeNumber;
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
		bool		isnull;
		Datum		value = slot_getattr(row, attno, &isnull);

		if (json.len > 1)
			appendStringInfoString(&json, ", ");
		escape_json(&json, NameStr(att->attname));
		appendStringInfoString(&json, ": ");
		if (isnull)
			appendStringInfoString(&json, "null");
		else
			append_json_value(&json, att->atttypid, value);
	}
	if (key == NULL && ItemPointerIsValid(tid))
		appendStringInfo(&json, "\"ctid\": \"(%u,%u)\"", ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid));
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* Counts a failure of the backfill's, and keeps a sample. */
static void
collect_failure(Relation rel, TupleTableSlot *row, ItemPointer tid, const char *column, const char *error)
{
	MemoryContext caller;
	SyncFailure *failure;

	if (++failure_count > MAX_SAMPLES)
		return;
	caller = MemoryContextSwitchTo(failure_context);
	failure = palloc(sizeof(SyncFailure));
	failure->key = sync_row_key(rel, row, tid);
	failure->column = pstrdup(column);
	failure->error = pstrdup(error);
	failures = lappend(failures, failure);
	MemoryContextSwitchTo(caller);
}

/* Tells that up failed for a row. */
void
sync_failure(Relation rel, TimestampTz *logged_in, TupleTableSlot *row, ItemPointer tid, AttrNumber column, const char *error)
{
	const char *name = NameStr(TupleDescAttr(RelationGetDescr(rel), column - 1)->attname);

	if (sync_mode() == SYNC_BACKFILL)
	{
		collect_failure(rel, row, tid, name, error);
		return;
	}
	if (*logged_in == GetCurrentTransactionStartTimestamp())
		return;
	*logged_in = GetCurrentTransactionStartTimestamp();
	ereport(LOG,
			(errmsg("up of column \"%s\" of table \"%s\" failed: %s", name, RelationGetRelationName(rel), error),
			 errdetail_log("The row with key %s is written without it.", sync_row_key(rel, row, tid)),
			 errhint("Correct the row: the next write that up can follow fills it. This is told once per table and transaction.")));
}
