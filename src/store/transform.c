/*
 * transform.c
 *		The cache of transforms: what a table's sync trigger does, read from the trigger's arguments, its expressions compiled.
 *
 * A cache entry points to a Compiled, which has a validity flag and a memory context of its own. Invalidation callbacks only flip the flag; they
 * come at any time, also while the transform is in use further up the stack (an up whose function writes to the same table, or alters
 * something). So the next transform_get() that finds the flag down does not free the old one, it retires it: retired ones, and those nobody has asked for
 * since their flag went down, are freed when the transaction has ended, when no trigger can be under way.
 *
 * An error while one is built leaves the cache as it was: the new memory context hangs under the caller's until all is done.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "store/expression.h"
#include "store/fence.h"
#include "store/transform.h"

typedef struct Compiled
{
	Transform	transform;		/* first: transform_get() returns its address */
	bool		valid;
	bool		depends_on_types;
	MemoryContext context;
	struct Compiled *next;		/* in the list of retired ones */
} Compiled;

typedef struct CacheEntry
{
	Oid			relid;			/* hash key */
	Compiled   *compiled;		/* NULL: none */
} CacheEntry;

static HTAB *cache = NULL;
static Compiled *retired = NULL;
static uint64 invalidations = 0;	/* grows with each callback: tells a build that something moved meanwhile */
static bool any_invalid = false;	/* may there be an entry whose flag is down? */

/* Flags a transform as invalid. */
static void
invalidate(CacheEntry *entry)
{
	if (entry->compiled == NULL)
		return;
	entry->compiled->valid = false;
	any_invalid = true;
}

/* Flags all transforms as invalid, or those that depend on types. */
static void
invalidate_all(bool only_on_types)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	invalidations++;
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->compiled && (!only_on_types || entry->compiled->depends_on_types))
			invalidate(entry);
}

/* Relation cache callback. */
static void
relation_changed(Datum arg, Oid relid)
{
	CacheEntry *entry;

	if (!OidIsValid(relid))
	{
		invalidate_all(false);
		return;
	}
	invalidations++;
	entry = hash_search(cache, &relid, HASH_FIND, NULL);
	if (entry)
		invalidate(entry);
}

/* System cache callback: a function, a type or a domain's constraint changed. */
static void
object_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidate_all(cacheid != PROCOID);
}

/* Frees a transform for good. */
static void
free_compiled(Compiled *compiled)
{
	for (int i = 0; i < compiled->transform.npairs; i++)
	{
		expression_free(compiled->transform.pairs[i].up);
		expression_free(compiled->transform.pairs[i].down);
	}
	MemoryContextDelete(compiled->context);
}

/* Takes a transform that is no longer valid out of the cache; it is freed after the transaction. */
static void
retire(CacheEntry *entry)
{
	entry->compiled->next = retired;
	retired = entry->compiled;
	entry->compiled = NULL;
}

/* Retires the transforms whose flag is down, and forgets their tables. */
static void
retire_invalid(void)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	any_invalid = false;
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->compiled && entry->compiled->valid)
			continue;
		if (entry->compiled)
			retire(entry);
		hash_search(cache, &entry->relid, HASH_REMOVE, NULL);
	}
}

/* Transaction callback: frees the transforms that are out of use. */
static void
transaction_ended(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (any_invalid)
		retire_invalid();
	while (retired)
	{
		Compiled   *compiled = retired;

		retired = compiled->next;
		free_compiled(compiled);
	}
}

/* Makes the hash table and registers the callbacks, once per session. */
static void
cache_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(CacheEntry), .hcxt = CacheMemoryContext};

	cache = hash_create("mig_control transforms", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, object_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, object_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(CONSTROID, object_changed, (Datum) 0);
	RegisterXactCallback(transaction_ended, NULL);
}

/* Does this trigger call mig.sync()? */
bool
is_sync_trigger(const Trigger *trigger)
{
	char	   *name = get_func_name(trigger->tgfoid);

	return name && strcmp(name, "sync") == 0 && get_func_namespace(trigger->tgfoid) == get_namespace_oid("mig", true);
}

/*
 * Finds the relation's sync trigger, the one that sorts last; NULL if there is none. In a copy: any look into a catalog, also the one that tells what
 * the trigger calls, may have the relation cache build its own anew.
 */
static Trigger *
find_sync_trigger(Relation rel)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (trigger->tgnargs > 0 && strcmp(trigger->tgargs[0], "last") == 0 && is_sync_trigger(trigger))
			return trigger;
	}
	return NULL;
}

/* Does the relation have a sync trigger? */
bool
relation_has_sync(Relation rel)
{
	return find_sync_trigger(rel) != NULL;
}

/* Does it, and do they fire whatever session_replication_role is? */
bool
relation_sync_fires(Relation rel)
{
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	bool		fires = false;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		if (!is_sync_trigger(&triggers->triggers[i]))
			continue;
		if (triggers->triggers[i].tgenabled != TRIGGER_FIRES_ALWAYS)
			return false;
		fires = true;
	}
	return fires;
}

/* The number of a column named in the trigger's arguments; 0 for "". */
static AttrNumber
column_number(Relation rel, const char *name)
{
	AttrNumber	attno;

	if (name[0] == '\0')
		return 0;
	attno = get_attnum(RelationGetRelid(rel), name);
	if (attno <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of the sync trigger of table \"%s\" does not exist", name, RelationGetRelationName(rel)),
				 errhint("Roll the migration back with mig_rollback().")));
	return attno;
}

/* Copies the trigger's arguments into the current memory context, if they have the form the header describes. */
static char **
copy_arguments(Relation rel, const Trigger *trigger)
{
	int			n = trigger->tgnargs;
	char	  **args;

	if (n < 3 || (n - 3) % 4 != 0 || (n - 3) / 4 > TRANSFORM_MAX_PAIRS)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("sync trigger \"%s\" of table \"%s\" has %d arguments", trigger->tgname, RelationGetRelationName(rel), n),
				 errdetail("There are three, and four for each of at most %d pairs.", TRANSFORM_MAX_PAIRS)));
	args = palloc(sizeof(char *) * n);
	for (int i = 0; i < n; i++)
		args[i] = pstrdup(trigger->tgargs[i]);
	return args;
}

/* Error context callback of compile_side: arg is the expression's text. */
static void
compile_context(void *arg)
{
	errcontext("expression of the sync trigger: %s", (char *) arg);
}

/* Compiles one side of a pair; NULL when its text is "". */
static Expression *
compile_side(Relation rel, char *sql, AttrNumber target, ArrayType *settings,
			 Bitmapset **inputs, bool *verifiable, const char **text)
{
	ErrorContextCallback callback = {error_context_stack, compile_context, sql};
	Expression *expr;

	*verifiable = true;
	if (sql[0] == '\0' || target == 0)
		return NULL;
	*text = sql;
	error_context_stack = &callback;
	expr = expression_compile(rel, sql, target, settings, inputs, verifiable);
	error_context_stack = callback.previous;
	return expr;
}

/* Reads one pair from its four arguments. */
static void
compile_pair(Relation rel, char **args, ArrayType *settings, Pair *pair)
{
	pair->old_att = column_number(rel, args[0]);
	pair->new_att = column_number(rel, args[1]);
	pair->up = compile_side(rel, args[2], pair->new_att, settings,
							&pair->up_inputs, &pair->up_verifiable, &pair->up_sql);
	pair->down = compile_side(rel, args[3], pair->old_att, settings,
							  &pair->down_inputs, &pair->down_verifiable, &pair->down_sql);
}

/* Tells which pairs follow others. */
static void
find_followers(Transform *transform)
{
	for (int i = 0; i < transform->npairs; i++)
		for (int j = 0; j < transform->npairs; j++)
			if (i != j && transform->pairs[i].old_att == 0 && transform->pairs[j].new_att != 0 &&
				bms_is_member(transform->pairs[j].new_att, transform->pairs[i].up_inputs))
				transform->pairs[i].follows = transform->follows = true;
}

/* Lists the columns whose change makes a pair work, and the pairs that a write fills; tells what the whole depends on. */
static void
derive(Compiled *compiled)
{
	Transform  *transform = &compiled->transform;
	Bitmapset  *watched = NULL;
	int			attno = -1;

	for (int i = 0; i < transform->npairs; i++)
	{
		Pair	   *pair = &transform->pairs[i];

		watched = bms_add_members(watched, pair->up_inputs);
		watched = bms_add_members(watched, pair->down_inputs);
		if (pair->old_att)
			watched = bms_add_member(watched, pair->old_att);
		if (pair->new_att)
			watched = bms_add_member(watched, pair->new_att);
		if (pair->up)
			transform->fillable |= UINT64CONST(1) << (2 * i);
		compiled->depends_on_types |= expression_depends_on_types(pair->up) || expression_depends_on_types(pair->down);
	}
	transform->watched = palloc(sizeof(AttrNumber) * Max(bms_num_members(watched), 1));
	while ((attno = bms_next_member(watched, attno)) >= 0)
		transform->watched[transform->nwatched++] = attno;
}

/* Compiles the trigger's arguments into a Compiled in the current memory context, as the owner and with the settings pinned. */
static Compiled *
compile(Relation rel, const Trigger *trigger)
{
	int			npairs = (trigger->tgnargs - 3) / 4;
	char	  **args = copy_arguments(rel, trigger);
	Compiled   *compiled = palloc0(sizeof(Compiled));
	Transform  *transform = &compiled->transform;
	ArrayType  *settings;

	settings = DatumGetArrayTypeP(OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(args[2]),
												   ObjectIdGetDatum(TEXTOID), Int32GetDatum(-1)));
	if (ARR_NDIM(settings) == 0)
		settings = NULL;
	else
		ProcessGUCArray(settings, superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE);
	transform->relid = RelationGetRelid(rel);
	transform->desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	transform->state_att = column_number(rel, args[1]);
	transform->npairs = npairs;
	transform->pairs = palloc0(sizeof(Pair) * Max(transform->npairs, 1));
	for (int i = 0; i < transform->npairs; i++)
		compile_pair(rel, &args[3 + 4 * i], settings, &transform->pairs[i]);
	derive(compiled);
	find_followers(transform);
	return compiled;
}

/* Builds a relation's transform in a memory context of its own. */
static Compiled *
build(Relation rel)
{
	Trigger    *trigger = find_sync_trigger(rel);
	MemoryContext caller = CurrentMemoryContext;
	uint64		before = invalidations;
	Compiled   *compiled;
	MemoryContext context;
	Oid			userid;
	int			sec_context;
	int			guc_level;

	if (trigger == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no sync trigger", RelationGetRelationName(rel))));
	context = AllocSetContextCreate(caller, "mig_control transform", ALLOCSET_SMALL_SIZES);
	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(rel->rd_rel->relowner, sec_context | SECURITY_RESTRICTED_OPERATION);
	guc_level = NewGUCNestLevel();
	MemoryContextSwitchTo(context);
	compiled = compile(rel, trigger);
	compiled->transform.fenced_by = fence_of(RelationGetRelid(rel));
	MemoryContextSwitchTo(caller);
	AtEOXact_GUC(true, guc_level);
	SetUserIdAndSecContext(userid, sec_context);
	MemoryContextSetParent(context, CacheMemoryContext);
	compiled->context = context;
	compiled->valid = (before == invalidations);
	any_invalid |= !compiled->valid;
	return compiled;
}

/* Returns the relation's transform; see the header. */
Transform *
transform_get(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	CacheEntry *entry;
	Compiled   *compiled;
	bool		found;

	if (cache == NULL)
		cache_init();
	entry = hash_search(cache, &relid, HASH_FIND, NULL);
	if (entry && entry->compiled && entry->compiled->valid)
		return &entry->compiled->transform;

	/* building may run code that comes here again: look the entry up afterwards */
	compiled = build(rel);
	entry = hash_search(cache, &relid, HASH_ENTER, &found);
	if (found && entry->compiled)
		retire(entry);
	entry->compiled = compiled;
	return &compiled->transform;
}

/* Returns SQL over alias `t` that is true for rows with an untouched pair that a write would fill; NULL if no pair is ever filled. */
char *
transform_unfilled_sql(const Transform *transform)
{
	StringInfoData sql;
	const char *state = quote_identifier(NameStr(TupleDescAttr(transform->desc, transform->state_att - 1)->attname));

	if (transform->fillable == 0)
		return NULL;
	initStringInfo(&sql);
	appendStringInfo(&sql, "(%s.%s IS NULL", TRANSFORM_ALIAS, state);
	for (int i = 0; i < transform->npairs; i++)
	{
		uint64		low = UINT64CONST(1) << (2 * i);

		if (transform->fillable & low)
			appendStringInfo(&sql, " OR (%s.%s OPERATOR(pg_catalog.&) '" UINT64_FORMAT "'::pg_catalog.int8)"
							 " OPERATOR(pg_catalog.=) '0'::pg_catalog.int8",
							 TRANSFORM_ALIAS, state, 3 * low);
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}
