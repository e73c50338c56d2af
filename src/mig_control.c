/*
 * mig_control.c
 *		Module magic and initialization; everything else lives in the rooms (docs/architecture.md).
 */
#include "base/compat.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "backfill/quiet.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "control/guard.h"
#include "control/launcher.h"
#include "pace/consumers.h"
#include "pace/latency.h"
#include "pace/signal.h"
#include "route/passage.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/* Define the settings; while preloading, ask for shared memory and a launcher. */
void
_PG_init(void)
{
	signals_define_settings();
	settings_define();
	quiet_install();
	guard_install();
	passage_install();
	if (process_shared_preload_libraries_in_progress)
	{
		shmem_install();
		latency_install();
		consumers_install();
		launcher_register();
	}
}
