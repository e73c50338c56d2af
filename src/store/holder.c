/*
 * holder.c
 *		Rows of mig.holder.
 *
 * Owns that table. Drivers of a migration wait side by side: the time passes once for all of them.
 */
#include "base/compat.h"

#include "utils/float.h"

#include "base/sql.h"
#include "store/holder.h"

double
holder_wait(int64 migration_id, const char *key, const char *who, int most_between_ms)
{
	char	   *ms = admin_queryp("INSERT INTO mig.holder AS h (migration_id, key, who) VALUES ($1, $2, $3) ON CONFLICT (migration_id, key) DO UPDATE"
								  " SET who = excluded.who, seen_at = excluded.seen_at,"
								  " waited_ms = h.waited_ms + CASE WHEN excluded.seen_at - h.seen_at BETWEEN '0' AND $4 * interval '1 ms'"
								  " THEN extract(epoch FROM excluded.seen_at - h.seen_at) * 1000 ELSE 0 END RETURNING waited_ms",
								  P_int8(migration_id), P_text(key), P_text(who), P_int4(most_between_ms))->v[0][0];

	return float8in_internal(ms, NULL, "double precision", ms);
}

void
holder_give_up(int64 migration_id, const char *key)
{
	admin_execp("UPDATE mig.holder SET gone_on_at = clock_timestamp() WHERE migration_id = $1 AND key = $2", P_int8(migration_id), P_text(key));
}

bool
holder_given_up(int64 migration_id, const char *key)
{
	return admin_queryp("SELECT FROM mig.holder WHERE migration_id = $1 AND key = $2 AND gone_on_at IS NOT NULL", P_int8(migration_id), P_text(key))->n > 0;
}
