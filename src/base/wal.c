/*
 * wal.c
 *		Room for WAL, made ahead.
 *
 * While a migration works the server writes more WAL than it is used to, and has kept too few of its old segments for it. Whoever needs the next one writes 16 MB of
 * zeros and waits until they are on disk (tens of milliseconds), and every commit waits for him. Nobody waits for us.
 */
#include "postgres.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"

#include "base/wal.h"

#define ROOM	4				/* times as much has to be free: what is only a courtesy is not to fill a disk, nor to fail because of it */

/* Is there plenty of room for so many bytes? */
static bool
has_room(int64 bytes)
{
	struct statvfs disk;

	return statvfs(XLOGDIR, &disk) == 0 && (double) disk.f_bavail * disk.f_frsize > (double) bytes * ROOM;
}

void
wal_make_ahead(int64 bytes)
{
	static XLogSegNo made = 0;	/* the last that is there */
	XLogSegNo	segments = Max(bytes / wal_segment_size, 1);
	XLogSegNo	segment;

	XLByteToSeg(GetXLogInsertRecPtr(), segment, wal_segment_size);
	if (made >= segment + segments || !has_room(segments * wal_segment_size))
		return;
	for (made = Max(made, segment); made < segment + segments; made++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) close(XLogFileInit(made + 1, GetWALInsertionTimeLine()));
	}
}
