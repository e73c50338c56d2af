/*
 * proof.c
 *		Rows of mig.business_check, mig.check_run and mig.check_result. Owns those tables.
 */
#include "base/compat.h"

#include "utils/builtins.h"

#include "base/sql.h"
#include "store/proof.h"

void
business_check_put(int64 migration_id, const BusinessCheck *check)
{
	admin_execp("INSERT INTO mig.business_check (migration_id, name, spec, sql) VALUES ($1, $2, $3, $4)"
				" ON CONFLICT (migration_id, name) DO UPDATE SET spec = excluded.spec, sql = excluded.sql, changed_at = clock_timestamp()",
				P_int8(migration_id), P_text(check->name), P_jsonb(check->spec), P_text(check->sql));
}

bool
business_check_drop(int64 migration_id, const char *name)
{
	return admin_queryp("DELETE FROM mig.business_check WHERE migration_id = $1 AND name = $2 RETURNING 1", P_int8(migration_id), P_text(name))->n > 0;
}

List *
business_checks(int64 migration_id, const char *name)
{
	SqlRows    *rows = admin_queryp("SELECT name, spec, sql FROM mig.business_check WHERE migration_id = $1 AND ($2 IS NULL OR name = $2) ORDER BY name",
									P_int8(migration_id), P_text(name));
	List	   *list = NIL;

	for (uint64 r = 0; r < rows->n; r++)
	{
		BusinessCheck *check = palloc(sizeof(BusinessCheck));

		check->name = rows->v[r][0];
		check->spec = rows->v[r][1];
		check->sql = rows->v[r][2];
		list = lappend(list, check);
	}
	return list;
}

List *
check_states(int64 migration_id)
{
	SqlRows    *rows = admin_queryp("SELECT c.name, r.id IS NOT NULL, coalesce(r.wrong = 0 AND r.failure IS NULL AND r.ended_at IS NOT NULL, false), r.failure FROM mig.business_check c"
									" LEFT JOIN LATERAL (SELECT * FROM mig.check_run r WHERE r.migration_id = c.migration_id AND r.check_name = c.name AND r.started_at >= c.changed_at"
									"  ORDER BY r.id DESC LIMIT 1) r ON true WHERE c.migration_id = $1 ORDER BY c.name", P_int8(migration_id));
	List	   *list = NIL;

	for (uint64 r = 0; r < rows->n; r++)
	{
		CheckState *state = palloc(sizeof(CheckState));

		state->name = rows->v[r][0];
		state->run = rows->v[r][1][0] == 't';
		state->green = rows->v[r][2][0] == 't';
		state->failure = rows->v[r][3];
		list = lappend(list, state);
	}
	return list;
}

int64
check_run_begin(int64 migration_id, const char *check_name)
{
	return pg_strtoint64(admin_queryp("INSERT INTO mig.check_run (migration_id, check_name) VALUES ($1, $2) RETURNING id",
									  P_int8(migration_id), P_text(check_name))->v[0][0]);
}

void
check_run_result(int64 run_id, const CheckResult *result)
{
	admin_execp("INSERT INTO mig.check_result (run_id, segment, old_value, new_value, ok) VALUES ($1, $2, $3, $4, $5)",
				P_int8(run_id), P_jsonb(result->segment), P_text(result->old_value), P_text(result->new_value), P_bool(result->ok));
}

void
check_run_end(int64 run_id, int64 lines, int64 wrong, const char *failure, double ms)
{
	admin_execp("UPDATE mig.check_run SET lines = $2, wrong = $3, failure = $4, ms = $5, ended_at = clock_timestamp() WHERE id = $1",
				P_int8(run_id), P_int8(lines), P_int8(wrong), P_text(failure), P_int8((int64) ms));
}
