/*
 * signals.c
 *		mig.known_signals and mig.read_signals.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "api/arguments.h"
#include "base/txn.h"
#include "pace/signal.h"

PG_FUNCTION_INFO_V1(mig_known_signals);
PG_FUNCTION_INFO_V1(mig_read_signals);

/* One signal in one context, and what it says */
typedef struct Call
{
	int			n;
	SignalContext context;
	Reading		reading;
} Call;

static const char *const class_names[] = {[SIGNAL_HARD] = "hard",[SIGNAL_GRADUAL] = "gradual"};
static const char *const unit_names[] = {[SIGNAL_COUNT] = "count",[SIGNAL_MS] = "ms",[SIGNAL_BYTES] = "bytes"};

/* The context of a call: options.throttle as text is its first argument. */
static SignalContext
context_of(FunctionCallInfo fcinfo, const Migration *mig)
{
	SignalContext context = {.mig = mig,.now = GetCurrentTimestamp()};

	if (!PG_ARGISNULL(0))
		context.throttle = OidOutputFunctionCall(F_JSONB_OUT, PG_GETARG_DATUM(0));
	signals_check_options(context.throttle, GetUserId(), NULL);
	return context;
}

/* Put a number, or NULL where there is none. */
static void
put_number(Datum *values, bool *nulls, int column, bool known, double value)
{
	nulls[column] = !known;
	values[column] = Float8GetDatum(value);
}

/* The columns that both functions have. */
static void
put_signal(Datum *values, bool *nulls, int n, const SignalContext *context)
{
	double		limit = signal_limit(n, context);
	double		critical = signal_critical(n, context);

	values[0] = CStringGetTextDatum(signals[n].name);
	values[1] = CStringGetTextDatum(class_names[signals[n].class]);
	values[2] = CStringGetTextDatum(unit_names[signals[n].unit]);
	put_number(values, nulls, 3, limit >= 0 && !(limit == 0 && signals[n].automatic), limit);
	put_number(values, nulls, 4, critical >= 0, critical);
}

/* mig.known_signals(throttle): the signals there are, with the limits that they have under these options and the session's settings. */
PGDLLEXPORT Datum
mig_known_signals(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	SignalContext context = {0};

	if (!PG_ARGISNULL(0))
		context.throttle = OidOutputFunctionCall(F_JSONB_OUT, PG_GETARG_DATUM(0));
	InitMaterializedSRF(fcinfo, 0);
	for (int n = 0; n < nsignals; n++)
	{
		Datum		values[6];
		bool		nulls[6] = {false};

		put_signal(values, nulls, n, &context);
		values[5] = CStringGetTextDatum(signals[n].what);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Read one signal. */
static void
call_reader(void *arg)
{
	Call	   *call = arg;

	call->reading = signals[call->n].read(&call->context);
}

/* mig.read_signals(throttle, relation): what the signals that are on say in this session, now. */
PGDLLEXPORT Datum
mig_read_signals(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Migration	nobody = {.owner = GetUserId()};
	Call		call = {.context = context_of(fcinfo, &nobody)};

	call.context.relid = PG_ARGISNULL(1) ? InvalidOid : PG_GETARG_OID(1);
	InitMaterializedSRF(fcinfo, 0);
	for (call.n = 0; call.n < nsignals; call.n++)
	{
		Datum		values[7];
		bool		nulls[7] = {false};
		ErrorData  *error;

		put_signal(values, nulls, call.n, &call.context);
		if (nulls[3] && nulls[4])
			continue;
		call.reading = (Reading) {0};
		if (!txn_try(call_reader, &call, &error))
			call.reading = (Reading) {.who = error->message};
		put_number(values, nulls, 5, call.reading.known, call.reading.value);
		nulls[6] = call.reading.who == NULL;
		values[6] = nulls[6] ? (Datum) 0 : CStringGetTextDatum(call.reading.who);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
