/*
 * window.c
 *		mig.window_open, mig.window_next, mig.window_add and mig.window_reason.
 */
#include "base/compat.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "pace/window.h"

PG_FUNCTION_INFO_V1(mig_window_open);
PG_FUNCTION_INFO_V1(mig_window_next);
PG_FUNCTION_INFO_V1(mig_window_add);
PG_FUNCTION_INFO_V1(mig_window_reason);

/* The windows of the first argument; NULL: always open. */
static Windows *
arg_windows(FunctionCallInfo fcinfo)
{
	Jsonb	   *jb;

	if (PG_ARGISNULL(0))
		return NULL;
	jb = PG_GETARG_JSONB_P(0);
	return windows_parse(JsonbToCString(NULL, &jb->root, VARSIZE(jb)));
}

/* mig.window_open(window, at) */
PGDLLEXPORT Datum
mig_window_open(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(windows_open(arg_windows(fcinfo), PG_GETARG_TIMESTAMPTZ(1)));
}

/* mig.window_next(window, after) */
PGDLLEXPORT Datum
mig_window_next(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(windows_next_change(arg_windows(fcinfo), PG_GETARG_TIMESTAMPTZ(1)));
}

/* mig.window_add(window, start, seconds) */
PGDLLEXPORT Datum
mig_window_add(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(windows_add(arg_windows(fcinfo), PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_FLOAT8(2)));
}

/* mig.window_reason(window, at) */
PGDLLEXPORT Datum
mig_window_reason(PG_FUNCTION_ARGS)
{
	char	   *reason = PG_ARGISNULL(1) ? NULL : windows_reason(arg_windows(fcinfo), PG_GETARG_TIMESTAMPTZ(1));

	if (reason == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(reason));
}
