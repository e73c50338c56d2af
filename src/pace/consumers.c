/*
 * consumers.c
 *		Keeps in shared memory who uses which version, and takes it to mig.consumer.
 *
 * Owns struct Shared. An entry is a role and application at a version of a migration; a place, one of a few that each session has, says that the session uses, or
 * has used, an entry. The LWLock protects which entry is whose, and which place points to it; an entry to which a place points keeps its key, so that its
 * session adds to it without the lock. What is counted and timed is atomic. Entries that no session has are given to others when there is no free one,
 * first those of which all is in mig.consumer already, then those that were used longest ago.
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/sql.h"
#include "pace/clients.h"
#include "pace/consumers.h"
#include "pace/latency.h"

#define SHMEM_NAME		"mig_control consumers"
#define ENTRIES			512
#define PLACES			8		/* of a session */
#define NAMED			5		/* sessions that a text names */
#define JUST_NOW_MS		2000	/* before the last look: it may not have seen that */
#define UNSEEN_MS		600000	/* between two looks at locks, and all that was between them has not been seen */

typedef struct Entry
{
	int64		migration_id;	/* 0: free */
	Oid			database;
	Oid			role;			/* of the session, as in pg_stat_activity */
	bool		old;
	char		application[NAMEDATALEN];
	int			sessions;		/* places that point to it */
	pg_atomic_uint64 last_read; /* TimestampTz; 0: none */
	pg_atomic_uint64 last_write;
	pg_atomic_uint32 reads;		/* since they were last taken */
	pg_atomic_uint32 writes;
	pg_atomic_uint32 errors;
} Entry;

struct ConsumerPlace
{
	Entry	   *entry;			/* NULL: unused */
	int			pid;
	pg_atomic_uint32 running;	/* statements under way */
	pg_atomic_uint64 used_at;	/* TimestampTz: beginning or end of the last one */
};

typedef struct Shared
{
	LWLock	   *lock;
	pg_atomic_uint64 missed_at; /* when there was last no room for a session of the old version, a TimestampTz */
	pg_atomic_uint64 forgotten_write;	/* the last one to the old version that is in no entry any more and may not be in mig.consumer, likewise */
	Entry		entries[ENTRIES];
	ConsumerPlace places[FLEXIBLE_ARRAY_MEMBER];	/* PLACES for each process */
} Shared;

static Shared *shared = NULL;
static shmem_request_hook_type next_request_hook = NULL;
static shmem_startup_hook_type next_startup_hook = NULL;
static ConsumerPlace *own_places = NULL;	/* this session's; NULL: it has not used any */

/* ---- the memory ---- */

/* How many places there are. */
static int
count_places(void)
{
	return MaxBackends * PLACES;
}

/* How much memory that takes. */
static Size
shared_size(void)
{
	return add_size(offsetof(Shared, places), mul_size(sizeof(ConsumerPlace), count_places()));
}

/* Ask for the memory and its lock. */
static void
request_shared(void)
{
	if (next_request_hook)
		next_request_hook();
	RequestAddinShmemSpace(MAXALIGN(shared_size()));
	RequestNamedLWLockTranche(SHMEM_NAME, 1);
}

/* Find or set up the memory. */
static void
startup_shared(void)
{
	bool		found;

	if (next_startup_hook)
		next_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(SHMEM_NAME, shared_size(), &found);
	if (!found)
	{
		memset(shared, 0, shared_size());
		shared->lock = &(GetNamedLWLockTranche(SHMEM_NAME))->lock;
		pg_atomic_init_u64(&shared->missed_at, 0);
		pg_atomic_init_u64(&shared->forgotten_write, 0);
		for (int i = 0; i < ENTRIES; i++)
		{
			pg_atomic_init_u64(&shared->entries[i].last_read, 0);
			pg_atomic_init_u64(&shared->entries[i].last_write, 0);
			pg_atomic_init_u32(&shared->entries[i].reads, 0);
			pg_atomic_init_u32(&shared->entries[i].writes, 0);
			pg_atomic_init_u32(&shared->entries[i].errors, 0);
		}
		for (int i = 0; i < count_places(); i++)
		{
			pg_atomic_init_u32(&shared->places[i].running, 0);
			pg_atomic_init_u64(&shared->places[i].used_at, 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

void
consumers_install(void)
{
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shared;
}

bool
consumers_available(void)
{
	return shared != NULL;
}

/* When an entry was last used. */
static TimestampTz
entry_used_at(Entry *e)
{
	TimestampTz read = (TimestampTz) pg_atomic_read_u64(&e->last_read);
	TimestampTz write = (TimestampTz) pg_atomic_read_u64(&e->last_write);

	return Max(read, write);
}

/* Is there something in it that is not in mig.consumer? */
static bool
entry_is_fresh(Entry *e)
{
	return pg_atomic_read_u32(&e->reads) > 0 || pg_atomic_read_u32(&e->writes) > 0 || pg_atomic_read_u32(&e->errors) > 0;
}

/* Is one of two better kept than the other? */
static bool
is_dearer(Entry *one, Entry *other)
{
	if (entry_is_fresh(one) != entry_is_fresh(other))
		return entry_is_fresh(one);
	return entry_used_at(one) > entry_used_at(other);
}

/* ---- the session's side ---- */

/* Is an entry that of this session's role and application at a version? */
static bool
entry_is(const Entry *e, int64 migration_id, bool old)
{
	return e->migration_id == migration_id && e->database == MyDatabaseId && e->old == old && e->role == GetSessionUserId() && strcmp(e->application, application_name) == 0;
}

/* This session's entry at a version, a new one if it has none; NULL when there is no room. The lock is held exclusively. */
static Entry *
entry_get(int64 migration_id, bool old)
{
	Entry	   *unused = NULL;

	for (int i = 0; i < ENTRIES; i++)
	{
		Entry	   *e = &shared->entries[i];

		if (entry_is(e, migration_id, old))
			return e;
		if (e->sessions == 0 && (unused == NULL || is_dearer(unused, e)))
			unused = e;
	}
	if (unused == NULL)
		return NULL;
	if (unused->old && entry_is_fresh(unused) && pg_atomic_read_u64(&unused->last_write) > pg_atomic_read_u64(&shared->forgotten_write))
		pg_atomic_write_u64(&shared->forgotten_write, pg_atomic_read_u64(&unused->last_write));
	unused->migration_id = migration_id;
	unused->database = MyDatabaseId;
	unused->role = GetSessionUserId();
	unused->old = old;
	strlcpy(unused->application, application_name, NAMEDATALEN);
	pg_atomic_write_u64(&unused->last_read, 0);
	pg_atomic_write_u64(&unused->last_write, 0);
	pg_atomic_write_u32(&unused->reads, 0);
	pg_atomic_write_u32(&unused->writes, 0);
	pg_atomic_write_u32(&unused->errors, 0);
	return unused;
}

/* Make a place point nowhere. The lock is held exclusively. */
static void
place_leave(ConsumerPlace *place)
{
	if (place->entry)
		place->entry->sessions--;
	place->entry = NULL;
	place->pid = 0;
	pg_atomic_write_u32(&place->running, 0);
	pg_atomic_write_u64(&place->used_at, 0);
}

/* The process exits. */
static void
leave_at_exit(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < PLACES; i++)
		place_leave(&own_places[i]);
	LWLockRelease(shared->lock);
	own_places = NULL;
}

/* Find this process' places. */
static void
find_own_places(void)
{
	own_places = &shared->places[(MyProc - ProcGlobal->allProcs) * PLACES];
	before_shmem_exit(leave_at_exit, (Datum) 0);
}

/* A place that this session does without: an unused one, or else the one used longest ago, at which no statement runs. */
static ConsumerPlace *
spare_place(void)
{
	ConsumerPlace *spare = NULL;

	for (int i = 0; i < PLACES; i++)
	{
		ConsumerPlace *p = &own_places[i];

		if (pg_atomic_read_u32(&p->running) == 0 && (spare == NULL || pg_atomic_read_u64(&p->used_at) < pg_atomic_read_u64(&spare->used_at)))
			spare = p;
	}
	return spare;
}

/* Take a place at a version for this session; NULL when there is no room. */
static ConsumerPlace *
place_take(int64 migration_id, bool old)
{
	ConsumerPlace *place = spare_place();
	Entry	   *entry;

	if (place == NULL)
		return NULL;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	place_leave(place);
	entry = entry_get(migration_id, old);
	if (entry)
	{
		entry->sessions++;
		place->entry = entry;
		place->pid = MyProcPid;
	}
	LWLockRelease(shared->lock);
	return entry ? place : NULL;
}

/* This session's place at a version; NULL when there is no room for it. */
static ConsumerPlace *
place_get(int64 migration_id, bool old)
{
	if (own_places == NULL)
		find_own_places();
	for (int i = 0; i < PLACES; i++)
		if (own_places[i].entry && entry_is(own_places[i].entry, migration_id, old))
			return &own_places[i];
	return place_take(migration_id, old);
}

/* An entry and one of its places are in use at this moment. */
static void
touch(ConsumerPlace *place, bool write)
{
	uint64		now = (uint64) GetCurrentTimestamp();

	pg_atomic_write_u64(&place->used_at, now);
	pg_atomic_write_u64(write ? &place->entry->last_write : &place->entry->last_read, now);
}

ConsumerPlace *
consumer_begin(int64 migration_id, bool old, bool write)
{
	ConsumerPlace *place = place_get(migration_id, old);

	if (place == NULL)
	{
		if (old)
			pg_atomic_write_u64(&shared->missed_at, (uint64) GetCurrentTimestamp());
		return NULL;
	}
	pg_atomic_fetch_add_u32(&place->running, 1);
	pg_atomic_fetch_add_u32(write ? &place->entry->writes : &place->entry->reads, 1);
	touch(place, write);
	return place;
}

void
consumer_end(ConsumerPlace *place, bool write, bool failed)
{
	touch(place, write);
	if (write && failed)
		consumer_failed(place);
	pg_atomic_fetch_sub_u32(&place->running, 1);
}

void
consumer_failed(ConsumerPlace *place)
{
	if (place->entry)			/* else the session has used others meanwhile */
		pg_atomic_fetch_add_u32(&place->entry->errors, 1);
}

/* ---- the drivers' side ---- */

/* The sessions that use an entry. The lock is held. */
static List *
pids_of(const Entry *e)
{
	List	   *pids = NIL;

	for (int i = 0; i < count_places() && e->sessions > 0; i++)
		if (shared->places[i].entry == e)
			pids = lappend_int(pids, shared->places[i].pid);
	return pids;
}

/* A count; taken: it begins anew. */
static int64
count_of(pg_atomic_uint32 *counter, bool take)
{
	return take ? pg_atomic_exchange_u32(counter, 0) : pg_atomic_read_u32(counter);
}

/* What an entry says, but for its role's name. The lock is held. */
static Consumer *
read_entry(Entry *e, bool take)
{
	Consumer   *c = palloc0(sizeof(Consumer));

	c->migration_id = e->migration_id;
	c->old = e->old;
	c->application = pstrdup(e->application);
	c->pids = pids_of(e);
	c->last_read = (TimestampTz) pg_atomic_read_u64(&e->last_read);
	c->last_write = (TimestampTz) pg_atomic_read_u64(&e->last_write);
	c->reads = count_of(&e->reads, take);
	c->writes = count_of(&e->writes, take);
	c->errors = count_of(&e->errors, take);
	return c;
}

/* The name of a role, or its number when it has gone. */
static char *
role_name(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	return name ? name : psprintf("%u", role);
}

/* The entries of a migration. */
static List *
read_entries(int64 migration_id, bool take)
{
	List	   *list = NIL;
	List	   *roles = NIL;
	ListCell   *lc;
	ListCell   *role;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < ENTRIES; i++)
	{
		Entry	   *e = &shared->entries[i];

		if (e->migration_id != migration_id || e->database != MyDatabaseId)
			continue;
		list = lappend(list, read_entry(e, take));
		roles = lappend_oid(roles, e->role);
	}
	LWLockRelease(shared->lock);
	forboth(lc, list, role, roles)
		((Consumer *) lfirst(lc))->role = role_name(lfirst_oid(role));
	return list;
}

/* OIDs as a text, with spaces between them. */
static char *
oids_text(List *oids)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, oids)
		appendStringInfo(&buf, "%s%u", buf.len ? " " : "", lfirst_oid(lc));
	return buf.data;
}

/* What one look at the locks of open transactions shows, as Consumers of this moment. */
static List *
look_at_locks(int64 migration_id)
{
	SqlRows    *rows = admin_queryp("SELECT v.old, r.rolname, v.application_name, string_agg(v.pid::text, ' '), bool_or(v.writes) FROM ("
									" SELECT a.pid, a.usesysid, a.application_name, NOT bool_or(l.relation::text = ANY (string_to_array($2, ' '))) AS old,"
									"  bool_or(l.mode = 'RowExclusiveLock' AND NOT l.relation::text = ANY (string_to_array($2, ' '))) AS writes"
									"  FROM pg_lock_status() l JOIN pg_stat_get_activity(NULL) a ON a.pid = l.pid"
									"  WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
									"  AND l.relation::text = ANY (string_to_array($1 || ' ' || $2, ' ')) AND l.mode IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')"
									"  AND a.backend_type = 'client backend' AND " CLIENTS_A " GROUP BY 1, 2, 3) v JOIN pg_roles r ON r.oid = v.usesysid GROUP BY 1, 2, 3",
									P_text(oids_text(clients_tables(migration_id))), P_text(oids_text(clients_views(migration_id))));
	List	   *list = NIL;

	for (uint64 r = 0; r < rows->n; r++)
	{
		char	  **v = rows->v[r];
		Consumer   *c = palloc0(sizeof(Consumer));
		TimestampTz now = GetCurrentTimestamp();

		c->migration_id = migration_id;
		c->old = v[0][0] == 't';
		c->role = v[1];
		c->application = v[2];
		for (char *pid = strtok(v[3], " "); pid; pid = strtok(NULL, " "))
			c->pids = lappend_int(c->pids, atoi(pid));
		c->last_read = now;
		c->last_write = v[4][0] == 't' ? now : 0;
		list = lappend(list, c);
	}
	return list;
}

List *
consumers_now(int64 migration_id)
{
	return shared ? read_entries(migration_id, false) : look_at_locks(migration_id);
}

void
consumers_tend(const Migration *mig, Lookout *lookout)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz before = TimestampTzPlusMilliseconds(lookout->looked_at, -JUST_NOW_MS);
	ListCell   *lc;

	clients_watch(mig, true);
	if (shared)
		lookout->since = latency_watched_since(mig->id);
	else if (lookout->since == 0 || TimestampDifferenceExceeds(lookout->looked_at, now, UNSEEN_MS))
		lookout->since = now;
	foreach(lc, shared ? read_entries(mig->id, true) : look_at_locks(mig->id))
	{
		const Consumer *c = lfirst(lc);

		if (c->last_read >= before || c->last_write >= before || c->reads + c->writes + c->errors > 0)
			consumer_put(c);
	}
}

/* ---- for gates ---- */

/* Is a place one at which the old version of a migration is, or was since a moment, used by another session? The lock is held. */
static bool
uses_old(ConsumerPlace *p, int64 migration_id, TimestampTz since)
{
	return p->entry && p->entry->migration_id == migration_id && p->entry->database == MyDatabaseId && p->entry->old && p->pid != MyProcPid &&
		(pg_atomic_read_u32(&p->running) > 0 || (TimestampTz) pg_atomic_read_u64(&p->used_at) >= since);
}

/* The sessions that use, or have used since a moment, the old version of a migration: their entries' places, once each. The lock is held. */
static List *
places_using_old(int64 migration_id, TimestampTz since)
{
	List	   *list = NIL;
	int			pid = 0;

	/* those of one session lie side by side */
	for (int i = 0; i < count_places(); i++)
	{
		ConsumerPlace *p = &shared->places[i];

		if (!uses_old(p, migration_id, since) || p->pid == pid)
			continue;
		pid = p->pid;
		list = lappend(list, p);
	}
	return list;
}

/* Names some places' sessions. Reads keys of entries, so the lock is held; roles get their names later. */
static List *
name_places(List *places, List **roles)
{
	List	   *texts = NIL;
	ListCell   *lc;

	foreach(lc, places)
	{
		const ConsumerPlace *p = lfirst(lc);

		if (list_length(texts) == NAMED)
			break;
		texts = lappend(texts, psprintf("%s%s(pid %d)", p->entry->application, p->entry->application[0] ? " " : "", p->pid));
		*roles = lappend_oid(*roles, p->entry->role);
	}
	return texts;
}

/* The same of noted statements as consumers_using_old(). */
static int
noted_using_old(const Migration *mig, TimestampTz since, char **who)
{
	List	   *roles = NIL;
	List	   *texts;
	List	   *places;
	StringInfoData buf;

	LWLockAcquire(shared->lock, LW_SHARED);
	places = places_using_old(mig->id, since);
	texts = name_places(places, &roles);
	LWLockRelease(shared->lock);
	initStringInfo(&buf);
	for (int i = 0; i < list_length(texts); i++)
		appendStringInfo(&buf, "%s%s %s", i ? ", " : "", role_name(list_nth_oid(roles, i)), (char *) list_nth(texts, i));
	if (list_length(places) > NAMED)
		appendStringInfo(&buf, " and %d more", list_length(places) - NAMED);
	*who = places ? buf.data : NULL;
	return list_length(places);
}

/* Are a migration's statements being noted? If not, they are from now on, and nothing is known of what was before. */
static bool
is_noted(const Migration *mig, char **why)
{
	bool		noted = latency_watched_since(mig->id) != 0;

	if (!noted)
		clients_watch(mig, true);
	*why = noted ? NULL : latency_watched_since(mig->id) ? "nobody has watched the clients until now" : "too many migrations are watched at once";
	return noted;
}

/* The sessions whose open transactions use the old version now, as a text. */
static char *
pids_using_old(int64 migration_id)
{
	StringInfoData buf;
	ListCell   *lc;
	ListCell   *pid;

	initStringInfo(&buf);
	foreach(lc, look_at_locks(migration_id))
		foreach(pid, ((Consumer *) lfirst(lc))->old ? ((Consumer *) lfirst(lc))->pids : NIL)
			appendStringInfo(&buf, "%s%d", buf.len ? " " : "", lfirst_int(pid));
	return buf.data;
}

int
consumers_using_old(const Migration *mig, int64 idle_ms, char **who)
{
	TimestampTz since = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -idle_ms);

	if (shared == NULL)
		return consumers_seen(mig->id, since, pids_using_old(mig->id), who);
	if (!is_noted(mig, who))
		return -1;
	if ((TimestampTz) pg_atomic_read_u64(&shared->missed_at) >= since)
	{
		*who = "there are more roles and applications than can be noted";
		return -1;
	}
	return noted_using_old(mig, since, who);
}

TimestampTz
consumers_last_old_write(const Migration *mig)
{
	TimestampTz last = consumers_stored_old_write(mig->id);
	TimestampTz since;
	char	   *why;
	ListCell   *lc;

	if (shared && !is_noted(mig, &why))
		return 0;
	if (shared)
	{
		TimestampTz forgotten = (TimestampTz) pg_atomic_read_u64(&shared->forgotten_write);

		since = latency_watched_since(mig->id);
		last = Max(last, forgotten);
	}
	else
	{
		Lookout    *lookout = lookout_get(mig->id);

		since = lookout ? lookout->since : 0;
	}
	foreach(lc, consumers_now(mig->id))
	{
		const Consumer *c = lfirst(lc);

		if (c->old)
			last = Max(last, c->last_write);
	}
	return since == 0 ? 0 : Max(last, since);
}
