/*
 * plan.h
 *		From a definition to the ordered steps that mig_plan prints, mig_start stores and a driver executes.
 */
#ifndef MIG_PLAN_H
#define MIG_PLAN_H

#include "compile/shape.h"
#include "store/state.h"

/* Statements of the definition that are run as they are */
typedef struct Statement
{
	char	   *sql;
	char	   *undo;			/* NULL: nothing to undo */
	char	   *relation;		/* what it makes or changes, NULL if that is no relation */
	bool		parked;			/* it is about a table whose name is still another one's: that waits in the hidden schema */
	const char *note;
	const Table *table;			/* the names of the end of this table, and of this column, go between sql and tail */
	const Column *column;
	const char *tail;
	List	   *shape;			/* SnapshotColumn *: the names of columns that tail may have */
	const Operation *op;
	const Column *owner;		/* it makes this column's sequence: not when the column is dropped again */
	bool		unchecked;		/* a function's body, that may be about the version's tables */
} Statement;

typedef struct MigPlan
{
	char	   *name;
	char	   *schema;			/* base schema */
	char	   *version_schema;
	char	   *before;			/* the schema its clients use until it is ready: the version that it stands on, or the base schema */
	char	   *inner_schema;	/* hidden; holds the inner views */
	char	   *baseline;		/* schema of options.baseline, NULL if not wanted */
	char	   *options;		/* jsonb text: the manifest's, overridden by the call's */
	LOCKMODE	lock;			/* on the tables, while it is compiled and after */
	bool		subscribers_ready;
	char	   *settings;		/* text[] literal: session settings of the compilation */
	List	   *tables;			/* Table *: those that change, in the definition's order */
	List	   *foreign_keys;	/* ForeignKey *: those that it makes, for any table */
	char	   *search_path;	/* of the definition's own statements: the base schema, then the caller's */
	List	   *early;			/* Statement *: run in expand */
	List	   *late;			/* Statement *: run in the swap, last */
	bool		unseen;			/* a statement is not run on trial: what it makes is not known */
	List	   *created;		/* char *: tables it creates, by their present names */
	List	   *parked;			/* char *: those of them that wait in the hidden schema for their names */
	List	   *migrated;		/* MigratedTable *: what is stored of all these */
	List	   *steps;			/* Step * */
} MigPlan;

/*
 * Compile a definition as the current user; name NULL: the manifest's own. Changes nothing. Takes `lock` on the tables it names: with
 * ShareUpdateExclusiveLock nobody can give them another column, index, constraint or trigger until the end of the transaction.
 */
extern MigPlan *plan_compile(const char *name, const char *definition, const char *options, LOCKMODE lock);

/* Does a plan consist of these steps, as stored? */
extern bool plan_equals(const MigPlan *plan, List *steps);

/* The name in a manifest; 22023 when it has none. */
extern char *plan_name(const char *definition);

#endif
