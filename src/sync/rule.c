/*
 * rule.c
 *		What the version views call: mig.holds() keeps new-version writes to rules that are not constraints yet, mig.closed() stands for a
 *		table of a version that may not be used.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/supportnodes.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "store/transform.h"
#include "sync/rule.h"

PG_FUNCTION_INFO_V1(mig_holds);
PG_FUNCTION_INFO_V1(mig_holds_at);
PG_FUNCTION_INFO_V1(mig_holds_support);
PG_FUNCTION_INFO_V1(mig_closed);
PG_FUNCTION_INFO_V1(mig_closed_write);
PGDLLEXPORT Datum mig_holds(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum mig_holds_at(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum mig_holds_support(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum mig_closed(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum mig_closed_write(PG_FUNCTION_ARGS);

/* A text argument as a C string; NULL when it is an SQL NULL. */
static char *
text_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* Raises if one of the names that an error needs is missing: anybody may call mig.holds(), with anything. */
static void
check_names(const char *relation, const char *object)
{
	if (relation == NULL || object == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("mig.holds() was called for something that does not exist"),
				 errhint("It is made for the views of mig_start().")));
}

/* Raises what PostgreSQL raises for a NULL in a NOT NULL column. */
static void
raise_not_null(Oid relid, const char *column)
{
	char	   *relation = get_rel_name(relid);

	check_names(relation, column);
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint", column, relation),
			 err_generic_string(PG_DIAG_SCHEMA_NAME, get_namespace_name(get_rel_namespace(relid))),
			 err_generic_string(PG_DIAG_TABLE_NAME, relation),
			 err_generic_string(PG_DIAG_COLUMN_NAME, column)));
}

/* Raises what PostgreSQL raises for a violated CHECK. */
static void
raise_check(Oid relid, const char *constraint)
{
	char	   *relation = get_rel_name(relid);

	check_names(relation, constraint);
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("new row for relation \"%s\" violates check constraint \"%s\"", relation, constraint),
			 err_generic_string(PG_DIAG_SCHEMA_NAME, get_namespace_name(get_rel_namespace(relid))),
			 err_generic_string(PG_DIAG_TABLE_NAME, relation),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint)));
}

bool
just_written(TransactionId xmin, CommandId cmin)
{
	return ActiveSnapshotSet() && TransactionIdIsCurrentTransactionId(xmin) && cmin >= GetActiveSnapshot()->curcid;
}

/* Raises for the rule that the arguments from the third on tell. */
static void
raise_rule(FunctionCallInfo fcinfo)
{
	char	   *kind = text_arg(fcinfo, 3);
	Oid			relid = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);

	if (kind && kind[0] == 'n')
		raise_not_null(relid, text_arg(fcinfo, 5));
	raise_check(relid, text_arg(fcinfo, 4));
}

/*
 * mig.holds(xmin, cmin, relation, rule kind, constraint, column, ok): true, unless the row was just written and breaks the rule. As with
 * a CHECK, a rule that comes out NULL holds.
 */
Datum
mig_holds(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(6) || PG_GETARG_BOOL(6))
		PG_RETURN_BOOL(true);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || !just_written(PG_GETARG_TRANSACTIONID(0), DatumGetCommandId(PG_GETARG_DATUM(1))))
		PG_RETURN_BOOL(true);
	raise_rule(fcinfo);
	PG_RETURN_BOOL(false);
}

/* Has the current command written the row at that place? For rows whose own system columns are not at hand. */
static bool
just_written_at(Oid relid, ItemPointer place)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);
	bool		result = false;

	if (rel == NULL)
		return false;
	if (rel->rd_rel->relkind == RELKIND_RELATION && ItemPointerIsValid(place) && ItemPointerGetBlockNumber(place) < RelationGetNumberOfBlocks(rel))
	{
		TupleTableSlot *slot = table_slot_create(rel, NULL);
		bool		isnull;

		if (table_tuple_fetch_row_version(rel, place, SnapshotAny, slot))
			result = just_written(DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull)),
								  DatumGetCommandId(slot_getsysattr(slot, MinCommandIdAttributeNumber, &isnull)));
		ExecDropSingleTupleTableSlot(slot);
	}
	relation_close(rel, AccessShareLock);
	return result;
}

/*
 * mig.holds_at(source, place, relation, rule kind, constraint, column, ok): the same for a partitioned table, whose routed rows bring their partition and their place,
 * but neither xmin nor cmin. Looks at the page only for rows that break the rule.
 */
Datum
mig_holds_at(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(6) || PG_GETARG_BOOL(6) || PG_ARGISNULL(0) || PG_ARGISNULL(1) || !just_written_at(PG_GETARG_OID(0), (ItemPointer) PG_GETARG_POINTER(1)))
		PG_RETURN_BOOL(true);
	raise_rule(fcinfo);
	PG_RETURN_BOOL(false);
}

/* Planner support of mig.holds(): it keeps every row of a scan, so plans are what they are without it. */
Datum
mig_holds_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSelectivity))
	{
		((SupportRequestSelectivity *) request)->selectivity = 1.0;
		PG_RETURN_POINTER(request);
	}
	PG_RETURN_POINTER(NULL);
}

/* Raises that a version is closed. */
static void
raise_closed(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s", message ? message : "this version is closed"),
			 hint ? errhint("%s", hint) : 0));
}

/* The same with the texts that the trigger of a closed view has. */
static void
raise_closed_by(const Trigger *trigger)
{
	raise_closed(trigger->tgnargs > 0 ? trigger->tgargs[0] : NULL, trigger->tgnargs > 1 ? trigger->tgargs[1] : NULL);
}

/* mig.closed(message, hint): raises 55000 */
Datum
mig_closed(PG_FUNCTION_ARGS)
{
	raise_closed(text_arg(fcinfo, 0), text_arg(fcinfo, 1));
	PG_RETURN_NULL();
}

/* mig.closed_write(): INSTEAD OF trigger of a closed view, so that a write raises the same; arguments: message, hint */
Datum
mig_closed_write(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "mig.closed_write")));
	raise_closed_by(data->tg_trigger);
	PG_RETURN_NULL();
}

Trigger *
sync_closed_trigger(Relation view)
{
	for (int i = 0; view->trigdesc && i < view->trigdesc->numtriggers; i++)
		if (strcmp(view->trigdesc->triggers[i].tgname, CLOSED_TRIGGER) == 0)
			return &view->trigdesc->triggers[i];
	return NULL;
}

void
sync_check_open(Relation view)
{
	Trigger    *trigger = sync_closed_trigger(view);

	if (trigger)
		raise_closed_by(trigger);
}
