/*
 * chain.c
 *		Rows of mig.migrated_table, and who comes before and after whom.
 *
 * Owns that table, which is written once, by mig_start. A migration is active until it is completed or rolled back; the older of two active ones of a
 * schema is the one that started first. As the older one is completed first and rolled back last, whoever holds any lock on it that keeps its
 * phase from changing (base/lock.h) can rely on what is read here.
 */
#include "base/compat.h"

#include "utils/builtins.h"

#include "base/sql.h"
#include "store/chain.h"

static const char *const kind_names[] = {
	[TABLE_CHANGED] = "changed",
	[TABLE_CREATED] = "created",
	[TABLE_PARKED] = "parked",
	[TABLE_REFERENCED] = "referenced",
};

void
migrated_tables_insert(int64 migration_id, List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		const MigratedTable *t = lfirst(lc);

		admin_execp("INSERT INTO mig.migrated_table (migration_id, no, kind, relid, name, new_name) VALUES ($1, $2, $3, nullif($4, 0::oid), $5, $6)",
					P_int8(migration_id), P_int4(foreach_current_index(lc) + 1), P_text(kind_names[t->kind]), P_oid(t->relid),
					P_text(t->name), P_text(t->new_name));
	}
}

List *
chain_migrations(const char *schema, const char *except)
{
	List	   *chain = NIL;
	ListCell   *lc;

	foreach(lc, migrations_active())
	{
		Migration  *mig = lfirst(lc);

		if (strcmp(mig->schema, schema) == 0 && (except == NULL || strcmp(mig->name, except) != 0))
			chain = lappend(chain, mig);
	}
	return chain;
}

/* A row of mig.migrated_table as a struct. */
static MigratedTable *
make_table(const Migration *mig, char **v)
{
	MigratedTable *t = palloc0(sizeof(MigratedTable));

	t->mig = mig;
	for (int i = 0; i < lengthof(kind_names); i++)
		if (strcmp(kind_names[i], v[0]) == 0)
			t->kind = (MigratedKind) i;
	t->relid = v[1] ? sql_oid(v[1]) : InvalidOid;
	t->name = v[2];
	t->new_name = v[3];
	return t;
}

List *
chain_tables(List *migrations)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, migrations)
	{
		const Migration *mig = lfirst(lc);
		SqlRows    *rows = admin_queryp("SELECT kind, relid, name, new_name FROM mig.migrated_table WHERE migration_id = $1 ORDER BY no", P_int8(mig->id));

		for (uint64 r = 0; r < rows->n; r++)
			tables = lappend(tables, make_table(mig, rows->v[r]));
	}
	return tables;
}

Migration *
chain_predecessor(const Migration *mig)
{
	Migration  *found = NULL;
	ListCell   *lc;

	foreach(lc, chain_migrations(mig->schema, mig->name))
		if (((Migration *) lfirst(lc))->id < mig->id)
			found = lfirst(lc);
	return found;
}

Migration *
chain_successor(const Migration *mig)
{
	ListCell   *lc;

	foreach(lc, chain_migrations(mig->schema, mig->name))
		if (((Migration *) lfirst(lc))->id > mig->id)
			return lfirst(lc);
	return NULL;
}

Migration *
chain_changing(Oid relid)
{
	ListCell   *lc;

	foreach(lc, migrations_active())
	{
		Migration  *mig = lfirst(lc);

		if (admin_queryp("SELECT 1 FROM mig.migrated_table WHERE migration_id = $1 AND relid = $2 AND kind = 'changed'", P_int8(mig->id), P_oid(relid))->n > 0)
			return mig;
	}
	return NULL;
}
