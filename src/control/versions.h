/*
 * versions.h
 *		The views of a version schema that no migration's steps spell out: those of tables that the version's migration leaves alone.
 *
 * All of this runs as the current user, who must own what is changed.
 */
#ifndef MIG_VERSIONS_H
#define MIG_VERSIONS_H

#include "postgres.h"
#include "nodes/pg_list.h"

/*
 * Make a view of each table of the base schema, but those named in `except` (text[] literal), that the version does not show yet. A table under an
 * earlier active migration is shown by a view over that one's version. Returns how many it made.
 */
extern int	versions_make_views(const char *base, const char *version, const char *except);

/* Drop a version's views but the closed ones. If it was open, its clients keep them: those that stand on another version's views are closed. */
extern void versions_drop_views(const char *version, bool all);

/* Close other versions' views of these tables (text[] literal), and let the version's own views that stand on others stand on their tables. */
extern void versions_make_current(const char *base, const char *version, const char *tables);

/* Drop all views of a version schema and the schema; nothing cascades. */
extern void versions_drop(const char *version);

/* Views, as OIDs: those of a version that stand on another version's; its closed ones; its others; those of all versions that stand on a table, outermost first. */
extern List *versions_chained_views(const char *version);
extern List *versions_closed_views(const char *version);
extern List *versions_open_views(const char *version);
extern List *versions_views_on(Oid table, bool users);	/* users: also those that are no version's, which the swap may make again */

/* Name of a version schema with a view that stands on a view of this one, NULL if there is none. */
extern char *versions_standing_on(const char *version);

/* Closed views of versions give a type up, so that it can be dropped. */
extern void versions_free_type(Oid type);

#endif
