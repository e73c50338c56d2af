/*
 * wal.h
 *		Room for WAL, made ahead.
 */
#ifndef MIG_WAL_H
#define MIG_WAL_H

/* Make the segments of WAL that so many bytes need, one at least, unless they are there, or the disk has little room. Outside of critical sections; may raise. */
extern void wal_make_ahead(int64 bytes);

#endif
