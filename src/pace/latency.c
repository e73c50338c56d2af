/*
 * latency.c
 *		Times the clients' statements on migrating tables, keeps what they took in shared memory, and tells which version they use.
 *
 * Owns struct Shared. Its LWLock protects the slots but for their atomic fields, to which sessions add without it: at worst a statement is counted for
 * a slot that has changed hands meanwhile. `generation` tells sessions that there are other tables to watch; each keeps those of its database.
 *
 * A statement counts once: those that run inside it, in functions and triggers, are part of it. What is timed is ExecutorRun, which waits for rows,
 * buffers and the client, and for a write also ExecutorFinish, in which the AFTER triggers run, and the commit, if it is the last of its transaction. The
 * time between two fetches from a cursor, or before a COMMIT, is the client's own. Which version is used is told of inner statements, too: a function's are the client's.
 */
#include "base/compat.h"

#include <math.h>

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/txn.h"
#include "pace/consumers.h"
#include "pace/latency.h"

#define SHMEM_NAME		"mig_control latency"
#define SLOTS			32
#define SLOT_RELATIONS	1024
#define FIRST_LEASE_MS	20000
#define STATEMENT_SLOTS	4		/* migrations whose tables one statement names */
#define BUCKETS			240		/* of microseconds, 8 to each power of two, up to 2^32 */
#define ENOUGH			200		/* statements that are kept however old they are */
#define SOME			5		/* statements that show that there are clients */
#define LATELY_HALF_S	1.0		/* a statement of that age counts half */
#define RESTING_HALF_S	15.0
#define GONE_MS			5000	/* without a statement: clients have gone */
#define CALM_MS			1000	/* to learn how clients do without us, */
#define LONGEST_CALM_MS	2000	/* when they do little, */
#define CALM_AGAIN_MS	60000	/* and until the next attempt if that was not enough */

/* Durations of statements */
typedef struct Histogram
{
	pg_atomic_uint32 fresh[BUCKETS];	/* since the last reading */
	double		kept[BUCKETS];	/* from before, the older the less they count */
	TimestampTz seen_at;		/* when there was something fresh */
} Histogram;

typedef struct Slot
{
	int64		migration_id;	/* 0: never used */
	Oid			database;
	uint64		incarnation;	/* changes hands: grows */
	pg_atomic_uint64 until;		/* end of the lease, a TimestampTz */
	TimestampTz since;			/* when the migration got it */
	TimestampTz read_at;
	pg_atomic_uint32 drivers;	/* that work on it now */
	pg_atomic_uint32 works;		/* how often one has begun to */
	TimestampTz calm_from;		/* the last attempt to learn how clients do without us; 0: none */
	Histogram	lately;
	Histogram	resting;
	int			nviews;
	int			nrelations;
	Oid			relations[SLOT_RELATIONS];	/* the new version's views, then tables */
} Slot;

typedef struct Shared
{
	LWLock	   *lock;
	pg_atomic_uint64 generation;
	uint64		incarnations;
	Slot		slots[SLOTS];
} Shared;

/* A relation to watch, for this session */
typedef struct Watch
{
	Oid			relid;
	Slot	   *slot;
	bool		view;			/* of the new version */
} Watch;

/* What a statement does to a migration's tables */
typedef struct Use
{
	Slot	   *slot;
	bool		table;			/* names one, itself or by way of views */
	bool		write;			/* and writes it */
	bool		view;			/* names a view of the new version */
	bool		view_write;		/* and writes through it */
} Use;

/* Those of a statement */
typedef struct Uses
{
	int			n;
	Use			use[STATEMENT_SLOTS];
} Uses;

/* Those that were told, until it ends: reads and writes of either version */
typedef struct Notes
{
	int			n;
	struct
	{
		ConsumerPlace *place;
		bool		write;
	}			note[STATEMENT_SLOTS * 2];
} Notes;

/* A statement that is being timed */
typedef struct Timed
{
	QueryDesc  *query;			/* NULL: none */
	Slot	   *slot;
	bool		worked;			/* a driver worked meanwhile */
	uint32		works;
	instr_time	start;
	uint64		us;
	Notes		notes;
} Timed;

static Shared *shared = NULL;
static shmem_request_hook_type next_request_hook = NULL;
static shmem_startup_hook_type next_startup_hook = NULL;
static ExecutorRun_hook_type next_executor_run = NULL;
static ExecutorFinish_hook_type next_executor_finish = NULL;

static Watch *watches = NULL;	/* in TopMemoryContext, ordered by relid */
static int	nwatches = 0;
static uint64 known_generation = 0;

static bool running = false;	/* inside a statement that is timed */
static Timed unfinished;		/* a write that has run, and whose ExecutorFinish is to come */
static Timed uncommitted;		/* the transaction's last write, its slot NULL if there is none */

static Slot *working_on = NULL; /* this process works on that slot's migration */
static uint64 working_incarnation = 0;

/* ---- the memory ---- */

/* Ask for the memory and its lock. */
static void
request_shared(void)
{
	if (next_request_hook)
		next_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Shared)));
	RequestNamedLWLockTranche(SHMEM_NAME, 1);
}

/* Set up the counters of a histogram. */
static void
histogram_init(Histogram *h)
{
	for (int i = 0; i < BUCKETS; i++)
	{
		pg_atomic_init_u32(&h->fresh[i], 0);
		h->kept[i] = 0;
	}
	h->seen_at = 0;
}

/* Find or set up the memory. */
static void
startup_shared(void)
{
	bool		found;

	if (next_startup_hook)
		next_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(SHMEM_NAME, sizeof(Shared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(Shared));
		shared->lock = &(GetNamedLWLockTranche(SHMEM_NAME))->lock;
		pg_atomic_init_u64(&shared->generation, 0);
		for (int i = 0; i < SLOTS; i++)
		{
			Slot	   *slot = &shared->slots[i];

			pg_atomic_init_u64(&slot->until, 0);
			pg_atomic_init_u32(&slot->drivers, 0);
			pg_atomic_init_u32(&slot->works, 0);
			histogram_init(&slot->lately);
			histogram_init(&slot->resting);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

bool
latency_available(void)
{
	return shared != NULL;
}

/* Has a slot's lease not ended? */
static bool
slot_is_leased(Slot *slot, TimestampTz now)
{
	return (TimestampTz) pg_atomic_read_u64(&slot->until) > now;
}

/* The slot of a migration of this database; NULL if it has none. The lock is held. */
static Slot *
slot_find(int64 migration_id)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < SLOTS; i++)
	{
		Slot	   *slot = &shared->slots[i];

		if (slot->migration_id == migration_id && slot->database == MyDatabaseId && slot_is_leased(slot, now))
			return slot;
	}
	return NULL;
}

/* ---- histograms ---- */

/* The bucket of a duration. */
static int
bucket_of(uint64 us)
{
	int			power;

	us = Min(us, (uint64) PG_UINT32_MAX);
	if (us < 8)
		return (int) us;
	power = pg_leftmost_one_pos64(us);
	return (power - 2) * 8 + (int) ((us >> (power - 3)) & 7);
}

/* The shortest duration of a bucket, in microseconds. */
static double
bucket_start(int bucket)
{
	if (bucket < 8)
		return bucket;
	return (double) ((uint64) (8 + bucket % 8) << (bucket / 8 - 1));
}

/* The duration in ms below which that share of n statements are; evenly spread within a bucket. */
static double
quantile_ms(const Histogram *h, double n, double share)
{
	double		below = n * share;
	int			b = 0;

	while (b < BUCKETS - 1 && below > h->kept[b])
		below -= h->kept[b++];
	return (bucket_start(b) + (h->kept[b] > 0 ? Min(below / h->kept[b], 1.0) : 0) * (bucket_start(b + 1) - bucket_start(b))) / 1000.0;
}

/* Take in what has come, let what was there fade with its age (but not below ENOUGH statements), and tell what it comes to. */
static void
histogram_read(Histogram *h, double seconds, double half_life, TimestampTz now, Latency *latency)
{
	double		former = 0;
	double		n = 0;
	double		fade;
	uint64		fresh = 0;

	for (int b = 0; b < BUCKETS; b++)
		former += h->kept[b];
	fade = former > ENOUGH ? Max(exp2(-seconds / half_life), ENOUGH / former) : 1;
	for (int b = 0; b < BUCKETS; b++)
	{
		uint32		more = pg_atomic_read_u32(&h->fresh[b]) > 0 ? pg_atomic_exchange_u32(&h->fresh[b], 0) : 0;

		h->kept[b] = h->kept[b] * fade + more;
		n += h->kept[b];
		fresh += more;
	}
	if (fresh > 0)
		h->seen_at = now;
	latency->n = n;
	latency->p50_ms = n > 0 ? quantile_ms(h, n, 0.50) : 0;
	latency->p95_ms = n > 0 ? quantile_ms(h, n, 0.95) : 0;
	latency->p99_ms = n > 0 ? quantile_ms(h, n, 0.99) : 0;
}

/* Should drivers stand still now? The lock is held exclusively. */
static bool
slot_wants_calm(Slot *slot, double lately, double resting, TimestampTz now)
{
	bool		enough = resting >= ENOUGH;

	if (slot->calm_from == 0 || TimestampDifferenceExceeds(slot->calm_from, now, CALM_AGAIN_MS))
	{
		if (enough || lately < SOME)
			return false;
		slot->calm_from = now;
	}
	return !TimestampDifferenceExceeds(slot->calm_from, now, enough ? CALM_MS : LONGEST_CALM_MS);
}

bool
latency_read(int64 migration_id, Latency *lately, Latency *resting, bool *calm)
{
	Slot	   *slot;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = slot_find(migration_id);
	if (slot)
	{
		TimestampTz now = GetCurrentTimestamp();
		double		seconds = Max(now - slot->read_at, 0) / 1000000.0;

		histogram_read(&slot->lately, seconds, LATELY_HALF_S, now, lately);
		histogram_read(&slot->resting, seconds, RESTING_HALF_S, now, resting);
		if (TimestampDifferenceExceeds(slot->lately.seen_at, now, GONE_MS))
		{
			histogram_init(&slot->lately);
			lately->n = 0;
		}
		*calm = slot_wants_calm(slot, lately->n, resting->n, now);
		slot->read_at = now;
	}
	LWLockRelease(shared->lock);
	return slot != NULL;
}

/* ---- the drivers' side ---- */

/* Give a slot to a migration. The lock is held exclusively. */
static void
slot_take(Slot *slot, int64 migration_id)
{
	slot->migration_id = migration_id;
	slot->database = MyDatabaseId;
	slot->incarnation = ++shared->incarnations;
	slot->since = GetCurrentTimestamp();
	slot->read_at = slot->since;
	slot->calm_from = 0;
	pg_atomic_write_u32(&slot->drivers, 0);
	histogram_init(&slot->lately);
	histogram_init(&slot->resting);
	slot->nviews = 0;
	slot->nrelations = 0;
}

/* A slot's relations are these from now on; true when they were others. The lock is held exclusively. */
static bool
slot_set_relations(Slot *slot, List *tables, List *views)
{
	List	   *all = list_concat_copy(views, tables);
	int			n = Min(list_length(all), SLOT_RELATIONS);
	bool		changed = n != slot->nrelations || slot->nviews != list_length(views);

	for (int i = 0; i < n; i++)
	{
		changed = changed || slot->relations[i] != list_nth_oid(all, i);
		slot->relations[i] = list_nth_oid(all, i);
	}
	slot->nrelations = n;
	slot->nviews = Min(list_length(views), n);
	return changed;
}

bool
latency_watch(int64 migration_id, List *tables, List *views)
{
	TimestampTz now = GetCurrentTimestamp();
	Slot	   *slot;
	bool		watched;

	if (shared == NULL)
		return false;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = slot_find(migration_id);
	watched = slot != NULL;
	for (int i = 0; i < SLOTS && slot == NULL && tables != NIL; i++)
		if (!slot_is_leased(&shared->slots[i], now))
		{
			slot = &shared->slots[i];
			slot_take(slot, migration_id);
		}
	if (slot)					/* the transaction that starts a migration may be rolled back */
		pg_atomic_write_u64(&slot->until, (uint64) TimestampTzPlusMilliseconds(now, watched ? LATENCY_LEASE_MS : FIRST_LEASE_MS));
	if (slot && tables != NIL && slot_set_relations(slot, tables, views))
		pg_atomic_fetch_add_u64(&shared->generation, 1);
	LWLockRelease(shared->lock);
	return watched;
}

void
latency_unwatch(int64 migration_id)
{
	Slot	   *slot;

	if (shared == NULL)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = slot_find(migration_id);
	if (slot)
	{
		pg_atomic_write_u64(&slot->until, 0);
		pg_atomic_fetch_add_u64(&shared->generation, 1);
	}
	LWLockRelease(shared->lock);
}

TimestampTz
latency_watched_since(int64 migration_id)
{
	TimestampTz since = 0;
	Slot	   *slot;

	if (shared == NULL)
		return 0;
	LWLockAcquire(shared->lock, LW_SHARED);
	slot = slot_find(migration_id);
	if (slot)
		since = slot->since;
	LWLockRelease(shared->lock);
	return since;
}

void
latency_work_end(void)
{
	if (working_on == NULL)
		return;
	LWLockAcquire(shared->lock, LW_SHARED);
	if (working_on->incarnation == working_incarnation)
		pg_atomic_fetch_sub_u32(&working_on->drivers, 1);
	LWLockRelease(shared->lock);
	working_on = NULL;
}

/* The process exits. */
static void
work_end_at_exit(int code, Datum arg)
{
	latency_work_end();
}

void
latency_work_begin(int64 migration_id)
{
	static bool callback_registered = false;

	if (shared == NULL)
		return;
	latency_work_end();
	if (!callback_registered)
		before_shmem_exit(work_end_at_exit, (Datum) 0);
	callback_registered = true;
	LWLockAcquire(shared->lock, LW_SHARED);
	working_on = slot_find(migration_id);
	if (working_on)
	{
		working_incarnation = working_on->incarnation;
		pg_atomic_fetch_add_u32(&working_on->drivers, 1);
		pg_atomic_fetch_add_u32(&working_on->works, 1);
	}
	LWLockRelease(shared->lock);
}

/* ---- the clients' side ---- */

/* Order watches by table. */
static int
compare_watches(const void *a, const void *b)
{
	Oid			x = ((const Watch *) a)->relid;
	Oid			y = ((const Watch *) b)->relid;

	return x < y ? -1 : x > y;
}

/* Learn which relations of this database are watched now. */
static void
learn_watches(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int			most = 0;

	if (watches)
		pfree(watches);
	watches = NULL;
	nwatches = 0;
	LWLockAcquire(shared->lock, LW_SHARED);
	known_generation = pg_atomic_read_u64(&shared->generation);
	for (int i = 0; i < SLOTS; i++)
		most += shared->slots[i].database == MyDatabaseId ? shared->slots[i].nrelations : 0;
	if (most > 0)
		watches = MemoryContextAlloc(TopMemoryContext, sizeof(Watch) * most);
	for (int i = 0; i < SLOTS; i++)
	{
		Slot	   *slot = &shared->slots[i];

		if (slot->database != MyDatabaseId || !slot_is_leased(slot, now))
			continue;
		for (int t = 0; t < slot->nrelations; t++)
			watches[nwatches++] = (Watch) {slot->relations[t], slot, t < slot->nviews};
	}
	LWLockRelease(shared->lock);
	if (nwatches > 0)
		qsort(watches, nwatches, sizeof(Watch), compare_watches);
}

/* Is there a relation of this session's database to watch, and is the session a client? */
static bool
is_watching(void)
{
	if (known_generation != pg_atomic_read_u64(&shared->generation) && MyBackendType == B_BACKEND)
		learn_watches();
	return nwatches > 0 && working_on == NULL;
}

/* The watch of a relation; NULL: none. It may be one of several: of a table under successive migrations. */
static Watch *
watch_find(Oid relid)
{
	Watch		key = {.relid = relid};

	return bsearch(&key, watches, nwatches, sizeof(Watch), compare_watches);
}

/* The place for a slot among those that a statement uses; NULL when there are too many. */
static Use *
use_of(Uses *uses, Slot *slot)
{
	for (int i = 0; i < uses->n; i++)
		if (uses->use[i].slot == slot)
			return &uses->use[i];
	if (uses->n == STATEMENT_SLOTS)
		return NULL;
	memset(&uses->use[uses->n], 0, sizeof(Use));
	uses->use[uses->n].slot = slot;
	return &uses->use[uses->n++];
}

/* An entry of a statement's range table names a watched relation. */
static void
add_use(Uses *uses, const Watch *watch, bool result, bool write_checked)
{
	Use		   *use = use_of(uses, watch->slot);

	if (use == NULL)
		return;
	if (watch->view)
	{
		use->view = true;
		use->view_write = use->view_write || write_checked;
	}
	else
	{
		use->table = true;
		use->write = use->write || result;
	}
}

/* What a statement does to the tables of migrations. Forgets what is watched when a slot's lease has ended. */
static void
find_uses(const QueryDesc *query, Uses *uses)
{
	const PlannedStmt *stmt = query->plannedstmt;
	TimestampTz now = 0;
	int			rti = 0;
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		Watch	   *watch = OidIsValid(rte->relid) ? watch_find(rte->relid) : NULL;

		rti++;
		if (watch == NULL)
			continue;
		if (now == 0)
			now = GetCurrentTimestamp();
		if (!slot_is_leased(watch->slot, now))
		{
			uses->n = 0;
			learn_watches();
			return;
		}
		add_use(uses, watch, list_member_int(stmt->resultRelations, rti),
				(mig_rte_required_perms(stmt, rte) & (ACL_INSERT | ACL_UPDATE | ACL_DELETE)) != 0);
	}
}

/* The slot that a statement is timed for: the first one's of which it names a table; NULL: none. */
static Slot *
timed_slot(const Uses *uses)
{
	for (int i = 0; i < uses->n; i++)
		if (uses->use[i].table)
			return uses->use[i].slot;
	return NULL;
}

/* Tell of one use. */
static void
note(Notes *notes, const Slot *slot, bool old, bool write)
{
	ConsumerPlace *place = consumer_begin(slot->migration_id, old, write);

	if (place)
	{
		notes->note[notes->n].place = place;
		notes->note[notes->n++].write = write;
	}
}

/*
 * Tell which versions a statement uses. One that writes a table and names a view of the new version without writing through it uses both. Restricted operations, and
 * lookups of foreign keys, which are without row-level security, are nobody's use of a version.
 */
static void
notes_begin(Notes *notes, const Uses *uses)
{
	if (InSecurityRestrictedOperation() || InNoForceRLSOperation())
		return;
	for (int i = 0; i < uses->n; i++)
	{
		const Use  *use = &uses->use[i];
		bool		through = use->write && use->view_write;

		if (use->view)
			note(notes, use->slot, false, through);
		if (use->table && (!use->view || (use->write && !through)))
			note(notes, use->slot, true, use->write);
	}
}

/* The statement has ended, but for its AFTER triggers. */
static void
notes_end(Notes *notes, bool failed)
{
	for (int i = 0; i < notes->n; i++)
		consumer_end(notes->note[i].place, notes->note[i].write, failed);
}

/* Is the error that is being raised one that a version can be to blame for? Not what may pass, was asked for, or says that a version is closed. */
static bool
is_blamed(void)
{
	int			code = geterrcode();

	return !txn_is_retryable(code) && ERRCODE_TO_CATEGORY(code) != ERRCODE_OPERATOR_INTERVENTION && code != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
}

/* A write that has been noted fails in its AFTER triggers. */
static void
notes_failed(const Notes *notes)
{
	for (int i = 0; i < notes->n && is_blamed(); i++)
		if (notes->note[i].write)
			consumer_failed(notes->note[i].place);
}

void
latency_note(Oid relid, bool write)
{
	Uses		uses = {0};
	Notes		notes = {0};
	Watch	   *watch;

	if (shared == NULL || !is_watching() || (watch = watch_find(relid)) == NULL || !slot_is_leased(watch->slot, GetCurrentTimestamp()))
		return;
	add_use(&uses, watch, write, false);
	notes_begin(&notes, &uses);
	notes_end(&notes, false);
}

/* Begin to time a statement, or a part of it. */
static void
timed_begin(Timed *t)
{
	t->worked = t->worked || pg_atomic_read_u32(&t->slot->drivers) > 0;
	t->works = pg_atomic_read_u32(&t->slot->works);
	INSTR_TIME_SET_CURRENT(t->start);
	running = true;
}

/* It, or that part, has ended. */
static void
timed_end(Timed *t)
{
	instr_time	now;

	running = false;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, t->start);
	t->us += INSTR_TIME_GET_MICROSEC(now);
	t->worked = t->worked || pg_atomic_read_u32(&t->slot->works) != t->works;
}

/* Count a statement. */
static void
timed_count(const Timed *t)
{
	int			bucket = bucket_of(t->us);

	pg_atomic_fetch_add_u32(&t->slot->lately.fresh[bucket], 1);
	if (!t->worked)
		pg_atomic_fetch_add_u32(&t->slot->resting.fresh[bucket], 1);
}

/* What runs a statement, but for us. */
static void
run_next(QueryDesc *query, ScanDirection direction, uint64 count MIG_EXECUTE_ONCE_PARAM)
{
	if (next_executor_run)
		next_executor_run(query, direction, count MIG_EXECUTE_ONCE_ARG);
	else
		standard_ExecutorRun(query, direction, count MIG_EXECUTE_ONCE_ARG);
}

/* It has raised: that has kept its client waiting, too. */
static void
timed_failed(Timed *t)
{
	timed_end(t);
	timed_count(t);
	notes_end(&t->notes, is_blamed());
}

/* A statement that names watched relations inside one that is timed, or names none of the tables. */
static void
run_noted(QueryDesc *query, ScanDirection direction, uint64 count MIG_EXECUTE_ONCE_PARAM, Notes *notes)
{
	PG_TRY();
	{
		run_next(query, direction, count MIG_EXECUTE_ONCE_ARG);
	}
	PG_CATCH();
	{
		notes_end(notes, !running && is_blamed());
		PG_RE_THROW();
	}
	PG_END_TRY();
	notes_end(notes, false);
}

/* ExecutorRun hook: time it if it is a client's statement on a watched table, and tell which version it uses. */
static void
time_executor_run(QueryDesc *query, ScanDirection direction, uint64 count MIG_EXECUTE_ONCE_PARAM)
{
	Timed		t = {.query = query};
	Uses		uses = {0};

	if (unfinished.query == query)
		unfinished.query = NULL;	/* it never was, and memory is used again */
	if (is_watching())
		find_uses(query, &uses);
	if (uses.n == 0)
	{
		run_next(query, direction, count MIG_EXECUTE_ONCE_ARG);
		return;
	}
	notes_begin(&t.notes, &uses);
	t.slot = running ? NULL : timed_slot(&uses);
	if (t.slot == NULL)
	{
		run_noted(query, direction, count MIG_EXECUTE_ONCE_ARG, &t.notes);
		return;
	}
	timed_begin(&t);
	PG_TRY();
	{
		run_next(query, direction, count MIG_EXECUTE_ONCE_ARG);
	}
	PG_CATCH();
	{
		timed_failed(&t);
		PG_RE_THROW();
	}
	PG_END_TRY();
	timed_end(&t);
	notes_end(&t.notes, false);
	if (query->operation == CMD_SELECT)
		timed_count(&t);
	else
		unfinished = t;
}

/* At the end of a transaction, time its commit as part of its last write. */
static void
time_commit(XactEvent event, void *arg)
{
	if (uncommitted.slot == NULL)
		return;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
	{
		timed_begin(&uncommitted);
		return;
	}
	if (running)
		timed_end(&uncommitted);
	timed_count(&uncommitted);
	uncommitted.slot = NULL;
}

/* A write has ended, and may be its transaction's last one. */
static void
await_commit(const Timed *t)
{
	static bool callback_registered = false;

	if (!callback_registered)
		RegisterXactCallback(time_commit, NULL);
	callback_registered = true;
	if (uncommitted.slot)
		timed_count(&uncommitted);
	uncommitted = *t;
}

/* What finishes a statement, but for us. */
static void
finish_next(QueryDesc *query)
{
	if (next_executor_finish)
		next_executor_finish(query);
	else
		standard_ExecutorFinish(query);
}

/* ExecutorFinish hook: the rest of a write that was timed. */
static void
time_executor_finish(QueryDesc *query)
{
	Timed		t = unfinished;

	if (running || t.query != query)
	{
		finish_next(query);
		return;
	}
	unfinished.query = NULL;
	timed_begin(&t);
	PG_TRY();
	{
		finish_next(query);
	}
	PG_CATCH();
	{
		timed_end(&t);
		timed_count(&t);
		notes_failed(&t.notes);
		PG_RE_THROW();
	}
	PG_END_TRY();
	timed_end(&t);
	await_commit(&t);
}

void
latency_install(void)
{
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shared;
	next_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = time_executor_run;
	next_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = time_executor_finish;
}
