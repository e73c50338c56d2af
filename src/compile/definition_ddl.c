/*
 * definition_ddl.c
 *		The DDL front end: ALTER TABLE and COMMENT statements, read by the server's own parser, to operations.
 *
 * Whatever is not covered is refused at its position, with what to use instead: nothing a user wrote is passed over silently.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "tcop/utility.h"

#include "base/compat.h"
#include "compile/definition_ddl.h"
#include "compile/tokens.h"

#define HINT_COLUMN		"Add the column without it, complete the migration, then add it by itself."

/* Statements */
static const Refusal refused_statements[] = {
	{T_CreateTableAsStmt, NULL, "Write CREATE TABLE with its columns, and fill it by itself."},
	{T_DropStmt, NULL, "Run it by itself after mig_complete, when no version needs the object any more."},
	{T_AlterObjectSchemaStmt, "SET SCHEMA", "Versions belong to one schema: run ALTER ... SET SCHEMA by itself, when no migration is active."},
	{T_AlterTableMoveAllStmt, "ALTER TABLE ALL IN TABLESPACE", "It copies tables under exclusive locks: run it by itself when no one uses them."},
	{T_InsertStmt, NULL, "Existing rows get their values from USING or the option \"up\"."},
	{T_UpdateStmt, NULL, "Existing rows get their values from USING or the option \"up\"."},
	{T_DeleteStmt, NULL, "Delete rows by itself, in small batches."},
	{T_SelectStmt, NULL, "A definition is made of DDL statements."},
	{T_TransactionStmt, NULL, "Leave it out: a migration is started in the caller's transaction and driven in transactions of its own."},
	{T_VariableSetStmt, NULL, "Run SET before the call: expressions keep the settings of the start."},
	{T_GrantStmt, NULL, "Run it by itself: version views follow the grants of their tables."},
	{-1, NULL, "A migration makes, changes and drops tables and what belongs to them, types, domains, sequences, functions and views; run this by itself."}
};

/* Sub-commands of ALTER TABLE */
static const Refusal refused_commands[] = {
	{AT_SetLogged, "SET LOGGED", "It rewrites the table under an exclusive lock: run it by itself when no one uses the table."},
	{AT_SetUnLogged, "SET UNLOGGED", "It rewrites the table under an exclusive lock: run it by itself when no one uses the table."},
	{AT_SetAccessMethod, "SET ACCESS METHOD", "It rewrites the table under an exclusive lock: run it by itself when no one uses the table."},
	{AT_SetTableSpace, "SET TABLESPACE", "It copies the table under an exclusive lock: run it by itself when no one uses the table."},
	{AT_EnableTrigAll, "ENABLE TRIGGER ALL", HINT_PLAIN},
	{AT_DisableTrigAll, "DISABLE TRIGGER ALL", "It would stop the triggers that keep versions in sync."},
	{AT_EnableTrigUser, "ENABLE TRIGGER USER", HINT_PLAIN},
	{AT_DisableTrigUser, "DISABLE TRIGGER USER", "It would stop the triggers that keep versions in sync."},
	{AT_AddInherit, "INHERIT", HINT_LATER},
	{AT_DropInherit, "NO INHERIT", HINT_LATER},
	{AT_AddOf, "OF", HINT_LATER},
	{AT_DropOf, "NOT OF", HINT_LATER},
	{AT_AttachPartition, "ATTACH PARTITION", HINT_LATER},
	{AT_DetachPartition, "DETACH PARTITION", "Run ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY by itself."},
	{-1, "this form of ALTER TABLE", "Run it by itself, when no migration of the table is active."}
};

/* Constraints of an added column */
static const Refusal refused_column_constraints[] = {
	{CONSTR_GENERATED, "GENERATED ALWAYS AS ... STORED on an added column", "It rewrites the table: add a plain column and give its expression as the option \"up\"."},
	{-1, "this constraint on an added column", HINT_COLUMN}
};

/* Constraints of a table */
static const Refusal refused_constraints[] = {
	{CONSTR_EXCLUSION, "ADD EXCLUDE", "An exclusion constraint cannot be built without blocking writes: run it by itself."},
	{CONSTR_NOTNULL, "ADD NOT NULL as a constraint of the table", "Write ALTER COLUMN ... SET NOT NULL."},
	{-1, "this constraint", "Add it by itself, when no migration of the table is active."}
};

/* Refuses something at its position. */
void
ddl_refuse(const Reader *reader, int location, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported in an online migration", what),
			 errhint("%s", hint),
			 source_position(reader->source, location >= 0 ? location : reader->location)));
}

/* Refuses something as a table says, whose last entry is for all that it does not list; `what` names it where the table does not. */
void
ddl_refuse_from(const Reader *reader, const Refusal *table, int tag, int location, const char *what)
{
	while (table->tag != tag && table->tag != -1)
		table++;
	ddl_refuse(reader, location, table->what != NULL ? table->what : what, table->hint);
}

/* Refuses the statement. */
void
ddl_refuse_statement(const Reader *reader)
{
	ddl_refuse_from(reader, refused_statements, nodeTag(reader->statement), reader->start, GetCommandTagName(CreateCommandTag(reader->statement)));
}

/* Returns the length in bytes of an identifier as it stands in the text; 0 if there is none. */
static int
identifier_length(const char *text)
{
	int			n = 0;

	if (*text == '"')
	{
		for (text++; *text != '\0'; text++, n++)
		{
			if (*text == '"' && *++text != '"')
				break;
		}
		return n;
	}
	if (!isalpha((unsigned char) *text) && *text != '_' && !IS_HIGHBIT_SET(*text))
		return 0;
	while (isalnum((unsigned char) text[n]) || text[n] == '_' || text[n] == '$' || IS_HIGHBIT_SET(text[n]))
		n++;
	return n;
}

/* Refuses an identifier that the server would cut. */
static void
check_identifier(const Reader *reader, int location)
{
	if (identifier_length(reader->source + location) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name is longer than %d bytes", NAMEDATALEN - 1),
				 errhint("Choose a shorter name."),
				 source_position(reader->source, location)));
}

/*
 * Goes through the statement's tokens, because the parse tree does not say where sub-commands start: the first one follows the relation's
 * name, the others the commas outside of parentheses. Checks identifiers on the way. `locations` has room for `n`.
 */
void
ddl_scan(const Reader *reader, int *locations, int n)
{
	int			count;
	Token	   *tokens = scan_tokens(pnstrdup(reader->source + reader->start, reader->length), &count);
	int			previous = 0;
	int			depth = 0;
	int			found = 0;
	bool		in_name = false;

	for (int i = 0; i < count; i++)
	{
		int			token = tokens[i].symbol;
		int			at = tokens[i].at + reader->start;

		check_identifier(reader, at);
		if (token == '(' || token == '[')
			depth++;
		else if (token == ')' || token == ']')
			depth--;

		if (reader->relation != NULL && at == reader->relation->location)
			in_name = true;
		else if (in_name && token != '.' && token != '*' && previous != '.')
		{
			in_name = false;
			if (found < n)
				locations[found++] = at;
		}
		else if (found > 0 && found < n && previous == ',' && depth == 0)
			locations[found++] = at;
		previous = token;
	}
	while (found < n)
		locations[found++] = reader->start;
}

/* Appends an operation on the statement's table. */
Operation *
ddl_add(const Reader *reader, OperationKind kind, const char *column)
{
	Operation  *op = definition_add(reader->definition, kind, reader->path);

	op->source = reader->source;
	op->location = reader->location;
	op->schema = reader->relation->schemaname;
	op->table = reader->relation->relname;
	op->only = !reader->relation->inh;
	op->missing_ok = reader->missing_ok;
	op->column = unconstify(char *, column);
	return op;
}

/* Wraps an expression of the statement. */
static RawExpr *
expression(const Reader *reader, Node *node, const char *clause)
{
	return raw_expr_make(node, reader->source, psprintf("%s, %s", reader->path, clause));
}

/* Refuses what a table's name may carry but an online migration cannot follow. */
void
ddl_check_relation(const Reader *reader)
{
	const RangeVar *relation = reader->relation;

	if (relation->catalogname != NULL)
		ddl_refuse(reader, relation->location, "a table named with its database", "Write table or schema.table.");
	if (relation->schemaname != NULL && strcmp(relation->schemaname, "pg_temp") == 0)
		ddl_refuse(reader, relation->location, "a temporary table", "Only its own session sees it: run the statement by itself.");
}

/* Refuses CASCADE. */
void
ddl_check_behavior(const Reader *reader, DropBehavior behavior)
{
	if (behavior == DROP_CASCADE)
		ddl_refuse(reader, -1, "CASCADE", "Leave it out; the plan names the objects that depend on it.");
}

/* Refuses what a column of ADD COLUMN or TYPE may carry beside its type. */
static void
check_column_def(const Reader *reader, const ColumnDef *def)
{
	if (def->compression != NULL)
		ddl_refuse(reader, -1, "COMPRESSION", HINT_COLUMN);
	if (mig_column_storage_name(def) != NULL)
		ddl_refuse(reader, -1, "STORAGE", HINT_COLUMN);
	if (def->fdwoptions != NIL)
		ddl_refuse(reader, -1, "OPTIONS", "Foreign tables cannot be migrated.");
}

/* Reads a CHECK, of the table or of an added column. */
static void
read_check(const Reader *reader, const Constraint *check)
{
	Operation  *op;

	if (check->skip_validation)
		ddl_refuse(reader, check->location, "NOT VALID", "Leave it out: the migration validates the constraint without blocking writes.");
	op = ddl_add(reader, OP_ADD_CHECK, NULL);
	op->location = check->location;
	op->name = check->conname;
	op->no_inherit = check->is_no_inherit;
	op->expr = expression(reader, check->raw_expr, "CHECK");
}

/* Reads UNIQUE or PRIMARY KEY of the table. */
static void
read_key(const Reader *reader, Constraint *key)
{
	Operation  *op = ddl_add(reader, OP_ADD_KEY, NULL);

	if (mig_key_without_overlaps(key))
		ddl_refuse(reader, key->location, "WITHOUT OVERLAPS", "It cannot be built without blocking writes: run it by itself.");
	op->location = key->location;
	op->name = key->conname;
	op->constraint = key;
}

/* Reads a foreign key of the table. */
static void
read_foreign_key(const Reader *reader, Constraint *key)
{
	Operation  *op = ddl_add(reader, OP_ADD_FOREIGN_KEY, NULL);

	op->location = key->location;
	op->name = key->conname;
	op->constraint = key;
}

/* Raises the error for two constraints of an added column that do not go together. */
static void
conflict(const Reader *reader, const Constraint *constraint, const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("%s for column \"%s\" of table \"%s\"", message,
					((Operation *) llast(reader->definition->operations))->column, reader->relation->relname),
			 source_position(reader->source, constraint->location)));
}

/* Reads what an added column carries, but CHECKs. *nullable tells if NULL was written. */
static void
read_column_constraint(const Reader *reader, Operation *op, const Constraint *constraint, bool *nullable)
{
	switch (constraint->contype)
	{
		case CONSTR_NULL:
			if (op->not_null)
				conflict(reader, constraint, "conflicting NULL and NOT NULL");
			*nullable = true;
			break;
		case CONSTR_NOTNULL:
			if (*nullable)
				conflict(reader, constraint, "conflicting NULL and NOT NULL");
			if (constraint->is_no_inherit || constraint->skip_validation)
				ddl_refuse(reader, constraint->location, "NOT NULL with NO INHERIT or NOT VALID", "Write NOT NULL alone.");
			op->not_null = true;
			break;
		case CONSTR_DEFAULT:
			if (op->expr != NULL)
				conflict(reader, constraint, "several default values");
			op->expr = expression(reader, constraint->raw_expr, "DEFAULT");
			break;
		case CONSTR_IDENTITY:
			if (op->identity)
				conflict(reader, constraint, "multiple identity specifications");
			op->identity = constraint->generated_when;
			op->sequence = constraint->options;
			break;
		case CONSTR_CHECK:
		case CONSTR_UNIQUE:
		case CONSTR_PRIMARY:
		case CONSTR_FOREIGN:
		case CONSTR_ATTR_DEFERRABLE:
		case CONSTR_ATTR_NOT_DEFERRABLE:
		case CONSTR_ATTR_DEFERRED:
		case CONSTR_ATTR_IMMEDIATE:
			break;
		default:
			ddl_refuse_from(reader, refused_column_constraints, constraint->contype, constraint->location, NULL);
	}
}

/* Raises the error for DEFERRABLE and its like where they cannot be. */
static void
bad_attribute(const Reader *reader, const Constraint *attribute, const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("%s", message),
			 source_position(reader->source, attribute->location)));
}

/* Gives the key before it one attribute; *said: DEFERRABLE or NOT DEFERRABLE was written for it. */
static void
apply_attribute(const Reader *reader, Constraint *key, const Constraint *attribute, bool *said)
{
	bool		deferrable = attribute->contype == CONSTR_ATTR_DEFERRABLE;

	if (key == NULL)
		bad_attribute(reader, attribute, "misplaced DEFERRABLE or INITIALLY clause");
	if (deferrable || attribute->contype == CONSTR_ATTR_NOT_DEFERRABLE)
	{
		if (*said)
			bad_attribute(reader, attribute, "multiple DEFERRABLE/NOT DEFERRABLE clauses not allowed");
		*said = true;
		key->deferrable = deferrable;
	}
	else
	{
		key->initdeferred = attribute->contype == CONSTR_ATTR_DEFERRED;
		if (key->initdeferred && !*said)
			key->deferrable = true;
	}
	if (key->initdeferred && !key->deferrable)
		bad_attribute(reader, attribute, "constraint declared INITIALLY DEFERRED must be DEFERRABLE");
}

/* Folds what follows a key of an added column into it, as the server does. */
static void
fold_attributes(const Reader *reader, List *constraints)
{
	Constraint *key = NULL;
	bool		said = false;
	ListCell   *lc;

	foreach(lc, constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, lc);

		switch (constraint->contype)
		{
			case CONSTR_ATTR_DEFERRABLE:
			case CONSTR_ATTR_NOT_DEFERRABLE:
			case CONSTR_ATTR_DEFERRED:
			case CONSTR_ATTR_IMMEDIATE:
				apply_attribute(reader, key, constraint, &said);
				break;
			case CONSTR_UNIQUE:
			case CONSTR_PRIMARY:
			case CONSTR_FOREIGN:
				key = constraint;
				said = false;
				break;
			default:
				key = NULL;
		}
	}
}

/* Reads a CHECK or a key of an added column, which becomes an operation of its own. */
static void
read_part(const Reader *reader, const char *column, Constraint *constraint)
{
	Operation  *op;

	switch (constraint->contype)
	{
		case CONSTR_CHECK:
			read_check(reader, constraint);
			break;
		case CONSTR_UNIQUE:
		case CONSTR_PRIMARY:
			constraint->keys = list_make1(makeString(pstrdup(column)));
			read_key(reader, constraint);
			break;
		case CONSTR_FOREIGN:
			constraint->fk_attrs = list_make1(makeString(pstrdup(column)));
			op = ddl_add(reader, OP_ADD_FOREIGN_KEY, NULL);
			op->location = constraint->location;
			op->name = constraint->conname;
			op->constraint = constraint;
			break;
		default:
			break;
	}
}

/* Reads ADD COLUMN; its CHECKs and keys become operations of their own behind it. */
static void
read_add_column(const Reader *reader, const AlterTableCmd *command)
{
	ColumnDef  *def = castNode(ColumnDef, command->def);
	Operation  *op = ddl_add(reader, OP_ADD_COLUMN, def->colname);
	bool		nullable = false;
	ListCell   *lc;

	check_column_def(reader, def);
	op->type = def->typeName;
	op->collation = def->collClause;
	op->if_exists = command->missing_ok;
	foreach(lc, def->constraints)
		read_column_constraint(reader, op, lfirst_node(Constraint, lc), &nullable);
	if (op->identity && nullable)
		conflict(reader, linitial_node(Constraint, def->constraints), "conflicting NULL and GENERATED AS IDENTITY");
	fold_attributes(reader, def->constraints);
	foreach(lc, def->constraints)
	{
		int			before = list_length(reader->definition->operations);

		read_part(reader, def->colname, lfirst_node(Constraint, lc));
		if (op->if_exists && list_length(reader->definition->operations) > before)
			ddl_refuse(reader, lfirst_node(Constraint, lc)->location, "a constraint together with IF NOT EXISTS",
					   "Leave IF NOT EXISTS out, or add the constraint in a migration of its own.");
	}
}

/* Reads ALTER COLUMN TYPE. */
static void
read_alter_type(const Reader *reader, const AlterTableCmd *command)
{
	ColumnDef  *def = castNode(ColumnDef, command->def);
	Operation  *op = ddl_add(reader, OP_ALTER_TYPE, command->name);

	check_column_def(reader, def);
	op->type = def->typeName;
	op->collation = def->collClause;
	if (def->raw_default != NULL)
		op->up = expression(reader, def->raw_default, "USING");
}

/* Reads a sub-command of ALTER TABLE. */
static void
read_command(const Reader *reader, const AlterTableCmd *command)
{
	Operation  *op;

	switch (command->subtype)
	{
		case AT_AddColumn:
			read_add_column(reader, command);
			break;
		case AT_DropColumn:
			ddl_check_behavior(reader, command->behavior);
			ddl_add(reader, OP_DROP_COLUMN, command->name)->if_exists = command->missing_ok;
			break;
		case AT_AlterColumnType:
			read_alter_type(reader, command);
			break;
		case AT_SetNotNull:
			ddl_add(reader, OP_SET_NOT_NULL, command->name);
			break;
		case AT_DropNotNull:
			ddl_add(reader, OP_DROP_NOT_NULL, command->name);
			break;
		case AT_ColumnDefault:
			op = ddl_add(reader, OP_SET_DEFAULT, command->name);
			if (command->def != NULL)
				op->expr = expression(reader, command->def, "DEFAULT");
			break;
		case AT_AddConstraint:
			if (castNode(Constraint, command->def)->contype == CONSTR_UNIQUE || castNode(Constraint, command->def)->contype == CONSTR_PRIMARY)
			{
				read_key(reader, castNode(Constraint, command->def));
				break;
			}
			if (castNode(Constraint, command->def)->contype == CONSTR_FOREIGN)
			{
				read_foreign_key(reader, castNode(Constraint, command->def));
				break;
			}
			if (castNode(Constraint, command->def)->contype != CONSTR_CHECK)
				ddl_refuse_from(reader, refused_constraints, castNode(Constraint, command->def)->contype, -1, NULL);
			read_check(reader, castNode(Constraint, command->def));
			break;
		case AT_DropConstraint:
			ddl_check_behavior(reader, command->behavior);
			op = ddl_add(reader, OP_DROP_CONSTRAINT, NULL);
			op->name = command->name;
			op->if_exists = command->missing_ok;
			break;
		case AT_ReplicaIdentity:
			op = ddl_add(reader, OP_REPLICA_IDENTITY, NULL);
			op->identity = castNode(ReplicaIdentityStmt, command->def)->identity_type;
			op->name = castNode(ReplicaIdentityStmt, command->def)->name;
			break;
		case AT_ValidateConstraint:
			ddl_add(reader, OP_VALIDATE_CONSTRAINT, NULL)->name = command->name;
			break;
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
		case AT_DropExpression:
			ddl_read_at_end(reader, command->name);
			break;
		case AT_AlterConstraint:
		case AT_ChangeOwner:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
		case AT_ForceRowSecurity:
		case AT_NoForceRowSecurity:
			ddl_read_at_end(reader, NULL);
			break;
		default:
			ddl_refuse_from(reader, refused_commands, command->subtype, -1, NULL);
	}
}

/* Reads ALTER TABLE with its sub-commands. */
static void
read_alter_table(Reader *reader, const AlterTableStmt *statement)
{
	int			n = list_length(statement->cmds);
	int		   *locations = palloc(sizeof(int) * n);

	if (statement->objtype != OBJECT_TABLE)
		ddl_refuse_statement(reader);
	reader->relation = statement->relation;
	ddl_scan(reader, locations, n);
	reader->missing_ok = statement->missing_ok;
	ddl_check_relation(reader);
	for (int i = 0; i < n; i++)
	{
		reader->location = locations[i];
		read_command(reader, list_nth_node(AlterTableCmd, statement->cmds, i));
	}
}

/* Reads CREATE INDEX, which is always built CONCURRENTLY. */
static void
read_create_index(Reader *reader, IndexStmt *statement)
{
	reader->relation = statement->relation;
	ddl_scan(reader, NULL, 0);
	ddl_check_relation(reader);
	ddl_add(reader, OP_CREATE_INDEX, NULL)->index = statement;
}

/* Appends an operation on an index, whose table is not known yet. */
static Operation *
add_index_operation(const Reader *reader, OperationKind kind, const RangeVar *index, bool missing_ok)
{
	Operation  *op = definition_add(reader->definition, kind, reader->path);

	op->source = reader->source;
	op->location = reader->location;
	op->schema = index->schemaname;
	op->name = index->relname;
	op->if_exists = missing_ok;
	return op;
}

/* Reads DROP INDEX. */
static void
read_drop_index(Reader *reader, const DropStmt *statement)
{
	ListCell   *lc;

	ddl_scan(reader, NULL, 0);
	ddl_check_behavior(reader, statement->behavior);
	foreach(lc, statement->objects)
		add_index_operation(reader, OP_DROP_INDEX, makeRangeVarFromNameList(lfirst_node(List, lc)), statement->missing_ok);
}

/* Reads ALTER INDEX … RENAME TO. */
static void
read_rename_index(Reader *reader, const RenameStmt *statement)
{
	ddl_scan(reader, NULL, 0);
	add_index_operation(reader, OP_RENAME_INDEX, statement->relation, statement->missing_ok)->new_name = statement->newname;
}

/* Reads the renaming of a table, a column or a constraint. */
static void
read_rename(Reader *reader, const RenameStmt *statement)
{
	Operation  *op;

	if (statement->renameType == OBJECT_INDEX)
	{
		read_rename_index(reader, statement);
		return;
	}
	if (statement->renameType != OBJECT_TABLE && statement->renameType != OBJECT_TABCONSTRAINT &&
		!(statement->renameType == OBJECT_COLUMN && statement->relationType == OBJECT_TABLE))
		ddl_refuse_statement(reader);
	reader->relation = statement->relation;
	ddl_scan(reader, &reader->location, 1);
	reader->missing_ok = statement->missing_ok;
	ddl_check_relation(reader);
	ddl_check_behavior(reader, statement->behavior);

	if (statement->renameType == OBJECT_TABLE)
		op = ddl_add(reader, OP_RENAME_TABLE, NULL);
	else if (statement->renameType == OBJECT_COLUMN)
		op = ddl_add(reader, OP_RENAME_COLUMN, statement->subname);
	else
	{
		op = ddl_add(reader, OP_RENAME_CONSTRAINT, NULL);
		op->name = statement->subname;
	}
	op->new_name = statement->newname;
}

/* Reads COMMENT ON COLUMN or TABLE; an empty comment removes it, as the server has it. */
static void
read_comment(Reader *reader, const CommentStmt *statement)
{
	List	   *names;
	char	   *column = NULL;
	Operation  *op;

	if (statement->objtype != OBJECT_COLUMN && statement->objtype != OBJECT_TABLE)
		ddl_refuse(reader, -1, "COMMENT on this kind of object", HINT_PLAIN);
	ddl_scan(reader, NULL, 0);
	names = list_copy(castNode(List, statement->object));
	if (statement->objtype == OBJECT_COLUMN)
	{
		column = strVal(llast(names));
		names = list_delete_last(names);
		if (names == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("column name must be qualified"),
					 errhint("Write COMMENT ON COLUMN table.column."),
					 source_position(reader->source, reader->location)));
	}
	if (list_length(names) > 2)
		ddl_refuse(reader, -1, "a table named with its database", "Write table or schema.table.");
	reader->relation = makeRangeVar(list_length(names) == 2 ? strVal(linitial(names)) : NULL, strVal(llast(names)), -1);
	ddl_check_relation(reader);

	op = ddl_add(reader, column != NULL ? OP_COMMENT_COLUMN : OP_COMMENT_TABLE, column);
	if (statement->comment != NULL && *statement->comment != '\0')
		op->comment = statement->comment;
}

/* Reads one statement. */
static void
read_statement(Definition *definition, const char *source, const RawStmt *raw, int number)
{
	Reader		reader = {.definition = definition,.source = source,.statement = raw->stmt};
	int			end = raw->stmt_len > 0 ? raw->stmt_location + raw->stmt_len : (int) strlen(source);

	reader.path = psprintf("statement %d", number);
	reader.start = source_skip(source, raw->stmt_location);
	reader.length = end - reader.start;
	reader.location = reader.start;
	if (ddl_read_plain(&reader))
		return;
	switch (nodeTag(raw->stmt))
	{
		case T_AlterTableStmt:
			read_alter_table(&reader, (AlterTableStmt *) raw->stmt);
			break;
		case T_RenameStmt:
			read_rename(&reader, (RenameStmt *) raw->stmt);
			break;
		case T_IndexStmt:
			read_create_index(&reader, (IndexStmt *) raw->stmt);
			break;
		case T_DropStmt:
			if (((DropStmt *) raw->stmt)->removeType == OBJECT_INDEX)
				read_drop_index(&reader, (DropStmt *) raw->stmt);
			else
				ddl_refuse_statement(&reader);
			break;
		case T_CommentStmt:
			read_comment(&reader, (CommentStmt *) raw->stmt);
			break;
		default:
			ddl_refuse_statement(&reader);
	}
}

/* Reads a DDL definition. */
Definition *
definition_ddl(const char *text, const char *options)
{
	Definition *definition = palloc0(sizeof(Definition));
	char	   *source = pstrdup(text);
	SourceContext context;
	List	   *statements;

	source_begin(&context, source, NULL);
	statements = raw_parser(source, RAW_PARSE_DEFAULT);
	source_end(&context);
	if (statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("definition contains no statement"),
				 errhint("Pass DDL statements or a JSON manifest.")));
	for (int i = 0; i < list_length(statements); i++)
		read_statement(definition, source, list_nth_node(RawStmt, statements, i), i + 1);
	definition_attach(definition, options);
	return definition;
}
