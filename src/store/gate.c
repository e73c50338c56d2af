/*
 * gate.c
 *		Rows of mig.gate and mig.approval. Owns those tables.
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "base/sql.h"
#include "store/gate.h"

/* Store a gate; `since` is when it was last opened or closed. */
static void
gate_put(int64 migration_id, const Gate *gate)
{
	admin_execp("INSERT INTO mig.gate AS g (migration_id, name, before, open, overridable, value, limit_text, failure) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
				" ON CONFLICT (migration_id, name) DO UPDATE SET before = excluded.before, open = excluded.open, overridable = excluded.overridable, value = excluded.value,"
				" limit_text = excluded.limit_text, failure = excluded.failure, checked_at = clock_timestamp(),"
				" since = CASE WHEN g.open = excluded.open THEN g.since ELSE clock_timestamp() END",
				P_int8(migration_id), P_text(gate->name), P_text(phase_name(gate->before)), P_bool(gate->open), P_bool(gate->overridable),
				P_text(gate->value), P_text(gate->limit), P_text(gate->failure));
}

void
gates_put(int64 migration_id, MigPhase before, const List *gates)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, gates)
	{
		const Gate *gate = lfirst(lc);

		gate_put(migration_id, gate);
		appendStringInfo(&names, "%s%s", names.len ? "\n" : "", gate->name);
	}
	admin_execp("DELETE FROM mig.gate WHERE migration_id = $1 AND before = $2 AND name <> ALL (string_to_array($3, E'\\n'))",
				P_int8(migration_id), P_text(phase_name(before)), P_text(names.data));
}

bool
gates_are_stale(int64 migration_id, int ms)
{
	return admin_queryp("SELECT FROM mig.gate WHERE migration_id = $1 AND before = 'completing' AND checked_at BETWEEN clock_timestamp() - $2 * interval '1 ms' AND clock_timestamp() LIMIT 1",
						P_int8(migration_id), P_int4(ms))->n == 0;
}

void
approval_put(int64 migration_id, const char *comment)
{
	event_write(migration_id, "approved", sql_textp("SELECT jsonb_strip_nulls(jsonb_build_object('by', $1, 'comment', $2))::text",
													P_text(GetUserNameFromId(GetUserId(), false)), P_text(comment)));
	admin_execp("INSERT INTO mig.approval (migration_id, approved_by, comment, event_id) VALUES ($1, $2, $3, (SELECT max(e.id) FROM mig.event e WHERE e.migration_id = $1))",
				P_int8(migration_id), P_text(GetUserNameFromId(GetUserId(), false)), P_text(comment));
}

int
approvals_count(const Migration *mig)
{
	return atoi(admin_queryp("SELECT count(DISTINCT a.approved_by) FROM mig.approval a WHERE a.migration_id = $1"
							 " AND a.event_id > coalesce((SELECT max(e.id) FROM mig.event e WHERE e.migration_id = $1 AND e.kind = 'set'), 0)",
							 P_int8(mig->id))->v[0][0]);
}

char *
migration_started_by(int64 id)
{
	return admin_queryp("SELECT started_by FROM mig.migration WHERE id = $1", P_int8(id))->v[0][0];
}

double
migration_ready_seconds(int64 id)
{
	char	   *seconds = admin_queryp("SELECT extract(epoch FROM clock_timestamp() - min(e.at)) FROM mig.event e"
									   " WHERE e.migration_id = $1 AND e.kind = 'phase' AND e.detail ->> 'to' = 'ready'", P_int8(id))->v[0][0];

	return seconds ? float8in_internal(seconds, NULL, "double precision", seconds) : -1;
}
