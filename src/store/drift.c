/*
 * drift.c
 *		Rows of mig.watcher and mig.drift_row; options.drift. Owns those tables.
 */
#include "base/compat.h"

#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"

#include "base/settings.h"
#include "base/sql.h"
#include "store/drift.h"
#include "store/options.h"

#define LEAST_DUTY 0.001
#define NEVER "1e15"			/* an age, in ms */
#define MARKS 12				/* sweeps that are remembered: a transaction that lasts longer is left to the passes */
#define KEYS_LENGTH 6000		/* of the keys in a notification, which has to be shorter than 8000 bytes */
#define CLEAN_PASSES 100		/* kept, and one an hour of those before */

static const char *const reaction_names[] = {
	[DRIFT_ALARM] = "alarm",
	[DRIFT_PAUSE] = "pause",
	[DRIFT_FENCE] = "fence",
};

DriftOptions
drift_options(const Migration *mig)
{
	DriftOptions o = {.duty = mig_drift_duty,.reaction = DRIFT_ALARM};
	char	  **v = sql_queryp("SELECT $1 -> 'drift' = 'false', $1 #>> '{drift,duty}', $1 #>> '{drift,reaction}'", P_jsonb(mig->options))->v[0];

	if (v[0] && v[0][0] == 't')
		o.duty = 0;
	else if (v[1])
		o.duty = float8in_internal(v[1], NULL, "double precision", v[1]);
	for (int i = 0; v[2] && i < lengthof(reaction_names); i++)
		if (strcmp(v[2], reaction_names[i]) == 0)
			o.reaction = (DriftReaction) i;
	return o;
}

/* Is this a JSON value of options.drift.duty? */
static bool
is_duty(const char *type, const char *value)
{
	double		duty = strcmp(type, "number") == 0 ? float8in_internal(pstrdup(value), NULL, "double precision", value) : -1;

	return duty >= LEAST_DUTY && duty <= 1;
}

/* Is this a JSON value of options.drift.reaction? */
static bool
is_reaction(const char *type, const char *value)
{
	for (int i = 0; strcmp(type, "string") == 0 && i < lengthof(reaction_names); i++)
		if (strcmp(value, reaction_names[i]) == 0)
			return true;
	return false;
}

void
drift_check_option(const char *drift)
{
	SqlRows    *rows = sql_queryp("SELECT key, jsonb_typeof(value), value #>> '{}' FROM jsonb_each(CASE jsonb_typeof($1) WHEN 'object' THEN $1 END)", P_jsonb(drift));

	for (uint64 r = 0; r < rows->n; r++)
	{
		char	  **v = rows->v[r];

		if (strcmp(v[0], "duty") != 0 && strcmp(v[0], "reaction") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown member options.drift.%s", v[0]),
					 errhint("Its members are duty and reaction; false turns the watch off.")));
		if (strcmp(v[1], "null") == 0)
			continue;			/* mig_set: back to the default */
		if (strcmp(v[0], "duty") == 0 && !is_duty(v[1], v[2]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("options.drift.duty must be a number between %g and 1, not %s", LEAST_DUTY, v[2])));
		if (strcmp(v[0], "reaction") == 0 && !is_reaction(v[1], v[2]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("options.drift.reaction must be \"alarm\", \"pause\" or \"fence\", not %s", v[2])));
	}
}

/* ---- where the watch is ------------------------------------------------------------------------------------------------------ */

Watch *
watch_claim(int64 migration_id)
{
	SqlRows    *rows;
	Watch	   *w;
	char	  **v;

	if (admin_queryp("SELECT FROM mig.watcher WHERE migration_id = $1", P_int8(migration_id))->n == 0)
		admin_execp("INSERT INTO mig.watcher (migration_id) VALUES ($1) ON CONFLICT DO NOTHING", P_int8(migration_id));
	rows = admin_queryp("SELECT coalesce(extract(epoch FROM w.rests_until - n) * 1000, 0)::float8, coalesce(w.cycle_table, 0::oid), coalesce(extract(epoch FROM n - w.cycle_at) * 1000, " NEVER ")::float8,"
						" coalesce(w.sweep_table, 0::oid), coalesce(w.sweep_leaf, 0::oid), w.sweep_block, coalesce(extract(epoch FROM n - w.sweep_at) * 1000, " NEVER ")::float8, w.sweep_ms,"
						" coalesce(w.since_xid, 0), coalesce(w.since_lsn, 0), w.failure"
						" FROM mig.watcher w, clock_timestamp() n WHERE w.migration_id = $1 FOR UPDATE OF w SKIP LOCKED", P_int8(migration_id));
	if (rows->n == 0)
		return NULL;
	v = rows->v[0];
	w = palloc0(sizeof(Watch));
	w->migration_id = migration_id;
	w->rest = float8in_internal(v[0], NULL, "double precision", v[0]);
	w->cycle_table = sql_oid(v[1]);
	w->cycle_age = float8in_internal(v[2], NULL, "double precision", v[2]);
	w->sweep.table = sql_oid(v[3]);
	w->sweep.leaf = sql_oid(v[4]);
	w->sweep.block = pg_strtoint64(v[5]);
	w->sweep_age = float8in_internal(v[6], NULL, "double precision", v[6]);
	w->sweep_worked = float8in_internal(v[7], NULL, "double precision", v[7]);
	w->since_xid = strtou64(v[8], NULL, 10);
	w->since_lsn = strtou64(v[9], NULL, 10);
	w->failure = v[10];
	return w;
}

void
watch_put(const Watch *w)
{
	admin_execp("UPDATE mig.watcher SET rests_until = clock_timestamp() + $2 * interval '1 ms', cycle_table = nullif($3, 0::oid), sweep_table = nullif($4, 0::oid),"
				" sweep_leaf = nullif($5, 0::oid), sweep_block = $6, sweep_ms = $7, failure = $8 WHERE migration_id = $1",
				P_int8(w->migration_id), P_float8(w->rest), P_oid(w->cycle_table), P_oid(w->sweep.table), P_oid(w->sweep.leaf), P_int8(w->sweep.block),
				P_float8(w->sweep_worked), P_text(w->failure));
}

void
watch_cycle_begins(Watch *w)
{
	admin_execp("UPDATE mig.watcher SET cycle_at = clock_timestamp() WHERE migration_id = $1", P_int8(w->migration_id));
	w->cycle_age = 0;
}

/*
 * Rows that the last sweep could not see are those of transactions from the oldest that ran then. They were written behind the last mark at which the oldest was
 * still to come.
 */
void
watch_sweep_begins(Watch *w, uint64 lsn, uint64 next_xid, uint64 oldest_xid)
{
	char	  **v;

	v = admin_queryp("UPDATE mig.watcher SET sweep_at = clock_timestamp(), sweep_ms = 0, since_xid = oldest_xid, since_lsn = coalesce("
					 "  (SELECT max(m.lsn) FROM unnest(mark_xids, mark_lsns) m(xid, lsn) WHERE m.xid <= oldest_xid), (SELECT min(m.lsn) FROM unnest(mark_lsns) m(lsn))),"
					 " oldest_xid = $4, mark_xids = ($3 || mark_xids)[:$5], mark_lsns = ($2 || mark_lsns)[:$5] WHERE migration_id = $1"
					 " RETURNING coalesce(since_xid, 0), coalesce(since_lsn, 0)",
					 P_int8(w->migration_id), P_int8((int64) lsn), P_int8((int64) next_xid), P_int8((int64) oldest_xid), P_int4(MARKS))->v[0];
	w->since_xid = strtou64(v[0], NULL, 10);
	w->since_lsn = strtou64(v[1], NULL, 10);
	w->sweep_age = w->sweep_worked = 0;
}

/* ---- what it has found ------------------------------------------------------------------------------------------------------- */

/* mig_status shows what is known to diverge in all tables. */
void
drift_recount(int64 migration_id)
{
	admin_execp("UPDATE mig.migration m SET divergent = n.divergent, updated_at = clock_timestamp() FROM"
				" (SELECT coalesce(sum(mig.drift_count($1, t.relid)), 0)::bigint AS divergent FROM (SELECT DISTINCT relid FROM mig.pass WHERE migration_id = $1 AND kind IN ('watch', 'repair')) t) n"
				" WHERE m.id = $1 AND m.divergent IS DISTINCT FROM n.divergent", P_int8(migration_id));
}

DriftNews
drift_found(const Migration *mig, const Pass *pass, Oid leaf, const Findings *found)
{
	DriftNews	news = {0};
	SqlRows    *rows;

	if (found->samples == NULL)
		return news;
	rows = admin_queryp("WITH s AS (SELECT DISTINCT ON (s -> 'key', s ->> 'column') s FROM jsonb_array_elements($7) s WHERE s ->> 'kind' <> 'violates'),"
						" kept AS (INSERT INTO mig.drift_row AS d (migration_id, relid, leaf, relation, key, column_name, kind, old_value, new_value, expected, error, found_by, pass_id, epoch)"
						"  SELECT $1, $2, $3, $4, s -> 'key', s ->> 'column', s ->> 'kind', s ->> 'old', s ->> 'new', s ->> 'expected', s ->> 'error', $8, $5, $6 FROM s"
						"  ON CONFLICT (migration_id, leaf, column_name, jsonb_hash_extended(key, 0)) WHERE gone_at IS NULL DO UPDATE SET seen_at = clock_timestamp(), pass_id = excluded.pass_id,"
						"  kind = excluded.kind, old_value = excluded.old_value, new_value = excluded.new_value, expected = excluded.expected, error = excluded.error"
						"  RETURNING d.key, d.column_name, d.kind, xmax = 0 AS is_new),"
						" keys AS (SELECT DISTINCT key FROM kept WHERE is_new),"
						" short AS (SELECT key FROM (SELECT key, sum(octet_length(key::text) + 2) OVER (ORDER BY key) AS length FROM keys) k WHERE length <= $9)"
						" SELECT (SELECT count(*) FROM keys),"
						"  (SELECT jsonb_build_object('relation', $4, 'new', (SELECT count(*) FROM keys), 'found_by', $8, 'pass', $5,"
						"    'samples', jsonb_agg(jsonb_build_object('key', key, 'column', column_name, 'kind', kind) ORDER BY key)) FROM kept WHERE is_new)::text,"
						"  jsonb_build_object('migration', $10, 'relation', $4, 'new', (SELECT count(*) FROM keys), 'samples', (SELECT coalesce(jsonb_agg(key ORDER BY key), '[]') FROM short))::text",
						P_int8(mig->id), P_oid(pass->relid), P_oid(leaf), P_text(sql_relation_name(leaf)), P_int8(pass->id), P_int4(pass->epoch),
						P_jsonb(psprintf("[%s]", found->samples)), P_text(pass->step_no == SWEEP_STEP ? "sweep" : "pass"), P_int4(KEYS_LENGTH), P_text(mig->name));
	news.rows = pg_strtoint64(rows->v[0][0]);
	if (news.rows == 0)
		return news;
	drift_recount(mig->id);
	news.known = pg_strtoint64(admin_queryp("SELECT mig.drift_count($1, $2)", P_int8(mig->id), P_oid(pass->relid))->v[0][0]);
	news.detail = sql_textp("SELECT ($1 || jsonb_build_object('divergent', $2))::text", P_jsonb(rows->v[0][1]), P_int8(news.known));
	news.payload = sql_textp("SELECT ($1 || jsonb_build_object('divergent', $2))::text", P_jsonb(rows->v[0][2]), P_int8(news.known));
	return news;
}

/* What a pass did not see again is gone, if it has kept each row that it saw: it keeps only samples where there are many. */
static void
note_gone(const Pass *pass)
{
	SqlRows    *rows = admin_queryp("WITH gone AS (UPDATE mig.drift_row d SET gone_at = clock_timestamp() FROM mig.pass p WHERE p.id = $1 AND d.migration_id = p.migration_id AND d.relid = p.relid"
									"  AND d.gone_at IS NULL AND d.pass_id < p.id AND p.divergent + p.missing <="
									"  (SELECT count(DISTINCT (leaf, key)) FROM mig.drift_row WHERE migration_id = p.migration_id AND relid = p.relid AND pass_id >= p.id) RETURNING d.leaf, d.key)"
									" SELECT count(DISTINCT (leaf, key)) FROM gone", P_int8(pass->id));

	if (strcmp(rows->v[0][0], "0") != 0)
		event_write(pass->migration_id, "drift gone", sql_textp("SELECT jsonb_build_object('relation', $1, 'rows', $2)::text", P_text(pass->relation), P_int8(pg_strtoint64(rows->v[0][0]))));
}

/* Passes that say the same again and again are evidence, but need not all be kept. */
static void
thin_out(const Pass *pass)
{
	admin_execp("DELETE FROM mig.pass WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS n, row_number() OVER (PARTITION BY date_trunc('hour', started_at) ORDER BY id) AS nth"
				"  FROM mig.pass WHERE migration_id = $1 AND relid = $2 AND kind = 'watch' AND clean) c WHERE n > $3 AND nth > 1)",
				P_int8(pass->migration_id), P_oid(pass->relid), P_int4(CLEAN_PASSES));
}

void
drift_pass_ends(const Migration *mig, const Pass *pass)
{
	Pass		ended = *pass;
	Findings	behind = {0};

	behind.divergent = pg_strtoint64(admin_queryp("SELECT count(DISTINCT (d.leaf, d.key)) FROM mig.drift_row d JOIN mig.pass p ON p.id = $1 WHERE d.migration_id = p.migration_id"
												  " AND d.relid = p.relid AND d.gone_at IS NULL AND d.pass_id > p.id", P_int8(pass->id))->v[0][0]);
	if (behind.divergent)
	{
		ended.leaf = InvalidOid;
		ended.next_block = 0;
		pass_add(&ended, &behind, 0);
	}
	pass_close(pass->id);
	note_gone(pass);
	drift_recount(mig->id);
	thin_out(pass);
}

void
drift_row_repaired(int64 migration_id, Oid leaf, const char *samples)
{
	admin_execp("UPDATE mig.drift_row SET gone_at = clock_timestamp() WHERE migration_id = $1 AND leaf = $2 AND gone_at IS NULL"
				" AND key IN (SELECT s -> 'key' FROM jsonb_array_elements($3) s)", P_int8(migration_id), P_oid(leaf), P_jsonb(psprintf("[%s]", samples)));
}
