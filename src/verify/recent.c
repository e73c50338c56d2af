/*
 * recent.c
 *		Finds blocks that were written lately, by the visibility map and the pages' LSN.
 *
 * A block that was written is not all-visible until it was vacuumed, and by then its rows are old. The map is read 32 blocks at a time (two bits each), so that a
 * large table that is mostly at rest costs next to nothing. Pages of relations that are not logged have no LSN: there each that is not all-visible counts.
 */
#include "base/compat.h"

#include "access/visibilitymap.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "base/yield.h"
#include "verify/recent.h"

#define PAGES_AT_ONCE 4096		/* whose LSN is read before the caller looks at the clock */
#define MAP_BYTES (BLCKSZ - MAXALIGN(SizeOfPageHeaderData))
#define BLOCKS_PER_WORD 32		/* of 8 bytes */
#define BLOCKS_PER_MAP_PAGE (MAP_BYTES * 4)
#define ALL_VISIBLE UINT64CONST(0x5555555555555555)

/* How many blocks from here on, up to 32, are all-visible? *map is the pinned page of the map. */
static int
visible_ahead(Relation rel, int64 block, Buffer *map)
{
	int64		place = block % BLOCKS_PER_MAP_PAGE;
	bool		visible = (visibilitymap_get_status(rel, (BlockNumber) block, map) & VISIBILITYMAP_ALL_VISIBLE) != 0;
	uint64		word;

	if (!visible)
		return 0;
	if (place % BLOCKS_PER_WORD != 0 || place + BLOCKS_PER_WORD > BLOCKS_PER_MAP_PAGE)
		return 1;
	/* without a lock, as visibilitymap_get_status() does */
	memcpy(&word, PageGetContents(BufferGetPage(*map)) + place / 4, sizeof(word));
	return (word & ALL_VISIBLE) == ALL_VISIBLE ? BLOCKS_PER_WORD : 1;
}

/* Was a page written since? */
static bool
is_recent(Relation rel, int64 block, XLogRecPtr since, BufferAccessStrategy strategy)
{
	Buffer		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, (BlockNumber) block, RBM_NORMAL, strategy);
	XLogRecPtr	lsn;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	lsn = PageGetLSN(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	return lsn >= since;
}

/* Was a page of the visibility map written since? Read after its bits: one that was set meanwhile has left its LSN. */
static bool
map_is_recent(Buffer map, XLogRecPtr since)
{
	XLogRecPtr	lsn;

	LockBuffer(map, BUFFER_LOCK_SHARE);
	lsn = PageGetLSN(BufferGetPage(map));
	LockBuffer(map, BUFFER_LOCK_UNLOCK);
	return lsn >= since;
}

/* recent_blocks(), or with `every` changed_blocks() */
static int
collect_blocks(Relation rel, int64 *next, int64 end, XLogRecPtr since, bool every, BlockRun *runs, int most)
{
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	Buffer		map = InvalidBuffer;
	bool		has_lsn = RelationNeedsWAL(rel);
	int			n = 0;
	int			found = 0;
	int			looked = 0;

	for (; *next < end && found < most && looked < PAGES_AT_ONCE; (*next)++)
	{
		int			visible = visible_ahead(rel, *next, &map);

		CHECK_FOR_INTERRUPTS();
		yield_processor();
		if (visible > 0 && !(every && map_is_recent(map, since)))
		{
			*next += visible - 1;
			continue;
		}
		looked++;
		if (has_lsn && !is_recent(rel, *next, since, strategy))
			continue;
		if (n == 0 || runs[n - 1].end != *next)
			runs[n++].first = *next;
		runs[n - 1].end = *next + 1;
		found++;
	}
	*next = Min(*next, end);
	if (BufferIsValid(map))
		ReleaseBuffer(map);
	FreeAccessStrategy(strategy);
	return n;
}

int
recent_blocks(Relation rel, int64 *next, int64 end, XLogRecPtr since, BlockRun *runs, int most)
{
	return collect_blocks(rel, next, end, since, false, runs, most);
}

int
changed_blocks(Relation rel, int64 *next, int64 end, XLogRecPtr since, BlockRun *runs, int most)
{
	return collect_blocks(rel, next, end, since, true, runs, most);
}
