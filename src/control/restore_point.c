/*
 * restore_point.c
 *		Names places in the log to which a backup can be restored.
 *
 * Recovery ends at the first restore point of a name. So each has the time in its name: a swap that failed may be tried again days later.
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/pg_lsn.h"

#include "base/sql.h"
#include "control/restore_point.h"

/* A name that has not been given yet, as long as the server takes it. */
static char *
point_name(const Migration *mig, const char *before)
{
	char	   *name = sql_textp("SELECT format('mig:%s:%s:%s', $1, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS.US\"Z\"'), $2)",
								 P_text(before), P_text(mig->name));

	return pnstrdup(name, pg_mbcliplen(name, strlen(name), MAXFNAMELEN - 1));
}

void
restore_point(const Migration *mig, const char *before)
{
	char	   *name;
	XLogRecPtr	lsn;
	StringInfoData json;

	if (!XLogIsNeeded() || RecoveryInProgress())
		return;
	name = point_name(mig, before);
	lsn = XLogRestorePoint(name);
	initStringInfo(&json);
	appendStringInfo(&json, "{\"before\": \"%s\", \"name\": ", before);
	escape_json(&json, name);
	appendStringInfo(&json, ", \"lsn\": \"%X/%X\"}", LSN_FORMAT_ARGS(lsn));
	event_write(mig->id, "restore point", json.data);
}
