/*
 * partition.c
 *		mig.for_partition and mig.name_partition_indexes: what the swap does to partitions, which come and go while a migration runs.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "base/sql.h"

PG_FUNCTION_INFO_V1(mig_for_partition);
PG_FUNCTION_INFO_V1(mig_name_partition_indexes);

/* mig.for_partition(parent, partition, index, sql): runs SQL, as the caller, if that table is (still) below the parent, and has that index. */
PGDLLEXPORT Datum
mig_for_partition(PG_FUNCTION_ARGS)
{
	char	   *partition = text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (sql_textp("SELECT 1 FROM pg_partition_tree($1) p JOIN pg_index x ON x.indrelid = p.relid WHERE p.relid = to_regclass($2) AND x.indexrelid = to_regclass($3)",
				  P_oid(PG_GETARG_OID(0)), P_text(partition), P_text(text_to_cstring(PG_GETARG_TEXT_PP(2)))))
		(void) sql_exec(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	PG_RETURN_VOID();
}

/*
 * mig.name_partition_indexes(table): a partition made meanwhile has copies of the indexes that were being built, by names that PostgreSQL made of the hidden
 * columns': they get what it would make of the columns' own.
 */
PGDLLEXPORT Datum
mig_name_partition_indexes(PG_FUNCTION_ARGS)
{
	SqlRows    *rows = sql_queryp("SELECT s.nspname, c.relname, t.relname || coalesce('_' || (SELECT string_agg(a.attname, '_' ORDER BY k.n) FROM unnest(x.indkey::int2[]) WITH ORDINALITY k (att, n)"
								  "  JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.att), '') FROM pg_partition_tree($1) p JOIN pg_index x ON x.indrelid = p.relid"
								  " JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace s ON s.oid = c.relnamespace JOIN pg_class t ON t.oid = x.indrelid"
								  " WHERE p.level > 0 AND c.relname LIKE '%\\_mig\\_c%' ORDER BY 1, 2", P_oid(PG_GETARG_OID(0)));

	for (uint64 r = 0; r < rows->n; r++)
	{
		char	  **v = rows->v[r];
		char	   *name = sql_textp("SELECT left($2, 50) || '_idx' || coalesce(nullif(n, 0)::text, '') FROM generate_series(0, 1000) n"
									 " WHERE to_regclass(format('%I.%I', $1, left($2, 50) || '_idx' || coalesce(nullif(n, 0)::text, ''))) IS NULL ORDER BY n LIMIT 1",
									 P_text(v[0]), P_text(v[2]));

		if (name)
			(void) sql_exec(psprintf("ALTER INDEX %s RENAME TO %s", sql_qualified(v[0], v[1]), quote_identifier(name)));
	}
	PG_RETURN_VOID();
}
