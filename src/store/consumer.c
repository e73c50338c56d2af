/*
 * consumer.c
 *		Rows of mig.consumer and mig.lookout. Owns those tables.
 *
 * A row of mig.lookout is locked by the driver that looks, until it commits; nobody waits for it, and only its holder writes rows of mig.consumer.
 */
#include "base/compat.h"

#include "utils/builtins.h"
#include "utils/float.h"

#include "base/sql.h"
#include "store/consumer.h"

/* A moment as microseconds since 1970, so that no DateStyle matters; NULL for none. */
#define MOMENT(column) "(extract(epoch FROM nullif(" column ", '-infinity')) * 1000000)::bigint"
#define EPOCH_OFFSET ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

#define LOOKOUT_COLUMNS \
	"SELECT coalesce(baseline_ms, 0), samples::text, acted::text, " MOMENT("looked_at") ", " MOMENT("since") ", " MOMENT("slow_since") " FROM mig.lookout "

/* A column of MOMENT() as a timestamp; 0 for NULL. */
static TimestampTz
moment(const char *value)
{
	return value ? pg_strtoint64(value) - EPOCH_OFFSET : 0;
}

void
consumer_put(const Consumer *c)
{
	admin_execp("INSERT INTO mig.consumer AS c (migration_id, version, role_name, application, last_read, last_write, reads, writes, errors)"
				" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (migration_id, version, role_name, application) DO UPDATE SET"
				" last_read = greatest(c.last_read, excluded.last_read), last_write = greatest(c.last_write, excluded.last_write),"
				" reads = c.reads + excluded.reads, writes = c.writes + excluded.writes, errors = c.errors + excluded.errors",
				P_int8(c->migration_id), P_text(c->old ? "old" : "new"), P_text(c->role), P_text(c->application), P_timestamptz(c->last_read),
				P_timestamptz(c->last_write), P_int8(c->reads), P_int8(c->writes), P_int8(c->errors));
}

int
consumers_seen(int64 migration_id, TimestampTz since, const char *pids, char **who)
{
	SqlRows    *rows = admin_queryp("SELECT count(*), string_agg(concat_ws(' ', r.rolname, nullif(a.application_name, ''), format('(pid %s)', a.pid)), ', ' ORDER BY a.pid)"
									" FROM pg_stat_get_activity(NULL) a JOIN pg_roles r ON r.oid = a.usesysid"
									" WHERE a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'"
									" AND a.datid = (SELECT oid FROM pg_database WHERE datname = current_database())"
									" AND (a.pid::text = ANY (string_to_array($3, ' ')) OR EXISTS (SELECT FROM mig.consumer c WHERE c.migration_id = $1 AND c.version = 'old'"
									"  AND c.role_name = r.rolname AND c.application = a.application_name AND greatest(c.last_read, c.last_write) >= $2))",
									P_int8(migration_id), P_timestamptz(since), P_text(pids));

	*who = rows->v[0][1];
	return pg_strtoint32(rows->v[0][0]);
}

TimestampTz
consumers_stored_old_write(int64 migration_id)
{
	return moment(admin_queryp("SELECT " MOMENT("max(last_write)") " FROM mig.consumer WHERE migration_id = $1 AND version = 'old'", P_int8(migration_id))->v[0][0]);
}

/* The first row of LOOKOUT_COLUMNS as a struct; NULL if there is none. */
static Lookout *
make_lookout(int64 migration_id, const SqlRows *rows)
{
	Lookout    *l;
	char	  **v;

	if (rows->n == 0)
		return NULL;
	v = rows->v[0];
	l = palloc0(sizeof(Lookout));
	l->migration_id = migration_id;
	l->baseline_ms = float8in_internal(v[0], NULL, "double precision", v[0]);
	l->samples = v[1];
	l->acted = v[2];
	l->looked_at = moment(v[3]);
	l->since = moment(v[4]);
	l->slow_since = moment(v[5]);
	return l;
}

Lookout *
lookout_get(int64 migration_id)
{
	return make_lookout(migration_id, admin_queryp(LOOKOUT_COLUMNS "WHERE migration_id = $1", P_int8(migration_id)));
}

Lookout *
lookout_claim(int64 migration_id, int ms)
{
	if (admin_queryp("SELECT FROM mig.lookout WHERE migration_id = $1", P_int8(migration_id))->n == 0)
		admin_execp("INSERT INTO mig.lookout (migration_id) SELECT id FROM mig.migration WHERE id = $1 ON CONFLICT DO NOTHING", P_int8(migration_id));
	/* a moment that is still to come: the clock was set back */
	return make_lookout(migration_id, admin_queryp(LOOKOUT_COLUMNS "WHERE migration_id = $1 AND (looked_at <= clock_timestamp() - $2 * interval '1 ms'"
												   " OR looked_at > clock_timestamp()) FOR UPDATE SKIP LOCKED", P_int8(migration_id), P_int4(ms)));
}

void
lookout_put(const Lookout *l)
{
	admin_execp("UPDATE mig.lookout SET looked_at = clock_timestamp(), since = $2, baseline_ms = nullif($3, 0), slow_since = $4, samples = $5, acted = $6 WHERE migration_id = $1",
				P_int8(l->migration_id), P_timestamptz(l->since), P_float8(l->baseline_ms), P_timestamptz(l->slow_since), P_jsonb(l->samples), P_jsonb(l->acted));
}

void
lookout_sample(Lookout *l)
{
	l->samples = admin_queryp("SELECT (SELECT jsonb_agg(e ORDER BY n) FROM jsonb_array_elements($2 || jsonb_build_array(jsonb_build_array(round(s.now, 3), s.writes, s.errors)))"
							  "  WITH ORDINALITY e (e, n) WHERE (e ->> 0)::numeric BETWEEN s.now - 60 AND s.now + 1)::text"
							  " FROM (SELECT extract(epoch FROM clock_timestamp()) AS now, coalesce(sum(writes), 0) AS writes, coalesce(sum(errors), 0) AS errors"
							  "  FROM mig.consumer WHERE migration_id = $1 AND version = 'new') s", P_int8(l->migration_id), P_jsonb(l->samples))->v[0][0];
}

void
lookout_error_rate(const Lookout *l, int64 *writes, int64 *errors)
{
	char	  **v = admin_queryp("SELECT coalesce(($1 -> -1 ->> 1)::int8 - ($1 -> 0 ->> 1)::int8, 0), coalesce(($1 -> -1 ->> 2)::int8 - ($1 -> 0 ->> 2)::int8, 0)",
								 P_jsonb(l->samples))->v[0];

	*writes = pg_strtoint64(v[0]);
	*errors = pg_strtoint64(v[1]);
}

int64
lookout_divergent(int64 migration_id)
{
	/* a pass under way may know more than the last one that has ended */
	return pg_strtoint64(admin_queryp("SELECT greatest(coalesce(m.divergent, 0), (SELECT coalesce(sum(p.divergent), 0) FROM (SELECT DISTINCT ON (relid) divergent FROM mig.pass"
									  "  WHERE migration_id = m.id AND epoch = m.epoch ORDER BY relid, id DESC) p))::bigint FROM mig.migration m WHERE m.id = $1",
									  P_int8(migration_id))->v[0][0]);
}

double
lookout_backfill_seconds(int64 migration_id)
{
	char	   *seconds = admin_queryp("SELECT coalesce(extract(epoch FROM clock_timestamp() - min(at)), -1) FROM mig.event"
									   " WHERE migration_id = $1 AND kind = 'phase' AND detail ->> 'to' = 'backfilling'", P_int8(migration_id))->v[0][0];

	return float8in_internal(seconds, NULL, "double precision", seconds);
}
