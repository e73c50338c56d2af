/*
 * fence.c
 *		Rows of mig.fence. Owns that table.
 *
 * fence_of() is called while a transform is compiled, in a client's transaction with whatever snapshot that has: it looks with a new one, as the server does for
 * its catalogs. Nothing but the tables of migrations have rows, so there are few.
 */
#include "base/compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/sql.h"
#include "store/fence.h"

#define FENCE_RELID 1			/* columns of mig.fence */
#define FENCE_NAME 2

/* Every session is to compile the transforms of a table, with its partitions and children, anew. */
static void
make_known(Oid relid)
{
	ListCell   *lc;

	if (get_rel_relkind(relid) == '\0')
		return;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(lc))))
			CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
}

bool
fence_put(int64 migration_id, const char *name, List *relids)
{
	bool		any = false;
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (admin_queryp("INSERT INTO mig.fence (relid, name, migration_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
						 P_oid(lfirst_oid(lc)), P_text(name), P_int8(migration_id))->n == 0)
			continue;
		make_known(lfirst_oid(lc));
		any = true;
	}
	return any;
}

bool
fence_take(int64 migration_id)
{
	SqlRows    *rows = admin_queryp("DELETE FROM mig.fence WHERE migration_id = $1 RETURNING relid", P_int8(migration_id));

	for (uint64 r = 0; r < rows->n; r++)
		make_known(sql_oid(rows->v[r][0]));
	return rows->n > 0;
}

bool
fence_has_served(int64 migration_id)
{
	return admin_queryp("SELECT 1 WHERE EXISTS (SELECT FROM mig.fence WHERE migration_id = $1)"
						" AND NOT EXISTS (SELECT FROM mig.drift_row WHERE migration_id = $1 AND gone_at IS NULL)"
						" AND NOT EXISTS (SELECT FROM mig.fence f JOIN mig.migration m ON m.id = f.migration_id WHERE m.id = $1 AND NOT EXISTS"
						"  (SELECT FROM mig.pass p WHERE p.migration_id = m.id AND p.relid = f.relid AND p.clean AND p.epoch = m.epoch AND p.started_lsn > f.since_lsn))",
						P_int8(migration_id))->n > 0;
}

/* The name in the fence of a relation itself; NULL: it has none. */
static char *
fence_on(Relation fences, Oid relid)
{
	SysScanDesc scan = systable_beginscan(fences, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	char	   *name = NULL;

	while (name == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		if (DatumGetObjectId(heap_getattr(tuple, FENCE_RELID, RelationGetDescr(fences), &isnull)) == relid)
			name = TextDatumGetCString(heap_getattr(tuple, FENCE_NAME, RelationGetDescr(fences), &isnull));
	}
	systable_endscan(scan);
	return name;
}

/* The tables that a partition or child stands right under. */
static List *
parents_of(Oid relid)
{
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *parents = NIL;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		parents = lappend_oid(parents, ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(inherits, AccessShareLock);
	return parents;
}

char *
fence_of(Oid relid)
{
	Oid			table = get_relname_relid("fence", get_namespace_oid("mig", true));
	Relation	fences = OidIsValid(table) ? try_table_open(table, AccessShareLock) : NULL;
	List	   *above = list_make1_oid(relid);
	char	   *name = NULL;
	ListCell   *lc;

	if (fences == NULL)
		return NULL;
	foreach(lc, above)			/* grows as it goes */
	{
		name = fence_on(fences, lfirst_oid(lc));
		if (name)
			break;
		above = list_concat_unique_oid(above, parents_of(lfirst_oid(lc)));
	}
	table_close(fences, AccessShareLock);
	return name;
}
