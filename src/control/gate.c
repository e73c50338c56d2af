/*
 * gate.c
 *		Asks the gates of a migration.
 *
 * A gate is a function that tells what it found and whether that will do. Whatever it needs it reads at that moment: tables of the store, the catalog, the user's query (base/ask.c). What was found
 * is stored in mig.gate, where people look; nothing decides by that.
 */
#include "base/compat.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/ask.h"
#include "base/sql.h"
#include "base/txn.h"
#include "control/gate.h"
#include "pace/consumers.h"
#include "store/options.h"
#include "store/pass.h"
#include "store/proof.h"
#include "store/task.h"
#include "verify/business.h"
#include "verify/seal.h"

#define SQL_TIMEOUT_MS	5000	/* of a gate's query, unless it says otherwise */
#define CONSUMER_IDLE_S	600		/* a session that has not used it for so long has left it */
#define LONGEST_SQL_MS	(10 * 60 * 1000)

/* A gate that is being asked */
typedef struct Asking
{
	const Migration *mig;
	GateLook	look;
	const char *spec;			/* its JSON object in options.gates, "{}" if there is none */
	bool		named;			/* is there one? */
	Gate	   *gate;			/* closed, until it says otherwise */
} Asking;

/* Tell what was found. */
static void
found(Asking *a, bool open, char *value, char *limit)
{
	a->gate->open = open;
	a->gate->value = value;
	a->gate->limit = limit;
}

/* "3 steps": a number of things in words */
static char *
count_text(int64 n, const char *thing)
{
	return psprintf(INT64_FORMAT " %s%s", n, thing, n == 1 ? "" : "s");
}

/* "2 hours 3 min": seconds in words */
static char *
seconds_text(double seconds)
{
	return sql_textp("SELECT justify_interval(make_interval(secs => round($1::numeric)::float8))::text", P_float8(Max(seconds, 0)));
}

/* backfill: nothing is left to fill. */
static void
ask_backfill(Asking *a)
{
	int64		left = 0;
	ListCell   *lc;

	foreach(lc, steps_of(a->mig->id))
	{
		Step	   *s = lfirst(lc);

		left += s->phase == STEP_FILL && !s->done;
	}
	found(a, left == 0, left ? psprintf("%s left", count_text(left, "step")) : "complete", "complete");
}

/* aside: no range was put aside. */
static void
ask_aside(Asking *a)
{
	int64		n = 0;
	char	   *error = NULL;
	ListCell   *lc;

	foreach(lc, steps_of_phase(a->mig->id, STEP_FILL))
		if (((Step *) lfirst(lc))->kind == STEP_BACKFILL)
			n += task_ranges_aside(a->mig->id, ((Step *) lfirst(lc))->no, &error);
	found(a, n == 0, count_text(n, "range"), "0 ranges");
}

/* What is wrong with a table; NULL when a pass of this epoch is clean, and none that ended since it began has found anything. */
static char *
pass_fault(const Migration *mig, const Step *check)
{
	Pass	   *clean = pass_last_clean(mig, check->relid);
	Pass	   *p = pass_last_finding(mig->id, check->relid);

	if (p && p->found.divergent > 0)
		return psprintf("%s of %s differ%s", count_text(p->found.divergent, "row"), check->relation, p->found.divergent == 1 ? "s" : "");
	if (p && p->found.missing > 0)
		return psprintf("%s of %s %s no new value", count_text(p->found.missing, "row"), check->relation, p->found.missing == 1 ? "has" : "have");
	if (p)
		return psprintf("%s of %s %s repaired, and not checked since", count_text(p->found.repaired, "row"), check->relation, p->found.repaired == 1 ? "was" : "were");
	if (clean == NULL)
		return psprintf(pass_last(mig->id, check->relid) ? "writes may have got past the triggers of %s since it was checked" : "%s was not checked yet", check->relation);
	return NULL;
}

/* verified: each table has a clean pass, and nothing was found or has got past the triggers since. */
static void
ask_verified(Asking *a)
{
	char	   *fault = NULL;
	int			tables = 0;
	ListCell   *lc;

	(void) seal_check(a->mig);
	foreach(lc, steps_of_phase(a->mig->id, STEP_CHECK))
	{
		Step	   *s = lfirst(lc);

		if (s->kind != STEP_VALIDATE)
			continue;
		tables++;
		if (fault == NULL)
			fault = seal_lapse(s->relid);
		if (fault == NULL)
			fault = pass_fault(a->mig, s);
	}
	found(a, fault == NULL, fault ? fault : tables ? psprintf("%s clean", count_text(tables, "table")) : "no table has two versions of a value", "last pass clean, in this epoch");
}

/* constraints: no row breaks a rule that is to be one. Those of other tables are proven behind the fence. */
static void
ask_constraints(Asking *a)
{
	int64		violating = 0;
	ListCell   *lc;

	foreach(lc, steps_of_phase(a->mig->id, STEP_CHECK))
	{
		Step	   *s = lfirst(lc);
		Pass	   *p = s->kind == STEP_VALIDATE ? pass_last_clean(a->mig, s->relid) : NULL;

		if (p == NULL)
			p = pass_last(a->mig->id, s->relid);
		violating += p ? p->found.violating : 0;
	}
	found(a, violating == 0, psprintf("%s in violation", count_text(violating, "row")), "0 rows");
}

/* Run all business checks. */
static void
run_checks(const Migration *mig)
{
	ListCell   *lc;
	char	   *failure;

	foreach(lc, business_checks(mig->id, NULL))
		(void) business_check_run(mig, lfirst(lc), &failure);
}

/* checks: all business checks are green. */
static void
ask_checks(Asking *a)
{
	int			n = 0;
	int			green = 0;
	const char *fault = "";
	ListCell   *lc;

	if (a->look == GATES_ALL_OVER)
		run_checks(a->mig);
	foreach(lc, check_states(a->mig->id))
	{
		CheckState *s = lfirst(lc);

		n++;
		green += s->green;
		if (!s->green && fault[0] == '\0')
			fault = psprintf("; %s %s", s->name, !s->run ? "was not run yet" : s->failure ? s->failure : "is red");
	}
	found(a, green == n, n ? psprintf("%d of %d green%s", green, n, fault) : NULL, n ? "all green" : NULL);
}

/* min_age: it has been ready for so long. */
static void
ask_min_age(Asking *a)
{
	double		limit = option_seconds(option_text(a->spec, "limit"), "gates.min_age.limit");
	double		age = migration_ready_seconds(a->mig->id);

	if (limit < 0)
		found(a, true, NULL, NULL);
	else
		found(a, age >= limit, age < 0 ? "not ready" : seconds_text(age), seconds_text(limit));
}

/* cooling_period: the new version has taken all writes for so long. */
static void
ask_cooling(Asking *a)
{
	double		limit = option_seconds(option_text(a->mig->in_effect, "cooling_period"), "cooling_period");
	double		age = migration_ready_seconds(a->mig->id);
	TimestampTz written = consumers_last_old_write(a->mig);
	double		since = (GetCurrentTimestamp() - written) / 1000000.0;

	if (limit < 0)
		found(a, true, NULL, NULL);
	else if (written == 0)
		found(a, false, "it is not known when the old version was last written", seconds_text(limit));
	else
		found(a, Min(age, since) >= limit, age < 0 ? "not ready" : seconds_text(Min(age, since)), seconds_text(limit));
}

/* consumers: no session that is still there has used the old version of late. Asked for by being named. */
static void
ask_consumers(Asking *a)
{
	char	   *idle = option_text(a->spec, "idle");
	double		seconds = idle ? option_seconds(idle, "gates.consumers.idle") : CONSUMER_IDLE_S;
	char	   *who = NULL;
	int			n;

	if (!a->named)
	{
		found(a, true, NULL, NULL);
		return;
	}
	n = consumers_using_old(a->mig, (int64) (seconds * 1000), &who);
	found(a, n == 0, n < 0 ? who : n == 0 ? "nobody" : psprintf("%s: %s", count_text(n, "session"), who), psprintf("nobody within %s", seconds_text(seconds)));
}

/* How many approvals there have to be. */
static int
approvals_wanted(const Asking *a)
{
	char	   *count = option_text(a->spec, "count");

	if (option_json(a->mig->in_effect, "approvers") == NULL)
		return 0;
	return count ? atoi(count) : 1;
}

/* approval: so many roles have approved. */
static void
ask_approval(Asking *a)
{
	int			wanted = approvals_wanted(a);
	int			n = approvals_count(a->mig);

	found(a, n >= wanted, wanted + n ? count_text(n, "approval") : NULL, wanted ? psprintf("%d by approvers", wanted) : NULL);
}

typedef void (*AskGate) (Asking *a);

/* The built-in gates; all guard `completing`, those before it are in the order of the steps */
static const struct
{
	const char *name;
	AskGate		ask;
	const char *keys;			/* of its spec, beside "overridable" */
}			builtin_gates[] = {
	{"backfill", ask_backfill, ""},
	{"aside", ask_aside, ""},
	{"verified", ask_verified, ""},
	{"constraints", ask_constraints, ""},
	{"checks", ask_checks, ""},
	{"min_age", ask_min_age, "limit"},
	{"cooling_period", ask_cooling, ""},
	{"approval", ask_approval, "count"},
	{"consumers", ask_consumers, "idle"},
};

/* Is it a built-in gate's name? Its place, or -1. */
static int
builtin_index(const char *name)
{
	for (int i = 0; i < lengthof(builtin_gates); i++)
		if (strcmp(builtin_gates[i].name, name) == 0)
			return i;
	return -1;
}

/* A gate with a query of the user's. */
static void
ask_sql(Asking *a)
{
	char	   *sql = option_text(a->spec, "sql");
	double		timeout = option_seconds(option_text(a->spec, "timeout"), "timeout");
	char	   *value = ask_value(a->mig->owner, a->mig->settings, sql, timeout < 0 ? SQL_TIMEOUT_MS : (int) (timeout * 1000), &a->gate->failure);

	found(a, value && (strcmp(value, "t") == 0 || strcmp(value, "true") == 0), value ? value : "no answer", "true");
}

/* Ask one; what raises stays closed. */
static void
ask_builtin(void *arg)
{
	Asking	   *a = arg;

	builtin_gates[builtin_index(a->gate->name)].ask(a);
}

/* A new gate, closed. */
static Gate *
make_gate(const char *name, MigPhase before, const char *spec)
{
	Gate	   *gate = palloc0(sizeof(Gate));
	char	   *overridable = option_text(spec, "overridable");

	gate->name = name;
	gate->before = before;
	gate->overridable = overridable && strcmp(overridable, "true") == 0;
	return gate;
}

/* Ask the built-in gates. */
static List *
ask_builtins(const Migration *mig, GateLook look)
{
	char	   *specs = option_json(mig->in_effect, "gates");
	List	   *gates = NIL;

	for (int i = 0; i < lengthof(builtin_gates); i++)
	{
		char	   *spec = specs ? option_json(specs, builtin_gates[i].name) : NULL;
		Asking		a = {.mig = mig,.look = look,.spec = spec ? spec : "{}",.named = spec != NULL};
		ErrorData  *error;

		a.gate = make_gate(builtin_gates[i].name, PHASE_COMPLETING, a.spec);
		if (!txn_try(ask_builtin, &a, &error))
		{
			a.gate->open = false;
			a.gate->value = "no answer";
			a.gate->failure = error->message;
		}
		gates = lappend(gates, a.gate);
	}
	return gates;
}

List *
gates_ask(const Migration *mig, MigPhase before, GateLook look)
{
	SqlRows    *rows = sql_queryp("SELECT key, value FROM jsonb_each($1 -> 'gates') WHERE value ? 'sql' AND coalesce(value ->> 'before', 'completing') = $2 ORDER BY key",
								  P_jsonb(mig->in_effect), P_text(phase_name(before)));
	List	   *gates = before == PHASE_COMPLETING ? ask_builtins(mig, look) : NIL;

	for (uint64 r = 0; r < rows->n; r++)
	{
		Asking		a = {.mig = mig,.look = look,.spec = rows->v[r][1]};

		a.gate = make_gate(rows->v[r][0], before, a.spec);
		ask_sql(&a);
		gates = lappend(gates, a.gate);
	}
	gates_put(mig->id, before, gates);
	return gates;
}

/* "approval: 0 approvals (there has to be: 1 by approvers)" */
static char *
gate_text(const Gate *gate)
{
	return psprintf("%s: %s%s%s", gate->name, gate->failure ? gate->failure : gate->value, gate->limit ? " (there has to be: " : "",
					gate->limit ? psprintf("%s)", gate->limit) : "");
}

char *
gates_closed_text(const List *gates)
{
	ListCell   *lc;

	foreach(lc, gates)
		if (!((Gate *) lfirst(lc))->open)
			return psprintf("gate %s", gate_text(lfirst(lc)));
	return NULL;
}

/* Those that are closed, and cannot be passed by force; the names of those that can go to *forced. */
static List *
find_barriers(const List *gates, bool force, StringInfo forced)
{
	List	   *barriers = NIL;
	ListCell   *lc;

	foreach(lc, gates)
	{
		Gate	   *gate = lfirst(lc);

		if (gate->open)
			continue;
		if (force && gate->overridable)
		{
			appendStringInfoString(forced, forced->len ? ", " : "");
			escape_json(forced, gate_text(gate));
		}
		else
			barriers = lappend(barriers, gate);
	}
	return barriers;
}

/* Raise for gates that are closed. */
static void
raise_closed(const Migration *mig, const List *barriers, bool force)
{
	const Gate *first = linitial(barriers);
	StringInfoData others;
	ListCell   *lc;

	initStringInfo(&others);
	for_each_from(lc, barriers, 1)
		appendStringInfo(&others, "; also closed: %s", gate_text(lfirst(lc)));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("gate \"%s\" of migration \"%s\" is closed", first->name, mig->name),
			 errdetail("%s%s.", first->failure ? first->failure : first->value, others.data),
			 strcmp(first->name, "verified") == 0 || strcmp(first->name, "constraints") == 0 ? errhint("mig_validate('%s') looks again, mig.bad_rows and mig.checks tell what was found.", mig->name) :
			 strcmp(first->name, "approval") == 0 ? errhint("One of the approvers calls mig_approve('%s').", mig->name) :
			 first->overridable && !force ? errhint("It opens by itself, or mig_complete('%s', force => true, reason => '…') passes it.", mig->name) :
			 errhint("mig_gates('%s') shows them all.", mig->name)));
}

/* {"verified": "1 table clean", …}: what gates that have anything to say have found */
static char *
gates_json(const List *gates)
{
	StringInfoData json;
	ListCell   *lc;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	foreach(lc, gates)
	{
		const Gate *gate = lfirst(lc);

		if (gate->value == NULL)
			continue;
		appendStringInfoString(&json, json.len > 1 ? ", " : "");
		escape_json(&json, gate->name);
		appendStringInfoString(&json, ": ");
		escape_json(&json, gate->failure ? gate->failure : gate->value);
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

char *
gates_require(const Migration *mig, MigPhase before, bool force, const char *reason)
{
	List	   *gates = gates_ask(mig, before, GATES_ALL_OVER);
	StringInfoData forced;
	List	   *barriers;

	initStringInfo(&forced);
	barriers = find_barriers(gates, force, &forced);
	if (barriers)
		raise_closed(mig, barriers, force);
	if (forced.len == 0)
		return gates_json(gates);
	if (reason == NULL || reason[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("to pass closed gates by force takes a reason"),
				 errhint("mig_complete('%s', force => true, reason => '…')", mig->name)));
	event_write(mig->id, "forced", sql_textp("SELECT jsonb_build_object('gates', $1, 'reason', $2)::text", P_jsonb(psprintf("[%s]", forced.data)), P_text(reason)));
	return gates_json(gates);
}

char *
gates_closed_after_all(const Migration *mig)
{
	bool		forced = admin_queryp("SELECT FROM mig.event e WHERE e.migration_id = $1 AND e.kind = 'forced' AND e.id > (SELECT max(r.id) FROM mig.event r"
									  " WHERE r.migration_id = $1 AND r.kind = 'phase' AND r.detail ->> 'to' = 'ready')", P_int8(mig->id))->n > 0;
	StringInfoData passed;

	initStringInfo(&passed);
	return gates_closed_text(find_barriers(gates_ask(mig, PHASE_COMPLETING, GATES_AT_PRESENT), forced, &passed));
}

bool
gate_is_approver(const Migration *mig)
{
	SqlRows    *rows = admin_queryp("SELECT r.oid FROM jsonb_array_elements_text($1 -> 'approvers') o JOIN pg_roles r ON r.rolname = o", P_jsonb(mig->in_effect));

	for (uint64 i = 0; i < rows->n; i++)
		if (is_member_of_role_nosuper(GetUserId(), sql_oid(rows->v[i][0])))
			return true;
	return false;
}

/* ---- options ---- */

/* Raise for something in options.gates. */
static void
gate_option_error(const char *name, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("gates.%s: %s", name, what),
			 errhint("Built-in gates are backfill, aside, verified, constraints, checks, min_age, cooling_period, approval and consumers; any other has a query as \"sql\".")));
}

/* Check the keys of a gate. */
static void
check_gate_keys(const char *name, const char *spec, const char *keys)
{
	SqlRows    *rows = sql_queryp("SELECT key, jsonb_typeof(value) FROM jsonb_each($1)", P_jsonb(spec));

	for (uint64 r = 0; r < rows->n; r++)
	{
		char	   *key = rows->v[r][0];
		const char *type = strcmp(key, "overridable") == 0 ? "boolean" : strcmp(key, "count") == 0 ? "number" : "string";

		if (strcmp(key, "overridable") != 0 && strstr(keys, psprintf(" %s ", key)) == NULL)
			gate_option_error(name, psprintf("unknown key \"%s\"", key));
		if (strcmp(rows->v[r][1], type) != 0)
			gate_option_error(name, psprintf("\"%s\" must be of JSON type %s, not %s", key, type, rows->v[r][1]));
	}
}

/* Check a gate with a query. */
static void
check_sql_gate(const char *name, const char *spec, Oid owner, const char *settings)
{
	char	   *before = option_text(spec, "before");
	double		timeout;

	check_gate_keys(name, spec, " sql before timeout ");
	if (option_text(spec, "sql") == NULL)
		gate_option_error(name, "there is no such gate, and it has no \"sql\"");
	if (before && strcmp(before, "ready") != 0 && strcmp(before, "completing") != 0)
		gate_option_error(name, psprintf("\"before\" must be \"ready\" or \"completing\", not \"%s\"", before));
	timeout = option_seconds(option_text(spec, "timeout"), psprintf("gates.%s.timeout", name));
	if (timeout == 0 || timeout * 1000 > LONGEST_SQL_MS)
		gate_option_error(name, "\"timeout\" must be between 1 ms and 10 minutes");
	(void) ask_check(owner, settings, option_text(spec, "sql"), 1, psprintf("gates.%s.sql", name));
}

/* Check one gate. */
static void
check_gate(const char *name, const char *type, const char *spec, Oid owner, const char *settings)
{
	int			builtin = builtin_index(name);
	char	   *count;

	if (strcmp(type, "null") == 0)
		return;
	if (strcmp(type, "object") != 0)
		gate_option_error(name, psprintf("must be of JSON type object, not %s", type));
	if (builtin < 0)
	{
		check_sql_gate(name, spec, owner, settings);
		return;
	}
	check_gate_keys(name, spec, psprintf(" %s ", builtin_gates[builtin].keys));
	(void) option_seconds(option_text(spec, "limit"), psprintf("gates.%s.limit", name));
	(void) option_seconds(option_text(spec, "idle"), psprintf("gates.%s.idle", name));
	count = option_text(spec, "count");
	if (count && (strspn(count, "0123456789") != strlen(count) || strlen(count) > 3 || atoi(count) < 1))
		gate_option_error(name, psprintf("\"count\" must be between 1 and 999, not %s", count));
}

void
gates_check_options(const char *options, Oid owner, const char *settings)
{
	SqlRows    *rows = sql_queryp("SELECT key, jsonb_typeof(value), value FROM jsonb_each(CASE jsonb_typeof($1 -> 'gates') WHEN 'object' THEN $1 -> 'gates' ELSE '{}' END)", P_jsonb(options));
	char	   *missing;

	for (uint64 r = 0; r < rows->n; r++)
		check_gate(rows->v[r][0], rows->v[r][1], rows->v[r][2], owner, settings);
	(void) option_seconds(option_text(options, "cooling_period"), "cooling_period");
	missing = sql_textp("SELECT o FROM jsonb_array_elements_text(CASE jsonb_typeof($1 -> 'approvers') WHEN 'array' THEN $1 -> 'approvers' ELSE '[]' END) o"
						" WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = o) LIMIT 1", P_jsonb(options));
	if (missing)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("approvers: role \"%s\" does not exist", missing)));
}
