/*
 * laws.c
 *		mig.chunk_sizes and mig.duty_after: the laws of pacing, to look at. Nothing but their arithmetic: they read and change nothing.
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"

#include "pace/chunk.h"
#include "pace/duty.h"

#define MOST_PAGES		1048576
#define MOST_WORKERS	64

PG_FUNCTION_INFO_V1(mig_chunk_sizes);
PG_FUNCTION_INFO_V1(mig_duty_after);

/* The elements of a float8[]; *nulls tells which are NULL. */
static Datum *
array_numbers(ArrayType *array, bool **nulls, int *n)
{
	Datum	   *values;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("an array of one dimension is needed")));
	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, nulls, n);
	return values;
}

/* Raise 22023 when a number is not in a range; NaN is in none. */
static double
check_range(const char *name, double value, double least, double most)
{
	if (!(value >= least && value <= most))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between %.9g and %.9g, not %.9g", name, least, most, value)));
	return value;
}

/* mig.chunk_sizes(ms, wal, pages, most, target, budget) → pages of each chunk and of the next; a NULL in ms: it raised an error that should pass */
PGDLLEXPORT Datum
mig_chunk_sizes(PG_FUNCTION_ARGS)
{
	int			n;
	int			nwal;
	bool	   *failed;
	bool	   *unknown;
	Datum	   *ms = array_numbers(PG_GETARG_ARRAYTYPE_P(0), &failed, &n);
	Datum	   *wal = array_numbers(PG_GETARG_ARRAYTYPE_P(1), &unknown, &nwal);
	ChunkLimits limits;
	ChunkLaw	law;
	Datum	   *sizes = palloc(sizeof(Datum) * (n + 1));

	limits.most = (int) check_range("most", PG_GETARG_INT32(3), 1, MOST_PAGES);
	limits.target_ms = check_range("target", PG_GETARG_FLOAT8(4), 0.001, 1e9);
	limits.wal_budget = check_range("budget", PG_GETARG_FLOAT8(5), 1, 1e18);
	chunk_start(&law, (int) check_range("pages", PG_GETARG_INT32(2), 1, MOST_PAGES));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sizes[i] = Int32GetDatum(law.pages);
		if (failed[i])
			(void) chunk_failed(&law);
		else
			chunk_took(&law, &limits, check_range("ms", DatumGetFloat8(ms[i]), 0, 1e12),
					   i < nwal && !unknown[i] ? check_range("wal", DatumGetFloat8(wal[i]), 0, 1e18) : 0);
	}
	sizes[n] = Int32GetDatum(law.pages);
	PG_RETURN_ARRAYTYPE_P(construct_array(sizes, n + 1, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* Put a row (second, duty, workers). */
static void
put_duty(ReturnSetInfo *rsinfo, int second, const Duty *d)
{
	Datum		values[3] = {Int32GetDatum(second), Float8GetDatum(d->duty), Int32GetDatum(d->workers)};
	bool		nulls[3] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* mig.duty_after(utilisation, most) → second, duty, workers: how a migration begins, and goes on, when utilisation is such in each second */
PGDLLEXPORT Datum
mig_duty_after(PG_FUNCTION_ARGS)
{
	int			n;
	bool	   *nulls;
	Datum	   *u = array_numbers(PG_GETARG_ARRAYTYPE_P(0), &nulls, &n);
	int			most = (int) check_range("most", PG_GETARG_INT32(1), 1, MOST_WORKERS);
	Duty		d;
	int			cool_until = 0;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
	{
		double		now = nulls[i] ? 0 : check_range("utilisation", DatumGetFloat8(u[i]), 0, 1e9);
		bool		too_much = false;

		CHECK_FOR_INTERRUPTS();
		d = i == 0 ? duty_start(most, now) : duty_move(d, most, now, i < cool_until, &too_much);
		if (too_much)
			cool_until = i + DUTY_COOL_MS / DUTY_EVERY_MS;
		put_duty((ReturnSetInfo *) fcinfo->resultinfo, i, &d);
	}
	return (Datum) 0;
}
