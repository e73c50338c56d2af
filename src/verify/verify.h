/*
 * verify.h
 *		The exact divergence check: one statement, hence one snapshot, per block range.
 */
#ifndef MIG_VERIFY_H
#define MIG_VERIFY_H

#include "postgres.h"
#include "backfill/backfill.h"

/* Check one range inside the current transaction; counts go to the step's task. */
extern UnitResult verify_unit(const Migration *mig, const Step *step);

#endif
