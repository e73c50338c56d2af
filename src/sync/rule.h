/*
 * rule.h
 *		What version views know: the row that is being written, and that they are closed.
 */
#ifndef MIG_RULE_H
#define MIG_RULE_H

#include "postgres.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"

/*
 * Was the row version written by the statement that asks? A scan never sees such a one, its snapshot being older; only a check option,
 * which looks at the row after it was written, does.
 */
extern bool just_written(TransactionId xmin, CommandId cmin);

extern Trigger *sync_closed_trigger(Relation view); /* what makes it closed; NULL: it is open */
extern void sync_check_open(Relation view);	/* raise 55000 if it is closed */

#endif
