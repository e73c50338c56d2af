/*
 * operations.h
 *		What the families of operations share: one function for each kind, called by shape_apply(), and their common helpers.
 */
#ifndef MIG_OPERATIONS_H
#define MIG_OPERATIONS_H

#include "compile/shape.h"

/* For ereport: error position of an operation in a DDL definition */
extern int	op_position(const Operation *op);

/* Raise 42701 if the shape has a column of that name. */
extern void check_free_name(const Table *t, const Operation *op, const char *name);

/* Does an operation bring an `up` or `down` that changes anything? Then apply_change_data() gives its column a second one. */
extern bool changes_data(const Operation *op);
extern void apply_change_data(Table *t, const Operation *op);

/* Make a column NOT NULL; raises where existing rows could have no value. */
extern void set_not_null(const Table *t, const Operation *op, Column *c);

/* Is a constraint name in use, now or in the new version? */
extern bool constraint_name_used(const Table *t, const char *name);

/* operations_constraint.c */
extern void apply_add_check(Table *t, const Operation *op);
extern Column *foreign_key_column(const Table *t, const char *name, const Operation *op);	/* 42703 as for a foreign key */
extern ForeignKey *apply_add_foreign_key(Table *t, const Operation *op);
extern void apply_drop_constraint(Table *t, const Operation *op);
extern void apply_rename_constraint(Table *t, const Operation *op);
extern void apply_validate_constraint(Table *t, const Operation *op);
extern void forget_checks_of(Table *t, const Column *c);	/* forget the new CHECKs that read a column which is dropped */

/* operations_table.c */
extern void apply_rename_table(Table *t, const Operation *op);
extern void apply_drop_table(Table *t, const Operation *op);

/* operations_index.c */
extern void apply_create_index(Table *t, const Operation *op);
extern void apply_drop_index(Table *t, const Operation *op);
extern void apply_rename_index(Table *t, const Operation *op);
extern void apply_add_key(Table *t, const Operation *op);
extern void apply_replica_identity(Table *t, const Operation *op);

/* What PostgreSQL calls an unnamed index or key of a relation: its first choice, or, where that is taken, another one by a number. */
extern char *index_name(const char *relation, const IndexStmt *index, int number);

/* Forget the new indexes that read a column which is dropped. */
extern void forget_indexes_of(Table *t, const Column *c);

/* Forget a new key; false: there is none of that name. */
extern bool drop_new_key(Table *t, const char *name);

#endif
