/*
 * partition.c
 *		ATTACH and DETACH PARTITION of a migrating table.
 *
 * Both go on while a migration runs: jobs that make tomorrow's partition and drop last year's do not wait for it. Runs within the user's statement, before and after the
 * server's own work, so that it is undone with it. Owns no state.
 */
#include "base/compat.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "backfill/backfill.h"
#include "base/settings.h"
#include "base/sql.h"
#include "control/partition.h"
#include "store/transform.h"

bool
partition_is_change(const AlterTableStmt *stmt)
{
	AlterTableType type = list_length(stmt->cmds) == 1 ? linitial_node(AlterTableCmd, stmt->cmds)->subtype : AT_AddColumn;

	return type == AT_AttachPartition || type == AT_DetachPartition || type == AT_DetachPartitionFinalize;
}

/* ALTER TABLE that gives a table the hidden columns of another that it lacks; NULL: it has them. */
static char *
add_columns_sql(Oid child, Oid parent)
{
	char	   *columns = sql_textp("SELECT string_agg(format(' ADD COLUMN %I %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),"
									"  CASE WHEN a.attcollation <> y.typcollation THEN (SELECT format(' COLLATE %I.%I', n.nspname, c.collname) FROM pg_collation c"
									"   JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation) END,"
									"  ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), CASE WHEN a.attnotnull THEN ' NOT NULL' END), ',' ORDER BY a.attnum)"
									" FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
									" WHERE a.attrelid = $2 AND a.attname LIKE '\\_mig\\_%' AND a.attnum > 0 AND NOT a.attisdropped"
									" AND NOT EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = $1 AND b.attname = a.attname AND NOT b.attisdropped)",
									P_oid(child), P_oid(parent));

	return columns ? psprintf("ALTER TABLE %s%s", sql_relation_name(child), columns) : NULL;
}

/* ALTER TABLE that takes them away; NULL: it has none. */
static char *
drop_columns_sql(Oid relid)
{
	char	   *columns = sql_textp("SELECT string_agg(format(' DROP COLUMN %I', attname), ',' ORDER BY attnum) FROM pg_attribute"
									" WHERE attrelid = $1 AND attname LIKE '\\_mig\\_%' AND attnum > 0 AND NOT attisdropped", P_oid(relid));

	return columns ? psprintf("ALTER TABLE %s%s", sql_relation_name(relid), columns) : NULL;
}

/* CREATE TRIGGER of a table's last sync trigger on another; NULL: it has none. */
static char *
copy_trigger_sql(Oid parent, Oid child)
{
	Relation	rel = table_open(parent, AccessShareLock);
	TriggerDesc *triggers = CopyTriggerDesc(rel->trigdesc);
	char	   *sql = NULL;

	table_close(rel, NoLock);
	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		const Trigger *t = &triggers->triggers[i];
		StringInfoData buf;

		if (!is_sync_trigger(t) || strcmp(quote_identifier(t->tgname), LAST_TRIGGER) != 0)
			continue;
		initStringInfo(&buf);
		for (int n = 0; n < t->tgnargs; n++)
			appendStringInfo(&buf, "%s%s", n ? ", " : "", quote_literal_cstr(t->tgargs[n]));
		sql = psprintf("CREATE TRIGGER " LAST_TRIGGER " BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION mig.sync(%s)", sql_relation_name(child), buf.data);
	}
	return sql;
}

/* Make a table fit to be a partition: hidden columns, and values in them. */
static void
make_fit(Oid child, Oid parent, const Migration *mig)
{
	char	   *columns = add_columns_sql(child, parent);
	char	   *trigger = copy_trigger_sql(parent, child);
	int			level = NewGUCNestLevel();

	settings_own(OWN_HIDDEN);
	if (columns)
		(void) sql_exec(columns);
	if (trigger)
	{
		admin_exec(trigger);
		backfill_at_once(mig, child);
		admin_exec(psprintf("DROP TRIGGER " LAST_TRIGGER " ON %s", sql_relation_name(child)));
	}
	AtEOXact_GUC(false, level);
}

PartitionChange *
partition_begin(const AlterTableStmt *stmt, Oid parent, const Migration *mig)
{
	const AlterTableCmd *cmd = linitial_node(AlterTableCmd, stmt->cmds);
	Oid			child = RangeVarGetRelid(castNode(PartitionCmd, cmd->def)->name, NoLock, true);
	PartitionChange *change;

	if (!OidIsValid(child) || !mig_relation_ownercheck(child, GetUserId()) || !mig_relation_ownercheck(parent, GetUserId()))
		return NULL;			/* the server says what is wrong */
	if (mig->phase == PHASE_COMPLETING)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration \"%s\" of table \"%s\" is completing", mig->name, get_rel_name(parent)),
				 errdetail("Partitions can be attached and detached again when it is completed."),
				 errhint("CALL mig_wait('%s', until => 'completed').", mig->name)));
	if (cmd->subtype == AT_AttachPartition)
	{
		make_fit(child, parent, mig);
		return NULL;
	}
	change = palloc(sizeof(PartitionChange));
	change->detached = child;
	return change;
}

void
partition_end(const PartitionChange *change)
{
	char	   *sql;
	int			level;

	if (get_rel_relispartition(change->detached))
		return;					/* to be finalized */
	sql = drop_columns_sql(change->detached);
	if (sql == NULL)
		return;
	level = NewGUCNestLevel();
	settings_own(OWN_HIDDEN);
	(void) sql_exec(sql);
	AtEOXact_GUC(false, level);
}
