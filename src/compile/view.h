/*
 * view.h
 *		SQL of version views: direct (an unchanged table), two-level (a migrating one), closed.
 */
#ifndef MIG_VIEW_H
#define MIG_VIEW_H

#include "compile/shape.h"

/*
 * Relations that are not migrated, each seen as it is by a view of the same name: tables, or another version's views, which are shown with the rights,
 * grants and comments they have. A list of SQL texts, one for each relation that is there, in order of their names.
 */
typedef struct PlainView
{
	Oid			relid;
	char	   *order;			/* attribute numbers, "{3,1}", of the columns that come first; NULL: all as in the table */
} PlainView;

extern List *view_plain_sqls(const char *version_schema, List *views);
extern char *view_plain_sql(const char *version_schema, Oid relid);

/* Raise 0A000 when one of these tables (oid[] literal) has both column grants and row-level security: no view can enforce both. */
extern void view_check_rights(const char *relids);

/* Lets a view that stands on another version's view of a table stand on the table. */
extern char *view_on_table_sql(Oid view, const char *base_schema);

/* The new version of a migrating table, closed: it raises 55000 with this message and hint. */
extern char *view_closed_sql(const char *version_schema, const Table *table, const char *message, const char *hint);

/* The same view when it was open: it loses its defaults, too, which may draw from sequences that go. */
extern char *view_closed_again_sql(const char *version_schema, const Table *table, const char *message, const char *hint);

/* Closes an existing version view, whatever its columns are. */
extern char *view_close_existing_sql(Oid view, const char *message, const char *hint);

/* Makes an existing closed view again without a type that is to be dropped: text stands in for it. NULL when the view is not closed. */
extern char *view_free_type_sql(Oid view, Oid type);

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
