/*
 * reference.c
 *		Foreign keys that bind the new version alone: until the fence, a constraint trigger holds what is written through its view.
 *
 * The inner view's check option calls mig.marks() for each row that it has written; the trigger, mig.refers(), looks up only marked rows, as PostgreSQL's own
 * triggers of foreign keys do: as the referenced table's owner, with a lock on the row that is found.
 *
 * Marks live in the transaction's memory, as a bitmap per page. A mark goes when its event is fired and its row is still there. If the row was
 * updated in between, it stays for the event of that update: a version with the same key is held to it as well. Marks of a subtransaction that is rolled back
 * say nothing of any other row, because they name its transaction id.
 */
#include "base/compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "base/sql.h"
#include "sync/rule.h"

PG_FUNCTION_INFO_V1(mig_marks);
PG_FUNCTION_INFO_V1(mig_refers);
PGDLLEXPORT Datum mig_marks(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum mig_refers(PG_FUNCTION_ARGS);

/* ---- marks ---- */

typedef struct MarkKey
{
	Oid			relid;
	int32		number;			/* of the foreign key */
	TransactionId xmin;
	BlockNumber block;
} MarkKey;

typedef struct Marks
{
	MarkKey		key;
	int			count;
	uint64		rows[MaxHeapTuplesPerPage / 64 + 1];	/* by offset */
} Marks;

static HTAB *marks = NULL;		/* in TopTransactionContext */

/* Transaction callback: the marks go with the transaction's memory. */
static void
transaction_ended(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		marks = NULL;
}

/* Make the table of marks. */
static void
marks_begin(void)
{
	static bool registered = false;
	HASHCTL		ctl = {.keysize = sizeof(MarkKey),.entrysize = sizeof(Marks),.hcxt = TopTransactionContext};

	if (!registered)
		RegisterXactCallback(transaction_ended, NULL);
	registered = true;
	marks = hash_create("mig_control marks", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Mark a row. */
static void
mark_set(Oid relid, int32 number, TransactionId xmin, ItemPointer tid)
{
	MarkKey		key = {relid, number, xmin, ItemPointerGetBlockNumber(tid)};
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	Marks	   *m;
	bool		found;

	if (offset > MaxHeapTuplesPerPage)
		return;
	if (marks == NULL)
		marks_begin();
	m = hash_search(marks, &key, HASH_ENTER, &found);
	if (!found)
	{
		m->count = 0;
		memset(m->rows, 0, sizeof(m->rows));
	}
	if ((m->rows[offset / 64] & (UINT64CONST(1) << (offset % 64))) == 0)
		m->count++;
	m->rows[offset / 64] |= UINT64CONST(1) << (offset % 64);
}

/* Remove a row's mark; false if it has none. */
static bool
mark_take(Oid relid, int32 number, HeapTuple row)
{
	MarkKey		key = {relid, number, HeapTupleHeaderGetRawXmin(row->t_data), ItemPointerGetBlockNumber(&row->t_self)};
	OffsetNumber offset = ItemPointerGetOffsetNumber(&row->t_self);
	Marks	   *m = offset <= MaxHeapTuplesPerPage ? hash_search(marks, &key, HASH_FIND, NULL) : NULL;

	if (m == NULL || (m->rows[offset / 64] & (UINT64CONST(1) << (offset % 64))) == 0)
		return false;
	m->rows[offset / 64] &= ~(UINT64CONST(1) << (offset % 64));
	if (--m->count == 0)
		(void) hash_search(marks, &key, HASH_REMOVE, NULL);
	return true;
}

/* mig.marks(xmin, cmin, relation, place, number): true; marks the row when it was just written. */
Datum
mig_marks(PG_FUNCTION_ARGS)
{
	TransactionId xmin = PG_GETARG_TRANSACTIONID(0);
	ItemPointer tid = (ItemPointer) PG_GETARG_POINTER(3);

	if (just_written(xmin, DatumGetCommandId(PG_GETARG_DATUM(1))) && ItemPointerIsValid(tid))
		mark_set(PG_GETARG_OID(2), PG_GETARG_INT32(4), xmin, tid);
	PG_RETURN_BOOL(true);
}

/* ---- the trigger ---- */

/* Its arguments: number, constraint, table, referenced table, match, condition, then physical and virtual name of each column */
#define FIXED_ARGUMENTS 6

typedef struct Reference
{
	Relation	rel;
	Oid			referenced;
	Oid			trigger;
	const char *constraint;
	const char *table;			/* as the new version calls it */
	const char *referenced_table;
	bool		match_full;
	const char *condition;
	int			ncolumns;
	const char *names[INDEX_MAX_KEYS];	/* as the new version calls them */
	AttrNumber	atts[INDEX_MAX_KEYS];
} Reference;

/* A kept look-up, as ri_triggers.c keeps them: by trigger, made again when it is not valid any more */
typedef struct Lookup
{
	Oid			trigger;		/* hash key */
	SPIPlanPtr	plan;
	int			ntypes;
	Oid			types[INDEX_MAX_KEYS];
} Lookup;

static HTAB *lookups = NULL;

/* Read the trigger's arguments. */
static Reference
read_reference(const TriggerData *data)
{
	const Trigger *trigger = data->tg_trigger;
	Reference	r = {.rel = data->tg_relation,.referenced = trigger->tgconstrrelid,.trigger = trigger->tgoid};

	r.constraint = trigger->tgargs[1];
	r.table = trigger->tgargs[2];
	r.referenced_table = trigger->tgargs[3];
	r.match_full = trigger->tgargs[4][0] == 'f';
	r.condition = trigger->tgargs[5];
	for (int i = FIXED_ARGUMENTS; i + 1 < trigger->tgnargs && r.ncolumns < INDEX_MAX_KEYS; i += 2)
	{
		r.names[r.ncolumns] = trigger->tgargs[i + 1];
		r.atts[r.ncolumns] = SPI_fnumber(RelationGetDescr(r.rel), trigger->tgargs[i]);
		if (r.atts[r.ncolumns] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist", trigger->tgargs[i], RelationGetRelationName(r.rel))));
		r.ncolumns++;
	}
	return r;
}

/* Have two versions of a row the same key? */
static bool
same_key(const Reference *r, TupleTableSlot *a, TupleTableSlot *b)
{
	for (int i = 0; i < r->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(r->rel), r->atts[i] - 1);
		bool		a_null;
		bool		b_null;
		Datum		x = slot_getattr(a, r->atts[i], &a_null);
		Datum		y = slot_getattr(b, r->atts[i], &b_null);

		if (a_null != b_null || (!a_null && !datum_image_eq(x, y, att->attbyval, att->attlen)))
			return false;
	}
	return true;
}

/* The kept plan of a trigger, empty if it is new. */
static Lookup *
find_lookup(Oid trigger)
{
	Lookup	   *l;
	bool		found;

	if (lookups == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(Lookup)};

		lookups = hash_create("mig_control look-ups", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	l = hash_search(lookups, &trigger, HASH_ENTER, &found);
	if (!found)
	{
		l->plan = NULL;
		l->ntypes = 0;
	}
	return l;
}

/* The plan that looks a key up: in an SPI connection, as the referenced table's owner. */
static SPIPlanPtr
lookup_plan(const Reference *r, Relation referenced)
{
	Lookup	   *l = find_lookup(r->trigger);
	Oid			types[INDEX_MAX_KEYS];
	SPIPlanPtr	plan;

	for (int i = 0; i < r->ncolumns; i++)
		types[i] = TupleDescAttr(RelationGetDescr(r->rel), r->atts[i] - 1)->atttypid;
	if (l->plan && SPI_plan_is_valid(l->plan) && l->ntypes == r->ncolumns && memcmp(l->types, types, sizeof(Oid) * r->ncolumns) == 0)
		return l->plan;
	plan = SPI_prepare(psprintf("SELECT 1 FROM %s%s x WHERE %s FOR KEY SHARE OF x",
								referenced->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
								sql_relation_name(r->referenced), r->condition), r->ncolumns, types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	if (l->plan)
		SPI_freeplan(l->plan);
	l->plan = plan;
	l->ntypes = r->ncolumns;
	memcpy(l->types, types, sizeof(Oid) * r->ncolumns);
	return plan;
}

/* Is there a row with this key? It is locked, so that it stays. */
static bool
is_there(const Reference *r, TupleTableSlot *row)
{
	Relation	referenced = table_open(r->referenced, RowShareLock);
	Datum		values[INDEX_MAX_KEYS];
	Oid			user;
	int			security;
	bool		found;
	int			rc;

	for (int i = 0; i < r->ncolumns; i++)
	{
		bool		isnull;

		values[i] = slot_getattr(row, r->atts[i], &isnull);
	}
	SPI_connect();
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(referenced->rd_rel->relowner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	rc = SPI_execute_snapshot(lookup_plan(r, referenced), values, NULL, InvalidSnapshot, InvalidSnapshot, false, false, 1);
	SetUserIdAndSecContext(user, security);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI could not look up a key: %s", SPI_result_code_string(rc));
	found = SPI_processed > 0;
	SPI_finish();
	table_close(referenced, NoLock);
	return found;
}

/* May the current user see the key's values? As ri_triggers.c has it. */
static bool
may_see(const Reference *r)
{
	Oid			relid = RelationGetRelid(r->rel);

	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		return false;
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int i = 0; i < r->ncolumns; i++)
		if (pg_attribute_aclcheck(relid, r->atts[i], GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			return false;
	return true;
}

/* Raise what PostgreSQL raises for a violated foreign key, with this detail. */
static void
raise_violation(const Reference *r, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("insert or update on table \"%s\" violates foreign key constraint \"%s\"", r->table, r->constraint),
			 errdetail_internal("%s", detail),
			 err_generic_string(PG_DIAG_SCHEMA_NAME, get_namespace_name(RelationGetNamespace(r->rel))),
			 err_generic_string(PG_DIAG_TABLE_NAME, r->table),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, r->constraint)));
}

/* Raise for a key that is not there. */
static void
raise_missing(const Reference *r, TupleTableSlot *row)
{
	StringInfoData names;
	StringInfoData values;

	if (!may_see(r))
		raise_violation(r, psprintf("Key is not present in table \"%s\".", r->referenced_table));
	initStringInfo(&names);
	initStringInfo(&values);
	for (int i = 0; i < r->ncolumns; i++)
	{
		bool		isnull;
		Oid			output;
		bool		varlena;
		Datum		value = slot_getattr(row, r->atts[i], &isnull);

		getTypeOutputInfo(TupleDescAttr(RelationGetDescr(r->rel), r->atts[i] - 1)->atttypid, &output, &varlena);
		appendStringInfo(&names, "%s%s", i ? ", " : "", r->names[i]);
		appendStringInfo(&values, "%s%s", i ? ", " : "", isnull ? "null" : OidOutputFunctionCall(output, value));
	}
	raise_violation(r, psprintf("Key (%s)=(%s) is not present in table \"%s\".", names.data, values.data, r->referenced_table));
}

/* Hold a row to the foreign key. */
static void
check_reference(const Reference *r, TupleTableSlot *row)
{
	int			nulls = 0;

	for (int i = 0; i < r->ncolumns; i++)
	{
		bool		isnull;

		(void) slot_getattr(row, r->atts[i], &isnull);
		nulls += isnull;
	}
	if (nulls > 0 && nulls < r->ncolumns && r->match_full)
		raise_violation(r, "MATCH FULL does not allow mixing of null and nonnull key values.");
	if (nulls == 0 && !is_there(r, row))
		raise_missing(r, row);
}

/* Raise unless we were called as the trigger that mig_start() makes. */
static void
check_call(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!(TRIGGER_FIRED_BY_INSERT(data->tg_event) || TRIGGER_FIRED_BY_UPDATE(data->tg_event)) ||
		data->tg_trigger->tgnargs <= FIXED_ARGUMENTS || !OidIsValid(data->tg_trigger->tgconstrrelid))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by a trigger of a migration", "mig.refers")));
}

/* mig.refers(): AFTER ROW constraint trigger */
Datum
mig_refers(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	bool		update;
	TupleTableSlot *row;
	HeapTuple	tuple;
	Oid			relid;
	int32		number;
	bool		marked;
	Reference	r;

	check_call(fcinfo);
	if (marks == NULL || hash_get_num_entries(marks) == 0)
		PG_RETURN_POINTER(NULL);
	update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	row = update ? data->tg_newslot : data->tg_trigslot;
	tuple = update ? data->tg_newtuple : data->tg_trigtuple;
	relid = RelationGetRelid(data->tg_relation);
	number = pg_strtoint32(data->tg_trigger->tgargs[0]);
	r = read_reference(data);
	marked = mark_take(relid, number, tuple);
	/* as with a real one, the same key again needs no look, unless that of the row before is still to come */
	if (update && same_key(&r, data->tg_trigslot, row))
		marked = mark_take(relid, number, data->tg_trigtuple);
	if (!marked)
		PG_RETURN_POINTER(NULL);
	if (table_tuple_satisfies_snapshot(data->tg_relation, row, SnapshotSelf))
		check_reference(&r, row);
	else
		mark_set(relid, number, HeapTupleHeaderGetRawXmin(tuple->t_data), &tuple->t_self);
	PG_RETURN_POINTER(NULL);
}
