/*
 * task.c
 *		Rows of mig.task, mig.range and mig.bad_row: how far backfill and verification are.
 *
 * Owns those tables. A range row is written only by the session that holds its advisory lock RANGE (base/lock.h).
 */
#include "base/compat.h"

#include "utils/builtins.h"

#include "base/sql.h"
#include "store/task.h"

static const char *const range_states[] = {
	[RANGE_OPEN] = "open",
	[RANGE_LATER] = "later",
	[RANGE_ASIDE] = "aside",
	[RANGE_DONE] = "done",
};

#define RANGE_COLUMNS "SELECT id, first_block, end_block, lane, next_block, state, migration_id, step_no FROM mig.range "
#define RANGES_AT_ONCE 64		/* to choose from; more would be read for nothing */

Task *
task_get(int64 migration_id, int step_no)
{
	SqlRows    *rows = admin_queryp("SELECT relid, relfilenode, blocks, lanes, rows_total, rows_done, divergent, missing, busy_ms FROM mig.task"
									" WHERE migration_id = $1 AND step_no = $2", P_int8(migration_id), P_int4(step_no));
	Task	   *task;
	char	  **v;

	if (rows->n == 0)
		return NULL;
	v = rows->v[0];
	task = palloc0(sizeof(Task));
	task->migration_id = migration_id;
	task->step_no = step_no;
	task->relid = sql_oid(v[0]);
	task->relfilenode = sql_oid(v[1]);
	task->blocks = pg_strtoint64(v[2]);
	task->lanes = pg_strtoint32(v[3]);
	task->rows_total = pg_strtoint64(v[4]);
	task->rows_done = pg_strtoint64(v[5]);
	task->divergent = pg_strtoint64(v[6]);
	task->missing = pg_strtoint64(v[7]);
	task->busy_ms = pg_strtoint64(v[8]);
	return task;
}

/*
 * Two drivers may get here at once: the second waits for the first's commit, then deletes nothing (the row it saw is gone) and inserts nothing. Ranges
 * are deleted by name: in a session with session_replication_role = replica the foreign key would not do it.
 */
void
task_create(const Task *task, int64 range_pages, int first_lane)
{
	admin_execp("WITH gone AS (DELETE FROM mig.task WHERE migration_id = $1 AND step_no = $2 RETURNING 1)"
				" DELETE FROM mig.range WHERE migration_id = $1 AND step_no = $2 AND EXISTS (SELECT FROM gone)",
				P_int8(task->migration_id), P_int4(task->step_no));
	admin_execp("WITH made AS (INSERT INTO mig.task (migration_id, step_no, relid, relation, relfilenode, blocks, lanes, rows_total, rows_done, busy_ms)"
				" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $12) ON CONFLICT DO NOTHING RETURNING 1)"
				" INSERT INTO mig.range (migration_id, step_no, first_block, end_block, lane, next_block)"
				" SELECT $1, $2, b, least(b + $10, $6), $11, b FROM made, generate_series(0, $6 - 1, $10) b",
				P_int8(task->migration_id), P_int4(task->step_no), P_oid(task->relid), P_text(sql_relation_name(task->relid)),
				P_oid(task->relfilenode), P_int8(task->blocks), P_int4(task->lanes), P_int8(task->rows_total),
				P_int8(task->rows_done), P_int8(range_pages), P_int4(first_lane), P_int8(task->busy_ms));
}

/* A row of RANGE_COLUMNS as a struct. */
static Range *
make_range(char **v)
{
	Range	   *r = palloc0(sizeof(Range));

	r->id = pg_strtoint64(v[0]);
	r->first_block = pg_strtoint64(v[1]);
	r->end_block = pg_strtoint64(v[2]);
	r->lane = pg_strtoint32(v[3]);
	r->next_block = pg_strtoint64(v[4]);
	r->migration_id = pg_strtoint64(v[6]);
	r->step_no = pg_strtoint32(v[7]);
	for (int i = 0; i < lengthof(range_states); i++)
		if (strcmp(range_states[i], v[5]) == 0)
			r->state = (RangeState) i;
	return r;
}

Range *
range_get(int64 id)
{
	SqlRows    *rows = admin_queryp(RANGE_COLUMNS "WHERE id = $1", P_int8(id));

	return rows->n ? make_range(rows->v[0]) : NULL;
}

List *
task_ranges(int64 migration_id, int step_no)
{
	SqlRows    *rows = admin_queryp(RANGE_COLUMNS "WHERE migration_id = $1 AND step_no = $2 AND state IN ('open', 'later')"
									" AND coalesce(not_before, '-infinity') <= clock_timestamp() ORDER BY state DESC, id LIMIT $3",
									P_int8(migration_id), P_int4(step_no), P_int4(RANGES_AT_ONCE));
	List	   *list = NIL;

	for (uint64 i = 0; i < rows->n; i++)
		list = lappend(list, make_range(rows->v[i]));
	return list;
}

int64
task_ranges_left(int64 migration_id, int step_no)
{
	return pg_strtoint64(admin_queryp("SELECT count(*) FROM mig.range WHERE migration_id = $1 AND step_no = $2 AND state <> 'done'",
									  P_int8(migration_id), P_int4(step_no))->v[0][0]);
}

int64
task_ranges_aside(int64 migration_id, int step_no, char **error)
{
	SqlRows    *rows = admin_queryp("SELECT count(*), min(error) FROM mig.range WHERE migration_id = $1 AND step_no = $2 AND state = 'aside'",
									P_int8(migration_id), P_int4(step_no));

	*error = rows->v[0][1];
	return pg_strtoint64(rows->v[0][0]);
}

void
task_ranges_reopen(int64 migration_id, int step_no)
{
	admin_execp("UPDATE mig.range SET state = 'open', error = NULL WHERE migration_id = $1 AND step_no = $2 AND state = 'aside'",
				P_int8(migration_id), P_int4(step_no));
}

int64
task_rows_done(int64 migration_id, StepKind kind)
{
	return pg_strtoint64(admin_queryp("SELECT coalesce(sum(t.rows_done), 0)::int8 FROM mig.task t JOIN mig.step s ON s.migration_id = t.migration_id"
									  " AND s.no = t.step_no WHERE t.migration_id = $1 AND s.kind = $2",
									  P_int8(migration_id), P_text(step_kind_name(kind)))->v[0][0]);
}

void
range_put_aside(int64 id, const char *error)
{
	admin_execp("UPDATE mig.range SET state = 'aside', error = $2 WHERE id = $1", P_int8(id), P_text(error));
}

void
range_advance(const Range *r, int64 rows)
{
	admin_execp("WITH r AS (UPDATE mig.range SET lane = $2, next_block = $3, state = $4, not_before = NULL WHERE id = $1"
				" RETURNING migration_id, step_no)"
				" UPDATE mig.task t SET rows_done = rows_done + $5, updated_at = clock_timestamp(),"
				/* pauses don't count */
				" busy_ms = busy_ms + least(extract(epoch FROM clock_timestamp() - t.updated_at) * 1000, 2000)::bigint FROM r"
				" WHERE t.migration_id = r.migration_id AND t.step_no = r.step_no",
				P_int8(r->id), P_int4(r->lane), P_int8(r->next_block), P_text(range_states[r->state]), P_int8(rows));
}

void
range_postpone(const Range *r, int ms)
{
	admin_execp("UPDATE mig.range SET lane = $2, next_block = $3, state = 'later',"
				" not_before = clock_timestamp() + $4 * interval '1 ms' WHERE id = $1",
				P_int8(r->id), P_int4(r->lane), P_int8(r->next_block), P_int4(ms));
}

void
task_counts(int64 migration_id, int step_no, int64 divergent, int64 missing)
{
	if (divergent == 0 && missing == 0)
		return;
	admin_execp("UPDATE mig.task SET divergent = divergent + $3, missing = missing + $4 WHERE migration_id = $1 AND step_no = $2",
				P_int8(migration_id), P_int4(step_no), P_int8(divergent), P_int8(missing));
}

void
bad_row_add(int64 migration_id, Oid relid, const char *column, const char *key, const char *kind, const char *error)
{
	admin_execp("INSERT INTO mig.bad_row (migration_id, relid, relation, column_name, key, kind, error)"
				" SELECT $1, $2, $3, $4, $5, $6, $7 WHERE (SELECT count(*) FROM mig.bad_row WHERE migration_id = $1 AND relid = $2 AND kind = $6) < $8"
				" AND NOT EXISTS (SELECT FROM mig.bad_row WHERE migration_id = $1 AND relid = $2 AND kind = $6 AND column_name = $4 AND key = $5)",
				P_int8(migration_id), P_oid(relid), P_text(sql_relation_name(relid)), P_text(column), P_jsonb(key), P_text(kind),
				P_text(error), P_int4(BAD_ROW_SAMPLES));
}

int64
bad_rows_count(int64 migration_id, Oid relid, const char *kind)
{
	return pg_strtoint64(admin_queryp("SELECT count(*) FROM mig.bad_row WHERE migration_id = $1 AND relid = $2 AND kind = $3",
									  P_int8(migration_id), P_oid(relid), P_text(kind))->v[0][0]);
}

void
bad_rows_clear(int64 migration_id, Oid relid)
{
	admin_execp("DELETE FROM mig.bad_row WHERE migration_id = $1 AND relid = $2", P_int8(migration_id), P_oid(relid));
}
