/*
 * horizon.c
 *		Who holds back the xmin horizon: sessions, prepared transactions, slots, standbys.
 *
 * Sessions of other databases count by their transaction ids alone: snapshots are taken over all databases, so that every one of ours, however new,
 * reaches back to the oldest transaction anywhere. Vacuums don't count, nor do drivers: they hold one of our locks for a unit of work, and commit every other moment.
 */
#include "base/compat.h"

#include "access/relation.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "pace/horizon.h"
#include "store/options.h"

static const char holder_sql[] =
"SELECT h.xmin::text, extract(epoch FROM clock_timestamp() - h.since) * 1000, h.key, h.who FROM ("
/* sessions */
" SELECT s.xmin, s.xact_start AS since, format('pid %s %s', s.pid, s.xact_start) AS key,"
"  format('pid %s (%s%s%s)', s.pid, coalesce(s.state, s.backend_type), ', application ' || nullif(s.application_name, ''), ', user ' || s.usename) AS who"
"  FROM (SELECT a.*, CASE WHEN a.backend_xid IS NULL OR (a.datid = d.oid AND age(a.backend_xmin) > age(a.backend_xid)) THEN a.backend_xmin ELSE a.backend_xid END AS xmin"
"   FROM pg_stat_activity a, (SELECT oid FROM pg_database WHERE datname = current_database()) d"
"   WHERE a.pid <> pg_backend_pid() AND a.backend_type <> 'walsender' AND (a.datid = d.oid OR a.backend_xid IS NOT NULL)) s"
"  WHERE s.xmin IS NOT NULL AND NOT EXISTS (SELECT FROM pg_stat_get_progress_info('VACUUM') v WHERE v.pid = s.pid)"
"  AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = s.pid AND l.locktype = 'advisory' AND l.objsubid IN ($1, $2))"
" UNION ALL"
" SELECT transaction, prepared, format('prepared %s', gid), format('prepared transaction %L', gid) FROM pg_prepared_xacts"
" UNION ALL"
" SELECT s.xmin, NULL, format('slot %s', s.slot_name), format('replication slot %s%s', s.slot_name, ', standby ' || r.application_name)"
"  FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.xmin IS NOT NULL"
/* what a standby without a slot reports; senders of logical changes hold nothing but the catalogs */
" UNION ALL"
" SELECT a.backend_xmin, NULL, format('standby %s', a.application_name), format('standby %s (pid %s)', a.application_name, a.pid)"
"  FROM pg_stat_activity a WHERE a.backend_type = 'walsender' AND a.datid IS NULL AND a.backend_xmin IS NOT NULL"
") h ORDER BY age(h.xmin) DESC, h.since LIMIT 1";

bool
horizon_holder(HorizonHolder *holder)
{
	SqlRows    *rows = admin_queryp(holder_sql, P_int4(MIG_LOCK_MIGRATION), P_int4(MIG_LOCK_RANGE));
	char	  **v;

	if (rows->n == 0)
		return false;
	v = rows->v[0];
	holder->xmin = (TransactionId) strtoul(v[0], NULL, 10);
	holder->age_ms = v[1] ? Max(float8in_internal(v[1], NULL, "double precision", v[1]), 0.0) : -1;
	holder->key = v[2];
	holder->who = v[3];
	return true;
}

bool
horizon_has_passed(Oid relid, FullTransactionId xid)
{
	Relation	rel = ConditionalLockRelationOid(relid, AccessShareLock) ? try_relation_open(relid, NoLock) : NULL;
	FullTransactionId next = ReadNextFullTransactionId();
	TransactionId oldest;

	if (rel == NULL)
		return true;
	oldest = GetOldestNonRemovableTransactionId(rel);
	relation_close(rel, AccessShareLock);
	/* how far behind the next one: 64 bits, so that a migration may pause for as long as it likes */
	return U64FromFullTransactionId(next) - (uint32) (XidFromFullTransactionId(next) - oldest) >= U64FromFullTransactionId(xid);
}

/* A time as options and settings write it, in ms; false when it is none. */
static bool
parse_patience(const char *value, int *ms)
{
	*ms = -1;
	return strcmp(value, "wait") == 0 || (parse_int(value, ms, GUC_UNIT_MS, NULL) && *ms >= -1);
}

double
horizon_patience(const Migration *mig)
{
	char	   *value = option_text(mig->in_effect, "on_held_horizon");
	int			ms;

	return value && parse_patience(value, &ms) ? ms : mig_on_held_horizon;
}

void
horizon_check_option(const char *value)
{
	int			ms;

	if (value == NULL || parse_patience(value, &ms))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"on_held_horizon\" cannot be \"%s\"", value),
			 errhint("It is a time such as \"60 s\" (a number means milliseconds), 0 to go on at once, or \"wait\" (-1) to wait for ever.")));
}
