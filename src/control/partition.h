/*
 * partition.h
 *		Partitions that are attached to and detached from a migrating table by hand: made fit before, cleaned after.
 */
#ifndef MIG_PARTITION_H
#define MIG_PARTITION_H

#include "nodes/parsenodes.h"
#include "store/state.h"

/* What is to be done after the statement, palloc'd */
typedef struct PartitionChange
{
	Oid			detached;		/* InvalidOid: none */
} PartitionChange;

/* Is this ATTACH PARTITION or DETACH PARTITION alone? */
extern bool partition_is_change(const AlterTableStmt *stmt);

/*
 * Before such a statement on a table that `mig` changes, by the current user: a table that is attached gets the hidden columns, and its rows their values, since version views
 * show it at once. NULL: nothing is to be done afterwards. 55000 while the migration completes.
 */
extern PartitionChange *partition_begin(const AlterTableStmt *stmt, Oid parent, const Migration *mig);
extern void partition_end(const PartitionChange *change);	/* a detached table loses the hidden columns */

#endif
