/*
 * definition_json_plain.c
 *		Operations on tables that the manifest itself creates: nobody uses these yet, so they are plain DDL.
 *
 * `up` is the USING of a change of type and means nothing otherwise, `down` never does: the table is empty.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/builtins.h"

#include "compile/definition_json.h"

/* Takes a table's name out of those created, and puts in the new one if there is one. */
static void
replace_created(Definition *definition, const char *table, char *new_name)
{
	List	   *created = NIL;
	ListCell   *lc;

	foreach(lc, definition->created)
	{
		if (strcmp(lfirst(lc), table) != 0)
			created = lappend(created, lfirst(lc));
	}
	definition->created = new_name == NULL ? created : lappend(created, new_name);
}

/* Returns COMMENT ON. */
static char *
comment_text(const Operation *op)
{
	const char *comment = op->comment == NULL ? "NULL" : quote_literal_cstr(op->comment);

	if (op->column == NULL)
		return psprintf("COMMENT ON TABLE %s IS %s", quote_identifier(op->table), comment);
	return psprintf("COMMENT ON COLUMN %s.%s IS %s", quote_identifier(op->table), quote_identifier(op->column), comment);
}

/* Returns the REPLICA IDENTITY of ALTER TABLE. */
static char *
replica_identity_text(const Operation *op)
{
	switch (op->identity)
	{
		case REPLICA_IDENTITY_DEFAULT:
			return "REPLICA IDENTITY DEFAULT";
		case REPLICA_IDENTITY_FULL:
			return "REPLICA IDENTITY FULL";
		case REPLICA_IDENTITY_NOTHING:
			return "REPLICA IDENTITY NOTHING";
		default:
			return psprintf("REPLICA IDENTITY USING INDEX %s", quote_identifier(op->name));
	}
}

/* Returns what stands behind ALTER TABLE for an operation; NULL if it is another statement. */
static char *
command_text(const Operation *op)
{
	const char *column = op->column == NULL ? NULL : quote_identifier(op->column);
	const char *name = op->name == NULL ? NULL : quote_identifier(op->name);

	switch (op->kind)
	{
		case OP_DROP_COLUMN:
			return psprintf("DROP COLUMN %s", column);
		case OP_RENAME_COLUMN:
			return psprintf("RENAME COLUMN %s TO %s", column, quote_identifier(op->new_name));
		case OP_RENAME_TABLE:
			return psprintf("RENAME TO %s", quote_identifier(op->new_name));
		case OP_SET_NOT_NULL:
			return psprintf("ALTER COLUMN %s SET NOT NULL", column);
		case OP_DROP_NOT_NULL:
			return psprintf("ALTER COLUMN %s DROP NOT NULL", column);
		case OP_SET_DEFAULT:
			if (op->expr == NULL)
				return psprintf("ALTER COLUMN %s DROP DEFAULT", column);
			return psprintf("ALTER COLUMN %s SET DEFAULT (%s)", column, json_sql_part(op->expr->source));
		case OP_ADD_CHECK:
			return psprintf("ADD CONSTRAINT %s CHECK (%s)%s", name, json_sql_part(op->expr->source), op->no_inherit ? " NO INHERIT" : "");
		case OP_DROP_CONSTRAINT:
			return psprintf("DROP CONSTRAINT %s", name);
		case OP_RENAME_CONSTRAINT:
			return psprintf("RENAME CONSTRAINT %s TO %s", name, quote_identifier(op->new_name));
		case OP_REPLICA_IDENTITY:
			return replica_identity_text(op);
		default:
			return NULL;
	}
}

/* Returns an operation as a plain statement; NULL when it would do nothing to an empty table. The other kinds were read from their statement. */
static char *
statement_text(const Operation *op)
{
	char	   *command = command_text(op);

	if (command != NULL)
		return psprintf("ALTER TABLE %s %s", quote_identifier(op->table), command);
	switch (op->kind)
	{
		case OP_COMMENT_COLUMN:
		case OP_COMMENT_TABLE:
			return comment_text(op);
		case OP_CHANGE_DATA:
			return NULL;
		default:
			return op->sql;
	}
}

/* Turns one operation into a plain statement, whose undo is that the table goes. */
static void
make_plain(Definition *definition, Operation *op)
{
	if (op->kind == OP_DROP_TABLE)
	{
		replace_created(definition, op->table, NULL);
		return;					/* the plan knows that it is one that goes at once */
	}
	op->sql = statement_text(op);
	if (op->kind == OP_RENAME_TABLE)
		replace_created(definition, op->table, op->new_name);
	else
		op->new_name = NULL;	/* of a plain statement it is the table's */
	op->kind = OP_PLAIN;
}

/* Turns the operations from the n-th on that are about tables which the definition created into plain statements. */
void
json_make_plain(Definition *definition, int n)
{
	List	   *operations = list_copy_head(definition->operations, n);

	for (; n < list_length(definition->operations); n++)
	{
		Operation  *op = list_nth(definition->operations, n);

		if (op->kind != OP_CREATE_TABLE && op->table != NULL && name_in(definition->created, op->table))
			make_plain(definition, op);
		if (op->kind != OP_PLAIN || op->sql != NULL)
			operations = lappend(operations, op);
	}
	definition->operations = operations;
}
