/*
 * override.c
 *		Rows of mig.override, with an event at the beginning and at the end of each.
 */
#include "base/compat.h"

#include "utils/timestamp.h"

#include "base/sql.h"
#include "store/override.h"
#include "store/state.h"

void
override_add(int64 migration_id, const char *options, TimestampTz until, const char *reason)
{
	SqlRows    *rows = admin_queryp("INSERT INTO mig.override (migration_id, options, expires_at, reason) VALUES ($1, $2, $3::timestamptz, $4)"
									" RETURNING (jsonb_build_object('options', options, 'until', expires_at) || jsonb_strip_nulls(jsonb_build_object('reason', reason)))::text",
									P_int8(migration_id), P_jsonb(options), P_text(timestamptz_to_str(until)), P_text(reason));

	event_write(migration_id, "override", rows->v[0][0]);
}

void
overrides_end(int64 migration_id, bool all)
{
	/* whoever has locked one is about to do the same */
	SqlRows    *rows = admin_queryp("WITH gone AS (UPDATE mig.override SET ended_at = clock_timestamp() WHERE id IN ("
									"SELECT id FROM mig.override WHERE migration_id = $1 AND ended_at IS NULL AND ($2 OR expires_at <= clock_timestamp()) FOR UPDATE SKIP LOCKED)"
									" RETURNING *) SELECT (jsonb_build_object('options', options, 'set_by', set_by, 'set_at', set_at,"
									" CASE WHEN expires_at <= ended_at THEN 'expired_at' ELSE 'taken_back_before' END, expires_at)"
									" || jsonb_strip_nulls(jsonb_build_object('reason', reason)))::text FROM gone ORDER BY id",
									P_int8(migration_id), P_bool(all));

	for (uint64 r = 0; r < rows->n; r++)
		event_write(migration_id, "override ended", rows->v[r][0]);
}
