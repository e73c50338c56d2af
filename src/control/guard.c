/*
 * guard.c
 *		Looks at DDL by hand: refuses it on a table under migration, whose stored steps and sync trigger rely on the table as it is; lets version views
 *		follow it on other tables (handmade.c).
 *
 * Costs statements on tables of schemas without versions a look into a list in memory. Works in sessions that have the library loaded, so everywhere
 * when it is preloaded.
 */
#include "base/compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "base/sql.h"
#include "control/guard.h"
#include "control/handmade.h"
#include "control/partition.h"
#include "store/chain.h"

#define EMPTY_MS	10000		/* such a statement waits for 5 s */

static ProcessUtility_hook_type next_utility = NULL;

/* The tables above a partition or child. */
static List *
parents_of(Oid relid)
{
	List	   *parents = NIL;
	SqlRows    *rows;

	if (!get_rel_relispartition(relid) && !has_superclass(relid))
		return NIL;
	rows = sql_queryp("WITH RECURSIVE f AS (SELECT inhparent AS oid FROM pg_inherits WHERE inhrelid = $1 UNION SELECT i.inhparent FROM pg_inherits i JOIN f ON f.oid = i.inhrelid)"
					  " SELECT oid FROM f", P_oid(relid));
	for (uint64 r = 0; r < rows->n; r++)
		parents = lappend_oid(parents, sql_oid(rows->v[r][0]));
	return parents;
}

/* The migration that changes a table now, itself or one above it; NULL: none. In a restored copy, where no migration goes on, nobody relies on its sync trigger. */
static Migration *
migration_of(Oid relid)
{
	char		kind = OidIsValid(relid) ? get_rel_relkind(relid) : 0;
	Migration  *mig;
	ListCell   *lc;

	if ((kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) || !handmade_concerns(get_rel_namespace(relid)))
		return NULL;
	mig = chain_changing(relid);
	foreach(lc, mig ? NIL : parents_of(relid))
	{
		mig = chain_changing(lfirst_oid(lc));
		if (mig)
			break;
	}
	return mig;
}

/* A migrating table that a statement changes with the guard off */
typedef struct Trespass
{
	const Migration *mig;
	char	   *table;
} Trespass;

static List *trespasses = NIL;	/* of the statement being looked at */

/*
 * The user has done it all the same: the migration stops until somebody has looked, instead of going on with what it knew of the table. Its steps and
 * checks find out the rest: they raise, and never assume.
 */
static void
note_trespass(const Trespass *trespass)
{
	const Migration *mig = trespass->mig;
	const char *table = trespass->table;
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"relation\": ");
	escape_json(&detail, table);
	appendStringInfoChar(&detail, '}');
	event_write(mig->id, "changed by hand", detail.data);
	migration_set_pause(mig->id, true, "failed", psprintf("%s was changed by hand", table));
	ereport(WARNING,
			(errmsg("migration \"%s\" stops, because its table %s was changed by hand", mig->name, table),
			 errhint("Call mig_rollback('%s'), or mig_resume('%s') if the migration does not depend on the change.", mig->name, mig->name)));
}

/* Raise if a relation is being migrated; remember it when the guard is off. */
static void
check_relation(Oid relid)
{
	Migration  *mig = migration_of(relid);

	if (mig == NULL)
		return;
	if (!mig_guard)
	{
		Trespass   *trespass = palloc(sizeof(Trespass));

		trespass->mig = mig;
		trespass->table = sql_relation_name(relid);
		trespasses = lappend(trespasses, trespass);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("table \"%s\" is being migrated", get_rel_name(relid)),
			 errdetail("Changing it by hand would break the migration."),
			 errhint("Call mig_complete or mig_rollback first, or SET mig_control.guard = off to do it all the same.")));
}

static void
check_range_var(const RangeVar *relation)
{
	if (relation)
		check_relation(RangeVarGetRelid(relation, NoLock, true));
}

/* Is it a partition? These may be dropped: the others stay what they are. */
static bool
is_partition(const RangeVar *relation)
{
	Oid			relid = RangeVarGetRelid(relation, NoLock, true);

	return OidIsValid(relid) && get_rel_relispartition(relid);
}

/* The tables of a DROP TABLE or DROP TRIGGER. */
static void
check_drop(const DropStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->objects)
	{
		List	   *name = lfirst(lc);

		if (stmt->removeType == OBJECT_TABLE && !is_partition(makeRangeVarFromNameList(name)))
			check_range_var(makeRangeVarFromNameList(name));
		else if (stmt->removeType == OBJECT_TRIGGER && list_length(name) > 1)
			check_range_var(makeRangeVarFromNameList(list_truncate(list_copy(name), list_length(name) - 1)));
	}
}

/* The extension stays while a migration is active: without it, nobody would keep the versions in sync. */
static void
check_extension(const DropStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->objects)
		if (strcmp(strVal(lfirst(lc)), "mig_control") == 0 && OidIsValid(get_extension_oid("mig_control", true)) &&
			migrations_active() != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("extension \"mig_control\" has active migrations"),
					 errhint("Call mig_complete or mig_rollback for each that mig_status() shows first.")));
}

/* Raise when active migrations would lose their tables or views with something. */
static void
refuse_drop(const char *what, const char *name, const Migration *mig)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("%s \"%s\" has an active migration", what, name),
			 errdetail("Migration \"%s\" would lose its tables or views.", mig->name),
			 errhint("Call mig_complete('%s') or mig_rollback('%s') first.", mig->name, mig->name)));
}

/* DROP SCHEMA … CASCADE of a base schema or of one that belongs to a migration. */
static void
check_drop_schema(const DropStmt *stmt)
{
	List	   *active = NIL;
	ListCell   *lc;
	ListCell   *mc;

	if (stmt->behavior == DROP_CASCADE && OidIsValid(get_namespace_oid("mig", true)) && OidIsValid(get_extension_oid("mig_control", true)))
		active = migrations_active();
	foreach(mc, active)
	{
		const Migration *mig = lfirst(mc);

		foreach(lc, stmt->objects)
		{
			const char *name = strVal(lfirst(lc));

			if (mig->phase != PHASE_PLANNED && (strcmp(name, mig->schema) == 0 || strcmp(name, mig->version_schema) == 0))
				refuse_drop("schema", name, mig);
		}
	}
}

/* DROP OWNED BY a role that has started a migration or owns a table of one. */
static void
check_drop_owned(const DropOwnedStmt *stmt)
{
	List	   *active = NIL;
	ListCell   *lc;
	ListCell   *rc;

	if (OidIsValid(get_namespace_oid("mig", true)) && OidIsValid(get_extension_oid("mig_control", true)))
		active = migrations_active();
	foreach(lc, chain_tables(active))
	{
		const MigratedTable *t = lfirst(lc);

		foreach(rc, stmt->roles)
		{
			Oid			role = get_rolespec_oid(lfirst(rc), true);

			if (OidIsValid(role) && (t->mig->owner == role || (t->kind == TABLE_CHANGED && mig_relation_ownercheck(t->relid, role) && !superuser_arg(role))))
				refuse_drop("role", GetUserNameFromId(role, false), t->mig);
		}
	}
}

/* Does an ALTER TABLE change nothing but how the table is stored and vacuumed? An operator may need that just now. */
static bool
is_harmless(const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableType type = lfirst_node(AlterTableCmd, lc)->subtype;

		if (type != AT_SetRelOptions && type != AT_ResetRelOptions)
			return false;
	}
	return true;
}

/* ATTACH and DETACH PARTITION of a migrating table pass, and it stays whole. Returns what is to be done afterwards, NULL for nothing. */
static PartitionChange *
begin_partition_change(const Node *stmt)
{
	const AlterTableStmt *alter = (const AlterTableStmt *) stmt;
	Oid			relid;
	Migration  *mig;

	if (!IsA(stmt, AlterTableStmt) || !partition_is_change(alter))
		return NULL;
	relid = RangeVarGetRelid(alter->relation, NoLock, true);
	mig = migration_of(relid);
	return mig && mig->phase != PHASE_PLANNED ? partition_begin(alter, relid, mig) : NULL;
}

/* A table that becomes a child of a migrating one would have no sync trigger: refuse that. */
static void
check_new_child(const Node *stmt)
{
	ListCell   *lc;

	if (IsA(stmt, CreateStmt) && ((const CreateStmt *) stmt)->partbound == NULL)
		foreach(lc, ((const CreateStmt *) stmt)->inhRelations)
			check_range_var(lfirst(lc));
	if (IsA(stmt, AlterTableStmt))
		foreach(lc, ((const AlterTableStmt *) stmt)->cmds)
			if (lfirst_node(AlterTableCmd, lc)->subtype == AT_AddInherit)
				check_range_var((RangeVar *) lfirst_node(AlterTableCmd, lc)->def);
}

/* Look at the tables that a utility statement changes. */
static void
check_statement(Node *stmt)
{
	check_new_child(stmt);
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			if (is_harmless((AlterTableStmt *) stmt) || partition_is_change((AlterTableStmt *) stmt))
				break;
			check_range_var(((AlterTableStmt *) stmt)->relation);
			break;
		case T_RenameStmt:
			check_range_var(((RenameStmt *) stmt)->relation);
			break;
		case T_AlterObjectSchemaStmt:
			check_range_var(((AlterObjectSchemaStmt *) stmt)->relation);
			break;
		case T_IndexStmt:
			check_range_var(((IndexStmt *) stmt)->relation);
			break;
		case T_CreateTrigStmt:
			check_range_var(((CreateTrigStmt *) stmt)->relation);
			break;
		case T_DropStmt:
			if (mig_guard && ((DropStmt *) stmt)->removeType == OBJECT_EXTENSION)
				check_extension((DropStmt *) stmt);
			if (mig_guard && ((DropStmt *) stmt)->removeType == OBJECT_SCHEMA)
				check_drop_schema((DropStmt *) stmt);
			check_drop((DropStmt *) stmt);
			break;
		case T_DropOwnedStmt:
			if (mig_guard)
				check_drop_owned((DropOwnedStmt *) stmt);
			break;
		default:
			break;
	}
}

/* DROP DATABASE and others want no other session in a database: a worker that only watches its migrations leaves it, as whoever asks may be about to drop it. */
static void
make_room(const Node *stmt)
{
	const char *name = NULL;
	ListCell   *lc;

	if (IsA(stmt, DropdbStmt))
		name = ((const DropdbStmt *) stmt)->dbname;
	else if (IsA(stmt, RenameStmt) && ((const RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
		name = ((const RenameStmt *) stmt)->subname;
	else if (IsA(stmt, CreatedbStmt))
		foreach(lc, ((const CreatedbStmt *) stmt)->options)
			if (strcmp(lfirst_node(DefElem, lc)->defname, "template") == 0)
				name = defGetString(lfirst_node(DefElem, lc));
	if (name)
		shmem_want_empty(get_database_oid(name, true), EMPTY_MS);
}

/* ProcessUtility hook */
static void
guard_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
			  ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	Handmade   *change = NULL;
	PartitionChange *partition = NULL;
	List	   *noted = NIL;
	ListCell   *lc;

	if (context != PROCESS_UTILITY_SUBCOMMAND && mig_own_statements != OWN_HIDDEN)
	{
		trespasses = NIL;
		make_room(pstmt->utilityStmt);
		if (mig_own_statements == OWN_NOT)
			check_statement(pstmt->utilityStmt);
		noted = trespasses;
		if (mig_own_statements == OWN_NOT)
			partition = begin_partition_change(pstmt->utilityStmt);
		change = handmade_begin(pstmt->utilityStmt);
	}
	(next_utility ? next_utility : standard_ProcessUtility) (pstmt, query, read_only_tree, context, params, environment, dest, completion);
	if (partition)
		partition_end(partition);
	if (change)
		handmade_end(change);
	foreach(lc, noted)
		note_trespass(lfirst(lc));
}

void
guard_install(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = guard_utility;
}
