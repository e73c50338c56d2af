/*
 * gate.h
 *		Gates: what has to hold before a migration enters `ready`, and before it completes.
 *
 * They fail closed: what is false or NULL, raises or takes too long, is not open. Nothing is remembered but for people to look at: whoever needs to know asks the gates again.
 */
#ifndef MIG_GATE_H
#define MIG_GATE_H

#include "postgres.h"
#include "store/gate.h"
#include "store/state.h"

/* How thoroughly they are asked */
typedef enum GateLook
{
	GATES_AT_PRESENT,			/* business checks count by their last run */
	GATES_ALL_OVER				/* business checks are run */
} GateLook;

/* Ask those that guard a phase, and store what they say. Gate *: built-in ones first, by name then. */
extern List *gates_ask(const Migration *mig, MigPhase before, GateLook look);

/* The first that is closed, in words; NULL when all are open. */
extern char *gates_closed_text(const List *gates);

/*
 * Raise 55000 naming those that are closed. force: those that options.gates calls overridable are passed, with an event that names them and the reason (22004 without one).
 * Returns what was found, as one JSON object.
 */
extern char *gates_require(const Migration *mig, MigPhase before, bool force, const char *reason);

/* Just before the swap: is one closed that was not passed by force since the migration was last ready? In words; NULL: none is. */
extern char *gates_closed_after_all(const Migration *mig);

/* Raise 22023, with the path, for options (JSON text) whose gates, cooling_period or approvers are wrong; a gate's SQL has to compile for that role under those settings. */
extern void gates_check_options(const char *options, Oid owner, const char *settings);

/* Is the current user one of those who approve? */
extern bool gate_is_approver(const Migration *mig);

#endif
