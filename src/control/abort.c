/*
 * abort.c
 *		Limits at which a migration pauses or rolls back by itself: what they may say, and acting by them.
 *
 * What acts notes that in the row of mig.lookout, which it holds locked, in the transaction of the act itself: so each acts exactly once. It takes the
 * advisory lock MIGRATION, exclusively, as a call of mig_pause or mig_rollback does. What cannot be done now but should pass (a lock) is tried at the
 * next look; a rollback that is refused, as one of a version whose writes the old one does not hold, becomes a pause.
 */
#include "base/compat.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/lock.h"
#include "base/settings.h"
#include "base/sql.h"
#include "base/txn.h"
#include "compile/json_node.h"
#include "control/abort.h"
#include "control/finish.h"
#include "control/lifecycle.h"
#include "pace/latency.h"
#include "store/options.h"

#define ROOT			"options.abort_if"
#define LEAST_WRITES	50		/* in a minute, for an error rate */
#define LEAST_STATEMENTS 100	/* for a baseline, and half of them for what is compared with it */
#define LEAST_SLOWER_MS	0.5		/* less is nobody's concern */
#define SLOW_FOR_MS		10000	/* at every look */
#define LOCK_TIMEOUT	"2s"
#define YEAR_SECONDS	(366.0 * 86400)

/* What a look has found: the limit, and its figures */
typedef struct Finding
{
	double		value;
	char	   *text;			/* in words, as far as "…, over abort_if.divergence 0" */
} Finding;

/* A limit as it was given */
typedef struct Threshold
{
	const struct Kind *kind;
	double		limit;
	const char *given;			/* as it was given */
	bool		rollback;
	char	   *spec;			/* JSON text of all that, by which it is known again */
} Threshold;

typedef struct Kind
{
	const char *name;
	double		least;
	double		most;
	bool		whole;
	bool		interval;
	bool		measured;		/* in executor hooks only */
	bool		(*passed) (const Migration *mig, Lookout *lookout, double limit, Finding *finding);
} Kind;

static bool divergence_passed(const Migration *mig, Lookout *lookout, double limit, Finding *finding);
static bool error_rate_passed(const Migration *mig, Lookout *lookout, double limit, Finding *finding);
static bool latency_passed(const Migration *mig, Lookout *lookout, double limit, Finding *finding);
static bool deadline_passed(const Migration *mig, Lookout *lookout, double limit, Finding *finding);

static const Kind kinds[] = {
	{"divergence", 0, 1e15, true, false, false, divergence_passed},
	{"error_rate", 0, 1, false, false, true, error_rate_passed},
	{"latency", 1, 1e6, false, false, true, latency_passed},
	{"deadline", 0.001, 10 * YEAR_SECONDS, false, true, false, deadline_passed},
};

/* ---- what they may say ---- */

/* Raise 22023 about a node. */
static void
refuse(const JsonNode *node, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must be %s", json_node_path(node), what)));
}

/* The limit at a node, checked. */
static double
read_limit(const JsonNode *node, const Kind *kind)
{
	double		value = 0;

	if (kind->interval)
	{
		if (node->kind == JSON_KIND_STRING)
			value = interval_seconds(node->text);
		if (!(value >= kind->least && value <= kind->most))
			refuse(node, "an interval between 1 ms and 10 years, such as \"2 hours\"");
		return value;
	}
	if (node->kind != JSON_KIND_NUMBER)
		refuse(node, "a number");
	value = float8in_internal(unconstify(char *, node->text), NULL, "double precision", node->text);
	if (!(value >= kind->least && value <= kind->most))
		refuse(node, psprintf("between %g and %g, not %s", kind->least, kind->most, node->text));
	if (kind->whole && value != floor(value))
		refuse(node, psprintf("a whole number, not %s", node->text));
	return value;
}

/* Does the action at a node say rollback? NULL: none is given. */
static bool
read_action(const JsonNode *node, bool otherwise)
{
	if (node == NULL || node->kind == JSON_KIND_NULL)
		return otherwise;
	if (node->kind != JSON_KIND_STRING || (strcmp(node->text, "pause") != 0 && strcmp(node->text, "rollback") != 0))
		refuse(node, "\"pause\" or \"rollback\"");
	return node->text[0] == 'r';
}

/* Raise 22023 for members that an object does not have. */
static void
check_keys(const JsonNode *object, bool inner)
{
	ListCell   *lc;

	foreach(lc, object->children)
	{
		const JsonNode *member = lfirst(lc);
		bool		known = strcmp(member->key, "action") == 0 || (inner && strcmp(member->key, "limit") == 0);

		for (int i = 0; i < lengthof(kinds) && !inner; i++)
			known = known || strcmp(member->key, kinds[i].name) == 0;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown key %s", json_node_path(member)),
					 inner ? errhint("A limit is a value, or an object with limit and action.") :
					 errhint("Keys are: divergence, error_rate, latency, deadline and action.")));
	}
}

/* The limit of a kind at a node: a value, or an object with an action of its own. */
static Threshold *
read_threshold(const JsonNode *node, const Kind *kind, bool rollback)
{
	Threshold  *t = palloc0(sizeof(Threshold));
	const JsonNode *limit = node;

	if (node->kind == JSON_KIND_OBJECT)
	{
		check_keys(node, true);
		limit = json_node_member(node, "limit");
		if (limit == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s has no limit", json_node_path(node))));
		rollback = read_action(json_node_member(node, "action"), rollback);
	}
	t->kind = kind;
	t->limit = read_limit(limit, kind);
	t->given = limit->text;
	t->rollback = rollback;
	t->spec = sql_textp("SELECT jsonb_build_object('limit', $1, 'action', $2)::text", P_text(t->given), P_text(rollback ? "rollback" : "pause"));
	return t;
}

/* The limits of an abort_if, as Threshold *; checked. */
static List *
read_thresholds(const char *abort_if)
{
	JsonNode   *root = abort_if ? json_node_parse(abort_if, ROOT, ROOT) : NULL;
	List	   *list = NIL;
	bool		rollback;

	if (root == NULL || root->kind == JSON_KIND_NULL)
		return NIL;
	if (root->kind != JSON_KIND_OBJECT)
		refuse(root, "an object");
	check_keys(root, false);
	rollback = read_action(json_node_member(root, "action"), false);
	for (int i = 0; i < lengthof(kinds); i++)
	{
		const JsonNode *node = json_node_member(root, kinds[i].name);

		if (node && node->kind != JSON_KIND_NULL)
			list = lappend(list, read_threshold(node, &kinds[i], rollback));
	}
	return list;
}

void
abort_check_options(const char *abort_if)
{
	ListCell   *lc;

	foreach(lc, read_thresholds(abort_if))
	{
		const Kind *kind = ((Threshold *) lfirst(lc))->kind;

		if (kind->measured && !latency_available())
			ereport(WARNING,
					(errmsg("%s.%s never acts: clients' statements are not measured in this server", ROOT, kind->name),
					 errhint("Set shared_preload_libraries = 'mig_control'.")));
	}
}

/* ---- whether they are passed ---- */

/* More rows differ than are allowed. */
static bool
divergence_passed(const Migration *mig, Lookout *lookout, double limit, Finding *finding)
{
	int64		n = lookout_divergent(mig->id);

	finding->value = n;
	finding->text = psprintf(INT64_FORMAT " %s between the versions", n, n == 1 ? "row differs" : "rows differ");
	return n > limit;
}

/* Too many of the new version's writes of the last minute have failed. Nobody is to write through it before it is ready. */
static bool
error_rate_passed(const Migration *mig, Lookout *lookout, double limit, Finding *finding)
{
	int64		writes;
	int64		errors;

	if (mig->phase != PHASE_READY && mig->phase != PHASE_COMPLETING)
		return false;
	lookout_error_rate(lookout, &writes, &errors);
	finding->value = writes > 0 ? (double) errors / writes : 0;
	finding->text = psprintf(INT64_FORMAT " of " INT64_FORMAT " writes of the new version have failed within a minute", errors, writes);
	return writes >= LEAST_WRITES && finding->value > limit;
}

/* Clients have been much slower than before rows were filled, for a while without a break. */
static bool
latency_passed(const Migration *mig, Lookout *lookout, double limit, Finding *finding)
{
	TimestampTz now = GetCurrentTimestamp();
	Latency		lately;
	Latency		resting;
	bool		calm;
	double		most = Max(lookout->baseline_ms * limit, lookout->baseline_ms + LEAST_SLOWER_MS);

	if (!latency_read(mig->id, &lately, &resting, &calm))
		return false;
	if (lookout->baseline_ms == 0)
	{
		if (mig->phase < PHASE_READY && resting.n >= LEAST_STATEMENTS)
			lookout->baseline_ms = resting.p95_ms;
		return false;
	}
	if (lately.n < LEAST_STATEMENTS / 2 || lately.p95_ms <= most)
	{
		lookout->slow_since = 0;
		return false;
	}
	if (lookout->slow_since == 0 || lookout->slow_since > now)
		lookout->slow_since = now;
	finding->value = lately.p95_ms / lookout->baseline_ms;
	finding->text = psprintf("19 of 20 statements of clients take up to %.1f ms, %.1f times the %.*f ms before rows were filled", lately.p95_ms, finding->value,
							 lookout->baseline_ms < 1 ? 3 : 1, lookout->baseline_ms);
	return TimestampDifferenceExceeds(lookout->slow_since, now, SLOW_FOR_MS);
}

/* Rows are still being filled or checked. */
static bool
deadline_passed(const Migration *mig, Lookout *lookout, double limit, Finding *finding)
{
	if (mig->phase != PHASE_BACKFILLING && mig->phase != PHASE_VALIDATING)
		return false;
	finding->value = lookout_backfill_seconds(mig->id);
	finding->text = psprintf("the migration is %s %.1f s after its backfill began", phase_name(mig->phase), finding->value);
	return finding->value > limit;
}

/* ---- acting ---- */

/* Has this limit, as it is given now, acted already? */
static bool
has_acted(const Lookout *lookout, const Threshold *t)
{
	return sql_textp("SELECT 1 WHERE $1 -> $2 = $3", P_jsonb(lookout->acted), P_text(t->kind->name), P_jsonb(t->spec)) != NULL;
}

/* The limits that may act. */
static List *
armed(const Migration *mig, const Lookout *lookout)
{
	List	   *list = NIL;
	ListCell   *lc;

	foreach(lc, read_thresholds(option_json(mig->options, "abort_if")))
		if (lookout == NULL || !has_acted(lookout, lfirst(lc)))
			list = lappend(list, lfirst(lc));
	return list;
}

/* An act */
typedef struct Act
{
	int64		migration_id;
	const Threshold *threshold;
	const Finding *finding;
	const Lookout *lookout;
	char	   *reason;
	bool		rollback;		/* may turn out not to be possible */
	const char *instead;		/* why it pauses instead of rolling back; NULL */
} Act;

/* The event's detail. */
static char *
act_detail(const Act *act)
{
	return sql_textp("SELECT (jsonb_build_object('by', $1, 'value', round($2::numeric, 3), 'limit', $3, 'action', $4, 'reason', $5)"
					 " || jsonb_strip_nulls(jsonb_build_object('baseline_ms', round(nullif($6, 0)::numeric, 3), 'instead_of_rollback', $7)))::text",
					 P_text(act->threshold->kind->name), P_float8(act->finding->value), P_text(act->threshold->given), P_text(act->rollback ? "rollback" : "pause"),
					 P_text(act->reason), P_float8(strcmp(act->threshold->kind->name, "latency") == 0 ? act->lookout->baseline_ms : 0), P_text(act->instead));
}

/* Take the lock on a migration, of the id at arg, within a time: somebody's open transaction may have it, and there are other migrations to drive. */
static void
take_lock(void *arg)
{
	int			level = NewGUCNestLevel();

	setting_set("lock_timeout", LOCK_TIMEOUT);
	(void) advisory_lock(MIG_LOCK_MIGRATION, *(int64 *) arg, ExclusiveLock, false, false);
	AtEOXact_GUC(false, level);
}

/* Pause, or roll back. The lock is held. */
static void
perform(void *arg)
{
	Act		   *act = arg;
	Migration  *mig = migration_by_id(act->migration_id);

	if (mig == NULL || lifecycle_ended(mig->phase))
		return;
	event_write(mig->id, "aborted", act_detail(act));
	(void) admin_queryp("SELECT pg_notify('mig_control', jsonb_build_object('migration', $1, 'aborted', $2, 'action', $3, 'reason', left($4, 1000))::text)",
						P_text(mig->name), P_text(act->threshold->kind->name), P_text(act->rollback ? "rollback" : "pause"), P_text(act->reason));
	if (!act->rollback)
	{
		migration_set_pause(mig->id, true, "aborted", act->reason);
		return;
	}
	finish_prove(mig);
	finish_rollback(mig, sql_textp("SELECT jsonb_build_object('reason', $1)::text", P_text(act->reason)));
	migration_set_pause(mig->id, false, NULL, act->reason);
}

/* Act by a limit; false when that has to wait. */
static bool
act_by(const Migration *mig, const Lookout *lookout, const Threshold *t, const Finding *finding)
{
	Act			act = {.migration_id = mig->id,.threshold = t,.finding = finding,.lookout = lookout,.rollback = t->rollback};
	ErrorData  *error;

	if (!txn_try(take_lock, &act.migration_id, &error))
		return false;
	act.reason = psprintf("%s; abort_if.%s is %s", finding->text, t->kind->name, t->given);
	if (txn_try(perform, &act, &error))
		return true;
	if (txn_is_retryable(error->sqlerrcode))
	{
		migration_set_waiting(mig->id, psprintf("%s; to be %s: %s", act.reason, t->rollback ? "rolled back" : "paused", error->message));
		return false;
	}
	if (!act.rollback)
		ReThrowError(error);
	act.rollback = false;
	act.instead = error->message;
	act.reason = psprintf("%s; it could not be rolled back: %s", act.reason, error->message);
	return txn_try(perform, &act, &error);
}

/* Note that a limit has acted, as it was given. */
static void
note_act(Lookout *lookout, const Threshold *t)
{
	lookout->acted = sql_textp("SELECT ($1 || jsonb_build_object($2, $3))::text", P_jsonb(lookout->acted), P_text(t->kind->name), P_jsonb(t->spec));
}

bool
abort_is_armed(const Migration *mig, const Lookout *lookout)
{
	return option_json(mig->options, "abort_if") != NULL && armed(mig, lookout) != NIL;
}

void
abort_look(const Migration *mig, Lookout *lookout)
{
	ListCell   *lc;

	foreach(lc, armed(mig, lookout))
	{
		const Threshold *t = lfirst(lc);
		Finding		finding = {0};

		if (!t->kind->passed(mig, lookout, t->limit, &finding))
			continue;
		if (act_by(mig, lookout, t, &finding))
			note_act(lookout, t);
		return;					/* the others see what has become of it */
	}
}
