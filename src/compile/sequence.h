/*
 * sequence.h
 *		Sequences of serial and identity columns: made for an added column, kept by a replaced one.
 */
#ifndef MIG_SEQUENCE_H
#define MIG_SEQUENCE_H

#include "compile/shape.h"

/* Does an ADD COLUMN bring a sequence: is it a serial or an identity column? */
extern bool brings_sequence(const Operation *op);

/*
 * The column without its sequence: the ADD COLUMN of an integer column whose default draws from a sequence that `create` makes. The sequence gets the
 * name that PostgreSQL would give it.
 */
extern Operation *sequence_column(const Table *table, const Operation *op, char **create, char **undo);

/* 22023 unless an identity column can have the type. */
extern void check_identity_type(const Operation *op, Oid type);

/* An identity's default for writes through a version, which its physical column does not have yet: like the identity, it needs no right on the sequence. */
extern char *identity_default(const Column *column);

/* Makes a new sequence its hidden column's own, so that they go together. */
extern char *sequence_owned_sql(const Table *table, const Column *column);

/* In the swap: an identity moves to the hidden column … */
extern char *sequence_identity_sql(const Table *table, const Column *column);

/* … a serial's sequence is owned by it; and it becomes as wide as the column. NULL: nothing to do. */
extern char *sequence_alter_sql(const Table *table, const Column *column, const char *sequence);

#endif
