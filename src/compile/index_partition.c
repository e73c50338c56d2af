/*
 * index_partition.c
 *		Indexes of partitioned tables, which PostgreSQL cannot build CONCURRENTLY in one statement.
 *
 * A plain index: an empty one of each partitioned table first, then those of the partitions CONCURRENTLY, each attached to the one above; when the last is, the
 * whole is valid. A key: those of the leaves CONCURRENTLY; in the swap each becomes its leaf's constraint, and ADD CONSTRAINT on the partitioned table finds
 * them and builds nothing (USING INDEX is not to be had there). Partitions may come and go meanwhile: what is to be done to one in the swap is done if it is there. Owns no state.
 */
#include "base/compat.h"

#include "utils/builtins.h"

#include "base/sql.h"
#include "compile/index.h"

List *
index_parts(Oid relid, Oid index)
{
	SqlRows    *rows = sql_queryp("SELECT p.relid::oid, s.nspname, c.relname, p.parentrelid::oid, p.isleaf, x.indexrelid, ic.relname, obj_description(ic.oid, 'pg_class'),"
								  " x.indisclustered, x.indisreplident, k.conname, obj_description(k.oid, 'pg_constraint')"
								  " FROM pg_partition_tree($1) p JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace s ON s.oid = c.relnamespace"
								  " LEFT JOIN (pg_partition_tree($2) pi JOIN pg_index x ON x.indexrelid = pi.relid JOIN pg_class ic ON ic.oid = x.indexrelid"
								  "  LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.conrelid = x.indrelid AND k.contype IN ('p', 'u')) ON x.indrelid = p.relid"
								  " WHERE p.level > 0 AND c.relkind <> 'f' ORDER BY p.level, c.relname", P_oid(relid), P_oid(index));
	List	   *parts = NIL;

	for (uint64 r = 0; r < rows->n; r++)
	{
		char	  **v = rows->v[r];
		IndexPart  *part = palloc0(sizeof(IndexPart));
		const char *table = sql_qualified(v[1], v[2]);
		StringInfoData finish;

		part->partition = sql_oid(v[0]);
		part->schema = v[1];
		part->table = v[2];
		part->above = sql_oid(v[3]);
		part->leaf = v[4][0] == 't';
		part->dropped_with_top = true;
		parts = lappend(parts, part);
		if (v[5] == NULL)
			continue;
		part->index = sql_oid(v[5]);
		part->old_name = v[6];
		initStringInfo(&finish);
		if (v[7])
			appendStringInfo(&finish, "COMMENT ON INDEX %s IS %s;\n", sql_qualified(v[1], v[6]), quote_literal_cstr(v[7]));
		if (v[11])
			appendStringInfo(&finish, "COMMENT ON CONSTRAINT %s ON %s IS %s;\n", quote_identifier(v[10]), table, quote_literal_cstr(v[11]));
		if (v[8][0] == 't')
			appendStringInfo(&finish, "ALTER TABLE %s CLUSTER ON %s;\n", table, quote_identifier(v[6]));
		if (v[9][0] == 't')
			appendStringInfo(&finish, "ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;\n", table, quote_identifier(v[6]));
		part->finish_sql = finish.data;
	}
	return parts;
}

/* A step of the building of a part; undo NULL: nothing. */
static IndexBuild *
part_build(const IndexPart *part, LOCKMODE lock, char *sql, char *undo)
{
	IndexBuild *b = palloc0(sizeof(IndexBuild));

	b->partition = part->partition;
	b->lock = lock;
	b->create_sql = sql;
	b->undo = undo;
	return b;
}

/* CREATE INDEX of a part, as it is to be undone; a leaf's CONCURRENTLY. */
static IndexBuild *
create_part(const IndexPart *part, bool unique, const char *body)
{
	return part_build(part, part->leaf ? NoLock : ShareLock,
					  psprintf("CREATE %sINDEX %s%s ON %s%s %s", unique ? "UNIQUE " : "", part->leaf ? "CONCURRENTLY " : "", quote_identifier(part->name),
							   part->leaf ? "" : "ONLY ", sql_qualified(part->schema, part->table), body),
					  part->dropped_with_top ? NULL : psprintf("DROP INDEX IF EXISTS %s", sql_qualified(part->schema, part->name)));
}

/* The qualified name of the index above a part's. */
static char *
index_above(const Table *t, const IndexBuild *top, List *parts, const IndexPart *part)
{
	ListCell   *lc;

	foreach(lc, parts)
	{
		const IndexPart *other = lfirst(lc);

		if (other->partition == part->above)
			return sql_qualified(other->schema, other->name);
	}
	return sql_qualified(t->schema, top->hidden);
}

/* What is to be done to a part in the swap, if it is still there by then. */
static void
finish_part(StringInfo buf, const Table *t, const IndexPart *part, const char *sql)
{
	appendStringInfo(buf, "SELECT mig.for_partition(%s::pg_catalog.regclass, %s, %s, %s);\n", quote_literal_cstr(sql_qualified(t->schema, t->name)),
					 quote_literal_cstr(sql_qualified(part->schema, part->table)), quote_literal_cstr(sql_qualified(part->schema, part->name)), quote_literal_cstr(sql));
}

/* Partitions that came meanwhile have indexes with names of the migration's. */
static void
finish_names(StringInfo buf, const Table *t)
{
	appendStringInfo(buf, "SELECT mig.name_partition_indexes(%s::pg_catalog.regclass);\n", quote_literal_cstr(sql_qualified(t->schema, t->name)));
}

List *
index_part_builds(const Table *t, IndexBuild *top, const char *body, List *parts)
{
	List	   *builds = list_make1(top);
	char	   *top_name = sql_qualified(t->schema, top->hidden);
	StringInfoData finish;
	ListCell   *lc;

	initStringInfo(&finish);
	top->lock = ShareLock;
	top->create_sql = psprintf("CREATE %sINDEX %s ON ONLY %s %s", top->unique ? "UNIQUE " : "", quote_identifier(top->hidden), sql_qualified(t->schema, t->name), body);
	foreach(lc, parts)
	{
		const IndexPart *part = lfirst(lc);

		builds = lappend(builds, create_part(part, top->unique, body));
		builds = lappend(builds, part_build(part, ShareUpdateExclusiveLock,
											psprintf("ALTER INDEX %s ATTACH PARTITION %s", index_above(t, top, parts, part), sql_qualified(part->schema, part->name)),
											part->dropped_with_top ? NULL : psprintf("DROP INDEX IF EXISTS %s", top_name)));
		if (part->old_name)
			finish_part(&finish, t, part, psprintf("ALTER INDEX %s RENAME TO %s;\n%s", sql_qualified(part->schema, part->name), quote_identifier(part->old_name),
												   part->finish_sql));
	}
	finish_names(&finish, t);
	top->finish_sql = psprintf("%s%s", top->finish_sql ? top->finish_sql : "", finish.data);
	return builds;
}

List *
index_part_key_builds(const Table *t, IndexBuild *top, const char *body, List *parts, const char *key, const char *columns)
{
	List	   *builds = NIL;
	StringInfoData finish;
	ListCell   *lc;

	initStringInfo(&finish);
	foreach(lc, parts)
	{
		const IndexPart *part = lfirst(lc);
		IndexBuild *b;

		if (!part->leaf)
			continue;
		b = create_part(part, true, body);
		b->unique = true;
		b->name = top->name;
		b->note = builds == NIL ? top->note : NULL;
		builds = lappend(builds, b);
		finish_part(&finish, t, part, psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s;\n%s", sql_qualified(part->schema, part->table),
											   quote_identifier(part->old_name ? part->old_name : part->name), key, quote_identifier(part->name),
											   part->finish_sql ? part->finish_sql : ""));
	}
	top->create_sql = NULL;
	top->undo = NULL;
	top->note = NULL;
	top->finish_sql = psprintf("%sALTER TABLE %s ADD CONSTRAINT %s %s %s;\n%s", finish.data, sql_qualified(t->schema, t->name), quote_identifier(top->name), key, columns,
							   top->finish_sql ? top->finish_sql : "");
	return lappend(builds, top);
}
