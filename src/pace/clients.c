/*
 * clients.c
 *		Finds the relations by which a migration's clients are known.
 */
#include "base/compat.h"

#include "catalog/pg_inherits.h"

#include "base/sql.h"
#include "pace/clients.h"
#include "pace/latency.h"

List *
clients_tables(int64 migration_id)
{
	SqlRows    *rows = admin_queryp("SELECT DISTINCT relid FROM mig.migrated_table WHERE migration_id = $1 AND kind = 'changed' AND relid IS NOT NULL",
									P_int8(migration_id));
	List	   *list = NIL;

	for (uint64 r = 0; r < rows->n; r++)
		list = lappend_oid(list, sql_oid(rows->v[r][0]));
	for (uint64 r = 0; r < rows->n; r++)
		list = list_concat_unique_oid(list, find_all_inheritors(sql_oid(rows->v[r][0]), NoLock, NULL));
	return list;
}

List *
clients_views(int64 migration_id)
{
	/* they are there from the beginning, and are replaced in place */
	SqlRows    *rows = admin_queryp("SELECT c.oid FROM mig.migration m JOIN mig.migrated_table t ON t.migration_id = m.id AND t.kind = 'changed'"
									" JOIN pg_namespace n ON n.nspname = m.version_schema"
									" JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.new_name AND c.relkind = 'v' WHERE m.id = $1", P_int8(migration_id));
	List	   *list = NIL;

	for (uint64 r = 0; r < rows->n; r++)
		list = lappend_oid(list, sql_oid(rows->v[r][0]));
	return list;
}

void
clients_watch(const Migration *mig, bool again)
{
	if (latency_available() && (!latency_watch(mig->id, NIL, NIL) || again))
		(void) latency_watch(mig->id, clients_tables(mig->id), clients_views(mig->id));
}
