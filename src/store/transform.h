/*
 * transform.h
 *		What the sync trigger of a table does: its pairs, and their up/down compiled. Cached per relation.
 *
 * The trigger's own arguments are the single record of the mapping (they are versioned with the table, and every session sees them
 * at once through the relation cache, whatever its snapshot). Arguments, all text:
 *	 [0] "first" or "last": which of the two sync triggers it is (see sync/trigger.c)
 *	 [1] name of the state column
 *	 [2] a text[] literal "{name=value,…}": the settings non-immutable expressions run under (as pg_proc.proconfig)
 *	 then 4 for each pair, in the order of their state bits:
 *	 [3+4i] old column ("" if none)   [4+4i] new column ("" if none)   [5+4i] up ("" if none)   [6+4i] down ("" if none)
 * A pair without an old column whose up reads new columns of others is a generated column of the new version: it follows these, whoever writes.
 * up and down are SQL expressions over the table's physical columns, already fully qualified and coerced (compile/expr.c made them);
 * columns stand unqualified, or qualified by the alias TRANSFORM_ALIAS.
 *
 * State: 2 bits per pair, pair i at bits 2i and 2i+1; NULL counts as 0.
 */
#ifndef MIG_TRANSFORM_H
#define MIG_TRANSFORM_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "utils/rel.h"

#define TRANSFORM_ALIAS		"t"
#define FIRST_TRIGGER		"\"!mig_sync\""	/* quoted; sorts before any other trigger … */
#define LAST_TRIGGER		"\"~mig_sync\""	/* … and after */
#define CLOSED_TRIGGER		"mig_closed"	/* INSTEAD OF trigger of a view of a version that may not be used; arguments: message, hint */
#define STATE_COLUMN		"_mig_state"
#define STATE_ORIGIN_NEW	(-1)	/* the inner view's default: an INSERT through the new version */

typedef enum PairState
{
	PAIR_UNTOUCHED = 0,
	PAIR_BACKFILLED = 1,
	PAIR_OLD = 2,				/* last written through the old version */
	PAIR_NEW = 3
} PairState;

typedef struct Expression Expression;	/* opaque: compiled up or down */

typedef struct Pair
{
	AttrNumber	old_att;		/* 0: none */
	AttrNumber	new_att;		/* 0: none */
	const char *up_sql;			/* NULL: none */
	const char *down_sql;
	Expression *up;
	Expression *down;
	Bitmapset  *up_inputs;		/* attribute numbers that up reads */
	Bitmapset  *down_inputs;
	bool		up_verifiable;	/* neither volatile nor reading tables */
	bool		down_verifiable;
	bool		follows;		/* up reads other pairs' new columns: the new version's generated column */
} Pair;

typedef struct Transform
{
	Oid			relid;
	AttrNumber	state_att;
	int			npairs;
	Pair	   *pairs;
	/* for the trigger */
	TupleDesc	desc;			/* the table's columns; not reference-counted */
	uint64		fillable;		/* low state bit of each pair that a write fills when it is untouched */
	bool		follows;		/* does a pair of it? */
	AttrNumber *watched;		/* columns that are part of a pair or read by an up or down */
	int			nwatched;
	char	   *fenced_by;		/* name of the migration whose new version may not be written to (store/fence.h); NULL: none */
	TimestampTz logged_in;		/* start of the transaction that last logged a failing up */
} Transform;

#define TRANSFORM_MAX_PAIRS	31	/* two bits each in a bigint */

extern bool is_sync_trigger(const Trigger *trigger);	/* either of the two */
extern bool relation_has_sync(Relation rel);	/* is there a sync trigger? */
extern bool relation_sync_fires(Relation rel);	/* and does it fire whatever session_replication_role is? */

/* The table's transform, compiled; stays readable to the end of the transaction. 55000 if it has no sync trigger. */
extern Transform *transform_get(Relation rel);

/*
 * Evaluate an expression over a row (its physical columns). The result lies in the caller's memory context, or in the row. transform_eval raises what the
 * expression raises (also why it did not compile, if it did not); transform_try returns false on a data error instead, with the message in *error.
 */
extern Datum transform_eval(Expression *expr, TupleTableSlot *row, bool *isnull);
extern bool transform_try(Expression *expr, TupleTableSlot *row, Datum *value, bool *isnull, char **error);

/* SQL over alias `t`: true for rows with an untouched pair that should have a new value; NULL if the table has no such pair. */
extern char *transform_unfilled_sql(const Transform *transform);

#endif
