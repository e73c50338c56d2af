/*
 * lifecycle.h
 *		The lifecycle of a migration: which phase may follow which, and the one function that writes it.
 */
#ifndef MIG_LIFECYCLE_H
#define MIG_LIFECYCLE_H

#include "postgres.h"
#include "store/state.h"

extern bool lifecycle_ended(MigPhase phase);

/* The phase in which steps of this plan phase run. */
extern MigPhase lifecycle_phase_of(StepPhase phase);

/*
 * Enter a phase, write the event, and note it in *mig. The caller holds the advisory lock MIGRATION exclusively. 55000 when the present phase has no such
 * successor. detail: JSON text or NULL.
 */
extern void lifecycle_enter(Migration *mig, MigPhase to, const char *detail);

/* Does options.hold name this phase? Then the migration is paused before it (with an event), once. */
extern bool lifecycle_held(Migration *mig, MigPhase before);

/* Raise 55000 for a call that does not fit the phase, with the call that does. */
extern void lifecycle_wrong_phase(const Migration *mig, const char *call) pg_attribute_noreturn();

#endif
