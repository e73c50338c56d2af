/*
 * trigger.c
 *		mig.sync(): the BEFORE ROW trigger that keeps both versions' values of a row equal, in the writer's own transaction.
 *
 * What a written row is held to, per pair (store/transform.h has the states):
 *	 an INSERT whose state is NULL came through the old version, with -1 (the inner view's default) through the new one; with any other value
 *	 it was synced before (a row moved between partitions, a restore), and is held to the rule of the version that the state says wrote it.
 *	 an UPDATE came through the side whose image differs from before: new := up() and state old, or old := down() and state new. Where
 *	 both differ, the side that the statement assigned; if it assigned both or neither, new.
 *	 a pair of which neither side differs is computed again when something its rule reads has changed; an untouched one is filled.
 *	 a pair that follows others (a generated column of the new version) is computed again when something its rule reads has changed, and filled.
 * Rules are applied until none reads what another has just changed, downs before ups, and those that follow last.
 *
 * A table with BEFORE ROW triggers of its users has two sync triggers, called "first" and "last", which sort around them, so that users'
 * triggers see both sides, and what they change is synced. The first one stashes the row that it returns; the last one then tells by
 * the stash, not by OLD, what was changed in between. The stash lives in the executor's per-tuple memory context and goes away with it, so it never
 * meets another row; a row that a user's trigger skips leaves one behind that the next row's first trigger replaces.
 *
 * A row that needs nothing is returned as it came. Only store/transform.h is used for the rest: no catalog, no SPI here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "store/transform.h"
#include "sync/mode.h"
#include "sync/trigger.h"

/* What remains to be done to a pair */
typedef enum Todo
{
	TODO_NONE,
	TODO_UP,
	TODO_DOWN
} Todo;

/* One call of the trigger */
typedef struct Sync
{
	Relation	rel;
	Transform  *transform;
	TriggerData *data;
	bool		last;			/* the "last" trigger; false: the "first" */
	bool		repair;			/* what an up raises is raised */
	bool		stashed;		/* before is the stash */
	TupleTableSlot *new;		/* the row as it came, then as it will be */
	HeapTuple	new_tuple;
	Datum	   *before;			/* what to compare with; NULL: an INSERT that was not synced yet */
	bool	   *before_null;
	uint64		state;
	int			nchanged;		/* columns of `new` set so far: its tuple does not have them yet */
	AttrNumber	changed[2 * TRANSFORM_MAX_PAIRS + 1];
	Todo		todo[TRANSFORM_MAX_PAIRS];
} Sync;

/* The row that the first trigger returned, for the last one */
typedef struct Stash
{
	Oid			relid;
	TriggerEvent op;
	MemoryContext context;		/* per-tuple context it lies in */
	HeapTuple	row;
	struct Stash *next;
	MemoryContextCallback forget;
} Stash;

static Stash *stashes = NULL;	/* newest first; several when triggers nest */

PG_FUNCTION_INFO_V1(mig_sync);
PGDLLEXPORT Datum mig_sync(PG_FUNCTION_ARGS);

/* Memory context callback: takes a stash off the list. */
static void
stash_forget(void *arg)
{
	for (Stash **link = &stashes; *link; link = &(*link)->next)
	{
		if (*link == arg)
		{
			*link = (*link)->next;
			return;
		}
	}
}

/* Finds the stash for the row under way: of this relation and operation, in this very per-tuple context. */
static Stash *
stash_find(const Sync *sync)
{
	for (Stash *stash = stashes; stash; stash = stash->next)
		if (stash->context == CurrentMemoryContext && stash->relid == sync->transform->relid &&
			stash->op == (sync->data->tg_event & TRIGGER_EVENT_OPMASK))
			return stash;
	return NULL;
}

/* Stashes the row that the first trigger returns. */
static void
stash_put(const Sync *sync, HeapTuple row)
{
	Stash	   *stash = stash_find(sync);

	if (stash == NULL)
	{
		stash = palloc0(sizeof(Stash));
		stash->relid = sync->transform->relid;
		stash->op = sync->data->tg_event & TRIGGER_EVENT_OPMASK;
		stash->context = CurrentMemoryContext;
		stash->next = stashes;
		stash->forget.func = stash_forget;
		stash->forget.arg = stash;
		MemoryContextRegisterResetCallback(CurrentMemoryContext, &stash->forget);
		stashes = stash;
	}
	/* the executor may free the tuple when a user's trigger returns another */
	stash->row = heap_copytuple(row);
}

/* Takes the stash for the row under way as what to compare with, if there is one. */
static bool
stash_take(Sync *sync)
{
	Stash	   *stash = stashes ? stash_find(sync) : NULL;
	TupleDesc	desc = RelationGetDescr(sync->rel);

	if (stash == NULL || stash->row == NULL)
		return false;
	sync->before = palloc(sizeof(Datum) * desc->natts);
	sync->before_null = palloc(sizeof(bool) * desc->natts);
	heap_deform_tuple(stash->row, desc, sync->before, sync->before_null);
	stash->row = NULL;
	sync->stashed = true;
	return true;
}

/* Are two values of a column equal by image? */
static bool
same_image(Form_pg_attribute att, Datum a, bool a_null, Datum b, bool b_null)
{
	if (a_null || b_null)
		return a_null && b_null;
	if (att->attbyval || a == b)
		return a == b;
	if (att->attlen == -1)
	{
		struct varlena *va = (struct varlena *) DatumGetPointer(a);
		struct varlena *vb = (struct varlena *) DatumGetPointer(b);

		/* stored alike, most often; that needs no look at what a TOAST pointer points to */
		if (!VARATT_IS_EXTERNAL_EXPANDED(va) && !VARATT_IS_EXTERNAL_EXPANDED(vb) &&
			VARSIZE_ANY(va) == VARSIZE_ANY(vb) && memcmp(va, vb, VARSIZE_ANY(va)) == 0)
			return true;
	}
	return datum_image_eq(a, b, false, att->attlen);
}

/* Does a column differ from before? */
static bool
differs(const Sync *sync, AttrNumber attno)
{
	int			i = attno - 1;

	return !same_image(TupleDescAttr(sync->transform->desc, i), sync->before[i], sync->before_null[i],
					   sync->new->tts_values[i], sync->new->tts_isnull[i]);
}

/* Does one of these columns, other than the one computed from them, differ from before? */
static bool
inputs_differ(const Sync *sync, const Bitmapset *inputs, AttrNumber target)
{
	int			attno = -1;

	while ((attno = bms_next_member(inputs, attno)) >= 0)
		if (attno != target && differs(sync, attno))
			return true;
	return false;
}

/* Did the statement assign this column? */
static bool
assigned(const Sync *sync, AttrNumber attno)
{
	return bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, sync->data->tg_updatedcols);
}

/* A pair's state. */
static PairState
pair_state(const Sync *sync, int i)
{
	return (PairState) ((sync->state >> (2 * i)) & 3);
}

/* Sets a pair's state. */
static void
set_pair_state(Sync *sync, int i, PairState state)
{
	sync->state = (sync->state & ~(UINT64CONST(3) << (2 * i))) | ((uint64) state << (2 * i));
}

/* A pair was written through the old version. */
static void
written_old(Sync *sync, int i)
{
	const Pair *pair = &sync->transform->pairs[i];

	set_pair_state(sync, i, pair->new_att ? PAIR_OLD : PAIR_UNTOUCHED);
	sync->todo[i] = pair->up ? TODO_UP : TODO_NONE;
}

/* Refuse a client's write through the new version: rows were found in which the versions differ. */
static void
refuse_fenced(const Sync *sync)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("writes through the new version of table \"%s\" are refused", RelationGetRelationName(sync->rel)),
			 errdetail("Rows were found in which the versions of migration \"%s\" differ, and its option drift asks for that.", sync->transform->fenced_by),
			 errhint("mig.drift shows them. After mig_repair('%s') a clean check lets writes in again; mig_resume or mig_set do at once.", sync->transform->fenced_by)));
}

/* A pair was written through the new version. */
static void
written_new(Sync *sync, int i)
{
	if (sync->transform->fenced_by && sync_mode() == SYNC_CLIENT)
		refuse_fenced(sync);
	set_pair_state(sync, i, PAIR_NEW);
	sync->todo[i] = sync->transform->pairs[i].down ? TODO_DOWN : TODO_NONE;
}

/* Neither side of a pair was written: fill it, or compute it again when what its rule reads has changed. */
static void
written_neither(Sync *sync, int i)
{
	const Pair *pair = &sync->transform->pairs[i];

	switch (pair_state(sync, i))
	{
		case PAIR_UNTOUCHED:
			if (pair->up)
			{
				set_pair_state(sync, i, PAIR_BACKFILLED);
				sync->todo[i] = TODO_UP;
			}
			break;
		case PAIR_BACKFILLED:
		case PAIR_OLD:
			if (pair->up && inputs_differ(sync, pair->up_inputs, pair->new_att))
				sync->todo[i] = TODO_UP;
			break;
		case PAIR_NEW:
			if (pair->down && inputs_differ(sync, pair->down_inputs, pair->old_att))
				sync->todo[i] = TODO_DOWN;
			break;
	}
}

/* A pair that follows others: nobody else gives it a value. changed: its column differs from before, or it is a new row. */
static void
decide_follower(Sync *sync, int i, bool changed)
{
	const Pair *pair = &sync->transform->pairs[i];

	if (changed && !sync->stashed && !sync->new->tts_isnull[pair->new_att - 1])
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("a generated column of the new version of table \"%s\" can only be set to DEFAULT", RelationGetRelationName(sync->rel)),
				 errdetail("It is computed as %s.", pair->up_sql)));
	if (pair_state(sync, i) == PAIR_UNTOUCHED)
		set_pair_state(sync, i, PAIR_BACKFILLED);
	else if (!changed && !inputs_differ(sync, pair->up_inputs, pair->new_att))
		return;
	sync->todo[i] = TODO_UP;
}

/* Decides through which side a pair was written, and so what is to be done. */
static void
decide(Sync *sync, int i)
{
	const Pair *pair = &sync->transform->pairs[i];
	bool		old_differs = pair->old_att && differs(sync, pair->old_att);
	bool		new_differs = pair->new_att && differs(sync, pair->new_att);

	if (pair->follows)
	{
		decide_follower(sync, i, new_differs);
		return;
	}
	if (old_differs && new_differs)
		new_differs = sync->stashed || assigned(sync, pair->new_att) || !assigned(sync, pair->old_att);
	if (new_differs)
		written_new(sync, i);
	else if (old_differs)
		written_old(sync, i);
	else
		written_neither(sync, i);
}

/* Reads the state column of a row; *isnull when it is NULL. */
static int64
read_state(const Transform *transform, const Datum *values, const bool *nulls, bool *isnull)
{
	int			i = transform->state_att - 1;

	*isnull = nulls[i];
	if (nulls[i])
		return 0;
	switch (TupleDescAttr(transform->desc, i)->attlen)
	{
		case 2:
			return DatumGetInt16(values[i]);
		case 4:
			return DatumGetInt32(values[i]);
	}
	return DatumGetInt64(values[i]);
}

/* Does the row need nothing: its state as it was, no untouched pair to fill, no change to a column that a pair is concerned with? */
static bool
is_settled(const Sync *sync)
{
	const Transform *transform = sync->transform;
	bool		isnull;

	if ((uint64) read_state(transform, sync->new->tts_values, sync->new->tts_isnull, &isnull) != sync->state)
		return false;
	if (((sync->state | sync->state >> 1) & transform->fillable) != transform->fillable)
		return false;
	for (int i = 0; i < transform->nwatched; i++)
		if (differs(sync, transform->watched[i]))
			return false;
	return true;
}

/* Puts a value into the row. */
static void
put_value(Sync *sync, AttrNumber attno, Datum value, bool isnull)
{
	int			n = 0;

	sync->new->tts_values[attno - 1] = isnull ? (Datum) 0 : value;
	sync->new->tts_isnull[attno - 1] = isnull;
	while (n < sync->nchanged && sync->changed[n] != attno)
		n++;
	if (n == sync->nchanged)
		sync->changed[sync->nchanged++] = attno;
}

/* Sets a column of the row; true if that changed it. An equal value stays as it is stored. */
static bool
set_value(Sync *sync, AttrNumber attno, Datum value, bool isnull)
{
	int			i = attno - 1;

	if (same_image(TupleDescAttr(sync->transform->desc, i), sync->new->tts_values[i], sync->new->tts_isnull[i], value, isnull))
		return false;
	put_value(sync, attno, value, isnull);
	return true;
}

/* Does a pair follow one that the new version wrote? Its rule then fails as a generated column's does. */
static bool
follows_new(const Sync *sync, const Pair *pair)
{
	const Transform *transform = sync->transform;

	for (int i = 0; pair->follows && i < transform->npairs; i++)
		if (pair_state(sync, i) == PAIR_NEW && bms_is_member(transform->pairs[i].new_att, pair->up_inputs))
			return true;
	return false;
}

/* new := up(); when it fails the pair stays untouched. */
static bool
apply_up(Sync *sync, int i)
{
	const Pair *pair = &sync->transform->pairs[i];
	Datum		value;
	bool		isnull;
	char	   *error;

	if (sync->repair || follows_new(sync, pair))
	{
		value = transform_eval(pair->up, sync->new, &isnull);
		return set_value(sync, pair->new_att, value, isnull);
	}
	if (transform_try(pair->up, sync->new, &value, &isnull, &error))
		return set_value(sync, pair->new_att, value, isnull);
	set_pair_state(sync, i, PAIR_UNTOUCHED);
	if (sync->last)
		sync_failure(sync->rel, &sync->transform->logged_in, sync->new, &sync->data->tg_trigtuple->t_self,
					 pair->old_att ? pair->old_att : pair->new_att, error);
	return set_value(sync, pair->new_att, (Datum) 0, true);
}

/* Error context callback of apply_down. */
static void
down_context(void *arg)
{
	const Sync *sync = (const Sync *) ((void **) arg)[0];
	const Pair *pair = (const Pair *) ((void **) arg)[1];

	errcontext("down of column \"%s\" of table \"%s\"",
			   NameStr(TupleDescAttr(sync->transform->desc, pair->old_att - 1)->attname), RelationGetRelationName(sync->rel));
}

/* old := down(); fails with it. */
static bool
apply_down(Sync *sync, int i)
{
	const Pair *pair = &sync->transform->pairs[i];
	void	   *arg[2] = {sync, (void *) pair};
	ErrorContextCallback callback = {error_context_stack, down_context, arg};
	Datum		value;
	bool		isnull;

	error_context_stack = &callback;
	value = transform_eval(pair->down, sync->new, &isnull);
	error_context_stack = callback.previous;
	return set_value(sync, pair->old_att, value, isnull);
}

/* Marks the pairs whose rule reads a column that was just changed by applying pair `cause`; true if there are any. */
static bool
mark_dependents(Sync *sync, int cause, AttrNumber changed)
{
	bool		any = false;

	for (int i = 0; i < sync->transform->npairs; i++)
	{
		const Pair *pair = &sync->transform->pairs[i];
		PairState	state = pair_state(sync, i);

		if (i == cause || sync->todo[i] != TODO_NONE)
			continue;
		if (state == PAIR_NEW && pair->down && bms_is_member(changed, pair->down_inputs))
			sync->todo[i] = TODO_DOWN;
		else if ((state == PAIR_BACKFILLED || state == PAIR_OLD) && pair->up && bms_is_member(changed, pair->up_inputs))
			sync->todo[i] = TODO_UP;
		any |= sync->todo[i] != TODO_NONE;
	}
	return any;
}

/* Applies the pairs that have this to do, those that follow others or the rest; true if that gave others something to do. */
static bool
apply_all(Sync *sync, Todo todo, bool followers)
{
	bool		more = false;

	for (int i = 0; i < sync->transform->npairs; i++)
	{
		const Pair *pair = &sync->transform->pairs[i];

		if (sync->todo[i] != todo || pair->follows != followers)
			continue;
		sync->todo[i] = TODO_NONE;
		if (todo == TODO_UP ? apply_up(sync, i) : apply_down(sync, i))
			more |= mark_dependents(sync, i, todo == TODO_UP ? pair->new_att : pair->old_att);
	}
	return more;
}

/* Applies what is to be done, until nothing is. Rules that read each other in a ring end after as many rounds as there are pairs. */
static void
apply(Sync *sync)
{
	bool		more = true;

	for (int round = 0; more && round <= sync->transform->npairs; round++)
	{
		more = apply_all(sync, TODO_DOWN, false);
		more |= apply_all(sync, TODO_UP, false);
		more |= apply_all(sync, TODO_UP, true);
	}
}

/* Writes the state column of the working row, if it has changed. */
static void
write_state(Sync *sync)
{
	int			i = sync->transform->state_att - 1;
	bool		isnull;
	int64		came = read_state(sync->transform, sync->new->tts_values, sync->new->tts_isnull, &isnull);
	Datum		value;

	if ((uint64) came == sync->state)
		return;
	switch (TupleDescAttr(sync->transform->desc, i)->attlen)
	{
		case 2:
			value = Int16GetDatum((int16) sync->state);
			break;
		case 4:
			value = Int32GetDatum((int32) sync->state);
			break;
		default:
			value = Int64GetDatum((int64) sync->state);
	}
	put_value(sync, i + 1, value, false);
}

/* Decides every pair of an INSERT that was not synced yet; the state column told which version it came through. */
static void
decide_insert(Sync *sync, bool through_new)
{
	for (int i = 0; i < sync->transform->npairs; i++)
	{
		if (sync->transform->pairs[i].follows)
			decide_follower(sync, i, true);
		else if (through_new)
			written_new(sync, i);
		else
			written_old(sync, i);
	}
}

/*
 * Decides every pair of an INSERT that was synced before. A row that was moved agrees with its rules and stays as it is; one put together from an old
 * image and other values (an audit log's, say) need not.
 */
static void
decide_synced(Sync *sync)
{
	for (int i = 0; i < sync->transform->npairs; i++)
	{
		const Pair *pair = &sync->transform->pairs[i];
		PairState	state = pair_state(sync, i);

		if (state == PAIR_UNTOUCHED)
			written_neither(sync, i);
		else if (state == PAIR_NEW)
			sync->todo[i] = pair->down && pair->down_verifiable ? TODO_DOWN : TODO_NONE;
		else
			sync->todo[i] = pair->up && pair->up_verifiable ? TODO_UP : TODO_NONE;
	}
}

/* Finds what to compare the row with, and the state it had; decides the pairs of a fresh INSERT. True if the row needs nothing. */
static bool
begin(Sync *sync)
{
	Transform  *transform = sync->transform;
	bool		isnull;
	int64		state;

	if (!(sync->last && stash_take(sync)))
	{
		if (TRIGGER_FIRED_BY_UPDATE(sync->data->tg_event))
		{
			slot_getallattrs(sync->data->tg_trigslot);
			sync->before = sync->data->tg_trigslot->tts_values;
			sync->before_null = sync->data->tg_trigslot->tts_isnull;
		}
		else
		{
			state = read_state(transform, sync->new->tts_values, sync->new->tts_isnull, &isnull);
			if (isnull || state == STATE_ORIGIN_NEW)
			{
				decide_insert(sync, !isnull);
				return false;
			}
			sync->state = (uint64) state;
			decide_synced(sync);
			return false;
		}
	}
	sync->state = (uint64) read_state(transform, sync->before, sync->before_null, &isnull);
	if (is_settled(sync))
		return true;
	for (int i = 0; i < transform->npairs; i++)
		decide(sync, i);
	return false;
}

/* A repair goes by a pair's old side. What cannot be verified was not found wrong, and stays where that side wrote last. */
static void
repair_from_old(Sync *sync, int i)
{
	const Pair *pair = &sync->transform->pairs[i];
	PairState	state = pair_state(sync, i);

	if (state == PAIR_NEW)
		written_old(sync, i);
	else if (state == PAIR_UNTOUCHED)
		written_neither(sync, i);
	else
		sync->todo[i] = pair->up && pair->up_verifiable ? TODO_UP : TODO_NONE;
}

/* A repair goes by its new side; one that never had a value there is filled. */
static void
repair_from_new(Sync *sync, int i)
{
	const Pair *pair = &sync->transform->pairs[i];
	PairState	state = pair_state(sync, i);

	if (state == PAIR_UNTOUCHED && pair->new_att && sync->new->tts_isnull[pair->new_att - 1])
		written_neither(sync, i);
	else if (state != PAIR_NEW)
		written_new(sync, i);
	else
		sync->todo[i] = pair->down && pair->down_verifiable ? TODO_DOWN : TODO_NONE;
}

/* Decides every pair of a row under repair. A state that has never been through the trigger is the inner view's default: an INSERT through the new version. */
static void
decide_repair(Sync *sync)
{
	KeepSide	keep = sync_repair_keeps();
	bool		isnull;

	sync->state = (uint64) read_state(sync->transform, sync->new->tts_values, sync->new->tts_isnull, &isnull);
	sync->state &= (UINT64CONST(1) << (2 * sync->transform->npairs)) - 1;
	for (int i = 0; i < sync->transform->npairs; i++)
	{
		if (sync->transform->pairs[i].follows)
		{
			set_pair_state(sync, i, PAIR_BACKFILLED);
			sync->todo[i] = TODO_UP;
		}
		else if (keep == KEEP_NEW || (keep == KEEP_ORIGIN && pair_state(sync, i) == PAIR_NEW))
			repair_from_new(sync, i);
		else
			repair_from_old(sync, i);
	}
}

/* Is the tuple we were given the very one, in private memory, that the executor goes on with when we return it? */
static bool
owns_tuple(const Sync *sync)
{
	TupleTableSlot *slot = sync->new;

	if (!TTS_IS_HEAPTUPLE(slot) && !TTS_IS_BUFFERTUPLE(slot))
		return false;
	if (TTS_IS_BUFFERTUPLE(slot) && BufferIsValid(((BufferHeapTupleTableSlot *) slot)->buffer))
		return false;
	return TTS_SHOULDFREE(slot) && ((HeapTupleTableSlot *) slot)->tuple == sync->new_tuple;
}

/* May the changed columns be overwritten where they stand: of fixed size, passed by value, and not NULL before or after? */
static bool
is_overwritable(const Sync *sync)
{
	HeapTupleHeader header = sync->new_tuple->t_data;
	bool		has_nulls = HeapTupleHasNulls(sync->new_tuple);

	if (HeapTupleHeaderGetNatts(header) < sync->transform->desc->natts)
		return false;
	for (int n = 0; n < sync->nchanged; n++)
	{
		int			i = sync->changed[n] - 1;
		Form_pg_attribute att = TupleDescAttr(sync->transform->desc, i);

		if (!att->attbyval || att->attlen <= 0 || sync->new->tts_isnull[i] || (has_nulls && att_isnull(i, header->t_bits)))
			return false;
	}
	return true;
}

/*
 * Write the changed values into the tuple that is there, if all of them can be: saves forming another one, and the executor copying it.
 */
static bool
overwrite(const Sync *sync)
{
	TupleDesc	desc = sync->transform->desc;
	HeapTupleHeader header = sync->new_tuple->t_data;
	bool		has_nulls = HeapTupleHasNulls(sync->new_tuple);
	char	   *data = (char *) header + header->t_hoff;
	uint32		offset = 0;
	int			left = sync->nchanged;

	if (!owns_tuple(sync) || !is_overwritable(sync))
		return false;
	for (int i = 0; left > 0; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (has_nulls && att_isnull(i, header->t_bits))
			continue;
		offset = att_align_pointer(offset, att->attalign, att->attlen, data + offset);
		for (int n = 0; n < sync->nchanged; n++)
			if (sync->changed[n] == i + 1)
			{
				store_att_byval(data + offset, sync->new->tts_values[i], att->attlen);
				left--;
			}
		offset = att_addlength_pointer(offset, att->attlen, data + offset);
	}
	return true;
}

/* The tuple to write: the one that came, unless a value or the state has changed. */
static HeapTuple
finish(Sync *sync)
{
	HeapTuple	tuple;

	write_state(sync);
	if (sync->nchanged == 0 || overwrite(sync))
		return sync->new_tuple;
	tuple = heap_form_tuple(sync->transform->desc, sync->new->tts_values, sync->new->tts_isnull);
	tuple->t_data->t_ctid = sync->new_tuple->t_data->t_ctid;
	tuple->t_self = sync->new_tuple->t_self;
	tuple->t_tableOid = sync->new_tuple->t_tableOid;
	return tuple;
}

/* Is the updated row the same as before in all its columns? */
static bool
row_unchanged(const Sync *sync)
{
	TupleTableSlot *old = sync->data->tg_trigslot;

	slot_getallattrs(old);
	for (int i = 0; i < sync->transform->desc->natts; i++)
		if (!same_image(TupleDescAttr(sync->transform->desc, i), old->tts_values[i], old->tts_isnull[i],
						sync->new->tts_values[i], sync->new->tts_isnull[i]))
			return false;
	return true;
}

/* Raises unless called as a BEFORE INSERT OR UPDATE trigger FOR EACH ROW. */
static void
check_called(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "mig.sync")));
	if (!TRIGGER_FIRED_BEFORE(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!(TRIGGER_FIRED_BY_INSERT(data->tg_event) || TRIGGER_FIRED_BY_UPDATE(data->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired BEFORE INSERT OR UPDATE FOR EACH ROW", "mig.sync")));
	if (data->tg_trigger->tgnargs == 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" needs arguments", "mig.sync"),
				 errhint("Sync triggers are made by mig_start().")));
}

/* mig.sync() RETURNS trigger */
Datum
mig_sync(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Sync		sync = {.data = data};
	bool		update;
	bool		settled = false;
	HeapTuple	result;

	check_called(fcinfo);
	update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	sync.rel = data->tg_relation;
	sync.last = strcmp(data->tg_trigger->tgargs[0], "first") != 0;
	sync.new = update ? data->tg_newslot : data->tg_trigslot;
	sync.new_tuple = update ? data->tg_newtuple : data->tg_trigtuple;
	sync.transform = transform_get(sync.rel);
	slot_getallattrs(sync.new);
	sync.repair = sync_mode() == SYNC_REPAIR;
	if (!sync.repair)
		settled = begin(&sync);
	else if (sync.last)
		decide_repair(&sync);
	else
		return PointerGetDatum(sync.new_tuple);	/* nothing comes between the two */
	if (!settled)
	{
		apply(&sync);
		result = finish(&sync);
	}
	else
		result = sync.new_tuple;

	if (!sync.last)
		stash_put(&sync, result);
	else if (update && result == sync.new_tuple && sync_mode() != SYNC_CLIENT && row_unchanged(&sync))
		return PointerGetDatum(NULL);
	return PointerGetDatum(result);
}
