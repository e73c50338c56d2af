/*
 * shape.h
 *		A table under migration: its present columns, constraints and indexes, and what the operations make of them.
 *
 * A Column keeps its identity through all operations; `name`, type and rules are edited. After each operation the shape's names are kept as a
 * Snapshot, because `down` expressions are written against the shape after their operation.
 */
#ifndef MIG_SHAPE_H
#define MIG_SHAPE_H

#include "storage/lockdefs.h"

#include "compile/expr.h"

typedef struct Column
{
	/* as it is */
	AttrNumber	att;			/* 0: added by this migration */
	char	   *old_name;		/* NULL: added */
	Oid			old_type;
	int32		old_typmod;
	Oid			old_collation;
	bool		old_not_null;
	char	   *old_default;	/* SQL, NULL if none */
	char		identity;		/* pg_attribute.attidentity; also of an added column */
	char		generated;
	Bitmapset  *inputs;			/* of a generated one: attribute numbers that it is computed from */
	List	   *sequences;		/* char *: qualified names of the sequences it owns: a serial's, an identity's; also of an added column */

	/* as the new version sees it */
	char	   *name;
	bool		dropped;
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		not_null;
	bool		not_null_check;	/* a manifest made it so: in that format it is a CHECK until the migration is complete */
	bool		second;			/* it has a physical column of its own: its data change, or it is added */
	Node	   *value;			/* its value over the old shape (the composed `up`) */
	Node	   *back;			/* for old columns: the old value over the new shape (the composed `down`); NULL: the same column */
	Node	   *lost;			/* an old `down` given for a dropped column (set in the backward pass) */
	bool		default_changed;
	char	   *default_sql;	/* the new default as SQL; NULL if none */
	char	   *added_sql;		/* the default an added column was added with: existing rows have it */
	bool		fast_default;	/* an added column whose default needs no rewrite */
	bool		fill;			/* existing rows need a value: `up` or a volatile default */
	bool		follows;		/* generated from columns that are replaced: its second column is computed from theirs, and generated from the swap on */
	Node	   *rule;			/* of one that follows: its expression over the new shape */
	bool		comment_changed;
	char	   *comment;
	char	   *note;			/* what the user should know of it */

	/* physical column of the new value */
	char	   *hidden;			/* NULL unless `second` */
	AttrNumber	hidden_att;		/* the number it counts as in expressions of the plan */
} Column;

/* How a name of a shape was bound after some operation */
typedef struct SnapshotColumn
{
	const char *name;
	Column	   *column;
	Oid			type;
	int32		typmod;
	Oid			collation;
} SnapshotColumn;

/* One operation's effect on data, for the backward pass */
typedef struct Edit
{
	const Operation *op;
	Column	   *column;
	Oid			before_type;	/* the column's type before it */
	int32		before_typmod;
	Oid			before_collation;
	List	   *after;			/* SnapshotColumn *, the shape after it */
} Edit;

/* A CHECK that the new version has and the table has not (on these physical columns) */
typedef struct Rule
{
	char	   *name;			/* its name in the end */
	char	   *hidden;			/* its name until then: _mig_k1 */
	Column	   *column;			/* for NOT NULL; NULL for a CHECK */
	bool		filled;			/* not the user's: every pair has its new value, so that nothing is lost in the swap */
	RawExpr    *raw;			/* of a CHECK, against `shape` */
	List	   *shape;			/* SnapshotColumn * */
	bool		no_inherit;
	bool		valid;			/* validate it (an existing NOT VALID one stays so) */
	char	   *comment;
	char	   *sql;			/* over physical columns, as of the plan */
	char	   *now_sql;		/* the same over what rows have now; NULL if it must not be asked, being volatile */
} Rule;

/* A present constraint */
typedef struct Constr
{
	Oid			oid;
	char	   *name;
	char		type;			/* pg_constraint.contype */
	Bitmapset  *columns;		/* attribute numbers */
	Oid			index;			/* of p, u, x; for f, that of the referenced key */
	Oid			referenced;		/* of f: the table */
	char	   *definition;		/* pg_get_constraintdef */
	char	   *check;			/* expression of a CHECK */
	bool		validated;		/* it is, or will be */
	bool		validate;		/* by an operation */
	bool		no_inherit;
	char	   *comment;
	char	   *new_name;		/* NULL unless renamed */
	bool		dropped;		/* by an operation */
	bool		remade;			/* a foreign key that another one replaces */
} Constr;

/* A present index */
typedef struct OldIndex
{
	Oid			oid;
	char	   *name;
	Bitmapset  *columns;		/* attribute numbers that it reads */
	Constr	   *constraint;		/* that it belongs to; NULL: none */
	char	   *new_name;		/* NULL unless renamed; that of a constraint's has the constraint's */
	bool		dropped;		/* by an operation, alone or with its constraint */
} OldIndex;

/* A unique or primary key, or a plain index, that the new version has and the table has not */
typedef struct NewIndex
{
	const Operation *op;
	IndexStmt  *index;			/* raw, against `shape`; NULL: a key whose index is there (`present`) */
	Constraint *key;			/* raw; NULL: a plain index */
	OldIndex   *present;
	char	   *name;			/* in the end */
	List	   *shape;			/* SnapshotColumn * */
	List	   *columns;		/* Column *: those it reads, all of them */
	char	   *keys;			/* "(a, lower(b))", and … */
	char	   *sql;			/* "USING btree (_mig_c1, lower(b)) …", over physical columns */
} NewIndex;

typedef struct Table Table;

/* A foreign key that the migration makes: a new one, or one made again because columns of it are replaced, on either side */
typedef struct ForeignKey
{
	const Operation *op;		/* NULL: made again */
	char	   *name;			/* in the end */
	char	   *hidden;			/* its name until then: _mig_f1, or the same when that is free */
	char	   *former;			/* the present one that it replaces; NULL: it is new */
	Table	   *table;			/* referencing; of one that the migration does not change, only the columns are loaded */
	Table	   *referenced;		/* the same */
	List	   *columns;		/* Column *, of table */
	List	   *referenced_columns; /* Column *, in the same order */
	List	   *set_columns;	/* Column *: of ON DELETE SET … (columns); NIL: all */
	char		match;			/* as in pg_constraint */
	char		on_update;
	char		on_delete;
	bool		deferrable;
	bool		deferred;
	bool		valid;			/* validate it (a NOT VALID one stays so) */
	char	   *comment;
	int			number;			/* among those of its table */
	char	   *trigger;		/* holds what is written through the new version until the fence; NULL: made when the rows are filled */
	char	   *lookup;			/* the trigger's condition: a row of the referenced table (x) has the key $1, $2, … */
} ForeignKey;

struct Table
{
	Oid			relid;
	char	   *schema;
	char	   *name;			/* as it is */
	char	   *new_name;		/* as the new version sees it */
	Oid			owner;
	bool		partitioned;	/* its rows are in partitions */
	List	   *children;		/* OIDs of the tables that inherit from it, unless it is partitioned; NIL: none */
	int			natts;			/* attribute numbers in use */
	List	   *columns;		/* Column *, in table order, added ones last, dropped ones too */
	List	   *constraints;	/* Constr * */
	List	   *rules;			/* Rule *: CHECKs added, or carried to changed columns; NOT NULLs */
	List	   *edits;			/* Edit *, in order */
	List	   *hidden;			/* Column *: those with a hidden column, in the order they are added */
	List	   *physical;		/* char *: physical column names by attribute number, "" for dropped ones */
	List	   *indexes;		/* OldIndex * */
	List	   *new_indexes;	/* NewIndex * */
	List	   *foreign_keys;	/* ForeignKey *: those that the migration makes on it */
	char		identity;		/* REPLICA_IDENTITY_… that an operation sets; '\0': none does */
	OldIndex   *identity_index; /* its index: a present one … */
	NewIndex   *identity_new_index; /* … or a new one */
	bool		dropped;		/* the new version does not have it */
	bool		comment_changed;
	char	   *comment;
};

/*
 * Load a table's present shape, under a lock within the budget of base/lock.h; refuses (with the reason) one that can't be migrated. NULL when it is gone.
 */
extern Table *shape_load(Oid relid, LOCKMODE lock, bool subscribers_ready);

/* A table that the migration does not change: its names and columns, without a lock. */
extern Table *shape_bare(Oid relid);

extern Column *shape_column(const Table *table, const char *name, bool missing_ok);	/* by its name in the new shape */
extern Constr *shape_constraint(const Table *table, const char *name);	/* 42704 */
extern OldIndex *shape_index(const Table *table, const char *name);	/* a present one by its name in the new shape; NULL if there is none */
extern NewIndex *shape_new_index(const Table *table, const char *name);
extern const char *index_final_name(const OldIndex *index);
extern List *shape_snapshot(const Table *table);
extern List *shape_values(const Table *table);	/* Binding *: names → their values over the old shape */
extern Node *shape_generated(const Table *table, const Column *column, bool before);	/* a generated column's expression over the shape before, or the new one */
extern char *shape_generated_sql(const Table *table, const Column *column);	/* the same as the server is told it, over new physical columns */

/* Apply one operation; edits the shape. (operations.c) */
extern void shape_apply(Table *table, const Operation *op);
/* After the last operation: name hidden columns, run the backward pass, make the rules. (operations.c) */
extern void shape_finish(Table *table);

extern Bitmapset *shape_changed_atts(const Table *table);	/* present columns that are replaced */
extern Bitmapset *shape_dropped_atts(const Table *table);	/* present columns that go */
extern char *atts_literal(Bitmapset *atts);	/* "{1,2}", as for an int2[] */
extern char *oids_literal(List *oids);	/* likewise of OIDs */
extern List *shape_final_bindings(const Table *table, List *snapshot);	/* names of a snapshot → Vars of physical columns */
extern const char *column_physical(const Column *column);	/* name of the physical column that holds its new value during the migration */
extern bool column_is_pair(const Column *column);	/* does the sync trigger keep it? */
extern bool column_brings_default(const Column *column);	/* does the physical column of an added one have the new version's default already? */
extern List *shape_trigger_tables(const Table *table);	/* char *, qualified: those that need sync triggers of their own: the table and its children */
extern bool shape_has_pairs(const Table *table);

/* SQL of a type: "numeric(14,2)", with COLLATE where it is not the type's own */
extern char *type_sql(Oid type, int32 typmod);
extern char *collate_sql(Oid type, Oid collation);	/* "" or " COLLATE x" */

#endif
