/*
 * wal.c
 *		Room for WAL, made ahead.
 *
 * While a migration works the server writes more WAL than it is used to, and has kept too few of its old segments for it. Whoever needs the next one writes 16 MB of
 * zeros and waits until they are on disk (tens of milliseconds), and every commit waits for him. Nobody waits for us.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"

#include "base/wal.h"

void
wal_make_ahead(int64 bytes)
{
	static XLogSegNo made = 0;	/* the last that is there */
	XLogSegNo	segments = Max(bytes / wal_segment_size, 1);
	XLogSegNo	segment;

	XLByteToSeg(GetXLogInsertRecPtr(), segment, wal_segment_size);
	for (made = Max(made, segment); made < segment + segments; made++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) close(XLogFileInit(made + 1, GetWALInsertionTimeLine()));
	}
}
