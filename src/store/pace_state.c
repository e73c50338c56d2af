/*
 * pace_state.c
 *		Rows of mig.pace.
 *
 * Owns that table. A row is locked by the driver that looks at the signals, for as long as its look takes; nobody waits for it.
 */
#include "base/compat.h"

#include "utils/builtins.h"
#include "utils/float.h"

#include "base/sql.h"
#include "store/pace_state.h"

/* A moment as microseconds since 1970, so that no DateStyle matters; NULL for none. */
#define MOMENT(column) "(extract(epoch FROM nullif(" column ", '-infinity')) * 1000000)::bigint"
#define EPOCH_OFFSET ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

#define PACE_COLUMNS \
	"SELECT duty, workers, coalesce(chunk_pages, 0), stopped_by, reason, hibernations, readings::text, waited::text, samples::text, beside_clients, " \
	MOMENT("looked_at") ", " MOMENT("stopped_since") ", " MOMENT("moved_at") ", " MOMENT("cool_until") ", " MOMENT("hibernate_until") " FROM mig.pace "

/* A column of MOMENT() as a timestamp; 0 for NULL. */
static TimestampTz
moment(const char *value)
{
	return value ? pg_strtoint64(value) - EPOCH_OFFSET : 0;
}

/* The first row of PACE_COLUMNS as a struct; NULL if there is none. */
static PaceState *
make_pace_state(int64 migration_id, const SqlRows *rows)
{
	PaceState  *p;
	char	  **v;

	if (rows->n == 0)
		return NULL;
	v = rows->v[0];
	p = palloc0(sizeof(PaceState));
	p->migration_id = migration_id;
	p->duty = float8in_internal(v[0], NULL, "double precision", v[0]);
	p->workers = pg_strtoint32(v[1]);
	p->chunk_pages = pg_strtoint32(v[2]);
	p->stopped_by = v[3];
	p->reason = v[4];
	p->hibernations = pg_strtoint32(v[5]);
	p->readings = v[6];
	p->waited = v[7];
	p->samples = v[8];
	p->beside_clients = v[9][0] == 't';
	p->looked_at = moment(v[10]);
	p->stopped_since = moment(v[11]);
	p->moved_at = moment(v[12]);
	p->cool_until = moment(v[13]);
	p->hibernate_until = moment(v[14]);
	return p;
}

PaceState *
pace_state_get(int64 migration_id)
{
	return make_pace_state(migration_id, admin_queryp(PACE_COLUMNS "WHERE migration_id = $1", P_int8(migration_id)));
}

PaceState *
pace_state_claim(int64 migration_id, int ms)
{
	if (admin_queryp("SELECT FROM mig.pace WHERE migration_id = $1", P_int8(migration_id))->n == 0)
		admin_execp("INSERT INTO mig.pace (migration_id) VALUES ($1) ON CONFLICT DO NOTHING", P_int8(migration_id));
	/* a moment that is still to come: the clock was set back */
	return make_pace_state(migration_id,
						   admin_queryp(PACE_COLUMNS "WHERE migration_id = $1 AND (looked_at <= clock_timestamp() - $2 * interval '1 ms'"
										" OR looked_at > clock_timestamp()) FOR UPDATE SKIP LOCKED", P_int8(migration_id), P_int4(ms)));
}

void
pace_state_put(const PaceState *p)
{
	admin_execp("UPDATE mig.pace SET looked_at = clock_timestamp(), duty = $2, workers = $3, chunk_pages = $4, stopped_by = $5, reason = $6,"
				" hibernations = $7, readings = $8, waited = $9, samples = $10, stopped_since = $11, moved_at = $12, cool_until = $13,"
				" hibernate_until = $14, beside_clients = $15 WHERE migration_id = $1",
				P_int8(p->migration_id), P_float8(p->duty), P_int4(p->workers), P_int4(p->chunk_pages), P_text(p->stopped_by), P_text(p->reason),
				P_int4(p->hibernations), P_jsonb(p->readings), P_jsonb(p->waited), P_jsonb(p->samples), P_timestamptz(p->stopped_since),
				P_timestamptz(p->moved_at), P_timestamptz(p->cool_until), P_timestamptz(p->hibernate_until),
				P_bool(p->beside_clients));
}

void
pace_state_wake(int64 migration_id)
{
	admin_execp("UPDATE mig.pace SET hibernations = 0, hibernate_until = NULL WHERE migration_id = $1", P_int8(migration_id));
}
