/*
 * view.h
 *		SQL of version views: direct (an unchanged table), two-level (a migrating one), closed.
 */
#ifndef MIG_VIEW_H
#define MIG_VIEW_H

#include "compile/shape.h"

/* A table that is not migrated, seen as it is. */
extern char *view_plain_sql(const char *version_schema, Oid relid);

/* The new version of a migrating table, closed: it raises 55000 with this message and hint. */
extern char *view_closed_sql(const char *version_schema, const Table *table, const char *message, const char *hint);

/* The same view when it was open: it loses its defaults, too, which may draw from sequences that go. */
extern char *view_closed_again_sql(const char *version_schema, const Table *table, const char *message, const char *hint);

/* Closes an existing version view, whatever its columns are. */
extern char *view_close_existing_sql(Oid view, const char *message, const char *hint);

/* Makes an existing closed view again without a type that is to be dropped: text stands in for it. NULL when the view is not closed. */
extern char *view_free_type_sql(Oid view, Oid type);

/* Closes a view of the table's old shape, one that this migration made. */
extern char *view_closed_old_sql(const char *schema, const Table *table, const char *message, const char *hint);

/* The inner view (with _mig_state and the rules), and the closed view turned into one over it. */
extern char *view_inner_sql(const char *inner_schema, const Table *table);
extern char *view_open_sql(const char *version_schema, const char *inner_schema, const Table *table);

/*
 * A direct view over the physical names of the migration. opening: the closed view of a table that needs no inner view becomes it; otherwise
 * the swap turns the two levels into it, before its renames.
 */
extern char *view_direct_sql(const char *version_schema, const Table *table, bool opening);

/* CREATE SCHEMA with the base schema's USAGE grants. */
extern char *schema_sql(const char *schema, const char *base_schema, const char *comment);

#endif
