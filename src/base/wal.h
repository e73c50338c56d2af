/*
 * wal.h
 *		Room for WAL, made ahead.
 */
#ifndef MIG_WAL_H
#define MIG_WAL_H

/* Make the next so many segments of WAL, unless they are there. Outside of critical sections; raises where there is no room on disk. */
extern void wal_make_segments_ahead(int segments);

#endif
