/*
 * version_view.h
 *		A version's view, and what of its table it shows.
 */
#ifndef MIG_VERSION_VIEW_H
#define MIG_VERSION_VIEW_H

#include "postgres.h"
#include "nodes/primnodes.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"

/*
 * The version view that a name stands for, opened and locked so that it stays what it is; NULL when the name stands for anything else. Raises
 * 55000 when that version is closed.
 */
extern Relation version_view_open(const RangeVar *name, LOCKMODE lock);

/* The table behind a version view. */
extern Oid version_view_table(Relation view);

/* Names of those columns of a version view that a client may write: all but generated ones; String nodes. */
extern List *version_view_columns(Relation view);

/* The view's qualified name, for a statement about it. */
extern RangeVar *version_view_range_var(Relation view);

#endif
