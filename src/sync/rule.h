/*
 * rule.h
 *		Closed views: which are, and what they raise.
 */
#ifndef MIG_RULE_H
#define MIG_RULE_H

#include "postgres.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

extern Trigger *sync_closed_trigger(Relation view); /* what makes it closed; NULL: it is open */
extern void sync_check_open(Relation view);	/* raise 55000 if it is closed */

#endif
