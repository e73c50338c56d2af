/*
 * background.c
 *		The skeleton that the leader, its helpers and the utility worker share.
 */
#include "base/compat.h"

#include <sys/resource.h>

#include "catalog/namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "base/txn.h"
#include "control/background.h"

#define LOWEST_PRIORITY 19

StaticAssertDecl(sizeof(BackgroundTask) <= BGW_EXTRALEN, "BackgroundTask fits into bgw_extra");

bool
background_start(const char *type, const char *function, Oid database, const BackgroundTask *task,
				 BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	strlcpy(worker.bgw_name, type, BGW_MAXLEN);
	strlcpy(worker.bgw_type, type, BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "mig_control", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	if (task)
		memcpy(worker.bgw_extra, task, sizeof(*task));
	if (RegisterDynamicBackgroundWorker(&worker, handle))
		return true;
	shmem_crowded();
	return false;
}

/* Is that worker running, or about to? */
bool
background_alive(BackgroundWorkerHandle *handle)
{
	pid_t		pid;
	BgwHandleStatus status = GetBackgroundWorkerPid(handle, &pid);

	return status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED;
}

/* Set up signals; returns what the worker was started for. */
BackgroundTask
background_enter(void)
{
	BackgroundTask task;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	memcpy(&task, MyBgworkerEntry->bgw_extra, sizeof(task));
	return task;
}

/* Set what holds for the session. */
void
background_settings(void)
{
	SetConfigOption("application_name", MyBgworkerEntry->bgw_type, PGC_USERSET, PGC_S_SESSION);
	txn_settings();
}

/* Connect as the bootstrap superuser. */
void
background_connect(Oid database)
{
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
	background_settings();
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* Handle interrupts, and read the configuration again if asked to. */
void
background_check(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* Sleep outside transactions; true when the latch was set. */
bool
background_sleep(long ms)
{
	int			events;

	pgstat_report_activity(STATE_IDLE, NULL);
	events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	background_check();
	return (events & WL_LATCH_SET) != 0;
}

/* Where the kernel shares out the processor between sessions first (each of the server's processes is one), the session's priority is what counts. */
static void
lower_session_priority(int by)
{
	FILE	   *file = AllocateFile("/proc/self/autogroup", "r+");
	int			nice;

	if (file == NULL)
		return;
	if (fscanf(file, "/autogroup-%*d nice %d", &nice) == 1)
	{
		rewind(file);
		(void) fprintf(file, "%d\n", Min(nice + by, LOWEST_PRIORITY));
	}
	(void) FreeFile(file);
}

void
background_lower_priority(void)
{
	if (mig_nice == 0)
		return;
	(void) setpriority(PRIO_PROCESS, 0, Min(getpriority(PRIO_PROCESS, 0) + mig_nice, LOWEST_PRIORITY));
	lower_session_priority(mig_nice);
}

/* Do the extension and its state tables exist here? */
bool
background_installed(void)
{
	Oid			schema = get_namespace_oid("mig", true);

	return OidIsValid(schema) && OidIsValid(get_extension_oid("mig_control", true)) &&
		OidIsValid(get_relname_relid("migration", schema));
}
