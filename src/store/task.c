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

#define TASK_COLUMNS "relid, relfilenode, blocks, lanes, rows_total, rows_done, divergent, missing, busy_ms, heap_before, toast_before,"\
	" indexes_before, heap, toast, indexes"
#define RANGE_COLUMNS "SELECT id, first_block, end_block, lane, next_block, state, migration_id, step_no, relid, dead_until::text FROM mig.range "

/* Three columns as sizes. */
static Sizes
make_sizes(char **v)
{
	return (Sizes) {.heap = pg_strtoint64(v[0]),.toast = pg_strtoint64(v[1]),.indexes = pg_strtoint64(v[2])};
}

/* TASK_COLUMNS as a struct. */
static Task *
make_task(int64 migration_id, int step_no, char **v)
{
	Task	   *task = palloc0(sizeof(Task));

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
	task->before = make_sizes(v + 9);
	task->now = make_sizes(v + 12);
	return task;
}

Task *
task_get(int64 migration_id, int step_no, Oid relid)
{
	SqlRows    *rows = admin_queryp("SELECT " TASK_COLUMNS " FROM mig.task WHERE migration_id = $1 AND step_no = $2 AND relid = $3",
									P_int8(migration_id), P_int4(step_no), P_oid(relid));

	return rows->n ? make_task(migration_id, step_no, rows->v[0]) : NULL;
}

List *
tasks_of(int64 migration_id, int step_no)
{
	SqlRows    *rows = admin_queryp("SELECT " TASK_COLUMNS " FROM mig.task WHERE migration_id = $1 AND step_no = $2 ORDER BY relid",
									P_int8(migration_id), P_int4(step_no));
	List	   *list = NIL;

	for (uint64 i = 0; i < rows->n; i++)
		list = lappend(list, make_task(migration_id, step_no, rows->v[i]));
	return list;
}

Task *
task_total(int64 migration_id, int step_no)
{
	SqlRows    *rows = admin_queryp("SELECT 0, 0, sum(blocks)::bigint, max(lanes), sum(rows_total)::bigint, sum(rows_done)::bigint, sum(divergent)::bigint,"
									" sum(missing)::bigint, sum(busy_ms)::bigint, sum(heap_before)::bigint, sum(toast_before)::bigint, sum(indexes_before)::bigint,"
									" sum(heap)::bigint, sum(toast)::bigint, sum(indexes)::bigint FROM mig.task WHERE migration_id = $1 AND step_no = $2 HAVING count(*) > 0",
									P_int8(migration_id), P_int4(step_no));

	return rows->n ? make_task(migration_id, step_no, rows->v[0]) : NULL;
}

/* A list of OIDs as the text of an oid[]. */
static char *
oid_array(List *oids)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, oids)
		appendStringInfo(&buf, "%c%u", buf.len ? ',' : '{', lfirst_oid(lc));
	appendStringInfoString(&buf, oids ? "}" : "{}");
	return buf.data;
}

/* Ranges are deleted by name: in a session with session_replication_role = replica the foreign key would not do it. */
void
tasks_drop(int64 migration_id, int step_no, List *relids)
{
	if (relids == NIL)
		return;
	admin_execp("WITH gone AS (DELETE FROM mig.task WHERE migration_id = $1 AND step_no = $2 AND relid = ANY ($3::oid[]) RETURNING relid)"
				" DELETE FROM mig.range WHERE migration_id = $1 AND step_no = $2 AND relid IN (SELECT relid FROM gone)",
				P_int8(migration_id), P_int4(step_no), P_text(oid_array(relids)));
}

/* Sizes as a JSON array. */
static char *
sizes_json(const Sizes *s)
{
	return psprintf("[" INT64_FORMAT ", " INT64_FORMAT ", " INT64_FORMAT "]", s->heap, s->toast, s->indexes);
}

/*
 * One statement for all of them: a table may have thousands of partitions. Two drivers may get here at once: the second waits for the first's commit, then
 * inserts nothing; and if both dropped the former ones before, the second has dropped nothing, as the rows it saw were gone.
 */
void
tasks_make(List *tasks)
{
	StringInfoData json;
	ListCell   *lc;

	if (tasks == NIL)
		return;
	initStringInfo(&json);
	foreach(lc, tasks)
	{
		Task	   *t = lfirst(lc);

		appendStringInfo(&json, "%s{\"relid\": %u, \"node\": %u, \"blocks\": " INT64_FORMAT ", \"lanes\": %d, \"total\": " INT64_FORMAT ", \"done\": " INT64_FORMAT
						 ", \"busy\": " INT64_FORMAT ", \"pages\": " INT64_FORMAT ", \"lane\": %d, \"before\": %s, \"now\": %s}", json.len ? ", " : "[", t->relid, t->relfilenode, t->blocks,
						 t->lanes, t->rows_total, t->rows_done, t->busy_ms, t->range_pages, t->first_lane, sizes_json(&t->before), sizes_json(&t->now));
	}
	appendStringInfoChar(&json, ']');
	admin_execp("WITH t AS MATERIALIZED (SELECT t.*, c.relname, n.nspname FROM jsonb_to_recordset($3) AS t (relid oid, node oid, blocks bigint, lanes int,"
				"   total bigint, done bigint, busy bigint, pages bigint, lane int, before bigint[], now bigint[]) JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace),"
				" made AS (INSERT INTO mig.task (migration_id, step_no, relid, relation, relfilenode, blocks, lanes, rows_total, rows_done, busy_ms,"
				"   heap_before, toast_before, indexes_before, heap, toast, indexes)"
				"  SELECT $1, $2, relid, format('%I.%I', nspname, relname), node, blocks, lanes, total, done, busy,"
				"   before[1], before[2], before[3], now[1], now[2], now[3] FROM t ORDER BY relid"
				"  ON CONFLICT DO NOTHING RETURNING relid)"
				" INSERT INTO mig.range (migration_id, step_no, relid, first_block, end_block, lane, next_block)"
				" SELECT $1, $2, relid, b, least(b + pages, blocks), lane, b FROM made JOIN t USING (relid), generate_series(0, blocks - 1, pages) b ORDER BY relid, b",
				P_int8(((Task *) linitial(tasks))->migration_id), P_int4(((Task *) linitial(tasks))->step_no), P_jsonb(json.data));
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
	r->relid = sql_oid(v[8]);
	r->dead_until = v[9] ? strtoull(v[9], NULL, 10) : 0;
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

/* A transaction id of 64 bits as the server reads it; NULL for 0. */
static char *
xid_text(uint64 xid)
{
	return xid ? psprintf(UINT64_FORMAT, xid) : NULL;
}

List *
task_ranges(int64 migration_id, int step_no, uint64 held_from)
{
	SqlRows    *rows = admin_queryp(RANGE_COLUMNS "WHERE migration_id = $1 AND step_no = $2 AND state IN ('open', 'later')"
									" AND NOT coalesce(not_before > clock_timestamp() AND not_before <= clock_timestamp() + $5 * interval '1 ms', false)"
									" AND NOT coalesce(dead_until > $4::xid8, false)"
									" ORDER BY state DESC, id LIMIT $3",
									P_int8(migration_id), P_int4(step_no), P_int4(RANGES_AT_ONCE), P_text(xid_text(held_from)), P_int4(RANGE_LATER_MS));
	List	   *list = NIL;

	for (uint64 i = 0; i < rows->n; i++)
		list = lappend(list, make_range(rows->v[i]));
	return list;
}

bool
task_ranges_held(int64 migration_id, int step_no, uint64 held_from)
{
	return admin_queryp("SELECT FROM mig.range WHERE migration_id = $1 AND step_no = $2 AND state IN ('open', 'later') AND dead_until > $3::xid8 LIMIT 1",
						P_int8(migration_id), P_int4(step_no), P_text(xid_text(held_from)))->n > 0;
}

bool
task_ranges_left(int64 migration_id, int step_no)
{
	return admin_queryp("SELECT FROM mig.range WHERE migration_id = $1 AND step_no = $2 AND state IN ('open', 'later') LIMIT 1",
						P_int8(migration_id), P_int4(step_no))->n > 0;
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
	admin_execp("UPDATE mig.range SET lane = $2, next_block = $3, state = $4, not_before = NULL, dead_until = $5::xid8 WHERE id = $1",
				P_int8(r->id), P_int4(r->lane), P_int8(r->next_block), P_text(range_states[r->state]), P_text(xid_text(r->dead_until)));
	/* neither pauses count nor the time that others have counted */
	admin_execp("UPDATE mig.task SET rows_done = rows_done + $4, updated_at = clock_timestamp(),"
				" busy_ms = busy_ms + extract(epoch FROM clock_timestamp() - greatest(updated_at, now())) * 1000"
				" WHERE migration_id = $1 AND step_no = $2 AND relid = $3",
				P_int8(r->migration_id), P_int4(r->step_no), P_oid(r->relid), P_int8(rows));
}

void
task_grown(const Range *r, const Sizes *now)
{
	admin_execp("UPDATE mig.task SET heap = CASE WHEN $4 >= 0 THEN $4 ELSE heap END, toast = CASE WHEN $5 >= 0 THEN $5 ELSE toast END,"
				" indexes = CASE WHEN $6 >= 0 THEN $6 ELSE indexes END WHERE migration_id = $1 AND step_no = $2 AND relid = $3",
				P_int8(r->migration_id), P_int4(r->step_no), P_oid(r->relid), P_int8(now->heap), P_int8(now->toast), P_int8(now->indexes));
}

void
range_postpone(const Range *r, int ms)
{
	admin_execp("UPDATE mig.range SET lane = $2, next_block = $3, state = 'later',"
				" not_before = clock_timestamp() + $4 * interval '1 ms' WHERE id = $1",
				P_int8(r->id), P_int4(r->lane), P_int8(r->next_block), P_int4(ms));
}

void
task_counts(const Range *r, int64 divergent, int64 missing)
{
	if (divergent == 0 && missing == 0)
		return;
	admin_execp("UPDATE mig.task SET divergent = divergent + $4, missing = missing + $5 WHERE migration_id = $1 AND step_no = $2 AND relid = $3",
				P_int8(r->migration_id), P_int4(r->step_no), P_oid(r->relid), P_int8(divergent), P_int8(missing));
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
bad_rows_count(int64 migration_id, int step_no, const char *kind)
{
	return pg_strtoint64(admin_queryp("SELECT count(*) FROM mig.bad_row WHERE migration_id = $1 AND kind = $3 AND relid IN"
									  " (SELECT relid FROM mig.task WHERE migration_id = $1 AND step_no = $2)",
									  P_int8(migration_id), P_int4(step_no), P_text(kind))->v[0][0]);
}

void
bad_rows_clear(int64 migration_id, List *relids)
{
	if (relids != NIL)
		admin_execp("DELETE FROM mig.bad_row WHERE migration_id = $1 AND relid = ANY ($2::oid[])", P_int8(migration_id), P_text(oid_array(relids)));
}

void
bad_rows_seen_again(int64 migration_id, Oid relid)
{
	admin_execp("DELETE FROM mig.bad_row WHERE migration_id = $1 AND relid = $2 AND kind <> 'up'", P_int8(migration_id), P_oid(relid));
}

void
bad_row_repaired(int64 migration_id, Oid relid, const char *samples)
{
	admin_execp("DELETE FROM mig.bad_row WHERE migration_id = $1 AND relid = $2 AND key IN (SELECT s -> 'key' FROM jsonb_array_elements($3) s)",
				P_int8(migration_id), P_oid(relid), P_jsonb(psprintf("[%s]", samples)));
}
