/*
 * shmem.c
 *		The shared request slots between sessions, launcher and workers.
 *
 * Owns struct Shared. Its LWLock protects every field. Latch pointers are cleared by their owner before it exits, under the lock; so whoever
 * holds the lock may set them.
 *
 * A slot's way: request (wanted grows) → launcher starts a worker → the worker attaches, looks (seen := wanted), works, and exits idle
 * only if wanted is still what it saw. A worker that ends otherwise leaves the slot wanted (wanted grows), and the launcher starts
 * another one after a pause.
 */
#include "base/compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/shmem.h"

#define SHMEM_NAME		"mig_control"
#define DATABASE_SLOTS	64
#define PREPARED_LOOK_MS 5000
#define PREPARED_LOOKS	720

typedef struct Slot
{
	Oid			database;		/* InvalidOid: free */
	uint64		wanted;			/* generation of the newest request */
	uint64		seen;			/* generation that the last look served */
	int			pid;			/* the attached worker, 0 if none */
	Latch	   *latch;			/* and its latch */
	bool		stopped;
	TimestampTz wanted_empty;	/* until then somebody wants the database for himself */
	int			prepared;		/* a prepared transaction asked, and its commit will not: so many looks are left for it */
	TimestampTz look_again;
} Slot;

typedef struct Shared
{
	LWLock	   *lock;
	Latch	   *launcher;		/* NULL: none is running */
	bool		overflow;
	bool		crowded;		/* a worker could not be started, and none has given way since */
	Slot		slots[DATABASE_SLOTS];
} Shared;

static Shared *shared = NULL;
static shmem_request_hook_type prev_request_hook = NULL;
static shmem_startup_hook_type prev_startup_hook = NULL;

static bool wake_pending = false;
static bool callback_registered = false;

/* Ask for the memory and its lock. */
static void
request_shared(void)
{
	if (prev_request_hook)
		prev_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Shared)));
	RequestNamedLWLockTranche(SHMEM_NAME, 1);
}

/* Find or set up the memory. */
static void
startup_shared(void)
{
	bool		found;

	if (prev_startup_hook)
		prev_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(SHMEM_NAME, sizeof(Shared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(Shared));
		shared->lock = &(GetNamedLWLockTranche(SHMEM_NAME))->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

void
shmem_install(void)
{
	prev_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared;
	prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shared;
}

bool
shmem_available(void)
{
	return shared != NULL;
}

/* The slot of a database; NULL if it has none. The lock is held. */
static Slot *
slot_find(Oid database)
{
	for (int i = 0; i < DATABASE_SLOTS; i++)
		if (shared->slots[i].database == database)
			return &shared->slots[i];
	return NULL;
}

/* The slot of a database, taking a free one for it; NULL if there is none. The lock is held exclusively. */
static Slot *
slot_get(Oid database)
{
	Slot	   *slot = slot_find(database);

	if (slot == NULL && (slot = slot_find(InvalidOid)) != NULL)
	{
		memset(slot, 0, sizeof(Slot));
		slot->database = database;
		slot->stopped = true;
	}
	return slot;
}

/* Count a request, and wake who may serve it. */
static bool
request(Oid database, bool prepared)
{
	Slot	   *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = slot_get(database);
	if (slot == NULL)
		shared->overflow = true;
	else
	{
		slot->wanted++;
		if (prepared)
			slot->prepared = PREPARED_LOOKS;
		if (slot->latch)
			SetLatch(slot->latch);
	}
	if (shared->launcher && (slot == NULL || slot->pid == 0))
		SetLatch(shared->launcher);
	LWLockRelease(shared->lock);
	return slot != NULL;
}

bool
shmem_request(Oid database)
{
	return shared != NULL && request(database, false);
}

/* At the end of a transaction that asked for it, wake the launcher if the transaction holds. */
static void
wake_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			if (wake_pending)
				request(MyDatabaseId, event == XACT_EVENT_PREPARE);
			wake_pending = false;
			break;
		case XACT_EVENT_ABORT:
			wake_pending = false;
			break;
		default:
			break;
	}
}

void
shmem_wake_at_commit(void)
{
	if (shared == NULL)
		return;
	if (!callback_registered)
		RegisterXactCallback(wake_callback, NULL);
	callback_registered = true;
	wake_pending = true;
}

/* The launcher exits: nobody may set its latch any more. */
static void
launcher_detach(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = NULL;
	LWLockRelease(shared->lock);
}

bool
shmem_launcher_attach(void)
{
	if (shared == NULL)
		return false;
	before_shmem_exit(launcher_detach, (Datum) 0);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = MyLatch;
	LWLockRelease(shared->lock);
	return true;
}

bool
shmem_take_overflow(void)
{
	bool		overflow;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	overflow = shared->overflow;
	shared->overflow = false;
	LWLockRelease(shared->lock);
	return overflow;
}

List *
shmem_work(void)
{
	DatabaseWork *copy = palloc0(sizeof(DatabaseWork) * DATABASE_SLOTS);
	List	   *list = NIL;
	int			n = 0;

	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < DATABASE_SLOTS; i++)
	{
		Slot	   *slot = &shared->slots[i];

		if (!OidIsValid(slot->database))
			continue;
		copy[n].database = slot->database;
		copy[n].wanted = slot->wanted != slot->seen;
		copy[n].running = slot->pid != 0;
		copy[n].stopped = slot->stopped;
		copy[n].look_again = slot->look_again;
		n++;
	}
	LWLockRelease(shared->lock);
	for (int i = 0; i < n; i++)
		list = lappend(list, &copy[i]);
	return list;
}

void
shmem_launching(Oid database)
{
	Slot	   *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = slot_find(database);
	if (slot && slot->pid == 0)
	{
		slot->stopped = false;
		slot->look_again = 0;
	}
	LWLockRelease(shared->lock);
}

void
shmem_forget(Oid database)
{
	Slot	   *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = slot_find(database);
	if (slot && slot->pid == 0 && slot->wanted == slot->seen && slot->look_again == 0)
		slot->database = InvalidOid;
	LWLockRelease(shared->lock);
}

void
shmem_drop(Oid database)
{
	Slot	   *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = slot_find(database);
	if (slot && slot->pid == 0)
		slot->database = InvalidOid;
	LWLockRelease(shared->lock);
}

/* The slot this worker is attached to. The lock is held. */
static Slot *
my_slot(void)
{
	for (int i = 0; i < DATABASE_SLOTS; i++)
		if (shared->slots[i].pid == MyProcPid)
			return &shared->slots[i];
	return NULL;
}

/* The worker exits. If it does not do so on purpose, its work is still wanted. */
static void
worker_detach(int code, Datum arg)
{
	Slot	   *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = my_slot();
	if (slot)
	{
		slot->pid = 0;
		slot->latch = NULL;
		if (!slot->stopped)
			slot->wanted++;
	}
	if (shared->launcher)
		SetLatch(shared->launcher);
	LWLockRelease(shared->lock);
}

bool
shmem_worker_attach(Oid database)
{
	Slot	   *slot;
	bool		attached = false;

	if (shared == NULL)
		return false;
	before_shmem_exit(worker_detach, (Datum) 0);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = slot_get(database);
	if (slot && slot->pid == 0)
	{
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		slot->stopped = false;
		attached = true;
	}
	LWLockRelease(shared->lock);
	return attached;
}

void
shmem_worker_look(void)
{
	Slot	   *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = my_slot();
	if (slot)
		slot->seen = slot->wanted;
	LWLockRelease(shared->lock);
}

bool
shmem_worker_idle(int look_again_ms)
{
	Slot	   *slot;
	bool		idle = true;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = my_slot();
	if (slot)
	{
		idle = slot->seen == slot->wanted;
		slot->stopped = idle;
		if (look_again_ms != 0)
			slot->prepared = 0; /* it is there, or another one that is looked after anyway */
		else if (slot->prepared > 0)
		{
			slot->prepared--;
			look_again_ms = PREPARED_LOOK_MS;
		}
		slot->look_again = look_again_ms ? TimestampTzPlusMilliseconds(GetCurrentTimestamp(), look_again_ms) : 0;
	}
	LWLockRelease(shared->lock);
	return idle;
}

void
shmem_crowded(void)
{
	if (shared == NULL)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->crowded = true;
	LWLockRelease(shared->lock);
}

void
shmem_want_empty(Oid database, int ms)
{
	Slot	   *slot;

	if (shared == NULL)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = OidIsValid(database) ? slot_find(database) : NULL;
	if (slot)
	{
		slot->wanted_empty = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
		if (slot->latch)
			SetLatch(slot->latch);
	}
	LWLockRelease(shared->lock);
}

bool
shmem_worker_gives_way(int look_again_ms)
{
	bool		asked;
	Slot	   *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = my_slot();
	asked = shared->crowded || (slot && slot->wanted_empty > GetCurrentTimestamp());
	shared->crowded = false;
	LWLockRelease(shared->lock);
	return asked && shmem_worker_idle(look_again_ms);
}

void
shmem_worker_stopped(void)
{
	Slot	   *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = my_slot();
	if (slot)
	{
		slot->stopped = true;
		slot->wanted++;
	}
	LWLockRelease(shared->lock);
}
