/*
 * guard.c
 *		Refuses DDL by hand on a table under migration: it would change what stored steps and the sync trigger rely on.
 *
 * The switch is the setting mig_control.guard itself: the engine's own statements run with it off. Costs statements on other tables a look
 * for a sync trigger in the relation cache. Works in sessions that have the library loaded, so everywhere when it is preloaded.
 */
#include "base/compat.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/settings.h"
#include "control/guard.h"
#include "store/state.h"
#include "store/transform.h"

static ProcessUtility_hook_type next_utility = NULL;

void
guard_lift(void)
{
	setting_set("mig_control.guard", "off");
}

/* Raise if a relation has a sync trigger. In a restored copy, where no migration goes on, nobody relies on it. */
static void
check_relation(Oid relid)
{
	char		kind = OidIsValid(relid) ? get_rel_relkind(relid) : 0;
	Relation	rel;
	bool		migrating;

	if (kind != RELKIND_RELATION)
		return;
	rel = try_table_open(relid, AccessShareLock);
	if (rel == NULL)
		return;
	migrating = relation_has_sync(rel);
	/* not kept: the statement's own, stronger lock would be an upgrade, and two such statements a deadlock */
	table_close(rel, AccessShareLock);
	if (migrating && migrations_active() != NIL)
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

/* The tables of a DROP TABLE or DROP TRIGGER. */
static void
check_drop(const DropStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->objects)
	{
		List	   *name = lfirst(lc);

		if (stmt->removeType == OBJECT_TABLE)
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

/* Look at the tables that a utility statement changes. */
static void
check_statement(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			if (is_harmless((AlterTableStmt *) stmt))
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
			if (((DropStmt *) stmt)->removeType == OBJECT_EXTENSION)
				check_extension((DropStmt *) stmt);
			check_drop((DropStmt *) stmt);
			break;
		default:
			break;
	}
}

/* ProcessUtility hook */
static void
guard_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
			  ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	if (mig_guard && context != PROCESS_UTILITY_SUBCOMMAND)
		check_statement(pstmt->utilityStmt);
	(next_utility ? next_utility : standard_ProcessUtility) (pstmt, query, read_only_tree, context, params, environment, dest, completion);
}

void
guard_install(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = guard_utility;
}
