/*
 * chain.c
 *		Keeps migrations that are active at the same time in one schema on tables of their own.
 *
 * Owns no state. Two migrations overlap when one of them changes a table that the other changes or makes a foreign key to, or when both claim a table's
 * name. Names are looked at first: what the definition says of a table that waits for its new name, the catalogs would call unknown or taken.
 */
#include "base/compat.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "catalog/namespace.h"

#include "base/sql.h"
#include "compile/chain.h"
#include "compile/plan_statement.h"
#include "store/chain.h"

/* Raise 55006 for a table that two migrations are about. */
static void
refuse(const MigratedTable *other, const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("migration \"%s\" is active on table \"%s\"", other->mig->name, table),
			 errdetail("Migrations that are active at the same time in a schema must not touch the same tables."),
			 errhint("Call mig_complete('%s') or mig_rollback('%s') first.", other->mig->name, other->mig->name)));
}

/* Is a name that of a table which the other migration changes or makes, now or in the end? */
static bool
claims_name(const MigratedTable *other, const char *name)
{
	return name && other->kind != TABLE_REFERENCED &&
		((other->name && strcmp(other->name, name) == 0) || (other->new_name && strcmp(other->new_name, name) == 0));
}

/* Raise 55006 while a migration is held before it has expanded: what its version will show is not decided. */
static void
check_expanded(const MigPlan *p, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
	{
		const Migration *mig = lfirst(lc);

		if (mig->phase == PHASE_PLANNED)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("migration \"%s\" of schema \"%s\" is held before it has expanded", mig->name, p->schema),
					 errdetail("A version stands on those before it."),
					 errhint("Call mig_resume('%s') or mig_rollback('%s') first.", mig->name, mig->name)));
	}
}

void
chain_begin(MigPlan *p, const Definition *d)
{
	List	   *migrations = chain_migrations(p->schema, p->name);
	List	   *others = chain_tables(migrations);
	ListCell   *lc;
	ListCell   *oc;

	p->before = migrations ? ((Migration *) llast(migrations))->version_schema : p->schema;
	check_expanded(p, migrations);
	foreach(lc, d->operations)
	{
		const Operation *op = lfirst(lc);
		const char *new_name = op->kind == OP_RENAME_TABLE || op->kind == OP_PLAIN ? op->new_name : NULL;

		if (op->schema && strcmp(op->schema, p->schema) != 0)
			continue;
		foreach(oc, others)
		{
			const MigratedTable *other = lfirst(oc);

			if (claims_name(other, op->table))
				refuse(other, op->table);
			if (claims_name(other, new_name))
				refuse(other, new_name);
		}
	}
}

/* Append a table to the plan's. */
static void
add_table(MigPlan *p, MigratedKind kind, Oid relid, char *name, char *new_name)
{
	MigratedTable *t = palloc0(sizeof(MigratedTable));

	t->kind = kind;
	t->relid = relid;
	t->name = name;
	t->new_name = new_name;
	p->migrated = lappend(p->migrated, t);
}

/* The tables on the other side of the plan's foreign keys. */
static void
add_referenced(MigPlan *p)
{
	ListCell   *lc;

	foreach(lc, p->foreign_keys)
	{
		const ForeignKey *f = lfirst(lc);

		if (OidIsValid(f->referenced->relid) && !list_member_ptr(p->tables, f->referenced))
			add_table(p, TABLE_REFERENCED, f->referenced->relid, f->referenced->name, NULL);
		if (!list_member_ptr(p->tables, f->table))
			add_table(p, TABLE_REFERENCED, f->table->relid, f->table->name, NULL);
	}
}

/* A table that the plan creates; it exists on trial. */
static void
add_created(MigPlan *p, char *name, Oid schema, MigratedKind kind)
{
	Oid			relid = get_relname_relid(name, schema);
	SqlRows    *rows;

	if (!OidIsValid(relid))		/* renamed once more, or dropped */
		return;
	add_table(p, kind, InvalidOid, NULL, name);
	rows = sql_queryp("SELECT DISTINCT c.oid, c.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid WHERE k.conrelid = $1 AND k.contype = 'f'"
					  " AND c.oid <> k.conrelid ORDER BY 2", P_oid(relid));
	for (uint64 r = 0; r < rows->n; r++)
		add_table(p, TABLE_REFERENCED, sql_oid(rows->v[r][0]), rows->v[r][1], NULL);
}

/* List the tables of the plan. */
static void
list_tables(MigPlan *p)
{
	Oid			base = get_namespace_oid(p->schema, false);
	Oid			inner = get_namespace_oid(p->inner_schema, true);
	ListCell   *lc;

	foreach(lc, p->tables)
	{
		Table	   *t = lfirst(lc);

		add_table(p, TABLE_CHANGED, t->relid, t->name, t->dropped ? NULL : t->new_name);
	}
	add_referenced(p);
	foreach(lc, p->parked)
		if (OidIsValid(inner))
			add_created(p, lfirst(lc), inner, TABLE_PARKED);
	foreach(lc, p->created)
		if (!name_in(p->parked, lfirst(lc)))
			add_created(p, lfirst(lc), base, TABLE_CREATED);
}

void
chain_finish(MigPlan *p)
{
	List	   *others = chain_tables(chain_migrations(p->schema, p->name));
	ListCell   *lc;
	ListCell   *oc;

	list_tables(p);
	foreach(lc, p->migrated)
	{
		const MigratedTable *t = lfirst(lc);

		foreach(oc, others)
		{
			const MigratedTable *other = lfirst(oc);

			if (OidIsValid(t->relid) && t->relid == other->relid && (t->kind == TABLE_CHANGED || other->kind == TABLE_CHANGED))
				refuse(other, t->name);
		}
	}
}
