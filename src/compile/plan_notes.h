/*
 * plan_notes.h
 *		What a plan's notes tell the user of a table's changes; NULL: nothing.
 */
#ifndef MIG_PLAN_NOTES_H
#define MIG_PLAN_NOTES_H

#include "compile/shape.h"

extern char *note_table(const Table *table);	/* what to know of it before it starts */
extern char *note_rule(const Table *table, const Rule *rule);	/* a rule in the user's words */
extern char *note_rules(const Table *table);	/* which rules writes are held to from when the version opens, and which from the fence on */
extern char *note_dropped(const Table *table);	/* which constraints bind until the swap, though the new version does not have them */

#endif
