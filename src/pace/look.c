/*
 * look.c
 *		One look at the signals.
 *
 * What stops a migration, in this order: a closed window (nothing is read then), hibernation (likewise), a hard signal over its limit or one that could
 * not be read for PACE_STALE_MS. What slows it is the highest utilisation of the gradual ones (pace/duty.h). A signal over its critical limit
 * sends it to sleep, each time for twice as long; after mig_control.hibernations times it is paused. A reader that raises counts as one that could not read.
 */
#include "base/compat.h"

#include "access/xlog.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "pace/duty.h"
#include "pace/look.h"
#include "pace/window.h"
#include "pace/pace.h"
#include "pace/signal.h"
#include "store/options.h"
#include "store/task.h"

#define LONGEST_SLEEP	10		/* times the first */
#define MOST_BETWEEN	2.0		/* seconds between two looks that count as waited: later ones mean that nobody drove */
#define CAREFUL			0.9		/* least utilisation to begin with where there are clients: they would notice before we do */
#define SAMPLE_SECONDS	2		/* between two samples of the rows done */

/* A signal as it was read now or, if it could not be, last */
typedef struct Gauge
{
	bool		counts;			/* it has a limit, and goes for this step */
	Reading		reading;
	double		read_at;		/* seconds since 1970; of the first attempt, as long as none has succeeded */
	double		limit;
	double		critical;
	double		utilisation;
} Gauge;

/* One look */
typedef struct Look
{
	const Migration *mig;
	const Step *step;
	PaceState  *state;
	const char *stopped_by;		/* until now */
	TimestampTz now;
	double		epoch;			/* the same as seconds since 1970 */
	SignalContext context;
	Gauge	   *gauges;			/* nsignals */
	int			reading;		/* the signal that is being read */
	int			busiest;		/* the gradual signal with the highest utilisation; -1: none is known */
	int			calm;			/* the signal that needs calm to be read; -1: none */
	char	   *calm_for;		/* and what for */
	bool		careful;		/* there are clients whom we can disturb, and know how they do without us */
} Look;

/* Is a value beyond a limit? */
static bool
beyond(const Signal *s, double value, double limit)
{
	return limit >= 0 && (s->floor ? value < limit : value > limit);
}

/* What share of the limit is used up, above the value that it would have without us. */
static double
utilisation(const Signal *s, const Reading *r, double limit)
{
	double		used = s->floor ? limit : Max(r->value - r->base, 0.0);
	double		room = s->floor ? r->value : limit - r->base;

	if (limit < 0 || (limit == 0 && s->automatic))
		return 0;
	if (room <= 0)
		return used > 0 ? 2 : 0;
	return used / room;
}

/* Call a signal's reader. */
static void
call_reader(void *arg)
{
	Look	   *l = arg;

	Reading    *r = &l->gauges[l->reading].reading;

	*r = signals[l->reading].read(&l->context);
	if (r->calm)
	{
		l->calm = l->reading;
		l->calm_for = r->calm;
	}
	if (r->known && r->base > 0)
		l->careful = true;
}

/* Read one signal; what it said last stays when it cannot be read, but for who: that is why. */
static void
read_signal(Look *l, int n)
{
	Gauge	   *g = &l->gauges[n];
	Gauge		former = *g;
	ErrorData  *error;

	l->reading = n;
	if (txn_try(call_reader, l, &error) && g->reading.known)
		g->read_at = l->epoch;
	else
	{
		char	   *why = error ? error->message : g->reading.who;

		*g = former;
		g->reading.who = why;
		if (g->read_at == 0)
			g->read_at = l->epoch;
	}
	if (g->limit == 0 && g->reading.limit > 0)
		g->limit = g->reading.limit;
	else
		g->reading.base = 0;	/* it goes with the reader's own limit */
	if (g->reading.known)
		g->utilisation = utilisation(&signals[n], &g->reading, g->limit);
}

/* What the signals said at the last look. */
static void
recall_readings(Look *l)
{
	SqlRows    *rows = sql_queryp("SELECT key, value ->> 'value', value ->> 'who', value ->> 'read_at', value ->> 'limit', value ->> 'base' FROM jsonb_each($1)", P_jsonb(l->state->readings));

	for (uint64 r = 0; r < rows->n; r++)
	{
		char	  **v = rows->v[r];

		for (int n = 0; n < nsignals; n++)
		{
			Gauge	   *g = &l->gauges[n];

			if (strcmp(signals[n].name, v[0]) != 0)
				continue;
			g->reading.known = v[1] != NULL;
			g->reading.value = v[1] ? float8in_internal(v[1], NULL, "double precision", v[1]) : 0;
			g->reading.who = v[2];
			g->read_at = v[3] ? float8in_internal(v[3], NULL, "double precision", v[3]) : 0;
			g->reading.limit = v[4] ? float8in_internal(v[4], NULL, "double precision", v[4]) : 0;
			g->reading.base = v[5] ? float8in_internal(v[5], NULL, "double precision", v[5]) : 0;
		}
	}
}

/* Read all signals that count. */
static void
read_signals(Look *l)
{
	recall_readings(l);
	for (int n = 0; n < nsignals; n++)
	{
		Gauge	   *g = &l->gauges[n];

		g->limit = signal_limit(n, &l->context);
		g->critical = signal_critical(n, &l->context);
		g->counts = (g->limit >= 0 || g->critical >= 0) && !(signals[n].writes && l->step->kind == STEP_VALIDATE);
		if (!g->counts)
			continue;
		read_signal(l, n);
		if (signals[n].class == SIGNAL_GRADUAL && g->read_at == l->epoch &&
			(l->busiest < 0 || g->utilisation > l->gauges[l->busiest].utilisation))
			l->busiest = n;
	}
}

/* Append "name": number, or null when there is none. */
static void
append_number(StringInfo json, const char *name, bool known, double value)
{
	appendStringInfo(json, ", \"%s\": %s", name, known ? float8out_internal(value) : "null");
}

/* The readings as JSON text; without what only older settings asked for. */
static char *
readings_json(const Look *l)
{
	StringInfoData json;

	initStringInfo(&json);
	for (int n = 0; n < nsignals; n++)
	{
		const Gauge *g = &l->gauges[n];

		if (!g->counts)
			continue;
		appendStringInfo(&json, "%s\"%s\": {\"read_at\": %.3f", json.len ? ", " : "", signals[n].name, g->read_at);
		append_number(&json, "value", g->reading.known, g->reading.value);
		append_number(&json, "limit", g->limit >= 0, g->limit);
		if (g->reading.base > 0)
			append_number(&json, "base", true, g->reading.base);
		append_number(&json, "critical", g->critical >= 0, g->critical);
		append_number(&json, "utilisation", g->reading.known && g->limit >= 0, g->utilisation);
		if (g->reading.who)
		{
			appendStringInfoString(&json, ", \"who\": ");
			escape_json(&json, g->reading.who);
		}
		appendStringInfoChar(&json, '}');
	}
	return psprintf("{%s}", json.data);
}

/* A signal and a limit that it is beyond, in words. */
static char *
describe_breach(const Look *l, int n, const char *which, double limit)
{
	const Signal *s = &signals[n];
	const Gauge *g = &l->gauges[n];

	if (s->yes_or_no)
		return psprintf("%s: %s", s->name, g->reading.who);
	return psprintf("%s is %s%s, %s its %slimit of %s: %s", s->name, signal_value_text(n, g->reading.value),
					g->reading.who ? psprintf(" (%s)", g->reading.who) : "", s->floor ? "below" : "over", which, signal_value_text(n, limit), s->what);
}

/* Stop, and say by what. */
static void
stop(PaceState *p, const char *by, char *reason)
{
	p->stopped_by = pstrdup(by);
	p->reason = reason;
}

/* It had to sleep too often: somebody has to look. */
static void
give_up(const Look *l, const char *reason)
{
	char	   *text = psprintf("hibernated %d times, and still %s", l->state->hibernations, reason);
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"reason\": ");
	escape_json(&json, text);
	appendStringInfoChar(&json, '}');
	event_write(l->mig->id, "paused", json.data);
	migration_set_pause(l->mig->id, true, text, l->mig->error);
}

/* A signal is beyond its critical limit: go to sleep, longer each time. */
static void
hibernate(Look *l, int n)
{
	PaceState  *p = l->state;
	char	   *reason = describe_breach(l, n, "critical ", l->gauges[n].critical);
	int64		ms;
	StringInfoData json;

	stop(p, "hibernation", reason);
	if (p->hibernations >= mig_hibernations)
	{
		give_up(l, reason);
		return;
	}
	ms = Min((int64) mig_hibernate << Min(p->hibernations, 16), (int64) mig_hibernate * LONGEST_SLEEP);
	p->hibernations++;
	p->hibernate_until = TimestampTzPlusMilliseconds(l->now, ms);
	p->reason = psprintf("hibernation: %s", reason);
	initStringInfo(&json);
	appendStringInfo(&json, "{\"signal\": \"%s\", \"seconds\": %g, \"reason\": ", signals[n].name, ms / 1000.0);
	escape_json(&json, reason);
	appendStringInfoChar(&json, '}');
	event_write(l->mig->id, "hibernating", json.data);
}

/* Is a signal beyond its critical limit? Then it sleeps from now on. */
static bool
is_critical(Look *l)
{
	for (int n = 0; n < nsignals; n++)
	{
		Gauge	   *g = &l->gauges[n];

		if (!g->counts || !g->reading.known || g->read_at != l->epoch || !beyond(&signals[n], g->reading.value, g->critical))
			continue;
		hibernate(l, n);
		return true;
	}
	return false;
}

/* Does a hard signal stop it? */
static bool
is_stopped(Look *l)
{
	for (int n = 0; n < nsignals; n++)
	{
		const Signal *s = &signals[n];
		Gauge	   *g = &l->gauges[n];

		if (!g->counts || s->class != SIGNAL_HARD || g->limit < 0)
			continue;
		if ((l->epoch - g->read_at) * 1000 >= PACE_STALE_MS)
			stop(l->state, s->name, psprintf("%s could not be read for %.0f s: %s", s->name, l->epoch - g->read_at,
												g->reading.who ? g->reading.who : s->what));
		else if (g->reading.known && beyond(s, g->reading.value, g->limit))
			stop(l->state, s->name, describe_breach(l, n, "", g->limit));
		else
			continue;
		return true;
	}
	return false;
}

/* Move duty and workers, once a second. */
static void
move_duty(Look *l, int most)
{
	PaceState  *p = l->state;
	double		u = l->busiest < 0 ? 0 : l->gauges[l->busiest].utilisation;
	Duty		d = {p->duty, p->workers};
	bool		too_much = false;

	if (p->moved_at == 0)
		d = duty_start(most, l->careful ? Max(u, CAREFUL) : u);
	else if (p->moved_at <= l->now && !TimestampDifferenceExceeds(p->moved_at, l->now, DUTY_EVERY_MS))
		return;
	else
		d = duty_move(d, most, u, clock_to_come(l->now, p->cool_until, DUTY_COOL_MS), &too_much);
	if (too_much)
		p->cool_until = TimestampTzPlusMilliseconds(l->now, DUTY_COOL_MS);
	p->duty = d.duty;
	p->workers = d.workers;
	p->moved_at = l->now;
}

/* Count the time since the last look as waited for what stopped it then, or for what this driver waits for; or, as far as drivers rested, for what slows it. */
static void
count_waiting(const Look *l, const char *waits_for)
{
	PaceState  *p = l->state;
	double		seconds = p->looked_at ? Min((l->now - p->looked_at) / 1000000.0, MOST_BETWEEN) : 0;
	const char *what = l->stopped_by ? l->stopped_by : waits_for;

	if (what == NULL && p->duty < 1 && l->busiest >= 0)
	{
		what = signals[l->busiest].name;
		seconds *= 1 - p->duty;
	}
	if (what && seconds > 0)
		p->waited = sql_textp("SELECT ($1 || jsonb_build_object($2, round((coalesce(($1 ->> $2)::float8, 0) + $3)::numeric, 3)))::text",
							  P_jsonb(p->waited), P_text(what), P_float8(seconds));
}

/* Take a sample of how many rows are done, and of where WAL is, every other second; those of the last minute are kept, unless another step has begun with fewer. */
static void
take_sample(const Look *l)
{
	l->state->samples = sql_textp("SELECT CASE WHEN s.at BETWEEN $2 - $4 AND $2 AND s.rows <= $3 THEN $1"
								  " ELSE (SELECT jsonb_agg(e ORDER BY n) FROM jsonb_array_elements(CASE WHEN s.rows <= $3 THEN $1 ELSE '[]' END"
								  "   || jsonb_build_array(jsonb_build_array(round($2::numeric, 3), $3, $5))) WITH ORDINALITY e (e, n)"
								  "   WHERE (e ->> 0)::float8 BETWEEN $2 - 60 AND $2 + 1) END::text"
								  " FROM (SELECT ($1 -> -1 ->> 0)::float8 AS at, ($1 -> -1 ->> 1)::int8 AS rows) s",
								  P_jsonb(l->state->samples), P_float8(l->epoch), P_int8(task_rows_done(l->mig->id, l->step->kind)),
								  P_float8(SAMPLE_SECONDS), P_int8((int64) GetFlushRecPtr(NULL)));
}

/* Decide what goes on: by what the signals say now. */
static void
decide(Look *l, int most)
{
	PaceState  *p = l->state;
	/* whoever completes a migration does so by hand, and now */
	char	   *closed = l->step->phase == STEP_CONTRACT ? NULL : window_reason(l->mig, l->now);

	if (closed)
	{
		stop(p, "window", closed);
		return;
	}
	if (clock_to_come(l->now, p->hibernate_until, (int64) mig_hibernate * LONGEST_SLEEP))
	{
		stop(p, "hibernation", l->stopped_by && strcmp(l->stopped_by, "hibernation") == 0 ? p->reason : pstrdup("hibernation"));
		return;
	}
	read_signals(l);
	p->beside_clients = clients_are_there(&l->context);
	p->readings = readings_json(l);
	p->reason = NULL;
	if (is_critical(l))
		return;
	/* it went well for as long as the longest sleep: the next is a short one again */
	if (p->hibernations > 0 && TimestampDifferenceExceeds(p->hibernate_until, l->now, mig_hibernate * LONGEST_SLEEP))
		p->hibernations = 0;
	if (is_stopped(l))
		return;
	if (l->calm < 0)
	{
		move_duty(l, most);
		return;
	}
	stop(p, signals[l->calm].name, psprintf("%s: %s", signals[l->calm].name, l->calm_for));
	p->moved_at = 0;			/* begin anew */
}

void
look(const Migration *mig, const Step *step, int most, const char *waits_for, PaceState *state)
{
	Look		l = {.mig = mig,.step = step,.state = state,.stopped_by = state->stopped_by,.now = GetCurrentTimestamp(),.busiest = -1,.calm = -1};

	l.epoch = (l.now + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000000.0;
	l.context.mig = mig;
	l.context.relid = step->relid;
	l.context.now = l.now;
	l.context.effort = state->stopped_by || state->moved_at == 0 ? 0 : state->duty * state->workers;
	l.context.throttle = option_text(mig->in_effect, "throttle");
	l.gauges = palloc0(sizeof(Gauge) * nsignals);
	state->stopped_by = NULL;
	decide(&l, most);
	count_waiting(&l, waits_for);
	if (state->stopped_by == NULL)
		state->stopped_since = 0;
	else if (l.stopped_by == NULL || state->stopped_since == 0)
		state->stopped_since = l.now;
	take_sample(&l);
}
